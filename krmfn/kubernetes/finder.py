"""The one finder of places where images stand, for everybody who looks at manifests. Looks only; asks nobody.

The forms are rows of the table in `forms`. A resource is walked once; text in it that is YAML or JSON is walked the same
way, and what is found there stands where the characters stand in the text around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import InputError
from krmfn.kubernetes import charts, forms, prose, reference, walk
from krmfn.kubernetes.ground import is_noted
from krmfn.kubernetes.loosedigest import STALE, LooseDigest, is_left_behind, loose_digests
from krmfn.kubernetes.overriding import NOTHING, Graph, deployed
from krmfn.kubernetes.places import COUNTS, IGNORED, SHOWN, Place, Slot
from krmfn.kubernetes.reference import Evidence
from krmfn.kubernetes.resource import Resource, Steps, describe, is_definition
from krmfn.model import File, Part, ResourceId
from krmfn.yamledit import markers, prefilter
from krmfn.yamledit.documents import documents
from krmfn.yamledit.nodes import Block

if TYPE_CHECKING:
    from krmfn.yamledit.text import Text

NONE_KNOWN: Mapping[charts.Key, str] = MappingProxyType({})


def find(blocks: Iterable[Block], graph: Graph = NOTHING) -> tuple[Place, ...]:
    """Return every place of every block, in order, with what the graph of kustomizations says of it.

    Charts are looked up among the HelmRepositories of all blocks.
    """
    blocks = tuple(blocks)
    known = charts.repositories(blocks)
    return (*(deployed(place, graph) for block in blocks for place in places(block, known)), *_generated(graph))


class _Read(NamedTuple):
    """The places of a block, kept with it: binding, asking and showing all want them."""

    known: Mapping[charts.Key, str]
    places: tuple[Place, ...]


def places(block: Block, known: Mapping[charts.Key, str] = NONE_KNOWN) -> tuple[Place, ...]:
    """Return the places of one block, in order; `known` are the URLs of HelmRepositories."""
    if isinstance(block.notes, _Read) and block.notes.known == known:
        return block.notes.places
    block.notes = _Read(known, tuple(_places(block, known)))
    block.forget()
    return block.notes.places


def are_read(block: Block, known: Mapping[charts.Key, str]) -> bool:
    """True if the places of a block are at hand, so that asking for them costs nothing."""
    return isinstance(block.notes, _Read) and block.notes.known == known


def _places(block: Block, known: Mapping[charts.Key, str]) -> Iterator[Place]:
    """Read the places of one block."""
    raw = block.raw
    if not forms.may_hold_image(raw) or is_definition(block) or block.root is None:
        return
    # Anchors are met by every alias, and a value may be part of two forms: each byte is one place, the surest of them.
    by_offset: dict[int, Place] = {}
    has_notes, may_ignore = is_noted(raw), markers.may_ignore(raw)
    for resource in describe(block):
        if not resource.is_definition:
            for place in walk.read(resource, known, has_notes=has_notes, may_ignore=may_ignore):
                if place.start not in by_offset or (place.is_sure and not by_offset[place.start].is_sure):
                    by_offset[place.start] = place
    for place in _marked(block):  # a marker makes an image of what no row takes
        by_offset.setdefault(place.start, place)
    read = (_heeding(place) if may_ignore else place for _, place in sorted(by_offset.items()))
    yield from _with_digests(read) if prefilter.may_pin_beside(raw) else read


def _with_digests(read: Iterable[Place]) -> Iterator[Place]:
    """Yield places; one is not sure when a digest beside it would go stale."""
    digests: dict[Steps, list[LooseDigest]] = {}
    for place in read:
        prefix = place.resource.prefix
        if place.is_sure and prefix not in digests:
            digests[prefix] = [*loose_digests(place.resource.root)]
        yield place.doubted(STALE) if place.is_sure and is_left_behind(place, digests[prefix]) else place


def aside(text: Text) -> Iterator[Place]:
    """Yield the places of a text in which nothing is written, as it stands in a hidden folder or is no YAML."""
    try:
        blocks = documents(text) if forms.may_hold_image(text.data) else ()
        places_in_text = [place for block in blocks for place in places(block)]
    except InputError:
        yield from _in_no_yaml(text)
    else:
        for place in places_in_text:
            counts = place.state == COUNTS
            shown = place.doubted("it stands in a hidden folder")._replace(slots=())
            yield shown._replace(state=SHOWN) if counts else shown


def _generated(graph: Graph) -> Iterator[Place]:
    """Yield the images that kustomizations take from files of `KEY=VALUE` lines, in which nothing is written."""
    for spot, image in sorted(graph.outside.items()):
        text = graph.texts[spot.path]
        if (reading := reference.read(image)) and reading.evidence > Evidence.NAME:
            why = "a generator reads it from a file that is no YAML"
            yield deployed(Place("generated", _of_text(text), "", spot.offset, image, reading.ref, why=why), graph)


def _of_text(text: Text) -> Resource:
    """Return what stands for the resource of places in a text that is no YAML."""
    return Resource(Block(text, 0, len(text.data), 0), ResourceId(), File(text.name))


def _in_no_yaml(text: Text) -> Iterator[Place]:
    """Yield what is named in a text that cannot be read as YAML, such as a template of a chart."""
    resource = _of_text(text)
    content = text.data.decode("utf-8", "replace")
    why = "the file cannot be read as YAML"
    for mention in prose.mentions(content):
        start = len(content[: mention.start].encode("utf-8", "replace"))
        words, ref = content[mention.start : mention.end], mention.reading.ref
        yield Place(mention.code, resource, "", start, words, ref, why=why, state=SHOWN)


def _heeding(place: Place) -> Place:
    """Return a place as ignored when `# krmfn: ignore` stands behind any value of it."""
    data = place.resource.block.text.data
    starts = {place.start, *(slot.scalar.start for slot in place.slots)}
    is_ignored = place.state == COUNTS and any(markers.is_ignored(data, start) for start in starts)
    return place._replace(state=IGNORED) if is_ignored else place


def _marked(block: Block) -> Iterator[Place]:
    """Yield the scalars that a marker calls an image and that have no form of their own."""
    if not any(mark in block.raw for mark in prefilter.MARKS):
        return
    resource = describe(block)[0]
    for marker in markers.read(block):
        scalar = marker.scalar
        reading = reference.read(scalar.value) if marker.setter.count(":") == 1 else None
        if reading is not None and reading.evidence > Evidence.NAME:
            slots, why = (Slot(Part.IMAGE, scalar),), "a marker binds it"
            yield Place("marked", resource, scalar.path, scalar.start, scalar.value, reading.ref, slots, why=why)
