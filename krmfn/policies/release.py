"""Finding the highest version among very many texts: no object per text, and what repeats is read once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from krmfn.policies import intervals
from krmfn.policies.constraint import Constraint
from krmfn.policies.reason import Reason
from krmfn.policies.version import IDENTIFIERS, RELEASE, Key, has_leading_zero, parse_tag, prerelease_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.policies.intervals import Intervals

_DIGITS = 18
"""Numbers with more digits than this are read one by one: they may exceed uint64."""
REMEMBERED = 1 << 16
"""How many minor versions, and how many prereleases, are kept in memory."""

Line = tuple[tuple[int, int], int, int, tuple[tuple[int, int], ...]]
"""A minor version: its two numbers, and the patches that satisfy: from, below; and further intervals if there are any."""


def highest(texts: Sequence[str], constraint: Constraint, remembered: int = REMEMBERED) -> tuple[bytearray, list[int]]:
    """Give every text its reason, and answer the places of the highest version that satisfies; several when equal."""
    # Of ASCII alone `isdigit` says what the grammar says.
    if not all(map(str.isascii, texts)):
        return _highest_one_by_one(texts, constraint)
    reader = _Reader(constraint, remembered)
    lines = reader.lines
    lower, out = int(Reason.LOWER), int(Reason.OUT_OF_RANGE)
    reasons = bytearray([lower]) * len(texts)
    best = Best()
    for index, text in enumerate(texts):
        core, dash, prerelease = text.partition("-")
        head, _, patch = core.rpartition(".")
        # Most tags of a repository share few minor versions: what the range says of one is worked out once.
        line = lines[head]
        if line is None or dash or len(patch) > _DIGITS or not patch.isdigit():
            reasons[index], key = reader.other(text, line, patch, prerelease)
            if key:
                best.offer(key, index)
            continue
        pair, low, high, more = line
        number = int(patch)
        if not (low <= number < high or (more and any(first <= number < last for first, last in more))):
            reasons[index] = out
        elif pair >= best.pair:  # saves the making of keys for all that is below the best minor version
            best.offer((*pair, number, RELEASE), index)
    return reasons, best.places


class Best:
    """The highest key so far and where it was found."""

    __slots__ = ("key", "pair", "places")

    def __init__(self) -> None:
        self.key: Key = ()
        self.pair: Key = ()
        self.places: list[int] = []

    def offer(self, key: Key, place: int) -> None:
        """Take a key when it is higher; note its place when it is equal."""
        if key > self.key:
            self.key, self.pair, self.places = key, key[:2], [place]
        elif key == self.key:
            self.places.append(place)


class _Lines(dict[str, Line | None]):
    """By the text before the patch, `v1.2`, what a range says of that minor version; None when it is none."""

    def __init__(self, allowed: Intervals, most: int) -> None:
        super().__init__()
        self._allowed, self._most = allowed, most
        self._grammar = re.compile(rf"v?([0-9]{{1,{_DIGITS}}})\.([0-9]{{1,{_DIGITS}}})", re.ASCII)

    def __missing__(self, head: str) -> Line | None:
        if len(self) >= self._most:
            self.clear()
        match = self._grammar.fullmatch(head)
        line = None if match is None else self._line(int(match[1]), int(match[2]))
        self[head] = line
        return line

    def _line(self, major: int, minor: int) -> Line:
        here, above = (major, minor), (major, minor + 1)
        ranges = [
            (lower[2] if lower[:2] == here else 0, upper[2] if upper[:2] == here else 10**_DIGITS)
            for lower, upper in self._allowed
            if lower < above and here < upper
        ]
        if not ranges:
            return here, 0, 0, ()
        return (here, *ranges[0], tuple(ranges[1:]))


class _Reader:
    """Reads what is not a plain release, and remembers the prereleases it has seen."""

    def __init__(self, constraint: Constraint, remembered: int) -> None:
        self.constraint, self._most = constraint, remembered
        self.lines = _Lines(intervals.of_releases(constraint.release_intervals()), remembered)
        self._prereleases: dict[str, Key | None] = {}
        self._allowed = constraint.prerelease_intervals()

    def other(self, text: str, line: Line | None, patch: str, prerelease: str) -> tuple[int, Key]:
        """Return the reason, and the key when the version satisfies."""
        if line is None or not prerelease or self._allowed is None or len(patch) > _DIGITS or not patch.isdigit():
            return judge(text, self.constraint)
        behind = self._prerelease(prerelease)
        if behind is None:
            return judge(text, self.constraint)
        if not self._allowed:
            is_admitted = self.constraint.admits_prereleases
            return Reason.OUT_OF_RANGE if is_admitted else Reason.PRERELEASE, ()
        key = (*line[0], int(patch), behind)
        return (Reason.LOWER, key) if intervals.holds(self._allowed, key) else (Reason.OUT_OF_RANGE, ())

    def _prerelease(self, text: str) -> Key | None:
        """Return the prerelease's part of the key; None when it is none or has metadata behind it."""
        if text in self._prereleases:
            return self._prereleases[text]
        if len(self._prereleases) >= self._most:
            self._prereleases.clear()
        is_plain = len(text) < 128 and re.fullmatch(IDENTIFIERS, text, re.ASCII) and not has_leading_zero(text)
        key = self._prereleases[text] = prerelease_key(text) if is_plain else None
        return key


def judge(text: str, constraint: Constraint) -> tuple[int, Key]:
    """Judge one text: its reason, and the key when the version satisfies."""
    version = parse_tag(text)
    if version is None:
        return Reason.NOT_A_VERSION, ()
    if version.prerelease and not constraint.admits_prereleases:
        return Reason.PRERELEASE, ()
    return (Reason.LOWER, version.key) if constraint.check(version) else (Reason.OUT_OF_RANGE, ())


def _highest_one_by_one(texts: Sequence[str], constraint: Constraint) -> tuple[bytearray, list[int]]:
    reasons, best = bytearray(len(texts)), Best()
    for index, text in enumerate(texts):
        reasons[index], key = judge(text, constraint)
        if key:
            best.offer(key, index)
    return reasons, best.places


def top(texts: Sequence[str]) -> str | None:
    """Return the text of the highest release, of the highest prerelease when there is no release, None without any."""
    for written in ("*", "*-0"):
        _, places = highest(texts, Constraint.parse(written))
        if places:
            return max(texts[place] for place in places)
    return None


@cache
def _runs() -> re.Pattern[str]:
    return re.compile(r"[0-9]+|[^0-9]+")


def natural_key(text: str) -> tuple[Any, ...]:
    """Order texts with runs of digits compared as numbers; text breaks ties.

    >>> max(["v9", "v10"], key=natural_key)
    'v10'
    """
    runs = _runs().findall(text)
    parts = ((1, len(number := run.lstrip("0")), number) if run[0].isdigit() else (0, 0, run) for run in runs)
    return (*parts, (-1, 0, text))
