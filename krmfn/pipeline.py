"""The whole flow, in order: read, configure, ask, decide, bind, rewrite, report, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from krmfn import bind, config, decision, report, resolve, resourcelist, rewrite
from krmfn.config import Config, Finish, no_change
from krmfn.errors import ConfigError, NotSeparableError
from krmfn.model import Choice, Outcome, PolicyKey, Result
from krmfn.resolve import TagSource
from krmfn.yamltext import Block, Text

OpenSource = Callable[[Config], TagSource]
WORKERS = 8


@dataclass(frozen=True, slots=True)
class Run:
    """Everything a run found out about some blocks, before anything is written."""

    config: Config
    choices: dict[PolicyKey, Choice]
    bound: bind.Bound
    changes: tuple[rewrite.Change, ...]
    results: tuple[Result, ...]
    listings: decision.Listings = field(default_factory=dict)

    @property
    def is_error(self) -> bool:
        """True when nothing may be written."""
        return any(result.severity == "error" for result in self.results)


def run(text: Text, open_source: OpenSource, finish: Finish = no_change) -> Outcome:
    """Turn ResourceList text into ResourceList text. Only InputError, for text that is none, leaves as an exception.

    `finish` has the last word on the settings: the environment, or a command line.
    """
    try:
        return _run(text, open_source, finish, whole=False)
    except NotSeparableError:
        return _run(text, open_source, finish, whole=True)


def _run(text: Text, open_source: OpenSource, finish: Finish, *, whole: bool) -> Outcome:
    given = resourcelist.read(text, whole=whole)
    try:
        rules = config.load(given.items, given.function_config, finish)
    except ConfigError as error:
        results = tuple(Result("error", problem) for problem in error.problems)
        return Outcome(resourcelist.write(given, (), results), results)
    found = examine(given.items, rules, open_source)
    resourcelist.verify(given.items, text)
    edits = () if found.is_error else tuple(change.edit for change in found.changes)
    return Outcome(resourcelist.write(given, edits, found.results), found.results, rules.asides)


def examine(blocks: Sequence[Block], rules: Config, open_source: OpenSource) -> Run:
    """Find out what is to change in the blocks, without writing anything. Raises InputError and NotSeparableError."""
    wanted = [rules.policies[key] for key in sorted(bind.wanted(blocks, rules))]
    source = open_source(rules)
    listings: decision.Listings = {}
    if rules.settings.mode == "frozen":
        choices = decision.frozen(wanted, rules.lock)
    else:
        listings = resolve.ask(decision.to_list(wanted), source.tags, WORKERS)
        dates = resolve.ask(decision.to_date(wanted, listings), lambda moment: source.created(*moment), WORKERS)
        choices = decision.decide(wanted, listings, dates, rules.lock)
    bound = bind.bind(blocks, rules, bind.expected(rules, choices))
    questions = [] if rules.settings.mode == "frozen" else rewrite.to_pin(bound.targets, choices, rules.lock)
    digests = resolve.ask(questions, lambda question: source.digest(*question), WORKERS)
    made = rewrite.rewrite(bound.targets, choices, digests, rules.settings, rules.lock)
    said = [*rules.notes, *bound.results, *made.results, *report.notes(choices.values(), listings)]
    said += report.unbound(rules, bound, blocks)
    if rules.settings.mode == "check":
        said += report.unwanted(made.changes)
    elif not any(result.severity == "error" for result in said):
        said += report.changes(made.changes)
    return Run(rules, choices, bound, made.changes, report.in_order(said), listings)
