"""The guard: never an older image by accident. Pure.

A current value that the policy accepts and that orders before everything listed says that the list is incomplete: a
truncated page, an outage, a mirror that lags. That a tag is missing is no alarm by itself, and a value that the policy
no longer accepts (its range was changed) never is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from krmfn.choosing import selection
from krmfn.configuration.lock import Lock, recall
from krmfn.configuration.settings import Settings
from krmfn.model import Choice, Chosen, Diagnostic, Field, Following, Location, PolicyKey, Severity
from krmfn.steps.deployed import Deployed, current_tag, is_of, place
from krmfn.steps.verdict import Guarded, Place


def guard(choices: Mapping[PolicyKey, Choice], deployed: Deployed, lock: Lock | None, settings: Settings) -> Guarded:
    """Find what would move backwards. Under `onDowngrade: allow` that is nothing."""
    if settings.on_downgrade == "allow":
        return Guarded()
    watch = _Watch(choices, "error" if settings.on_downgrade == "fail" else "warning")
    policies = frozenset(watch.records(lock))
    places = frozenset(watch.fields(deployed, policies))
    return Guarded(policies, places, tuple(watch.results))


class _Watch:
    def __init__(self, choices: Mapping[PolicyKey, Choice], severity: Severity) -> None:
        self.chosen = {key: choice for key, choice in choices.items() if isinstance(choice, Chosen)}
        self.following = [choice for choice in choices.values() if isinstance(choice, Following)]
        self.severity = severity
        self.results: list[Diagnostic] = []
        self.verdicts: dict[tuple[PolicyKey, str], bool] = {}

    def records(self, lock: Lock | None) -> Iterator[PolicyKey]:
        """Find the policies whose lock entry or status is newer than what was chosen from a list."""
        for key, chosen in self.chosen.items():
            found = None if chosen.record else recall(chosen.policy, lock)
            if found and self.is_backwards(chosen, found.tag):
                self._hold(chosen, found.tag)
                yield key
        for following in self.following:
            for tag, choice in following.choices.items():
                entry = lock.following(following.policy.key, tag) if lock else None
                if isinstance(choice, Chosen) and entry is not None and self.is_backwards(choice, entry.tag):
                    self._hold(choice, entry.tag)
                    yield following.policy.key

    def _hold(self, chosen: Chosen, tag: str) -> None:
        key, why = chosen.policy.key, self._why(chosen, tag)
        message = f"{why}; nothing that follows policy {key} moves"
        self.results.append(
            Diagnostic(self.severity, "downgrade", message, Location(chosen.policy.defined), policy=key)
        )

    def fields(self, deployed: Deployed, held: frozenset[PolicyKey]) -> Iterator[Place]:
        """Find the places with a field that is newer than what was chosen."""
        for target in deployed.targets:
            chosen, tag = self.chosen.get(target.setter.policy), current_tag(target)
            if chosen is None or tag is None or chosen.policy.key in held or not is_of(target, chosen.policy):
                continue
            if self.is_backwards(chosen, tag):
                where = Field(target.scalar.path, target.scalar.value)
                location = Location(target.resource.id, where, target.resource.place(target.scalar.start))
                self.results.append(
                    Diagnostic(self.severity, "downgrade", self._why(chosen, tag), location, policy=chosen.policy.key)
                )
                yield place(target)

    def is_backwards(self, chosen: Chosen, tag: str) -> bool:
        """Tell whether the policy accepts the tag and orders it strictly before the chosen one."""
        key, rules = (chosen.policy.key, tag), chosen.policy.rules
        if tag != chosen.tag and key not in self.verdicts:
            self.verdicts[key] = selection.outranks(rules, tag, chosen.tag)
        return tag != chosen.tag and self.verdicts[key]

    def _why(self, chosen: Chosen, tag: str) -> str:
        head = f"{chosen.policy.repository.image.name}: kept {tag}: the policy accepts it and it is newer than {chosen.tag}"
        if chosen.record:
            return f"{head}, which {chosen.record} holds; run krmfn fetch to renew the lock, or set onDowngrade: allow"
        return (
            f"{head}, the best of the {chosen.listed} tags that were listed, so the list is incomplete (an outage, or {tag} "
            f"was deleted); to move to {chosen.tag}, narrow the policy or set onDowngrade: allow"
        )
