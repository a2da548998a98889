"""The one editor of YAML collections: set a scalar, set keys, insert items, remove an entry, in the text's own style.

Annotations, results, locks and snapshots are spliced into text that people wrote by these rules alone; nothing is ever
dumped. A change that other readers of YAML could take differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

from krmfn.yamledit.compose import Alias
from krmfn.yamledit.scalars import Refusal, render
from krmfn.yamledit.text import Edit
from krmfn.yamledit.writing import Value, block_lines, flow
from krmfn.yamledit.yamltree import is_null, scalar_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Scalar


class Editor:
    """Edits of the nodes of a block, as edits of its text."""

    def __init__(self, block: Block) -> None:
        self.block, self.data, self.root = block, block.text.data, block.root
        at = self.data.find(b"\n", block.start, block.end)
        self.newline = "\r\n" if at > 0 and self.data[at - 1 : at] == b"\r" else "\n"

    def set_scalar(self, node: yaml.Node, parent: yaml.Node, value: str | int) -> tuple[Edit, ...] | Refusal:
        """Give a scalar a new value in its own quotes; one that holds it already costs no edit."""
        if type(node) is not yaml.ScalarNode:
            return Refusal("the value is not a scalar")
        scalar = scalar_at(self.block, node, "", parent)
        if scalar.value == str(value) and not scalar.is_null:
            return ()
        if isinstance(value, int) and not scalar.style and scalar.start < scalar.end:
            return (Edit(scalar.start, scalar.end, str(value).encode()),)
        edit = render(self.block.text, scalar, str(value))
        return edit if isinstance(edit, Refusal) else (edit,)

    def set_keys(
        self, node: yaml.Node | None, path: tuple[str, ...], values: Mapping[str, Value], after: yaml.Node | None = None
    ) -> tuple[Edit, ...] | Refusal:
        """Set keys of the mapping at `path` below `node`, and insert whatever is missing on the way.

        Scalars that are there are changed; new keys come first in their mapping, or below the value `after` of it.
        """
        if not isinstance(node, yaml.MappingNode) or not node.value:
            return Refusal("the resource is not a mapping with keys")
        if not path:
            return self._fill(node, values, after)
        entry = find_key(node, path[0])
        if entry is None or isinstance(entry, Refusal):
            return entry or self._insert_keys(node, _nested(path, values), after)
        key, value = entry
        is_written = value.start_mark.index != value.end_mark.index
        if isinstance(value, Alias) or (is_written and self.data.startswith((b"&", b"!"), self._start(value))):
            return Refusal(f"{path[0]} is anchored, tagged or an alias")
        if isinstance(value, yaml.MappingNode) and value.value:
            return self.set_keys(value, path[1:], values, after)
        if is_null(value) or isinstance(value, yaml.MappingNode):
            return self.fill_empty(node, key, value, _nested(path[1:], values))
        return Refusal(f"{path[0]} is not a mapping")

    def insert_items(
        self, sequence: yaml.SequenceNode, items: Sequence[Value], after: yaml.Node | None
    ) -> tuple[Edit, ...]:
        """Insert items into a list that has some, below the item `after`, or first."""
        if sequence.flow_style and after is not None:
            return (self._behind_in_flow(after, ", ".join(map(flow, items))),)
        if sequence.flow_style:
            at = self._start(sequence) + 1
            return (Edit(at, at, f"{', '.join(map(flow, items))}, ".encode()),)
        lines = block_lines(items, self._column(sequence))
        if after is not None:
            return (self._below(sequence, after, lines),)
        return (self._inserted(self._line(self._dash(sequence.value[0])), lines),)

    def replace_item(self, sequence: yaml.SequenceNode, node: yaml.Node, item: Value) -> tuple[Edit, ...]:
        """Write one item of a block list anew, with the comments that stand inside it."""
        return self._replaced(self._dash(node), node, block_lines([item], self._column(sequence)))

    def remove_item(self, node: yaml.Node) -> tuple[Edit, ...]:
        """Remove an item of a block list, its lines and the comments inside it."""
        return self._replaced(self._dash(node), node)

    def empty(self, key: yaml.Node, value: yaml.Node) -> tuple[Edit, ...]:
        """Leave an empty list where a block list stands."""
        start = self.data.index(b":", self._end(key)) + 1
        return (Edit(start, self._after(value), f" []{self.newline}".encode()),)

    def replace_keys(self, node: yaml.MappingNode, values: Mapping[str, Value]) -> tuple[Edit, ...]:
        """Write all keys of a block mapping anew, lists indented by two; no edit when they stand there already."""
        return self._replaced(self._start(node), node, block_lines(values, node.start_mark.column, dash=2))

    def remove_key(self, key: yaml.Node, value: yaml.Node) -> tuple[Edit, ...]:
        """Remove an entry of a block mapping that starts its line."""
        return self._replaced(self._start(key), value)

    def add_comment(self, scalar: Scalar, comment: str) -> tuple[Edit, ...] | Refusal:
        """Append a comment behind a scalar, where Flux would read it as that scalar's."""
        if scalar.start == scalar.end:
            return Refusal("an empty value takes no marker; the comment would belong to its key")
        is_block = scalar.style in ("|", ">")
        pattern = rb"[|>][-+0-9]{0,2}" if is_block else rb"[ \t]*,?" if scalar.in_flow else rb""
        at = scalar.start if is_block else scalar.end
        place = re.compile(pattern + rb"(?=[ \t]*(?:\r?\n|\Z))").match(self.data, at)
        if place is None:
            rest = self.data[at:].partition(b"\n")[0]
            return Refusal("the line has a comment already" if b"#" in rest else "the line goes on behind the value")
        return (Edit(place.end(), place.end(), f" # {comment}".encode()),)

    def fill_empty(
        self, parent: yaml.MappingNode, key: yaml.Node, value: yaml.Node, content: Value
    ) -> tuple[Edit, ...]:
        """Put content where a null or a collection in flow style stands: below its key, in flow style in its place."""
        start, end = self.block.span(value)
        if parent.flow_style or b"\n" in self.data[self._end(key) : end] or not content:
            blank = "" if self.data[start - 1 : start].isspace() else " "
            return (Edit(start, end, (blank + flow(content)).encode()),)
        step = self._step(parent)
        line_end = self.data.find(b"\n", end, self.block.end)
        below = self._inserted(
            line_end + 1 if line_end >= 0 else self.block.end, block_lines(content, key.start_mark.column + step, step)
        )
        begin = start
        while self.data[begin - 1 : begin] in (b" ", b"\t"):
            begin -= 1
        return (Edit(begin, end, b""), below) if begin < end else (below,)

    def _start(self, node: yaml.Node) -> int:
        return self.block.source.offset(node.start_mark.index)

    def _end(self, node: yaml.Node) -> int:
        return self.block.source.offset(node.end_mark.index)

    def _line(self, at: int) -> int:
        """Return where the line starts that holds an offset."""
        return self.data.rfind(b"\n", 0, at) + 1

    def _after(self, node: yaml.Node) -> int:
        """Return where the line starts that follows the last line of a node."""
        end = self._end(last_leaf(node))
        if self.data[end - 1 : end] == b"\n":  # a block scalar ends behind its last line break
            return end
        return self.data.find(b"\n", end) + 1 or len(self.data)

    def _dash(self, item: yaml.Node) -> int:
        """Return where the dash of an item of a block list stands; libyaml has no mark for it."""
        return self.data.rfind(b"-", self.block.start, self._start(item))

    def _column(self, sequence: yaml.SequenceNode) -> int:
        """Return the column of a block list's dashes, in bytes of its line."""
        dash = self._dash(sequence.value[0])
        return dash - self._line(dash)

    def _replaced(self, at: int, last: yaml.Node, lines: Iterable[str] = ()) -> tuple[Edit, ...]:
        """Put lines in place of those from an offset's to the last one of a node, unless they stand there already."""
        start, end, text = self._line(at), self._after(last), self._joined(lines)
        return () if self.data[start:end] == text else (Edit(start, end, text),)

    def _inserted(self, at: int, lines: Iterable[str]) -> Edit:
        """Insert whole lines where a line starts, or at the end of a text whose last line has no line break."""
        text, newline = self._joined(lines), self.newline.encode()
        is_start = not at or self.data[at - 1 : at] == b"\n"
        return Edit(at, at, text if is_start else newline + text.removesuffix(newline))

    def _fill(
        self, node: yaml.MappingNode, values: Mapping[str, Value], after: yaml.Node | None
    ) -> tuple[Edit, ...] | Refusal:
        """Change the values that are there, insert the others."""
        edits: tuple[Edit, ...] = ()
        missing: dict[str, Value] = {}
        for name, value in values.items():
            entry = find_key(node, name)
            if isinstance(entry, Refusal):
                return entry
            if entry is None:
                missing[name] = value
                continue
            if not isinstance(value, str | int):
                return Refusal(f"{name} is there already")
            changed = self.set_scalar(entry[1], node, value)
            if isinstance(changed, Refusal):
                return changed
            edits += changed
        added = self._insert_keys(node, missing, after) if missing else ()
        return added if isinstance(added, Refusal) else edits + added

    def _insert_keys(
        self, node: yaml.MappingNode, values: Mapping[str, Value], after: yaml.Node | None
    ) -> tuple[Edit, ...] | Refusal:
        """Insert keys into a mapping that has some: first, or below the value `after`."""
        if node.flow_style:
            written = flow(values)[1:-1]
            if after is not None:
                return (self._behind_in_flow(after, written),)
            at = self._start(node) + 1
            blank = "" if self.data[at : at + 1] in (b"\n", b"\r", b" ") else " "
            return (Edit(at, at, f"{written},{blank}".encode()),)
        key = node.value[0][0]
        at = self._start(key)
        if self.data[at : at + 1] == b"?" or self.data[max(at - 2, 0) : at].startswith(b"?"):
            return Refusal("the mapping's first key is a complex one")
        column = key.start_mark.column
        lines = block_lines(values, column, self._step(node))
        if after is not None:
            return (self._below(node, after, lines),)
        line = self._line(at)
        if self.data[line:at].strip():  # the first key stands behind a dash: the new one takes its place there
            text = self._joined(lines) + b" " * column
            return (Edit(at, at, text.lstrip(b" ")),)
        return (self._inserted(line if node is self.root else self._above_comments(line), lines),)

    def _behind_in_flow(self, last: yaml.Node, text: str) -> Edit:
        """Add an entry right behind the last one, as a comma or a comment may follow that one."""
        return Edit(self._end(last), self._end(last), f", {text}".encode())

    def _below(self, node: yaml.CollectionNode, value: yaml.Node, lines: Iterable[str]) -> Edit:
        """Insert whole lines below an entry of a block collection; below everything when it is the root's last.

        Above the entry when it ends the text with a block scalar that has no line break at its end: it would grow by one.
        """
        entries = [entry if isinstance(entry, tuple) else (entry,) for entry in node.value]
        entry = next(entry for entry in entries if value in entry)
        leaf = last_leaf(value)
        is_open = isinstance(leaf, yaml.ScalarNode) and leaf.style in ("|", ">")
        end = self._end(node if node is self.root and entry is entries[-1] else leaf)
        if not is_open and node is not self.root:
            at = self.data.find(b"\n", end) + 1 or len(self.data)
        elif self.data.endswith(b"\n", 0, end):
            at = end
        else:
            at = self._line(self._start(entry[0]))
        return self._inserted(at, lines)

    def _joined(self, lines: Iterable[str]) -> bytes:
        """Join whole lines; piece by piece, as there may be megabytes of them."""
        written, end = bytearray(), self.newline.encode()
        for line in lines:
            written += line.encode()
            written += end
        return bytes(written)

    def _above_comments(self, line: int) -> int:
        """Go up from a line over the comments and blank lines above it, so that they stay with what they stand above."""
        while line > self.block.start:
            before = self.data.rfind(b"\n", self.block.start, line - 1) + 1
            text = self.data[before : line - 1].strip()
            if (text and not text.startswith(b"#")) or before <= self.block.start:
                break
            line = before
        return line

    def _step(self, node: yaml.MappingNode) -> int:
        """Return how far the mapping's own nested mappings are indented, two if there are none."""
        for key, value in node.value:
            deeper = value.start_mark.column - key.start_mark.column
            if isinstance(value, yaml.MappingNode) and not value.flow_style and 0 < deeper <= 8:
                return int(deeper)
        return 2


def find_key(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | Refusal | None:
    """Find a key; a key that is given twice is refused, as readers differ on which one counts."""
    entries = [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode) and key.value == name]
    if len(entries) > 1:
        return Refusal(f"key {name!r} is given twice")
    if any(isinstance(key, yaml.ScalarNode) and key.value == "<<" for key, _ in node.value) and not entries:
        return Refusal("the mapping has a merge key")
    return entries[0] if entries else None


def _nested(path: Iterable[str], values: Mapping[str, Value]) -> Mapping[str, Value]:
    for key in reversed(tuple(path)):
        values = {key: values}
    return values


def last_leaf(node: yaml.Node) -> yaml.Node:
    """Return the node that ends a block collection.

    libyaml puts the end of a block collection at the next token, behind the blank lines and comments that follow it;
    the end of its last leaf is where its own text ends.
    """
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node
