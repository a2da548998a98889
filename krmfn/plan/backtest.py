"""*backtest*: what a policy would have done with the tags of the past, under rules that were not there then. Pure.

A tag is known from its first sighting, and is adopted when it is old enough and the policy takes it after the tag that
is deployed then. A tag that people took back is gone from that moment until they move to it again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config.require import step
from krmfn.policies.selection import outranks, select

if TYPE_CHECKING:
    from krmfn.model import ImagePolicy
    from krmfn.policies.rules import Rules

DAY = 86400.0
_KNOWN, _TAKEN, _AGAIN = range(3)


class Taken(NamedTuple):
    """A tag that people went back from. `again` is when they moved to it once more; None if they never did."""

    tag: str
    adopted: float
    time: float
    back_to: str
    again: float | None = None


class Outcome(NamedTuple):
    """What one set of rules would have done with one repository. Times are in seconds."""

    moves: int = 0
    waits: tuple[float, ...] = ()
    """How long after its first sighting each tag was adopted."""
    adopted: frozenset[str] = frozenset()
    """Tags that ran when people took them back."""

    @property
    def behind(self) -> float:
        """Return the days that a tag waited on average; 0 without moves."""
        return sum(self.waits) / len(self.waits) / DAY if self.waits else 0.0

    @property
    def longest(self) -> float:
        """Return the days that the slowest tag waited."""
        return max(self.waits, default=0.0) / DAY


def taken_back(rules: Rules, moves: Iterable[tuple[float, str, str]]) -> tuple[Taken, ...]:
    """Return the tags that people moved to and then left for a lower one; `moves` are (time, before, after), in order."""
    adopted: dict[str, float] = {}
    gone: dict[str, Taken] = {}
    for time, before, after in moves:
        if before in adopted and before not in gone and outranks(rules, before, after):
            gone[before] = Taken(before, adopted[before], time, after)
        elif after in gone and gone[after].again is None and outranks(rules, after, before):
            gone[after] = gone[after]._replace(again=time)
        if outranks(rules, after, before):
            adopted.setdefault(after, time)
    return tuple(gone.values())


def simulate(policy: ImagePolicy, seen: Mapping[str, float], taken: Sequence[Taken]) -> Outcome:
    """Return what the policy would have done with tags that were seen first at these times, starting from the oldest."""
    return _Simulation(policy, seen, taken).run() if seen else Outcome()


class _Simulation:
    def __init__(self, policy: ImagePolicy, seen: Mapping[str, float], taken: Sequence[Taken]) -> None:
        self.rules, self.seen = policy.rules, seen
        self.ages = [one.age for one in policy.requirements if one.age]
        oldest = min(seen.values())
        # Nobody knows what ran at first: the best of the tags that were there then.
        first = [tag for tag, time in seen.items() if time == oldest]
        self.deployed = next((tag for tag in first if not any(outranks(self.rules, tag, other) for other in first)), first[0])
        self.ran: list[str] = []
        """What was deployed before, the newest last."""
        self.known, self.gone = set[str](), set[str]()
        self.due = set[tuple[float, str]]()
        self.waits: list[float] = []
        self.adopted: set[str] = set()
        # One queue of everything that happens: tags that appear, and people who take them back or go to them again. A tag that is
        # too young when it appears is put in once more, for the moment at which it is old enough.
        events = [(time, _KNOWN, tag) for tag, time in seen.items()]
        events += [(one.time, _TAKEN, one.tag) for one in taken]
        events += [(one.again, _AGAIN, one.tag) for one in taken if one.again is not None]
        heapq.heapify(events)
        self.events = events

    def run(self) -> Outcome:
        """Go through the past, one moment at a time."""
        while self.events:
            time = self.events[0][0]
            while self.events and self.events[0][0] == time:
                _, kind, tag = heapq.heappop(self.events)
                if kind == _TAKEN:
                    self._take(time, tag)
                else:
                    self.known |= {tag} - {self.deployed}
                    self.gone -= {tag} if kind == _AGAIN else set()
            while self._adopt(time):
                pass  # the next step may have to wait for less
        return Outcome(len(self.waits), tuple(self.waits), frozenset(self.adopted))

    def _adopt(self, time: float) -> bool:
        """Adopt the best tag that is old enough; the others are looked at again when they are. True if there was one."""
        ready = []
        for tag in sorted(self.known - self.gone):
            old_enough = self.seen.get(tag, time) + self._age(tag)
            if time >= old_enough:
                ready.append(tag)
            elif (old_enough, tag) not in self.due:
                self.due.add((old_enough, tag))
                heapq.heappush(self.events, (old_enough, _KNOWN, tag))
        chosen = select(self.rules, (self.deployed, *ready), current=self.deployed).tag if ready else None
        if chosen is None or chosen == self.deployed:
            return False
        self.waits.append(time - self.seen.get(chosen, time))
        self.ran.append(self.deployed)
        self.deployed = chosen
        self.known = {tag for tag in self.known if tag != chosen and not outranks(self.rules, chosen, tag)}
        return True

    def _age(self, tag: str) -> float:
        name = step(self.deployed, tag) if self.ages else ""
        return float(max((age.of(name) for age in self.ages), default=0))

    def _take(self, time: float, tag: str) -> None:
        """Go back to what ran before, as people did; what lies between may be adopted again."""
        self.gone.add(tag)
        if self.deployed != tag:
            return
        self.adopted.add(tag)
        before = next((one for one in reversed(self.ran) if one not in self.gone), None)
        if before is not None:
            self.deployed = before
            self.known |= {one for one, first in self.seen.items() if first <= time and one != before}
