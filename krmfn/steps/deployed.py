"""What the bound fields hold now: tags and digests, a lone digest looking at its neighbours in the same resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from krmfn.errors import RuleError
from krmfn.image import ImageRef, is_digest, is_tag
from krmfn.model import ImagePolicy, Part, PolicyKey
from krmfn.steps.target import Target
from krmfn.steps.verdict import Place


@lru_cache(4096)
def parsed(value: str) -> ImageRef | None:
    """Read a field as an image reference, None when it is none."""
    try:
        return ImageRef.parse(value)
    except RuleError:
        return None


def current_tag(target: Target) -> str | None:
    """Answer the tag that a field holds now, when the field holds one."""
    if target.setter.part is Part.TAG:
        return target.scalar.value if is_tag(target.scalar.value) else None
    ref = parsed(target.scalar.value) if target.setter.part is Part.IMAGE else None
    return ref.tag if ref else None


def is_of(target: Target, policy: ImagePolicy) -> bool:
    """Tell whether a field speaks of the policy's repository; a lone tag or digest always does."""
    if target.setter.part is not Part.IMAGE:
        return True
    ref = parsed(target.scalar.value)
    return ref is not None and ref.canonical == policy.repository.image.canonical


def place(target: Target) -> Place:
    """Answer what fields have in common that must move together: a resource and a policy."""
    return id(target.resource.block), target.resource.prefix, target.setter.policy


class Deployed:
    """The fields of a run, by policy and by place."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self.targets = tuple(targets)
        self._tags: dict[Place, str] = {}
        self._of: dict[PolicyKey, list[Target]] = {}
        for target in self.targets:
            self._of.setdefault(target.setter.policy, []).append(target)
            tag = current_tag(target)
            if tag:
                self._tags.setdefault(place(target), tag)

    def has(self, key: PolicyKey) -> bool:
        """Tell whether any field takes something of this policy."""
        return key in self._of

    def tag(self, target: Target) -> str | None:
        """Answer the tag that runs where a field stands; an image without tag and digest is `latest`, as everywhere."""
        if target.setter.part is Part.IMAGE:
            ref = parsed(target.scalar.value)
            return (ref.tag or (None if ref.digest else "latest")) if ref else None
        return self._tags.get(place(target))

    def is_pinned_alone(self, target: Target) -> bool:
        """Tell whether a field is a digest without a tag: pinned as tightly as can be."""
        ref = parsed(target.scalar.value) if target.setter.part is Part.IMAGE else None
        return ref is not None and ref.tag is None and ref.digest is not None

    def tags(self, policy: ImagePolicy) -> tuple[str, ...]:
        """Answer every tag of the policy's repository that runs somewhere, sorted."""
        mine = (target for target in self._of.get(policy.key, ()) if is_of(target, policy))
        return tuple(sorted({tag for target in mine if (tag := self.tag(target))}))

    def pinned(self, policy: ImagePolicy, tag: str) -> Iterator[tuple[Target, str]]:
        """Yield the fields that pin this tag of the policy's repository, with their digests."""
        for target in self._of.get(policy.key, ()):
            digest = self._digest(target, policy)
            if digest and self.tag(target) == tag:
                yield target, digest

    def _digest(self, target: Target, policy: ImagePolicy) -> str | None:
        if target.setter.part is Part.DIGEST:
            return target.scalar.value if is_digest(target.scalar.value) else None
        ref = parsed(target.scalar.value) if target.setter.part is Part.IMAGE and is_of(target, policy) else None
        return ref.digest if ref else None
