"""Which fields count where kustomizations change them: what `resources.kustomize` finds out, for those who bind and show."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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


class Graph(NamedTuple):
    """What counts where kustomizations change fields; `texts` are the files by their paths."""

    texts: Mapping[str, Text] = {}
    by: Mapping[Spot, Spot] = {}
    """Which scalar took the place of which."""
    emitted: Mapping[Spot, Collection[str]] = {}
    """The texts that each scalar that decides about something ends as in the roots."""
    outside: Mapping[Spot, str] = {}
    """The images that stand in files that are no YAML."""
    named: Mapping[Spot, Collection[str]] = {}
    """What entries of `images` made of a scalar by giving it another name, in bases as well."""

    def overridden(self, spot: Spot) -> File | None:
        """Return where the scalar stands that overrides another one; None when that counts."""
        if spot in self.emitted or spot not in self.by:
            return None
        seen = {spot}
        # A chain of overlays ends at a scalar that some root emits; patches of two roots may also override each other.
        while (after := self.by.get(spot)) and after not in seen and spot not in self.emitted:
            spot = after
            seen.add(spot)
        return File(spot.path, None, *self.texts[spot.path].locate(spot.offset))


NOTHING = Graph()
"""For texts that are no files below a folder: nothing is overridden."""


def deployed(place: Place, graph: Graph) -> Place:
    """Return a place with what the kustomizations that reach it say.

    It is overridden when each of them overrides it. It is not sure when they give its image another name: whose tags are
    right cannot be told.
    """
    spot, scalar = Spot(place.resource.block.text.name, place.start), place.slots[0].scalar if place.slots else None
    if scalar and scalar.host and spot not in graph.emitted and spot not in graph.by:
        spot = spot._replace(offset=scalar.host[0])
    over = graph.overridden(spot) if place.state == COUNTS else None
    if over is not None:
        return place._replace(state=OVERRIDDEN, by=f"{over.path}:{over.line}")
    if place.ref is None or not (place.ref.tag or place.ref.digest):
        return place
    version = (place.ref.tag, place.ref.digest)
    ends = map(parsed, graph.emitted.get(spot, ()))
    refs = {ref.canonical: ref for ref in ends if ref and (ref.tag, ref.digest) == version}
    if [*refs] == [place.ref.canonical]:  # maybe because an overlay takes back what its base says
        renamed = filter(None, map(parsed, graph.named.get(spot, ())))
        refs |= {ref.canonical: ref for ref in renamed if (ref.tag, ref.digest) == version}
    if not refs or [*refs] == [place.ref.canonical]:
        return place
    ref = place.ref if place.ref.canonical in refs else min(refs.values(), key=str)
    why = f"{place.why}; " * bool(place.why) + f"kustomizations deploy it as {' and as '.join(sorted(refs))}"
    return place._replace(ref=ref, slots=(), is_sure=False, why=why)
