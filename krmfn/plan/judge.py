"""*judge*: which of the tags that a policy takes may run now: holds, then age. Pure.

The best tag is judged first, then the next best. What a field holds already is never judged away: a tag is cut at the
lowest deployed one that the policy takes, and fields above the chosen tag stay (`Chosen.above`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from krmfn.config.first_seen import latest
from krmfn.config.lock import Lock, Snapshot, recall
from krmfn.config.require import step
from krmfn.config.settings import Settings
from krmfn.frozen import field, frozen, replace
from krmfn.kubernetes.resource import KUSTOMIZE_ID
from krmfn.model import Choice, Chosen, Diagnostic, Following, ImagePolicy, Location, NotChosen, PassedOver, PolicyKey
from krmfn.plan.current import Deployed
from krmfn.plan.records import Dates
from krmfn.policies import selection
from krmfn.policies.number import moment
from krmfn.policies.reason import Reason
from krmfn.yamledit.nodes import Block

SHOWN = 5
"""How many of the tags that were passed over are told, besides those that fields hold."""
_CANDIDATES = frozenset({Reason.LOWER, Reason.SHADOWED, Reason.CHOSEN})
_FETCH = "run krmfn fetch on the package"


@frozen
class Judged:
    """The choices that may run, and what there is to say. A policy that nothing may move has no choice."""

    choices: Mapping[PolicyKey, Choice]
    results: tuple[Diagnostic, ...] = ()


@frozen
class Facts:
    """What the judgement of a run rests on."""

    settings: Settings
    evidence: Mapping[str, Snapshot]
    dates: Dates = field(default_factory=dict)

    def now(self, image: str | None = None) -> float | None:
        """Return the time: what was set, else that of the repository's own snapshot, or of the newest one."""
        if self.settings.now is not None:
            return self.settings.now
        if image is not None:
            return self.evidence[image].time if image in self.evidence else None
        return latest(one.time for one in self.evidence.values())


def is_build(blocks: Iterable[Block], settings: Settings) -> bool:
    """True if results reach no file, so that what runs is known from the lock alone: kustomize called."""
    return settings.is_build or any(KUSTOMIZE_ID.encode() in block.raw for block in blocks)


def judge(
    choices: Mapping[PolicyKey, Choice], deployed: Deployed, lock: Lock | None, facts: Facts, *, in_build: bool
) -> Judged:
    """Judge every choice of a policy that has requirements or holds; all others stay as they are."""
    found: dict[PolicyKey, Choice] = {}
    results: list[Diagnostic] = []
    for key, choice in choices.items():
        if not choice.policy.is_judged:
            found[key] = choice
            continue
        judge_of = _Judge(choice.policy, facts, deployed.tags(choice.policy))
        if isinstance(choice, Following):
            several = {
                tag: one if (problem := judge_of.problem(lock, in_build=in_build)) is None else problem
                for tag, one in choice.choices.items()
            }
            made = {tag: judge_of.one(one, (tag,)) for tag, one in several.items()}
            found[key] = replace(choice, choices={tag: one for tag, one in made.items() if one is not None})
        else:
            problem = judge_of.problem(lock, in_build=in_build)
            current = _current(choice.policy, deployed, lock, in_build=in_build)
            one = problem or judge_of.one(choice, current)
            if one is not None:
                found[key] = one
        results += judge_of.results
    return Judged(found, tuple(results))


def _current(policy: ImagePolicy, deployed: Deployed, lock: Lock | None, *, in_build: bool) -> tuple[str, ...]:
    """Return the tags that run: those of the fields; in a build, or without any field, the one of the record."""
    tags, record = deployed.tags(policy), recall(policy, lock)
    return (record.tag,) if record and (in_build or not tags) else tags


class _Judge:
    """Judges the tags of one policy."""

    def __init__(self, policy: ImagePolicy, facts: Facts, fields: Sequence[str]) -> None:
        self.policy, self.facts, self.fields = policy, facts, fields
        self.image = policy.repository.image
        self.snapshot = facts.evidence.get(self.image.canonical)
        self.now = facts.now(self.image.canonical)
        moment_of_holds = facts.now()
        self.holds = [one for one in policy.holds if one.is_in_force(moment_of_holds)]
        self.skipped = {one.skip: one for one in self.holds if one.skip}
        self.no_wait = {one.no_wait for one in self.holds if one.no_wait}
        by_policy = sorted((one for one in self.holds if one.tag), key=lambda one: one.policy is None)
        self.hold = next(iter(by_policy), None)
        self.results: list[Diagnostic] = []
        if moment_of_holds is None and any(one.until is not None for one in policy.holds):
            self._say("info", "no-time", "no time is known, so every hold is in force: set KRMFN_NOW")

    def _say(self, severity: str, code: str, message: str) -> None:
        location = Location(self.policy.defined)
        text = f"{self.image.name}: {message} (policy {self.policy.key})"
        self.results.append(Diagnostic(severity, code, text, location, policy=self.policy.key))  # type: ignore[arg-type]

    def problem(self, lock: Lock | None, *, in_build: bool) -> NotChosen | None:
        """Return why nothing can be judged: no lock where one is needed, no time where age counts."""
        if not self.policy.requirements:
            return None
        if in_build and (lock is None or lock.entry(self.policy.key) is None):
            message = (
                "require needs a lock under kustomize, which forgets what runs: the lock has no entry for this policy: "
                f"{_FETCH}, and list the file it writes under resources"
            )
            return NotChosen(self.policy, "lock", message)
        if self.now is None and self.facts.settings.mode != "frozen":
            message = (
                "minimumReleaseAge needs a time, and none is known: set KRMFN_NOW or SOURCE_DATE_EPOCH, "
                f"or {_FETCH}, which writes spec.time into the TagSnapshot"
            )
            return NotChosen(self.policy, "no-time", message)
        return None

    def one(self, choice: Chosen | NotChosen, deployed: Sequence[str]) -> Chosen | NotChosen | None:
        """Return the best tag that may run; None when everything stays as it is."""
        self._report(deployed)
        if isinstance(choice, NotChosen):
            return choice
        if choice.record:
            return self._recorded(choice)
        if choice.selection is None or choice.stays:
            return choice
        if self.hold is not None:
            return self._held(choice, deployed)
        if tuple(deployed) == (choice.tag,) or self.refusal(choice.tag, deployed) is None:
            return choice
        return self._next_best(choice, deployed)

    def _report(self, deployed: Sequence[str]) -> None:
        """Report what runs although a hold says that it should not: nobody rolls back but people."""
        for tag in deployed:
            if tag in self.skipped:
                self._say("warning", "held", f"{tag} is deployed and {self.skipped[tag].described}; nothing is rolled back")

    def _recorded(self, choice: Chosen) -> Chosen | NotChosen | None:
        """Refuse a record that a hold speaks against; when it only stands in for a registry, everything stays."""
        skipped = self.skipped.get(choice.tag)
        if skipped is None:
            return choice
        message = f"{choice.record} holds tag {choice.tag}, which is {skipped.described}: {_FETCH} to renew it"
        if self.facts.settings.mode == "frozen":
            return NotChosen(self.policy, "lock", message)
        self._say("warning", "held", f"kept as it is: {message}")
        return None

    def _held(self, choice: Chosen, deployed: Sequence[str]) -> Chosen | None:
        """Return the tag that a hold names, if the policy takes it and it may run."""
        hold = self.hold
        assert hold is not None  # noqa: S101 - asked before
        chosen = choice.selection
        is_there = chosen is not None and chosen.reason(hold.tag) in _CANDIDATES | {Reason.OLDER}
        refusal = None if hold.tag in deployed else self.refusal(hold.tag, deployed)
        if not is_there or refusal is not None:
            why = str(refusal) if refusal else f"tag {hold.tag} is not listed, or the policy does not take it"
            self._say("warning", "held", f"kept as it is: {hold.described}, on {hold.tag}, which cannot run: {why}")
            return None
        if choice.tag == hold.tag:
            return choice
        passed = PassedOver(choice.tag, f"{hold.described}, on {hold.tag}", "hold", hold.until)
        self._say("info", "passed-over", f"{passed}; {hold.tag} may run")
        return replace(choice, tag=hold.tag, digest=None, stays="", passed_over=(passed,), is_held=True)

    def refusal(self, tag: str, deployed: Sequence[str]) -> PassedOver | None:
        """Return why a tag may not run now; None when it may."""
        if tag in self.skipped:
            return PassedOver(tag, self.skipped[tag].described, "hold", self.skipped[tag].until)
        ages = [] if tag in self.no_wait else [one.age for one in self.policy.requirements if one.age]
        below = [other for other in deployed if other != tag]
        steps = {step(other, tag) for other in below} or {""}
        wait = max((age.of(name) for age in ages for name in steps), default=0)
        return self._too_young(tag, wait) if wait else None

    def _too_young(self, tag: str, wait: float) -> PassedOver | None:
        seen = self.snapshot.seen.get(tag) if self.snapshot else None
        digest = self.snapshot.tags.get(tag) if self.snapshot else None
        if seen and seen.is_old(digest):
            return None
        since = seen.since(digest) if seen else None
        if since is None or self.now is None:
            return PassedOver(tag, f"too young for all that is known: nothing tells since when it is there: {_FETCH}", "age")
        eligible = since + wait
        return None if self.now >= eligible else PassedOver(tag, f"too young, eligible {moment(eligible)}", "age", eligible)

    def _next_best(self, choice: Chosen, deployed: Sequence[str]) -> Chosen | None:
        chosen = choice.selection
        assert chosen is not None  # noqa: S101 - asked before
        candidates = [tag for tag, reason in zip(chosen.tags, chosen.reasons, strict=True) if reason in _CANDIDATES]
        floor = self._floor(deployed, candidates)
        refused = {
            tag: why for tag in candidates if tag != floor and (why := self.refusal(tag, deployed)) is not None
        }
        current = deployed[0] if self.policy.rules.follows_current else None
        best = self._best([tag for tag in candidates if tag not in refused], current)
        is_below = floor is not None and best is not None and selection.outranks(self.policy.rules, floor, best)
        if best is None or is_below:
            best = None
        passed = self._passed(refused, best, current)
        self._say("info", "passed-over", f"{passed[0]}; {f'{best} may run' if best else 'no other may run'}")
        if best is None:
            return None
        held = dict.fromkeys((*deployed, *self.fields))
        above = frozenset(tag for tag in held if tag != best and self._best([tag, best], current) == tag)
        return replace(choice, tag=best, digest=None, stays="", passed_over=passed, above=above)

    def _floor(self, deployed: Sequence[str], candidates: Sequence[str]) -> str | None:
        """Return the lowest tag that is deployed; None when there is none, or one that the policy does not take."""
        rules = self.policy.rules
        if rules.follows_current:
            return deployed[0] if deployed else None
        if not deployed or not all(tag in candidates or selection.accepts(rules, tag) for tag in deployed):
            return None
        lowest = deployed[0]
        for tag in deployed[1:]:
            if self._best([tag, lowest], None) == lowest:
                lowest = tag
        return lowest

    def _best(self, tags: Sequence[str], current: str | None) -> str | None:
        dates, repository = self.facts.dates, self.policy.repository
        return selection.select(
            self.policy.rules, tags, created=lambda tag: str(dates.get((repository, tag), "")), current=current
        ).tag

    def _passed(self, refused: Mapping[str, PassedOver], best: str | None, current: str | None) -> tuple[PassedOver, ...]:
        """Return the best of the refused tags that are above what was chosen, best first."""
        left, found = dict(refused), []  # type: dict[str, PassedOver], list[PassedOver]
        while left and len(found) < SHOWN:
            top = self._best([*left, *([best] if best else [])], current)
            if top is None or top == best or top not in left:
                break
            found.append(left.pop(top))
        return tuple(found)
