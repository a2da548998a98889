"""What can be told before anything is bound: which policies the texts may need, and what fields hold when all is current."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from krmfn.configuration.config import Config
from krmfn.model import Choice, Chosen, Part, PolicyKey
from krmfn.resources.resource import anchored, describe, image_fields, is_image_shaped
from krmfn.steps.target import ANNOTATION, Setter, annotated, parse_setter
from krmfn.text import screen
from krmfn.text.yamltext import Block


def wanted(blocks: Iterable[Block], config: Config) -> frozenset[PolicyKey]:
    """Answer the policies that the texts may need: a cheap superset, so that nobody else is asked."""
    by_image = config.by_image()
    found = {rule.policy for rule in config.targets}
    for block in blocks:
        if found >= config.policies.keys():
            break
        raw = block.raw
        if screen.may_hold_marker(raw):
            found |= {setter.policy for text in screen.setters_in(raw) if (setter := parse_setter(text))}
        if by_image:
            for value in _image_values(block, raw):
                found |= {policy.key for policy in by_image.get(screen.repository_of(value), ())}
        if screen.may_hold(raw, (ANNOTATION.encode(),)) and block.root is not None:
            found |= {setter.policy for one in describe(block) for _, _, setter in annotated(one) if setter}
            block.forget()
    return frozenset(key for key in found if key in config.policies)


def _image_values(block: Block, raw: bytes) -> Iterable[str]:
    """Answer the values of a block's image fields: by its lines, or by its nodes when a line is not plain to see."""
    values = None if b"image.toolkit.fluxcd.io" in raw or b"krmfn.dev" in raw else screen.image_values(raw)
    if values is not None or block.root is None:
        return values or ()
    nodes = [field.node for one in describe(block) if is_image_shaped(one) for field in image_fields(one.root)]
    block.forget()
    return {node.value for node in map(anchored, nodes) if node is not None}


def expected(config: Config, choices: Mapping[PolicyKey, Choice]) -> screen.Expected:
    """Answer what fields must hold so that nothing changes, as far as that is known before digests are asked for."""
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
    others = config.declared - config.policies.keys() - config.dangling.keys()
    return screen.Expected(setters, images, frozenset(str(Setter(key, part)) for key in others for part in Part))


def _values(chosen: Chosen) -> dict[Part, str | None] | None:
    policy = chosen.policy
    if policy.digest_reflection != "Never" and not chosen.digest:
        return None
    return {
        Part.IMAGE: chosen.ref, Part.TAG: chosen.tag, Part.NAME: policy.repository.image.name, Part.DIGEST: chosen.digest
    }  # fmt: skip
