"""The whole flow, in order: read, configure, ask, decide, bind, rewrite, report, write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config import loading
from krmfn.config.records import Config, Finish, no_change
from krmfn.diagnostics import in_order, unreadable
from krmfn.errors import ConfigError, InputError
from krmfn.kubernetes.resource import is_definition
from krmfn.outcome import Outcome
from krmfn.plan import (
    bind,
    decision,
    digests,
    guard,
    needed,
    records,
    report,
    resolve,
    rewrite,
)
from krmfn.plan.current import Deployed
from krmfn.plan.records import Guarded, Pins
from krmfn.plan.resolve import TagSource
from krmfn.yamledit import resourcelist

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.floor import Floor
    from krmfn.config.hold import Hold
    from krmfn.config.snapshot import Snapshot
    from krmfn.kubernetes.overriding import Graph
    from krmfn.model import Choice, Diagnostic, PolicyKey
    from krmfn.plan.taken_back import TakenBack
    from krmfn.plan.target import Bound
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Edit, Text

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
    taken: tuple[TakenBack, ...] = ()
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
    remarks = ("the items hold markers, but no policy is configured: nothing was looked up",) if marked else ()
    return Outcome((text.data,), (), rules.asides + remarks)


def examine(
    blocks: Sequence[Block], rules: Config, open_source: OpenSource, *, every: bool = False, graph: Graph | None = None
) -> Run:
    """Find out what is to change in the blocks, without writing anything. Raises InputError.

    With `every` policies that no field may need are resolved too, digests included. `graph` tells which fields of files
    kustomizations override.
    """
    keys = rules.policies.keys() if every else _with_groups(needed.wanted(blocks, rules), rules)
    wanted = [rules.policies[key] for key in sorted(keys & rules.policies.keys())]
    source, lock, settings = resolve.Remembered(open_source(rules)), rules.record, rules.settings
    if settings.artifact is not None and settings.mode != "frozen":
        seen = source.recorded(one.repository for one in wanted)
        rules = rules._replace(evidence={**seen, **rules.evidence})
    policies, scoped = rules.policies, None
    if rules.is_by_folder:
        from krmfn.plan import scopes

        bound = bind.bind(blocks, rules, needed.expected(rules, {}), graph)
        scoped = scopes.scope(rules, bound, every=every)
        bound, policies, lock = bound._replace(targets=scoped.targets), scoped.policies, scoped.record
        wanted, rules = list(policies.values()), rules._replace(lock=scoped.lock)
    not_pinned: list[Diagnostic] = []
    if any(one.is_verified for one in wanted):
        from krmfn.plan import tag_only

        early = bound if scoped else bind.bind(blocks, rules, needed.expected(rules, {}), graph)
        losing = tag_only.losing(Deployed(early.targets, policies))
        not_pinned = tag_only.refused(losing)
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
    taken: tuple[TakenBack, ...] = ()
    if rules.remembers:
        from krmfn.plan import taken_back

        taken = taken_back.find(deployed, policies, rules.lock)
        choices = taken_back.held(choices, taken) if taken else choices
    offered = choices

    def digests_of(wanted: Iterable[tuple[Repository, str]]) -> digests.Answers:
        return resolve.ask(wanted, lambda question: source.digest(*question), WORKERS)

    evidence = recorded = rules.evidence
    looked: digests.Answers = {}
    if rules.recording:
        from krmfn import judging

        evidence, recorded, looked = judging.recorded_now(rules, offered, deployed, listings, dates, digests_of)
    judged, refused = records.Judged(offered), digests.never  # type: records.Judged, digests.Refused
    if any(choice.policy.is_judged for choice in choices.values()):
        from krmfn import judging

        judged, refused = judging.judge_all(offered, deployed, blocks, rules, lock, evidence, dates, source, is_fetch=every)
    choices = dict(judged.choices)
    questions = digests.to_ask(choices, deployed, lock, settings, every=every)
    answers = {**looked, **digests_of(one for one in questions if one not in looked)}
    pins = digests.settle(choices, deployed, lock, answers, settings, refused)
    guarded = guard.guard(choices, deployed, lock, settings)
    rewritten = rewrite.rewrite(deployed, choices, pins, guarded, settings, judged.still)
    renewed = _renewed(rules, choices, pins, guarded, rewritten.changes) if rules.lock or every else records.Renewal(())
    lock_edits, noted = _lock_edits(rules, renewed)
    record_edits, not_recorded = _recorded(rewritten.changes) if settings.annotate else ((), ())
    diagnostics = [
        *rules.notes,
        *bound.results,
        *not_pinned,
        *rewritten.results,
        *judged.results,
        *(one.said for one in taken),
        *not_recorded,
        *noted,
        *report.notes(choices.values(), listings, source.notes()),
    ]
    diagnostics = list(report.judged([*diagnostics, *_unbound(rules, bound, blocks)], settings))
    if settings.mode == "check":
        diagnostics += report.unwanted(rewritten.changes)
    elif not any(result.severity == "error" for result in diagnostics):
        diagnostics += report.changes(rewritten.changes)
    results = in_order(diagnostics)
    return Run(
        rules, choices, bound, rewritten.changes, results,
        listings, dates, answers, pins, guarded, renewed, lock_edits, record_edits, offered, recorded, judged.judgements, source,
        taken, _ended(rules, choices) if rules.remembers else (),
    )  # fmt: skip


def _with_groups(keys: frozenset[PolicyKey], rules: Config) -> frozenset[PolicyKey]:
    """Return policies with all that are in a group with one of them."""
    return keys.union(key for group in rules.rulebook.groups if keys.intersection(group.members) for key in group.members)


def _renewed(rules: Config, choices: Mapping[PolicyKey, Choice], pins: Pins, guarded: Guarded, changes: Sequence[records.Change]) -> records.Renewal:
    """Return the lock after the run; one that a part of the policies came with keeps what it holds of others."""
    from krmfn.plan import lock_update, taken_back

    declared = () if rules.is_partial else rules.declared
    named = {key: choice for key, choice in choices.items() if key.plain in rules.declared}
    written = taken_back.written(changes, rules.lock) if rules.remembers else {}
    return lock_update.renew(rules.lock, named, pins, guarded.policies, declared, rules.settings.now, written)


def _ended(rules: Config, choices: Mapping[PolicyKey, Choice]) -> tuple[Hold, ...]:
    from krmfn.plan import taken_back

    return tuple(taken_back.ended(rules.holds, choices))


def running(blocks: Iterable[Block], rules: Config) -> dict[PolicyKey, tuple[str, ...]]:
    """Return the tags that the fields of blocks hold, by policy."""
    deployed = Deployed(bind.bind(tuple(blocks), rules, needed.expected(rules, {})).targets, rules.policies)
    return {key: deployed.tags(policy) for key, policy in rules.policies.items() if deployed.has(key)}


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
    from krmfn.config.lock import is_read_only
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
