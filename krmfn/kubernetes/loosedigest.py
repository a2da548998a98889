"""Digests in fields of their own, beside the tag that they pin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.kubernetes.form import read_form
from krmfn.kubernetes.resource import Steps, anchored
from krmfn.model import Part
from krmfn.yamledit.yamltree import children

if TYPE_CHECKING:
    from krmfn.kubernetes.places import Place

STALE = "a digest beside it pins an image and would not move along"
"""Why a place is not sure whose tag or image a digest pins in no form that is known."""


class LooseDigest(NamedTuple):
    """A digest in a field of its own, and the mapping that it stands in."""

    mapping: yaml.MappingNode
    steps: Steps
    key: str
    node: yaml.Node

    def is_pair_with(self, tag: str, kind: str) -> bool:
        """True if this digest and the tag under that key are one pair in a known form of spelling an image."""
        keys = {key for key, _ in children(self.mapping)}
        # kustomize, Flux's OCIRepository, and charts: those read both keys, and the digest decides.
        if tag == "newTag":
            return self.key == "digest" and "name" in keys
        is_reference = kind == "OCIRepository" and self.steps[-2:] == ("spec", "ref")
        is_image = not keys.isdisjoint(("repository", "image", "name"))
        return tag == "tag" and (
            (self.key == "digest" and is_reference) or (self.key in ("digest", "sha") and is_image)
        )


def loose_digests(root: yaml.Node) -> Iterator[LooseDigest]:
    """Yield the digests below a node that stand in a field of their own which is named so, in document order."""
    stack: list[tuple[yaml.Node, Steps]] = [(root, ())]
    while stack:
        node, steps = stack.pop()
        if isinstance(node, yaml.MappingNode):
            for key, child in children(node):
                scalar = anchored(child) if _is_digest_key(str(key)) else None
                form = read_form(scalar.value, Part.DIGEST, "") if scalar else None
                if form and form.digest:
                    yield LooseDigest(node, steps, str(key), child)
        inner = [(child, (*steps, step)) for step, child in children(node) if isinstance(child, yaml.CollectionNode)]
        stack += reversed(inner)


def is_left_behind(place: Place, digests: Iterable[LooseDigest]) -> bool:
    """True if a digest stands beside the tag or image of a place that would not move with it."""
    moving = [slot for slot in place.slots if slot.part in (Part.TAG, Part.IMAGE) and slot.scalar.host is None]
    mappings, moved = {slot.steps[:-1] for slot in moving}, {slot.steps for slot in place.slots}
    return any(one.steps in mappings and (*one.steps, one.key) not in moved for one in digests)


def _is_digest_key(key: str) -> bool:
    return "digest" in key.lower() or key.lower().endswith(("sha", "sha256"))
