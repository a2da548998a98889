"""*annotate*: markers -> annotations that survive kustomize, and markers on the fields whose image a policy names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.kubernetes import charts, finder
from krmfn.kubernetes.jsonpath import below, written
from krmfn.kubernetes.places import COUNTS, Place, Slot
from krmfn.kubernetes.resource import Resource, annotations_of, containers, describe, owner
from krmfn.plan.target import ANNOTATION, Setter, parse_setter
from krmfn.plan.unbound import advised
from krmfn.strict_json import parse
from krmfn.yamledit import markers, prefilter
from krmfn.yamledit.editor import Editor
from krmfn.yamledit.scalars import Refusal, quoted

if TYPE_CHECKING:
    from krmfn.model import ImagePolicy
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Edit, Text


class Note(NamedTuple):
    """What was done, or left, at a place. Line and column count from one."""

    path: str
    line: int
    column: int
    message: str


@dataclass(slots=True)
class Annotations:
    """The edits, each with its text, what they do, and what was left and why."""

    edits: list[tuple[Text, Edit]] = field(default_factory=list)
    made: list[Note] = field(default_factory=list)
    left: list[Note] = field(default_factory=list)

    def make(self, block: Block, offset: int, edits: Iterable[Edit], message: str) -> None:
        """Note the edits at a byte of a block, and what they do."""
        self.edits += [(block.text, edit) for edit in edits]
        self.made.append(Note(block.text.name, *block.text.locate(offset), message))

    def leave(self, block: Block, offset: int, message: str) -> None:
        """Note why nothing is done at a byte of a block."""
        self.left.append(Note(block.text.name, *block.text.locate(offset), message))


def from_markers(blocks: Iterable[Block]) -> Annotations:
    """Write an entry of the annotation for every marker; entries that are there stay."""
    annotations = Annotations()
    for block in blocks:
        if not prefilter.may_hold_marker(block.raw) or block.root is None:
            continue
        resources = describe(block)
        held: dict[Resource, list[markers.Marker]] = {}
        for marker in markers.read(block):
            held.setdefault(owner(resources, marker.scalar.start), []).append(marker)
        for resource, marked in held.items():
            _annotate(annotations, resource, marked)
    return annotations


def _annotate(annotations: Annotations, resource: Resource, marked: Sequence[markers.Marker]) -> None:
    """Set the annotation of one resource."""
    block, first = resource.block, marked[0].scalar.start
    if why := _unbuilt(resource):
        annotations.leave(block, first, f"{resource.id} {why}; its markers work on files")
        return
    known = _known(resource)
    if known is None:
        annotations.leave(block, first, f"{resource.id}: the annotation {ANNOTATION} is no JSON object")
        return
    entries, keys = dict(known), _keys(resource)
    for marker in marked:
        start, setter = marker.scalar.start, marker.setter
        key = keys.get(start)
        if key is None or parse_setter(setter) is None:
            annotations.leave(block, start, f"marker {setter!r} names no policy")
        elif entries.setdefault(key, setter) != setter:
            message = f"the annotation {ANNOTATION} says {entries[key]} for {key}, the marker says {setter}"
            annotations.leave(block, start, message)
    if entries != known:
        _set(annotations, resource, entries)


def _unbuilt(resource: Resource) -> str:
    """Return why an annotation would not arrive; empty when it does."""
    if not (resource.id.api_version and resource.id.kind):
        return "is no Kubernetes resource"
    if resource.id.api_version.startswith("kustomize.config.k8s.io/"):
        return "is read by kustomize itself and goes to no function"
    return "is a definition, which krmfn never changes" if resource.is_definition else ""


def _known(resource: Resource) -> dict[str, str] | None:
    text = annotations_of(resource.root).get(ANNOTATION)
    if not text:
        return {}
    try:
        known = parse(text.encode("utf-8", "surrogatepass"))
        json.dumps(known, ensure_ascii=False).encode()  # it goes into the file again
    except ValueError:
        return None
    return known


def _keys(resource: Resource) -> dict[int, str]:
    """Name every scalar of a resource by its place: the container whose image it is, or else a JSONPath."""
    block, fields = resource.block, [*containers(resource.root)]
    names = [image.container for image in fields]
    keys = {
        block.span(node)[0]: written(steps) for steps, node in below((), resource.root) if type(node) is yaml.ScalarNode
    }
    for image in fields:
        if image.container and names.count(image.container) == 1 and not image.container.startswith("$"):
            keys[block.span(image.node)[0]] = image.container
    return keys


def _set(annotations: Annotations, resource: Resource, entries: Mapping[str, str]) -> None:
    block, root = resource.block, resource.root
    value = json.dumps(entries, ensure_ascii=False)
    edits = Editor(block).set_keys(root, ("metadata", "annotations"), {ANNOTATION: value})
    start = block.span(root)[0]
    if isinstance(edits, Refusal):
        annotations.leave(block, start, f"{resource.id}: no annotation can be written: {edits.why}")
        return
    if isinstance(root, yaml.CollectionNode) and not root.flow_style and "'" not in value:
        # A block line reads better in single quotes, as JSON is full of double ones.
        double, single = f"{ANNOTATION}: {quoted(value)}".encode(), f"{ANNOTATION}: '{value}'".encode()
        edits = tuple(edit._replace(text=edit.text.replace(double, single)) for edit in edits)
    annotations.make(block, start, edits, f"{resource.id}: {ANNOTATION}: {value}")


def bound(places: Iterable[Place], policies: Iterable[ImagePolicy], is_built: Callable[[str], bool]) -> Annotations:
    """Bind places to the policies of their images: by the annotation in files that kustomize builds, else by a marker."""
    annotations, by_image = Annotations(), {policy.repository.image.canonical: policy for policy in policies}
    built: dict[Resource, dict[int, str]] = {}
    taken = cache(_taken)
    for place in places:
        policy, block = by_image.get(place.ref.canonical if place.ref else ""), place.resource.block
        for slot, setter in advised(place, policy) if policy else ():
            if slot.scalar.host is not None:
                message = "neither a marker nor an annotation fits in text; a target binds it"
                annotations.leave(block, place.start, message)
            elif is_built(block.text.name) and not _unbuilt(place.resource):
                built.setdefault(place.resource, {})[slot.scalar.start] = str(setter)
            elif slot.scalar.start not in taken(block):
                _mark(annotations, place.resource, slot, [setter], taken(block))
    for resource, setters in built.items():
        keys, known = _keys(resource), _known(resource) or {}
        entries = known | {keys[start]: setter for start, setter in setters.items() if start in keys}
        if entries != known:
            _set(annotations, resource, entries)
    return annotations


def with_markers(blocks: Iterable[Block], policies: Sequence[ImagePolicy]) -> Annotations:
    """Put markers behind the fields that hold the images of these policies, whole or in several fields."""
    annotations = Annotations()
    blocks = tuple(blocks)
    known = charts.repositories(blocks)
    for block in blocks:
        if block.root is None:
            continue
        taken = _taken(block)
        for place in finder.places(block, known):
            mine = [policy for policy in policies if place.ref and policy.is_for(place.ref.name)]
            if mine and place.state == COUNTS:
                _mark_place(annotations, place, mine, taken)
    return annotations


def _taken(block: Block) -> dict[int, str]:
    return {marker.scalar.start: marker.setter for marker in markers.read(block)}


def _mark_place(annotations: Annotations, place: Place, mine: Sequence[ImagePolicy], taken: Mapping[int, str]) -> None:
    block = place.resource.block
    if not place.is_sure:
        annotations.leave(block, place.start, f"{place.text} may be no image that runs: {place.why}")
        return
    for slot, _ in advised(place, mine[0]):
        if slot.scalar.host is not None:
            message = "a comment in text is no marker; bind it by image name or a target"
            annotations.leave(block, slot.scalar.start, message)
        else:
            _mark(annotations, place.resource, slot, [Setter(policy.key, slot.marked) for policy in mine], taken)


def _mark(
    annotations: Annotations, resource: Resource, slot: Slot, setters: list[Setter], taken: Mapping[int, str]
) -> None:
    block, scalar = resource.block, slot.scalar
    there = taken.get(scalar.start)
    text = markers.written(str(setters[0]))
    if len(setters) > 1:
        names = " and ".join(str(setter.policy) for setter in setters)
        annotations.leave(block, scalar.start, f"two policies for one image: {names}; name one of them")
    elif there is not None:
        if there != str(setters[0]):
            annotations.leave(block, scalar.start, f"there is a marker {there!r} already")
    elif isinstance(edits := Editor(block).add_comment(scalar, text), Refusal):
        instead = _instead(resource, slot, setters[0])
        annotations.leave(block, scalar.start, f"no marker can be written: {edits.why}{instead}")
    else:
        annotations.make(block, scalar.start, edits, f"# {text}")


def _instead(resource: Resource, slot: Slot, setter: Setter) -> str:
    """Return the annotation that binds a field on which no marker fits; empty where it would not arrive."""
    if not slot.steps or _unbuilt(resource):
        return ""
    key = _keys(resource).get(slot.scalar.start) or written(slot.steps)
    entry = json.dumps({key: str(setter)}, ensure_ascii=False)
    return f"; write the annotation {ANNOTATION}: '{entry}' on {resource.id}"
