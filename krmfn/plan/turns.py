"""*turns*: what may run waits for its window, and for its turn where only so many policies may change at a time. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import Choice, Chosen, PassedOver, PolicyKey, by_deployed_tag
from krmfn.plan.refusals import Facts, shut
from krmfn.policies import selection
from krmfn.policies.number import read_time

if TYPE_CHECKING:
    from krmfn.config.rollout import Group
    from krmfn.config.windows import Calendar
    from krmfn.plan.records import Judged, Pin


class Mover(NamedTuple):
    """A choice that moves something: of a policy, or for one deployed tag of it."""

    pin: Pin
    chosen: Chosen
    running: tuple[str, ...]


class Unit(NamedTuple):
    """Policies that move at the same time, and what of them would move. `name` is that of the first."""

    name: PolicyKey
    keys: frozenset[PolicyKey]
    movers: tuple[Mover, ...]


def units(judged: Judged, choices: Mapping[PolicyKey, Choice], groups: Iterable[Group], facts: Facts) -> list[Unit]:
    """Return what would move now: every group whole, wherever it stands, every other policy by itself."""
    homes = {key: group.members for group in groups for key in group.members}
    together: dict[PolicyKey, list[PolicyKey]] = {}
    for key in sorted(choices):
        together.setdefault(homes.get(key.plain, (key.plain,))[0], []).append(key)
    movers = {key: tuple(_movers(key, judged, facts)) for key in choices}
    return [Unit(name, frozenset(keys), moved) for name, keys in together.items() if (moved := tuple(one for key in keys for one in movers[key]))]


def _movers(key: PolicyKey, judged: Judged, facts: Facts) -> Iterator[Mover]:
    choice = judged.choices.get(key)
    for tag, chosen in by_deployed_tag(choice).items() if choice is not None else ():
        if isinstance(chosen, Chosen):
            running = (tag,) if tag else facts.running(chosen.policy)
            if not running or any(one != chosen.tag and one not in chosen.above for one in running):
                yield Mover((key, tag), chosen, running)


def await_windows(judged: Judged, every: Iterable[Unit], facts: Facts) -> Judged:
    """Keep what would move while its window, or that of another member of its group, is closed."""
    for unit in every:
        closed = [one for mover in unit.movers if (one := shut(mover.chosen.policy, facts)) is not None]
        if closed:
            together = unit.movers[0].chosen.policy._replace(windows=tuple(dict.fromkeys(_calendars(unit))))
            passed = shut(together, facts) or closed[0]
            for mover in unit.movers:
                judged = judged.keep(mover.pin, mover.running, passed._replace(tag=mover.chosen.tag))
    return judged


def _calendars(unit: Unit) -> Iterator[Calendar]:
    return (calendar for one in unit.movers for calendar in one.chosen.policy.windows)


def take_turns(judged: Judged, every: Iterable[Unit], most: int, changed: Collection[PolicyKey], facts: Facts) -> Judged:
    """Keep what would move beyond so many policies: the longest waiting go first, and what differs from the base counts."""
    left = most - len(changed)
    for unit in sorted(every, key=lambda one: (_since(one, facts), one.name)):
        new = {mover.pin[0].plain for mover in unit.movers} - set(changed)
        if len(new) <= max(left, 0) or left == most:
            left -= len(new)
            continue
        for one in unit.movers:
            why = f"waits for its turn: maxChanges is {most}, and others wait longer"
            judged = judged.keep(one.pin, one.running, PassedOver(one.chosen.tag, why, "turn", None, "waits for its turn"))
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
    for entry in lock.of(mover.pin[0]) if lock else ():
        if entry.since and (time := read_time(entry.since)) is not None:
            yield time
