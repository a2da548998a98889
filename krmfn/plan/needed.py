"""What can be told before anything is bound: which policies the texts may need, and what fields hold when all is current."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from krmfn.kubernetes.resource import describe
from krmfn.model import Choice, Chosen, Part, PolicyKey
from krmfn.plan.target import ANNOTATION, Setter, annotated, parse_setter
from krmfn.yamledit import prefilter

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.plan.needed_images import NeededImages
    from krmfn.yamledit.nodes import Block


def wanted(blocks: Iterable[Block], config: Config) -> frozenset[PolicyKey]:
    """Return the policies that the texts may need: a cheap superset, so that nobody else is asked."""
    by_image = config.by_image()
    keys = {rule.policy for rule in config.targets}
    blocks = tuple(blocks)
    images = _images(by_image, blocks)
    for block in blocks:
        if keys >= config.policies.keys():
            break
        raw = block.raw
        if prefilter.may_hold_marker(raw):
            keys |= {setter.policy for text in prefilter.setters_in(raw) if (setter := parse_setter(text))}
        if images is not None:
            for name in images.named(block, raw):
                keys |= {policy.key for policy in by_image.get(name, ())}
        if prefilter.may_hold(raw, (ANNOTATION.encode(),)) and block.root is not None:
            keys |= {setter.policy for one in describe(block) for _, _, setter in annotated(one) if setter}
            block.forget()
    return frozenset(key for key in keys if key in config.policies)


def _images(by_image: Iterable[str], blocks: Iterable[Block]) -> NeededImages | None:
    if not by_image:
        return None
    from krmfn.plan.needed_images import NeededImages  # most policies bind markers

    return NeededImages(by_image, blocks)


def expected(config: Config, choices: Mapping[PolicyKey, Choice]) -> prefilter.Expected:
    """Return what fields must hold so that nothing changes, as far as that is known before digests are asked for."""
    setters: dict[str, str | None] = {}
    images: dict[str, frozenset[str] | None] = {}
    for key in config.policies:
        chosen = choices.get(key)
        values = _values(chosen) if isinstance(chosen, Chosen) else None
        for part in Part:
            setters[str(Setter(key, part))] = values[part] if values else None
    for canonical, policies in config.by_image().items():
        chosen = choices.get(policies[0].key)
        values = _values(chosen) if isinstance(chosen, Chosen) and len(policies) == 1 else None
        images[canonical] = frozenset({str(values[Part.IMAGE])}) if values else None
    others = config.declared - config.policies.keys() - config.unresolved.keys()
    return prefilter.Expected(setters, images, frozenset(str(Setter(key, part)) for key in others for part in Part))


def _values(chosen: Chosen) -> dict[Part, str | None] | None:
    policy = chosen.policy
    if policy.reflects and not chosen.digest:
        return None
    return {
        Part.IMAGE: chosen.ref, Part.TAG: chosen.tag, Part.NAME: policy.repository.image.name, Part.DIGEST: chosen.digest,
        Part.VERSION: None,
    }  # fmt: skip
