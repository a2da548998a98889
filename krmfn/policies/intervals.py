"""Sets of version keys as half-open intervals, so that a range is checked against many versions by comparing tuples."""

from __future__ import annotations

from collections.abc import Iterable

from krmfn.policies.version import RELEASE, Key

Bound = Key
Intervals = tuple[tuple[Bound, Bound], ...]
"""Disjoint intervals in rising order; each takes its lower and leaves its upper bound out."""

BOTTOM: Bound = ()
TOP: Bound = (1 << 64,)


def of(lower: Bound, upper: Bound) -> Intervals:
    """Return one interval, or none when it is empty."""
    return ((lower, upper),) if lower < upper else ()


def after(key: Key) -> Bound:
    """Return the smallest bound above a key: the next patch, or the prerelease with anything behind it."""
    major, minor, patch, prerelease = key
    if prerelease == RELEASE:
        return (major, minor, patch + 1, ())
    # Identifiers are (0, number) or (1, text): (-1,) sorts below any that could follow, so nothing lies between.
    return (major, minor, patch, (*prerelease, (-1,)))


def next_major(key: Key) -> Bound:
    """Return the bound below everything of the next major version, prereleases included."""
    # () sorts below the key of any prerelease, and so 2.0.0-alpha is above it: upstream's ^1 leaves it out.
    return (key[0] + 1, 0, 0, ())


def next_minor(key: Key) -> Bound:
    """Return the bound below everything of the next minor version, prereleases included."""
    return (key[0], key[1] + 1, 0, ())


def intersection(sets: Iterable[Intervals]) -> Intervals:
    """Return what lies in every set.

    >>> intersection([(((1,), (3,)),), (((2,), (9,)),)])
    (((2,), (3,)),)
    """
    left: Intervals = ((BOTTOM, TOP),)
    for right in sets:
        pairs = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
        left = tuple(sorted((lower, upper) for lower, upper in pairs if lower < upper))
    return left


def union(sets: Iterable[Intervals]) -> Intervals:
    """Return what lies in any set, touching intervals joined.

    >>> union([(((1,), (3,)),), (((3,), (9,)),)])
    (((1,), (9,)),)
    """
    joined: list[tuple[Bound, Bound]] = []
    for lower, upper in sorted(interval for intervals in sets for interval in intervals):
        if joined and lower <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], upper))
        else:
            joined.append((lower, upper))
    return tuple(joined)


def holds(intervals: Intervals, key: Key) -> bool:
    """True if a key lies in the set."""
    return any(lower <= key < upper for lower, upper in intervals)


def of_releases(intervals: Intervals) -> Intervals:
    """Return the set for releases, whose keys are then three numbers: a release is the top of its patch."""
    return tuple((lower[:3], upper[:3]) for lower, upper in intervals if lower[:3] < upper[:3])
