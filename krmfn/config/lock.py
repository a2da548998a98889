"""ImageLock: which tag and digest every policy had, read strictly."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from krmfn.config import schema
from krmfn.config.objects import Object, Problems, listing
from krmfn.config.recorded import is_from_kustomize, rounded
from krmfn.image import is_digest, is_tag
from krmfn.model import ImagePolicy, PolicyKey, ResourceId


class LockEntry(NamedTuple):
    """One decision: which tag and digest a policy with this hash had."""

    policy: PolicyKey
    image: str
    tag: str
    policy_hash: str
    digest: str | None = None
    listed: int = 0
    eligible: int = 0
    from_tag: str = ""
    """The deployed tag that a policy `version` moved on from; empty for every other policy."""
    rules_hash: str = ""
    passed_over: str = ""
    """The best tag that was passed over, and why."""
    since: str = ""
    """Since when this tag with this digest is recorded, where that is known."""
    written: tuple[str, ...] = ()
    """The fields into which `krmfn update` wrote the tag, each by file, resource and path."""
    verified_by: str = ""
    """Who signed the digest, where that had to be verified; it counts in mode frozen alone."""
    verified_at: str = ""
    """When that was verified, where a time was known."""

    @property
    def place(self) -> tuple[PolicyKey, str, str]:
        """What the entries of a lock are sorted by."""
        return self.policy, self.from_tag, self.tag

    def is_for(self, policy: ImagePolicy) -> bool:
        """True if the entry speaks of the policy's repository."""
        return policy.is_for(self.image)


class Lock(NamedTuple):
    """What an ImageLock holds, sorted. Policies that follow what is deployed have one entry per deployed tag.

    Several locks are one in a run: `homes` are then the objects in which the entries of policies stand.
    """

    all: tuple[LockEntry, ...]
    object: Object | None
    """Where policies are written that have no home; None where nothing tells it."""
    homes: Mapping[PolicyKey, Object] = MappingProxyType({})
    folder: str = ""
    """The folder of its file; empty without one."""

    @property
    def objects(self) -> tuple[Object, ...]:
        """Every ImageLock, in order."""
        objects = [*([self.object] if self.object else []), *self.homes.values()]
        return tuple({id(one): one for one in objects}.values())

    @property
    def name(self) -> str:
        """`metadata.name`; empty where several are one."""
        return self.object.id.name if self.object else ""

    def home(self, key: PolicyKey) -> Object | None:
        """Return the ImageLock in which a policy is recorded; None where nothing tells it."""
        return self.homes.get(key, self.object)

    def entry(self, key: PolicyKey) -> LockEntry | None:
        """Return the entry of a policy; of a digest policy the first."""
        return next(self.of(key), None)

    def following(self, key: PolicyKey, tag: str) -> LockEntry | None:
        """Return the entry that says what follows a deployed tag: made from it, else one that led to it already."""
        entries = [entry for entry in self.of(key) if tag in (entry.from_tag, entry.tag)]
        return max(entries, key=lambda entry: entry.from_tag == tag, default=None)

    def of(self, key: PolicyKey) -> Iterator[LockEntry]:
        """Yield every entry of a policy. They are sorted, so that those of one policy stand together."""
        start = bisect_left(self.all, key, key=lambda entry: entry.policy)
        return iter(self.all[start : bisect_right(self.all, key, start, key=lambda entry: entry.policy)])


def read_locks(
    objects: Iterable[Object], problems: Problems, policies: Mapping[PolicyKey, ImagePolicy] | None = None
) -> tuple[Lock, ...]:
    """Read every ImageLock among the objects; a second entry for a policy in one of them is a problem.

    Of `policies` those that only follow digests may have several entries, one per tag.
    """
    return tuple(
        _lock(one, problems, policies)
        for one in schema.of_kind(objects, "ImageLock")
        if not problems.add_all(one.id, [*schema.problems("ImageLock", one.data), *rounded(one)])
    )


def _lock(resource: Object, problems: Problems, policies: Mapping[PolicyKey, ImagePolicy] | None) -> Lock:
    entries: dict[tuple[PolicyKey, str], LockEntry] = {}
    for index, data in enumerate(listing(resource.spec.get("images"))):
        path = f"spec.images[{index}]"
        entry = _entry(resource.id, path, data, problems)
        if entry is None:
            continue
        # What follows the deployed tag has an entry for each; of a policy that is not known here that may be so too.
        policy = (policies or {}).get(entry.policy)
        follows = policy is None or policy.rules.follows_current
        key = (entry.policy, (entry.from_tag or entry.tag) if follows else "")
        if key in entries:
            problems.add(resource.id, f"{path}.policy", f"a second entry for {entry.policy}: keep one")
        entries[key] = entry
    return Lock(tuple(sorted(entries.values(), key=lambda entry: entry.place)), resource, folder=resource.folder)


def _entry(where: ResourceId, path: str, entry: Mapping[str, Any], problems: Problems) -> LockEntry | None:
    namespace, colon, name = entry["policy"].partition(":")
    digest = entry.get("digest") or None
    if not colon or not name or ":" in name:
        problems.add(where, f"{path}.policy", f"expected namespace:name, found {entry['policy']!r}")
    elif not is_tag(entry["tag"]):
        problems.add(where, f"{path}.tag", f"{entry['tag']!r} is not a tag")
    elif entry.get("from") and not is_tag(entry["from"]):
        problems.add(where, f"{path}.from", f"{entry['from']!r} is not a tag")
    elif digest is not None and not is_digest(digest):
        problems.add(where, f"{path}.digest", f"{digest!r} is not a digest")
    else:
        listed, eligible = int(entry.get("listed") or 0), int(entry.get("eligible") or 0)
        key = PolicyKey(namespace, name)
        return LockEntry(
            key, entry["image"], entry["tag"], entry["policyHash"], digest, listed, eligible, entry.get("from") or "",
            entry.get("rulesHash") or "", entry.get("passedOver") or "", entry.get("since") or "",
            tuple(listing(entry.get("written"))), entry.get("verifiedBy") or "", entry.get("verifiedAt") or "",
        )  # fmt: skip
    return None


def is_read_only(lock: Object) -> bool:
    """True when what is written to a lock reaches no file: kustomize sent it, or it is the functionConfig."""
    return lock.is_function_config or is_from_kustomize(lock)


