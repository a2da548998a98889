"""The part of the flow that judges which tags may run now; runs without such rules do without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from krmfn.plan import judge, records, refusals

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.lock import Lock
    from krmfn.config.records import Config
    from krmfn.config.snapshot import Snapshot
    from krmfn.model import Choice, ImagePolicy, PassedOver, PolicyKey
    from krmfn.plan import digests, turns
    from krmfn.plan.current import Deployed
    from krmfn.plan.resolve import TagSource
    from krmfn.yamledit.nodes import Block


def recorded_now(
    rules: Config, choices: Mapping[PolicyKey, Choice], deployed: Deployed, listings: records.Listings, dates: records.Dates,
    digests_of: Callable[[Iterable[tuple[Repository, str]]], digests.Answers],
) -> tuple[Mapping[str, Snapshot], Mapping[str, Snapshot], digests.Answers]:  # fmt: skip
    """Return the first sightings that are believed and those that are written, and the digests that were asked for them."""
    from krmfn.plan import sightings

    is_bootstrap, before = rules.recording == "bootstrap", rules.evidence
    looked = digests_of(sightings.to_look_at(choices.values(), deployed, dates, before, is_bootstrap=is_bootstrap))
    policies = [choice.policy for choice in choices.values()]
    now = rules.settings.now or 0.0
    believed = sightings.record(policies, listings, looked, before, now, is_bootstrap=is_bootstrap)
    if rules.rulebook.floor is None:
        return believed, believed, looked
    return believed, sightings.record(policies, listings, looked, rules.stored, now, is_bootstrap=is_bootstrap), looked


def judge_all(
    choices: dict[PolicyKey, Choice], deployed: Deployed, blocks: Sequence[Block], rules: Config, lock: Lock | None,
    evidence: Mapping[str, Snapshot], dates: records.Dates, source: TagSource, *, is_fetch: bool,
) -> tuple[records.Judged, digests.Refused]:  # fmt: skip
    """Return the choices that may run now, what is to be said of those that may not, and what judges new digests."""
    limit, is_frozen = rules.rulebook.max_changes, rules.settings.mode == "frozen"
    facts = refusals.Facts(rules.settings, evidence, source, dates, limit is not None)
    in_build = judge.is_build(blocks, rules.settings)
    goes_on = in_build or is_fetch  # the lock says what runs, where what is written reaches no field
    judged = judge.judge(choices, deployed, lock, facts, in_build=in_build)
    if groups := rules.rulebook.groups:
        from krmfn.plan import together

        judge_again = judge.trying(choices, deployed, lock, facts, in_build=in_build)
        judged = together.unite(
            judged, choices, groups, deployed, lock, judge_again, lambda key: _absent(key, rules), in_build=goes_on, is_frozen=is_frozen
        )
    if not is_frozen and (limit is not None or any(choice.policy.windows for choice in choices.values())):
        from krmfn.plan import turns

        def moving() -> list[turns.Unit]:
            return turns.units(judged, choices, rules.rulebook.groups, deployed, lock, in_build=goes_on)

        judged = turns.await_windows(judged, moving(), facts)
        judged = turns.take_turns(judged, moving(), limit, rules.changed, facts, lock) if limit is not None else judged
    judged = judge.tell(judged, choices)
    if not in_build:
        judged = judged._replace(still=frozenset(key for key, choice in judged.choices.items() if refusals.is_still(choice, facts)))

    def refused(policy: ImagePolicy, tag: str, digest: str) -> PassedOver | None:
        return refusals.Refusals(policy, facts).moved(tag, digest)

    return judged, refused


def _absent(key: PolicyKey, rules: Config) -> str:
    """Return why a policy takes no part in a run; empty for one that does."""
    if key in rules.policies:
        return ""
    if key in rules.unresolved:
        return rules.unresolved[key].why
    return "it is suspended" if key in rules.suspended.values() else "it takes no part in this run"


