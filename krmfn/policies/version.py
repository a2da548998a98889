"""Versions as Flux reads tags: loose, and ordered by semantic versioning.

Acceptance is Masterminds/semver v3.5.0 `NewVersion` (version.go) and, for tags, fluxcd/pkg version `ParseVersion`.
"""

from __future__ import annotations

import re
from functools import cache

from krmfn.errors import RuleError
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

UINT64_MAX = (1 << 64) - 1
LONGEST = 256
"""Longest version that is read, in bytes (Masterminds MaxVersionLen)."""

IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
Key: TypeAlias = "tuple[Any, ...]"
"""Orders versions as a plain tuple: major, minor, patch, then the prerelease; a release is above its prereleases."""
RELEASE: Key = ((2,),)
"""The last part of the key of a release: an identifier is (0, number) or (1, text), so it is above every prerelease."""


@cache
def _grammar() -> re.Pattern[str]:
    number = r"(?:\.([0-9]+))?"
    return re.compile(rf"v?([0-9]+){number}{number}(?:-({IDENTIFIERS}))?(?:\+({IDENTIFIERS}))?", re.ASCII)


class Version(NamedTuple):
    """A version; `original` is the text it was read from and takes no part in equality.

    >>> str(Version.parse("v1.2-rc.1")), Version.parse("01.2.3").original
    ('1.2.0-rc.1', '01.2.3')
    >>> Version.parse("1.0.0-rc10").compare(Version.parse("1.0.0-rc9"))
    -1
    """

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    metadata: str = ""
    original: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self[:-1] == other[:-1]

    def __hash__(self) -> int:
        return hash(self[:-1])

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read a version with one to three numbers; raises RuleError with the text of Masterminds.

        >>> Version.parse("1.2.3-01")
        Traceback (most recent call last):
        krmfn.errors.RuleError: version segment starts with 0
        """
        if len(text) > LONGEST:
            raise RuleError(f"version string is too long (max {LONGEST} bytes)")
        match = _grammar().fullmatch(text)
        if match is None:
            raise RuleError("invalid semantic version")
        major, minor, patch, prerelease, metadata = match.groups(default="")
        version = cls(_number(major), _number(minor), _number(patch), prerelease, metadata, text)
        if has_leading_zero(prerelease):
            raise RuleError("version segment starts with 0")
        return version

    @property
    def key(self) -> Key:
        """What the version sorts by; equal for versions that differ in metadata alone."""
        return (self.major, self.minor, self.patch, prerelease_key(self.prerelease))

    def compare(self, other: Version) -> int:
        """Return -1, 0 or 1 by the `semver` package, which releases can do without; metadata never counts.

        An identifier above the largest uint64 is text to Masterminds and a number to the package: Masterminds decides.
        """
        if _has_huge_identifier(self.prerelease) or _has_huge_identifier(other.prerelease):
            return (self.key > other.key) - (self.key < other.key)
        if not self.prerelease and not other.prerelease:
            mine, theirs = (self.major, self.minor, self.patch), (other.major, other.minor, other.patch)
            return (mine > theirs) - (mine < theirs)
        from semver import Version as Semver

        version = Semver(self.major, self.minor, self.patch, self.prerelease or None)
        return version.compare(Semver(other.major, other.minor, other.patch, other.prerelease or None))

    def __str__(self) -> str:
        """Write three numbers, prerelease and metadata, without a leading `v`."""
        text = f"{self.major}.{self.minor}.{self.patch}"
        text += f"-{self.prerelease}" if self.prerelease else ""
        return text + (f"+{self.metadata}" if self.metadata else "")


def parse_tag(text: str) -> Version | None:
    """Read a tag as Flux does: the whole text needs two dots; None for everything that is no version.

    >>> parse_tag("1.2"), str(parse_tag("1.2-rc.1")), parse_tag("latest")
    (None, '1.2.0-rc.1', None)
    """
    # fluxcd/pkg refuses what has not three parts, by counting dots in the whole text: those of a prerelease count too.
    if text.count(".") < 2 or _grammar().fullmatch(text) is None:
        return None
    try:
        return Version.parse(text)
    except RuleError:
        return None


def prerelease_key(prerelease: str) -> Key:
    """Return the part of the key that stands for the prerelease: numbers, then text in byte order, then none at all."""
    if not prerelease:
        return RELEASE
    return tuple(_identifier_key(part) for part in prerelease.split("."))


def has_leading_zero(prerelease: str) -> bool:
    """True if a numeric identifier has a leading zero, which Masterminds refuses."""
    if "0" not in prerelease:
        return False
    return any(len(part) > 1 and part[0] == "0" and part.isdigit() for part in prerelease.split("."))


def _identifier_key(part: str) -> Key:
    if part.isdigit() and (number := int(part)) <= UINT64_MAX:
        return (0, number)
    return (1, part)


def _has_huge_identifier(prerelease: str) -> bool:
    return len(prerelease) > 19 and any(part.isdigit() and int(part) > UINT64_MAX for part in prerelease.split("."))


def _number(text: str) -> int:
    number = int(text or "0")
    if number > UINT64_MAX:
        raise RuleError(f'error parsing version segment: strconv.ParseUint: parsing "{text}": value out of range')
    return number
