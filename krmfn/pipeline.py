"""The whole flow, in order: read, configure, ask, decide, bind, rewrite, report, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from krmfn.config import loading
from krmfn.config.floor import Floor
from krmfn.config.hold import Hold
from krmfn.config.loading import Config, Finish, no_change
from krmfn.config.lock import Lock, Snapshot, is_read_only
from krmfn.config.rollout import with_groups
from krmfn.diagnostics import in_order, unreadable
from krmfn.errors import ConfigError, InputError
from krmfn.kubernetes.overriding import NOTHING, Graph
from krmfn.kubernetes.resource import is_definition
from krmfn.model import Choice, Diagnostic, ImagePolicy, PassedOver, PolicyKey, Repository
from krmfn.outcome import Outcome
from krmfn.plan import (
    bind,
    decision,
    digests,
    guard,
    lock_update,
    needed,
    records,
    report,
    resolve,
    rewrite,
    scopes,
    tag_only,
    taken_back,
)
from krmfn.plan.current import Deployed
from krmfn.plan.records import Guarded, Pins
from krmfn.plan.resolve import TagSource
from krmfn.plan.target import Bound, Target
from krmfn.yamledit import resourcelist
from krmfn.yamledit.nodes import Block, Edit, Text

OpenSource = Callable[[Config], TagSource]
WORKERS = 8


class Run(NamedTuple):
    """Everything a run found out about some blocks, before anything is written."""

    config: Config
    choices: dict[PolicyKey, Choice]
    bound: Bound
    changes: tuple[records.Change, ...]
    results: tuple[Diagnostic, ...]
    listings: records.Listings = MappingProxyType({})
    dates: records.Dates = MappingProxyType({})
    answers: digests.Answers = MappingProxyType({})
    """Digests as the source has them now, which IfNotPresent may not follow; those that count are in `pins`."""
    pins: Pins = Pins({})
    guarded: Guarded = Guarded()
    renewal: records.Renewal = records.Renewal(())
    lock_edits: tuple[tuple[Text, Edit], ...] = ()
    record_edits: tuple[tuple[Text, Edit], ...] = ()
    offered: Mapping[PolicyKey, Choice] = MappingProxyType({})
    """The choices before anything was judged: the best of what was listed, whether it may run or not."""
    evidence: Mapping[str, Snapshot] = MappingProxyType({})
    """What is known of first sightings, with those of this run where they are recorded."""
    judgements: records.Judgements = MappingProxyType({})
    source: TagSource = resolve.StaticTags({})
    """What was asked, and repeats what it was told."""
    taken: tuple[taken_back.TakenBack, ...] = ()
    """What people took back since it was written."""
    ended: tuple[Hold, ...] = ()
    """Holds until a newer tag, where there is one now."""
    hold_edits: tuple[tuple[Text, Edit], ...] = ()
    """How holds change that follow from `taken` and `ended`; `added` are the files that they start."""
    added: tuple[Text, ...] = ()

    @property
    def edits(self) -> tuple[tuple[Text, Edit], ...]:
        """Everything there is to write, with the text that it belongs to: changed fields, records of them, and the lock."""
        of_fields = tuple((change.target.resource.block.text, change.edit) for change in self.changes)
        return of_fields + self.record_edits + self.lock_edits + self.hold_edits

    def judgement(self, policy: PolicyKey, tag: str) -> records.Judgement | None:
        """Return what was judged of a policy, of a deployed tag if it follows those; of several locks the first."""
        one = self.judgements.get((policy, tag)) or self.judgements.get((policy, ""))
        return one or next((one for (key, of), one in self.judgements.items() if key.plain == policy.plain and of in (tag, "")), None)

    @property
    def is_error(self) -> bool:
        """True when nothing may be written."""
        return any(result.severity == "error" for result in self.results)


def run(text: Text, open_source: OpenSource, finish: Finish = no_change, floor: Floor | None = None) -> Outcome:
    """Turn ResourceList text into ResourceList text. Only InputError, for text that is none, leaves as an exception.

    `finish` has the last word on the settings: the environment, or a command line. `floor` holds the rules from outside.
    """
    listed = resourcelist.read(text)
    try:
        rules = loading.load(listed.items, listed.function_config, finish, floor)
        if not rules.declared:
            return _idle(text, rules)
        examined = examine([block for block in listed.items if not is_definition(block)], rules, open_source)
    except ConfigError as error:
        return Outcome(resourcelist.splice(listed, (), error.problems), error.problems)
    edits = () if examined.is_error else tuple(edit for _, edit in examined.edits)
    try:
        return Outcome(resourcelist.splice(listed, edits, examined.results), examined.results, rules.asides)
    except InputError as error:  # an edit that cannot be proven
        results = (unreadable(error, "unproven"),)
        return Outcome(resourcelist.splice(listed, (), results), results, rules.asides)


def _idle(text: Text, rules: Config) -> Outcome:
    """Return the very bytes that came: without any policy nothing can be meant, and nothing is a mistake."""
    marked = b"$imagepolicy" in text.data or b"$imagescan" in text.data
    said = ("the items hold markers, but no policy is configured: nothing was looked up",) if marked else ()
    return Outcome((text.data,), (), rules.asides + said)


def examine(
    blocks: Sequence[Block], rules: Config, open_source: OpenSource, *, every: bool = False, graph: Graph = NOTHING
) -> Run:
    """Find out what is to change in the blocks, without writing anything. Raises InputError.

    With `every` policies that no field may need are resolved too, digests included. `graph` tells which fields of files
    kustomizations override.
    """
    keys = rules.policies.keys() if every else with_groups(needed.wanted(blocks, rules), rules.rulebook.groups)
    wanted = [rules.policies[key] for key in sorted(keys & rules.policies.keys())]
    source, lock, settings = resolve.Remembered(open_source(rules)), rules.record, rules.settings
    if settings.artifact is not None and settings.mode != "frozen":
        seen = source.recorded(one.repository for one in wanted)
        rules = rules._replace(evidence={**seen, **rules.evidence})
    policies, scoped = rules.policies, None
    if rules.is_by_folder:
        bound = bind.bind(blocks, rules, needed.expected(rules, {}), graph)
        scoped = scopes.scope(rules, bound, every=every)
        bound, policies, lock = bound._replace(targets=scoped.targets), scoped.policies, scoped.record
        wanted, rules = list(policies.values()), rules._replace(lock=scoped.lock)
    losing: Sequence[Target] = ()
    if any(one.is_verified for one in wanted):
        early = bound if scoped else bind.bind(blocks, rules, needed.expected(rules, {}), graph)
        losing = tag_only.losing(Deployed(early.targets, policies))
        wanted = [one for one in wanted if one.key not in {lost.setter.policy for lost in losing}]
    listings: records.Listings = {}
    dates: records.Dates = {}
    if settings.mode == "frozen":
        choices = decision.frozen(wanted, lock)
    else:
        listings = resolve.ask(decision.to_list(wanted), source.tags, WORKERS)
        dates = resolve.ask(decision.to_date(wanted, listings), lambda moment: source.created(*moment), WORKERS)
        locks = rules.rulebook.floor.locks if rules.rulebook.floor else rules.every_lock
        choices = decision.decide(wanted, listings, dates, lock, locks)
    open_choices = {key: choice for key, choice in choices.items() if not choice.policy.is_judged}
    if scoped is None:
        bound = bind.bind(blocks, rules, needed.expected(rules, open_choices), graph)
    deployed = Deployed(bound.targets, policies)
    choices = decision.follow(choices, deployed, listings, lock, is_frozen=settings.mode == "frozen")
    taken = taken_back.find(deployed, policies, rules.lock) if rules.remembers else ()
    choices = taken_back.held(choices, taken) if taken else choices
    offered = choices

    def digests_of(wanted: Iterable[tuple[Repository, str]]) -> digests.Answers:
        return resolve.ask(wanted, lambda question: source.digest(*question), WORKERS)

    evidence = recorded = rules.evidence
    looked: digests.Answers = {}
    if rules.recording:
        evidence, recorded, looked = _recorded_now(rules, offered, deployed, listings, dates, digests_of)
    judged, refused = records.Judged(offered), digests.never  # type: records.Judged, digests.Refused
    if any(choice.policy.is_judged for choice in choices.values()):
        judged, refused = _judged(offered, deployed, blocks, rules, lock, evidence, dates, source, is_fetch=every)
    choices = dict(judged.choices)
    questions = digests.to_ask(choices, deployed, lock, settings, every=every)
    answers = {**looked, **digests_of(one for one in questions if one not in looked)}
    pins = digests.settle(choices, deployed, lock, answers, settings, refused)
    guarded = guard.guard(choices, deployed, lock, settings)
    rewritten = rewrite.rewrite(deployed, choices, pins, guarded, settings, judged.still)
    renewed = records.Renewal(())
    if rules.lock or every:
        declared = () if rules.is_partial else rules.declared
        named = {key: choice for key, choice in choices.items() if key.plain in rules.declared}
        written = taken_back.written(rewritten.changes, rules.lock) if rules.remembers else {}
        renewed = lock_update.renew(rules.lock, named, pins, guarded.policies, declared, settings.now, written)
    lock_edits, noted = _lock_edits(rules, renewed)
    record_edits, not_recorded = _recorded(rewritten.changes) if settings.annotate else ((), ())
    said = [
        *rules.notes,
        *bound.results,
        *tag_only.refused(losing),
        *rewritten.results,
        *judged.results,
        *(one.said for one in taken),
        *not_recorded,
        *noted,
        *report.notes(choices.values(), listings, source.notes()),
    ]
    said = list(report.judged([*said, *_unbound(rules, bound, blocks)], settings))
    if settings.mode == "check":
        said += report.unwanted(rewritten.changes)
    elif not any(result.severity == "error" for result in said):
        said += report.changes(rewritten.changes)
    results = in_order(said)
    return Run(
        rules, choices, bound, rewritten.changes, results,
        listings, dates, answers, pins, guarded, renewed, lock_edits, record_edits, offered, recorded, judged.judgements, source,
        taken, tuple(taken_back.ended(rules.holds, choices)) if rules.remembers else (),
    )  # fmt: skip


def running(blocks: Iterable[Block], rules: Config) -> dict[PolicyKey, tuple[str, ...]]:
    """Return the tags that the fields of blocks hold, by policy."""
    deployed = Deployed(bind.bind(tuple(blocks), rules, needed.expected(rules, {})).targets, rules.policies)
    return {key: deployed.tags(policy) for key, policy in rules.policies.items() if deployed.has(key)}


def _recorded_now(
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


def _judged(
    choices: dict[PolicyKey, Choice], deployed: Deployed, blocks: Sequence[Block], rules: Config, lock: Lock | None,
    evidence: Mapping[str, Snapshot], dates: records.Dates, source: TagSource, *, is_fetch: bool,
) -> tuple[records.Judged, digests.Refused]:  # fmt: skip
    """Return the choices that may run now, what is to be said of those that may not, and what judges new digests."""
    from krmfn.plan import judge, refusals, together

    limit, is_frozen = rules.rulebook.max_changes, rules.settings.mode == "frozen"
    facts = refusals.Facts(rules.settings, evidence, source, dates, limit is not None)
    in_build = judge.is_build(blocks, rules.settings)
    goes_on = in_build or is_fetch  # the lock says what runs, where what is written reaches no field
    judged = judge.judge(choices, deployed, lock, facts, in_build=in_build)
    if groups := rules.rulebook.groups:
        judge_again = judge.trying(choices, deployed, lock, facts, in_build=in_build)
        judged = together.unite(
            judged, choices, groups, deployed, lock, judge_again, lambda key: absent(key, rules), in_build=goes_on, is_frozen=is_frozen
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


def absent(key: PolicyKey, rules: Config) -> str:
    """Return why a policy takes no part in a run; empty for one that does."""
    if key in rules.policies:
        return ""
    if key in rules.unresolved:
        return rules.unresolved[key].why
    return "it is suspended" if key in rules.suspended.values() else "it takes no part in this run"


def _recorded(changes: Sequence[records.Change]) -> tuple[tuple[tuple[Text, Edit], ...], tuple[Diagnostic, ...]]:
    """Return the edits that record changes as annotations, and what could not be recorded."""
    from krmfn.plan.annotate_choice import record

    recorded = record(changes)
    return recorded.edits, recorded.results


def _unbound(rules: Config, bound: Bound, blocks: Sequence[Block]) -> list[Diagnostic]:
    """Return which policies no field is bound to."""
    if bound.policies.issuperset(rules.policies) and bound.policies.issuperset(rules.unresolved):
        return []
    from krmfn.plan.unbound import unbound

    return unbound(rules, bound, blocks)


def _lock_edits(rules: Config, renewed: records.Renewal) -> tuple[tuple[tuple[Text, Edit], ...], tuple[Diagnostic, ...]]:
    """Return how the locks change, and what to say of it. What kustomize sent goes nowhere."""
    if not rules.lock or not renewed or rules.settings.mode == "frozen":
        return (), ()
    from krmfn.plan.lockfile import edit_lock

    edits: list[tuple[Text, Edit]] = []
    noted: list[Diagnostic] = []
    for one in rules.lock.objects:
        mine = renewed.at(one, rules.lock.home)
        if mine and not is_read_only(one):
            made, said = report.lock(one, mine, edit_lock(one, mine.entries), is_check=rules.settings.mode == "check")
            edits += ((one.block.text, edit) for edit in made)
            noted += said
    return tuple(edits), (*noted, *report.homeless(renewed, rules.lock))
