"""The guard: never an older image by accident. Pure.

A current value that the policy accepts and that orders before everything listed says that the list is incomplete: a
truncated page, an outage, a mirror that lags. The same holds for a value that the policy cannot read, such as `8.4` or
`1.2-alpine`, when its numbers are higher. That a tag is missing is no alarm by itself, and a value that the policy reads
and no longer accepts (its range was changed) never is. What nothing can order moves, and an info result tells it.
"""

from __future__ import annotations

from collections.abc import Iterator

from krmfn.model import Choices, Chosen, Diagnostic, Location, Part, PolicyKey, Severity
from krmfn.plan.current import Deployed, current_tag, is_of, place, recall
from krmfn.plan.records import Guarded, Place
from krmfn.policies import selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock, LockEntry
    from krmfn.config.settings import Settings
    from krmfn.model import LatestRef


def guard(choices: Choices, deployed: Deployed, settings: Settings) -> Guarded:
    """Find what would move backwards. Under `onDowngrade: allow` that is only what a requirement passed over."""
    ahead = frozenset(_ahead(choices, deployed))
    if settings.on_downgrade == "allow":
        return Guarded(places=ahead)
    watch = _Watch(choices, "error" if settings.on_downgrade == "fail" else "warning")
    policies = frozenset(watch.records(deployed.lock))
    places = ahead | frozenset(watch.fields(deployed, policies))
    return Guarded(policies, places, tuple(watch.results))


def _ahead(choices: Choices, deployed: Deployed) -> Iterator[Place]:
    """Yield the places with a field that is ahead of what may run now: a requirement never takes anything back."""
    above = {key: one for (key, tag), one in choices.items() if isinstance(one, Chosen) and one.above and not tag}
    for target in deployed.targets if above else ():
        chosen = above.get(target.setter.policy)
        if chosen and is_of(target, chosen.policy) and current_tag(target, chosen.policy) in chosen.above:
            yield place(target)


class _Watch:
    def __init__(self, choices: Choices, severity: Severity) -> None:
        self.chosen = {key: choice for key, choice in choices.items() if isinstance(choice, Chosen)}
        self.severity = severity
        self.results: list[Diagnostic] = []
        self.verdicts: dict[tuple[PolicyKey, str, str], bool | None] = {}

    def records(self, lock: Lock | None) -> Iterator[PolicyKey]:
        """Find the policies whose lock entry or status is newer than what was chosen from a list."""
        for (key, from_tag), chosen in self.chosen.items():
            if chosen.passed_over:
                continue  # a better tag is listed, and may not run now: that the record is newer is no sign of an outage
            recorded: LatestRef | LockEntry | None = None
            if from_tag:
                recorded = lock.following(key, from_tag) if lock else None
            elif not chosen.record:
                recorded = recall(chosen.policy, lock)
            if recorded and self.is_backwards(chosen, recorded.tag):
                message = f"{self._why(chosen, recorded.tag)}; nothing that follows policy {key} moves"
                self.results.append(Diagnostic(self.severity, "downgrade", message, Location(chosen.policy.defined), policy=key))
                yield key

    def fields(self, deployed: Deployed, held: frozenset[PolicyKey]) -> Iterator[Place]:
        """Find the places with a field that is newer than what was chosen."""
        for target in deployed.targets:
            chosen = self.chosen.get((target.setter.policy, ""))
            if chosen is None or chosen.policy.key in held or not is_of(target, chosen.policy):
                continue
            tag = deployed.tag(target) if target.setter.part is Part.VERSION else current_tag(target, chosen.policy)
            if chosen.is_held or tag in chosen.above:  # people want it so; a better tag that has to wait is no outage
                continue
            if tag is None:
                shown, order = "a digest without a tag", None if deployed.is_pinned_alone(target) else False
            else:
                shown, order = tag, self.is_backwards(chosen, tag)
            if order is None:
                name = chosen.policy.repository.image.name
                message = f"{name}: {shown} and {chosen.tag} have no common order: nothing tells which is newer"
                self.results.append(Diagnostic("info", "no-order", message, target.location, policy=chosen.policy.key))
            elif order:
                message = self._why(chosen, shown)
                self.results.append(Diagnostic(self.severity, "downgrade", message, target.location, policy=chosen.policy.key))
                yield place(target)

    def is_backwards(self, chosen: Chosen, tag: str) -> bool | None:
        """True if the tag is strictly newer than the chosen one and no rule leaves it out; None when nothing orders them."""
        key, rules = (chosen.policy.key, tag, chosen.tag), chosen.policy.rules
        if tag == chosen.tag:
            return False
        if key not in self.verdicts:
            self.verdicts[key] = selection.goes_back(rules, tag, chosen.tag)
        return self.verdicts[key]

    def _why(self, chosen: Chosen, tag: str) -> str:
        name = chosen.policy.repository.image.name
        head = f"{name}: kept {tag}: the policy accepts it and it is newer than {chosen.tag}"
        if not selection.accepts(chosen.policy.rules, tag):
            head = f"{name}: kept {tag}: the policy cannot read it, and its numbers are above {chosen.tag}"
        if chosen.policy.rules.followed and not chosen.record:
            return f"{head}, which {chosen.policy.rules.followed.policy} of lock {chosen.policy.rules.followed.lock} went down to; onDowngrade: allow follows it"
        if chosen.record:
            return f"{head}, which {chosen.record} holds; run krmfn fetch to renew the lock, or set onDowngrade: allow"
        return (
            f"{head}, the best of the {chosen.listed} tags that were listed, so the list is incomplete (an outage, or {tag} "
            f"was deleted); to move to {chosen.tag}, narrow the policy or set onDowngrade: allow"
        )
