"""*need*: which policies the texts may need, told before anything is bound, so that nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from krmfn.kubernetes.resource import describe
from krmfn.plan.records import Scope
from krmfn.plan.target import ANNOTATION, annotated, parse_setter
from krmfn.yamledit import prefilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.kubernetes.overriding import Graph
    from krmfn.model import PolicyKey
    from krmfn.plan.needed_images import NeededImages
    from krmfn.yamledit.nodes import Block


def scope(rules: Config, blocks: Sequence[Block], graph: Graph | None, *, every: bool) -> Scope:
    """Return what a run decides about: the policies that the texts may need, or `every` one."""
    keys = rules.policies.keys() if every else wanted(blocks, rules)
    policies = tuple(rules.policies[key] for key in sorted(keys))
    return Scope(rules, blocks, graph, every, policies, rules.policies, rules.record)


def wanted(blocks: Iterable[Block], config: Config) -> frozenset[PolicyKey]:
    """Return the policies that the texts may need: a cheap superset, with all that are in a group with one of them."""
    by_image = config.by_image()
    keys = {rule.policy for rule in config.targets}
    blocks = tuple(blocks)
    images = _images(by_image, blocks)
    for block in blocks:
        if keys >= config.policies.keys():
            break  # nothing can come on top of all
        raw = block.raw
        if prefilter.may_hold_marker(raw):
            keys |= {setter.policy for text in prefilter.setters_in(raw) if (setter := parse_setter(text))}
        if images is not None:
            for name in images.named(block, raw):
                keys |= {policy.key for policy in by_image.get(name, ())}
        if prefilter.may_hold(raw, (ANNOTATION.encode(),)) and block.root is not None:
            keys |= {setter.policy for one in describe(block) for _, _, setter in annotated(one) if setter}
            block.forget()
    # A member alone tells nothing: what it may take depends on what the others of its group may take.
    keys &= config.policies.keys()
    together = {key for group in config.rulebook.groups if keys.intersection(group.members) for key in group.members}
    return frozenset(keys | (together & config.policies.keys()))


def _images(by_image: Iterable[str], blocks: Iterable[Block]) -> NeededImages | None:
    if not by_image:
        return None
    from krmfn.plan.needed_images import NeededImages  # most policies bind markers

    return NeededImages(by_image, blocks)
