"""YAML as text with spans: read it where it stands, change the bytes that must change, and never print it again.

`Text` is what was read, `Block` one item or document in it, composed on demand. Positions are byte offsets into the
text; libyaml's marks count code points from the start of what was parsed, and `Source` turns one into the other.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

import yaml

from krmfn.errors import InputError
from krmfn.yamledit import compose
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.yamltree import (
    Scalar,
    Step,
    children,
    construct,
    is_null,
    join,
    join_path,
    scalar_at,
    scalars,
    value_offset,
)

__all__ = [
    "Alias", "Block", "Edit", "Scalar", "Source", "Step", "Text", "apply", "children", "construct",
    "documents", "is_null", "join", "join_path", "scalar_at", "scalars",
]  # fmt: skip

BOM = b"\xef\xbb\xbf"
_STEP = 1024
_COUNTED = 1 << 16
_OPENERS = 10_000
_BREAKS = (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


class Text:
    """What was read, and the name it was read from; an empty name is stdin."""

    __slots__ = ("_lines", "data", "name")

    def __init__(self, data: bytes, name: str = "") -> None:
        self.data, self.name = data, name
        self._lines: tuple[int, ...] = ()

    def locate(self, offset: int) -> tuple[int, int]:
        r"""Return line and column, both from one; columns count characters.

        >>> Text("é: 1\nb: 2".encode()).locate(9)
        (2, 4)
        """
        start = self.data.rfind(b"\n", 0, offset) + 1
        return self._breaks(start) + 1, len(self.data[start:offset].removeprefix(BOM).decode("utf-8", "replace")) + 1

    def _breaks(self, offset: int) -> int:
        """Return how many line feeds stand before an offset; those before every `_COUNTED` bytes are counted once."""
        step, steps = offset // _COUNTED, range(0, len(self.data), _COUNTED)
        if step and not self._lines:
            self._lines = (*accumulate((self.data.count(b"\n", at, at + _COUNTED) for at in steps), initial=0),)
        return (self._lines[step] if step else 0) + self.data.count(b"\n", step * _COUNTED, offset)

    def error(self, message: str, offset: int = -1) -> InputError:
        """Make the error that says where in this text; -1 when the place is not known."""
        line, column = self.locate(offset) if offset >= 0 else (0, 0)
        return InputError(message, name=self.name, line=line, column=column)


class Edit(NamedTuple):
    """Replace the bytes from `start` up to `end` by `text`.

    `before` and `after` are the values of the scalar that stands there, read and to be read; None for any other text.
    Of a piece of a longer scalar they are pieces of its value, and `host` is where that scalar and, in its value, the
    piece starts, both in bytes.
    """

    start: int
    end: int
    text: bytes
    before: str | None = None
    after: str | None = None
    host: tuple[int, int] | None = None


def apply(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Splice edits into `data`. Equal ones count once; overlapping ones are a bug and raise ValueError.

    >>> apply(b"image: a", [Edit(7, 8, b"b"), Edit(0, 0, b"# new"), Edit(7, 8, b"b")])
    b'# newimage: b'
    """
    parts = pieces(data, edits)
    return data if len(parts) == 1 else b"".join(parts)


def pieces(data: bytes, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Return what `apply` joins, so that a large text can be written without a second copy."""
    todo = sorted(set(edits), key=lambda edit: edit[:3])
    if not todo:
        return [data]
    parts: list[bytes | memoryview] = []
    view, at = memoryview(data), 0
    for edit in todo:
        if edit.start < at or edit.end < edit.start or edit.end > len(data):
            raise ValueError(f"edit {edit} overlaps the one before, which ends at {at}, or leaves the text")
        parts += (view[at : edit.start], edit.text)
        at = edit.end
    parts.append(view[at:])
    return parts


class Source:
    """Bytes that are parsed in one go and stand in a text at offset `base`."""

    __slots__ = ("_table", "_text", "base", "data")

    def __init__(self, data: bytes, base: int) -> None:
        self.data, self.base = data, base
        self._text: str | None = None
        self._table: list[int] | None = None

    def offset(self, index: int) -> int:
        """Turn the index of a mark into a byte offset of the text."""
        if self._table is None:
            self._table = [] if self.data.isascii() else self._measure()
        if not self._table:
            return self.base + index
        text = self._text or ""
        step = min(index // _STEP, len(self._table) - 1)
        return self.base + self._table[step] + len(text[step * _STEP : index].encode())

    def index(self, offset: int) -> int:
        """Turn a byte offset of the text into the index that a mark would have there."""
        at = offset - self.base
        if self._table is None:
            self._table = [] if self.data.isascii() else self._measure()
        if not self._table:
            return at
        step = max(bisect_right(self._table, at) - 1, 0)
        return step * _STEP + len(self.data[self._table[step] : at].decode("utf-8", "ignore"))

    def _measure(self) -> list[int]:
        text = self._text = self.data.decode()
        table = [0]
        for at in range(_STEP, len(text), _STEP):
            table.append(table[-1] + len(text[at - _STEP : at].encode()))
        return table


class Block:
    """One item of a list or one document of a stream: bytes `start` to `end` of its text, composed when asked.

    `index` counts among its siblings. A cut block was found by lines and is one entry of a list. `notes` belongs to whoever
    reads the block more than once and keeps what it read; it holds no nodes.
    """

    __slots__ = ("_fixed", "_root", "_source", "end", "index", "is_cut", "notes", "start", "text")

    def __init__(self, text: Text, start: int, end: int, index: int, *, is_cut: bool = False) -> None:
        self.text, self.start, self.end, self.index, self.is_cut = text, start, end, index, is_cut
        self._fixed = False
        self._root: yaml.Node | None = None
        self._source: Source | None = None
        self.notes: object = None

    @classmethod
    def of_node(cls, text: Text, span: tuple[int, int], index: int, root: yaml.Node | None, source: Source) -> Block:
        """Make a block around a node that has been composed as part of `source`."""
        block = cls(text, *span, index)
        block._root, block._source, block._fixed = root, source, True
        return block

    @property
    def raw(self) -> bytes:
        """The block's own bytes."""
        return self.text.data[self.start : self.end]

    @property
    def is_separate(self) -> bool:
        """True when the block's bytes can be parsed on their own."""
        return not self._fixed

    @property
    def source(self) -> Source:
        """What the marks of this block's nodes count in."""
        if self._source is None:
            raw = self.raw
            skip = len(BOM) if raw.startswith(BOM) else 0
            self._source = Source(raw[skip:] if skip else raw, self.start + skip)
        return self._source

    @property
    def root(self) -> yaml.Node | None:
        """The composed tree, None for an empty document; raises InputError."""
        if self._root is None and not self._fixed:
            self._root = self._item() if self.is_cut else compose_whole(self.text, self.source)
        return self._root

    def _item(self) -> yaml.Node:
        node = compose_whole(self.text, self.source)
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 1 or node.flow_style:
            raise self.text.error(f"item {self.index} is not one entry of a list", self.start)
        item: yaml.Node = node.value[0]
        return item

    def forget(self) -> None:
        """Let go of the tree; it is composed again when asked for. Blocks made of a whole keep theirs."""
        if not self._fixed:
            self._root = self._source = None

    def span(self, node: yaml.Node) -> tuple[int, int]:
        """Return the bytes of a node in the text, without anchor and tag; exact for scalars.

        The end of a block collection is where the next token starts, lines later (libyaml's end marks).
        """
        source = self.source
        start, end = source.offset(node.start_mark.index), source.offset(node.end_mark.index)
        return value_offset(self.text.data, start, end), end


def compose_whole(text: Text, source: Source) -> yaml.Node | None:
    """Compose a source that holds one document; raises InputError that says where."""
    try:
        return compose.compose(source.data)
    except yaml.YAMLError as error:
        raise unreadable(text, source, error) from None


def unreadable(text: Text, source: Source, error: yaml.YAMLError) -> InputError:
    """Turn libyaml's complaint into an InputError with a place in the text."""
    problem, place = compose.malformed(error)
    return text.error(f"not valid YAML: {problem}", source.offset(place) if place >= 0 else -1)


def check(text: Text) -> None:
    """Refuse what no reader downstream can agree on: UTF-16, bad UTF-8, a byte order mark that starts a later line."""
    data = text.data
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:2].count(0):
        raise text.error("the text is UTF-16, expected UTF-8", 0)
    if data.isascii():
        return
    _decodes(text)
    at = data.find(BOM, 1)
    while at > 0:
        if data[max(at - len(BOM), 0) : at].endswith((*_BREAKS, BOM)):
            raise text.error("a byte order mark starts this line, expected one at most at the start of the text", at)
        at = data.find(BOM, at + 1)


def _decodes(text: Text) -> None:
    """Check UTF-8 piece by piece, so that the text is never held decoded as a whole."""
    from codecs import getincrementaldecoder

    decoder, size = getincrementaldecoder("utf-8")(), 1 << 20
    view = memoryview(text.data)
    for at in range(0, len(view) + 1, size):
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(view[at : at + size], at + size > len(view))
        except UnicodeDecodeError as error:
            place = at - kept + error.start
            raise text.error(f"byte {text.data[place]:#04x} is not UTF-8", place) from None


def documents(text: Text) -> tuple[Block, ...]:
    """Split a stream into its documents; a block reaches from its `---` to the next one. Raises InputError.

    Directives, and content behind a `---` that separates, are refused: kyaml, and so Flux and kustomize, read neither.
    """
    check(text)
    data = text.data
    skip = len(BOM) if data.startswith(BOM) else 0
    directive = next((at for at in line_starts(data, b"%") if re.match(rb"%(?:YAML|TAG)[ \t]", data[at : at + 6])), -1)
    if directive >= 0:
        raise text.error("a directive stands here, which Flux and kustomize do not read; remove the line", directive)
    if b"\n..." in data or data.startswith(b"...", skip) or not has_plain_breaks(data):
        return _streamed(text, Source(data[skip:], skip))
    marks = [at for at in line_starts(data, b"---") if data[at + 3 : at + 4] in (b" ", b"\t", b"\r", b"\n", b"")]
    for mark in marks:
        _separates(text, mark)
    if not marks or not _is_blank(data[skip : marks[0]]):
        marks.insert(0, 0)
    starts = [0, *marks[1:], len(data)]
    blocks = tuple(Block(text, starts[i], starts[i + 1], i) for i in range(len(starts) - 1))
    for block in blocks:
        _parses(block)
    return () if len(blocks) == 1 and _is_blank(data[skip:]) else blocks


def line_starts(data: bytes, prefix: bytes) -> Iterator[int]:
    """Yield where the lines start that begin with `prefix`."""
    if data.startswith(prefix):
        yield 0
    needle = b"\n" + prefix
    at = data.find(needle)
    while at >= 0:
        yield at + 1
        at = data.find(needle, at + 1)


def _is_blank(data: bytes) -> bool:
    """True if a text is nothing but blank lines and comments."""
    return re.fullmatch(rb"(?:[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z))*", data) is not None


def _separates(text: Text, mark: int) -> None:
    end = text.data.find(b"\n", mark)
    behind = text.data[mark + 3 : end if end >= 0 else len(text.data)].strip()
    if mark and behind and not behind.startswith(b"#"):
        raise text.error(
            "content stands behind this ---, which Flux and kustomize do not read; move it to the next line", mark
        )


def _parses(block: Block) -> None:
    """Let libyaml's parser read a document, deep ones with their depth counted; raises InputError."""
    source = block.source
    try:
        if source.data.count(b"[") + source.data.count(b"{") > _OPENERS:
            compose.compose(source.data)
        else:
            compose.raw_parse(source.data)
    except yaml.YAMLError as error:
        raise unreadable(block.text, source, error) from None
    block.forget()


def _streamed(text: Text, source: Source) -> tuple[Block, ...]:
    """Split a stream by libyaml's events, which costs the composition of all of it."""
    try:
        composed = list(compose.documents(source.data))
    except yaml.YAMLError as error:
        raise unreadable(text, source, error) from None
    starts = [0, *(source.offset(document.start_mark.index) for document in composed[1:]), len(text.data)]
    return tuple(
        Block.of_node(text, (starts[i], starts[i + 1]), i, document.root, source) for i, document in enumerate(composed)
    )


def has_plain_breaks(data: bytes) -> bool:
    """True if all lines end with a line feed, a carriage return before it or not, and no mark is in between."""
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return False
    return data.isascii() or not any(end in data[1:] for end in (BOM, *_BREAKS[2:]))
