"""One term of a constraint, `>=1.2`: the versions that pass as intervals, and what is said of one that does not (Masterminds constraints.go)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from krmfn.namedtuple import NamedTuple
from krmfn.policies import intervals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.policies.intervals import Intervals
    from krmfn.policies.version import Version


class Term(NamedTuple):
    """One operator with its version: `>=1.2`. Dirty means that parts of the version are missing or wild."""

    operator: str
    written: str
    version: Version
    is_dirty: bool = False
    is_minor_dirty: bool = False
    is_patch_dirty: bool = False

    @property
    def is_minor_inequality(self) -> bool:
        """True for `!=1.2`, the one term whose prereleases do not form an interval."""
        return self.operator == "!=" and self.is_patch_dirty

    def intervals(self) -> Intervals:
        """Return the keys that pass; prereleases of `!=1.2` form no interval (`is_minor_inequality`)."""
        return _intervals(self)

    def objection(self, version: Version) -> str:
        """Return why the version fails this term, with `{}` for the constraint, or nothing when it passes."""
        # `!=1.2` leaves out the prereleases of 1.2 that are named like its own: `1.2.3-rc` passes, unless it is `!=1.2.x-rc`.
        if self.is_minor_inequality and (version.prerelease or self.version.prerelease):
            con = self.version
            passes = (version.major, version.minor, version.prerelease) != (con.major, con.minor, con.prerelease)
        else:
            passes = intervals.holds(self.intervals(), version.key)
        return "" if passes else _OBJECTIONS[self.comparison](version, self)

    @property
    def comparison(self) -> str:
        """The operator that counts: a version that is dirty and has none is a tilde range."""
        return "~" if self.operator in ("", "=") and self.is_dirty else self.operator

    def __str__(self) -> str:
        """Write the operator and the version as it was written."""
        return self.operator + self.written


def _tilde(version: Version, term: Term) -> str:
    if version.compare(term.version) < 0:
        return "is less than {}"
    if version.major != term.version.major:
        return "does not have same major version as {}"
    return "does not have same major and minor version as {}"


def _caret(version: Version, term: Term) -> str:
    con = term.version
    if version.compare(con) < 0:
        return "is less than {}"
    if version.major != con.major:
        return "does not have same major version as {}"
    # Below 1.0.0 the first number that is not zero has to stay, the last one that is written at most.
    if con.minor > 0 or term.is_patch_dirty:
        expected = "Expected minor versions to match when constraint major version is 0"
        return f"does not have same minor version as {{}}. {expected}"
    if version.minor > 0:
        return "does not have same minor version as {}"
    return "does not equal {}. Expect version and constraint to equal when major and minor versions are 0"


def _always(text: str) -> Callable[[Version, Term], str]:
    return lambda _version, _term: text


_OBJECTIONS: dict[str, Callable[[Version, Term], str]] = {
    "": _always("is not equal to {}"),
    "=": _always("is not equal to {}"),
    "!=": _always("is equal to {}"),
    ">": _always("is less than or equal to {}"),
    "<": _always("is greater than or equal to {}"),
    ">=": _always("is less than {}"),
    "=>": _always("is less than {}"),
    "<=": _always("is greater than {}"),
    "=<": _always("is greater than {}"),
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}


@lru_cache(1024)
def _intervals(term: Term) -> Intervals:
    key, after = term.version.key, intervals.after(term.version.key)
    next_major, next_minor = intervals.next_major(key), intervals.next_minor(key)
    upper = next_major if term.is_minor_dirty else next_minor if term.is_patch_dirty else after
    match term.comparison:
        case "" | "=":
            return intervals.of(key, after)
        case "!=":
            return _unequal_intervals(term, upper)
        case ">":
            return intervals.of(upper, intervals.TOP)
        case "<":
            return intervals.of(intervals.BOTTOM, key)
        case ">=" | "=>":
            return intervals.of(key, intervals.TOP)
        case "<=" | "=<":
            # Upstream compares major and minor alone for whatever is dirty, `<=*` included.
            return intervals.of(intervals.BOTTOM, next_minor if term.is_dirty and not term.is_minor_dirty else upper)
        case "~" | "~>":
            return intervals.of(key, _tilde_end(term))
    return intervals.of(key, _caret_end(term))


def _unequal_intervals(term: Term, upper: intervals.Bound) -> Intervals:
    # `!=1.2.x-rc` compares the prerelease too, which no release has: all of them pass.
    if term.is_patch_dirty and term.version.prerelease:
        return intervals.of(intervals.BOTTOM, intervals.TOP)
    start = (term.version.major, 0 if term.is_minor_dirty else term.version.minor, 0, ())
    lower = start if term.is_minor_dirty or term.is_patch_dirty else term.version.key
    return ((intervals.BOTTOM, lower), (upper, intervals.TOP))


def _tilde_end(term: Term) -> intervals.Bound:
    key = term.version.key
    # Upstream's special case (constraintTilde): ~0.0.0, which ~* is parsed into, is >=0.0.0.
    if key[:3] == (0, 0, 0) and not (term.is_minor_dirty or term.is_patch_dirty):
        return intervals.TOP
    return intervals.next_major(key) if term.is_minor_dirty else intervals.next_minor(key)


def _caret_end(term: Term) -> intervals.Bound:
    major, minor, patch, _ = key = term.version.key
    if major > 0 or term.is_minor_dirty:
        return intervals.next_major(key)
    return intervals.next_minor(key) if minor > 0 or term.is_patch_dirty else (0, 0, patch + 1, ())
