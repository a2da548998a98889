"""TagSnapshot: the tags of a repository as data, read strictly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from krmfn.config import schema
from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.config.recorded import rounded
from krmfn.image import is_digest, is_tag
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.config.first_seen import Seen


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


def _standing(snapshot: Snapshot) -> tuple[Any, ...]:
    """Return what says which of two snapshots is the newer one; equal ones are written alike."""
    tags = sorted((tag, digest or "") for tag, digest in snapshot.tags.items())
    return snapshot.time or 0, tags, sorted(snapshot.created.items()), snapshot.listed


def merged(one: Snapshot, other: Snapshot) -> Snapshot:
    """Merge two snapshots of one repository: the tags of the newer, of every tag and digest the earliest sighting.

    Where neither says when it was written, the tags of both.
    """
    newer, older = sorted((one, other), key=_standing, reverse=True)
    from krmfn.config.first_seen import merge

    seen = merge(one.seen, other.seen)
    if newer.time is None:
        tags = {tag: max(one.tags.get(tag) or "", other.tags.get(tag) or "") or None for tag in (*one.tags, *other.tags)}
        created = {tag: max(one.created.get(tag, ""), other.created.get(tag, "")) for tag in (*one.created, *other.created)}
        newer = newer._replace(tags=tags, created=created, listed=max(newer.listed, older.listed, len(tags)))
    return newer._replace(seen=seen, gone=frozenset(seen) - frozenset(newer.tags))


def read_snapshot(resource: Object, problems: Problems) -> Snapshot | None:
    """Read a TagSnapshot; problems are noted and then there is None."""
    if problems.add_all(resource.id, [*schema.problems("TagSnapshot", resource.data), *rounded(resource)]):
        return None
    repository = problems.repository(resource.id, "spec.image", resource.spec["image"])
    if repository is None:
        return None
    tags: dict[str, str | None] = {}
    created: dict[str, str] = {}
    written = problems.time(resource.id, "spec.time", resource.spec.get("time"))
    seen = _sightings(resource, written, problems)
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
            problems.time(resource.id, f"spec.tags[{index}].created", one["created"])
    gone = frozenset(text(mapping(entry).get("name"), text(entry)) for entry in listing(resource.spec.get("gone")))
    count = max(int(resource.spec.get("listed") or 0), len(tags))
    return Snapshot(repository.canonical, tags, created, count, resource, written, seen, gone)


def read_snapshots(objects: Iterable[Object], problems: Problems) -> dict[str, Snapshot]:
    """Read every TagSnapshot among the objects, by image; a second one of an image is a problem."""
    by_image: dict[str, Snapshot] = {}
    for resource in schema.of_kind(objects, "TagSnapshot"):
        snapshot = read_snapshot(resource, problems)
        if snapshot is None:
            continue
        there = by_image.setdefault(snapshot.image, snapshot)
        if there is not snapshot:
            if there.object is None or not are_apart(there.object, resource):
                problems.add(resource.id, "spec.image", f"there is a second TagSnapshot of {snapshot.image}: keep one")
            by_image[snapshot.image] = merged(there, snapshot)._replace(object=there.object, twins=(*there.twins, resource))
    return by_image


def are_apart(one: Object, other: Object) -> bool:
    """True if two objects stand in files of different folders: each is for what lies below."""
    return bool(one.folder and other.folder) and one.folder != other.folder


def _sightings(resource: Object, time: float | None, problems: Problems) -> dict[str, Seen]:
    """Read what is recorded of the tags, those that are gone included."""
    entries = [
        (f"spec.{name}[{index}]", entry)
        for name in ("tags", "gone")
        for index, entry in enumerate(listing(resource.spec.get(name)))
        if isinstance(entry, dict)
    ]
    if not entries:
        return {}
    from krmfn.config.first_seen import read_seen

    sightings = ((text(entry.get("name")), read_seen(resource.id, path, entry, time, problems)) for path, entry in entries)
    return {name: one for name, one in sightings if one}


def name_of(image: str, taken: Collection[str]) -> str:
    """Return the metadata.name for a repository: `ghcr.io-acme-web`; a number follows when that is taken.

    >>> name_of("docker.io/library/redis", ())
    'docker.io-library-redis'
    >>> name_of("ghcr.io/acme/a-b", ("ghcr.io-acme-a-b",))
    'ghcr.io-acme-a-b-2'
    """
    whole = "".join(char if char.isalnum() or char == "." else "-" for char in image.lower())[:240].strip("-.")
    count = 1
    while (name := whole if count == 1 else f"{whole}-{count}") in taken:
        count += 1
    return name
