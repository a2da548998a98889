"""YAML as text with spans: what was read, where a value stands in it, and the bytes that replace others.

Positions are byte offsets into the text; libyaml's marks count code points from the start of what was parsed, and
`Source` turns one into the other.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import yaml

    from krmfn.errors import InputError


BOM = b"\xef\xbb\xbf"
BREAK = rb"\r\n|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9]"
"""A line break as YAML 1.1 knows them: NEL, LS and PS included."""
_STEP = 1024
_COUNTED = 1 << 16
PROPERTY = rb"&[0-9A-Za-z_-]+|!<[^>\s]*>|![0-9A-Za-z_;/?:@&=+$.%!~*'()-]*"
_PROPERTIES = rb"(?:(?:" + PROPERTY + rb")(?:[ \t\r\n]+(?:#[^\r\n]*[\r\n]+[ \t\r\n]*)*)?)*"
"""Anchor and tag as libyaml reads them, which ends an anchor at the first sign that is no letter, digit, `_` or `-`."""


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
        from krmfn.errors import InputError

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
    return b"".join(pieces(data, edits))


def ordered(edits: Iterable[Edit]) -> list[Edit]:
    """Return edits in the order of their places; equal ones count once."""
    return sorted(set(edits), key=lambda edit: edit[:3])


def pieces(data: bytes, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Return what `apply` joins, so that a large text can be written without a second copy."""
    parts: list[bytes | memoryview] = []
    view, at = memoryview(data), 0
    for edit in ordered(edits):
        if edit.start < at or edit.end < edit.start or edit.end > len(data):
            raise ValueError(f"edit {edit} overlaps the one before, which ends at {at}, or leaves the text")
        parts += (view[at : edit.start], edit.text)
        at = edit.end
    return [*parts, view[at:]] if parts else [data]


class Scalar(NamedTuple):
    """A scalar value and where it stands: bytes `start` to `end` of its text, without anchor and tag.

    `style` is `""` for plain, else the indicator. `indent` is the column of the collection it belongs to, -1 for a
    root; `is_json` says that its whole surroundings are JSON; `tag` is the tag that is written out, if any.
    """

    value: str
    start: int
    end: int
    style: str = ""
    path: str = ""
    in_flow: bool = False
    is_null: bool = False
    anchored: bool = False
    tag: str | None = None
    indent: int = -1
    is_json: bool = False
    hosts: tuple[str, ...] = ()
    """The styles of the scalars whose text this one stands in, from the inside out: YAML inside text."""
    is_part: bool = False
    """True for a word of a longer scalar, such as the reference of `--image=nginx:1.25`."""
    host: tuple[int, int] | None = None
    """Of a piece of a longer scalar: where that scalar starts, and where in its value the piece, both in bytes."""
    piece: str = ""
    """Of a piece of a longer scalar: what it is in the value of that scalar, quotes and escapes included."""


class Source:
    """Bytes that are parsed in one go and stand in a text at offset `base`."""

    __slots__ = ("_table", "_text", "base", "data")

    def __init__(self, data: bytes, base: int) -> None:
        self.data, self.base = data, base
        self._text: str | None = None
        self._table: list[int] | None = None

    @classmethod
    def of(cls, data: bytes, start: int = 0) -> Source:
        """Return the source of bytes that stand at `start`; a byte order mark at their head is not part of it."""
        bare = data.removeprefix(BOM)
        return cls(bare, start + len(data) - len(bare))

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
        """Return the byte offset of every `_STEP`th code point, so that no more than `_STEP` are ever counted."""
        text = self._text = self.data.decode()
        table = [0]
        for at in range(_STEP, len(text), _STEP):
            table.append(table[-1] + len(text[at - _STEP : at].encode()))
        return table


def value_span(data: bytes, source: Source, node: yaml.Node) -> tuple[int, int]:
    """Return the bytes of a node in its text, without anchor and tag and what stands between those and the value.

    Exact for scalars; the end of a block collection is where the next token starts, lines later (libyaml's end marks).
    """
    start, end = source.offset(node.start_mark.index), source.offset(node.end_mark.index)
    if data.startswith((b"&", b"!"), start) and (properties := re.compile(_PROPERTIES).match(data, start, end)):
        return properties.end(), end
    return start, end
