"""Globs that say which policies a rule is about; those that are left out match everything."""

from __future__ import annotations

from krmfn.globs import matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from krmfn.model import ImagePolicy, PolicyKey

if TYPE_CHECKING:

    class Selecting(Protocol):
        """A rule that selects by globs of repositories, and of `namespace:name`."""

        @property
        def images(self) -> tuple[str, ...]:
            """Globs of repositories."""
            ...

        @property
        def policies(self) -> tuple[str, ...]:
            """Globs of policies."""
            ...


def is_about(rule: Selecting, policy: ImagePolicy) -> bool:
    """True if the globs of a rule match the policy and its image."""
    image = policy.repository.image
    return is_about_image(rule, image.canonical, image.name) and is_about_key(rule, policy.key)


def is_about_image(rule: Selecting, *names: str) -> bool:
    """True if a glob of images matches one of the names of an image, or there is none."""
    return not rule.images or any(matches(glob, name) for glob in rule.images for name in names)


def is_about_key(rule: Selecting, key: PolicyKey) -> bool:
    """True if a glob of policies matches, or there is none."""
    return not rule.policies or any(matches(glob, str(key)) for glob in rule.policies)
