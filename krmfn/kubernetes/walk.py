"""The walk of the finder through one resource, and through the text inside its text. Looks only; asks nobody.

Every mapping, list and scalar is read once by the rows of `forms`; what a chart or a pair has taken is not read again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import yaml

from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef, is_tag
from krmfn.kubernetes import charts, forms, pairs, prose, reference
from krmfn.kubernetes.embedded import Embedded
from krmfn.kubernetes.ground import Ground, doubt_of_resource, is_noted
from krmfn.kubernetes.places import COUNTS, Place, Slot
from krmfn.kubernetes.reference import Evidence, Reading
from krmfn.kubernetes.resource import CONTAINERS, Resource, Steps, anchored, describe, get
from krmfn.model import Part
from krmfn.yamledit.documents import documents
from krmfn.yamledit.yamltree import children, is_null, join_path, scalar_at

TWICE = "its key is given twice in one mapping, and readers differ on which one counts"
_NOT_RUN = ("openAPIV3Schema", "imageScans")
"""Keys below which images are described and none runs: a schema, and what Rancher Fleet looks for."""
_IN_TEMPLATE = "it stands in a template, which is filled in before it is used"
_REGISTRY_ELSEWHERE = "a registry for all images is named elsewhere in the file"
_NOTED = "only a comment names its image"
_DEEPEST = 4
"""Text inside text inside text: how far it is followed."""
_IMAGE_KIND = re.compile(r"DockerImage|Image(?:Stream|Tag).*", re.DOTALL).fullmatch
"""Kinds of objects of OpenShift that references by `{kind, name}` take for images."""
_LIST_OF_TAGS = re.compile(r"(?:.*[iI]mage|image)[_-]?(?:[tT]ags|[vV]ersions)").fullmatch
"""Keys that say that the items of their list are tags of one image."""
_REGISTRY = re.compile(r"imageRegistry|image_registry|defaultImageRegistry|systemDefaultRegistry").fullmatch


def read(resource: Resource, known: Mapping[charts.Key, str], *, has_notes: bool, may_ignore: bool) -> Iterator[Place]:
    """Yield the places of one resource, in the order of the document; see Ground for what comments of its block may say."""
    group, kind = resource.id.api_version.rpartition("/")[0], resource.id.kind
    if not forms.is_run(group, kind):
        return
    root = resource.root
    doubt = doubt_of_resource(root, group, kind) or forms.doubt_of_file(resource.block.text.name)
    ground = Ground(resource, resource.block, group, kind, doubt=doubt, is_noted=has_notes, may_ignore=may_ignore)
    yield from _Walk(ground, known).read(root, kind, resource.prefix)


class _At(NamedTuple):
    """A node on the way: the key of what it stands in, and why nothing in it is sure."""

    node: yaml.Node
    steps: Steps
    ground: Ground
    within: str = ""
    doubt: str = ""


class _Walk:
    """Walks one tree of nodes."""

    def __init__(self, ground: Ground, known: Mapping[charts.Key, str]) -> None:
        self.ground, self.known = ground, known
        self.taken: set[Steps] = set()
        """What a chart or a pair has read: it stands for nothing else."""
        self.doubt, self.has_registry = "", False

    def read(self, root: yaml.Node, kind: str, prefix: Steps, within: str = "") -> list[Place]:
        """Return the places of a tree, which stands under a key; what was noticed on the way counts for all of them."""
        places = [*self.walk(_At(root, prefix, self.ground, within), kind)]
        if self.doubt:
            places = [place.doubted(self.doubt) for place in places]
        if self.has_registry:
            places = [place.doubted(_REGISTRY_ELSEWHERE) if _lacks_registry(place) else place for place in places]
        return places

    def walk(self, top: _At, kind: str) -> Iterator[Place]:
        """Walk a tree, in the order of the document."""
        root, stack = top.node, [top]
        while stack:
            at = stack.pop()
            inner = at.ground.of_resource(at.node) if at.node is not root else None
            ground = self.ground = inner or at.ground
            if isinstance(at.node, yaml.MappingNode):
                is_resource = inner is not None or (at.node is root and bool(kind))
                if is_resource:  # an item of a list, a template's output: it may be of another kind than what holds it
                    yield from self.charts(charts.of_resource(at.node, ground.kind, ground.group, self.known), at.steps)
                    if ground.kind == "OCIRepository" or not forms.is_run(ground.group, ground.kind):
                        continue
                yield from self.mapping(at)
                stack += reversed([*self.inside(at, is_resource=is_resource)])
            elif isinstance(at.node, yaml.SequenceNode):
                yield from self.sequence(at)
                stack += reversed(
                    [
                        _At(child, (*at.steps, index), at.ground, at.within, at.doubt)
                        for index, child in enumerate(at.node.value)
                        if isinstance(child, yaml.CollectionNode)
                    ]
                )
            elif at.node is root and isinstance(at.node, yaml.ScalarNode):
                yield from self.lines(at.node, at.steps, at.doubt)

    def inside(self, at: _At, *, is_resource: bool) -> Iterator[_At]:
        """Yield the collections of a mapping that are walked on: of metadata the annotations, of a resource no status."""
        pointer = None
        for key, value in children(at.node):
            if not isinstance(value, yaml.CollectionNode) or (is_resource and key == "status") or key in _NOT_RUN:
                continue
            self.doubt = self.doubt or forms.SPOILERS.get(str(key), "")
            if key == "metadata":
                notes = next((each for name, each in children(value) if name == "annotations"), None)
                if isinstance(notes, yaml.MappingNode):
                    yield _At(notes, (*at.steps, key, "annotations"), self.ground, "annotations", "it stands in an annotation")
                continue
            doubt = at.doubt or self.ground.doubt_of_key(str(key))
            if key == "value" and pointer is None:
                pointer = pairs.pointer({str(name): node for name, node in children(at.node)}) or ("", "")
            within = pointer[0] if key == "value" and pointer and pointer[0] else str(key)
            if at.steps and at.steps[-1] == at.within and forms.is_list_key(at.within) and isinstance(value, yaml.MappingNode):
                within = f"images-{key}"  # a group in a mapping of images
            yield _At(value, (*at.steps, key), self.ground, within, doubt)

    def mapping(self, at: _At) -> Iterator[Place]:
        """Read one mapping: what its keys spell together, then what each holds alone."""
        yield from self.keys(at)
        scalars: dict[str, yaml.ScalarNode] = {}
        twice: set[str] = set()
        for key, value in children(at.node):
            scalar = anchored(value)
            if scalar is not None and not is_null(scalar):
                if key in scalars:
                    twice.add(str(key))
                scalars.setdefault(str(key), scalar)
                self.doubt = self.doubt or forms.SPOILERS.get(str(key), "")
                if scalar.value and (_REGISTRY(str(key)) or (at.within == "global" and key in ("hub", "registry"))):
                    self.has_registry = True
        # Charts, then pairs, then single scalars: what has been read as a part of an image names no image alone.
        if chart := charts.of_mapping(at.node, scalars, at.within, self.known):
            yield from self.charts([chart], at.steps)
        for spelled in (*pairs.of_paths(scalars), pairs.Spelled(scalars, at.within)):
            yield from self.pairs(at, spelled)
        if "newTag" in scalars or "newName" in scalars:  # of kustomize: what the entry looks for, and runs nowhere
            self.taken.add((*at.steps, "name"))
        named = pairs.entry(scalars)
        for key, node in scalars.items():
            doubt = TWICE if key in twice else at.doubt or self.ground.doubt_of_key(key)
            steps = (*at.steps, key)
            if named and key == named[2]:
                doubt = doubt or self.ground.doubt_of_key(named[0], is_name=True)
                yield from self.scalar(node, steps, named[0], named[1] or at.within, doubt)
            elif key == "name" and (kind := scalars.get("kind")) is not None and _IMAGE_KIND(kind.value):
                yield from self.scalar(node, steps, kind.value, at.within, doubt)
            else:
                last = key.rpartition("/")[2] if at.within == "annotations" else key
                yield from self.scalar(node, steps, last, at.within, doubt)

    def keys(self, at: _At) -> Iterator[Place]:
        """Read the keys of a mapping that are references themselves."""
        needed = Evidence.FULL if forms.is_list_key(at.within) else Evidence.KNOWN
        for key, _ in at.node.value:
            if type(key) is not yaml.ScalarNode:
                self.doubt = self.doubt or (_IN_TEMPLATE if isinstance(key, yaml.MappingNode) else "")
            elif ":" in key.value and (reading := reference.read(key.value)) and reading.evidence >= needed:
                yield self.ground.place("key", (*at.steps, key.value), key, key.value, reading, (), "it is a key")

    def slots(self, parts: Iterable[charts.Piece], steps: Steps) -> list[Slot | None]:
        """Return the slots of scalars that together name an image; they are taken, and stand for nothing else."""
        self.taken |= {(*steps, *path) for _, _, path in parts}
        return [self.ground.slot(part, node, (*steps, *path)) for part, node, path in parts]

    def pairs(self, at: _At, spelled: pairs.Spelled) -> Iterator[Place]:
        """Read the images that several scalars spell."""
        for pair in pairs.of_mapping(spelled.scalars, spelled.within):
            if (*at.steps, *spelled.place(pair.at)) in self.taken:
                continue
            slots = self.slots([(part, spelled.scalars[key], spelled.place(key)) for part, key in pair.parts], at.steps)
            doubt = at.doubt or pair.why or ("the text around it cannot be followed" if None in slots else "")
            doubt = doubt or (_REGISTRY_ELSEWHERE if isinstance(get(at.node, "registry"), yaml.CollectionNode) else "")
            node = spelled.scalars[pair.at]
            noted = self.noted(node) if pair.reading is None else None
            code, text, reading = noted or (pair.code, pair.text, pair.reading)
            yield self.ground.place(code, at.steps, node, text, reading, slots, _NOTED if noted else doubt)

    def noted(self, node: yaml.ScalarNode) -> tuple[str, str, Reading] | None:
        """Return the form, the text and the reading of a tag whose image a comment above it names."""
        name = self.ground.noted(node) if self.ground.is_noted and is_tag(node.value) else ""
        reading = reference.read(f"{name}:{node.value}") if name else None
        return ("renovate", f"{name}:{node.value}", reading) if reading else None

    def sequence(self, at: _At) -> Iterator[Place]:
        """Read one list: references as items, `--flag REF` in two items, parameters that belong together."""
        before = ""
        for spelled in pairs.of_parameters(at.node.value):
            yield from self.pairs(at, spelled)
        for index, child in enumerate(at.node.value):
            node = anchored(child)
            if node is not None:
                key = before.lstrip("-") if before.startswith("-") and "=" not in before else ""
                yield from self.scalar(node, (*at.steps, index), key, at.within, at.doubt, is_item=True)
                before = node.value
                if _LIST_OF_TAGS(at.within) and is_tag(node.value) and (*at.steps, index) not in self.taken:
                    why = "it is one of the tags that are allowed"
                    yield self.ground.place("tag-alone", (*at.steps, index), node, node.value, None, (), why)

    def scalar(
        self, node: yaml.ScalarNode, steps: Steps, key: str, within: str, doubt: str, *, is_item: bool = False
    ) -> Iterator[Place]:
        """Read one scalar by the first row of the table that takes it."""
        if not node.value or steps in self.taken:
            return
        ground, text, bare = self.ground, node.value, node.value.strip()
        is_lines = "\n" in bare or ((node.style in ("|", ">") or text[-1] == "\n") and ": " in bare)
        if is_lines or (bare[:1] in ("{", "[") and bare[-1] in "}]" and not bare.startswith("{{")):
            may_hold = forms.is_list_key(key) or forms.may_hold_image(text.encode("utf-8", "replace"))
            if may_hold and len(ground.hosts) < _DEEPEST:
                yield from self.text(node, steps, doubt, key)
            return
        # A text without a version is read only by rows that show one, as of a container: anything may be a name.
        is_versioned = ":" in text or "@" in text
        for row in forms.references(key, within, ground.group, is_item=is_item):
            reading = row.read(text) if is_versioned or row.shown < Evidence.VERSION else None
            is_nameless = reading and reading.variable and reading.evidence < Evidence.LOCATED
            if reading is None or is_nameless or reading.evidence < row.shown:
                continue
            if within == "annotations" and row.code == "any-image" and reading.evidence is Evidence.KNOWN:
                doubt = ""  # its key and its registry say enough: some operator reads it
            why = doubt or (row.why if reading.evidence < row.sure else "")
            word = (reading.start, len(text)) if reading.start else None
            slot = ground.words(node, steps)(*word) if word else ground.slot(Part.IMAGE, node, steps)
            yield ground.place(row.code, steps, node, text, reading, [slot], why, is_sure=reading.evidence >= row.sure)
            return
        if key == "image" and not (doubt or ground.doubt) and (within in CONTAINERS or "{{" in text):
            yield self.unread(node, steps)
        elif noted := self.noted(node):
            yield ground.place(noted[0], steps, node, noted[1], None, (), "it may be a version of something else, although a comment names an image")
        elif is_versioned:
            yield from self.lines(node, steps, doubt, is_list=forms.is_list_key(key))

    def unread(self, node: yaml.ScalarNode, steps: Steps) -> Place:
        """Return the place of a value that should be an image and is none."""
        why = ""
        try:
            ImageRef.parse(node.value)
        except RuleError as error:
            why = str(error)
        return self.ground.place("image", steps, node, node.value, None, (), why)

    def text(self, node: yaml.ScalarNode, steps: Steps, doubt: str, key: str) -> Iterator[Place]:
        """Read text inside text: YAML and JSON by their nodes, anything else by its words."""
        ground = self.ground
        host = Embedded(ground.block, scalar_at(ground.block, node, path := ground.lead + join_path(steps)))
        try:
            inner = documents(host.text)
            roots = [(block, resource) for block in inner for resource in describe(block)]
        except (InputError, RecursionError, UnicodeError):
            roots = []
        if not any(isinstance(resource.root, yaml.CollectionNode) for _, resource in roots):
            yield from self.lines(node, steps, doubt, is_list=forms.is_list_key(key))
            return
        known = {**self.known, **charts.repositories(inner)}
        for block, resource in roots:
            group, kind = resource.id.api_version.rpartition("/")[0], resource.id.kind
            if not resource.is_definition and forms.is_run(group, kind):
                below = ground._replace(block=block, group=group, kind=kind, doubt=doubt or ground.doubt)
                below = below._replace(lead=f"{path} > ", hosts=(host, *ground.hosts), is_noted=is_noted(block.raw))
                within = key if isinstance(resource.root, yaml.SequenceNode) else ""
                yield from _Walk(below, known).read(resource.root, kind, resource.prefix, within)

    def lines(self, node: yaml.ScalarNode, steps: Steps, doubt: str, *, is_list: bool = False) -> Iterator[Place]:
        """Read text that is no YAML; that of a list has images and nothing else."""
        mentions = [*prose.mentions(node.value, is_list=is_list)]
        if not mentions:
            return
        words, doubt = self.ground.words(node, steps), doubt or "it stands inside text"
        for mention in mentions:
            text, slot = node.value[mention.start : mention.end], words(mention.start, mention.end)
            place = self.ground.place(mention.code, steps, node, text, mention.reading, [slot], doubt)
            yield place._replace(slots=()) if mention.is_tag else place

    def charts(self, named: Iterable[charts.Mention], steps: Steps) -> Iterator[Place]:
        """Turn charts into places."""
        for chart in named:
            self.taken |= {(*steps, key) for key in chart.keys}
            path, slots = (*steps, *chart.path), self.slots(chart.parts, steps)
            place = self.ground.place(chart.code, path, chart.at, chart.text, chart.reading, slots, chart.why)
            if chart.over is not None:
                text = self.ground.resource.block.text
                line, _ = text.locate(self.ground.start(chart.over))
                place = place._replace(by=f"{text.name or 'stdin'}:{line}")
            state = chart.state if chart.state != COUNTS else place.state
            yield place._replace(state=state, constraint=chart.constraint or place.constraint)


def _lacks_registry(place: Place) -> bool:
    """True if a place spells a repository in a field of its own, without its registry."""
    return (ref := place.ref) is not None and forms.is_pair(place.form) and not ref.name.startswith(f"{ref.registry}/")
