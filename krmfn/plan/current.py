"""What the bound fields hold now: tags and digests, a lone digest looking at its neighbours in the same resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from krmfn.model import ImagePolicy, LatestRef, Part, PolicyKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.kubernetes.form import Form
    from krmfn.plan.records import Place
    from krmfn.plan.target import Target


def current_tag(target: Target, policy: ImagePolicy) -> str | None:
    """Return the tag that a field holds now, None when it holds none."""
    form = target.form(policy)
    return (form.tag or None) if form else None


def is_of(target: Target, policy: ImagePolicy) -> bool:
    """True if a field speaks of the policy's repository; a lone tag or digest always does."""
    if target.setter.part is not Part.IMAGE:
        return True
    form = target.form(policy)
    return form is not None and form.canonical == policy.repository.image.canonical


def place(target: Target) -> Place:
    """Return what fields have in common that must move together: a resource and a policy."""
    return target.resource.block, target.resource.prefix, target.setter.policy


def _row(target: Target) -> tuple[Place, str]:
    """Return the mapping that a field stands in: a digest moves with the tag beside it, not with every one of the resource."""
    return place(target), target.scalar.path.rpartition(".")[0]


class Deployed:
    """The fields of some policies, by policy and by place, and the lock that is believed."""

    def __init__(self, targets: Iterable[Target], policies: Mapping[PolicyKey, ImagePolicy], lock: Lock | None = None) -> None:
        self.targets = tuple(target for target in targets if target.setter.policy in policies)
        self.policies, self.lock = policies, lock
        self._tags: dict[Place, str] = {}
        self._of: dict[PolicyKey, list[Target]] = {}
        for target in self.targets:
            self._of.setdefault(target.setter.policy, []).append(target)
            tag = current_tag(target, policies[target.setter.policy])
            if tag and target.setter.part is not Part.VERSION:  # a version spells no tag: its prefix is not known
                self._tags.setdefault(place(target), tag)

    def tag_only(self) -> list[Target]:
        """Return the fields of policies with a required signature that can hold no digest, and have none beside them."""
        with_digest = {_row(one) for one in self.targets if one.setter.part is Part.DIGEST}
        return [one for one in self.targets if self.takes_tag_alone(one) and _row(one) not in with_digest]

    def takes_tag_alone(self, target: Target) -> bool:
        """True if a field is a tag or a version without a digest, and its policy wants one that was verified."""
        is_tag = target.setter.part in (Part.TAG, Part.VERSION) and target.how != "stray"
        form = self._form(target) if is_tag and self.policies[target.setter.policy].is_verified else None
        return form is not None and not form.digest

    def has(self, key: PolicyKey) -> bool:
        """True if any field takes something of this policy."""
        return key in self._of

    def _form(self, target: Target) -> Form | None:
        return target.form(self.policies[target.setter.policy])

    def tag(self, target: Target) -> str | None:
        """Return the tag that runs where a field stands; an image without tag and digest is pulled as `latest`."""
        if target.setter.part is Part.IMAGE:
            form = self._form(target)
            return (form.tag or (None if form.digest else "latest")) if form and form.name else None
        if target.how == "alone":
            return None
        if target.setter.part is Part.VERSION:
            return self._tags.get(place(target)) or current_tag(target, self.policies[target.setter.policy])
        if target.setter.part is Part.TAG and (form := self._form(target)) and form.tag:
            return form.tag
        return target.tag or self._tags.get(place(target))

    def is_pinned_alone(self, target: Target) -> bool:
        """True if a field is an image, or the digest of one, with a digest and without a tag: pinned as tightly as can be."""
        form = self._form(target)
        has_image = form is not None and bool(form.name or target.how == "alone")
        return has_image and form is not None and bool(form.digest) and not form.tag

    def tags(self, policy: ImagePolicy) -> tuple[str, ...]:
        """Return every tag of the policy's repository that runs somewhere, sorted."""
        mine = (target for target in self._of.get(policy.key, ()) if is_of(target, policy))
        return tuple(sorted({tag for target in mine if (tag := self.tag(target))}))

    def running(self, policy: ImagePolicy, *, in_build: bool) -> tuple[str, ...]:
        """Return the tags that run: those of the fields; in a build, or without any field, the one of the record."""
        tags, record = self.tags(policy), recall(policy, self.lock)
        return (record.tag,) if record and (in_build or not tags) else tags

    def _pin(self, target: Target) -> str:
        """Return the digest that a field holds, of whatever image; empty without one."""
        form = self._form(target) if target.setter.part is not Part.NAME and target.how != "stray" else None
        return form.digest or "" if form else ""

    def is_pinned_to(self, target: Target, policy: ImagePolicy, tag: str) -> bool:
        """True if a field pins this tag of the policy's repository."""
        return bool(self._pin(target)) and self._holds(target, policy, tag)

    def pins(self, policy: ImagePolicy) -> Iterator[tuple[Target, str]]:
        """Yield the fields of a policy that hold a digest, whatever image it is of, with their digests."""
        for target in self._of.get(policy.key, ()):
            if digest := self._pin(target):
                yield target, digest

    def pinned(self, policy: ImagePolicy, tag: str) -> Iterator[tuple[Target, str]]:
        """Yield the fields that pin this tag of the policy's repository, with their digests."""
        for target, digest in self.pins(policy):
            if self._holds(target, policy, tag):
                yield target, digest

    def _holds(self, target: Target, policy: ImagePolicy, tag: str) -> bool:
        return self.tag(target) == tag and is_of(target, policy)

    def unsettled(self, policy: ImagePolicy, tag: str, from_tag: str | None = None) -> Iterator[Target]:
        """Yield the fields that hold a digest and need that of this tag: all but those which hold the tag already.

        With `from_tag` only the fields that hold that one.
        """
        for target, _ in self.pins(policy):
            if not self._holds(target, policy, tag) and from_tag in (None, self.tag(target)):
                yield target


def recall(policy: ImagePolicy, lock: Lock | None) -> LatestRef | None:
    """Return what was decided earlier for this policy's repository, by whatever rules: from the lock, or from status."""
    entry = lock.entry(policy.key) if lock else None
    if entry and entry.is_for(policy):
        return LatestRef(entry.image, entry.tag, entry.digest)
    if policy.latest and policy.is_for(policy.latest.name):
        return policy.latest
    return None
