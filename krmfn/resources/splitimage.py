"""Images that are spelled in several fields: `image: {repository, tag}` of Helm values, `images` of a kustomization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from krmfn.model import Part
from krmfn.resources.resource import Steps
from krmfn.text.yamltext import children

_HELM = {"repository": Part.NAME, "tag": Part.TAG, "digest": Part.DIGEST}
_KUSTOMIZE = {"newName": Part.NAME, "newTag": Part.TAG, "digest": Part.DIGEST}


class SplitImage(NamedTuple):
    """An image and the fields that spell it, each with the part that it holds."""

    repository: str
    fields: tuple[tuple[Part, Steps, yaml.ScalarNode], ...]


def split_images(root: yaml.Node) -> Iterator[SplitImage]:
    """Yield the images below a node that are spelled in several fields, in document order."""
    stack: list[tuple[yaml.Node, Steps]] = [(root, ())]
    while stack:
        node, steps = stack.pop()
        if isinstance(node, yaml.MappingNode) and (found := _image(node, steps)):
            yield found
        stack += reversed([(child, (*steps, step)) for step, child in children(node)])


def _image(node: yaml.MappingNode, steps: Steps) -> SplitImage | None:
    scalars = {str(key): child for key, child in children(node) if isinstance(child, yaml.ScalarNode)}
    is_kustomize = steps[:1] == ("images",) and len(steps) == 2
    parts, whole = (_KUSTOMIZE, ("newName", "name")) if is_kustomize else (_HELM, ("repository",))
    name = next((scalars[key] for key in whole if key in scalars), None)
    if name is None or not ({"tag", "newTag", "digest"} & scalars.keys()):
        return None
    registry = scalars["registry"].value if "registry" in scalars and not is_kustomize else ""
    fields = tuple(
        (part, (*steps, key), scalars[key])
        for key, part in parts.items()
        if key in scalars and not (registry and part is Part.NAME)
    )
    return SplitImage(f"{registry}/{name.value}" if registry else name.value, fields)
