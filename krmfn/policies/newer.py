"""Newer tags of one shape: what `krmfn check` shows, and what policy `version` takes. One implementation for both.

Tags have no common grammar, so a tag is only compared with tags of its own shape: equal prefix (`v`), equal number of
numbers (`1.2` stays two), equal variant (`-alpine3.19` follows `-alpine3.20`, never `-slim`). A prerelease is only
offered to a prerelease. A bound says which of the leading numbers stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

from krmfn.policies.protocol import KEPT, Within
from krmfn.policies.reason import Reason

if TYPE_CHECKING:
    from krmfn.image import ImageRef

State = Literal["pinned", "fixed", "mutable"]
_DATE = 1000
"""A first number from here on is a date or a build number, not the next version after a smaller one."""


class Newer(NamedTuple):
    """The newest tags of the same shape, None when there is none above the current one."""

    same_major: str | None = None
    newest: str | None = None


class _Variant(NamedTuple):
    words: str
    numbers: tuple[int, ...]


class Shape(NamedTuple):
    """What a tag is made of. Only tags of one family are ordered, by `key`.

    >>> Shape.parse("v1.2.3-rc.1-alpine3.19")
    Shape(prefix='v', numbers=(1, 2, 3), prerelease=('rc', 1), variant=_Variant(words='-alpine#.#', numbers=(3, 19)))
    >>> Shape.parse("latest"), Shape.parse("main-3f9c2d1-1767225600")
    (None, None)
    """

    prefix: str
    numbers: tuple[int, ...]
    prerelease: tuple[str | int, ...]
    variant: _Variant

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, tag: str) -> Shape | None:
        """Read a tag; None when it holds no version: a branch, a commit, `latest`."""
        match = _grammar().fullmatch(tag)
        if match is None or any(_is_commit(part) for part in _parts(tag)):
            return None
        numbers = tuple(map(int, match["numbers"].split(".")))
        return cls(match["prefix"], numbers, _prerelease(match["pre"]), _variant(match["rest"]))

    @property
    def family(self) -> tuple[str, int, str]:
        """What two tags must have in common to be compared."""
        return self.prefix, len(self.numbers), self.variant.words

    @property
    def kin(self) -> tuple[str, str]:
        """What a version and a shorter spelling of it have in common, `v1` and `1.0.0`; the variant without its numbers."""
        return self.prefix.lower().removesuffix("v"), self.variant.words

    @property
    def key(self) -> tuple[object, ...]:
        """The order inside a family: version, release above prerelease, then the variant's own version."""
        pre = tuple((isinstance(part, str), part) for part in self.prerelease)
        return self.numbers, not self.prerelease, pre, self.variant.numbers

    @property
    def is_partial(self) -> bool:
        """True for fewer than three numbers: `1.25` moves with every patch. A date or build number stands alone."""
        return len(self.numbers) < 3 and self.numbers[0] < _DATE


@cache
def _grammar() -> re.Pattern[str]:
    # A prerelease is one of these words, or a, b, m before a digit (1.0b2, 3.0-M1): any other suffix is a variant.
    words = "alpha|beta|rc|cr|pre|preview|dev|snapshot|nightly|canary|unstable|experimental|next|ea|test"
    return re.compile(
        r"(?P<prefix>(?:[A-Za-z]+[-_.])*[A-Za-z]*)"
        r"(?P<numbers>[0-9]{1,20}(?:\.[0-9]{1,20})*)"
        rf"(?P<pre>[-_.]?(?:(?:{words})(?![A-Za-z])|(?:[abmM](?=[0-9])))(?:[-_.]?[0-9]{{1,20}}(?![A-Za-z]))*)?"
        r"(?P<rest>[-_.+A-Za-z].*)?",
        re.ASCII | re.IGNORECASE,
    )


def _parts(tag: str) -> list[str]:
    return re.split(r"[-_.]", tag)


def _is_commit(part: str) -> bool:
    # Seven to forty hex digits with a letter among them: digits alone are a date or a build number.
    return re.fullmatch(r"(?=.*[0-9])(?=.*[a-f])[0-9a-f]{7,40}", part) is not None


def _prerelease(text: str | None) -> tuple[str | int, ...]:
    parts = re.findall(r"[A-Za-z]+|[0-9]+", text or "")
    return tuple(int(part) if part.isdigit() else part.lower() for part in parts)


def _variant(text: str | None) -> _Variant:
    """Take the numbers out of a variant: `-alpine3.19` is `-alpine#.#` of 3 and 19."""
    rest = text or ""
    digits = re.findall(r"[0-9]+", rest, re.ASCII)
    return _Variant(re.sub(r"[0-9]+", "#", rest, flags=re.ASCII), tuple(int(one[:20]) for one in digits))


class Successor(NamedTuple):
    """A reason for every tag, and the place of the highest that may follow; None when nothing above is left."""

    reasons: bytearray
    place: int | None


def newer(current: str, tags: Sequence[str]) -> Newer:
    """Return the newest tags that may follow the current one, keeping its shape.

    >>> newer("1.2-alpine", ["1.2-alpine", "1.10-alpine", "1.11", "2.0-alpine", "2.1.0-alpine", "3.0-rc1-alpine"])
    Newer(same_major='1.10-alpine', newest='2.0-alpine')
    >>> newer("3.12-alpine3.19", ["3.13-alpine3.20", "3.13-alpine", "3.13-slim"]).newest
    '3.13-alpine3.20'
    """
    deployed = Shape.parse(current)
    if deployed is None:
        return Newer()
    shapes = [Shape.parse(tag) for tag in tags]
    places = (successor(deployed, shapes, tags, within).place for within in ("minor", "major"))
    return Newer(*(None if place is None else tags[place] for place in places))


def successor(
    deployed: Shape, shapes: Sequence[Shape | None], tags: Sequence[str], within: Within = "minor"
) -> Successor:
    """Return the highest tag above the deployed one that has its shape and keeps the numbers that the bound keeps.

    A variant that is no longer numbered (`-alpine3.19`, now `-alpine`) may follow when nothing of the very shape does.
    Of equal versions the largest tag wins, so that the order of the tags does not matter.
    """
    reasons = bytearray(_reason(shape, deployed, KEPT[within]) for shape in shapes)
    # The very shape first: what stopped to number its variant follows only where nothing else does.
    families = dict.fromkeys((deployed.family, _bare(deployed)))
    for family in families:
        eligible = [
            (shape.key, tag, place)
            for place, (shape, tag) in enumerate(zip(shapes, tags, strict=True))
            if shape is not None and shape.family == family and reasons[place] == Reason.LOWER
        ]
        if eligible:
            for place, shape in enumerate(shapes):
                if shape is not None and shape.family != family and reasons[place] == Reason.LOWER:
                    reasons[place] = Reason.OTHER_SHAPE
            return Successor(reasons, max(eligible)[2])
    return Successor(reasons, None)


def _reason(shape: Shape | None, deployed: Shape, kept: int) -> Reason:
    if shape is None or shape.family not in (deployed.family, _bare(deployed)):
        return Reason.OTHER_SHAPE
    # 20240101 is not the next version after 8.
    if shape.numbers[0] >= _DATE > deployed.numbers[0]:
        return Reason.OTHER_SHAPE
    if shape.prerelease and not deployed.prerelease:
        return Reason.PRERELEASE
    is_above = shape.key > deployed.key if shape.family == deployed.family else shape.numbers > deployed.numbers
    if not is_above:
        return Reason.OLDER
    return Reason.LOWER if shape.numbers[:kept] == deployed.numbers[:kept] else Reason.OUT_OF_RANGE


def _bare(shape: Shape) -> tuple[str, int, str]:
    """Return the family without the variant's version: an image may stop to number its `-alpine`."""
    return shape.prefix, len(shape.numbers), re.sub(r"(?<=[A-Za-z])[#.]+$", "", shape.variant.words)


def compare(tag: str, other: str) -> int | None:
    """Return -1, 0 or 1 as a tag is older than another, equal or newer; None when nothing orders the two.

    Tags of one family compare by all that they hold, others by the numbers that both have: `8.4` is newer than `8.1.0`,
    and neither newer nor older than `8.4.2`, which it may stand for.

    >>> [compare("8.4", other) for other in ("8.1.0", "v8.4.2", "8.10-alpine", "latest", "20240101")]
    [1, 0, -1, None, None]
    """
    mine, theirs = Shape.parse(tag), Shape.parse(other)
    if mine is None or theirs is None or mine.kin[0] != theirs.kin[0]:
        return None
    if (mine.numbers[0] >= _DATE) != (theirs.numbers[0] >= _DATE):
        return None
    if mine.family == theirs.family:
        return (mine.key > theirs.key) - (mine.key < theirs.key)
    # What the longer one says besides, the shorter one leaves open.
    both = min(len(mine.numbers), len(theirs.numbers))
    return (mine.numbers[:both] > theirs.numbers[:both]) - (mine.numbers[:both] < theirs.numbers[:both])


def is_same_family(tag: str, other: str) -> bool:
    """True if both tags hold a version in the same shape."""
    mine, theirs = Shape.parse(tag), Shape.parse(other)
    return mine is not None and theirs is not None and mine.family == theirs.family


def is_variant(tag: str) -> bool:
    """True if a tag holds a version with a variant such as `-alpine` and is no prerelease."""
    shape = Shape.parse(tag)
    return shape is not None and bool(shape.variant.words) and not shape.prerelease


def state(ref: ImageRef) -> State:
    """Return how firmly a reference stands: a digest pins it, a full version or a commit is fixed by custom, the rest moves.

    >>> from krmfn.image import ImageRef
    >>> [state(ImageRef.parse(text)) for text in ("nginx", "nginx:1.25", "nginx:1.25.3", "nginx:20240101")]
    ['mutable', 'mutable', 'fixed', 'fixed']
    """
    if ref.digest:
        return "pinned"
    tag = ref.tag or ""
    if any(_is_commit(part) for part in _parts(tag)):
        return "fixed"
    shape = Shape.parse(tag)
    return "fixed" if shape and not shape.is_partial else "mutable"


def floating(tags: Sequence[str]) -> list[bool]:
    """Return for each tag whether it moves from image to image: a mere word, or a version that others spell out.

    >>> floating(["latest", "v1", "1.0", "v1.0.0", "build-9", "main-3f9c2d1", "20240101"])
    [True, True, True, False, False, False, False]
    """
    shapes = [Shape.parse(tag) for tag in tags]
    most: dict[tuple[str, str], int] = {}
    for shape in filter(None, shapes):
        most[shape.kin] = max(most.get(shape.kin, 0), len(shape.numbers))
    return [
        not any(_is_commit(part) for part in _parts(tag))
        if shape is None
        else shape.is_partial and len(shape.numbers) < most[shape.kin]
        for tag, shape in zip(tags, shapes, strict=True)
    ]


def specificity(tag: str) -> tuple[int, bool]:
    """Order tags of one image: the more numbers the more specific, a release before its prereleases."""
    shape = Shape.parse(tag)
    return (len(shape.numbers), not shape.prerelease) if shape else (0, False)
