"""Setter markers of Flux and of Rancher Fleet: which comment names which setter for which scalar.

The text of a marker is decoded as kyaml's fieldmeta does it; which comment belongs to which scalar follows the comment
rules of yaml.v3's scanner (scannerc.go, parserc.go), as Flux reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

import yaml

from krmfn.namedtuple import NamedTuple
from krmfn.yamledit.comments import Comment, Place, deciding, end_of_line, leaf_after, leaf_before, start_of_line
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.nodes import reference_token
from krmfn.yamledit.yamltree import scalar_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Scalar

KEY = "$imagepolicy"
SCAN = "$imagescan"
SCANS = "imageScans"
"""Stands for the namespace that a marker of Fleet does not name; no namespace can be called so."""
_OPENING = f'# {{"{KEY}": "'
_PLAIN = frozenset("-.:_0123456789abcdefghijklmnopqrstuvwxyz")
"""What JSON, URL fragments and JSON pointers leave as it is."""
LONG_FORM = "#/definitions/io.k8s.cli.setters."
"""What stands before the name of a setter in `$ref`."""
_LOOKALIKE = rb"""(?i)(?:\$|\{ ?['"]?)image[-_]?(?:policy|scan)\b"""
_NEEDLES = (b"$imagepolicy", b"$imagescan", b"\\u", b'"$ref"')

_IGNORE = rb"[^\r\n]*?[ \t]#[ \t]*krmfn:[ \t]*ignore(?![\w-])"


def may_ignore(raw: bytes) -> bool:
    """True if a text may hold the comment that keeps a value out."""
    return b"krmfn:" in raw and b"ignore" in raw


def is_ignored(data: bytes, start: int) -> bool:
    """True if `# krmfn: ignore` stands behind the value that starts at this byte, on its line."""
    return re.compile(_IGNORE).match(data, start) is not None


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


_FORMS = ('a marker is # {"$imagepolicy": "namespace:name"}', 'a marker is # {"$imagescan": "tagName"}')
"""What to write, in Flux's form and in Fleet's."""
_REASONS = {
    "key": "the comment belongs to a key; put it behind the value, on the value's line",
    "above": "a comment above a key is not read; put it behind the value, on the value's line",
    "flow": "the comment follows the end of a flow collection; write one entry per line and put it behind the entry",
    "empty": "the value is empty, and the comment belongs to the key; write a value, such as ''",
    "alias": "the value is an alias; put the comment behind the anchored scalar",
    "text": "there is text around the JSON; the comment must be the JSON alone",
    "values": "a value of the JSON is not a string",
    "name": "it can name no policy; expected namespace:name, and nothing, :tag, :name, :digest or :version behind it",
    "place": "no scalar on this line is followed by this comment",
}  # fmt: skip


@lru_cache(1024)
def setter_of(comment: str) -> str | None:
    r"""Decode the text of a comment, from its `#`; None when it is no marker (kyaml fieldmeta.Read).

    >>> setter_of('## {"$imagepolicy": "ns:web:tag"}'), setter_of('# x {"$imagepolicy": "ns:web"}')
    ('ns:web:tag', None)
    >>> setter_of('# {"$imagescan": "web:tag"}'), setter_of('# {"$imagescan": "web:digest"}')
    ('imageScans:web:tag', 'imageScans:web@digest')
    """
    if comment.startswith(_OPENING) and comment.endswith('"}') and _PLAIN.issuperset(comment[len(_OPENING) : -2]):
        return comment[len(_OPENING) : -2] or None  # as Flux's docs spell it: nothing to decode, and no JSON to import
    fields = _fields(comment, _refuse)
    if fields is None:
        return None
    name, scan = fields.get(KEY) or "", fields.get(SCAN) or ""
    if not (name or scan) or any(not isinstance(value, str | None) for value in fields.values()):
        return _referred(fields)
    setter = _pointer(name or scan)
    if name or not setter:
        return setter
    return f"{SCANS}:{setter.removesuffix(':digest')}{'@digest' if setter.endswith(':digest') else ''}"


def _fields(comment: str, constant: Callable[[str], object] | None = None) -> dict[str, Any] | None:
    """Return the JSON object that a comment consists of; of a key that is there twice the last counts, as to Flux."""
    import json

    from krmfn.strict_json import is_deep

    try:
        is_readable = not is_deep(comment.encode("utf-8", "surrogatepass"))
        fields = json.loads(comment.lstrip("#"), parse_constant=constant) if is_readable else None
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def written(setter: str) -> str:
    """Return the JSON of the marker that names a setter, as Flux reads it or, for a scan, as Fleet does.

    >>> written("imageScans:web@digest")
    '{"$imagescan": "web:digest"}'
    """
    space, _, name = setter.partition(":")
    if space != SCANS:
        return f'{{"{KEY}": "{setter}"}}'
    return f'{{"{SCAN}": "{name.replace("@digest", ":digest", 1)}"}}'


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _referred(fields: dict[str, object]) -> str | None:
    """Read the long form, {"$ref": "#/definitions/io.k8s.cli.setters.NAME"}."""
    ref = fields.get("$ref")
    return _pointer(ref.removeprefix(LONG_FORM)) if isinstance(ref, str) and ref.startswith(LONG_FORM) else None


def _pointer(name: str) -> str | None:
    """Decode a name as the URL fragment and JSON pointer that kyaml makes of it; None when it can name no setter."""
    if "%" in name:
        if re.search(r"%(?![0-9A-Fa-f]{2})", name):
            return None
        from urllib.parse import unquote

        name = unquote(name)
    return (reference_token(name) or None) if "/" not in name else None


def read(block: Block) -> Iterator[Marker]:
    """Yield the markers that Flux reads, in document order."""
    return (verdict for verdict in _Reader(block).judged() if isinstance(verdict, Marker))


def ignored(block: Block) -> Iterator[Ignored]:
    """Yield the comments that look like markers and that Flux ignores."""
    return (verdict for verdict in _Reader(block).judged() if isinstance(verdict, Ignored))


def may_look_alike(raw: bytes) -> bool:
    """True if a text may hold a comment that was meant as a marker."""
    return re.search(_LOOKALIKE, raw) is not None


def lookalikes(block: Block) -> Iterator[Ignored]:
    """Yield the comments behind a value that were meant as markers and name no setter: other quotes, letters, braces."""
    data, at = block.text.data, block.start
    for hit in re.finditer(_LOOKALIKE, data[block.start : block.end]):
        place = block.start + hit.start()
        if place < at:
            continue
        line, at = start_of_line(data, place, at), end_of_line(data, place, block.end)
        start = _Reader(block).comment_on(leaf_before(block, at), line, at)
        comment = data[start:at] if start >= 0 and data[line:start].strip() else b""
        if re.search(_LOOKALIKE, comment) and not (setter_of(comment.decode()) or re.search(_JSON, comment)):
            yield Ignored(start, comment.decode()[:100], "form", _FORMS[b"scan" in comment.lower()])


def _lines(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the lines with a needle and a `#`, without their breaks. Every needle is looked for once from each place."""
    hits = [data.find(needle, at, end) for needle in _NEEDLES]
    while ahead := [hit for hit in hits if hit >= 0]:
        hit = min(ahead)
        line, stop = start_of_line(data, hit, at), end_of_line(data, hit, end)
        if data.find(b"#", line, stop) >= 0:
            yield line, stop
        at = stop
        hits = [
            data.find(needle, at, end) if 0 <= last < at else last for needle, last in zip(_NEEDLES, hits, strict=True)
        ]


class _Reader:
    """One pass over the lines of a block that may hold a marker."""

    def __init__(self, block: Block) -> None:
        self.block, self.data = block, block.text.data
        self.next: Place | None = None
        self.next_start = -1
        self.next_comment: Comment | None = None

    def judged(self) -> Iterator[Marker | Ignored]:
        """Judge every line that holds a needle; each line once, so that a long one costs no more than its length."""
        is_patch = isinstance(self.block.root, yaml.SequenceNode) and bool(self.block.text.name)
        if not isinstance(self.block.root, yaml.MappingNode) and not is_patch:  # a file of JSON6902 patches is a list
            return
        verdicts = (self.judge(line, end) for line, end in _lines(self.data, self.block.start, self.block.end))
        yield from (verdict for verdict in verdicts if verdict is not None)

    def judge(self, line: int, end: int) -> Marker | Ignored | None:
        """Find the comment on a line and the scalar, before or behind it, about which it decides."""
        before = leaf_before(self.block, end)
        start = self.comment_on(before, line, end)
        if start < 0:
            return None
        place, comment = before, None
        if before is not None and _takes_markers(before):
            comment = deciding(self.block, before)
        if comment is None or comment.start != start:
            place, comment = self.following(end)
        if place is None or comment is None or comment.start != start:
            return _unread(self.data, start, end, self.reason(before, line, start))
        setter = setter_of(self.data[start : comment.end].decode())
        if setter is None:
            return _unread(self.data, start, end, _misread(self.data[start:end].decode()))
        return Marker(scalar_at(self.block, place.node, place.path, place.parent), setter, *comment)

    def comment_on(self, before: Place | None, line: int, end: int) -> int:
        """Find the `#` of the comment on a line whose last leaf is `before`; -1 when the line is inside a scalar."""
        start = line
        if before is not None and not isinstance(before.node, yaml.CollectionNode):
            first, last = self.block.span(before.node)
            is_block = isinstance(before.node, yaml.ScalarNode) and before.node.style in ("|", ">")
            if (first < line and last > end) or (first < end <= last and not is_block):
                return -1
            if first < end:
                start = first if is_block and first >= line else max(last, line)
        return self.data.find(b"#", start, end)

    def following(self, end: int) -> tuple[Place | None, Comment | None]:
        """Return the next scalar and the comment that decides about it; the same for a whole run of comments."""
        if end > self.next_start:
            self.next, self.next_start = leaf_after(self.block, end)
            self.next_comment = deciding(self.block, self.next) if self.next and _takes_markers(self.next) else None
        return self.next, self.next_comment

    def reason(self, before: Place | None, line: int, start: int) -> str:
        """Name why a comment decides about nothing."""
        if not self.data[line:start].strip(b" \t-"):
            return "above"
        if before is None:
            return "place"
        if before.is_absent:
            return "empty"
        if isinstance(before.node, Alias):
            return "alias"
        between = self.data[self.block.span(before.node)[1] : start]
        if b"]" in between or b"}" in between:
            return "flow"
        return "key" if before.is_key else "place"


def _takes_markers(place: Place) -> bool:
    """True if a leaf is a scalar value that is written."""
    return type(place.node) is yaml.ScalarNode and not place.is_key and not place.is_absent


_JSON = rb'\{[^{}\n]{0,400}?"\$image(?:policy|scan)"\s*:\s*"([^"\n]{0,300})"'


def _misread(comment: str) -> str:
    """Name what is wrong with the text of a comment that names no setter."""
    fields = _fields(comment)
    if fields is None:
        return "text"
    return "name" if all(isinstance(value, str) for value in fields.values()) else "values"


def _unread(data: bytes, start: int, end: int, code: str) -> Ignored | None:
    """Report a comment that names a setter but is not read; None when it names none."""
    named = re.compile(_JSON).search(data, start, min(end, start + 1024))
    return Ignored(start, named[1].decode("utf-8", "replace"), code, _REASONS[code]) if named else None
