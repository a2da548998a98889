"""A composed block seen as a Kubernetes resource: identity, origin, containers, image fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import intern

import yaml

from krmfn.model import File, ResourceId
from krmfn.namedtuple import NamedTuple
from krmfn.yamledit import compose
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.yamltree import Step, children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.image_automation import Select
    from krmfn.yamledit.nodes import Block

CONTAINERS = frozenset({"containers", "initContainers", "ephemeralContainers"})
KUSTOMIZE_ID = "kustomize.config.k8s.io/id"
_PATHS = ("internal.config.kubernetes.io/path", "config.kubernetes.io/path")
_INDEXES = ("internal.config.kubernetes.io/index", "config.kubernetes.io/index")
_DEFINITION = b"CustomResourceDefinition"
_NOT_DEPLOYED = frozenset({"image.toolkit.fluxcd.io", "krmfn.dev", "source.toolkit.fluxcd.io"})
Steps = tuple[Step, ...]


class Resource(NamedTuple):
    """One resource: a whole block, or a member of a list inside it (`prefix` leads there).

    It holds no nodes, so that a block can forget its tree; what needs them composes it again.
    """

    block: Block
    id: ResourceId
    file: File | None
    prefix: Steps = ()

    @property
    def root(self) -> yaml.Node:
        """The node of the resource in its block."""
        node = self.block.root
        for step in self.prefix:
            node = node.value[step] if isinstance(step, int) and node else next(child for key, child in children(node) if key == step)
        if node is None:
            raise ValueError("an empty block is no resource")
        return node

    @property
    def is_definition(self) -> bool:
        """True for a CustomResourceDefinition, in which nothing is ever changed."""
        return self.id.kind == _DEFINITION.decode()

    @property
    def is_configuration(self) -> bool:
        """True for what configures image automation; images that it names do not run."""
        return self.id.api_version.rpartition("/")[0] in _NOT_DEPLOYED

    def place(self, offset: int) -> File | None:
        """Return where a byte offset is: the file it came from, with line and column when the text is that file."""
        if self.file is None or not self.block.text.name:
            return self.file
        line, column = self.block.text.locate(offset)
        return File(self.file.path, self.file.document, line, column)


class ImageField(NamedTuple):
    """The field that holds a container's image; `container` is its name, empty for one without."""

    steps: Steps
    node: yaml.Node
    container: str


def get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key of a mapping node, or None."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                node_of_key: yaml.Node = value
                return node_of_key
    return None


def scalars_of(node: yaml.Node | None) -> dict[str, str]:
    """Return the scalar members of a mapping node."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {
        key.value: value.value
        for key, value in node.value
        if type(value) is yaml.ScalarNode and type(key) is yaml.ScalarNode
    }


def annotations_of(root: yaml.Node | None) -> dict[str, str]:
    """Return the annotations of a resource's node."""
    return scalars_of(get(get(root, "metadata"), "annotations"))


def describe(block: Block) -> tuple[Resource, ...]:
    """Read identity and origin of a block's resource; those of a list (`kind: List`, `DeploymentList`) are its members."""
    resources: list[Resource] = []
    stack: list[tuple[yaml.Node | None, Steps]] = [(block.root, ())]
    while stack:
        node, prefix = stack.pop()
        if isinstance(node, yaml.MappingNode):
            top = _entries(node)
            members = _members(top)
            stack += [(member, (*prefix, "items", index)) for index, member in reversed([*enumerate(members)])]
            if not members:
                meta = _entries(top.get("metadata"))
                names = top.get("apiVersion"), top.get("kind"), meta.get("namespace"), meta.get("name")
                file = _file(block, scalars_of(meta.get("annotations")))
                resources.append(Resource(block, ResourceId(*map(_text, names)), file, prefix))
        elif node is not None and not prefix:
            resources.append(Resource(block, ResourceId(), _file(block, {}), prefix))
    return tuple(resources)


def is_definition(block: Block) -> bool:
    """Return whether a block is a CustomResourceDefinition without markers: nothing in it counts, so it is not composed.

    Definitions make up most bytes of many trees.
    """
    raw = block.raw
    if _DEFINITION not in raw or b"$imagepolicy" in raw or b"$imagescan" in raw or not block.is_separate:
        return False
    return compose.leading(block.source.data, "kind") == _DEFINITION.decode()


def _members(top: Mapping[str, yaml.Node]) -> list[yaml.Node]:
    """Return the members of a list; a resource of its own that merely has a kind like `AccessList` is none."""
    kind, items = top.get("kind"), top.get("items")
    if items is None or "spec" in top or not isinstance(kind, yaml.ScalarNode) or not kind.value.endswith("List"):
        return []
    return items.value if isinstance(items, yaml.SequenceNode) else []


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the members of a mapping node; of a key that is given twice the last one."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return {key.value: value for key, value in pairs if type(key) is yaml.ScalarNode}


def _text(node: yaml.Node | None) -> str:
    return intern(node.value) if type(node) is yaml.ScalarNode else ""


def owner(resources: tuple[Resource, ...], offset: int) -> Resource:
    """Return the resource, of one block, whose text holds the byte offset; else the first."""
    if len(resources) > 1:
        for member in resources:
            start, end = member.block.span(member.root)
            if start <= offset < end:
                return member
    return resources[0]


def _file(block: Block, annotations: Mapping[str, str]) -> File | None:
    if block.text.name:
        return File(block.text.name, block.index)
    if KUSTOMIZE_ID in annotations:
        origin = annotations.get("config.kubernetes.io/origin", "")
        path = next((line[6:].strip() for line in origin.splitlines() if line.startswith("path: ")), "")
        return File(path) if path else None
    path = next((annotations[name] for name in _PATHS if name in annotations), "")
    index = next((annotations[name] for name in _INDEXES if annotations.get(name, "").isdecimal()), None)
    return File(path, int(index) if index else None) if path else None


def aimed(node: yaml.Node | None) -> yaml.Node | None:
    """Return a node itself, or the one that an alias stands for."""
    return node.target if isinstance(node, Alias) else node


def anchored(node: yaml.Node | None) -> yaml.ScalarNode | None:
    """Return the scalar itself, or the one that an alias stands for; None for everything else."""
    scalar = aimed(node)
    return scalar if isinstance(scalar, yaml.ScalarNode) else None


def containers(root: yaml.Node) -> Iterator[ImageField]:
    """Yield the images of all containers outside metadata, in document order, for those who know them by name.

    The kind does not count: Pods, workloads, CronJobs and unknown kinds of that shape have containers.
    """
    stack: list[tuple[yaml.Node, Steps, bool]] = [(root, (), False)]
    while stack:
        node, steps, is_listed = stack.pop()
        if is_listed and isinstance(node, yaml.MappingNode):
            for key, value in children(node):
                if key == "image" and anchored(value) is not None:
                    yield ImageField((*steps, key), value, scalars_of(node).get("name", ""))
        stack += reversed(
            [
                (child, (*steps, step), step in CONTAINERS or (is_listed and isinstance(step, int)))
                for step, child in children(node)
                if isinstance(child, yaml.CollectionNode) and step != "metadata"
            ]
        )


def named(resource: Resource, names: tuple[str, ...]) -> Iterator[tuple[Steps, yaml.Node]]:
    """Yield (steps, image node) of the containers with these names."""
    return ((field.steps, field.node) for field in containers(resource.root) if field.container in names)


def selects(select: Select, resource: Resource) -> bool:
    """True if a target's selector matches the resource."""
    group, _, version = resource.id.api_version.rpartition("/")
    have = (group, version, resource.id.kind, resource.id.name, resource.id.namespace)
    want = (select.group, select.version, select.kind, select.name, select.namespace)
    if any(wanted_part and wanted_part != part for wanted_part, part in zip(want, have, strict=True)):
        return False
    if not select.labels:
        return True
    labels = scalars_of(get(get(resource.root, "metadata"), "labels"))
    return all(labels.get(name) == value for name, value in select.labels)
