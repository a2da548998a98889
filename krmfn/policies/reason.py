"""Why a tag was not chosen: one small number per tag, a word for data and a sentence for people."""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Reason(enum.IntEnum):
    """What decided about a tag; the first step that drops it names it.

    Members stand in the order of the steps, whatever their numbers. A member is a byte in `Decision.reasons`; it has a
    `word` for data (JSON output, `expect.rejected` of a PolicyTest), a `text` for people, and the `step` behind which the
    tag is not counted any more: `chosen` for those that the policy would take, had there been no better one.
    """

    word: str
    text: str
    step: str

    def __new__(cls, number: int, word: str = "", text: str = "", step: str = "accepted by the policy") -> Self:
        """Keep the rest beside the number, which is the value."""
        member = int.__new__(cls, number)
        member._value_ = number
        member.word, member.text, member.step = word, text, step
        return member

    NOT_EVALUATED = 0, "open", "not evaluated: the policy failed on another tag", ""
    MALFORMED = 1, "malformed", "not a valid tag", "valid"
    ARTEFACT = 2, "artefact", "a signature or attestation of another image", "valid"
    EXCLUDED = 3, "excluded", "matches the exclusionList", "not excluded"
    NOT_ALLOWED = 4, "not-allowed", "matches none of allowTags", "not excluded"
    IGNORED = 5, "ignored", "matches ignoreTags", "not excluded"
    FILTERED = 6, "filter", "does not match filterTags", "match filterTags"
    NOT_A_VERSION = 7, "not-a-version", "not a semantic version with three parts"
    NOT_A_NUMBER = 8, "not-a-number", "not a number"
    PRERELEASE = 9, "prerelease", "a prerelease, and the range asks for releases only"
    OUT_OF_RANGE = 10, "range", "outside the range"
    NOT_CURRENT = 11, "not-current", "not the tag that is deployed"
    OTHER_SHAPE = 12, "shape", "not of the shape of the tag that is deployed"
    OLDER = 13, "older", "not above the tag that is deployed"
    FLOATING = 14, "floating", "moves from image to image, and names no single version"
    NOT_ASKED = 15, "not-asked", "beyond the number of images that are looked up", "chosen"
    UNDATED = 16, "undated", "has no readable creation time", "chosen"
    SHADOWED = 17, "shadowed", "extracts the same text as another tag, and the smallest tag stands for them", "chosen"
    LOWER = 18, "lower", "another tag is ordered before it", "chosen"
    CHOSEN = 19, "chosen", "chosen", "chosen"


CANDIDATES = frozenset({Reason.LOWER, Reason.SHADOWED, Reason.CHOSEN})
ELIGIBLE = frozenset(reason for reason in Reason if reason.step == "chosen")
"""The reasons of tags that the policy would have taken, had there been no better one."""
STEPS = tuple(dict.fromkeys(reason.step for reason in Reason if reason.step))
"""The steps of the funnel, the last of them `chosen`."""
