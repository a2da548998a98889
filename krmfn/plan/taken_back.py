"""*taken back*: fields that an update moved up and that people moved down again, by what the lock says was written. Pure.

Nothing is guessed: a field without a record was never taken back, and neither was one whose policy has changed since.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config.hold import Hold
from krmfn.model import Choice, ChoiceKey, Choices, Chosen, Diagnostic, ImagePolicy, Part, PolicyKey
from krmfn.plan.current import Deployed, is_of
from krmfn.policies import selection
from krmfn.policies.newer import compare

if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.plan.records import Change, Written
    from krmfn.plan.target import Target

BECAUSE = "taken back by hand"


class TakenBack(NamedTuple):
    """A tag that was written into a field that now holds an older one. `folder` is that of the lock that says so."""

    policy: PolicyKey
    tag: str
    folder: str
    said: Diagnostic

    @property
    def hold(self) -> Hold:
        """The hold that keeps the policy away from the tag until there is a newer one."""
        return Hold(self.policy.plain, "", skip=self.tag, because=BECAUSE, ends_with_newer=True)


def find(deployed: Deployed, lock: Lock | None) -> tuple[TakenBack, ...]:
    """Return what people took back since it was written, and what no hold keeps away yet; each tag of a policy once."""
    recorded = {entry.policy for entry in lock.all if entry.written} if lock else set()
    taken: dict[tuple[PolicyKey, str], TakenBack] = {}
    for target in deployed.targets if recorded else ():
        key = target.setter.policy
        home = lock.home(key) if lock else None
        tag = deployed.tag(target)
        if lock is None or home is None or tag is None or key not in recorded or not is_of(target, deployed.policies[key]):
            continue
        policy, place = deployed.policies[key], _place(target, home.folder)
        for entry in lock.of(key):
            is_same = entry.policy_hash == policy.hash and place in entry.written
            if is_same and _is_lower(policy, tag, entry.tag) and not any(one.skip == entry.tag for one in policy.holds):
                message = (
                    f"{policy.repository.image.name}: {entry.tag} was taken back to {tag} by hand: an ImageHold keeps policy "
                    f"{key} away from it until there is a newer tag"
                )
                warning = Diagnostic("warning", "taken-back", message, target.location, policy=key)
                taken.setdefault((key.plain, entry.tag), TakenBack(key, entry.tag, home.folder, warning))
    return tuple(taken.values())


def _is_lower(policy: ImagePolicy, tag: str, recorded: str) -> bool:
    if tag == recorded:
        return False
    if selection.goes_back(policy.rules, recorded, tag):
        return True
    # What people went back to may be outside of the policy: then the numbers of the tags decide.
    return not selection.accepts(policy.rules, tag) and (compare(recorded, tag) or 0) > 0


def held(choices: Choices, taken: Iterable[TakenBack]) -> dict[ChoiceKey, Choice]:
    """Return the choices with the holds that follow from what was taken back."""
    holds: dict[PolicyKey, tuple[Hold, ...]] = {}
    for one in taken:
        holds[one.policy.plain] = (*holds.get(one.policy.plain, ()), one.hold)
    with_holds: dict[ChoiceKey, Choice] = {}
    for key, choice in choices.items():
        policy = choice.policy
        with_holds[key] = choice._replace(policy=policy._replace(holds=(*policy.holds, *holds.get(key[0].plain, ()))))
    return with_holds


def written(changes: Iterable[Change], lock: Lock | None) -> Written:
    """Return the fields that get a tag in this run, by policy and tag, as their lock names them."""
    fields: dict[tuple[PolicyKey, str], set[str]] = {}
    for change in changes:
        key, home = change.target.setter.policy, lock.home(change.target.setter.policy) if lock else None
        if change.chosen and home is not None and change.target.setter.part in (Part.IMAGE, Part.TAG):
            fields.setdefault((key, change.chosen.tag), set()).add(_place(change.target, home.folder))
    return {pin: frozenset(places) for pin, places in fields.items()}


def _place(target: Target, folder: str) -> str:
    """Name a field for a lock: its file from there, its resource, its path."""
    return f"{posixpath.relpath(target.resource.block.text.name, folder)}: {target.resource.id}: {target.scalar.path}"


def ended(holds: Iterable[Hold], choices: Choices) -> Iterator[Hold]:
    """Yield the holds that end with a newer tag, and whose policy takes one now wherever it decides."""
    for hold in holds:
        if not (hold.ends_with_newer and hold.skip):
            continue
        mine = [choice for (key, _), choice in choices.items() if key.plain == hold.policy]
        if mine and all(isinstance(one, Chosen) and not one.record and _is_lower(one.policy, hold.skip, one.tag) for one in mine):
            yield hold
