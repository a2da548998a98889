"""The one editor of YAML collections: set a scalar, set keys, insert items, remove an entry, in the text's own style.

Annotations, results, locks and snapshots are spliced into text that people wrote by these rules alone; nothing is ever
dumped. A change that other readers of YAML could take differently is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import yaml

from krmfn.yamledit.compose import Alias
from krmfn.yamledit.scalars import Refusal, render
from krmfn.yamledit.text import Edit, value_offset
from krmfn.yamledit.writing import Value, block_lines, flow
from krmfn.yamledit.yamltree import is_null, scalar_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Text
    from krmfn.yamledit.yamltree import Offsets

class Editor:
    """Edits of the tree below `root`, which stands in bytes `start` to `end` of its text."""

    def __init__(
        self, text: Text, source: Offsets, root: yaml.Node | None, start: int = 0, end: int | None = None
    ) -> None:
        self.text, self.source, self.root, self.start = text, source, root, start
        self.data, self.end = text.data, len(text.data) if end is None else end
        at = self.data.find(b"\n", start, self.end)
        self.newline = "\r\n" if at > 0 and self.data[at - 1 : at] == b"\r" else "\n"

    @classmethod
    def of(cls, block: Block) -> Editor:
        """Return the editor of a block."""
        return cls(block.text, block.source, block.root, block.start, block.end)

    def set_scalar(self, node: yaml.Node, parent: yaml.Node, value: str | int) -> tuple[Edit, ...] | Refusal:
        """Give a scalar a new value in its own quotes; one that holds it already costs no edit."""
        if type(node) is not yaml.ScalarNode:
            return Refusal("the value is not a scalar")
        scalar = scalar_at(self, node, "", parent)
        if scalar.value == str(value) and not scalar.is_null:
            return ()
        if isinstance(value, int) and not scalar.style and scalar.start < scalar.end:
            return (Edit(scalar.start, scalar.end, str(value).encode()),)
        edit = render(self.text, scalar, str(value))
        return edit if isinstance(edit, Refusal) else (edit,)

    def set_keys(
        self, node: yaml.MappingNode, path: tuple[str, ...], values: Mapping[str, Value], after: yaml.Node | None = None
    ) -> tuple[Edit, ...] | Refusal:
        """Set keys of the mapping at `path` below `node`, and insert whatever is missing on the way.

        Scalars that are there are changed; new keys come first in their mapping, or below the value `after` of it.
        """
        if not path:
            return self._fill(node, values, after)
        entry = find_key(node, path[0])
        if isinstance(entry, Refusal):
            return entry
        if entry is None:
            return self._insert_keys(node, _nested(path, values), after)
        key, value = entry
        if isinstance(value, Alias) or self._has_properties(value):
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
            at = self.source.offset(sequence.start_mark.index) + 1
            return (Edit(at, at, f"{', '.join(map(flow, items))}, ".encode()),)
        lines = block_lines(items, self.column(sequence))
        if after is not None:
            return (self._below(sequence, after, lines),)
        at = self.line(self._dash(sequence.value[0]))
        return (Edit(at, at, self._joined(lines)),)

    def replace_item(self, sequence: yaml.SequenceNode, node: yaml.Node, item: Value) -> tuple[Edit, ...]:
        """Write one item of a block list anew, with the comments that stand inside it."""
        lines = block_lines([item], self.column(sequence))
        return (Edit(self.line(self._dash(node)), self.after(node), self._joined(lines)),)

    def remove_item(self, node: yaml.Node) -> tuple[Edit, ...]:
        """Remove an item of a block list, its lines and the comments inside it."""
        return (Edit(self.line(self._dash(node)), self.after(node), b""),)

    def empty(self, key: yaml.Node, value: yaml.Node) -> tuple[Edit, ...]:
        """Leave an empty list where a block list stands."""
        start = self.data.index(b":", self.source.offset(key.end_mark.index)) + 1
        return (Edit(start, self.after(value), f" []{self.newline}".encode()),)

    def replace_keys(self, node: yaml.MappingNode, values: Mapping[str, Value]) -> tuple[Edit, ...]:
        """Write all keys of a block mapping anew, lists indented by two; no edit when they stand there already."""
        text = self._joined(block_lines(values, node.start_mark.column, dash=2))
        start, end = self.line(self.source.offset(node.start_mark.index)), self.after(node)
        return () if self.data[start:end] == text else (Edit(start, end, text),)

    def remove_key(self, key: yaml.Node, value: yaml.Node) -> tuple[Edit, ...]:
        """Remove an entry of a block mapping that starts its line."""
        return (Edit(self.line(self.source.offset(key.start_mark.index)), self.after(value), b""),)

    def fill_empty(
        self, parent: yaml.MappingNode, key: yaml.Node, value: yaml.Node, content: Value
    ) -> tuple[Edit, ...]:
        """Put content where a null or a collection in flow style stands: below its key, in flow style in its place."""
        start, end = self._span(value)
        key_end = self.source.offset(key.end_mark.index)
        if parent.flow_style or b"\n" in self.data[key_end:end] or not content:
            blank = "" if self.data[start - 1 : start].isspace() else " "
            return (Edit(start, end, (blank + flow(content)).encode()),)
        column, step = key.start_mark.column, self._step(parent)
        line_end = self.data.find(b"\n", end, self.end)
        lines = block_lines(content, column + step, step)
        begin = start
        while self.data[begin - 1 : begin] in (b" ", b"\t"):
            begin -= 1
        edits = (Edit(begin, end, b""),) if begin < end else ()
        if line_end < 0:
            at = len(self.data[: self.end])
            return (*edits, Edit(at, at, "".join(self.newline + line for line in lines).encode()))
        return (*edits, Edit(line_end + 1, line_end + 1, self._joined(lines)))

    def column(self, sequence: yaml.SequenceNode) -> int:
        """Return the column of a block list's dashes, in bytes of its line."""
        dash = self._dash(sequence.value[0])
        return dash - self.line(dash)

    def line(self, at: int) -> int:
        """Return where the line starts that holds an offset."""
        return self.data.rfind(b"\n", 0, at) + 1

    def after(self, node: yaml.Node) -> int:
        """Return where the line starts that follows the last line of a node."""
        end = self.source.offset(last_leaf(node).end_mark.index)
        if self.data[end - 1 : end] == b"\n":
            return end
        at = self.data.find(b"\n", end)
        return len(self.data) if at < 0 else at + 1

    def _has_properties(self, node: yaml.Node) -> bool:
        at = self.source.offset(node.start_mark.index)
        return node.start_mark.index != node.end_mark.index and self.data[at : at + 1] in (b"&", b"!")

    def _span(self, node: yaml.Node) -> tuple[int, int]:
        start, end = self.source.offset(node.start_mark.index), self.source.offset(node.end_mark.index)
        return value_offset(self.data, start, end), end

    def _dash(self, item: yaml.Node) -> int:
        return self.data.rfind(b"-", self.start, self.source.offset(item.start_mark.index))

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
            at = self.source.offset(node.start_mark.index) + 1
            blank = "" if self.data[at : at + 1] in (b"\n", b"\r", b" ") else " "
            return (Edit(at, at, f"{written},{blank}".encode()),)
        key = node.value[0][0]
        at = self.source.offset(key.start_mark.index)
        if self.data[at : at + 1] == b"?" or self.data[max(at - 2, 0) : at].startswith(b"?"):
            return Refusal("the mapping's first key is a complex one")
        column = key.start_mark.column
        lines = block_lines(values, column, self._step(node))
        if after is not None:
            return (self._below(node, after, lines),)
        line = self.line(at)
        if self.data[line:at].strip():
            text = self._joined(lines) + b" " * column
            return (Edit(at, at, text.lstrip(b" ")),)
        above = line if node is self.root else self._above_comments(line)
        return (Edit(above, above, self._joined(lines)),)

    def _behind_in_flow(self, last: yaml.Node, text: str) -> Edit:
        """Add an entry right behind the last one, as a comma or a comment may follow that one."""
        at = self.source.offset(last.end_mark.index)
        return Edit(at, at, f", {text}".encode())

    def _below(self, node: yaml.CollectionNode, value: yaml.Node, lines: Iterable[str]) -> Edit:
        """Insert whole lines below an entry of a block collection; below everything when it is the root's last.

        Above the entry when it ends the text with a block scalar that has no line break at its end: it would grow by one.
        """
        entry = next(one for one in node.value if value in (one if isinstance(one, tuple) else (one,)))
        leaf = last_leaf(value)
        is_open = isinstance(leaf, yaml.ScalarNode) and leaf.style in ("|", ">")
        end = self.source.offset((node if node is self.root and entry is node.value[-1] else leaf).end_mark.index)
        if (is_open or node is self.root) and not self.data.endswith(b"\n", 0, end):
            at = self.line(self.source.offset((entry[0] if isinstance(entry, tuple) else entry).start_mark.index))
        elif is_open or node is self.root:
            at = end
        else:
            at = self.data.find(b"\n", end) + 1 or -1
        if at < 0:
            return Edit(len(self.data), len(self.data), "".join(self.newline + line for line in lines).encode())
        return Edit(at, at, self._joined(lines))

    def _joined(self, lines: Iterable[str]) -> bytes:
        """Join whole lines; piece by piece, as there may be megabytes of them."""
        written, end = bytearray(), self.newline.encode()
        for line in lines:
            written += line.encode()
            written += end
        return bytes(written)

    def _above_comments(self, line: int) -> int:
        """Go up from a line over the comments and blank lines above it, so that they stay with what they stand above."""
        while line > self.start:
            before = self.data.rfind(b"\n", self.start, line - 1) + 1
            text = self.data[before : line - 1].strip()
            if (text and not text.startswith(b"#")) or before <= self.start:
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
