"""One term of a constraint, `>=1.2`: its check, and the same meaning as intervals (Masterminds constraints.go)."""

from __future__ import annotations

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
        return _term_intervals(self)

    def objection(self, version: Version) -> str:
        """Return why the version fails this term, with `{}` for the constraint, or nothing when it passes."""
        return _OBJECTIONS[self.operator](version, self)

    def __str__(self) -> str:
        """Write the operator and the version as it was written."""
        return self.operator + self.written


def _not_equal(version: Version, term: Term) -> str:
    con = term.version
    if term.is_minor_dirty:
        is_equal = version.major == con.major
    elif term.is_patch_dirty:
        is_equal = (version.major, version.minor, version.prerelease) == (con.major, con.minor, con.prerelease)
    else:
        is_equal = version.compare(con) == 0
    return "is equal to {}" if is_equal else ""


def _greater(version: Version, term: Term) -> str:
    con = term.version
    if term.is_minor_dirty:
        passes = version.major > con.major
    elif term.is_patch_dirty:
        passes = (version.major, version.minor) > (con.major, con.minor)
    else:
        passes = version.compare(con) > 0
    return "" if passes else "is less than or equal to {}"


def _less(version: Version, term: Term) -> str:
    return "" if version.compare(term.version) < 0 else "is greater than or equal to {}"


def _at_least(version: Version, term: Term) -> str:
    return "" if version.compare(term.version) >= 0 else "is less than {}"


def _at_most(version: Version, term: Term) -> str:
    con = term.version
    if term.is_minor_dirty:
        passes = version.major <= con.major
    elif term.is_dirty:
        passes = (version.major, version.minor) <= (con.major, con.minor)
    else:
        passes = version.compare(con) <= 0
    return "" if passes else "is greater than {}"


def _tilde(version: Version, term: Term) -> str:
    con = term.version
    if version.compare(con) < 0:
        return "is less than {}"
    if (con.major, con.minor, con.patch) == (0, 0, 0) and not (term.is_minor_dirty or term.is_patch_dirty):
        return ""
    if version.major != con.major:
        return "does not have same major version as {}"
    if version.minor != con.minor and not term.is_minor_dirty:
        return "does not have same major and minor version as {}"
    return ""


def _equal(version: Version, term: Term) -> str:
    if term.is_dirty:
        return _tilde(version, term)
    return "" if version.compare(term.version) == 0 else "is not equal to {}"


def _caret(version: Version, term: Term) -> str:
    con = term.version
    if version.compare(con) < 0:
        return "is less than {}"
    if version.major != con.major:
        return "does not have same major version as {}"
    if con.major > 0 or term.is_minor_dirty:
        return ""
    return _caret_of_zero(version, term)


def _caret_of_zero(version: Version, term: Term) -> str:
    con = term.version
    if con.minor > 0 or term.is_patch_dirty:
        expected = "Expected minor versions to match when constraint major version is 0"
        return "" if version.minor == con.minor else f"does not have same minor version as {{}}. {expected}"
    if version.minor > 0:
        return "does not have same minor version as {}"
    expected = "Expect version and constraint to equal when major and minor versions are 0"
    return "" if version.patch == con.patch else f"does not equal {{}}. {expected}"


_OBJECTIONS = {
    "": _equal, "=": _equal, "!=": _not_equal, ">": _greater, "<": _less, ">=": _at_least, "=>": _at_least,
    "<=": _at_most, "=<": _at_most, "~": _tilde, "~>": _tilde, "^": _caret,
}  # fmt: skip


def _term_intervals(term: Term) -> Intervals:
    key, after = term.version.key, intervals.after(term.version.key)
    next_major, next_minor = intervals.next_major(key), intervals.next_minor(key)
    operator = "~" if term.operator in ("", "=") and term.is_dirty else term.operator
    upper = next_major if term.is_minor_dirty else next_minor if term.is_patch_dirty else after
    match operator:
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
            return intervals.of(intervals.BOTTOM, next_minor if term.is_dirty and not term.is_minor_dirty else upper)
        case "~" | "~>":
            return intervals.of(key, _tilde_end(term))
    return intervals.of(key, _caret_end(term))


def _unequal_intervals(term: Term, upper: intervals.Bound) -> Intervals:
    if term.is_patch_dirty and term.version.prerelease:
        return intervals.of(intervals.BOTTOM, intervals.TOP)
    start = (term.version.major, 0 if term.is_minor_dirty else term.version.minor, 0, ())
    lower = start if term.is_minor_dirty or term.is_patch_dirty else term.version.key
    return ((intervals.BOTTOM, lower), (upper, intervals.TOP))


def _tilde_end(term: Term) -> intervals.Bound:
    key = term.version.key
    if key[:3] == (0, 0, 0) and not (term.is_minor_dirty or term.is_patch_dirty):
        return intervals.TOP
    return intervals.next_major(key) if term.is_minor_dirty else intervals.next_minor(key)


def _caret_end(term: Term) -> intervals.Bound:
    major, minor, patch, _ = key = term.version.key
    if major > 0 or term.is_minor_dirty:
        return intervals.next_major(key)
    return intervals.next_minor(key) if minor > 0 or term.is_patch_dirty else (0, 0, patch + 1, ())
