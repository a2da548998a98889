"""`krmfn explain`: why a policy chose its tag, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import pipeline, terminal
from krmfn.commands import completion, options, ruling
from krmfn.commands.output import to_json
from krmfn.config.objects import policy_named
from krmfn.diagnostics import misconfigured
from krmfn.errors import RegistryError
from krmfn.model import Chosen, ImagePolicy, NotChosen
from krmfn.plan import decision, records
from krmfn.plan.resolve import ask
from krmfn.policies import explain
from krmfn.policies.explain import Explanation
from krmfn.policies.selection import Selection, select

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.records import Config
    from krmfn.inventory import files
    from krmfn.outcome import Run
    from krmfn.plan.tag_source import TagSource

WORKERS = 8


@click.command(
    epilog=options.examples(
        "krmfn explain web .",
        "krmfn explain flux-system:web clusters/ --tag 1.9.5-rc.1",
        "krmfn explain web . --tags -o json",
        exits="0 the policy chose a tag, 1 it did not (or is bound to no field), 2 usage",
    )
)
@click.argument("policy", shell_complete=completion.policies)
@options.looking(options.LOOKED_AT)
@ruling.RULES
@options.WINDOWS
@click.option("--source", metavar="registry|layout:DIR|oci://...", help="Where tags come from.")
@click.option("--tags", "all_tags", is_flag=True, help="Give the reason of every tag.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give the reason of this tag; may be repeated.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    policy: str, paths: tuple[Path, ...], source: str | None, all_tags: bool, tags: tuple[str, ...], output: str
) -> int:
    """Show why POLICY (`name` or `namespace:name`) chose its tag, from the configuration below PATHS.

    First how many tags each step left over, then, when asked, one reason per tag. A policy that follows what
    is deployed (`digest`, `version`) is explained by its fields: `version` once for each deployed tag.
    """
    tree = options.read(paths)
    options.tell_skipped(tree.skipped)
    rules = ruling.load(tree.blocks, options.finishing(source, None, None, None))
    found = _found(policy, rules)
    if found.rules.follows_current:
        return _follow(found, rules, tree, (output, all_tags, tags))
    with options.open_source(rules) as opened:
        explanation = _of_lock(found, _examined(rules, tree, opened)) if found.rules.followed else _explain(found, opened)
        if found.is_judged:
            explanation = _with_verdicts(explanation, found, _examined(rules, tree, opened))
    asked = tuple(dict.fromkeys((*tags, *(explanation.selection.tags if all_tags else ()))))
    _PRINTERS[output](explanation, asked)
    return int(explanation.runs is None if found.is_judged else explanation.selection.tag is None)


def _found(name: str, rules: Config) -> ImagePolicy:
    """Return the policy of this name. Raise ConfigError for one that chooses nothing, with the reason."""
    key = policy_named(name, rules.declared)
    if key in rules.policies:
        return rules.policies[key]
    if key in rules.unresolved:
        raise misconfigured(f"policy {key} chooses nothing: {rules.unresolved[key].why}")
    if key in rules.suspended.values():
        raise misconfigured(f"policy {key} is suspended: it chooses nothing and its fields stay, until spec.suspend is false")
    raise misconfigured(f"policy {key} is declared and chooses nothing here: krmfn update says why")


def _follow(
    policy: ImagePolicy, rules: Config, tree: files.Tree, asked: tuple[str, bool, tuple[str, ...]]
) -> int:
    from krmfn.commands import explain_digest

    output, all_tags, tags = asked
    held = explain_digest.follow(policy, rules, tree.blocks)
    if not policy.rules.pins_current and held.tags:
        with options.open_source(rules) as opened:
            each = _of_each(policy, held.tags, opened)
            if policy.is_judged:
                run = _examined(rules, tree, opened)
                each = tuple(_with_verdicts(one, policy, run) for one in each)
        held = held._replace(explanations=each)
    known = tuple(tag for one in held.explanations[:1] for tag in one.selection.tags) or held.tags
    show = explain_digest.print_json if output == "json" else explain_digest.print_text
    show(held, tuple(dict.fromkeys((*tags, *(known if all_tags else ())))))
    return int(not held.fields or any(one.selection.tag is None for one in held.explanations))


def _examined(rules: Config, tree: files.Tree, source: TagSource) -> Run:
    return pipeline.examine(tree.blocks, rules, lambda _: source, every=True, graph=tree.graph)


def _of_each(policy: ImagePolicy, deployed: Sequence[str], source: TagSource) -> tuple[Explanation, ...]:
    listing = source.tags(policy.repository)
    return tuple(
        Explanation(
            str(policy.key), policy.repository.image.name, policy.rules,
            select(policy.rules, listing.tags, current=tag), listing.malformed, tag,
        )
        for tag in deployed
    )  # fmt: skip


def _explain(policy: ImagePolicy, source: TagSource) -> Explanation:
    listing = source.tags(policy.repository)
    moments = decision.to_date([policy], {policy.repository: listing})
    dates = ask(moments, lambda moment: source.created(*moment), WORKERS)
    selection = select(policy.rules, listing.tags, created=lambda tag: _date(dates, policy.repository, tag))
    return Explanation(str(policy.key), policy.repository.image.name, policy.rules, selection, listing.malformed)


def _of_lock(policy: ImagePolicy, run: Run) -> Explanation:
    """Explain a policy that follows another lock by what that holds."""
    choice = next((one for (key, _), one in run.offered.items() if key.plain == policy.key), None)
    selected = choice.selection if isinstance(choice, Chosen) else None
    nothing = Selection(None, choice.message if isinstance(choice, NotChosen) else "", (), b"")
    return Explanation(str(policy.key), policy.repository.image.name, policy.rules, selected or nothing)


def _with_verdicts(explanation: Explanation, policy: ImagePolicy, run: Run) -> Explanation:
    """Add what may run now to what the policy chooses: that depends on what the fields hold."""
    judged = run.judgement(policy.key, explanation.current)
    tags = ("", explanation.current)
    choice = next((one for (key, tag), one in run.choices.items() if key.plain == policy.key and tag in tags), None)
    said = tuple(one.message for one in judged.said) if judged else ()
    said += (choice.message,) if isinstance(choice, NotChosen) else ()
    if judged is None:
        return explanation._replace(verdicts=said, is_judged=True)
    return explanation._replace(
        runs=judged.runs, verdicts=said, passed_over=judged.passed_over, is_judged=True, refused=judged.refused, steps=judged.steps
    )


def _date(dates: Mapping[records.Moment, str | RegistryError], repository: Repository, tag: str) -> str:
    date = dates[repository, tag]
    if isinstance(date, RegistryError):
        raise date
    return date


def _print_text(explanation: Explanation, tags: tuple[str, ...]) -> None:
    terminal.tell(explain.as_text(explanation).removesuffix("\n"))
    if tags:
        terminal.echo()
        terminal.table(("TAG", "REASON", "WHY"), explain.tag_rows(explanation, tags))


def _print_json(explanation: Explanation, tags: tuple[str, ...]) -> None:
    terminal.echo(to_json(explain.as_data(explanation, tags)))


_PRINTERS = {"text": _print_text, "json": _print_json}
