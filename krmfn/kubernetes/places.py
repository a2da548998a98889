"""Places where images stand: the records that the finder makes and everybody else reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from krmfn.model import File, Part

if TYPE_CHECKING:
    from krmfn.image import ImageRef
    from krmfn.kubernetes.resource import Resource, Steps
    from krmfn.yamledit.text import Scalar

COUNTS = "counts"
RANGE = "range"
VARIABLE = "variable"
OVERRIDDEN = "overridden"
UNJUDGED = "not judged"
IGNORED = "ignored"
SHOWN = "shown only"
"""In a hidden folder, or in a text that is no YAML: nobody asks about it, and nothing is written."""


class Slot(NamedTuple):
    """A scalar, or a word of one, and the part of the image that it holds. `steps` lead there, none into text inside text."""

    part: Part
    scalar: Scalar
    steps: Steps = ()

    @property
    def marked(self) -> Part:
        """The part that a marker is to name: of a version without build metadata the tag, which Flux knows too."""
        return Part.TAG if self.part is Part.VERSION and "+" not in self.scalar.value else self.part


class Place(NamedTuple):
    """One place that names an image.

    `text` is what was read, `ref` the image where one can be named (with a variable in it, as it is written); `start` is the byte of the version in the text of
    the resource's block, `field` the path to it, with ` > ` where it leads into text inside text. `slots` are what an
    update writes, none where nothing can be written. Only a `sure` place is written by image name; `why` says why not.
    """

    form: str
    resource: Resource
    field: str
    start: int
    text: str
    ref: ImageRef | None
    slots: tuple[Slot, ...] = ()
    is_sure: bool = False
    why: str = ""
    state: str = COUNTS
    by: str = ""
    """Of an overridden place: FILE:LINE of what overrides it."""
    constraint: str = ""
    """Of a range: the range. Of a variable: the variable."""

    @property
    def file(self) -> File:
        """The file, with line and column where the text is that file."""
        return self.resource.place(self.start) or File("stdin")

    @property
    def is_written(self) -> bool:
        """True if an update by image name writes here."""
        return self.is_sure and self.state == COUNTS and bool(self.slots)

    def doubted(self, why: str) -> Place:
        """Return the place as one that is not sure."""
        return self._replace(is_sure=False, why=self.why or why) if self.is_sure else self
