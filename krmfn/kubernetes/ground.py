"""The ground that the finder walks on: nodes of a block, and where they stand in the text of the resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.kubernetes import forms, reference
from krmfn.kubernetes.embedded import Embedded
from krmfn.kubernetes.places import UNJUDGED, VARIABLE, Place, Slot
from krmfn.kubernetes.resource import get
from krmfn.model import Part
from krmfn.yamledit import markers
from krmfn.yamledit.yamltree import Step, children, join_path, scalar_at

if TYPE_CHECKING:
    from krmfn.image import ImageRef
    from krmfn.kubernetes.reference import Reading
    from krmfn.kubernetes.resource import Resource
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Scalar

_RENOVATE = re.compile(rb"[ \t]*#[ \t]*renovate:(?=.*\bdatasource=docker\b).*\b(?:depName|packageName)=([^\s\"']+)")


def is_noted(raw: bytes) -> bool:
    """True if comments of a text may name images for Renovate."""
    return b"datasource=docker" in raw


def doubt_of_resource(root: yaml.Node, group: str, kind: str) -> str:
    """Return why nothing in a resource is sure: a suite of helm-unittest, a Secret; empty when nothing speaks against it."""
    if kind == "Secret" and not group:
        return "it stands in a Secret"
    keys = {key for key, _ in children(root)} if isinstance(root, yaml.MappingNode) else set()
    is_suite = "suite" in keys and not keys.isdisjoint(("tests", "templates"))
    return "it stands in a test of a chart, which says what is expected" if is_suite else ""


class Ground(NamedTuple):
    """Nodes of a block, which stands inside the scalars of `hosts`, from the inside out; none for the resource's own.

    `group` and `kind` are those of what is read, `lead` the path of the innermost host, `doubt` why nothing here is sure.
    `is_noted` and `may_ignore` say that comments may name images, and that some may say `# krmfn: ignore`.
    """

    resource: Resource
    block: Block
    group: str
    kind: str = ""
    lead: str = ""
    hosts: tuple[Embedded, ...] = ()
    doubt: str = ""
    is_noted: bool = False
    may_ignore: bool = False

    def of_resource(self, node: yaml.Node) -> Ground | None:
        """Return the ground of a mapping that is a resource inside of another; None for any other node."""
        kind, version = get(node, "kind"), get(node, "apiVersion")
        if not isinstance(kind, yaml.ScalarNode) or not isinstance(version, yaml.ScalarNode):
            return None
        group = version.value.rpartition("/")[0]
        return self._replace(group=group, kind=kind.value, doubt=self.doubt or doubt_of_resource(node, group, kind.value))

    def doubt_of_key(self, key: str, *, is_name: bool = False) -> str:
        """Return why nothing below a key of this resource, or under the name of a parameter, is sure."""
        return forms.doubt_of_key(key, self.group, self.kind, is_name=is_name)

    def slot(self, part: Part, node: yaml.ScalarNode, steps: tuple[Step, ...]) -> Slot | None:
        """Return the slot of a scalar; None where the text around it cannot be followed."""
        path = self.lead + join_path(steps)
        return self._outside(part, scalar_at(self.block, node, path), steps, path)

    def words(self, node: yaml.ScalarNode, steps: tuple[Step, ...]) -> Callable[[int, int], Slot | None]:
        """Return what returns the slot of characters of a scalar; None where the text around it cannot be followed."""
        path = self.lead + join_path(steps)
        inner = Embedded(self.block, scalar_at(self.block, node, path))
        return lambda begin, end: self._outside(Part.IMAGE, inner.characters(begin, end), steps, path)

    def _outside(self, part: Part, scalar: Scalar | None, steps: tuple[Step, ...], path: str) -> Slot | None:
        """Return the slot of a scalar of the block, or of a word of one, where it stands in the text of the resource."""
        for host in self.hosts:
            scalar = scalar and host.moved(scalar, path)
        inside = () if self.hosts else steps[len(self.resource.prefix) :]
        return scalar and Slot(part, scalar, inside)

    def start(self, node: yaml.Node) -> int:
        """Return where a node stands in the text of the resource; where its text starts when that cannot be told."""
        start, end = self.block.span(node)
        for host in self.hosts:
            span = host.span(start, min(end, start + 1)) if start >= 0 else None
            if span is None:
                return self.hosts[-1].scalar.start
            start, end = span
        return start

    def noted(self, node: yaml.Node) -> str:
        """Return the image whose tag a comment of Renovate on the line above calls a value; empty when none does."""
        data = self.block.text.data
        start = data.rfind(b"\n", 0, self.block.span(node)[0])
        comment = _RENOVATE.match(data, data.rfind(b"\n", 0, max(start, 0)) + 1, max(start, 0))
        return comment[1].decode("utf-8", "replace") if comment else ""

    def place(
        self, code: str, steps: tuple[Step, ...], node: yaml.Node, text: str,
        reading: Reading | None, slots: Iterable[Slot | None], why: str, *, is_sure: bool = True,
    ) -> Place:  # fmt: skip
        """Return the place of what was read at a node; slots that could not be followed are left out."""
        followed = tuple(slot for slot in slots if slot is not None)
        lone = followed[0].scalar if len(followed) == 1 and followed[0].scalar.is_part else None
        start = lone.start if lone else self.start(node)
        ref, field = reading and reading.ref, self.lead + join_path(steps)
        place = Place(code, self.resource, field, start, text, ref, followed, why=why or self.doubt)
        if reading is None:
            return place._replace(state=UNJUDGED)
        if reading.variable:
            why = f"{reading.variable} is a variable"
            return place._replace(slots=(), why=why, state=VARIABLE, constraint=reading.variable)
        why = place.why or self._against(reading.ref, followed)
        return place._replace(is_sure=is_sure and not why, why=why)

    def _against(self, ref: ImageRef, slots: tuple[Slot, ...]) -> str:
        """Return what speaks against an image whose key and value look right; empty when nothing does."""
        if not slots:
            return "the text around it cannot be followed"
        if ref.tag is not None and reference.is_placeholder(ref.tag):
            return f"{ref.tag} is a placeholder"
        if reference.is_too_deep(ref):
            return "Docker Hub has no repository of this depth: its registry is named elsewhere"
        data = self.resource.block.text.data
        is_ignored = self.may_ignore and any(markers.is_ignored(data, slot.scalar.end) for slot in slots)
        return "it is marked # krmfn: ignore" if is_ignored else ""
