"""A composed block seen as a Kubernetes resource: identity, origin, containers, image fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from krmfn.model import File, ResourceId
from krmfn.yamltext import Block, children, join_path

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_PATHS = ("internal.config.kubernetes.io/path", "config.kubernetes.io/path")
_INDEXES = ("internal.config.kubernetes.io/index", "config.kubernetes.io/index")
KUSTOMIZE_ID = "kustomize.config.k8s.io/id"
_NOT_DEPLOYED = ("image.toolkit.fluxcd.io", "krmfn.dev", "source.toolkit.fluxcd.io")
Step = str | int


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: a whole block, or a member of a `kind: List` inside it (`prefix` leads there)."""

    block: Block
    root: yaml.Node
    id: ResourceId
    annotations: Mapping[str, str]
    labels: Mapping[str, str]
    file: File | None
    prefix: tuple[Step, ...] = ()

    @property
    def is_from_kustomize(self) -> bool:
        """True when `kustomize build` sent it, so that no comment survived."""
        return KUSTOMIZE_ID in self.annotations

    def place(self, offset: int) -> File | None:
        """Say where a byte offset is: the file it came from, with line and column when the text is that file."""
        if self.file is None or not self.block.text.name:
            return self.file
        line, column = self.block.text.locate(offset)
        return File(self.file.path, self.file.index, line, column)

    def containers(self, names: tuple[str, ...]) -> Iterator[tuple[str, yaml.Node]]:
        """Yield (path, image node) of the containers with these names."""
        for path, container in _containers(self.root, self.prefix):
            name, image = get(container, "name"), get(container, "image")
            if isinstance(name, yaml.ScalarNode) and name.value in names and image is not None:
                yield join_path((*path, "image")), image

    def container_names(self) -> tuple[str, ...]:
        """Answer the names of all containers, for hints."""
        found = (get(container, "name") for _, container in _containers(self.root, self.prefix))
        return tuple(node.value for node in found if isinstance(node, yaml.ScalarNode))


def get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Answer the value of a key of a mapping node, or None."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in children(node) if name == key), None)


def scalars_of(node: yaml.Node | None) -> dict[str, str]:
    """Answer the scalar members of a mapping node."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {str(key): value.value for key, value in children(node) if isinstance(value, yaml.ScalarNode)}


def describe(block: Block) -> tuple[Resource, ...]:
    """Read identity, origin, labels and annotations of a block's resource; those of a `kind: List` are its members."""
    if block.root is None:
        return ()
    items = get(block.root, "items")
    whole = _describe(block, block.root, ())
    if not whole.id.kind.endswith("List") or not isinstance(items, yaml.SequenceNode):
        return (whole,)
    members = [(index, node) for index, node in enumerate(items.value) if isinstance(node, yaml.MappingNode)]
    return tuple(_describe(block, node, ("items", index)) for index, node in members) or (whole,)


def owner(resources: tuple[Resource, ...], offset: int) -> Resource:
    """Answer the resource, of one block, whose text holds the byte offset; else the first."""
    if len(resources) > 1:
        for member in resources:
            start, end = member.block.span(member.root)
            if start <= offset < end:
                return member
    return resources[0]


def _describe(block: Block, root: yaml.Node, prefix: tuple[Step, ...]) -> Resource:
    top, metadata = scalars_of(root), get(root, "metadata")
    meta, annotations = scalars_of(metadata), scalars_of(get(metadata, "annotations"))
    identity = ResourceId(
        top.get("apiVersion", ""), top.get("kind", ""), meta.get("namespace", ""), meta.get("name", "")
    )
    labels = scalars_of(get(metadata, "labels"))
    return Resource(block, root, identity, annotations, labels, _file(block, annotations), prefix)


def _file(block: Block, annotations: Mapping[str, str]) -> File | None:
    if block.text.name:
        return File(block.text.name, block.index)
    if KUSTOMIZE_ID in annotations:
        origin = annotations.get("config.kubernetes.io/origin", "")
        path = next((line[6:].strip() for line in origin.splitlines() if line.startswith("path: ")), "")
        return File(path) if path else None
    path = next((annotations[name] for name in _PATHS if name in annotations), "")
    index = next((annotations[name] for name in _INDEXES if annotations.get(name, "").isdigit()), None)
    return File(path, int(index) if index else None) if path else None


def is_image_shaped(resource: Resource) -> bool:
    """Tell whether image fields of this kind are images that run: not configuration of policies, not plain data."""
    group = resource.id.api_version.rpartition("/")[0]
    return group not in _NOT_DEPLOYED and not (group == "" and resource.id.kind in ("ConfigMap", "Secret"))


def fields_named_image(resource: Resource) -> Iterator[tuple[str, yaml.Node, bool]]:
    """Yield (path, node, is it a container's) of every `image` field and of image volumes, outside metadata."""
    for path, node, is_container in _images(resource.root, resource.prefix, in_containers=False):
        yield join_path(path), node, is_container


def _images(
    node: yaml.Node, path: tuple[Step, ...], *, in_containers: bool
) -> Iterator[tuple[tuple[Step, ...], yaml.Node, bool]]:
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _images(child, (*path, index), in_containers=in_containers)
    elif isinstance(node, yaml.MappingNode):
        for key, child in children(node):
            if key == "metadata":
                continue
            if key == "image" and isinstance(child, yaml.ScalarNode):
                yield (*path, key), child, in_containers
            elif key == "image" and (reference := get(child, "reference")) is not None:
                yield (*path, key, "reference"), reference, True
            elif not isinstance(child, yaml.ScalarNode):
                yield from _images(child, (*path, key), in_containers=key in CONTAINERS)


def _containers(node: yaml.Node, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _containers(child, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        for key, child in children(node):
            if key in CONTAINERS and isinstance(child, yaml.SequenceNode):
                for index, container in enumerate(child.value):
                    yield (*path, key, index), container
            elif not isinstance(child, yaml.ScalarNode):
                yield from _containers(child, (*path, key))
