"""Which fields count where kustomizations change them: what `resources.kustomize` finds out, for those who bind and show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from krmfn.kubernetes.form import parsed
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, Place
from krmfn.model import File

if TYPE_CHECKING:
    from krmfn.yamledit.text import Text


class Spot(NamedTuple):
    """Where a scalar stands: the path of its text and the byte offset of its value, behind anchor and tag."""

    path: str
    offset: int


class Graph:
    """What counts. `emitted` holds, for each scalar that decides about something, the texts it ends as in the roots.

    `outside` holds the images that stand in files that are no YAML: where, and what they are; `named` what entries of
    `images` made of a scalar by giving it another name, in bases as well.
    """

    def __init__(
        self,
        texts: Mapping[str, Text],
        by: Mapping[Spot, Spot],
        emitted: Mapping[Spot, frozenset[str]],
        outside: Mapping[Spot, str] | None = None,
        named: Mapping[Spot, frozenset[str]] | None = None,
    ) -> None:
        self.texts, self.by, self.emitted, self.outside, self.named = texts, by, emitted, outside or {}, named or {}

    def knows(self, path: str, offset: int) -> bool:
        """True if kustomizations pass the scalar on, or something overrides it."""
        return Spot(path, offset) in self.emitted or Spot(path, offset) in self.by

    def overridden(self, path: str, offset: int) -> File | None:
        """Return where the scalar stands that overrides the one at a byte offset of a file; None when that counts."""
        spot, seen = Spot(path, offset), {Spot(path, offset)}
        if spot in self.emitted or spot not in self.by:
            return None
        while (after := self.by.get(spot)) and after not in seen and spot not in self.emitted:
            spot = after
            seen.add(spot)
        return File(spot.path, None, *self.texts[spot.path].locate(spot.offset))

    def texts_of(self, path: str, offset: int) -> frozenset[str]:
        """Return what a scalar ends as in what the roots emit; empty when no kustomization passes it on."""
        return self.emitted.get(Spot(path, offset), frozenset())

    def names_of(self, path: str, offset: int) -> frozenset[str]:
        """Return what entries of `images` call a scalar, whether a root emits that or another one renames it again."""
        return self.named.get(Spot(path, offset), frozenset())


NOTHING = Graph({}, {}, {})
"""For texts that are no files below a folder: nothing is overridden."""


def deployed(place: Place, graph: Graph) -> Place:
    """Return a place with what the kustomizations that reach it say.

    It is overridden when each of them overrides it. It is not sure when they give its image another name: whose tags are
    right cannot be told.
    """
    path, scalar = place.resource.block.text.name, place.slots[0].scalar if place.slots else None
    offset = place.start
    if scalar and scalar.host and not graph.knows(path, offset):
        offset = scalar.host[0]
    over = graph.overridden(path, offset) if place.state == COUNTS else None
    if over is not None:
        return place._replace(state=OVERRIDDEN, by=f"{over.path}:{over.line}")
    if place.ref is None or not (place.ref.tag or place.ref.digest):
        return place
    version = (place.ref.tag, place.ref.digest)
    texts = graph.texts_of(path, offset)
    refs = {ref.canonical: ref for ref in map(parsed, texts) if ref and (ref.tag, ref.digest) == version}
    if [*refs] == [place.ref.canonical]:  # maybe because an overlay takes back what its base says
        renamed = filter(None, map(parsed, graph.names_of(path, offset)))
        refs |= {ref.canonical: ref for ref in renamed if (ref.tag, ref.digest) == version}
    if not refs or [*refs] == [place.ref.canonical]:
        return place
    ref = place.ref if place.ref.canonical in refs else min(refs.values(), key=str)
    why = f"{place.why}; " * bool(place.why) + f"kustomizations deploy it as {' and as '.join(sorted(refs))}"
    return place._replace(ref=ref, slots=(), is_sure=False, why=why)
