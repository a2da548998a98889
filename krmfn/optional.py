"""The steps that a plain run does without: each does nothing, and imports nothing, where no rule and no lock asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from krmfn.kubernetes.resource import KUSTOMIZE_ID
from krmfn.plan import report
from krmfn.plan.records import Judged, Recorded, Renewal, Sightings, by_policy
from krmfn.yamledit.scalars import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.config.snapshot import Snapshot
    from krmfn.model import Choice, Choices, Diagnostic, ImagePolicy, PassedOver, PolicyKey
    from krmfn.plan.current import Deployed
    from krmfn.plan.records import Change, Dates, Guarded, Listings, Pins, Scope
    from krmfn.plan.resolve import Remembered
    from krmfn.plan.taken_back import TakenBack
    from krmfn.plan.target import Bound
    from krmfn.yamledit.text import Edit, Text


def hold(choices: Choices, scope: Scope, deployed: Deployed) -> tuple[Choices, tuple[TakenBack, ...]]:
    """Return the choices with holds for the tags that people took back since `krmfn update` wrote them, and those tags."""
    if not scope.rules.remembers:
        return choices, ()
    from krmfn.plan import taken_back

    taken = taken_back.find(deployed, scope.rules.lock)
    return taken_back.held(choices, taken), taken


def see(
    choices: Choices, scope: Scope, deployed: Deployed, listings: Listings, dates: Dates, source: Remembered
) -> Sightings:
    """Return when tags were seen for the first time; `krmfn fetch` asks for some digests and adds what it sees now."""
    rules = scope.rules
    if not rules.recording:
        return Sightings(rules.evidence, rules.evidence)
    from krmfn.plan import sightings

    is_bootstrap, before, now = rules.recording == "bootstrap", rules.evidence, rules.settings.now or 0.0
    looked = source.digests(sightings.to_look_at(choices.values(), deployed, dates, before, is_bootstrap=is_bootstrap))
    believed = written = sightings.record(scope.wanted, listings, looked, before, now, is_bootstrap=is_bootstrap)
    if rules.rulebook.floor is not None:  # what is believed are its snapshots, what is renewed are those of the tree
        written = sightings.record(scope.wanted, listings, looked, rules.stored, now, is_bootstrap=is_bootstrap)
    return Sightings(believed, written, looked)


def judge(
    choices: Choices, scope: Scope, deployed: Deployed, evidence: Mapping[str, Snapshot], dates: Dates, source: Remembered
) -> Judged:
    """Return the choices that may run now, and what is to be said of those that may not."""
    rules = scope.rules
    if not any(policy.is_judged for policy in (*scope.wanted, *(choice.policy for choice in choices.values()))):
        return Judged(choices)
    from krmfn.plan import judge, refusals

    limit, groups = rules.rulebook.max_changes, rules.rulebook.groups
    # kustomize sends what is on disk and drops what it gets back: then only the lock says what runs.
    in_build = rules.settings.is_build or any(KUSTOMIZE_ID.encode() in block.raw for block in scope.blocks)
    facts = refusals.Facts(rules.settings, evidence, source, dates, deployed, limit is not None, in_build, scope.every)
    judged = judge.judge(choices, facts)
    if groups:
        from krmfn.plan import together

        absent = {key: why for group in groups for key in group.members if (why := _absent(key, rules))}
        judged = together.unite(judged, choices, groups, facts, judge.trying(choices, facts), absent)
    if not scope.is_frozen and (limit is not None or any(policy.windows for policy in scope.wanted)):
        from krmfn.plan import turns

        # Whoever waits for a window takes no turn, so the units are worked out anew.
        judged = turns.await_windows(judged, turns.units(judged, groups, facts), facts)
        if limit is not None:
            judged = turns.take_turns(judged, turns.units(judged, groups, facts), limit, rules.changed, facts)
    judged = judge.tell(judged, choices)
    if not in_build:
        shut = frozenset(policy.key for policy in scope.wanted if refusals.shut(policy, facts))
        judged = judged._replace(still=shut | {key for (key, _), choice in judged.choices.items() if refusals.waits(choice)})

    def refused(policy: ImagePolicy, tag: str, digest: str) -> PassedOver | None:
        return refusals.Refusals(policy, facts).moved(tag, digest)

    return judged._replace(refused=refused)


def _absent(key: PolicyKey, rules: Config) -> str:
    """Return why a policy takes no part in a run; empty for one that does."""
    if key in rules.policies:
        return ""
    if key in rules.unresolved:
        return rules.unresolved[key].why
    return "it is suspended" if key in rules.suspended.values() else "it takes no part in this run"


def record(choices: Choices, scope: Scope, pins: Pins, guarded: Guarded, changes: Sequence[Change]) -> Recorded:
    """Return what is written down besides the fields: the locks after the run, annotations, and the holds that end."""
    recorded, rules = Recorded(), scope.rules
    if rules.settings.annotate:
        from krmfn.plan import annotate_choice

        edits, results = annotate_choice.record(changes)
        recorded = recorded._replace(annotations=edits, results=results)
    if rules.remembers:
        from krmfn.plan import taken_back

        recorded = recorded._replace(ended=tuple(taken_back.ended(rules.holds, choices)))
    if rules.lock or scope.every:
        renewal = _renewed(by_policy(choices, scope.wanted), pins, guarded, changes, rules)
        edits, results = _lock_edits(renewal, rules)
        recorded = recorded._replace(renewal=renewal, lock_edits=edits, results=(*recorded.results, *results))
    return recorded


def _renewed(
    choices: Mapping[PolicyKey, Mapping[str, Choice]], pins: Pins, guarded: Guarded, changes: Sequence[Change], rules: Config
) -> Renewal:
    """Return the lock after the run; one that a part of the policies came with keeps what it holds of others."""
    from krmfn.plan import lock_update, taken_back

    declared = () if rules.is_partial else rules.declared
    named = {key: by_tag for key, by_tag in choices.items() if key.plain in rules.declared}
    written = taken_back.written(changes, rules.lock) if rules.remembers else {}
    return lock_update.renew(rules.lock, named, pins, guarded.policies, declared, rules.settings.now, written)


def _lock_edits(renewal: Renewal, rules: Config) -> tuple[tuple[tuple[Text, Edit], ...], tuple[Diagnostic, ...]]:
    """Return how the locks change, and what to say of it. What kustomize sent goes nowhere."""
    if not rules.lock or not renewal or rules.settings.mode == "frozen":
        return (), ()
    from krmfn.config.lock import is_read_only
    from krmfn.plan.lockfile import edit_lock

    edits: list[tuple[Text, Edit]] = []
    results: list[Diagnostic] = []
    for lock in rules.lock.objects:
        mine = renewal.at(lock, rules.lock.home)
        if mine and not is_read_only(lock):
            edited = edit_lock(lock, mine.entries)
            edits += () if isinstance(edited, Refusal) else ((lock.block.text, edit) for edit in edited)
            results.append(report.lock(lock, mine, edited, is_check=rules.settings.mode == "check"))
    return tuple(edits), (*results, *report.homeless(renewal, rules.lock))


def unbound(scope: Scope, bound: Bound) -> list[Diagnostic]:
    """Return which policies no field is bound to."""
    rules = scope.rules
    if bound.policies.issuperset(rules.policies) and bound.policies.issuperset(rules.unresolved):
        return []
    from krmfn.plan import unbound

    return unbound.unbound(rules, bound, scope.blocks)
