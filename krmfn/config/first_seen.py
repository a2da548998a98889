"""When tags and their digests were seen for the first time, as TagSnapshots record it. Pure.

Two records merge as a grow-only map (tag, digest) -> the earliest time, so that any number of writers need no order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.config.objects import Problems, listing, text
from krmfn.image import is_digest
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.model import ResourceId


class Seen(NamedTuple):
    """What is recorded of one tag: when it was seen first, and every digest with its own time, oldest first."""

    first: float | None = None
    digests: tuple[tuple[str, float], ...] = ()
    is_bootstrap: bool = False
    """It was there when recording began: nobody knows since when, and that counts as old enough."""

    def has(self, digest: str) -> bool:
        """True if a digest was seen, or none was ever asked for."""
        return not self.digests or digest in dict(self.digests)

    def since(self, digest: str | None) -> float | None:
        """Return since when the tag is what it is: from its first sighting, or from that of a later digest."""
        known = dict(self.digests)
        if digest is None or digest not in known or digest == self.digests[0][0]:
            return self.first
        return known[digest]

    def is_old(self, digest: str | None) -> bool:
        """True if the tag was there when recording began and was not pushed again since."""
        return self.is_bootstrap and (not self.digests or digest in (None, self.digests[0][0]))


def merge(one: Mapping[str, Seen], other: Mapping[str, Seen]) -> dict[str, Seen]:
    """Merge two records: of every tag and every digest the earliest time."""
    return {tag: _merged(one.get(tag, Seen()), other.get(tag, Seen())) for tag in sorted(one.keys() | other.keys())}


def _merged(one: Seen, other: Seen) -> Seen:
    times = [time for time in (one.first, other.first) if time is not None]
    digests = dict(one.digests)
    for digest, time in other.digests:
        digests[digest] = min(time, digests.get(digest, time))
    ordered = tuple(sorted(digests.items(), key=lambda pair: (pair[1], pair[0])))
    return Seen(min(times, default=None), ordered, one.is_bootstrap or other.is_bootstrap)


def read_seen(
    where: ResourceId, path: str, entry: Mapping[str, Any], time: float | None, problems: Problems
) -> Seen | None:
    """Read what is recorded of a tag; None when nothing is. A time after that of the snapshot is a problem."""
    first = _time(where, f"{path}.firstSeen", entry.get("firstSeen"), time, problems)
    digests: dict[str, float] = {}
    for index, one in enumerate(listing(entry.get("digests"))):
        at = f"{path}.digests[{index}]"
        if not is_digest(text(one.get("digest"))):
            problems.add(where, f"{at}.digest", f"{one.get('digest')!r} is not a digest")
        seen = _time(where, f"{at}.firstSeen", one.get("firstSeen"), time, problems)
        if seen is not None:
            digests[one["digest"]] = min(seen, digests.get(one["digest"], seen))
    # A digest alone is written short: it came with the tag.
    if entry.get("digest") and first is not None and not digests:
        digests[entry["digest"]] = first
    if first is None and not digests and not entry.get("evidence"):
        return None
    ordered = tuple(sorted(digests.items(), key=lambda pair: (pair[1], pair[0])))
    first = ordered[0][1] if first is None and ordered else first
    return Seen(first, ordered, entry.get("evidence") == "bootstrap")


def _time(where: ResourceId, path: str, written: Any, latest: float | None, problems: Problems) -> float | None:
    time = problems.time(where, path, written)
    if time is not None and latest is not None and time > latest:
        problems.add(where, path, f"{written} is after spec.time {moment(latest)}: it cannot have been seen before it came")
    return time


def latest(times: Iterable[float | None]) -> float | None:
    """Return the newest of the times that are known; None when none is."""
    return max((time for time in times if time is not None), default=None)
