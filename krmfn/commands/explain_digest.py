"""`krmfn explain` of a policy that follows what is deployed: the fields it is bound to, and what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn import terminal
from krmfn.commands.output import to_json
from krmfn.plan import bind
from krmfn.plan.current import Deployed
from krmfn.policies import explain
from krmfn.policies.reason import Reason
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.model import ImagePolicy
    from krmfn.plan.target import Target
    from krmfn.policies.explain import Explanation
    from krmfn.yamledit.nodes import Block


class Held(NamedTuple):
    """A field, and the tag that runs where it stands; None when it is pinned by a digest alone, or unknown."""

    place: str
    path: str
    value: str
    tag: str | None


class Following(NamedTuple):
    """A policy that follows what is deployed, the fields that it is bound to, and of `version` each decision."""

    policy: ImagePolicy
    fields: tuple[Held, ...]
    explanations: tuple[Explanation, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are deployed, sorted."""
        return tuple(sorted({held.tag for held in self.fields if held.tag}))


def follow(policy: ImagePolicy, rules: Config, blocks: Sequence[Block]) -> Following:
    """Find what is deployed of a policy. Asks nobody. Raises InputError for no YAML."""
    bound = bind.bind(blocks, rules)
    mine = (target for target in bound.targets if target.setter.policy == policy.key)
    deployed = Deployed(mine, {policy.key: policy})
    return Following(policy, tuple(_held(target, deployed) for target in deployed.targets))


def _held(target: Target, deployed: Deployed) -> Held:
    where = target.resource.place(target.scalar.start)
    place = f"{where.path}:{where.line}" if where else str(target.resource.id)
    return Held(place, target.scalar.path, target.scalar.value, deployed.tag(target))


def print_text(following: Following, tags: Sequence[str]) -> None:
    """Print the fields, what was decided for each deployed tag, and the reasons of the tags that are asked about."""
    policy, image = following.policy, following.policy.repository.image.name
    aim = "tags stay, only digests move" if policy.rules.pins_current else policy.rules.described
    terminal.tell(printable(f"{policy.key} follows what is deployed of {image}: {aim}", 2000))
    terminal.echo()
    if following.fields:
        terminal.table(
            ("TAG", "VALUE", "WHERE"), [(held.tag or "-", held.value, held.place) for held in following.fields]
        )
    else:
        terminal.tell("  no field is bound to it: krmfn update says why, and what to write")
    for explanation in following.explanations:
        terminal.tell("\n" + explain.as_text(explanation).removesuffix("\n"))
        if tags:
            terminal.echo()
            terminal.table(("TAG", "REASON", "WHY"), explain.tag_rows(explanation, tags))
    if tags and not following.explanations:
        terminal.echo()
        terminal.table(("TAG", "REASON", "WHY"), [(tag, *_reason(following, tag)) for tag in tags])


def print_json(following: Following, tags: Sequence[str]) -> None:
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
        terminal.echo(to_json(data))
        return
    rows = [dict(zip(("tag", "reason", "why"), (tag, *_reason(following, tag)), strict=True)) for tag in tags]
    terminal.echo(to_json(data | ({"tags": rows} if rows else {})))


def _reason(following: Following, tag: str) -> tuple[str, str]:
    if tag in following.tags:
        return Reason.CHOSEN.word, "deployed"
    return Reason.NOT_CURRENT.word, Reason.NOT_CURRENT.text
