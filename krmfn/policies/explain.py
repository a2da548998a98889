"""Why a policy chose its tag, as text and as data: the funnel, then a reason for every tag. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.policies.number import moment
from krmfn.policies.reason import Reason
from krmfn.policies.selection import Selection, read
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.model import PassedOver
    from krmfn.policies.rules import Rules

_SAMPLES = 3


class Explanation(NamedTuple):
    """A selection with what it was made from. `malformed` entries were no tags and never reached the rules."""

    policy: str
    image: str
    rules: Rules
    selection: Selection
    malformed: int = 0
    current: str = ""
    """The deployed tag that was moved on from, for a policy that follows what is deployed."""
    is_judged: bool = False
    """True if requirements or holds decide which of the tags may run now."""
    runs: str | None = None
    """The tag that may run now; None when everything stays as it is."""
    passed_over: tuple[PassedOver, ...] = ()
    verdicts: tuple[str, ...] = ()
    """What the judgement says, for people."""
    refused: Mapping[str, PassedOver] = {}
    steps: tuple[tuple[str, int], ...] = ()
    """How many tags each requirement left."""


def funnel(explanation: Explanation) -> list[tuple[str, int]]:
    """Return how many tags were left behind each step: listed, valid, not excluded, filtered, accepted, chosen."""
    (_, listed), *steps, chosen = explanation.selection.funnel()
    return [("listed", listed + explanation.malformed), *((step.name, step.left) for step in steps), *explanation.steps, (chosen.name, chosen.left)]


def dropped(selection: Selection) -> list[tuple[Reason, int, tuple[str, ...]]]:
    """Return for every reason that dropped tags how many it dropped, and a few of them."""
    rows: list[tuple[Reason, int, tuple[str, ...]]] = []
    for reason in Reason:
        count = selection.reasons.count(reason)
        if count and reason is not Reason.CHOSEN:
            tags = (tag for tag, other in zip(selection.tags, selection.reasons, strict=True) if other == reason)
            rows.append((reason, count, tuple(islice(tags, _SAMPLES))))
    return rows


def why(explanation: Explanation, tag: str) -> str:
    """Return in one sentence why the tag was or was not chosen."""
    reason = explanation.selection.reason(tag)
    if reason is None:
        return "not listed"
    detail = _detail(explanation, tag, reason)
    if reason is Reason.CHOSEN:
        return detail
    return f"{reason.text}: {detail}" if detail else reason.text


def _detail(explanation: Explanation, tag: str, reason: Reason) -> str:
    rules, text = explanation.rules, read(explanation.rules, tag)
    match reason:
        case Reason.EXCLUDED:
            return _which(rules.exclude, tag)
        case Reason.IGNORED:
            return _which(rules.ignore, tag)
        case Reason.NOT_ALLOWED:
            return ", ".join(pattern.text for pattern in rules.allow)
        case Reason.FILTERED:
            return rules.filter.pattern.text if rules.filter else ""
        case Reason.OUT_OF_RANGE:
            return rules.policy.objection(text or "") or rules.described + (f", from {explanation.current}" if explanation.current else "")
        case Reason.OTHER_SHAPE | Reason.OLDER:
            return explanation.current
        case Reason.LOWER | Reason.SHADOWED | Reason.CHOSEN | Reason.NOT_A_NUMBER | Reason.NOT_A_VERSION:
            return _order(explanation, tag, text or "", reason)
    return ""


def _which(patterns: Sequence[Any], tag: str) -> str:
    return ", ".join(pattern.text for pattern in patterns if pattern.matches((tag,))[0])


def _order(explanation: Explanation, tag: str, text: str, reason: Reason) -> str:
    extracted = "" if text == tag else f"extracts {text!r}"
    chosen = explanation.selection.tag
    if reason is Reason.CHOSEN:
        first = f"first of {explanation.selection.eligible} by {explanation.rules.described}"
        return f"{extracted}, {first}" if extracted else first
    if reason not in (Reason.LOWER, Reason.SHADOWED) or chosen is None:
        return extracted
    other = read(explanation.rules, chosen)
    than = f"{chosen} is chosen" if other in (chosen, text) else f"{chosen} with {other!r} is chosen"
    return f"{extracted}, {than}" if extracted else than


def described(rules: Rules) -> list[tuple[str, str]]:
    """Return the rules as pairs of a word and what it holds, in the order in which they apply."""
    lists = (("exclusionList", rules.exclude), ("allowTags", rules.allow), ("ignoreTags", rules.ignore))
    pairs = [(name, ", ".join(pattern.text for pattern in patterns)) for name, patterns in lists if patterns]
    if rules.filter is not None:
        extract = f" extract {rules.filter.extract.text}" if rules.filter.extract else ""
        pairs.append(("filterTags", rules.filter.pattern.text + extract))
    return [*pairs, ("policy", rules.described)]


def as_text(explanation: Explanation) -> str:
    """Write the explanation for people, without the reasons of single tags."""
    selection = explanation.selection
    result = f"chooses {selection.tag}" if selection.tag is not None else "chooses no tag"
    moved = f", from {explanation.current}" if explanation.current else ""
    lines = [f"{explanation.policy} {result} of {explanation.image}{moved}"]
    lines += [f"  {selection.message}"] if selection.message else []
    lines.append("")
    lines += [f"  {name:<13} {value}" for name, value in described(explanation.rules)]
    lines.append("")
    width = len(str(selection.listed + explanation.malformed))
    lines += [f"  {left:>{width}} {name}" for name, left in funnel(explanation)]
    if explanation.is_judged:
        lines += ["", f"  may run now: {explanation.runs or 'nothing new, all stays as it is'}"]
        lines += [f"    {one}" for one in explanation.passed_over or explanation.verdicts]
    drops = dropped(selection)
    lines += ["", "  not chosen:"] if drops else []
    for reason, count, samples in drops:
        more = ", ..." if count > len(samples) else ""
        lines.append(f"  {count:>{width}} {reason.text} ({', '.join(samples)}{more})")
    return "\n".join(printable(line, 2000) for line in lines) + "\n"


def tag_rows(explanation: Explanation, tags: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return rows of tag, word and sentence for the tags that are asked about."""
    rows = []
    for tag in tags:
        refused, reason = explanation.refused.get(tag), explanation.selection.reason(tag)
        word = "not-listed" if reason is None else reason.word
        rows.append((tag, refused.rule, refused.why) if refused else (tag, word, why(explanation, tag)))
    return rows


def passed_over(tags: Iterable[PassedOver]) -> list[dict[str, str]]:
    """Return tags that may not run now as plain data."""
    return [
        {"tag": one.tag, "rule": one.rule, "why": one.why}
        | ({} if one.eligible_at is None else {"eligibleAt": moment(one.eligible_at)})
        for one in tags
    ]


def as_data(explanation: Explanation, tags: Iterable[str] = ()) -> dict[str, Any]:
    """Return the explanation as plain data for JSON; `tags` are those whose reasons are wanted."""
    selection = explanation.selection
    data: dict[str, Any] = {
        "policy": explanation.policy,
        "image": explanation.image,
        **({"from": explanation.current} if explanation.current else {}),
        "described": explanation.rules.described,
        "rules": explanation.rules.canonical(),
        "tag": selection.tag,
        "message": selection.message,
        "listed": selection.listed + explanation.malformed,
        "malformed": explanation.malformed,
        "eligible": selection.eligible,
        "funnel": [{"step": name, "left": left} for name, left in funnel(explanation)],
        "rejected": {reason.word: count for reason, count, _ in dropped(selection)},
    }
    if explanation.is_judged:
        data["runs"] = explanation.runs
        data["passedOver"] = passed_over(explanation.passed_over)
    rows = tag_rows(explanation, tags)
    return data | ({"tags": [dict(zip(("tag", "reason", "why"), row, strict=True)) for row in rows]} if rows else {})
