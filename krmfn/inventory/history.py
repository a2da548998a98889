"""What the history of manifests tells of images: when a tag was seen first, which moves people made, and took back.

Every commit that moved an image is an observation, whoever made it; so is an ImageLock, and what TagSnapshots say.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config.objects import listing, mapping
from krmfn.config.plain import read
from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef
from krmfn.kubernetes import finder
from krmfn.kubernetes.forms import may_hold_image
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.config.snapshot import Snapshot

_LOCK = b"kind: ImageLock"
_TOLD = re.compile(rb"[0-9]")
"""A line without a digit holds no version."""
Deployed = Mapping[tuple[str, str], tuple[str, ...]]
"""What a file runs: the tags, by resource and repository, in the order of the file."""


class Version(NamedTuple):
    """A file as a commit left it, and as it was before; None if there was none."""

    time: float
    commit: str
    path: str
    before: bytes | None
    after: bytes | None


class Move(NamedTuple):
    """People moved an image from one tag to another, in one commit and one file."""

    time: float
    commit: str
    path: str
    before: str
    after: str


class History(NamedTuple):
    """What is known of a repository: when each tag was seen first, and every move, in order."""

    image: ImageRef
    seen: Mapping[str, float]
    moves: tuple[Move, ...]


class Histories:
    """Gathers what versions of files tell. `unread` counts the versions that are no YAML."""

    def __init__(self) -> None:
        self.unread = 0
        self._last: dict[str, tuple[bytes, Deployed]] = {}
        """Of each file the hash of what was read last, and what that runs."""
        self._seen: dict[str, dict[str, float]] = defaultdict(dict)
        self._moves: dict[str, list[Move]] = defaultdict(list)

    def add(self, version: Version) -> None:
        """Take in one version of a file; versions come in the order of time."""
        before, after = version.before or b"", version.after or b""
        if not _may_move(before, after):
            return
        # As a rule the last version that was read is what this one replaces; merges and other branches make exceptions.
        last, known = self._last.get(version.path, (_hash(b""), {}))
        old = known if last == _hash(before) else self._deployed(before)
        new = self._deployed(after)
        self._last[version.path] = _hash(after), new
        for key, tags in new.items():
            image = key[1]
            for tag in tags:
                self._seen[image].setdefault(tag, version.time)
            was = old.get(key, ())
            # Which field moved where is told by their order alone, so that with one more or less nothing is told.
            if len(was) == len(tags):
                pairs = {pair for pair in zip(was, tags, strict=True) if pair[0] != pair[1]}
                self._moves[image] += (Move(version.time, version.commit, version.path, *pair) for pair in sorted(pairs))

    def _deployed(self, data: bytes) -> Deployed:
        tags: dict[tuple[str, str], list[str]] = defaultdict(list)
        try:
            for resource, ref in _named(data) if b"image" in data or may_hold_image(data) else ():
                if ref.tag:
                    tags[resource, ref.canonical].append(ref.tag)
        except (InputError, RecursionError):
            self.unread += 1
            return {}
        return {key: tuple(some) for key, some in tags.items()}

    def all(self, snapshots: Mapping[str, Snapshot]) -> list[History]:
        """Return what is known of every repository that had a tag, by name. First sightings in snapshots count where they are earlier."""
        histories = []
        for image, seen in sorted(self._seen.items()):
            first = dict(seen)
            for tag, record in snapshots[image].seen.items() if image in snapshots else ():
                if record.first is not None:
                    first[tag] = min(record.first, first.get(tag, record.first))
            histories.append(History(ImageRef.parse(image), first, tuple(self._moves[image])))
        return histories


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data).digest()


def _may_move(before: bytes, after: bytes) -> bool:
    """True if a line with a number in it is new."""
    known = set(before.splitlines())
    return any(line not in known and _TOLD.search(line) for line in after.splitlines())


def _named(data: bytes) -> Iterator[tuple[str, ImageRef]]:
    """Yield the images that a file runs or records, each with what names it. Raise InputError for no YAML."""
    blocks = documents(Text(data))
    for place in finder.find(blocks):
        if place.ref is not None and not place.constraint:
            yield str(place.resource.id), place.ref._replace(digest=None)
    for block in blocks if _LOCK in data else ():
        for resource in read(block):
            for entry in map(mapping, listing(resource.spec.get("images"))):
                try:
                    yield f"{resource.id} {entry.get('policy')}", ImageRef.parse(f"{entry.get('image')}:{entry.get('tag')}")
                except RuleError:
                    continue
