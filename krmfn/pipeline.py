"""The whole flow, in order: read, configure, list, decide, bind, follow, judge, pin, guard, rewrite, record, report, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from krmfn import optional
from krmfn.config import loading
from krmfn.config.records import Config, Finish, no_change
from krmfn.diagnostics import unreadable
from krmfn.errors import ConfigError, InputError
from krmfn.kubernetes.resource import is_definition
from krmfn.outcome import Outcome, Run
from krmfn.plan import bind, decision, digests, guard, needed, report, resolve, rewrite
from krmfn.plan.current import Deployed
from krmfn.yamledit import resourcelist

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from krmfn.config.floor import Floor
    from krmfn.kubernetes.overriding import Graph
    from krmfn.plan.tag_source import TagSource
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Text

OpenSource: TypeAlias = "Callable[[Config], TagSource]"


def run(text: Text, open_source: OpenSource, finish: Finish = no_change, floor: Floor | None = None) -> Outcome:
    """Turn ResourceList text into ResourceList text. Only InputError, for text that is none, leaves as an exception.

    `finish` has the last word on the settings: the environment, or a command line. `floor` holds the rules from outside.
    """
    listed = resourcelist.read(text)
    try:
        rules = loading.load(listed.items, listed.function_config, finish, floor)
        if not rules.declared:
            return _idle(text, rules)
        examined = examine([block for block in listed.items if not is_definition(block)], rules, open_source)
    except ConfigError as error:
        return Outcome(resourcelist.splice(listed, (), error.problems), error.problems)
    try:
        return Outcome(resourcelist.splice(listed, examined.accepted, examined.results), examined.results, rules.asides)
    except InputError as error:  # an edit that cannot be proven
        results = (unreadable(error, "unproven"),)
        return Outcome(resourcelist.splice(listed, (), results), results, rules.asides)


def _idle(text: Text, rules: Config) -> Outcome:
    """Return the very bytes that came: without any policy nothing can be meant, and nothing is a mistake."""
    is_marked = b"$imagepolicy" in text.data or b"$imagescan" in text.data
    remarks = ("the items hold markers, but no policy is configured: nothing was looked up",) if is_marked else ()
    return Outcome((text.data,), (), rules.asides + remarks)


def examine(
    blocks: Sequence[Block], rules: Config, open_source: OpenSource, *, every: bool = False, graph: Graph | None = None
) -> Run:
    """Find out what is to change in the blocks, without writing anything. Raises InputError.

    With `every` policies that no field may need are resolved too, digests included. `graph` tells which fields of files
    kustomizations override.
    """
    source = resolve.Remembered(open_source(rules))
    scope = bind.early(source.sighted(needed.scope(rules, blocks, graph, every=every)))
    rules, settings = scope.rules, scope.rules.settings
    listings, dates = decision.listed(scope, source)
    choices = decision.decide(scope.wanted, listings, dates, scope.lock, rules.followed, is_frozen=scope.is_frozen)
    bound = scope.bound or bind.bind(blocks, rules, choices, graph)
    deployed = Deployed(bound.targets, scope.policies, scope.lock)
    choices = decision.follow(choices, scope, deployed, listings)
    offered, taken = optional.hold(choices, scope, deployed)
    seen = optional.see(offered, scope, deployed, listings, dates, source)
    judged = optional.judge(offered, scope, deployed, seen.believed, dates, source)
    answers = {**seen.digests, **source.digests(digests.to_ask(judged, scope, deployed))}
    pins = digests.settle(judged, deployed, answers, settings)
    guarded = guard.guard(judged.choices, deployed, settings)
    changes, not_written = rewrite.rewrite(deployed, judged, pins, guarded, settings)
    recorded = optional.record(judged.choices, scope, pins, guarded, changes)
    noted = (
        *rules.notes, *bound.results, *scope.results, *not_written, *judged.results, *(one.said for one in taken), *recorded.results,
        *report.notes(judged.choices.values(), listings, source.notes()), *optional.unbound(scope, bound),
    )  # fmt: skip
    results = report.results(noted, changes, settings)
    return Run(
        rules, scope.wanted, source, bound, listings, dates, offered, taken, seen.written, judged, answers, pins, guarded, changes,
        recorded, results,
    )  # fmt: skip
