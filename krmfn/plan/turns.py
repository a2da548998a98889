"""*turns*: what may run waits for its window, and for its turn where only so many policies may change at a time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import ChoiceKey, Chosen, PassedOver, PolicyKey
from krmfn.plan.refusals import Facts, shut
from krmfn.policies import selection
from krmfn.policies.number import read_time

if TYPE_CHECKING:
    from krmfn.config.rollout import Group
    from krmfn.plan.records import Judged


class Mover(NamedTuple):
    """A choice that moves something."""

    key: ChoiceKey
    chosen: Chosen
    running: tuple[str, ...]


class Unit(NamedTuple):
    """Choices that move at the same time: those of a group, wherever it stands, or of one policy. `name` is that of the first."""

    name: PolicyKey
    movers: list[Mover]


def units(judged: Judged, groups: Iterable[Group], facts: Facts) -> list[Unit]:
    """Return what would move now."""
    first = {key: group.members[0] for group in groups for key in group.members}
    movers: dict[PolicyKey, list[Mover]] = {}
    for key, chosen in sorted(judged.choices.items(), key=lambda pair: pair[0]):
        policy, tag = key
        if isinstance(chosen, Chosen):
            running = (tag,) if tag else facts.running(chosen.policy)
            if not running or any(one != chosen.tag and one not in chosen.above for one in running):
                movers.setdefault(first.get(policy.plain, policy.plain), []).append(Mover(key, chosen, running))
    return [Unit(name, moving) for name, moving in movers.items()]


def await_windows(judged: Judged, every: Iterable[Unit], facts: Facts) -> Judged:
    """Keep what would move while its window, or that of another member of its group, is closed."""
    for unit in every:
        closed = [one for mover in unit.movers if (one := shut(mover.chosen.policy, facts)) is not None]
        if closed:
            calendars = dict.fromkeys(calendar for mover in unit.movers for calendar in mover.chosen.policy.windows)
            together = unit.movers[0].chosen.policy._replace(windows=tuple(calendars))
            passed = shut(together, facts) or closed[0]
            for mover in unit.movers:
                judged = judged.keep(mover.key, mover.running, passed._replace(tag=mover.chosen.tag))
    return judged


def take_turns(judged: Judged, every: Iterable[Unit], most: int, changed: Collection[PolicyKey], facts: Facts) -> Judged:
    """Keep what would move beyond so many policies: the longest waiting go first, and what differs from the base counts."""
    left = most - len(changed)
    for unit in sorted(every, key=lambda unit: (_since(unit, facts), unit.name)):
        new = {mover.key[0].plain for mover in unit.movers} - set(changed)
        # A group of more members than may ever change goes when nothing else does: else it would wait for ever.
        if len(new) <= max(left, 0) or left == most:
            left -= len(new)
            continue
        for one in unit.movers:
            why = f"waits for its turn: maxChanges is {most}, and others wait longer"
            judged = judged.keep(one.key, one.running, PassedOver(one.chosen.tag, why, "turn", None, "waits for its turn"))
    return judged


def _since(unit: Unit, facts: Facts) -> float:
    """Return since when a unit could move on: the first sighting of any tag above what runs, else the time of its record."""
    return min((time for one in unit.movers for time in _times(one, facts)), default=float("inf"))


def _times(mover: Mover, facts: Facts) -> Iterator[float]:
    rules, snapshot = mover.chosen.policy.rules, facts.evidence.get(mover.chosen.policy.repository.image.canonical)
    tags = mover.chosen.selection.candidates if mover.chosen.selection else [mover.chosen.tag]
    seen = {tag: snapshot.seen[tag] for tag in tags if tag not in mover.running and tag in snapshot.seen} if snapshot else {}
    above = [one for tag, one in seen.items() if not any(selection.outranks(rules, run, tag) for run in mover.running)]
    if above:
        yield from (one.first or 0.0 for one in above)
        return
    lock = facts.deployed.lock
    for entry in lock.of(mover.key[0]) if lock else ():
        if entry.since and (time := read_time(entry.since)) is not None:
            yield time
