"""*together*: policies of a group take the highest version that all of them may take, or stay. Pure, but for what `Try` asks.

A version is its numbers without trailing zeros, and its prerelease; prefix and variant do not count. A group never moves
what its policy alone would not have moved, and nothing below what runs. Members that are apart stay apart until there is
a version that unites them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import (
    Choice,
    ChoiceKey,
    Choices,
    Chosen,
    Diagnostic,
    ImagePolicy,
    Location,
    NotChosen,
    PassedOver,
    PolicyKey,
)
from krmfn.plan.records import Judged, Judgement, Trial, Try
from krmfn.policies import selection
from krmfn.policies.newer import Shape

if TYPE_CHECKING:
    from krmfn.config.rollout import Group
    from krmfn.plan.refusals import Facts

TRIES = 20
"""How many versions are tried for which a source may have to be asked."""


class Version(NamedTuple):
    """What has to be the same in all members of a group, in order: numbers, then releases above prereleases. By tag it is that alone."""

    numbers: tuple[int, ...] = ()
    is_release: bool = True
    prerelease: tuple[tuple[bool, int | str], ...] = ()
    tag: str = ""

    def __str__(self) -> str:
        """Return the version for people: `1.59-rc.1`."""
        end = ".".join(str(part) for _, part in self.prerelease)
        return self.tag or ".".join(map(str, self.numbers)) + (f"-{end}" if end else "")


class _Blocked(NamedTuple):
    """A member that cannot take a version: why, and when it can, if that is known."""

    key: PolicyKey
    why: str
    eligible_at: float | None = None


class _Member:
    """A policy of a group, or one deployed tag of a policy that follows those."""

    def __init__(self, key: ChoiceKey, offered: Choice, judged: Judged, facts: Facts, by: str) -> None:
        self.key, self.offered, self.by = key, offered, by
        self.alone, self.judgement = judged.choices.get(key), judged.judgements.get(key, Judgement())
        self.chosen = self.alone if isinstance(self.alone, Chosen) else None
        self.policy: ImagePolicy = offered.policy
        self.running = (key[1],) if key[1] else facts.running(offered.policy)
        self.tags: dict[Version, list[str]] = {}
        """What it may be asked to take, by version."""
        for tag in self._open():
            if (version := self.version(tag)) is not None:
                self.tags.setdefault(version, []).append(tag)

    @property
    def target(self) -> str | None:
        """The tag to which it would move alone; None where it would stay."""
        return self.chosen.tag if self.chosen and self.chosen.tag not in self.running else None

    def _open(self) -> Iterator[str]:
        """Yield what runs, and what lies between that and where the policy would move alone."""
        yield from self.running
        if self.chosen is None or self.target is None:
            return
        yield self.target
        if self.chosen.selection is None or self.chosen.is_held or self.chosen.record:
            return
        for tag in self.chosen.selection.candidates:
            if tag not in (*self.running, self.target) and self._is_between(tag):
                yield tag

    def _is_between(self, tag: str) -> bool:
        rules, target = self.policy.rules, self.target or ""
        is_alike = not selection.outranks(rules, tag, target) and self.by == "version" and self.version(tag) == self.version(target)
        is_back = any(selection.outranks(rules, one, tag) for one in self.running)
        return (selection.outranks(rules, target, tag) or is_alike) and not is_back

    def version(self, tag: str) -> Version | None:
        """Return what has to be the same in all members; None for a tag that holds no version."""
        if self.by == "tag":
            return Version(tag=tag)
        shape = Shape.parse(selection.read(self.policy.rules, tag) or tag)
        if shape is None:
            return None
        numbers = list(shape.numbers)
        while numbers and not numbers[-1]:  # 1.2 of one image and 1.2.0 of the other are one version
            numbers.pop()
        # Numbers are below words, as SemVer 11.4.3 orders the parts of a prerelease.
        prerelease = tuple((isinstance(part, str), part) for part in shape.prerelease)
        return Version(tuple(numbers), not prerelease, prerelease)

    @property
    def at(self) -> list[Version]:
        """The versions that run and that its policy takes."""
        rules = self.policy.rules
        return [one for tag in self.running if selection.accepts(rules, tag) and (one := self.version(tag)) is not None]

    def blocked(self, version: Version, trial: Trial | None) -> _Blocked:
        """Return why it cannot take a version."""
        key = self.key[0]
        for one in (self.offered, self.alone):
            if isinstance(one, NotChosen):
                return _Blocked(key, one.message)
        judgements = [self.judgement, *([trial.judgement] if trial else [])]
        stopped = next((one for one in reversed(judgements) if one.is_stopped), None)
        if stopped is not None:
            return _Blocked(key, stopped.said[-1].message if stopped.said else "nobody could say whether it may run")
        refused = (over for one in judgements for over in one.refused.values())
        over = next((one for one in refused if self.version(one.tag) == version), None)
        if over is not None:
            return _Blocked(key, str(over), over.eligible_at)
        if self.by == "version" and self.at and version < max(self.at):
            return _Blocked(key, f"it runs {', '.join(self.running)} already")
        best = (self.chosen.tag if self.chosen else ", ".join(self.running)) or "none"
        held = "held on" if self.chosen and self.chosen.is_held else f"the best by {self.policy.rules.described} is"
        return _Blocked(key, f"it needs a tag of {version}; {held} {best}")


def unite(
    judged: Judged, offered: Choices, groups: Iterable[Group], facts: Facts,
    judge_again: Try, absent: Mapping[PolicyKey, str],
) -> Judged:  # fmt: skip
    """Let every group move as one. `absent` are the members that take no part, each with the reason.

    Frozen, the lock decides: members that are apart in it are told.
    """
    is_frozen = facts.settings.mode == "frozen"
    for group in groups:
        by_scope: dict[str, list[_Member]] = {}
        for key in sorted(offered):
            if key[0].plain in group.members:
                by_scope.setdefault(key[0].lock, []).append(_Member(key, offered[key], judged, facts, group.by))
        missing = [_Blocked(key, absent[key]) for key in group.members if key in absent]
        for members in by_scope.values():
            for one in members if is_frozen else ():
                one.running = (one.chosen.tag,) if one.chosen else one.running
            judged = _apart(judged, group, members) if is_frozen else _united(judged, group, members, missing, judge_again)
    return judged


def _united(judged: Judged, group: Group, members: Sequence[_Member], missing: Sequence[_Blocked], judge_again: Try) -> Judged:
    movers = [(one, target, one.version(target)) for one in members if (target := one.target)]
    nameless = [_Blocked(one.key[0], f"{target} holds no version") for one, target, version in movers if version is None]
    blocks: dict[Version, list[_Blocked]] = {}
    chosen = {} if missing or nameless or not movers else _best(members, judge_again, blocks)
    for one, target, version in movers:
        final = chosen.get(one.key)
        if final is not None and final.tag == target:
            continue
        blocked = [*missing, *nameless]
        if not blocked and version is not None:
            lacking = [other.blocked(version, None) for other in members if version not in other.tags]
            blocked = lacking or blocks.get(version) or [_Blocked(one.key[0], f"no version up to {version} was found that all may take")]
        passed = _passed(group, target, blocked)
        if final is None:
            judged = judged.keep(one.key, one.running, passed)
        else:
            judged = judged.put(one.key, final._replace(passed_over=(passed, *final.passed_over)), passed=passed)
    return judged if chosen else _apart(judged, group, members)


def _passed(group: Group, tag: str, blocked: Sequence[_Blocked]) -> PassedOver:
    times = [block.eligible_at for block in blocked]
    eligible = max((time for time in times if time is not None), default=None) if None not in times else None
    why = "; ".join(f"{block.key}: {block.why}" for block in blocked)
    names = ", ".join(dict.fromkeys(str(block.key) for block in blocked))
    return PassedOver(tag, f"group {group.name} waits for {why}", "group", eligible, f"waits for {names}")


def _best(members: Sequence[_Member], judge_again: Try, blocks: dict[Version, list[_Blocked]]) -> dict[ChoiceKey, Chosen]:
    """Return what each member takes of the highest version that all may take. `blocks` gets who cannot take a higher one."""
    common = set(members[0].tags).intersection(*(one.tags for one in members[1:]))
    for version in _in_order(members, common)[:TRIES]:
        trials = {one.key: judge_again(one.key, one.tags[version]) for one in members}
        taken = {key: trial.choice for key, trial in trials.items() if isinstance(trial.choice, Chosen)}
        if len(taken) == len(members):
            return taken
        blocks[version] = [one.blocked(version, trials[one.key]) for one in members if one.key not in taken]
        if any(trial.judgement.is_stopped for trial in trials.values()):
            break
    return {}


def _in_order(members: Sequence[_Member], common: Iterable[Version]) -> list[Version]:
    """Return versions, the best first, without those below what runs anywhere."""
    if members[0].by == "version":
        lowest = [version for one in members for version in one.at]
        return sorted((one for one in common if not lowest or one >= max(lowest)), reverse=True)
    # Tags of a group by tag need not hold a version: the first member's policy orders them, pair by pair, as far as it does.
    ordered: list[Version] = []
    left = [one.tag for one in common]
    is_below = {tag: any(selection.outranks(one.policy.rules, run, tag) for one in members for run in one.running) for tag in left}
    rules = members[0].policy.rules
    for tag in sorted(tag for tag in left if not is_below[tag]):
        place = next((at for at, other in enumerate(ordered) if selection.outranks(rules, tag, other.tag)), len(ordered))
        ordered.insert(place, Version(tag=tag))
    return ordered


def _apart(judged: Judged, group: Group, members: Sequence[_Member]) -> Judged:
    """Report members that run different versions and that nothing unites now."""
    versions = {one.key: set(one.at) for one in members}
    if len(set().union(*versions.values())) < 2:
        return judged
    held = ", ".join(f"{one.key[0]} at {', '.join(one.running)}" for one in members if one.running)
    message = f"group {group.name}: its members are apart ({held}); they stay until there is a version that all of them may take"
    warning = Diagnostic("warning", "apart", message, Location(group.defined), policy=members[0].key[0])
    return judged.put(members[0].key, judged.choices.get(members[0].key), warning)
