"""Which fields count where kustomizations change them: what `resources.kustomize` finds out, for those who bind and show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import File

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Text


class Spot(NamedTuple):
    """Where a scalar stands: the path of its text and the byte offset of its value, behind anchor and tag."""

    path: str
    offset: int


class Graph:
    """What counts. `emitted` holds, for each scalar that decides about something, the texts it ends as in the roots."""

    def __init__(
        self, texts: Mapping[str, Text], by: Mapping[Spot, Spot], emitted: Mapping[Spot, frozenset[str]]
    ) -> None:
        self.texts, self.by, self.emitted = texts, by, emitted

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


NOTHING = Graph({}, {}, {})
"""For texts that are no files below a folder: nothing is overridden."""
