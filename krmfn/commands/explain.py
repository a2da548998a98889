"""`krmfn explain`: why a policy chose its tag, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from krmfn import pipeline, terminal
from krmfn.commands import completion, options, ruling
from krmfn.commands.output import to_json
from krmfn.config.objects import policy_named
from krmfn.diagnostics import misconfigured
from krmfn.errors import RegistryError
from krmfn.model import Chosen, ImagePolicy, NotChosen
from krmfn.plan import bind, decision, records
from krmfn.plan.current import Deployed
from krmfn.plan.resolve import ask
from krmfn.policies import explain
from krmfn.policies.explain import Explanation
from krmfn.policies.reason import Reason
from krmfn.policies.selection import Selection, select
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.records import Config
    from krmfn.inventory import files
    from krmfn.outcome import Run
    from krmfn.plan.tag_source import TagSource
    from krmfn.plan.target import Target
    from krmfn.yamledit.nodes import Block


class Held(NamedTuple):
    """A field, and the tag that runs where it stands; None when it is pinned by a digest alone, or unknown."""

    place: str
    path: str
    value: str
    tag: str | None


class Deployment(NamedTuple):
    """A policy that follows what is deployed, the fields that it is bound to, and of `version` each decision."""

    policy: ImagePolicy
    fields: tuple[Held, ...]
    explanations: tuple[Explanation, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are deployed, sorted."""
        return tuple(sorted({held.tag for held in self.fields if held.tag}))


@options.verb(
    "krmfn explain web .",
    "krmfn explain flux-system:web clusters/ --tag 1.9.5-rc.1",
    "krmfn explain web . --tags -o json",
    exits="0 the policy chose a tag, 1 it did not (or is bound to no field), 2 usage",
)
@click.argument("policy", shell_complete=completion.policies)
@options.looking(options.LOOKED_AT)
@ruling.RULES
@options.WINDOWS
@options.SOURCE
@click.option("--tags", "all_tags", is_flag=True, help="Give the reason of every tag.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give the reason of this tag; may be repeated.")
@options.output("text", "json")
def command(
    policy: str, paths: tuple[Path, ...], source: str | None, all_tags: bool, tags: tuple[str, ...], form: str
) -> int:
    """Show why POLICY (`name` or `namespace:name`) chose its tag, from the configuration below PATHS.

    First how many tags each step left over, then, when asked, one reason per tag. A policy that follows what
    is deployed (`digest`, `version`) is explained by its fields: `version` once for each deployed tag.
    """
    tree = options.read(paths)
    options.tell_skipped(tree.skipped)
    rules = ruling.load(tree.blocks, options.finishing(source))
    named = _named(policy, rules)
    if named.rules.follows_current:
        following = _following(named, rules, tree)
        every = next((one.selection.tags for one in following.explanations), ()) or following.tags
        show_following = _print_following_json if form == "json" else _print_following
        show_following(following, _asked(tags, every if all_tags else ()))
        return int(not following.fields or any(one.selection.tag is None for one in following.explanations))
    explanation = _explained(named, rules, tree)
    asked = _asked(tags, explanation.selection.tags if all_tags else ())
    if form == "json":
        terminal.echo(to_json(explain.as_data(explanation, asked)))
    else:
        _print_explanation(explanation, asked)
    return int(explanation.runs is None if named.is_judged else explanation.selection.tag is None)


def _asked(named: Sequence[str], listed: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*named, *listed)))


def _named(name: str, rules: Config) -> ImagePolicy:
    """Return the policy of this name. Raise ConfigError for one that chooses nothing, with the reason."""
    key = policy_named(name, rules.declared)
    if key in rules.policies:
        return rules.policies[key]
    if key in rules.unresolved:
        raise misconfigured(f"policy {key} chooses nothing: {rules.unresolved[key].why}")
    if key in rules.suspended.values():
        raise misconfigured(f"policy {key} is suspended: it chooses nothing and its fields stay, until spec.suspend is false")
    raise misconfigured(f"policy {key} is declared and chooses nothing here: krmfn update says why")


def _explained(policy: ImagePolicy, rules: Config, tree: files.Tree) -> Explanation:
    with options.open_source(rules) as source:
        if policy.rules.followed:
            explanation = _of_lock(policy, _examined(rules, tree, source))
        else:
            explanation = _of_tags(policy, source)
        if policy.is_judged:
            explanation = _with_verdicts(explanation, policy, _examined(rules, tree, source))
    return explanation


def _following(policy: ImagePolicy, rules: Config, tree: files.Tree) -> Deployment:
    """Return the fields of a policy that follows what is deployed, and of `version` each decision."""
    following = _fields_of(policy, rules, tree.blocks)
    if policy.rules.pins_current or not following.tags:
        return following
    with options.open_source(rules) as source:
        each = _of_each(policy, following.tags, source)
        if policy.is_judged:
            run = _examined(rules, tree, source)
            each = tuple(_with_verdicts(one, policy, run) for one in each)
    return following._replace(explanations=each)


def _examined(rules: Config, tree: files.Tree, source: TagSource) -> Run:
    return pipeline.examine(tree.blocks, rules, lambda _: source, every=True, graph=tree.graph)


def _of_each(policy: ImagePolicy, deployed: Sequence[str], source: TagSource) -> tuple[Explanation, ...]:
    listing = source.tags(policy.repository)
    selections = {tag: select(policy.rules, listing.tags, current=tag) for tag in deployed}
    return tuple(_explanation(policy, one, listing.malformed, tag) for tag, one in selections.items())


def _of_tags(policy: ImagePolicy, source: TagSource) -> Explanation:
    listing = source.tags(policy.repository)
    moments = decision.to_date([policy], {policy.repository: listing})
    dates = ask(moments, lambda moment: source.created(*moment))
    selection = select(policy.rules, listing.tags, created=lambda tag: _date(dates, policy.repository, tag))
    return _explanation(policy, selection, listing.malformed)


def _of_lock(policy: ImagePolicy, run: Run) -> Explanation:
    """Explain a policy that follows another lock by what that holds."""
    choice = next((one for (key, _), one in run.offered.items() if key.plain == policy.key), None)
    selected = choice.selection if isinstance(choice, Chosen) else None
    nothing = Selection(None, choice.message if isinstance(choice, NotChosen) else "", (), b"")
    return _explanation(policy, selected or nothing)


def _explanation(policy: ImagePolicy, selection: Selection, malformed: int = 0, current: str = "") -> Explanation:
    return Explanation(str(policy.key), policy.repository.image.name, policy.rules, selection, malformed, current)


def _with_verdicts(explanation: Explanation, policy: ImagePolicy, run: Run) -> Explanation:
    """Add what may run now to what the policy chooses: that depends on what the fields hold."""
    judged = run.judgement(policy.key, explanation.current)
    # A choice is kept by policy and deployed tag; one that holds for every tag has none.
    tags = ("", explanation.current)
    choice = next((one for (key, tag), one in run.choices.items() if key.plain == policy.key and tag in tags), None)
    verdicts = (choice.message,) if isinstance(choice, NotChosen) else ()
    if judged is None:
        return explanation._replace(verdicts=verdicts, is_judged=True)
    verdicts = (*(diagnostic.message for diagnostic in judged.said), *verdicts)
    return explanation._replace(
        runs=judged.runs, verdicts=verdicts, passed_over=judged.passed_over, is_judged=True, refused=judged.refused,
        steps=judged.steps,
    )  # fmt: skip


def _date(dates: Mapping[records.Moment, str | RegistryError], repository: Repository, tag: str) -> str:
    date = dates[repository, tag]
    if isinstance(date, RegistryError):
        raise date
    return date


def _fields_of(policy: ImagePolicy, rules: Config, blocks: Sequence[Block]) -> Deployment:
    """Return the fields of a policy and what they hold. Asks nobody. Raises InputError for no YAML."""
    bound = bind.bind(blocks, rules)
    mine = (target for target in bound.targets if target.setter.policy == policy.key)
    deployed = Deployed(mine, {policy.key: policy})
    return Deployment(policy, tuple(_held(target, deployed) for target in deployed.targets))


def _held(target: Target, deployed: Deployed) -> Held:
    where = target.resource.place(target.scalar.start)
    place = f"{where.path}:{where.line}" if where else str(target.resource.id)
    return Held(place, target.scalar.path, target.scalar.value, deployed.tag(target))


def _print_following(following: Deployment, tags: Sequence[str]) -> None:
    """Print the fields, what was decided for each deployed tag, and the reasons of the tags that are asked about."""
    policy, image = following.policy, following.policy.repository.image.name
    aim = "tags stay, only digests move" if policy.rules.pins_current else policy.rules.described
    terminal.tell(printable(f"{policy.key} follows what is deployed of {image}: {aim}", 2000))
    terminal.echo()
    if following.fields:
        fields = [(held.tag or "-", held.value, held.place) for held in following.fields]
        terminal.table(("TAG", "VALUE", "WHERE"), fields)
    else:
        terminal.tell("  no field is bound to it: krmfn update says why, and what to write")
    for explanation in following.explanations:
        terminal.echo()
        _print_explanation(explanation, tags)
    if not following.explanations:
        _print_reasons([(tag, *_reason(following, tag)) for tag in tags])


def _print_explanation(explanation: Explanation, tags: Sequence[str]) -> None:
    """Print why a policy chose its tag, and the reasons of the tags that are asked about."""
    terminal.tell(explain.as_text(explanation).removesuffix("\n"))
    _print_reasons(explain.tag_rows(explanation, tags))


def _print_reasons(rows: Sequence[tuple[str, str, str]]) -> None:
    if rows:
        terminal.echo()
        terminal.table(("TAG", "REASON", "WHY"), rows)


def _print_following_json(following: Deployment, tags: Sequence[str]) -> None:
    """Print the same as data."""
    policy = following.policy
    data: dict[str, object] = {
        "policy": str(policy.key),
        "image": policy.repository.image.name,
        "described": policy.rules.described,
        "rules": policy.rules.canonical(),
        "tag": following.tags[0] if len(following.tags) == 1 and policy.rules.pins_current else None,
        "deployed": [held._asdict() for held in following.fields],
    }
    if following.explanations:
        data["decisions"] = [explain.as_data(explanation, tags) for explanation in following.explanations]
    elif tags:
        reasons = ((tag, *_reason(following, tag)) for tag in tags)
        data["tags"] = [{"tag": tag, "reason": word, "why": why} for tag, word, why in reasons]
    terminal.echo(to_json(data))


def _reason(following: Deployment, tag: str) -> tuple[str, str]:
    if tag in following.tags:
        return Reason.CHOSEN.word, "deployed"
    return Reason.NOT_CURRENT.word, Reason.NOT_CURRENT.text
