"""What a fleet runs: the findings about each tree, joined by image. Pure; `page` and `text` show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from krmfn.policies.newer import Shape, newer

if TYPE_CHECKING:
    from krmfn.config.snapshot import Snapshot

DAY = 86400.0
Flag = Literal["update", "behind", "unpinned", "floating", "gone", "moved", "refused", "waits", "held", "unknown", "not judged"]
FLAGS: Mapping[Flag, str] = {
    "refused": "what is deployed does not meet require",
    "gone": "the registry does not list the tag, or not hold the digest",
    "unknown": "the registry could not be asked, or the scan does not have the repository",
    "update": "an update would write a newer image",
    "moved": "the tag has had several digests, or points to another one than the pinned",
    "held": "a better tag is held back",
    "waits": "a better tag may not run yet",
    "not judged": "require asks for what no scan tells: signatures, platforms, parts",
    "behind": "there are newer versions of the same shape",
    "floating": "the tag moves from image to image, and no digest pins it",
    "unpinned": "no digest pins it",
}
"""Every flag of an image and what it means, the worst first."""
ACTED_ON: tuple[Flag, ...] = ("refused", "gone", "unknown", "update")
"""The flags for which `--exit-code` exits 10."""


class Lag(NamedTuple):
    """How far a tag is behind: versions of its shape above it, and days since the first of them was seen.

    `is_least`: the scan saw that one when it first looked, so that it may be older. None where no time is known.
    """

    versions: int = 0
    days: int | None = None
    is_least: bool = False


class Place(NamedTuple):
    """Where an image stands in a tree."""

    tree: str
    where: str


class Finding(NamedTuple):
    """One image of one tree, as it is deployed."""

    image: str
    tag: str
    digest: str
    places: tuple[Place, ...]
    flags: frozenset[Flag]
    inside: str = ""
    """What an update would write."""
    newest: str = ""
    policy: str = ""
    why: tuple[str, ...] = ()
    """Why better tags are passed over, why the deployed one is refused, what a registry said."""


class Row(NamedTuple):
    """One image at one version, and every tree that runs it."""

    image: str
    tag: str
    digest: str
    places: tuple[Place, ...]
    flags: tuple[Flag, ...]
    inside: tuple[str, ...]
    newest: str
    lag: Lag
    why: tuple[str, ...]

    @property
    def version(self) -> str:
        """The tag, or the start of the digest."""
        return self.tag or (f"@{self.digest[:19]}" if self.digest else "latest")

    @property
    def trees(self) -> tuple[str, ...]:
        """The trees that run it, each once."""
        return tuple(self.by_tree())

    def by_tree(self) -> dict[str, list[str]]:
        """Return where it stands in each tree."""
        places: dict[str, list[str]] = {}
        for tree, where in self.places:
            places.setdefault(tree, []).append(where)
        return places


class Problem(NamedTuple):
    """Something about a tree: a file that was not read, a policy that never matched."""

    tree: str
    kind: Literal["not read", "policy"]
    message: str


class Report(NamedTuple):
    """Everything there is to show. Times are RFC 3339."""

    now: str
    trees: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    @property
    def several_versions(self) -> tuple[tuple[str, tuple[Row, ...]], ...]:
        """Images that run in several versions, the most first."""
        by_image: dict[str, list[Row]] = {}
        for row in self.rows:
            by_image.setdefault(row.image, []).append(row)
        several = [(image, tuple(rows)) for image, rows in by_image.items() if len({row.version for row in rows}) > 1]
        return tuple(sorted(several, key=lambda pair: (-len(pair[1]), pair[0])))

    @property
    def several_digests(self) -> tuple[tuple[str, tuple[str, ...], tuple[Row, ...]], ...]:
        """Tags that are pinned to several digests: the reference, the digests, where."""
        by_tag: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.tag and row.digest:
                by_tag.setdefault(f"{row.image}:{row.tag}", []).append(row)
        return tuple((name, tuple(row.digest for row in rows), tuple(rows)) for name, rows in sorted(by_tag.items()) if len(rows) > 1)

    def counts(self) -> dict[Flag, int]:
        """Count the images at a version that have each flag."""
        return {flag: sum(flag in row.flags for row in self.rows) for flag in FLAGS}

    @property
    def asks_for_action(self) -> bool:
        """True if there is something to do."""
        return any(flag in row.flags for row in self.rows for flag in ACTED_ON)


def join(now: float, shown_now: str, trees: Iterable[tuple[str, str]], findings: Iterable[Finding], problems: Iterable[Problem], known: Mapping[str, Snapshot]) -> Report:
    """Join the findings of all trees by image, tag and digest."""
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        alike.setdefault((one.image, one.tag, one.digest), []).append(one)
    rows = [_row(some, known.get(image), now) for (image, _, _), some in sorted(alike.items())]
    return Report(shown_now, tuple(sorted(set(trees))), tuple(rows), tuple(sorted(set(problems))))


def _row(some: Sequence[Finding], snapshot: Snapshot | None, now: float) -> Row:
    first = some[0]
    lag = _lag(first.tag, snapshot, now) if snapshot and first.tag else Lag()
    flags = {flag for one in some for flag in one.flags} | ({"behind"} if lag.versions else set())
    seen = snapshot.seen.get(first.tag) if snapshot and first.tag else None
    flags |= {"moved"} if seen and len(seen.digests) > 1 else set()
    places = tuple(sorted({place for one in some for place in one.places}))
    inside = tuple(sorted({one.inside for one in some if one.inside}))
    why = tuple(dict.fromkeys(reason for one in some for reason in one.why))
    newest = next((one.newest for one in some if one.newest), "")
    return Row(first.image, first.tag, first.digest, places, tuple(flag for flag in FLAGS if flag in flags), inside, newest, lag, why)


def _lag(tag: str, snapshot: Snapshot, now: float) -> Lag:
    tags = list(snapshot.tags)
    if newer(tag, tags).newest is None:
        return Lag()
    above = list(_above(tag, tags))
    times = [seen.first for one in above if (seen := snapshot.seen.get(one)) and seen.first is not None]
    # The earliest sighting is that of the first scan, and what was there on that day may be older.
    begun = min((seen.first for seen in snapshot.seen.values() if seen.first is not None), default=None)
    days = int((now - min(times)) // DAY) if times else None
    return Lag(len(above), days, bool(times) and min(times) == begun)


def _above(tag: str, tags: Iterable[str]) -> Iterator[str]:
    """Yield the versions of the shape of a tag that are above it."""
    deployed = Shape.parse(tag)
    for one in tags:
        shape = Shape.parse(one)
        if deployed and shape and shape.family == deployed.family and shape.key > deployed.key and (deployed.prerelease or not shape.prerelease):
            yield one


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as plain data, for JSON."""
    return {
        "now": report.now,
        "trees": [{"tree": name, "commit": commit} for name, commit in report.trees],
        "counts": report.counts(),
        "images": [_plain(row) for row in report.rows],
        "severalVersions": {image: [row.version for row in rows] for image, rows in report.several_versions},
        "severalDigests": {name: list(digests) for name, digests, _ in report.several_digests},
        "problems": [one._asdict() for one in report.problems],
    }


def _plain(row: Row) -> dict[str, Any]:
    lag = {"versions": row.lag.versions, "days": row.lag.days, "atLeast": row.lag.is_least}
    return {
        "image": row.image, "tag": row.tag or None, "digest": row.digest or None, "flags": list(row.flags), "inside": list(row.inside),
        "newest": row.newest or None, "behind": lag, "why": list(row.why), "trees": list(row.trees),
        "places": [one._asdict() for one in row.places],
    }  # fmt: skip
