"""The outline of an item by its lines alone: who it is and which scalars carry markers, without composing it.

Only the plainest layout is read: every line is blank, a comment, or `- key: value # comment` in ASCII with a key of
letters, digits and `_./-`, and a value that ends on its line. In a text of such lines that libyaml's parser accepts
(`resourcelist.verify` asks it), columns alone say what is inside what, with one exception: a line that is indented
deeper than a value it follows may continue that value. Whatever else is found, the answer is None, and the item is
composed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from operator import gt
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from krmfn.resources.resource import ORIGIN
from krmfn.text.markers import Marker, setter_of
from krmfn.text.yamltree import Scalar, Step, join_path

if TYPE_CHECKING:
    from krmfn.text.yamltext import Block

_LONGEST = 1 << 16
_REMEMBERED = 1 << 14
_NULLS = (b"~", b"null", b"Null", b"NULL")
_NEEDLE = b"imagepolicy"
_UNSURE = (b"\\", b"\r", b"\t", b'"$ref"', b"kustomize.config.k8s.io/id")


_WANTED = frozenset({"apiVersion", "kind", "namespace", "name", *ORIGIN})


class Line(NamedTuple):
    """One line: the columns of its first character, its dash and its key (-1: none), and its value and comment.

    `bound` is the column that the next line may not exceed. `style` is the value's quote, `?` for a flow collection.
    """

    first: int
    bound: int
    dash: int = -1
    column: int = -1
    key: str = ""
    style: str = ""
    start: int = -1
    end: int = -1
    comment: int = -1


_DEEP = 1 << 30
_BLANK = Line(-1, _DEEP)


class Outline(NamedTuple):
    """What the lines say: the markers, and of the top, metadata and its annotations the scalars that name a resource."""

    top: dict[str, str]
    metadata: dict[str, str]
    annotations: dict[str, str]
    markers: tuple[Marker, ...]


@cache
def _grammar() -> re.Pattern[bytes]:
    word = rb"(?:[^\s:#]|:+[^\s:])(?:[^\s:]|:+[^\s:])*+"
    plain = rb"(?:[A-Za-z0-9_./$(+^=<]|-++[A-Za-z0-9])(?:[^\s:]|:+[^\s:])*+(?:[ ]++" + word + rb")*+"
    quoted = rb"""\"[^"\\]*+\"|'(?:[^']|'')*+'"""
    atom = rb"(?:[A-Za-z0-9_./-](?:[A-Za-z0-9_./=@+-]|:++[A-Za-z0-9_./=@+-])*+|" + quoted + rb")"
    entry = rb"(?:[A-Za-z0-9_./-]++:[ ]++)?+" + atom
    flow = rb"[\[{][ ]*+(?:" + entry + rb"[ ]*+(?:,[ ]*+" + entry + rb"[ ]*+)*+)?+[\]}]"
    return re.compile(
        rb"([ ]*+)(-[ ]++)?+(?:([A-Za-z0-9_./][A-Za-z0-9_./-]*+):(?=[ ]|\Z))?+"
        rb"(?:[ ]*+(?:(" + flow + rb")|(" + quoted + rb")|(" + plain + rb")))?+(?:[ ]{1,99}(\#.*+))?+[ ]*+"
    )  # fmt: skip


_known: dict[bytes, Line | None] = {b"": _BLANK}


def _line(text: bytes) -> Line | None:
    """Read one line; None when it is not plain. Lines repeat a lot, so they are remembered."""
    if len(_known) > _REMEMBERED:
        _known.clear()
        _known[b""] = _BLANK
    found = _known[text] = _judged(text)
    return found


def _judged(text: bytes) -> Line | None:
    found = _grammar().fullmatch(text)
    if found is None:
        bare = text.lstrip(b" ")
        return _BLANK if not bare or bare.startswith(b"#") else None
    _, (_, first), (dash, _), (column, colon), flow, quote, plain, (comment, _) = found.regs
    start, end = max(flow, quote, plain)
    if column < 0 and (dash < 0 or start < 0):
        return None if text.strip(b" ") else _BLANK
    style = "" if start < 0 or start == plain[0] else "?" if start == flow[0] else chr(text[start])
    bound = _DEEP if start < 0 else first if column < 0 else column
    key = intern(text[column:colon].decode()) if column >= 0 else ""
    return Line(first, bound, dash, column, key, style, start, end, comment)


def read(block: Block) -> Outline | None:
    """Read a cut block by its lines; None when it has to be composed."""
    raw = block.raw
    if not block.is_cut or len(raw) > _LONGEST or not raw.isascii() or not raw.endswith(b"\n"):
        return None
    if any(word in raw for word in _UNSURE):
        return None
    texts = raw.split(b"\n")
    texts.pop()
    lines = [_known.get(text) or _line(text) for text in texts]
    if None in lines:
        return None
    told = [line for line in lines if line is not None and line is not _BLANK]
    firsts = [line[0] for line in told[1:]]
    if any(map(gt, firsts, [line[1] for line in told])) or not told or min(firsts, default=_DEEP) <= told[0].first:
        return None
    return _Reader(block, raw, texts, [line for line in lines if line is not None]).outline()


class _Unsure(Exception):  # noqa: N818 - ends the reading of one block, and is no error
    """The lines do not tell."""


class _Reader:
    """The lines of one block."""

    def __init__(self, block: Block, raw: bytes, texts: Sequence[bytes], lines: Sequence[Line]) -> None:
        self.block, self.raw, self.texts, self.lines = block, raw, texts, lines
        self.root = lines[0].column

    def outline(self) -> Outline | None:
        """Read what is wanted; None when it cannot be told from the lines."""
        head = self.lines[0]
        if head.dash < 0 or head.column < 0:
            return None
        try:
            top = self.top()
            if "items" in top:
                return None
            meta = dict(self.below(top, "metadata"))
            annotations = dict(self.below(meta, "annotations"))
            found = tuple(self.markers())
        except _Unsure:
            return None
        return Outline(self.scalars(top), self.scalars(meta), self.scalars(annotations), found)

    def top(self) -> dict[str, int]:
        """Answer key and line of the entries of the root."""
        lines = self.lines
        places = [index for index, line in enumerate(lines) if line.column == self.root]
        found = {lines[index].key: index for index in places}
        if len(found) < len(places) or any(lines[index].dash >= 0 for index in places[1:]):
            raise _Unsure
        return found

    def entries(self, at: int, column: int) -> Iterator[tuple[str, int]]:
        """Yield key and line of the entries of the mapping that starts on line `at`; a key given twice is not plain."""
        seen: set[str] = set()
        for index, line in enumerate(self.lines[at:] if at else self.lines, at):
            if line.column == column and (index == at or line.first == column):
                if line.key in seen:
                    raise _Unsure
                seen.add(line.key)
                yield line.key, index
            elif line.first < column and line is not _BLANK:
                return

    def below(self, entries: dict[str, int], key: str) -> Iterator[tuple[str, int]]:
        """Yield the entries of the mapping that is the value of a key."""
        at = entries.get(key)
        if at is None:
            return
        line, inner = self.lines[at], self.next(at)
        if line.start >= 0:
            raise _Unsure
        if inner is None or self.lines[inner].first <= line.column:
            return
        if self.lines[inner].dash >= 0:
            raise _Unsure
        yield from self.entries(inner, self.lines[inner].column)

    def next(self, at: int) -> int | None:
        """Answer the next line that is not blank."""
        return next((index for index in range(at + 1, len(self.lines)) if self.lines[index] is not _BLANK), None)

    def scalars(self, entries: dict[str, int]) -> dict[str, str]:
        """Answer the text of the entries that are wanted and scalars; an absent value is an empty one."""
        return {key: self.text(at) for key, at in entries.items() if key in _WANTED and self.is_scalar(at)}

    def is_scalar(self, at: int) -> bool:
        """Tell whether the value of an entry is a scalar, an absent one included."""
        line = self.lines[at]
        if line.start >= 0:
            return line.style != "?"
        inner = self.next(at)
        if inner is None:
            return True
        below = self.lines[inner]
        return below.first < line.column or (below.first == line.column and below.dash < 0)

    def text(self, at: int) -> str:
        """Answer the text of a scalar; there are no escapes but the doubled quote."""
        line = self.lines[at]
        value = self.texts[at][line.start : line.end].decode()
        if not line.style:
            return value
        return value[1:-1].replace("''", "'") if line.style == "'" else value[1:-1]

    def markers(self) -> Iterator[Marker]:
        """Yield the markers behind values; a needle anywhere else is not plain."""
        raw, end = self.raw, 0
        while (hit := raw.find(_NEEDLE, end)) >= 0:
            start, end = raw.rfind(b"\n", 0, hit) + 1, raw.index(b"\n", hit)
            index = raw.count(b"\n", 0, start)
            line = self.lines[index]
            if line.comment < 0 or line.column < 0 or line.start < 0 or line.style == "?" or hit < start + line.comment:
                raise _Unsure
            setter = setter_of(raw[start + line.comment : end].decode())
            if setter is not None:
                base = self.block.start
                scalar = self.scalar(index, base + start)
                yield Marker(scalar, setter, base + start + line.comment, base + end)

    def scalar(self, index: int, start: int) -> Scalar:
        """Describe the value of a line that starts at a byte offset of the text."""
        line = self.lines[index]
        value = self.text(index)
        if not line.style and value.encode() in _NULLS:
            raise _Unsure
        return Scalar(
            intern(value),
            start + line.start,
            start + line.end,
            line.style,
            intern(self.path(index)),
            indent=line.column,
        )

    def path(self, index: int) -> str:
        """Find the way from the root to the entry on a line, from the inside out."""
        steps: list[Step] = [self.lines[index].key]
        while True:
            start, column = self.first_entry(index), self.lines[index].column
            if start == 0 and column == self.root:
                return join_path(reversed(steps))
            if self.lines[start].column == column:
                start, place = self.above(start)
                steps.append(place)
            index = start
            line = self.lines[index]
            if line.column < 0 or line.start >= 0:
                raise _Unsure
            steps.append(line.key)

    def first_entry(self, index: int) -> int:
        """Find the line with the dash and the first entry of an entry's mapping; without a dash, the line of its key."""
        column = self.lines[index].column
        while self.lines[index].dash < 0 or self.lines[index].column != column:
            if index == 0:
                raise _Unsure
            index -= 1
            line = self.lines[index]
            if line is not _BLANK and line.first < column and line.column != column:
                if line.column > column:
                    raise _Unsure
                break
        return index

    def above(self, index: int) -> tuple[int, int]:
        """Answer the line of the key that holds the list in which a line is an item, and the place in that list."""
        dash, place = self.lines[index].dash, 0
        while index > 0:
            index -= 1
            line = self.lines[index]
            if line is _BLANK or line.first > dash:
                continue
            if line.dash == dash:
                place += 1
            elif line.column > dash:
                raise _Unsure
            else:
                return index, place
        raise _Unsure
