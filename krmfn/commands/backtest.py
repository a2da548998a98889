"""`krmfn backtest`: what rules would have adopted, and spared, over the history of a git repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from krmfn import terminal
from krmfn.commands import options, output, outside
from krmfn.config import loading, records
from krmfn.config.objects import policy_named
from krmfn.config.require import Age, Requirement
from krmfn.git import changelog, history
from krmfn.git.program import Allowance, Git, seconds_allowed
from krmfn.inventory.history import Histories, History, Version
from krmfn.model import ImagePolicy, PolicyKey
from krmfn.plan.backtest import DAY, Outcome, Taken, simulate, taken_back
from krmfn.policies.number import duration, moment
from krmfn.policies.protocol import KEPT
from krmfn.policies.rules import parse_rules

if TYPE_CHECKING:
    from krmfn.config.records import Config

_AGES = ("0 days", "3 days", "7 days")
_SHOWN = 20


class RuleSet(NamedTuple):
    """Rules under their name: a configuration, or the age that every image must have instead."""

    name: str
    config: Config
    age: Requirement | None = None


class Tested(NamedTuple):
    """A repository under each set of rules."""

    history: History
    taken: tuple[Taken, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def moves(self) -> int:
        """How often it moved; several fields of one commit count once."""
        return len({(move.commit, move.before, move.after) for move in self.history.moves})

    def adopters(self, tag: Taken, sets: Sequence[RuleSet]) -> list[str]:
        """Return the names of the rules that would have adopted a tag that was taken back."""
        return [rules.name for rules, outcome in zip(sets, self.outcomes, strict=True) if tag.tag in outcome.adopted]


@options.verb(
    "krmfn backtest .                                # 0, 3 and 7 days, over all of git's history",
    "krmfn backtest . --age '12 hours' --age '2 weeks'",
    "krmfn backtest . --rules now.yaml --rules proposed.yaml -o markdown",
    "krmfn backtest clusters/prod --policy flux-system:web --all",
    exits="0 done, 1 error, 2 usage",
)
@options.looking(click.argument("path", type=click.Path(path_type=Path), metavar="PATH"))
@click.option("--age", "ages", multiple=True, metavar="DURATION", help="A minimumReleaseAge to try; repeatable. Default: 0, 3 and 7 days.")
@click.option("--rules", "files", multiple=True, metavar="FILE|DIR|git:REF", help="Rules to try, as ImageAutomation; repeatable.")
@click.option("--policy", "named", metavar="NAME", help="Only the image of this policy (namespace:name, or name).")
@click.option("--within", type=click.Choice(list(KEPT)), default="major", show_default=True, help="How far images move that no policy names.")
@click.option("--all", "is_all", is_flag=True, help="Every tag that was taken back, and a line for every image.")
@options.output("text", "json", "markdown")
def command(
    path: Path, ages: tuple[str, ...], files: tuple[str, ...], named: str | None, within: str, is_all: bool, form: str
) -> int:
    """Report what rules would have adopted, and what they would have spared, over git's history of PATH.

    Every commit that moved an image is an observation, whoever made it: krmfn need not have run. Nothing is asked of any
    registry, and nothing is written. Docs: docs/backtest.md.
    """
    tree = options.read((path,))
    git = Git(path if path.is_dir() else path.parent, Allowance(seconds_allowed(os.environ)), history.NO_FETCH)
    config = loading.load(tree.blocks)
    sets = tuple(_sets(config, ages, files, path, tree.blocks))
    histories = _gathered(git, config)
    if named:
        image = config.policies[policy_named(named, config.policies)].repository.image
        histories = [one for one in histories if one.image.canonical == image.canonical]
    tested = [_tested(one, sets, within) for one in histories]
    if form == "json":
        terminal.echo(output.to_json(_data(tested, sets)))
    else:
        _print(tested, sets, is_all=is_all, table=_markdown if form == "markdown" else terminal.table)
    return 0


def _sets(config: Config, ages: Sequence[str], files: Sequence[str], path: Path, blocks: Iterable[Any]) -> Iterator[RuleSet]:
    """Yield what is to be compared. Raises BadParameter for no duration."""
    requires = any(one.age for one in config.rulebook.requirements)
    if requires and not ages and not files:
        yield RuleSet("as configured", config)
    for text in ages or (() if files else _AGES):
        lasts = duration(text)
        if lasts is None:
            raise click.BadParameter(f"expected a duration such as 3 days, 36 hours or 2w, found {text!r}", param_hint="--age")
        yield RuleSet(text, config, Requirement(age=Age(lasts)))
    for spec in files:
        yield RuleSet(spec, loading.load(blocks, None, records.no_change, outside.read(spec, path)))


def _gathered(git: Git, config: Config) -> list[History]:
    """Read the history. Raises GitError."""
    commits = history.commits(git)
    gathered, total, absent = Histories(), sum(len(one.changes) for one in commits), set[str]()
    with terminal.watching("reading history") as progress:
        last = ""
        for number, (one, change, before, after) in enumerate(history.contents(git, commits), 1):
            gathered.add(Version(one.time, one.id, change.path, before, after))
            absent |= {name for name, text in ((change.before, before), (change.after, after)) if name and text is None}
            if progress and one.id != last:
                last = one.id
                progress(f"{number} of {total} changes", "read", 0)
    if git.is_shallow:
        terminal.say("this clone is shallow: only a part of the history is here; git fetch --unshallow brings the rest", "warning")
    if absent:
        many = "1 version of a file is" if len(absent) == 1 else f"{len(absent)} versions of files are"
        terminal.say(f"{many} not in this clone, or too large, and left out; git fetch --refetch brings what is not here", "warning")
    if gathered.unread:
        many = "1 version of a file is" if gathered.unread == 1 else f"{gathered.unread} versions of files are"
        terminal.say(f"{many} no YAML and left out")
    return gathered.all(config.stored)


def _tested(one: History, sets: Sequence[RuleSet], within: str) -> Tested:
    policies = [_policy(one, rules, within) for rules in sets]
    taken = taken_back(policies[0].rules, [(move.time, move.before, move.after) for move in one.moves])
    return Tested(one, taken, tuple(simulate(policy, one.seen, taken) for policy in policies))


def _policy(one: History, rules: RuleSet, within: str) -> ImagePolicy:
    """Return the policy of the configuration for an image, else `version`, with what its rules require."""
    named = rules.config.by_image().get(one.image.canonical, ())
    policy = next((policy for policy in named if not (policy.rules.needs_created or policy.rules.pins_current)), None)
    if policy is None:
        chosen = parse_rules({"version": {"within": within}})
        bare = ImagePolicy(PolicyKey("", one.image.canonical), rules.config.repository(one.image), chosen, "Never", frozenset())
        policy = rules.config.rulebook.put(bare)
    return policy._replace(requirements=(rules.age,)) if rules.age else policy


def _totals(tested: Sequence[Tested], sets: Sequence[RuleSet]) -> Iterator[tuple[str, Outcome]]:
    """Yield what each set of rules would have come to over all repositories, whose names stand before the tags."""
    for number, rules in enumerate(sets):
        outcomes = [(one.history.image.canonical, one.outcomes[number]) for one in tested]
        waits = tuple(wait for _, one in outcomes for wait in one.waits)
        adopted = frozenset(f"{name}:{tag}" for name, one in outcomes for tag in one.adopted)
        yield rules.name, Outcome(sum(one.moves for _, one in outcomes), waits, adopted)


def _print(tested: Sequence[Tested], sets: Sequence[RuleSet], *, is_all: bool, table: Callable[..., None]) -> None:
    taken = sorted(((one, tag) for one in tested for tag in one.taken), key=lambda pair: -pair[1].time)
    times = [move.time for one in tested for move in one.history.moves]
    span = f" from {_day(min(times))} to {_day(max(times))}" if times else ""
    terminal.tell(f"{len(tested)} images, {sum(one.moves for one in tested)} moves{span}, {len(taken)} taken back\n")
    header = ("RULES", "MOVES", "DAYS BEHIND", "LONGEST", "ADOPTED AND TAKEN BACK", "SPARED")
    table(header, [_row(name, total, len(taken)) for name, total in _totals(tested, sets)])
    if taken:
        terminal.tell("")
        shown = taken if is_all else taken[:_SHOWN]
        table(("TAKEN BACK", "AFTER", "ON", "ADOPTED BY"), [_taken_row(one, tag, sets) for one, tag in shown])
        if len(taken) > len(shown):
            terminal.tell(f"and {len(taken) - len(shown)} more: --all")
    if is_all:
        terminal.tell("")
        names = tuple(f"{rules.name}: MOVES, BEHIND" for rules in sets)
        table(("IMAGE", *names), [(one.history.image.name, *(f"{out.moves}, {out.behind:.1f}" for out in one.outcomes)) for one in tested])


def _row(name: str, total: Outcome, taken: int) -> tuple[str, ...]:
    adopted = len(total.adopted)
    return name, str(total.moves), f"{total.behind:.1f}", f"{total.longest:.1f}", str(adopted), str(taken - adopted)


def _taken_row(one: Tested, tag: Taken, sets: Sequence[RuleSet]) -> tuple[str, ...]:
    name, after = f"{one.history.image.name}:{tag.tag}", f"{(tag.time - tag.adopted) / DAY:.1f} days"
    return name, after, _day(tag.time), ", ".join(one.adopters(tag, sets)) or "none"


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for cells in (header, ("---",) * len(header), *rows):
        terminal.echo(f"| {' | '.join(changelog.safe(cell) if cells is not header else cell for cell in cells)} |")


def _day(time: float) -> str:
    return moment(time)[:10]


def _data(tested: Sequence[Tested], sets: Sequence[RuleSet]) -> Mapping[str, Any]:
    taken = sum(len(one.taken) for one in tested)
    totals = [(name, total, len(total.adopted)) for name, total in _totals(tested, sets)]
    return {
        "rules": [
            {"name": name, **_outcome(total), "adoptedAndTakenBack": adopted, "spared": taken - adopted}
            for name, total, adopted in totals
        ],
        "images": [
            {
                "image": one.history.image.canonical,
                "moves": one.moves,
                "takenBack": [_taken_data(one, tag, sets) for tag in one.taken],
                "rules": [{"name": rules.name, **_outcome(out)} for rules, out in zip(sets, one.outcomes, strict=True)],
            }
            for one in tested
        ],
    }


def _taken_data(one: Tested, tag: Taken, sets: Sequence[RuleSet]) -> dict[str, Any]:
    return {
        "tag": tag.tag, "adopted": moment(tag.adopted), "takenBack": moment(tag.time), "backTo": tag.back_to,
        "again": moment(tag.again) if tag.again is not None else None, "adoptedBy": one.adopters(tag, sets),
    }  # fmt: skip


def _outcome(one: Outcome) -> dict[str, Any]:
    return {"moves": one.moves, "daysBehind": round(one.behind, 2), "longest": round(one.longest, 2)}
