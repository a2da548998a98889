"""Why a tag was not chosen: one small number per tag, a word for data and a sentence for people."""

from __future__ import annotations

import enum


class Reason(enum.IntEnum):
    """What decided about a tag, in the order of the steps; the first step that drops a tag names it."""

    NOT_EVALUATED = 0
    MALFORMED = 1
    ARTEFACT = 2
    EXCLUDED = 3
    NOT_ALLOWED = 4
    IGNORED = 5
    FILTERED = 6
    NOT_A_VERSION = 7
    NOT_A_NUMBER = 8
    PRERELEASE = 9
    OUT_OF_RANGE = 10
    NOT_CURRENT = 11
    OTHER_SHAPE = 12
    OLDER = 13
    FLOATING = 14
    NOT_ASKED = 15
    UNDATED = 16
    SHADOWED = 17
    LOWER = 18
    CHOSEN = 19

    @property
    def word(self) -> str:
        """The reason in data: JSON output and `expect.rejected` of a PolicyTest."""
        return _WORDS[self][0]

    @property
    def text(self) -> str:
        """The reason for people."""
        return _WORDS[self][1]


CANDIDATES = frozenset({Reason.LOWER, Reason.SHADOWED, Reason.CHOSEN})
ELIGIBLE = frozenset({Reason.NOT_ASKED, Reason.UNDATED, Reason.SHADOWED, Reason.LOWER, Reason.CHOSEN})
"""The reasons of tags that the policy would have taken, had there been no better one."""

_WORDS = {
    Reason.NOT_EVALUATED: ("open", "not evaluated: the policy failed on another tag"),
    Reason.MALFORMED: ("malformed", "not a valid tag"),
    Reason.ARTEFACT: ("artefact", "a signature or attestation of another image"),
    Reason.EXCLUDED: ("excluded", "matches the exclusionList"),
    Reason.NOT_ALLOWED: ("not-allowed", "matches none of allowTags"),
    Reason.IGNORED: ("ignored", "matches ignoreTags"),
    Reason.FILTERED: ("filter", "does not match filterTags"),
    Reason.NOT_A_VERSION: ("not-a-version", "not a semantic version with three parts"),
    Reason.NOT_A_NUMBER: ("not-a-number", "not a number"),
    Reason.PRERELEASE: ("prerelease", "a prerelease, and the range asks for releases only"),
    Reason.OUT_OF_RANGE: ("range", "outside the range"),
    Reason.NOT_CURRENT: ("not-current", "not the tag that is deployed"),
    Reason.OTHER_SHAPE: ("shape", "not of the shape of the tag that is deployed"),
    Reason.OLDER: ("older", "not above the tag that is deployed"),
    Reason.FLOATING: ("floating", "moves from image to image, and names no single version"),
    Reason.NOT_ASKED: ("not-asked", "beyond the number of images that are looked up"),
    Reason.UNDATED: ("undated", "has no readable creation time"),
    Reason.SHADOWED: ("shadowed", "extracts the same text as another tag, and the smallest tag stands for them"),
    Reason.LOWER: ("lower", "another tag is ordered before it"),
    Reason.CHOSEN: ("chosen", "chosen"),
}
