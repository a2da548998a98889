"""Globs of repositories, policies and URIs, and what a rule is about by its globs; those that are left out match everything."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from krmfn.model import ImagePolicy, PolicyKey


def matches(glob: str, name: str) -> bool:
    """True if a glob matches the whole name: `*` stays inside a path part, `**` crosses.

    >>> matches("ghcr.io/acme/*", "ghcr.io/acme/web"), matches("ghcr.io/acme/*", "ghcr.io/acme/team/web")
    (True, False)
    >>> matches("ghcr.io/**", "ghcr.io/acme/team/web"), matches("shop:*", "shop:web")
    (True, True)
    """
    if "*" not in glob:
        return glob == name
    ends = [0]
    # Positions of the name up to which the glob so far may reach, ascending. All are followed at once, so that a name
    # costs its length for each star; backtracking would cost a power of it.
    for part in re.split(r"(\*+)", glob):
        if part.startswith("**"):
            ends = [*range(ends[0], len(name) + 1)] if ends else []
        elif part == "*":
            ends = _within_parts(ends, name)
        else:
            ends = [end + len(part) for end in ends if name.startswith(part, end)]
    return len(name) in ends


def _within_parts(starts: list[int], name: str) -> list[int]:
    """Return where `*` may end that starts at one of these positions: before the next `/` at the latest."""
    ends: list[int] = []
    for start in starts:
        stop = name.find("/", start)
        stop = len(name) if stop < 0 else stop
        if not ends or stop > ends[-1]:
            ends += range(start, stop + 1)
    return ends


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
