"""*together*: policies of a group take the highest version that all of them may take, or stay. Pure, but for what `Try` asks.

A version is its numbers without trailing zeros, and its prerelease; prefix and variant do not count. A group never moves
what its policy alone would not have moved, and nothing below what runs. Members that are apart stay apart until there is
a version that unites them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import Choice, Chosen, Diagnostic, Following, ImagePolicy, Location, NotChosen, PassedOver, PolicyKey
from krmfn.plan.records import Judged, Judgement, Pin
from krmfn.policies import selection
from krmfn.policies.newer import Shape

if TYPE_CHECKING:
    from krmfn.config.rollout import Group
    from krmfn.plan.refusals import Facts
    from krmfn.plan.trial import Trial, Try

TRIES = 20
"""How many versions are tried for which a source may have to be asked."""
Version = tuple[object, ...]
"""Orders versions; of a group by tag the tag alone."""


class _Blocked(NamedTuple):
    """A member that cannot take a version: why, and when it can, if that is known."""

    key: PolicyKey
    why: str
    eligible_at: float | None = None


class _Member:
    """A policy of a group, or one deployed tag of a policy that follows those."""

    def __init__(self, pin: Pin, offered: Chosen | NotChosen, alone: Chosen | NotChosen | None, running: Sequence[str], by: str, judgement: Judgement) -> None:
        self.pin, self.offered, self.alone, self.by, self.judgement = pin, offered, alone, by, judgement
        self.policy: ImagePolicy = offered.policy
        self.running = tuple(running)
        self.tags: dict[Version, list[str]] = {}
        """What it may be asked to take, by version."""
        for tag in self._open():
            if (version := self.version(tag)) is not None:
                self.tags.setdefault(version, []).append(tag)

    @property
    def target(self) -> str | None:
        """The tag to which it would move alone; None where it would stay."""
        tag = self.alone.tag if isinstance(self.alone, Chosen) else None
        return None if tag in self.running else tag

    def _open(self) -> Iterator[str]:
        """Yield what runs, and what lies between that and where the policy would move alone."""
        yield from self.running
        if self.target is None or not isinstance(self.alone, Chosen):
            return
        yield self.target
        if self.alone.selection is None or self.alone.is_held or self.alone.record:
            return
        for tag in self.alone.selection.candidates:
            if tag not in (*self.running, self.target) and self._is_between(tag):
                yield tag

    def _is_between(self, tag: str) -> bool:
        rules, target = self.policy.rules, self.target or ""
        is_alike = not selection.outranks(rules, tag, target) and self.by == "version" and self.version(tag) == self.version(target)
        return (selection.outranks(rules, target, tag) or is_alike) and not self._is_back(tag)

    def _is_back(self, tag: str) -> bool:
        return any(selection.outranks(self.policy.rules, one, tag) for one in self.running)

    def version(self, tag: str) -> Version | None:
        """Return what has to be the same in all members; None for a tag that holds no version."""
        if self.by == "tag":
            return (tag,)
        shape = Shape.parse(selection.read(self.policy.rules, tag) or tag)
        if shape is None:
            return None
        numbers = list(shape.numbers)
        while numbers and not numbers[-1]:
            numbers.pop()
        return tuple(numbers), not shape.prerelease, tuple((isinstance(part, str), part) for part in shape.prerelease)

    @property
    def at(self) -> list[Version]:
        """The versions that run and that its policy takes."""
        rules = self.policy.rules
        return [one for tag in self.running if selection.accepts(rules, tag) and (one := self.version(tag)) is not None]

    def blocked(self, version: Version, shown: str, trial: Trial | None) -> _Blocked:
        """Return why it cannot take a version."""
        key, judgement = self.pin[0], self.judgement
        for one in (self.offered, self.alone):
            if isinstance(one, NotChosen):
                return _Blocked(key, one.message)
        if judgement.is_stopped or (trial and trial.judgement.is_stopped):
            said = trial.judgement.said if trial and trial.judgement.is_stopped else judgement.said
            return _Blocked(key, said[-1].message if said else "nobody could say whether it may run")
        passed = [*judgement.refused.values(), *(trial.judgement.refused.values() if trial else ())]
        over = next((one for one in passed if self.version(one.tag) == version), None)
        if over is not None:
            return _Blocked(key, str(over), over.eligible_at)
        if self.by == "version" and self.at and version < max(self.at):
            return _Blocked(key, f"it runs {', '.join(self.running)} already")
        best = self.alone.tag if isinstance(self.alone, Chosen) else ", ".join(self.running)
        held = "held on" if isinstance(self.alone, Chosen) and self.alone.is_held else f"the best by {self.policy.described} is"
        return _Blocked(key, f"it needs a tag of {shown}; {held} {best or 'none'}")


def unite(
    judged: Judged, offered: Mapping[PolicyKey, Choice], groups: Iterable[Group], facts: Facts,
    judge_again: Try, absent: Mapping[PolicyKey, str],
) -> Judged:  # fmt: skip
    """Let every group move as one. `absent` are the members that take no part, each with the reason.

    Frozen, the lock decides: members that are apart in it are told.
    """
    is_frozen = facts.settings.mode == "frozen"
    for group in groups:
        by_scope: dict[str, list[_Member]] = {}
        for key in sorted(offered):
            if key.plain in group.members:
                by_scope.setdefault(key.lock, []).extend(_members(offered[key], judged, facts, group.by))
        missing = [_Blocked(key, absent[key]) for key in group.members if key in absent]
        for members in by_scope.values():
            for one in members if is_frozen else ():
                one.running = (one.alone.tag,) if isinstance(one.alone, Chosen) else one.running
            judged = _apart(judged, group, members) if is_frozen else _united(judged, group, members, missing, judge_again)
    return judged


def _members(choice: Choice, judged: Judged, facts: Facts, by: str) -> Iterator[_Member]:
    key = choice.policy.key
    several: list[tuple[Pin, Chosen | NotChosen, tuple[str, ...]]]
    if isinstance(choice, Following):
        several = [((key, tag), one, (tag,)) for tag, one in choice.choices.items()]
    else:
        several = [((key, ""), choice, facts.running(choice.policy))]
    for pin, one, running in several:
        yield _Member(pin, one, judged.of(pin), running, by, judged.judgements.get(pin, Judgement()))


def _united(judged: Judged, group: Group, members: Sequence[_Member], missing: Sequence[_Blocked], judge_again: Try) -> Judged:
    movers = [(one, target, one.version(target)) for one in members if (target := one.target)]
    nameless = [_Blocked(one.pin[0], f"{target} holds no version") for one, target, version in movers if version is None]
    blocks: dict[Version, list[_Blocked]] = {}
    chosen = {} if missing or nameless or not movers else _best(members, judge_again, blocks)
    for one, target, version in movers:
        final = chosen.get(one.pin)
        if final is not None and final.tag == target:
            continue
        blocked = [*missing, *nameless]
        if not blocked and version is not None:
            shown = target if group.by == "tag" else _shown(version)
            lacking = [other.blocked(version, shown, None) for other in members if version not in other.tags]
            blocked = lacking or blocks.get(version) or [_Blocked(one.pin[0], f"no version up to {shown} was found that all may take")]
        passed = _passed(group, target, blocked)
        if final is None:
            judged = judged.keep(one.pin, one.running, passed)
        else:
            judged = judged.put(one.pin, final._replace(passed_over=(passed, *final.passed_over)), passed=passed)
    return judged if chosen else _apart(judged, group, members)


def _passed(group: Group, tag: str, blocked: Sequence[_Blocked]) -> PassedOver:
    times = [block.eligible_at for block in blocked]
    eligible = max((time for time in times if time is not None), default=None) if None not in times else None
    why = "; ".join(f"{block.key}: {block.why}" for block in blocked)
    names = ", ".join(dict.fromkeys(str(block.key) for block in blocked))
    return PassedOver(tag, f"group {group.name} waits for {why}", "group", eligible, f"waits for {names}")


def _best(members: Sequence[_Member], judge_again: Try, blocks: dict[Version, list[_Blocked]]) -> dict[Pin, Chosen]:
    """Return what each member takes of the highest version that all may take. `blocks` gets who cannot take a higher one."""
    common = set(members[0].tags).intersection(*(one.tags for one in members[1:]))
    for version in _in_order(members, common)[:TRIES]:
        trials = {one.pin: judge_again(one.pin, one.tags[version]) for one in members}
        taken = {pin: trial.choice for pin, trial in trials.items() if isinstance(trial.choice, Chosen)}
        if len(taken) == len(members):
            return taken
        blocks[version] = [one.blocked(version, _shown(version), trials[one.pin]) for one in members if one.pin not in taken]
        if any(trial.judgement.is_stopped for trial in trials.values()):
            break
    return {}


def _in_order(members: Sequence[_Member], common: Iterable[Version]) -> list[Version]:
    """Return versions, the best first, without those below what runs anywhere."""
    if members[0].by == "version":
        lowest = [version for one in members for version in one.at]
        return sorted((one for one in common if not lowest or one >= max(lowest)), reverse=True)
    ordered: list[Version] = []
    left = [str(one[0]) for one in common]
    is_below = {tag: any(selection.outranks(one.policy.rules, run, tag) for one in members for run in one.running) for tag in left}
    rules = members[0].policy.rules
    for tag in sorted(tag for tag in left if not is_below[tag]):
        place = next((at for at, other in enumerate(ordered) if selection.outranks(rules, tag, str(other[0]))), len(ordered))
        ordered.insert(place, (tag,))
    return ordered


def _apart(judged: Judged, group: Group, members: Sequence[_Member]) -> Judged:
    """Report members that run different versions and that nothing unites now."""
    versions = {one.pin: set(one.at) for one in members}
    if len(set().union(*versions.values())) < 2:
        return judged
    held = ", ".join(f"{one.pin[0]} at {', '.join(one.running)}" for one in members if one.running)
    message = f"group {group.name}: its members are apart ({held}); they stay until there is a version that all of them may take"
    warning = Diagnostic("warning", "apart", message, Location(group.defined), policy=members[0].pin[0])
    return judged.put(members[0].pin, judged.of(members[0].pin), warning)


def _shown(version: Version) -> str:
    """Return a version for people: `1.59-rc.1`."""
    numbers, *_, prerelease = version
    if isinstance(numbers, str):
        return numbers
    assert isinstance(numbers, tuple)  # noqa: S101 - see `_Member.version`
    assert isinstance(prerelease, tuple)  # noqa: S101
    end = ".".join(str(part) for _, part in prerelease)
    return ".".join(map(str, numbers)) + (f"-{end}" if end else "")
