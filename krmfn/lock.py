"""What travels as data instead of a network: TagSnapshot and ImageLock, read strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from krmfn import schema
from krmfn.errors import RuleError
from krmfn.image import is_digest, is_tag, parse_repository
from krmfn.model import PolicyKey, ResourceId
from krmfn.objects import Object, Problems, listing, mapping, text


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one repository offered: tag to digest (or None), and when images were built."""

    image: str
    tags: Mapping[str, str | None]
    created: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LockEntry:
    """One decision: which tag and digest a policy with this hash had."""

    policy: PolicyKey
    image: str
    tag: str
    policy_hash: str
    digest: str | None = None
    listed: int = 0
    eligible: int = 0


@dataclass(frozen=True, slots=True)
class Lock:
    """The ImageLock among the items."""

    entries: Mapping[PolicyKey, LockEntry]
    object: Object = field(compare=False)


def read_snapshot(thing: Object, problems: Problems) -> Snapshot | None:
    """Read a TagSnapshot; problems are noted and then there is None."""
    if _is_wrong("TagSnapshot", thing, problems):
        return None
    try:
        image = parse_repository(thing.spec["image"]).canonical
    except RuleError as error:
        problems.add(thing.id, "spec.image", str(error))
        return None
    tags: dict[str, str | None] = {}
    created: dict[str, str] = {}
    for index, entry in enumerate(listing(thing.spec["tags"])):
        one = mapping(entry) or {"name": entry}
        name, digest = text(one.get("name")), one.get("digest")
        if not is_tag(name):
            problems.add(thing.id, f"spec.tags[{index}]", f"{name!r} is not a tag")
        if digest is not None and not is_digest(digest):
            problems.add(thing.id, f"spec.tags[{index}].digest", f"{digest!r} is not a digest")
        tags[name] = digest
        if one.get("created"):
            created[name] = one["created"]
    return Snapshot(image, tags, created)


def read_lock(objects: Iterable[Object], problems: Problems) -> Lock | None:
    """Read the ImageLock among the objects; a second one is a problem."""
    found = [one for one in objects if one.id.kind == "ImageLock" and one.id.api_version == schema.API_VERSION]
    for more in found[1:]:
        problems.add(more.id, "", f"there is a second ImageLock besides {found[0].id}: keep one")
    if not found or _is_wrong("ImageLock", found[0], problems):
        return None
    entries: dict[PolicyKey, LockEntry] = {}
    for index, entry in enumerate(listing(found[0].spec.get("images"))):
        read = _entry(found[0].id, f"spec.images[{index}]", entry, problems)
        if read is not None and read.policy in entries:
            problems.add(found[0].id, f"spec.images[{index}].policy", f"a second entry for {read.policy}: keep one")
        elif read is not None:
            entries[read.policy] = read
    return Lock(entries, found[0])


def _entry(where: ResourceId, path: str, entry: Mapping[str, Any], problems: Problems) -> LockEntry | None:
    namespace, colon, name = entry["policy"].partition(":")
    digest = entry.get("digest") or None
    if not colon or not name:
        problems.add(where, f"{path}.policy", f"expected namespace:name, found {entry['policy']!r}")
    elif not is_tag(entry["tag"]):
        problems.add(where, f"{path}.tag", f"{entry['tag']!r} is not a tag")
    elif digest is not None and not is_digest(digest):
        problems.add(where, f"{path}.digest", f"{digest!r} is not a digest")
    else:
        listed, eligible = int(entry.get("listed") or 0), int(entry.get("eligible") or 0)
        key = PolicyKey(namespace, name)
        return LockEntry(key, entry["image"], entry["tag"], entry["policyHash"], digest, listed, eligible)
    return None


def _is_wrong(kind: str, thing: Object, problems: Problems) -> bool:
    wrong = list(schema.problems(kind, thing.data))
    for path, message in wrong:
        problems.add(thing.id, path, message)
    return bool(wrong)
