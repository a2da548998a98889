"""Structural additions by splice: annotations and marker comments, in the file's own indentation."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import yaml

from krmfn.yamledit.compose import Alias
from krmfn.yamledit.edits import flow, nested, newline, set_value, start_of_blanks
from krmfn.yamledit.nodes import Edit, is_null, scalar_at
from krmfn.yamledit.scalars import Refusal, quoted, render

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block, Scalar

_bare_key = re.compile(r"[A-Za-z][A-Za-z0-9._/-]{3,}").fullmatch


def annotation(block: "Block", key: str, value: str) -> tuple[Edit, ...] | Refusal:
    """Set one annotation: replace its value, or insert it with whatever is missing around it."""
    return annotations(block, {key: value})


def annotations(block: "Block", wanted: Mapping[str, str], root: yaml.Node | None = None) -> tuple[Edit, ...] | Refusal:
    """Set several annotations in one consistent set of edits; those that hold the value already cost none.

    `root` is the node of the resource when that is a member of a list in the block.
    """
    root = block.root if root is None else root
    if not isinstance(root, yaml.MappingNode) or not root.value:
        return Refusal("the resource is not a mapping with keys")
    if not wanted:
        return ()
    return _Insertion(block).set(root, ("metadata", "annotations"), wanted)


class _Insertion:
    """Edits for one block."""

    def __init__(self, block: "Block") -> None:
        self.block = block
        self.newline = newline(block.text.data, block.start, block.end)

    def set(
        self, node: yaml.MappingNode, path: tuple[str, ...], wanted: Mapping[str, str]
    ) -> tuple[Edit, ...] | Refusal:
        """Descend along `path` below `node`; insert the rest of it where it ends."""
        if not path:
            return self.fill(node, wanted)
        entry = _entry(node, path[0])
        if isinstance(entry, Refusal):
            return entry
        if entry is None:
            return self.first(node, path, wanted)
        key, value = entry
        if isinstance(value, Alias) or self.has_properties(value):
            return Refusal(f"{path[0]} is anchored, tagged or an alias")
        if isinstance(value, yaml.MappingNode) and value.value:
            return self.set(value, path[1:], wanted)
        if is_null(value) or isinstance(value, yaml.MappingNode):
            return self.replaced(node, key, value, path[1:], wanted)
        return Refusal(f"{path[0]} is not a mapping")

    def has_properties(self, node: yaml.Node) -> bool:
        at = self.block.source.offset(node.start_mark.index)
        return node.start_mark.index != node.end_mark.index and self.block.text.data[at : at + 1] in (b"&", b"!")

    def fill(self, node: yaml.MappingNode, wanted: Mapping[str, str]) -> tuple[Edit, ...] | Refusal:
        """Replace the values that are there and insert the others as first keys."""
        edits: list[Edit] = []
        missing: dict[str, str] = {}
        for name, value in wanted.items():
            entry = _entry(node, name)
            if isinstance(entry, Refusal):
                return entry
            if entry is None:
                missing[name] = value
                continue
            edit = self.revalued(entry[1], node, value)
            if isinstance(edit, Refusal):
                return edit
            edits += edit
        if missing:
            added = self.first(node, (), missing)
            if isinstance(added, Refusal):
                return added
            edits += added
        return tuple(edits)

    def revalued(self, node: yaml.Node, parent: yaml.Node, value: str) -> tuple[Edit, ...] | Refusal:
        if type(node) is not yaml.ScalarNode:
            return Refusal("the annotation's value is not a scalar")
        scalar = scalar_at(self.block, node, "", parent)
        if scalar.value == value and not scalar.is_null:
            return ()
        edit = render(self.block.text, scalar, value)
        return edit if isinstance(edit, Refusal) else (edit,)

    def first(
        self, node: yaml.MappingNode, path: tuple[str, ...], wanted: Mapping[str, str]
    ) -> tuple[Edit, ...] | Refusal:
        """Insert as the first keys of a mapping that has some."""
        data, source = self.block.text.data, self.block.source
        if node.flow_style:
            at = source.offset(node.start_mark.index) + 1
            blank = "" if data[at : at + 1] in (b"\n", b"\r", b" ") else " "
            return (Edit(at, at, f"{flow(nested(path, wanted))[1:-1]},{blank}".encode()),)
        key = node.value[0][0]
        at = source.offset(key.start_mark.index)
        if data[at : at + 1] == b"?" or data[max(at - 2, 0) : at].startswith(b"?"):
            return Refusal("the mapping's first key is a complex one")
        column = key.start_mark.column
        added = self.lines(path, wanted, column, self.step(node))
        head = data[data.rfind(b"\n", 0, at) + 1 : at]
        if head.strip():
            text = added[0].lstrip(" ") + "".join(self.newline + line for line in added[1:])
            return (Edit(at, at, f"{text}{self.newline}{' ' * column}".encode()),)
        line = at - len(head)
        if node is not self.block.root:
            line = self.above_comments(line)
        return (Edit(line, line, "".join(each + self.newline for each in added).encode()),)

    def above_comments(self, line: int) -> int:
        """Go up from a line over the comments and blank lines above it, so that they stay with what they stand above."""
        data = self.block.text.data
        while line > self.block.start:
            before = data.rfind(b"\n", self.block.start, line - 1) + 1
            text = data[before : line - 1].strip()
            if (text and not text.startswith(b"#")) or before <= self.block.start:
                break
            line = before
        return line

    def step(self, node: yaml.MappingNode) -> int:
        """Return how far the mapping's own nested mappings are indented, two if there are none."""
        for key, value in node.value:
            deeper = value.start_mark.column - key.start_mark.column
            if isinstance(value, yaml.MappingNode) and not value.flow_style and 0 < deeper <= 8:
                return int(deeper)
        return 2

    def lines(self, path: tuple[str, ...], wanted: Mapping[str, str], column: int, step: int) -> list[str]:
        heads = [" " * (column + step * depth) + name + ":" for depth, name in enumerate(path)]
        lead = " " * (column + step * len(path))
        return heads + [f"{lead}{_key(name)}: {quoted(value)}" for name, value in wanted.items()]

    def replaced(
        self,
        parent: yaml.MappingNode,
        key: yaml.Node,
        value: yaml.Node,
        path: tuple[str, ...],
        wanted: Mapping[str, str],
    ) -> tuple[Edit, ...] | Refusal:
        """Fill a mapping that is null or `{}`: below its key in block style, in place in flow style."""
        data = self.block.text.data
        start, end = self.block.span(value)
        if parent.flow_style or b"\n" in data[self.block.span(key)[1] : end]:
            return (set_value(data, start, end, flow(nested(path, wanted))),)
        column = key.start_mark.column
        step = self.step(parent)
        eol = data.find(b"\n", end, self.block.end)
        added = self.lines(path, wanted, column + step, step)
        begin = start_of_blanks(data, start)
        edits = [Edit(begin, end, b"")] if begin < end else []
        if eol < 0:
            eol = len(data[: self.block.end])
            return (*edits, Edit(eol, eol, "".join(self.newline + line for line in added).encode()))
        return (*edits, Edit(eol + 1, eol + 1, "".join(line + self.newline for line in added).encode()))


def _entry(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | Refusal | None:
    """Find a key; a key that is given twice is refused, as readers differ on which one counts."""
    entries = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode) and key.value == name]
    if len(entries) > 1:
        return Refusal(f"key {name!r} is given twice")
    if any(isinstance(key, yaml.ScalarNode) and key.value == "<<" for key, _ in node.value) and not entries:
        return Refusal("the mapping has a merge key")
    return entries[0] if entries else None


def _key(name: str) -> str:
    return name if _bare_key(name) else quoted(name)


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
