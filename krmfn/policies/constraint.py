"""Constraints on versions with the grammar, the meaning and the texts of Masterminds/semver v3.5.0 (constraints.go).

A range is parsed once into groups of terms (OR of AND). What a term means is a set of intervals of version keys
(`intervals`): single versions are looked up term by term, many in those of the whole range.
"""

from __future__ import annotations

import re
from functools import cache

from krmfn.errors import RuleError
from krmfn.namedtuple import NamedTuple
from krmfn.policies import intervals
from krmfn.policies.term import Term
from krmfn.policies.version import IDENTIFIERS, Version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.policies.intervals import Intervals

MOST_BYTES = 512
MOST_GROUPS = 32
_RELEASES_ONLY = "is a prerelease version and the constraint is only looking for release versions"
_BLANKS = "\t\n\f\r "
_OPERATORS = ("!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^")


class Constraint(NamedTuple):
    """A parsed range.

    >>> Constraint.parse(">=1.2.0 <2.0.0").check(Version.parse("1.9.4"))
    True
    >>> Constraint.parse("^1.2").why_not(Version.parse("2.0.0"))
    '"2.0.0" does not have same major version as "1.2"'
    >>> str(Constraint.parse(">= 1.2 , < 2 || 4.x"))
    '>=1.2 <2 || 4.x'
    """

    groups: tuple[tuple[Term, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read a range; raises RuleError that starts with the text of Masterminds and goes on with place and hint."""
        if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
            raise RuleError(f"constraint string is too long (max {MOST_BYTES} bytes)")
        segments = _rewrite_hyphens(text).split("||")
        if len(segments) > MOST_GROUPS:
            raise RuleError(
                f"too many constraint groups (max {MOST_GROUPS}): found {len(segments)} in {len(text)} characters"
            )
        # Upstream validates and parses segment by segment, so the first bad one decides the message.
        return cls(tuple(_group(segment, len(segments) > 1) for segment in segments))

    def check(self, version: Version) -> bool:
        """True if the version satisfies every term of one group."""
        return any(
            (not version.prerelease or _admits_prereleases(group))
            and not any(term.objection(version) for term in group)
            for group in self.groups
        )

    def objections(self, version: Version) -> tuple[str, ...]:
        """List what stands against the version, as Masterminds' Validate does; nothing when it satisfies."""
        reasons: list[str] = []
        for group in self.groups:
            if version.prerelease and not _admits_prereleases(group):
                message = f"{quote(str(version))} {_RELEASES_ONLY}"
                reasons += [message] if message not in reasons else []
                continue
            against = [(term, why) for term in group if (why := term.objection(version))]
            if not against:
                return ()
            reasons += [f"{quote(str(version))} {why.format(quote(term.written))}" for term, why in against]
        return tuple(reasons)

    def why_not(self, version: Version) -> str:
        """Return the objections as one line, nothing when the version satisfies."""
        return "; ".join(dict.fromkeys(self.objections(version)))

    @property
    def admits_prereleases(self) -> bool:
        """True when any group names a prerelease and so looks at prerelease versions at all."""
        return any(_admits_prereleases(group) for group in self.groups)

    def release_intervals(self) -> Intervals:
        """Return the intervals of keys in which releases satisfy."""
        return intervals.union(_group_intervals(group) for group in self.groups)

    def prerelease_intervals(self) -> Intervals | None:
        """Return the intervals of keys in which prereleases satisfy, None when they are no intervals (`!=1.2`)."""
        groups = [group for group in self.groups if _admits_prereleases(group)]
        if any(term.is_minor_inequality for group in groups for term in group):
            return None
        return intervals.union(_group_intervals(group) for group in groups)

    def __str__(self) -> str:
        """Write the groups as Masterminds' String does: hyphen ranges rewritten, one blank between terms."""
        return " || ".join(" ".join(map(str, group)) for group in self.groups)


def quote(text: str) -> str:
    r"""Quote as Go's %q does.

    >>> print(quote('a"\t'))
    "a\"\t"
    """
    return '"' + "".join(map(_quoted, text)) + '"'


_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def _quoted(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _admits_prereleases(group: tuple[Term, ...]) -> bool:
    return any(term.version.prerelease for term in group)


def _group_intervals(group: tuple[Term, ...]) -> Intervals:
    return intervals.intersection(term.intervals() for term in group)


@cache
def _version_grammar() -> re.Pattern[str]:
    # Upstream's class holds a `|`, which was meant as "or" (cvRegex): 1|2 gets as far as a number, and is refused there.
    number = r"[0-9|xX*]+"
    return re.compile(rf"v?({number})(?:\.({number}))?(?:\.({number}))?(-{IDENTIFIERS})?(?:\+{IDENTIFIERS})?", re.ASCII)


def _rewrite_hyphens(text: str) -> str:
    if "-" not in text:
        return text
    # The groups of the grammar are made non-capturing, so that the two ends of the range are the only ones.
    version = _version_grammar().pattern.replace("(", "(?:").replace("(?:?:", "(?:")
    blank = f"[{_BLANKS}]"
    grammar = re.compile(f"{blank}*({version}){blank}+-{blank}+({version}){blank}*", re.ASCII)
    for match in grammar.finditer(text):
        # Upstream replaces the first occurrence of the matched text, wherever that stands.
        text = text.replace(match[0], f">= {match[1]}, <= {match[2]} ", 1)
    return text


def _group(segment: str, is_one_of_many: bool) -> tuple[Term, ...]:
    terms: list[tuple[str, re.Match[str]]] = []
    at = 0
    while True:
        at = _skip(segment, at)
        operator = next((op for op in _OPERATORS if segment.startswith(op, at)), "")
        at = _skip(segment, at + len(operator))
        match = _version_grammar().match(segment, at)
        if match is None:
            raise _improper(segment, at, is_one_of_many)
        terms.append((operator, match))
        at = _skip(segment, end := match.end())
        if at == len(segment):
            return tuple(_term(*pair) for pair in terms)
        if segment[at] == ",":
            at += 1
        elif at == end:
            raise _improper(segment, at, is_one_of_many)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


def _term(operator: str, match: re.Match[str]) -> Term:
    # What is missing or wild is zero, and dirty: minor dirty means that the minor version is missing, patch dirty the patch.
    # Where major itself is wild neither is said (parseConstraint), so `>*` is `>0.0.0`.
    major, minor, patch, prerelease = match.groups(default="")
    wild = ("x", "X", "*", "")
    dirty = (True, False, False)
    if major in wild:
        text = f"0.0.0{prerelease}"
    elif minor in wild:
        text, dirty = f"{major}.0.0{prerelease}", (True, True, False)
    elif patch in wild:
        text, dirty = f"{major}.{minor}.0{prerelease}", (True, False, True)
    else:
        text, dirty = match[0], (False, False, False)
    try:
        return Term(operator, match[0], Version.parse(text), *dirty)
    except RuleError as error:
        raise RuleError(f"constraint parser error: {quote(match[0])}: {_misread(match, error)}") from None


def _misread(match: re.Match[str], error: RuleError) -> str:
    if any(part and not part.isdigit() and part not in ("x", "X", "*") for part in match.groups(default="")[:3]):
        return "each part of a version is a number or one of x, X, *"
    return str(error)


def _improper(segment: str, at: int, is_one_of_many: bool) -> RuleError:
    text = f"improper constraint: {quote(segment)}"
    if not segment.strip(_BLANKS):
        hint = (
            "write a range on both sides of ||"
            if is_one_of_many
            else "write a range, such as >=1.0.0, or * for any release"
        )
        return RuleError(f"{text}: it is empty; {hint}")
    seen = f"unexpected {quote(segment[at])}" if at < len(segment) else "it ends too early"
    return RuleError(f"{text}: {seen} at character {at + 1}; {_hint(segment, at)}")


def _hint(segment: str, at: int) -> str:
    rest, before = segment[at:], segment[:at].rstrip(_BLANKS)
    if not rest:
        return "remove the comma" if before.endswith(",") else "an operator needs a version behind it"
    # In the order of what people mean: the first that applies is told.
    hints = (
        (before.endswith("=") and rest[0] == "=", "write = once"),
        (before.endswith("<") and rest[0] == ">", "unequal is written !="),
        (before.endswith((">", "<", "~", "!")) and rest[0] in "=>", "write the operator without a blank"),
        (rest[0] == "!", "unequal is written !="),
        (rest[0] in "&;", "terms that must all hold are separated by a blank or a comma"),
        (rest[0] in "()", "there are no parentheses; write alternatives with ||"),
        (rest[0] == ",", "write a term on both sides of the comma"),
        (rest[0] == "V", "the prefix is a lower-case v"),
        (rest[0] == "." and before[-1:].isdigit(), "a version has at most three numbers"),
        (rest[0] == "-" or before.endswith("-"), "a range of two versions is written with blanks: 1.0 - 2.0"),
        (
            rest[0] in "<>=~^" and not before.endswith(("<", ">", "=", "~", "^")),
            "separate terms with a blank or a comma",
        ),
    )
    return next((hint for applies, hint in hints if applies), "expected a version such as 1.2.3, 1.2, 1.x or *")
