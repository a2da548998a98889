"""Streams of documents: split into blocks, and refused where readers downstream cannot agree."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from krmfn.yamledit import compose
from krmfn.yamledit.nodes import Block, unreadable
from krmfn.yamledit.text import BOM, Source, Text

_BREAKS = (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


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
        return _streamed(text, Source.of(data))
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
    try:
        compose.check(block.source.data)
    except yaml.YAMLError as error:
        raise unreadable(block.text, block.source, error) from None
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
