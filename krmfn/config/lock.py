"""What travels as data instead of a network: TagSnapshot and ImageLock, read strictly."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from krmfn.config import schema
from krmfn.config.first_seen import Seen, merge, read_seen
from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.errors import RuleError
from krmfn.image import ImageRef, is_digest, is_tag, parse_repository
from krmfn.kubernetes.resource import KUSTOMIZE_ID, describe, get
from krmfn.model import ImagePolicy, LatestRef, PolicyKey, ResourceId
from krmfn.policies.number import read_time
from krmfn.yamledit.nodes import children, join
from krmfn.yamledit.scalars import is_string


class Snapshot(NamedTuple):
    """What one repository offered: tag to digest (or None), and when images were built.

    `listed` counts all tags there were when it was made; it may hold fewer.
    """

    image: str
    tags: Mapping[str, str | None]
    created: Mapping[str, str]
    listed: int = 0
    object: Object | None = None
    time: float | None = None
    """When it was written, in seconds since 1970; None where first sightings are not recorded."""
    seen: Mapping[str, Seen] = MappingProxyType({})
    """When the tags that are listed, and those that are gone, were seen for the first time."""
    gone: frozenset[str] = frozenset()
    twins: tuple[Object, ...] = ()
    """Snapshots of the same repository in other folders, which are renewed with it."""


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
        return _is_same(self.image, policy)


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
        """Yield every entry of a policy."""
        return (entry for entry in self.all if entry.policy == key)


def recall(policy: ImagePolicy, lock: Lock | None) -> LatestRef | None:
    """Return what was decided earlier for this policy's repository, by whatever rules: from the lock, or from status."""
    entry = lock.entry(policy.key) if lock else None
    if entry and entry.is_for(policy):
        return LatestRef(entry.image, entry.tag, entry.digest)
    if policy.latest and _is_same(policy.latest.name, policy):
        return policy.latest
    return None


def _is_same(name: str, policy: ImagePolicy) -> bool:
    try:
        return ImageRef.parse(name).canonical == policy.repository.image.canonical
    except RuleError:
        return False


def _standing(snapshot: Snapshot) -> tuple[Any, ...]:
    """Return what says which of two snapshots is the newer one; equal ones are written alike."""
    tags = sorted((tag, digest or "") for tag, digest in snapshot.tags.items())
    return snapshot.time or 0, tags, sorted(snapshot.created.items()), snapshot.listed


def merged(one: Snapshot, other: Snapshot) -> Snapshot:
    """Merge two snapshots of one repository: the tags of the newer, of every tag and digest the earliest sighting.

    Where neither says when it was written, the tags of both.
    """
    newer, older = sorted((one, other), key=_standing, reverse=True)
    seen = merge(one.seen, other.seen)
    if newer.time is None:
        tags = {tag: max(one.tags.get(tag) or "", other.tags.get(tag) or "") or None for tag in (*one.tags, *other.tags)}
        created = {tag: max(one.created.get(tag, ""), other.created.get(tag, "")) for tag in (*one.created, *other.created)}
        newer = newer._replace(tags=tags, created=created, listed=max(newer.listed, older.listed, len(tags)))
    return newer._replace(seen=seen, gone=frozenset(seen) - frozenset(newer.tags))


def read_snapshot(resource: Object, problems: Problems) -> Snapshot | None:
    """Read a TagSnapshot; problems are noted and then there is None."""
    if _is_wrong("TagSnapshot", resource, problems):
        return None
    try:
        image = parse_repository(resource.spec["image"]).canonical
    except RuleError as error:
        problems.add(resource.id, "spec.image", str(error))
        return None
    tags: dict[str, str | None] = {}
    created: dict[str, str] = {}
    written, seen = _written(resource, problems), _sightings(resource, problems)
    for index, entry in enumerate(listing(resource.spec["tags"])):
        one = mapping(entry) or {"name": entry}
        name, digest = text(one.get("name")), one.get("digest")
        if not is_tag(name):
            problems.add(resource.id, f"spec.tags[{index}]", f"{name!r} is not a tag")
        if digest is not None and not is_digest(digest):
            problems.add(resource.id, f"spec.tags[{index}].digest", f"{digest!r} is not a digest")
        if tags.get(name) not in (None, digest):
            problems.add(resource.id, f"spec.tags[{index}]", f"tag {name} is there twice, with two digests: keep one")
        tags[name] = digest or tags.get(name) or (seen[name].digests[-1][0] if name in seen and seen[name].digests else None)
        if one.get("created"):
            created[name] = one["created"]
            if read_time(one["created"]) is None:
                message = f"expected an RFC 3339 time such as 2026-01-31T09:00:00Z, found {one['created']!r}"
                problems.add(resource.id, f"spec.tags[{index}].created", message)
    gone = frozenset(text(mapping(entry).get("name"), text(entry)) for entry in listing(resource.spec.get("gone")))
    count = max(int(resource.spec.get("listed") or 0), len(tags))
    return Snapshot(image, tags, created, count, resource, written, seen, gone)


def folder_of(one: Object) -> str:
    """Return the folder of the file in which an object stands; empty for stdin."""
    return posixpath.normpath(posixpath.dirname(one.block.text.name) or ".") if one.block.text.name else ""


def are_apart(one: Object, other: Object) -> bool:
    """True if two objects stand in files of different folders: each is for what lies below."""
    return bool(folder_of(one) and folder_of(other)) and folder_of(one) != folder_of(other)


def read_snapshots(objects: Iterable[Object], problems: Problems) -> dict[str, Snapshot]:
    """Read every TagSnapshot among the objects, by image; a second one of an image is a problem."""
    by_image: dict[str, Snapshot] = {}
    for resource in objects:
        if resource.id.kind == "TagSnapshot" and resource.id.api_version == schema.API_VERSION:
            snapshot = read_snapshot(resource, problems)
            there = by_image.get(snapshot.image) if snapshot is not None else None
            if snapshot is not None and there is not None:
                if there.object is None or not are_apart(there.object, resource):
                    problems.add(resource.id, "spec.image", f"there is a second TagSnapshot of {snapshot.image}: keep one")
                by_image[snapshot.image] = merged(there, snapshot)._replace(object=there.object, twins=(*there.twins, resource))
            elif snapshot is not None:
                by_image[snapshot.image] = snapshot
    return by_image


def _written(resource: Object, problems: Problems) -> float | None:
    written = resource.spec.get("time")
    time = read_time(written) if written else None
    if written and time is None:
        message = f"expected an RFC 3339 time such as 2026-01-31T09:00:00Z, found {written!r}"
        problems.add(resource.id, "spec.time", message)
    return time


def _sightings(resource: Object, problems: Problems) -> dict[str, Seen]:
    """Read what is recorded of the tags, those that are gone included."""
    time = read_time(resource.spec["time"]) if resource.spec.get("time") else None
    sightings: dict[str, Seen] = {}
    for name in ("tags", "gone"):
        for index, entry in enumerate(listing(resource.spec.get(name))):
            if isinstance(entry, dict) and (
                one := read_seen(resource.id, f"spec.{name}[{index}]", entry, time, problems)
            ):
                sightings[text(entry.get("name"))] = one
    return sightings


def read_locks(
    objects: Iterable[Object], problems: Problems, policies: Mapping[PolicyKey, ImagePolicy] | None = None
) -> tuple[Lock, ...]:
    """Read every ImageLock among the objects; a second entry for a policy in one of them is a problem.

    Of `policies` those that only follow digests may have several entries, one per tag.
    """
    locks = [one for one in objects if one.id.kind == "ImageLock" and one.id.api_version == schema.API_VERSION]
    return tuple(_lock(one, problems, policies) for one in locks if not _is_wrong("ImageLock", one, problems))


def _lock(resource: Object, problems: Problems, policies: Mapping[PolicyKey, ImagePolicy] | None) -> Lock:
    entries: dict[tuple[PolicyKey, str], LockEntry] = {}
    for index, data in enumerate(listing(resource.spec.get("images"))):
        path = f"spec.images[{index}]"
        entry = _entry(resource.id, path, data, problems)
        if entry is None:
            continue
        policy = (policies or {}).get(entry.policy)
        follows = policy is None or policy.rules.follows_current
        key = (entry.policy, (entry.from_tag or entry.tag) if follows else "")
        if key in entries:
            problems.add(resource.id, f"{path}.policy", f"a second entry for {entry.policy}: keep one")
        entries[key] = entry
    return Lock(tuple(sorted(entries.values(), key=lambda entry: entry.place)), resource, folder=folder_of(resource))


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


def _is_wrong(kind: str, resource: Object, problems: Problems) -> bool:
    wrong = [*schema.problems(kind, resource.data), *_rounded(resource)]
    for path, message in wrong:
        problems.add(resource.id, path, message)
    return bool(wrong)


def is_read_only(lock: Object) -> bool:
    """True when what is written to a lock reaches no file: kustomize sent it, or it is the functionConfig."""
    return lock.is_function_config or _is_from_kustomize(lock)


def _is_from_kustomize(resource: Object) -> bool:
    return KUSTOMIZE_ID in mapping(mapping(resource.data.get("metadata")).get("annotations"))


def _is_text(value: str) -> bool:
    """True for what readers take for text, and for times, which JSON leaves as they are."""
    return is_string(value) or (value[4:5] == "-" and read_time(value) is not None)


def _rounded(item: Object) -> Iterator[tuple[str, str]]:
    """Find numbers where texts are wanted in what kustomize sent: it has sent them through JSON, where 1.10 is 1.1."""
    if not _is_from_kustomize(item):
        return
    for resource in describe(item.block):
        todo = [("spec", get(resource.root, "spec"))] if resource.id == item.id else []
        while todo:
            path, node = todo.pop()
            if isinstance(node, yaml.ScalarNode) and not node.style and node.value and not _is_text(node.value):
                yield path, f"{node.value} came as a number, which kustomize rounds: quote it in the file"
            todo += [(join(path, step), child) for step, child in children(node) if step not in ("listed", "eligible")]
