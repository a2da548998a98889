"""YAML and JSON inside text: where the characters of a scalar's value stand in the text around it.

A block scalar is read line by line, in its own indentation. In every other style the characters that are no white space
come in the same order outside and inside, escapes and doubled quotes apart, so that one can be followed to the other. A
span is believed only when the bytes outside say the same.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from krmfn.yamledit.text import Scalar, Text

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

_LONGEST = 1 << 20
"""How many characters are followed one by one; longer text in quotes is read and not edited."""
_ESCAPES = {"x": 2, "u": 4, "U": 8}
_PIECES = re.compile(r"\s+|\S+")
_BLANK = frozenset("ntrNLP_ v\n\r\t")
"""What stands behind a backslash for white space; `\\0`, `\\a`, `\\b`, `\\e`, `\\f` never stand in a reference."""


class Embedded:
    """The value of a scalar as a text of its own."""

    def __init__(self, block: Block, scalar: Scalar) -> None:
        self.outer, self.scalar = block.text, scalar
        self.text = Text(scalar.value.encode("utf-8", "surrogatepass"))

    def moved(self, inner: Scalar, path: str) -> Scalar | None:
        """Return a scalar of the inner text as one of the outer text; None where it cannot be followed."""
        is_block = inner.style in ("|", ">") and not inner.is_part
        if is_block or inner.start >= inner.end or "\n" in inner.value:
            return None
        span = self.span(inner.start, inner.end)
        hosts = (*inner.hosts, self.scalar.style)
        piece = self.text.data[inner.start : inner.end].decode("utf-8", "replace")
        host = (self.scalar.start, inner.start)
        return span and inner._replace(start=span[0], end=span[1], path=path, hosts=hosts, host=host, piece=piece)

    def characters(self, start: int, end: int) -> Scalar | None:
        """Return the characters `start` to `end` of the value as a part of this scalar; None where that cannot be."""
        value = self.scalar.value
        if not value.isascii():
            start, end = (len(value[:at].encode("utf-8", "surrogatepass")) for at in (start, end))
        span = self.span(start, end)
        if span is None:
            return None
        piece = self.text.data[start:end].decode("utf-8", "replace")
        host = (self.scalar.start, start)
        return self.scalar._replace(value=piece, start=span[0], end=span[1], is_part=True, host=host, piece=piece)

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Return where a span of the inner text stands outside; None where it cannot be followed."""
        span = self._in_lines(start, end) if self.scalar.style == "|" else self._followed(start, end)
        if span is None:
            return None
        outside = self.outer.data[span[0] : span[1]]
        if self.scalar.style == '"':
            outside = re.sub(rb'\\(["\\/])', rb"\1", outside)
        elif self.scalar.style == "'":
            outside = outside.replace(b"''", b"'")
        return span if outside == self.text.data[start:end] else None

    def _in_lines(self, start: int, end: int) -> tuple[int, int] | None:
        """Follow a span of a literal block."""
        data = self.text.data
        if b"\n" in data[start:end]:
            return None
        at = self._lines[self.text.locate(start)[0] - 1] + start - (data.rfind(b"\n", 0, start) + 1)
        return at, at + end - start

    @cached_property
    def _lines(self) -> list[int]:
        return line_starts(self.outer.data, self.scalar.start, self.text.data)

    def _followed(self, start: int, end: int) -> tuple[int, int] | None:
        """Follow a span character by character."""
        data, places = self.text.data, self._places if len(self.scalar.value) < _LONGEST else []
        first, last = len(data[:start].decode("utf-8", "replace")), len(data[:end].decode("utf-8", "replace")) - 1
        if not 0 <= first <= last < len(places) - 1 or places[first] < 0 or places[last] < 0:
            return None
        return places[first], places[last] + self._width(places[last])

    def _width(self, at: int) -> int:
        """Return how many bytes write the one character that starts at an offset of the outer text."""
        data, style = self.outer.data, self.scalar.style
        if style == '"' and data[at : at + 1] == b"\\":
            return 2 + _ESCAPES.get(chr(data[at + 1]), 0)
        if style == "'" and data[at : at + 2] == b"''":
            return 2
        byte = data[at]
        return 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4

    @cached_property
    def _places(self) -> list[int]:
        """The offset of every character, -1 for white space, and one entry more; none where they cannot be followed."""
        style, data = self.scalar.style, self.outer.data
        at, end = self.scalar.start, self.scalar.end
        if style in ("'", '"'):
            at, end = at + 1, end - 1
        elif style == ">":
            at = data.find(b"\n", at, end) + 1
        special = {'"': "\\", "'": "'"}.get(style, "")
        places: list[int] = []
        for piece in _PIECES.finditer(self.scalar.value):
            text = piece[0]
            if text.isspace():
                places += [-1] * len(text)
                continue
            at = self._skip(at, end)
            # Nearly all words stand outside as they are read; the others are followed character by character.
            if text.isascii() and not (special and special in text) and data.startswith(text.encode(), at, end):
                places += range(at, at + len(text))
                at += len(text)
                continue
            for _ in text:
                at = self._skip(at, end)
                if at >= end:
                    return []
                places.append(at)
                at += self._width(at)
        return [*places, end]

    def _skip(self, at: int, end: int) -> int:
        """Skip white space, however it is written."""
        data, is_double = self.outer.data, self.scalar.style == '"'
        while at < end:
            byte = data[at : at + 1]
            if byte in (b" ", b"\t", b"\n", b"\r"):
                at += 1
            elif is_double and byte == b"\\" and chr(data[at + 1]) in _BLANK:
                at += 2
            else:
                break
        return at


def line_starts(data: bytes, start: int, value: bytes) -> list[int]:
    """Return where the lines of a value start in the text of the literal block that begins at a byte.

    Each stands behind the indentation, at the end of its line: whatever the indicator (`|2-`) says of that.
    """
    at, starts = data.find(b"\n", start) + 1, []
    for line in value.split(b"\n"):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        starts.append(at + len(data[at:end].rstrip(b"\r")) - len(line))
        at = end + 1
    return starts
