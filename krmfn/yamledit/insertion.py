"""Structural additions by splice: annotations and marker comments, in the file's own indentation."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import yaml

from krmfn.yamledit.editor import Editor
from krmfn.yamledit.scalars import Refusal
from krmfn.yamledit.text import Edit

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Scalar


def annotations(block: "Block", wanted: Mapping[str, str], root: yaml.Node | None = None) -> tuple[Edit, ...] | Refusal:
    """Set several annotations in one consistent set of edits; those that hold the value already cost none.

    `root` is the node of the resource when that is a member of a list in the block.
    """
    root = block.root if root is None else root
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return Refusal("the resource is not a mapping with keys")
    if not wanted:
        return ()
    return Editor.of(block).set_keys(root, ("metadata", "annotations"), wanted)


def comment(block: "Block", scalar: "Scalar", marker_text: str) -> Edit | Refusal:
    """Append a marker comment behind a scalar, where Flux would read it as that scalar's."""
    if scalar.start == scalar.end:
        return Refusal("an empty value takes no marker; the comment would belong to its key")
    data, is_block = block.text.data, scalar.style in ("|", ">")
    pattern = rb"[|>][-+0-9]{0,2}" if is_block else rb"[ \t]*,?" if scalar.in_flow else rb""
    at = scalar.start if is_block else scalar.end
    place = re.compile(pattern + rb"(?=[ \t]*(?:\r?\n|\Z))").match(data, at)
    if place is None:
        rest = data[at : data.find(b"\n", at) if b"\n" in data[at:] else len(data)]
        return Refusal("the line has a comment already" if b"#" in rest else "the line goes on behind the value")
    return Edit(place.end(), place.end(), f" # {marker_text}".encode())
