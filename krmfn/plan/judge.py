"""*judge*: which of the tags that a policy takes may run now: holds, then age, then what the image holds.

The best tag is judged first, then the next best. What a field holds already is never judged away: a tag is cut at the
lowest deployed one that the policy takes, and fields above the chosen tag stay (`Chosen.above`). The source is asked last,
about few tags; a tag about which it cannot answer ends the search, and everything stays.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from krmfn.model import Choice, ChoiceKey, Choices, Chosen, Diagnostic, ImagePolicy, Location, PassedOver
from krmfn.plan.judge_policy import Judge
from krmfn.plan.records import Judged, Judgement, Trial, Try
from krmfn.plan.resolve import ask
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.plan.refusals import Facts


def judge(choices: Choices, facts: Facts) -> Judged:
    """Judge every choice of a policy that has requirements or holds; all others stay as they are."""

    def tried(key: ChoiceKey) -> Trial:
        return _tried(key, choices[key], facts)

    unjudged = {key: Trial(choice, Judgement()) for key, choice in choices.items()}
    asking = [key for key, choice in choices.items() if choice.policy.requirements]
    others = [key for key, choice in choices.items() if choice.policy.is_judged and not choice.policy.requirements]
    answers = unjudged | {key: tried(key) for key in others} | ask(asking, tried)
    trials = {key: trial for key, trial in answers.items() if isinstance(trial, Trial)}
    return Judged(
        {key: trial.choice for key, trial in trials.items() if trial.choice is not None},
        {key: trial.judgement for key, trial in trials.items() if choices[key].policy.is_judged},
    )


def trying(choices: Choices, facts: Facts) -> Try:
    """Return what judges again, among some tags of a policy only: they are ordered and judged as all are."""

    def judge_again(key: ChoiceKey, among: Collection[str]) -> Trial:
        trial = _tried(key, choices[key], facts, among)
        is_outside = isinstance(trial.choice, Chosen) and trial.choice.tag not in among
        return trial._replace(choice=None) if is_outside else trial

    return judge_again


def _tried(key: ChoiceKey, offered: Choice, facts: Facts, among: Collection[str] | None = None) -> Trial:
    running = (key[1],) if key[1] else facts.deployed.running(offered.policy, in_build=facts.in_build)
    judge_of = Judge(offered.policy, facts, running, among)
    choice = judge_of.choose(offered)
    return Trial(choice, judge_of.judgement(choice))


def tell(judged: Judged, choices: Choices) -> Judged:
    """Return what was judged, with a remark on the best tag that each policy passes over, now that all rules have spoken."""
    judgements = {}
    for key, one in judged.judgements.items():
        remarks = () if one.is_stopped else (_remark(choices[key].policy, best, one.runs) for best in one.passed_over[:1])
        judgements[key] = one._replace(said=(*one.said, *remarks))
    return judged._replace(judgements=judgements)


def _remark(policy: ImagePolicy, best: PassedOver, runs: str | None) -> Diagnostic:
    text = f"{policy.repository.image.name}: {best}; {f'{runs} may run' if runs else 'no other may run'} (policy {policy.key})"
    eligible = moment(best.eligible_at) if best.eligible_at is not None else ""
    return Diagnostic("info", "passed-over", text, Location(policy.defined), policy=policy.key, eligible_at=eligible)
