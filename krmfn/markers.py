"""Flux's setter markers: which comment names which setter for which scalar.

The text of a marker is decoded as kyaml's fieldmeta does it; which comment belongs to which scalar follows the comment
rules of yaml.v3's scanner (scannerc.go, parserc.go), as Flux reads both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.comments import Place, deciding, leaf_after, leaf_before
from krmfn.compose import Alias
from krmfn.yamltext import Scalar, scalar_at

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


def read(block: Block) -> Iterator[Marker]:
    """Yield the markers that Flux reads, in document order."""
    for found in _judged(block):
        if isinstance(found, Marker):
            yield found


def ignored(block: Block) -> Iterator[Ignored]:
    """Yield the comments that look like markers and that Flux ignores."""
    for found in _judged(block):
        if isinstance(found, Ignored):
            yield found


def _judged(block: Block) -> Iterator[Marker | Ignored]:
    """Judge every line that holds a needle."""
    data, end = block.text.data, block.end
    at = block.start
    while at < end:
        hits = [hit for needle in _NEEDLES if (hit := data.find(needle, at, end)) >= 0]
        if not hits:
            return
        line = data.rfind(b"\n", block.start, min(hits)) + 1 or block.start
        at = data.find(b"\n", min(hits), end)
        at = end if at < 0 else at
        if isinstance(block.root, yaml.MappingNode):
            found = _judge(block, line, at - (data[at - 1 : at] == b"\r"))
            if found is not None:
                yield found


def _judge(block: Block, line: int, end: int) -> Marker | Ignored | None:
    """Find the comment on a line and the scalar, before or behind it, about which it decides."""
    data = block.text.data
    before = leaf_before(block, end)
    start = line
    if before is not None and not isinstance(before.node, yaml.CollectionNode):
        first, last = block.span(before.node)
        if first < line and last > end or first < end <= last and not _is_block(before.node):
            return None
        start = first if first >= line and _is_block(before.node) else max(last, line) if first < end else line
    start = data.find(b"#", start, end)
    if start < 0:
        return None
    for place in (before, leaf_after(block, end)):
        if place is not None and type(place.node) is yaml.ScalarNode and not place.is_key and not place.is_absent:
            comment = deciding(block, place)
            if comment is not None and comment.start == start:
                setter = setter_of(data[start : comment.end].decode())
                if setter is None:
                    return _unread(data, start, end, "text")
                return Marker(scalar_at(block, place.node, place.path, place.parent), setter, *comment)
    return _unread(data, start, end, _reason(block, before, line, start))


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _reason(block: Block, before: Place | None, line: int, start: int) -> str:
    """Name why a comment decides about nothing."""
    data = block.text.data
    if not data[line:start].strip(b" \t-"):
        return "above"
    if before is None:
        return "place"
    if before.is_absent:
        return "empty"
    if isinstance(before.node, Alias):
        return "alias"
    between = data[block.span(before.node)[1] : start]
    if b"]" in between or b"}" in between:
        return "flow"
    return "key" if before.is_key else "place"


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
