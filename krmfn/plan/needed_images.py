"""Which repositories blocks name, where policies bind images: a cheap superset of what `bind_images` binds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from krmfn.kubernetes import charts, finder, forms
from krmfn.yamledit import prefilter

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block


class NeededImages:
    """Tells which repositories blocks name; `by_image` are those of which a policy binds images."""

    def __init__(self, by_image: Iterable[str], blocks: Iterable[Block]) -> None:
        self.charts = charts.repositories(blocks)
        self.lasts = tuple({name.rpartition("/")[2].encode() for name in by_image})

    def named(self, block: Block, raw: bytes) -> Iterable[str]:
        """Return the repositories that a block names: by its lines, or by its places when a line is not plain to see."""
        is_compound = forms.may_hold_compound(raw) and (finder.are_read(block, self.charts) or any(last in raw for last in self.lasts))
        values = (
            None if is_compound or b"image.toolkit.fluxcd.io" in raw or b"krmfn.dev" in raw else prefilter.image_values(raw)
        )
        if values is not None:
            return {prefilter.repository_of(value) for value in values}
        return {place.ref.canonical for place in finder.places(block, self.charts) if place.ref and place.is_sure}
