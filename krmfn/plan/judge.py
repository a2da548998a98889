"""*judge*: which of the tags that a policy takes may run now: holds, then age, then what the image holds.

The best tag is judged first, then the next best. What a field holds already is never judged away: a tag is cut at the
lowest deployed one that the policy takes, and fields above the chosen tag stay (`Chosen.above`). The source is asked last,
about few tags; a tag about which it cannot answer ends the search, and everything stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import (
    Choice,
    Chosen,
    Diagnostic,
    Following,
    ImagePolicy,
    Location,
    NotChosen,
    PassedOver,
    PolicyKey,
)
from krmfn.plan.judge_policy import Judge
from krmfn.plan.records import Judged, Judgement, Pin
from krmfn.plan.resolve import ask
from krmfn.plan.trial import Trial, Try
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.plan.refusals import Facts


def judge(choices: Mapping[PolicyKey, Choice], facts: Facts) -> Judged:
    """Judge every choice of a policy that has requirements or holds; all others stay as they are."""
    asking = [key for key, choice in choices.items() if choice.policy.requirements]

    def one(key: PolicyKey) -> _Verdict:
        choice = choices[key]
        return _judged(choice, facts) if choice.policy.is_judged else _Verdict(choice)

    by_key = {key: one(key) for key in choices if key not in asking} | ask(asking, one)
    verdicts = {key: verdict for key in choices if isinstance(verdict := by_key[key], _Verdict)}
    judged = {key: one.choice for key, one in verdicts.items() if one.choice is not None}
    return Judged(judged, {(key, tag): one for key, verdict in verdicts.items() for tag, one in verdict.judgements.items()})


def trying(choices: Mapping[PolicyKey, Choice], facts: Facts) -> Try:
    """Return what judges again, among some tags of a policy only: they are ordered and judged as all are."""

    def judge_again(pin: Pin, among: Collection[str]) -> Trial:
        choice = choices[pin[0]]
        current = (pin[1],) if isinstance(choice, Following) else facts.deployed.running(choice.policy, in_build=facts.in_build)
        offered = choice.choices[pin[1]] if isinstance(choice, Following) else choice
        judge_of = Judge(choice.policy, facts, among)
        tried = judge_of.one(offered, current)
        is_inside = not isinstance(tried, Chosen) or tried.tag in among
        return Trial(tried if is_inside else None, judge_of.judgement(tried))

    return judge_again


def tell(judged: Judged, choices: Mapping[PolicyKey, Choice]) -> Judged:
    """Return what was judged, with a remark on the best tag that each policy passes over, now that all rules have spoken."""
    judgements = {}
    for pin, one in judged.judgements.items():
        told = () if one.is_stopped else (_remark(choices[pin[0]].policy, best, one.runs) for best in one.passed_over[:1])
        judgements[pin] = one._replace(said=(*one.said, *told))
    return judged._replace(judgements=judgements)


def _remark(policy: ImagePolicy, best: PassedOver, runs: str | None) -> Diagnostic:
    text = f"{policy.repository.image.name}: {best}; {f'{runs} may run' if runs else 'no other may run'} (policy {policy.key})"
    eligible = moment(best.eligible_at) if best.eligible_at is not None else ""
    return Diagnostic("info", "passed-over", text, Location(policy.defined), policy=policy.key, eligible_at=eligible)


class _Verdict(NamedTuple):
    """What comes of one choice: None when everything stays as it is."""

    choice: Choice | None
    judgements: Mapping[str, Judgement] = {}


def _judged(choice: Choice, facts: Facts) -> _Verdict:
    judges: dict[str, Judge] = {}

    def one(offered: Chosen | NotChosen, tag: str, current: Sequence[str]) -> Chosen | NotChosen | None:
        judges[tag] = Judge(choice.policy, facts)
        return judges[tag].one(offered, current)

    made: Choice | None
    if isinstance(choice, Following):
        several = {tag: one(offered, tag, (tag,)) for tag, offered in choice.choices.items()}
        made = choice._replace(choices={tag: one for tag, one in several.items() if one is not None})
        chosen = several
    else:
        made = one(choice, "", facts.deployed.running(choice.policy, in_build=facts.in_build))
        chosen = {"": made}
    return _Verdict(made, {tag: judge_of.judgement(chosen[tag]) for tag, judge_of in judges.items()})
