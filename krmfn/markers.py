"""Flux's setter markers: which comment names which setter for which scalar.

The text of a marker is decoded as kyaml's fieldmeta does it; which comment belongs to which scalar follows the comment
rules of yaml.v3's scanner (scannerc.go, parserc.go), as Flux reads both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.compose import Alias
from krmfn.yamltext import Scalar, join, scalar_at

if TYPE_CHECKING:
    from krmfn.yamltext import Block

KEY = "$imagepolicy"
_REF = "#/definitions/io.k8s.cli.setters."
_NEEDLES = (b"$imagepolicy", b"\\u", b'"$ref"')


class Marker(NamedTuple):
    """A scalar and the setter its comment names, `namespace:policy` with `:tag`, `:name` or `:digest` or nothing.

    `start` and `end` are the bytes of the comment, from `#` to before the line break.
    """

    scalar: Scalar
    setter: str
    start: int
    end: int


class Ignored(NamedTuple):
    """A comment that names a setter and that Flux does not read, why, and what to do about it."""

    start: int
    setter: str
    code: str
    why: str


_REASONS = {
    "key": "the comment belongs to a key; put it behind the value, on the value's line",
    "above": "a comment above a key is not read; put it behind the value, on the value's line",
    "collection": "the comment belongs to a mapping or a list; put it behind the scalar itself",
    "flow": "the comment follows the end of a flow collection; write one entry per line and put it behind the entry",
    "empty": "the value is empty, and the comment belongs to the key; write a value, such as ''",
    "alias": "the value is an alias; put the comment behind the anchored scalar",
    "text": "there is text around the JSON; the comment must be the JSON alone",
    "values": "a value of the JSON is not a string",
    "place": "no scalar on this line is followed by this comment",
}  # fmt: skip


def setter_of(comment: str) -> str | None:
    r"""Decode the text of a comment, from its `#`; None when it is no marker (kyaml fieldmeta.Read).

    >>> setter_of('## {"$imagepolicy": "ns:web:tag"}'), setter_of('# x {"$imagepolicy": "ns:web"}')
    ('ns:web:tag', None)
    """
    import json

    try:
        found = json.loads(comment.lstrip("#"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    if any(not isinstance(value, str) for value in found.values()):
        return _referred(found)
    name = found.get(KEY, "")
    return _pointer(name) if name else _referred(found)


def _referred(found: dict[str, object]) -> str | None:
    """Read the long form, {"$ref": "#/definitions/io.k8s.cli.setters.NAME"}."""
    ref = found.get("$ref")
    return _pointer(ref.removeprefix(_REF)) if isinstance(ref, str) and ref.startswith(_REF) else None


def _pointer(name: str) -> str | None:
    """Decode a name as the URL fragment and JSON pointer that kyaml makes of it; None when it can name no setter."""
    if "%" in name:
        if re.search(r"%(?![0-9A-Fa-f]{2})", name):
            return None
        from urllib.parse import unquote

        name = unquote(name)
    if "/" in name:
        return None
    return name.replace("~1", "/").replace("~0", "~") or None


class _Comment(NamedTuple):
    """A comment that holds one of the needles: where it may start, and its line."""

    line: int
    needle: int
    end: int


def read(block: Block) -> Iterator[Marker]:
    """Yield the markers that Flux reads, in document order."""
    for found in _attached(block):
        if isinstance(found, Marker):
            yield found


def ignored(block: Block) -> Iterator[Ignored]:
    """Yield the comments that look like markers and that Flux ignores."""
    for found in _attached(block):
        if isinstance(found, Ignored):
            yield found


def _candidates(block: Block) -> Iterator[_Comment]:
    """Yield each line of the block that holds a needle, once."""
    data, at = block.text.data, block.start
    while at < block.end:
        hits = [hit for needle in _NEEDLES if (hit := data.find(needle, at, block.end)) >= 0]
        if not hits:
            return
        needle = min(hits)
        line = data.rfind(b"\n", block.start, needle) + 1 or block.start
        end = data.find(b"\n", needle, block.end)
        end = block.end if end < 0 else end
        yield _Comment(line, needle, end - (data[end - 1 : end] == b"\r"))
        at = end


def _attached(block: Block) -> Iterator[Marker | Ignored]:
    if not any(needle in block.raw for needle in _NEEDLES) or block.root is None:
        return
    for line in _candidates(block):
        found = _decide(block, line)
        if found is not None:
            yield found


class _Place(NamedTuple):
    """A node, the collection it is in, its path, and whether it is a key."""

    node: yaml.Node
    parent: yaml.Node | None
    path: str
    is_key: bool


def _last_before(block: Block, offset: int) -> _Place | None:
    """Find the last leaf that starts before `offset`, by descending along the start marks."""
    index = block.source.index(offset)
    node, parent, path = block.root, None, ""
    if node is None or node.start_mark.index >= index:
        return None
    while isinstance(node, yaml.CollectionNode):
        if isinstance(node, yaml.MappingNode):
            at = bisect_right(node.value, index - 1, key=lambda pair: pair[0].start_mark.index) - 1
            if at < 0:
                return _Place(node, parent, path, is_key=False)
            key, value = node.value[at]
            if value.start_mark.index >= index or not isinstance(key, yaml.ScalarNode):
                return _Place(key, node, path, is_key=True)
            parent, node, path = node, value, join(path, key.value)
        else:
            at = bisect_right(node.value, index - 1, key=lambda each: each.start_mark.index) - 1
            if at < 0:
                return _Place(node, parent, path, is_key=False)
            parent, node, path = node, node.value[at], join(path, at)
    return _Place(node, parent, path, is_key=False)


def _decide(block: Block, line: _Comment) -> Marker | Ignored | None:
    place = _last_before(block, line.end)
    if place is None:
        return _above(block, line, line.line)
    start, end = block.span(place.node)
    data = block.text.data
    node = place.node
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return _behind_header(block, line, place, start, end)
    if isinstance(node, yaml.CollectionNode):
        return _unread(data, end if end < line.end else line.line, line.end, "place")
    if line.needle < end and line.end <= end:
        return None
    if end <= line.line and data[line.line : line.end].lstrip().startswith(b"#"):
        return _above(block, line, line.line)
    return _behind(block, line, place, end)


def _behind(block: Block, line: _Comment, place: _Place, end: int) -> Marker | Ignored | None:
    """Judge a comment on the line on which the scalar or alias before it ends."""
    data, node = block.text.data, place.node
    in_flow = bool(place.parent is not None and place.parent.flow_style)
    gap = re.compile(rb"[ \t]*(?:,[ \t]*)?(?=#)" if in_flow else rb"[ \t]*(?=#)").match(data, end, line.end)
    if gap is None:
        return _unread(data, end, line.end, "key" if place.is_key else "flow" if in_flow else "place")
    if place.is_key:
        return _unread(data, gap.end(), line.end, "key")
    if isinstance(node, Alias):
        return _unread(data, gap.end(), line.end, "alias")
    if node.start_mark.index == node.end_mark.index and not node.style:
        return _unread(data, gap.end(), line.end, "empty")
    return _marker(block, place, gap.end(), line.end)


def _marker(block: Block, place: _Place, start: int, end: int) -> Marker | Ignored | None:
    data = block.text.data
    setter = setter_of(data[start:end].decode())
    if setter is None:
        return _unread(data, start, end, "text")
    return Marker(scalar_at(block, place.node, place.path, place.parent), setter, start, end)


def _behind_header(block: Block, line: _Comment, place: _Place, start: int, end: int) -> Marker | Ignored | None:
    """Judge a comment behind the indicator of a block scalar; its body holds no comments."""
    data = block.text.data
    if line.line > start:
        return None if line.line < end else _above(block, line, line.line)
    header = re.compile(rb"[|>][-+0-9]{0,2}[ \t]+(?=#)").match(data, start, line.end)
    return _marker(block, place, header.end(), line.end) if header else None


def _above(block: Block, line: _Comment, at: int) -> Marker | Ignored | None:
    """Judge a comment on a line of its own: read only directly above a scalar that is an item or stands alone."""
    data = block.text.data
    start = data.find(b"#", at, line.end)
    if start < 0:
        return None
    following = re.compile(rb"\r?\n[ \t]*(?:-[ \t]+)?(?![ \t\r\n#-])").match(data, line.end, block.end)
    before = re.compile(rb"(?:^|\n)[ \t]*#[^\n]*\n$").search(data[max(0, line.line - 512) : line.line])
    if following is None or before is not None:
        return _unread(data, start, line.end, "above")
    place = _last_before(block, following.end() + 1)
    if place is None or place.is_key or type(place.node) is not yaml.ScalarNode:
        return _unread(data, start, line.end, "above")
    first, end = block.span(place.node)
    if block.source.offset(place.node.start_mark.index) != following.end():
        return _unread(data, start, line.end, "above")
    eol = data.find(b"\n", end, block.end)
    if b"#" in data[end : eol if eol >= 0 else block.end] or first < 0:
        return _unread(data, start, line.end, "above")
    return _marker(block, place, start, line.end)


_json = re.compile(rb'\{[^{}\n]{0,400}?"\$imagepolicy"\s*:\s*"([^"\n]{0,300})"')


def _unread(data: bytes, start: int, end: int, code: str) -> Ignored | None:
    """Report a comment that names a setter but is not read; None when it names none."""
    hash_at = data.find(b"#", start, end)
    if hash_at < 0:
        return None
    found = _json.search(data, hash_at, min(end, hash_at + 1024))
    if found is None:
        return None
    return Ignored(hash_at, found[1].decode("utf-8", "replace"), code, _REASONS[code])
