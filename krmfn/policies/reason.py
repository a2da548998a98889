"""Why a tag was not chosen: one small number per tag, a word for data and a sentence for people."""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Reason(enum.IntEnum):
    """What decided about a tag; the first step that drops it names it.

    Members stand in the order of the steps, whatever their numbers. A member is a byte in `Decision.reasons`; it has a
    `word` for data (JSON output, `expect.rejected` of a PolicyTest) and a `text` for people. A tag with a new one counts
    as refused by the policy, unless ELIGIBLE has it too.
    """

    word: str
    text: str

    def __new__(cls, number: int, word: str = "", text: str = "") -> Self:
        """Keep the word and the text beside the number, which is the value."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.word, member.text = word, text
        return member

    NOT_EVALUATED = 0, "open", "not evaluated: the policy failed on another tag"
    MALFORMED = 1, "malformed", "not a valid tag"
    ARTEFACT = 2, "artefact", "a signature or attestation of another image"
    EXCLUDED = 3, "excluded", "matches the exclusionList"
    NOT_ALLOWED = 4, "not-allowed", "matches none of allowTags"
    IGNORED = 5, "ignored", "matches ignoreTags"
    FILTERED = 6, "filter", "does not match filterTags"
    NOT_A_VERSION = 7, "not-a-version", "not a semantic version with three parts"
    NOT_A_NUMBER = 8, "not-a-number", "not a number"
    PRERELEASE = 9, "prerelease", "a prerelease, and the range asks for releases only"
    OUT_OF_RANGE = 10, "range", "outside the range"
    NOT_CURRENT = 11, "not-current", "not the tag that is deployed"
    OTHER_SHAPE = 12, "shape", "not of the shape of the tag that is deployed"
    OLDER = 13, "older", "not above the tag that is deployed"
    FLOATING = 14, "floating", "moves from image to image, and names no single version"
    NOT_ASKED = 15, "not-asked", "beyond the number of images that are looked up"
    UNDATED = 16, "undated", "has no readable creation time"
    SHADOWED = 17, "shadowed", "extracts the same text as another tag, and the smallest tag stands for them"
    LOWER = 18, "lower", "another tag is ordered before it"
    CHOSEN = 19, "chosen", "chosen"


CANDIDATES = frozenset({Reason.LOWER, Reason.SHADOWED, Reason.CHOSEN})
ELIGIBLE = frozenset({Reason.NOT_ASKED, Reason.UNDATED, Reason.SHADOWED, Reason.LOWER, Reason.CHOSEN})
"""The reasons of tags that the policy would have taken, had there been no better one."""
