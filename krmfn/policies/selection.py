"""*select*: from the tags of a repository to one tag, with a reason for every other. Pure, linear in the tags.

The steps are those of Flux (image-reflector-controller internal/controller and internal/policy): exclusion list, then
filterTags, then the policy, then the original tag. In between krmfn drops signature artefacts and applies allowTags
and ignoreTags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress

from krmfn.errors import RuleError
from krmfn.namedtuple import NamedTuple
from krmfn.policies.protocol import Context
from krmfn.policies.reason import CANDIDATES, ELIGIBLE, STEPS, Reason
from krmfn.policies.rules import Filter, Rules, parse_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.policies.pattern import Pattern
    from krmfn.policies.rules import Ending

__all__ = [
    "Reason",
    "Rules",
    "Selection",
    "Step",
    "accepts",
    "candidates",
    "goes_back",
    "outranks",
    "parse_rules",
    "select",
]

_HEX = frozenset("0123456789abcdef")
_UNDECIDED = bytes([1]) + bytes(255)
"""Translates reasons: 1 for a tag that no step has dropped."""


class Step(NamedTuple):
    """One step of the funnel: its name, and how many tags are left behind it."""

    name: str
    left: int


class Selection(NamedTuple):
    """What was chosen, and one reason per tag, in the order of `tags`.

    Without a tag `message` starts with Flux's error and goes on with numbers and what to do. With one it says why the
    deployed tag stays, when that needs a word; that tag may be none of `tags`.
    """

    tag: str | None
    message: str
    tags: Sequence[str]
    reasons: bytes

    @property
    def listed(self) -> int:
        """How many tags there were."""
        return len(self.tags)

    @property
    def eligible(self) -> int:
        """How many tags the policy would have taken, the chosen one included."""
        return sum(self.reasons.count(reason) for reason in ELIGIBLE)

    def reason(self, tag: str) -> Reason | None:
        """Return why the tag was not chosen (or that it was); None when it is not listed."""
        try:
            return Reason(self.reasons[self.tags.index(tag)])
        except ValueError:
            return None

    @property
    def candidates(self) -> list[str]:
        """The tags that the policy takes, the chosen one included."""
        return [tag for tag, reason in zip(self.tags, self.reasons, strict=True) if reason in CANDIDATES]

    def funnel(self) -> tuple[Step, ...]:
        """Return how many tags are left behind each step."""
        left = len(self.tags)
        steps = [Step("listed", left)]
        for name in STEPS[:-1]:
            left -= _dropped(self.reasons, name)
            steps.append(Step(name, left))
        return (*steps, Step("chosen", int(self.tag is not None)))


def _dropped(reasons: bytes | bytearray, *steps: str) -> int:
    """Return how many tags are not left behind any of the steps, of those that stood before."""
    return sum(reasons.count(reason) for reason in Reason if reason.step in steps)


def select(
    rules: Rules,
    tags: Sequence[str],
    *,
    created: Callable[[str], str] | None = None,
    current: str | None = None,
) -> Selection:
    """Choose one tag. The order of `tags` does not matter; ties are decided by the bytes of the tags.

    `created` answers the RFC 3339 time of a tag (only policy newest asks, see `candidates`); `current` is the tag that
    is deployed (only the policies that follow it, digest and version, need it).
    """
    reasons = _sieve(rules, tags)
    kept = reasons.translate(_UNDECIDED)
    if not any(kept):
        return _nothing("no tags in database: version list argument cannot be empty", tags, reasons)
    try:
        places, texts = _texts(rules.filter, tags, reasons, kept)
    except RuleError as error:
        return Selection(None, error.message, tags, bytes(reasons))
    if rules.filter is not None and not texts:
        why = f"version list argument cannot be empty: no tag matches filterTags {rules.filter.pattern.text}"
        return _nothing(why, tags, reasons)
    behind = tags if len(places) == len(tags) else [tags[place] for place in places]
    current_text = None if current is None else _extracted(rules.filter, current)
    decision = rules.policy.evaluate(texts, behind, Context(created, current, current_text))
    if len(places) == len(tags):
        reasons[:] = decision.reasons
    else:
        for place, reason in zip(places, decision.reasons, strict=True):
            reasons[place] = reason
    if decision.winner is None and decision.stays:
        return Selection(current, decision.stays, tags, bytes(reasons))
    if decision.winner is None:
        return _nothing(f"{decision.error}: {decision.why}", tags, reasons)
    if texts is not behind:
        text = texts[decision.winner]
        # Flux keeps extracted texts in a map (filter.go): of tags with the winner's text only one can be chosen.
        for place, other in zip(places, texts, strict=True):
            if other == text:
                reasons[place] = Reason.SHADOWED
    reasons[places[decision.winner]] = Reason.CHOSEN
    return Selection(behind[decision.winner], decision.stays, tags, bytes(reasons))


def _nothing(message: str, tags: Sequence[str], reasons: bytearray) -> Selection:
    return Selection(None, f"{message}{_numbers(tags, reasons)}", tags, bytes(reasons))


def _numbers(tags: Sequence[str], reasons: bytearray) -> str:
    left = len(tags)
    parts = [f"{left} listed"]
    for steps in (("valid", "not excluded"), ("match filterTags",)):
        if count := _dropped(reasons, *steps):
            left -= count
            parts.append(f"{left} {steps[-1]}")
    return f" ({', '.join(parts)})"


def _sieve(rules: Rules, tags: Sequence[str]) -> bytearray:
    """Apply what needs no policy: artefacts, exclusionList, allowTags, ignoreTags."""
    reasons = bytearray(len(tags))
    # cosign, and clients of registries without the referrers API, keep these among the tags (OCI distribution spec, tag schema).
    for index, tag in enumerate(tags):
        if tag.startswith("sha256-") and _is_artefact(tag):
            reasons[index] = Reason.ARTEFACT
    for pattern in rules.exclude:
        _mark(reasons, pattern.matches(tags), Reason.EXCLUDED)
    if rules.allow:
        allowed = _any(rules.allow, tags)
        _mark(reasons, bytearray(1 - flag for flag in allowed), Reason.NOT_ALLOWED)
    for pattern in rules.ignore:
        _mark(reasons, pattern.matches(tags), Reason.IGNORED)
    return reasons


def left_over(rules: Rules, tags: Sequence[str]) -> list[str]:
    """Return the tags that exclusionList, allowTags and ignoreTags leave, whatever the policy says of them."""
    return [tag for tag, reason in zip(tags, _sieve(rules, tags), strict=True) if not reason]


def _any(patterns: Sequence[Pattern | Ending], tags: Sequence[str]) -> bytearray:
    flags = bytearray(len(tags))
    for pattern in patterns:
        _mark(flags, pattern.matches(tags), 1)
    return flags


def _mark(reasons: bytearray, flags: bytearray, reason: int) -> None:
    index = flags.find(1)
    while index >= 0:
        reasons[index] = reasons[index] or reason
        index = flags.find(1, index + 1)


def _is_artefact(tag: str) -> bool:
    """True if a tag names a signature, attestation or SBOM of another image: `sha256-<64 hex>[.suffix]`."""
    head, dot, suffix = tag[7:].partition(".")
    return len(head) == 64 and _HEX.issuperset(head) and (not dot or bool(suffix))


def _texts(
    filter_tags: Filter | None, tags: Sequence[str], reasons: bytearray, kept: bytearray
) -> tuple[Sequence[int], Sequence[str]]:
    """Return the places of the tags that reach the policy, and the texts that it reads."""
    places: Sequence[int] = range(len(tags)) if all(kept) else list(compress(range(len(tags)), kept))
    some = tags if len(places) == len(tags) else list(compress(tags, kept))
    if filter_tags is None:
        return places, some
    expand = filter_tags.extract.expander(filter_tags.pattern) if filter_tags.extract else None
    indices, texts = [], []
    for index, text, spans in filter_tags.pattern.scan(some):
        indices.append(index)
        texts.append(expand(text, spans) if expand else some[index])
    if len(indices) == len(places):
        return places, texts
    for place in places:
        reasons[place] = Reason.FILTERED
    matched = [places[index] for index in indices]
    for place in matched:
        reasons[place] = Reason.NOT_EVALUATED
    return matched, texts


def _extracted(filter_tags: Filter | None, tag: str) -> str | None:
    """Return the text that the policy reads of a tag, whatever the lists say of it; None when filterTags drops it."""
    try:
        _, texts = _texts(filter_tags, (tag,), bytearray(1), bytearray([1]))
    except RuleError:
        return None
    return texts[0] if texts else None


def accepts(rules: Rules, tag: str) -> bool:
    """True if this tag alone would pass exclusion, filter and policy."""
    return _accepted(rules, tag) is not None


def _accepted(rules: Rules, tag: str) -> str | None:
    text = read(rules, tag)
    return text if text is not None and rules.policy.accepts(text) else None


def outranks(rules: Rules, tag: str, other: str) -> bool:
    """True if both tags are accepted and the first is strictly before the other in the policy's order."""
    text, than = _accepted(rules, tag), _accepted(rules, other)
    return text is not None and than is not None and rules.policy.outranks(text, than)


def goes_back(rules: Rules, tag: str, chosen: str) -> bool | None:
    """True if going from a tag to the chosen one is a step back that no rule asks for; None when nothing orders them.

    What the policy accepts is ordered by the policy. A tag that it reads and does not take, or that is left out by name
    or in the chosen tag's own shape, was left out on purpose: that is how people roll back. A tag that it cannot read
    (`8.4`, `4.2.19.3001`, `1.2-alpine`) is ordered by its numbers, unless those are outside the range.
    """
    if accepts(rules, tag):
        return outranks(rules, tag, chosen)
    text = read(rules, tag) or tag
    if _sieve(rules, (tag,))[0] not in (0, Reason.NOT_ALLOWED) or not rules.policy.overlooks(text):
        return False
    from krmfn.policies.newer import Shape, compare, is_same_family

    order, shape = compare(tag, chosen), Shape.parse(tag)
    if order is None or shape is None:
        return None
    return order > 0 and not is_same_family(tag, chosen) and rules.policy.overlooks(text, shape.numbers)


def read(rules: Rules, tag: str) -> str | None:
    """Return the text that the policy reads of a tag; None when the tag does not reach the policy."""
    return None if _sieve(rules, (tag,))[0] else _extracted(rules.filter, tag)


def candidates(rules: Rules, tags: Sequence[str], limit: int | None = None) -> tuple[str, ...]:
    """Return the tags whose creation time `select` will ask: bounded for policy newest, none for every other."""
    if not rules.needs_created:
        return ()
    reasons = _sieve(rules, tags)
    try:
        places, _ = _texts(rules.filter, tags, reasons, reasons.translate(_UNDECIDED))
    except RuleError:
        return ()
    return rules.policy.candidates([tags[place] for place in places], limit)
