"""The value filter: whether a block may change at all, judged on its text alone.

The answer "no" is given only when every line that could be bound is recognised as complete and already current;
whatever is not recognised at once is composed and judged by its nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.namedtuple import NamedTuple
from krmfn.yamledit.scalars import is_string

MARKS = (b'"$imagepolicy"', b'"$imagescan"')
"""What a text holds that has markers to heed."""
_DIGEST = rb"sha(?:256|512):|[0-9a-f]{64}|\\"
_BREAKS = rb"\\[xuU0\r\n]"
_SCALAR = rb"""(?:"([^"\\\n]*)"|'([^'\n]*)'|([A-Za-z0-9][^\s#"'\\{}\[\],&*!|>]*))[ ]*"""
"""A value that is complete on its line and without escapes, in double, single or no quotes."""
_MARKER = (
    rb"[ ]*(?:-[ ]+)*(?:[A-Za-z0-9_.-]+:[ ]+)?" + _SCALAR
    + rb"""#+[ ]*\{[ ]*"\$imagepolicy"[ ]*:[ ]*"([^"\\%~/\n]+)"[ ]*\}[ ]*\r?$"""
)  # fmt: skip
_WORD = rb"""image(?=["']|[ \t]*(?:[:\r\n\#]|\Z))(?<![A-Za-z0-9_./$-]image)"""
_IMAGE = rb"image:[ ]+" + _SCALAR + rb"(?:\#[^\n]*)?\r?(?:\n|\Z)"
_NEXT = rb"(?:[ ]*\r?\n)*([ ]*)(?:\Z|\#|(-)[ ]|[A-Za-z0-9_.-]+:(?:[ \r\n]|\Z))"
"""What follows a value that ends with its line: the end, a comment, an item or a key; all else could continue it."""


class Expected(NamedTuple):
    """What fields are to hold: by setter, and by the canonical repository of an image.

    None stands for a value that is not known yet, which makes every block that names it be composed. `others` are the
    setters of policies that are known and not used here; any other setter is a mistake that is to be reported.
    Repositories that are not listed are nobody's and change nothing.
    """

    setters: Mapping[str, str | None] = MappingProxyType({})
    images: Mapping[str, frozenset[str] | None] = MappingProxyType({})
    others: frozenset[str] = frozenset()


def may_change(raw: bytes, expected: Expected, needles: tuple[bytes, ...] = ()) -> bool:
    """True if a block has to be composed. `needles` are further words whose presence forces that."""
    if may_hold(raw, needles):
        return True
    if may_hold_marker(raw) and (_markers_differ(raw, expected) or (b":tag" in raw and may_pin_beside(raw))):
        return True
    if not expected.images:
        return False
    values = image_values(raw)
    return values is None or any(_differs(value, expected.images) for value in values)


def may_pin_beside(raw: bytes) -> bool:
    """True if a block may hold a digest in a field of its own beside a tag, which a marker of the tag says nothing of."""
    return (b"igest" in raw or b"sha" in raw) and re.search(_DIGEST, raw) is not None


def may_hold(raw: bytes, needles: tuple[bytes, ...]) -> bool:
    """True if any of the words may stand in a block, escapes allowed for."""
    if any(needle in raw for needle in needles):
        return True
    return b"\\" in raw and (b"\\/" in raw or re.search(_BREAKS, raw) is not None)


def may_hold_marker(raw: bytes) -> bool:
    """True if a comment of a block may be a marker, in any spelling."""
    return b"imagepolicy" in raw or b"imagescan" in raw or b'"$ref"' in raw or (b"#" in raw and b"\\u" in raw)


def _lines(raw: bytes, word: bytes) -> Iterator[bytes]:
    """Yield each line that holds a word."""
    at = raw.find(word)
    while at >= 0:
        start, end = raw.rfind(b"\n", 0, at) + 1, raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        yield raw[start:end]
        at = raw.find(word, end)


def _markers_differ(raw: bytes, expected: Expected) -> bool:
    if b'"$ref"' in raw or b"\\u" in raw or b"imagescan" in raw:
        return True
    for line in _lines(raw, b"imagepolicy"):
        marker = re.match(_MARKER, line)
        if marker is None:
            return True
        setter = marker[4].decode("utf-8", "replace")
        if setter in expected.others:
            continue
        value = (marker[1] or marker[2] or marker[3] or b"").decode("utf-8", "replace")
        if setter not in expected.setters or expected.setters[setter] != value:
            return True
        if marker[3] and not is_string(value):
            return True
    return False


def image_values(raw: bytes) -> set[str] | None:
    """Collect the values of all keys `image`, those in text included; None when a line needs a parser to be sure."""
    if b"\\" in raw and may_hold(raw, ()):
        return None
    values: set[str] = set()
    for word in re.finditer(_WORD, raw):
        value = _value(raw, word.start())
        if value is None:
            return None
        values.add(value.decode("utf-8", "replace"))
    return values


def _value(raw: bytes, at: int) -> bytes | None:
    """Return the value of the key `image` at an offset; None when it is not certain to be complete on its line."""
    start = raw.rfind(b"\n", 0, at) + 1
    if raw[start:at].strip(b" ") not in (b"", b"-"):
        return None
    line = re.compile(_IMAGE).match(raw, at)
    after = line and re.compile(_NEXT).match(raw, line.end())
    # an item deeper than the key, as in `- image: a` above `  - b`, would go on with the value as text
    if line is None or after is None or (after[2] and len(after[1]) > at - start):
        return None
    return line[1] or line[2] or line[3] or b""


def _differs(value: str, images: Mapping[str, frozenset[str] | None]) -> bool:
    repository = repository_of(value)
    if repository not in images:
        return False
    accepted = images[repository]
    return accepted is None or value not in accepted


@lru_cache(4096)
def repository_of(value: str) -> str:
    """Return the canonical repository of an image reference, or nothing when it is none."""
    try:
        return ImageRef.parse(value).canonical
    except RuleError:
        return ""


def setters_in(raw: bytes) -> set[str]:
    """Collect every setter that a marker may name, decoded; a superset of those that are read."""
    from krmfn.yamledit.markers import LONG_FORM, setter_of

    texts: set[str] = set()
    for hit in re.finditer(rb'"(\$imagepolicy|\$imagescan|\$ref)"[ \t]*:[ \t]*"([^"\\\r\n]*)"', raw):
        key = "$imagepolicy" if hit[1] == b"$ref" else hit[1].decode()
        texts.add(f'# {{"{key}": "{hit[2].decode("utf-8", "replace").removeprefix(LONG_FORM)}"}}')
    if b"\\" in raw:
        texts |= {hit[1].decode("utf-8", "replace") for hit in re.finditer(rb"#[ \t#]*(\{[^\r\n]*\\[^\r\n]*)", raw)}
    return {setter for text in texts if (setter := setter_of(text.rstrip())) is not None}
