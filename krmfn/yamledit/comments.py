"""Which comment decides about which scalar: the comment rules of yaml.v3 (scannerc.go, parserc.go), as kyaml uses them.

A scalar's line comment decides, and its head comment only when there is none. A comment on the line of a value, or
behind its comma, is its line comment; a comment above an item, or between key and value, is a head comment unless the
blank line or the dedent after it makes it a foot of what stands before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

import yaml

from krmfn.namedtuple import NamedTuple
from krmfn.yamledit.text import BREAK
from krmfn.yamledit.yamltree import join_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.yamltree import Step

LOOKAHEAD = 512
"""How many bytes of blanks yaml.v3 looks past for a comment."""

_breaks = re.compile(BREAK)
_HEADER = rb"[|>][-+0-9]{0,2}[ \t]*"
_TO_NODE = rb"(?:[ \t\r\n,:\[{]|#[^\r\n]*|[-?](?=[ \t\r\n]))*"


class Comment(NamedTuple):
    """A comment: bytes from its `#` up to the line break."""

    start: int
    end: int


class Place(NamedTuple):
    """A leaf of the tree: its collection, the steps to it, the innermost block collection's column, and its role."""

    node: yaml.Node
    parent: yaml.CollectionNode | None
    steps: tuple[Step, ...]
    indent: int
    is_key: bool

    @property
    def path(self) -> str:
        """The path to the leaf."""
        return join_path(self.steps)

    @property
    def is_absent(self) -> bool:
        """True for a value that is not written, as behind `key:`."""
        return self.node.start_mark.index == self.node.end_mark.index

    @property
    def in_flow(self) -> bool:
        """True inside `[]` or `{}`."""
        return self.parent is not None and bool(self.parent.flow_style)


def leaf_before(block: Block, offset: int) -> Place | None:
    """Return the last leaf, keys included, that starts before a byte offset."""
    return _last_leaf(block, block.source.index(offset) - 1)


def _last_leaf(block: Block, index: int) -> Place | None:
    """Return the last leaf whose mark is at an index or before it, by descending along the start marks."""
    node = block.root
    if node is None or node.start_mark.index > index:
        return None
    parent: yaml.CollectionNode | None = None
    steps: tuple[Step, ...] = ()
    indent = -1
    while isinstance(node, yaml.CollectionNode):
        if not node.flow_style:
            indent = node.start_mark.column
        is_mapping = isinstance(node, yaml.MappingNode)
        at = bisect_right(node.value, index, key=_start) - 1
        if at < 0:
            return Place(node, parent, steps, indent, is_key=False)
        if not is_mapping:
            parent, node, steps = node, node.value[at], (*steps, at)
            continue
        key, value = node.value[at]
        if value.start_mark.index > index:
            return Place(key, node, steps, indent, is_key=True)
        parent, node, steps = node, value, (*steps, key.value if isinstance(key, yaml.ScalarNode) else "?")
    return Place(node, parent, steps, indent, is_key=False)


def _start(child: yaml.Node | tuple[yaml.Node, yaml.Node]) -> int:
    node = child[0] if isinstance(child, tuple) else child
    return node.start_mark.index


def leaf_after(block: Block, offset: int) -> tuple[Place | None, int]:
    """Return the leaf behind a comment at `offset`, if nothing but indicators and comments is between; and where those end."""
    gap = re.compile(_TO_NODE).match(block.text.data, offset, block.end)
    end = gap.end() if gap else offset
    place = _last_leaf(block, block.source.index(end))
    if place is None or block.source.offset(place.node.start_mark.index) < offset:
        return None, end
    return place, end


def deciding(block: Block, place: Place) -> Comment | None:
    """Return the one comment that decides about a scalar; None when there is none, or several that run together."""
    node = place.node
    behind = tuple(_behind(block, place))
    # The common case is spared the search of the gap: no line comment can be there, and head comments count for less.
    if behind and not place.in_flow and block.span(node)[0] == block.source.offset(node.start_mark.index):
        return behind[0]
    gap = _Gap(block, place)
    comments = [*gap.line, *_properties_lines(block, place), *behind] or gap.head
    return comments[0] if len(comments) == 1 else None


def _behind(block: Block, place: Place) -> Iterator[Comment]:
    """Yield the comments behind a scalar on its line, and behind the comma that follows it."""
    data = block.text.data
    start, end = block.span(place.node)
    if isinstance(place.node, yaml.ScalarNode) and place.node.style in ("|", ">"):
        header = re.compile(_HEADER).match(data, start, end)
        if header and data[header.end() : header.end() + 1] == b"#":
            yield _comment(data, header.end(), end)
        return
    at = _skip_blanks(data, end, block.end)
    if data[at : at + 1] == b"#":
        comment = _comment(data, at, block.end)
        yield comment
        at = comment.end
    if not place.in_flow:
        return
    # in flow the comma may stand lines below, behind comments that are not on its line: one behind the comma counts
    while data[at : at + 1] in (b" ", b"\t", b"\r", b"\n", b"#") and at < block.end:
        at = _comment(data, at, block.end).end if data[at : at + 1] == b"#" else at + 1
    if data[at : at + 1] == b",":
        at = _skip_blanks(data, at + 1, block.end)
        if data[at : at + 1] == b"#":
            yield _comment(data, at, block.end)


def _skip_blanks(data: bytes, at: int, end: int) -> int:
    stop = min(end, at + LOOKAHEAD)
    while at < stop and data[at] in b" \t":
        at += 1
    return at


def _comment(data: bytes, start: int, end: int) -> Comment:
    return Comment(start, end_of_line(data, start, end))


def start_of_line(data: bytes, at: int, floor: int) -> int:
    """Find the end of the line break before `at`, looking back no further than `floor`."""
    line = max(data.rfind(b"\n", floor, at) + 1, floor)
    return max((hit.end() for hit in _breaks.finditer(data, line, at)), default=line)


def end_of_line(data: bytes, start: int, end: int) -> int:
    """Find the next line break, as YAML 1.1 knows them, at or after `start`."""
    line_break = _breaks.search(data, start, end)
    return line_break.start() if line_break else end


def _properties_lines(block: Block, place: Place) -> Iterator[Comment]:
    """Yield the comments between a scalar's anchor or tag and its value; all count as on its line."""
    data = block.text.data
    at, value = block.source.offset(place.node.start_mark.index), block.span(place.node)[0]
    while at < value:
        at = data.find(b"#", at, value)
        if at < 0:
            return
        if data[at - 1 : at] in (b" ", b"\t", b"\n"):
            comment = _comment(data, at, value)
            yield comment
            at = comment.end
        else:
            at += 1


def column_of(data: bytes, at: int) -> int:
    """Return how many bytes stand before an offset on its line."""
    line = data.rfind(b"\n", 0, at) + 1
    return at - max(data.rfind(b"\r", line, at) + 1, line)


class _Gap:
    """What stands between the last thing written and a scalar: comments above it, and in flow those behind the colon."""

    def __init__(self, block: Block, place: Place) -> None:
        self.data, self.end = block.text.data, block.source.offset(place.node.start_mark.index)
        self.block, self.place = block, place
        self.line: list[Comment] = []
        self.head: list[Comment] = []
        self.newlines, self.token = 0, b""
        self.dash, self.column = -1, column_of(self.data, self.end)
        at = self._begin()
        if b"#" in self.data[at : self.end]:
            self._scan(at)

    def _begin(self) -> int:
        """Find the end of the last leaf that is written."""
        offset = self.end
        while (before := leaf_before(self.block, offset)) is not None:
            node = before.node
            start, end = self.block.span(node)
            if isinstance(node, yaml.CollectionNode):
                if node.flow_style:  # its bracket is written; a block collection starts with the first of its leaves
                    return start
            elif not before.is_absent:
                return len(self.data[start:end].rstrip()) + start
            offset = self.block.source.offset(node.start_mark.index)
        return min(self.block.start, self.end)

    def _scan(self, at: int) -> None:
        while at < self.end:
            char = self.data[at : at + 1]
            if char == b"#":
                at = self._commented(at)
                continue
            if char == b"\n" or (char == b"\r" and self.data[at + 1 : at + 2] != b"\n"):
                self.newlines += 1
            elif char not in b" \t\r":
                self._token(char, at)
            at += 1

    def _token(self, char: bytes, at: int) -> None:
        """Take note of an indicator. Ends and starts of flow collections take what was pending."""
        if char in b"[]{}":
            self.head, self.line = [], []
        elif char == b"-":
            column = column_of(self.data, at)
            if self.column < column:  # a list in a list: what stands above the outer dash is not above this item
                self.head = [comment for comment in self.head if comment.start > self.dash]
            self.column, self.dash = column, at
        self.token, self.newlines = char, 0

    def _commented(self, at: int) -> int:
        """Take a comment: on a line with something before it, or the first of a run of them."""
        if self.newlines == 0 and self.token != b"-":
            comment = _comment(self.data, at, self.end)
            if self.token == b":" and self.place.in_flow:
                self.line.append(comment)
            return comment.end
        return self._run(at)

    def _run(self, at: int) -> int:
        """Follow a run of comments up to the next token and keep those that are not feet of what stands before.

        This is yaml_parser_scan_comments of scannerc.go without its texts: a blank line makes a foot of the comments
        above it when they start right below what stands before, or left of its indentation; so does a comment or token
        behind them that is left of the indentation too, unless it is in their own column.
        """
        place = leaf_before(self.block, at)
        indent = self.column if self.token == b"-" else max(place.indent if place else -1, 0)
        kept: list[Comment] = []
        first_empty, recent_empty = self.newlines <= 1, False
        is_foot_line = self.newlines == 1 and self.token != b":"
        column = start_column = column_of(self.data, at)
        while True:
            comment = _comment(self.data, at, self.end)
            if not kept:
                start_column = column
            kept.append(comment)
            recent_empty = False
            at = comment.end + 1 + self.data.startswith(b"\r\n", comment.end)
            column = 0
            while at < self.end and (char := self.data[at]) in b" \t\r\n":
                at, column = at + 1, column + 1
                if char in b"\r\n":
                    if not recent_empty and first_empty and (is_foot_line or start_column < indent):
                        kept = []
                    first_empty, recent_empty, column = False, True, 0
            is_end = at >= self.end and self.place.is_absent
            if kept and column < indent and column != start_column and not is_end:
                kept = []
            is_foot_line = False
            if at >= self.end or self.data[at : at + 1] != b"#":
                break
        self.head += kept if self.data[at : at + 1] not in (b"]", b"}") else []
        self.newlines = 1
        return at
