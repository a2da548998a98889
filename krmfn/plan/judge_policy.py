"""Judging the tags of one policy: the best first, then the next best, until one may run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from krmfn.errors import PASSING
from krmfn.model import Choice, Chosen, Diagnostic, ImagePolicy, Location, NotChosen, PassedOver, Severity
from krmfn.plan.records import Judgement, kept
from krmfn.plan.refusals import Facts, Refusals, Unjudged
from krmfn.policies import selection
from krmfn.policies.reason import CANDIDATES, Reason

if TYPE_CHECKING:
    from krmfn.config.hold import Hold
    from krmfn.config.lock import LockEntry
    from krmfn.policies.selection import Selection

SHOWN = 5
"""How many of the tags that were passed over are told, besides those that fields hold."""
LOOKS = 20
"""How many tags of a policy the source is asked about before everything stays."""
_FETCH = "run krmfn fetch on the package"


class Judge:
    """Judges the tags of one policy, or only those that are among some. `deployed` are those that run."""

    def __init__(self, policy: ImagePolicy, facts: Facts, deployed: Sequence[str], among: Collection[str] | None = None) -> None:
        self.policy, self.facts, self.deployed, self.among = policy, facts, tuple(deployed), among
        self.is_stopped = False
        self.image = policy.repository.image
        self.refusals = Refusals(policy, facts, deployed)
        # A hold on a tag that names this policy counts before one that names its image.
        by_policy = sorted((one for one in self.refusals.holds if one.tag), key=lambda one: one.policy is None)
        self.hold = next(iter(by_policy), None)
        self.results: list[Diagnostic] = []
        self.passed: tuple[PassedOver, ...] = ()
        self.refused: dict[str, PassedOver] = {}
        self.steps: tuple[tuple[str, int], ...] = ()
        if facts.now() is None and any(one.until is not None for one in policy.holds):
            self._say("info", "no-time", "no time is known, so every hold is in force: set KRMFN_NOW")

    def _say(self, severity: Severity, code: str, message: str) -> None:
        text = f"{self.image.name}: {message} (policy {self.policy.key})"
        self.results.append(Diagnostic(severity, code, text, Location(self.policy.defined), policy=self.policy.key))

    def judgement(self, choice: Choice | None) -> Judgement:
        """Return what was judged, with the choice that came of it."""
        runs = choice.tag if isinstance(choice, Chosen) else None
        return Judgement(runs, self.passed, self.refused, self.steps, tuple(self.results), self.is_stopped)

    def _problem(self) -> NotChosen | None:
        """Return why nothing can be judged: no lock where one is needed, no time where a rule asks for it."""
        policy, facts = self.policy, self.facts
        asking = (("require", policy.requirements), ("windows", policy.windows), ("maxChanges", facts.is_limited), ("follow", policy.rules.followed))
        rules = [name for name, is_there in asking if is_there]
        lock = facts.deployed.lock
        if rules and facts.in_build and (lock is None or lock.entry(policy.key) is None):
            message = (
                f"{' and '.join(rules)} needs a lock under kustomize, which forgets what runs: the lock has no entry for this policy: "
                f"{_FETCH}, and list the file it writes under resources"
            )
            return NotChosen(policy, "lock", message)
        timed = {
            "minimumReleaseAge": self.refusals.now is None and any(one.age for one in policy.requirements),
            "windows": facts.now() is None and policy.windows and not facts.settings.ignore_windows,
            "follow": facts.now() is None and policy.rules.followed,
        }
        needs = [name for name, is_missing in timed.items() if is_missing]
        if needs and facts.settings.mode != "frozen":
            message = (
                f"{' and '.join(needs)} needs a time, and none is known: set KRMFN_NOW or SOURCE_DATE_EPOCH, "
                f"or {_FETCH}, which writes spec.time into the TagSnapshot"
            )
            return NotChosen(policy, "no-time", message)
        return None

    def choose(self, choice: Choice) -> Choice | None:
        """Return the best tag that may run; None when everything stays as it is."""
        choice = self._problem() or choice
        self._report()
        if isinstance(choice, NotChosen):
            return choice
        if choice.record:
            return self._recorded(choice)
        if choice.selection is None or choice.stays:
            return choice
        if choice.origin is not None:
            return self._promoted(choice, choice.origin)
        if self.hold is not None:
            return self._held(choice, self.hold, choice.selection)
        if self.deployed == (choice.tag,) and choice.tag in (self.among or self.deployed):
            return self._stays(choice)
        return self._next_best(choice, choice.selection)

    def _promoted(self, choice: Chosen, origin: LockEntry) -> Choice | None:
        """Return what another environment recorded, once it has soaked there and may run here, too."""
        followed, tag = self.policy.rules.followed, choice.tag
        if followed is None or (self.among is not None and tag not in self.among):
            return kept(choice, self.deployed)
        if self.deployed == (tag,) and not origin.digest:
            return choice
        self.refusals.origin = origin
        hold = self.hold if self.hold and self.hold.tag != tag else None
        held = PassedOver(tag, hold.described, "hold", hold.until, hold.state) if hold else None
        refusal = held or self.refusals.soaking(followed) or self.refusals.known(tag) or self.refusals.looked(tag)
        if isinstance(refusal, Unjudged):
            return self._stop(refusal)
        if refusal is None:
            return self._verified(choice)
        self.passed, self.refused = (refusal,), {tag: refusal}
        return kept(choice, self.deployed, refusal)

    def _stays(self, choice: Chosen) -> Choice | None:
        """Keep the tag that is deployed. Only where its digest may move is the new one judged."""
        if not (self.policy.is_verified and self.policy.digest_reflection == "Always"):
            return choice
        verdict = self.refusals.looked(choice.tag)
        if isinstance(verdict, Unjudged):
            return self._stop(verdict)
        if verdict is not None:
            self._say("warning", "passed-over", f"{verdict}; its digest stays")
            return None
        return self._verified(choice)

    def _verified(self, choice: Chosen) -> Chosen:
        """Return the choice with the digest that was verified, if one had to be."""
        if choice.tag not in self.refusals.verified:
            return choice
        digest, signers = self.refusals.verified[choice.tag]
        return choice._replace(digest=digest, verified_by=signers)

    def _report(self) -> None:
        """Report what runs although a hold says that it should not: nobody rolls back but people."""
        for tag in self.deployed:
            if tag in self.refusals.skipped:
                self._say("warning", "held", f"{tag} is deployed and {self.refusals.skipped[tag].described}; nothing is rolled back")

    def _recorded(self, choice: Chosen) -> Choice | None:
        """Refuse a record that a hold speaks against, or outside of frozen what must be signed; what stands in lets all stay."""
        code, message = self.refusals.of_record(choice.tag, choice.record)
        if message and self.facts.settings.mode == "frozen":
            return NotChosen(self.policy, "lock", message)
        if message:
            self._say("warning", code, f"kept as it is: {message}")
        return None if message else choice

    def _held(self, choice: Chosen, hold: Hold, selection: Selection) -> Choice | None:
        """Return the tag that a hold names, if the policy takes it and it may run."""
        # The policy may pass the tag over for no more than that a newer one is there: that is what the hold is for.
        is_there = selection.reason(hold.tag) in {*CANDIDATES, Reason.OLDER}
        refusal: PassedOver | Unjudged | None = None
        if is_there and hold.tag not in self.deployed:
            refusal = self.refusals.known(hold.tag) or self.refusals.looked(hold.tag)
        if isinstance(refusal, Unjudged):
            return self._stop(refusal)
        if not is_there or refusal is not None:
            why = str(refusal) if refusal else f"tag {hold.tag} is not listed, or the policy does not take it"
            self._say("warning", "held", f"kept as it is: {hold.described}, on {hold.tag}, which cannot run: {why}")
            return None
        if choice.tag == hold.tag:
            return self._verified(choice)
        why = f"{hold.described}, on {hold.tag}"
        passed = PassedOver(choice.tag, why, "hold", hold.until, hold.state)
        self.passed, self.refused = (passed,), {passed.tag: passed}
        return self._verified(choice._replace(tag=hold.tag, digest=None, stays="", passed_over=(passed,), is_held=True))

    def _stop(self, one: Unjudged) -> NotChosen | None:
        """Keep everything, as nobody can say now whether a better tag may run. What does not pass by itself is an error."""
        self.is_stopped = True
        if one.error.failure not in (*PASSING, "not-found"):
            return NotChosen(self.policy, one.error.failure, f"what is required of tag {one.tag} cannot be judged: {one.error}")
        self._say("warning", "not-judged", f"kept as it is: what is required of tag {one.tag} cannot be judged: {one.error}")
        return None

    def _next_best(self, choice: Chosen, selected: Selection) -> Choice | None:
        candidates = [tag for tag in selected.candidates if self.among is None or tag in self.among]
        # What runs is never judged away: the lowest deployed tag may always run, and nothing below it is looked for.
        floor = self._floor(candidates)
        refused = {tag: why for tag in candidates if tag != floor and (why := self.refusals.known(tag)) is not None}
        self.refused = refused
        self.steps = self._steps(candidates)
        current = self.deployed[0] if self.policy.rules.follows_current else None
        left, looks = [tag for tag in candidates if tag not in refused], 0
        # The source is asked about the best tag that is left, then about the next: one question as a rule, and at most LOOKS.
        while True:
            best = self._best(left, current)
            is_below = floor is not None and best is not None and selection.outranks(self.policy.rules, floor, best)
            if best is None or is_below:
                best = None
                break
            verdict = None if best == floor else self.refusals.looked(best)
            if isinstance(verdict, Unjudged):
                self.passed = (PassedOver(best, f"not judged: {verdict.error}", "unjudged", None, "not judged"),)
                return self._stop(verdict)
            if verdict is None:
                break
            refused[best], looks = verdict, looks + 1
            left.remove(best)
            if looks == LOOKS:
                self.passed = self._passed(refused, None, current)
                self.is_stopped = True
                self._say("warning", "not-judged", f"kept as it is: none of the best {LOOKS} tags may run; {best}: {verdict.why}")
                return None
        if best == choice.tag:
            return self._verified(choice)
        passed = self.passed = self._passed(refused, best, current)
        if best is None:
            return None
        # Fields that hold a better tag than this one keep it: a requirement never takes anything back.
        held = dict.fromkeys((*self.deployed, *self.facts.deployed.tags(self.policy)))
        above = frozenset(tag for tag in held if tag != best and self._best([tag, best], current) == tag)
        return self._verified(choice._replace(tag=best, digest=None, stays="", passed_over=passed, above=above))

    def _steps(self, candidates: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """Return how many of the tags that the policy takes are not held, and how many of those are old enough."""
        rules = [one.rule for one in self.refused.values()]
        unheld = len(candidates) - rules.count("hold")
        held = (("not held", unheld),) if self.refusals.skipped else ()
        is_aged = any(one.age for one in self.policy.requirements)
        return (*held, ("old enough, as far as is recorded", unheld - rules.count("age"))) if is_aged else held

    def _floor(self, candidates: Sequence[str]) -> str | None:
        """Return the lowest tag that is deployed; None when there is none, or one that the policy does not take."""
        rules, deployed = self.policy.rules, self.deployed
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
        left, passed = dict(refused), []  # type: dict[str, PassedOver], list[PassedOver]
        while left and len(passed) < SHOWN:
            top = self._best([*left, *([best] if best else [])], current)
            if top is None or top == best or top not in left:
                break
            passed.append(left.pop(top))
        return tuple(passed)
