"""The one finder of places where images stand, for everybody who looks at manifests. Looks only; asks nobody.

The forms are rows of the table in `forms`. A resource is walked once; text in it that is YAML or JSON is walked the same
way, and what is found there stands where the characters stand in the text around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import yaml

from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef
from krmfn.kubernetes import charts, forms, pairs, reference
from krmfn.kubernetes.embedded import Embedded
from krmfn.kubernetes.ground import Ground
from krmfn.kubernetes.overriding import NOTHING, Graph
from krmfn.kubernetes.places import COUNTS, IGNORED, OVERRIDDEN, Place, Slot
from krmfn.kubernetes.reference import Evidence, Reading
from krmfn.kubernetes.resource import Resource, anchored, describe, is_definition
from krmfn.model import Part
from krmfn.yamledit import markers
from krmfn.yamledit.nodes import Block, Step, children, documents, is_null, join_path, scalar_at

TWICE = "its key is given twice in one mapping, and readers differ on which one counts"
_NOT_RUN = ("openAPIV3Schema", "imageScans")
"""Keys below which images are described and none runs: a schema, and what Rancher Fleet looks for."""
_IN_TEST = "it stands in a test of a chart, which says what is expected"
_DEEPEST = 4
"""Text inside text inside text: how far it is followed."""
_LINE = re.compile(r"""^[ \t]*(?:-[ ]+)?["']?(?:[\w.-]*[iI]mage)["']?:[ ]+["']?([^\s"'#,]+)""", re.MULTILINE)
_FLAG = re.compile(r"(--?[A-Za-z0-9][\w.-]*|[A-Za-z_][\w.-]*)=")


def find(blocks: Iterable[Block], graph: Graph = NOTHING) -> tuple[Place, ...]:
    """Return every place of every block, in order, with what the graph of kustomizations says of it.

    Charts are looked up among the HelmRepositories of all blocks.
    """
    blocks = tuple(blocks)
    known = charts.repositories(blocks)
    return tuple(judged(place, graph) for block in blocks for place in places(block, known))


def judged(place: Place, graph: Graph) -> Place:
    """Return a place that counts as overridden when every kustomization that reaches it overrides it."""
    over = graph.overridden(place.resource.block.text.name, place.start) if place.state == COUNTS else None
    return place if over is None else place._replace(state=OVERRIDDEN, by=f"{over.path}:{over.line}")


def places(block: Block, known: Mapping[charts.Key, str] | None = None) -> Iterator[Place]:
    """Yield the places of one block, in order; `known` are the URLs of HelmRepositories."""
    raw = block.raw
    if not forms.may_hold_image(raw) or is_definition(block) or block.root is None:
        return
    found: dict[int, Place] = {}
    for resource in describe(block):
        if not resource.is_definition:
            for place in _Reader(resource, known or {}).read():
                if place.start not in found or (place.is_sure and not found[place.start].is_sure):
                    found[place.start] = place
    for place in _marked(block):
        found.setdefault(place.start, place)
    may_ignore = markers.may_ignore(raw)
    yield from (_heeding(place) if may_ignore else place for _, place in sorted(found.items()))


def _heeding(place: Place) -> Place:
    """Return a place as ignored when `# krmfn: ignore` stands behind any value of it."""
    data = place.resource.block.text.data
    starts = {place.start, *(slot.scalar.start for slot in place.slots)}
    is_ignored = place.state == COUNTS and any(markers.is_ignored(data, start) for start in starts)
    return place._replace(state=IGNORED) if is_ignored else place


def _marked(block: Block) -> Iterator[Place]:
    """Yield the scalars that a marker calls an image and that have no form of their own."""
    if not any(mark in block.raw for mark in markers.MARKS):
        return
    resource = describe(block)[0]
    for marker in markers.read(block):
        scalar = marker.scalar
        if marker.setter.count(":") == 1 and (seen := reference.read(scalar.value)) and seen.evidence > Evidence.NAME:
            slots = (Slot(Part.IMAGE, scalar),)
            yield Place(
                "marked", resource, scalar.path, scalar.start, scalar.value, seen.ref, slots, why="a marker binds it"
            )


class _At(NamedTuple):
    """A node on the way: the key of what it stands in, and whether that is a list."""

    node: yaml.Node
    steps: tuple[Step, ...]
    within: str = ""
    doubt: str = ""


class _Reader:
    """Reads one resource."""

    def __init__(self, resource: Resource, known: Mapping[charts.Key, str]) -> None:
        self.resource, self.known = resource, known
        self.taken: dict[int, yaml.Node] = {}
        """By identity, and kept alive, so that no other node takes that identity."""

    def read(self) -> Iterator[Place]:
        """Yield the places."""
        group = self.resource.id.api_version.rpartition("/")[0]
        if not forms.is_run(group, self.resource.id.kind):
            return
        doubt = _IN_TEST if _is_test(self.resource.root) else ""
        doubt = "it stands in a Secret" if self.resource.id.kind == "Secret" and not group else doubt
        ground = Ground(self.resource, self.resource.block, group, doubt=doubt)
        yield from self.walk(ground, self.resource.root, self.resource.id.kind, self.resource.prefix)

    def walk(self, ground: Ground, root: yaml.Node, kind: str, prefix: tuple[Step, ...] = ()) -> Iterator[Place]:
        """Walk one tree, in the order of the document."""
        if found := charts.of_resource(root, kind, ground.group, self.known):
            yield from self.charts(ground, found, prefix)
        if kind == "OCIRepository":
            return
        stack = [_At(root, prefix)]
        while stack:
            at = stack.pop()
            if isinstance(at.node, yaml.MappingNode):
                yield from self.mapping(ground, at)
                stack += reversed([*self.inside(at, is_root=at.node is root and bool(kind))])
            elif isinstance(at.node, yaml.SequenceNode):
                yield from self.sequence(ground, at)
                stack += reversed(
                    [
                        _At(child, (*at.steps, index), at.within, at.doubt)
                        for index, child in enumerate(at.node.value)
                        if isinstance(child, yaml.CollectionNode)
                    ]
                )
            elif isinstance(at.node, yaml.ScalarNode) and at.node is root:
                yield from self.lines(ground, at.node, at.steps)

    def inside(self, at: _At, *, is_root: bool) -> Iterator[_At]:
        """Yield the collections of a mapping that are walked on: of metadata the annotations, of a root no status."""
        entries = {str(key): value for key, value in children(at.node)}
        pointer = pairs.pointer(entries)
        for key, value in children(at.node):
            if not isinstance(value, yaml.CollectionNode) or (is_root and key == "status") or key in _NOT_RUN:
                continue
            if key == "metadata":
                notes = next((each for name, each in children(value) if name == "annotations"), None)
                if isinstance(notes, yaml.MappingNode):
                    yield _At(notes, (*at.steps, key, "annotations"), "annotations", "it stands in an annotation")
            elif key == "value" and pointer:
                yield _At(value, (*at.steps, key), pointer[0], at.doubt)
            else:
                yield _At(value, (*at.steps, key), str(key), at.doubt)

    def mapping(self, ground: Ground, at: _At) -> Iterator[Place]:
        """Read one mapping: what its keys spell together, then what each holds alone."""
        yield from self.keys(ground, at)
        scalars: dict[str, yaml.ScalarNode] = {}
        twice: set[str] = set()
        for key, value in children(at.node):
            scalar = anchored(value)
            if scalar is not None and not is_null(scalar):
                if key in scalars:
                    twice.add(str(key))
                scalars.setdefault(str(key), scalar)
        if chart := charts.of_mapping(scalars, at.within):
            yield from self.charts(ground, [chart], at.steps)
        for spelled, within, head in pairs.of_paths(scalars):
            yield from self.pairs(ground, at, spelled, within, f"{head}.")
        yield from self.pairs(ground, at, scalars, at.within)
        named = pairs.entry(scalars)
        for key, node in scalars.items():
            doubt = TWICE if key in twice else at.doubt
            steps = (*at.steps, key)
            if named and key == named[2]:
                yield from self.scalar(ground, node, steps, named[0], named[1] or at.within, doubt)
            elif key == "name" and scalars.get("kind") is not None and scalars["kind"].value == "DockerImage":
                yield from self.scalar(ground, node, steps, "DockerImage", at.within, doubt)
            else:
                last = key.rpartition("/")[2] if at.within == "annotations" else key
                yield from self.scalar(ground, node, steps, last, at.within, doubt)

    def keys(self, ground: Ground, at: _At) -> Iterator[Place]:
        """Read the keys of a mapping that are references themselves."""
        for key, _ in at.node.value:
            is_word = type(key) is yaml.ScalarNode and ":" in key.value
            if is_word and (seen := reference.read(key.value)) and seen.evidence is Evidence.KNOWN:
                yield ground.place("key", (*at.steps, key.value), key, key.value, seen, (), "it is a key")

    def pairs(
        self, ground: Ground, at: _At, scalars: Mapping[str, yaml.ScalarNode], within: str, head: str = ""
    ) -> Iterator[Place]:
        """Read the images that a mapping spells in several scalars."""
        for found in pairs.of_mapping(scalars, within):
            parts = [(part, node) for part, node in found.parts if id(node) not in self.taken]
            if not parts:
                continue
            self.taken |= {id(node): node for _, node in found.parts}
            slots = tuple(
                slot
                for part, node in parts
                if (slot := ground.slot(part, node, (*at.steps, head + found.keys[id(node)]))) is not None
            )
            doubt = at.doubt or found.why or ("the text around it cannot be followed" if len(slots) < len(parts) else "")
            yield ground.place(found.code, at.steps, found.at, found.text, found.reading, slots, doubt)

    def sequence(self, ground: Ground, at: _At) -> Iterator[Place]:
        """Read one list: references as items, `--flag REF` in two items, parameters that belong together."""
        before = ""
        items = list(enumerate(at.node.value))
        for group in pairs.of_parameters([item for _, item in items]):
            yield from self.pairs(ground, at, *group)
        for index, child in items:
            node = anchored(child)
            if node is not None:
                key = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
                yield from self.scalar(ground, node, (*at.steps, index), key, at.within, at.doubt, is_item=True)
                before = node.value

    def scalar(
        self, ground: Ground, node: yaml.ScalarNode, steps: tuple[Step, ...], key: str, within: str, doubt: str,
        *, is_item: bool = False,
    ) -> Iterator[Place]:  # fmt: skip
        """Read one scalar by the first row of the table that takes it."""
        if id(node) in self.taken or not node.value:
            return
        text, bare = node.value, node.value.strip()
        if "\n" in bare or (bare[:1] in ("{", "[") and bare[-1] in "}]" and not bare.startswith("{{")):
            if forms.may_hold_image(text.encode("utf-8", "replace")) and len(ground.hosts) < _DEEPEST:
                yield from self.text(ground, node, steps, doubt)
            return
        is_versioned = ":" in text or "@" in text
        for row in forms.references(key, within, ground.group, is_item=is_item):
            seen = _seen(row, text) if is_versioned or row.shown < Evidence.VERSION else None
            if seen is None:
                continue
            start, reading = seen
            if reading.evidence < row.shown or (reading.evidence < Evidence.LOCATED and reading.variable):
                continue
            if within == "annotations" and row.code == "any-image" and reading.evidence is Evidence.KNOWN:
                doubt = ""
            why = doubt or (row.why if reading.evidence < row.sure else "")
            whole = start == 0 and reading.start == 0 and reading.end == len(text)
            slots = ground.slots(node, steps, None if whole else (start + reading.start, start + reading.end))
            yield ground.place(row.code, steps, node, text, reading, slots, why, is_sure=reading.evidence >= row.sure)
            return
        if key == "image" and (within in ("containers", "initContainers", "ephemeralContainers") or "{{" in text):
            yield self.unread(ground, node, steps)

    def unread(self, ground: Ground, node: yaml.ScalarNode, steps: tuple[Step, ...]) -> Place:
        """Return the place of a value that should be an image and is none."""
        why = ""
        try:
            ImageRef.parse(node.value)
        except RuleError as error:
            why = str(error)
        return ground.place("image", steps, node, node.value, None, (), why)

    def text(self, ground: Ground, node: yaml.ScalarNode, steps: tuple[Step, ...], doubt: str) -> Iterator[Place]:
        """Read text inside text: YAML and JSON by their nodes, anything else line by line."""
        path = ground.lead + join_path(steps)
        host = Embedded(ground.block, scalar_at(ground.block, node, path))
        try:
            inner = documents(host.text)
            roots = [(block, one) for block in inner for one in describe(block)]
        except (InputError, RecursionError, UnicodeError):
            roots = []
        if not any(isinstance(one.root, yaml.CollectionNode) for _, one in roots):
            yield from self.lines(ground, node, steps)
            return
        for block, one in roots:
            group = one.id.api_version.rpartition("/")[0]
            if not one.is_definition and forms.is_run(group, one.id.kind):
                lead = f"{path} > "
                below = Ground(self.resource, block, group, lead, (host, *ground.hosts), doubt or ground.doubt)
                yield from self.walk(below, one.root, one.id.kind, one.prefix)

    def lines(self, ground: Ground, node: yaml.ScalarNode, steps: tuple[Step, ...]) -> Iterator[Place]:
        """Read text that is no YAML: lines `image: REF`, and references on known registries among other words."""
        text = node.value
        spans = [("line", *hit.span(1)) for hit in _LINE.finditer(text)]
        spans += [("text", *span) for span in reference.words(text)]
        done: set[int] = set()
        for code, start, end in spans:
            line = text[text.rfind("\n", 0, start) + 1 : start].lstrip()
            seen = reference.read(text[start:end])
            if seen is None or seen.evidence < Evidence.VERSION or start in done or line.startswith(("#", "//")):
                continue
            done.add(start)
            slots = ground.slots(node, steps, (start, end))
            yield ground.place(code, steps, node, text[start:end], seen, slots, "it stands inside text")

    def charts(self, ground: Ground, found: Iterable[charts.Found], steps: tuple[Step, ...]) -> Iterator[Place]:
        """Turn charts into places."""
        for one in found:
            self.taken |= {id(node): node for node in one.nodes}
            slots = tuple(
                slot for part, node, path in one.parts if (slot := ground.slot(part, node, (*steps, *path))) is not None
            )
            place = ground.place(one.code, (*steps, *one.path), one.at, one.text, one.reading, slots, one.why)
            by = ""
            if one.over is not None:
                line, _ = self.resource.block.text.locate(ground.start(one.over))
                by = f"{self.resource.block.text.name or 'stdin'}:{line}"
            yield place._replace(
                state=one.state if one.state != COUNTS else place.state, by=by, constraint=one.constraint
            )


def _is_test(root: yaml.Node) -> bool:
    """True for a suite of helm-unittest."""
    keys = {key for key, _ in children(root)} if isinstance(root, yaml.MappingNode) else set()
    return {"suite", "tests"} <= keys or {"suite", "templates"} <= keys


def _seen(row: forms.Reference, text: str) -> tuple[int, Reading] | None:
    """Read a scalar by the grammar of a row: where the reference starts, and what it says."""
    if row.grammar == "words":
        spans = reference.words(text) if " " in text else []
        seen = reference.read(text[slice(*spans[0])]) if spans else None
        return (spans[0][0], seen) if seen else None
    if row.grammar == "whole":
        seen = reference.read(text)
        return (0, seen) if seen else None
    if row.grammar == "flag":
        head = _FLAG.match(text)
        if head is None or not (row.key == ".*" or forms.is_image_key(head[1].lstrip("-"))):
            return None
        seen = reference.read(text[head.end() :])
        return (head.end(), seen) if seen else None
    name, equals, new = text.partition("=")
    seen = reference.read(new) if equals and reference.read(name) else None
    return (len(name) + 1, seen) if seen else None
