"""The value filter: whether a block may change at all, judged on its text alone.

The answer "no" is given only when every line that could be bound is recognised as complete and already current;
whatever is not recognised at once is composed and judged by its nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from krmfn.errors import RuleError
from krmfn.image import ImageRef

_BREAKS = re.compile(rb"\\[xuU0\r\n]")
_MARKER = re.compile(
    rb"""[ ]*(?:-[ ]+)*(?:[A-Za-z0-9_.-]+:[ ]+)?(?:"([^"\\\n]*)"|'([^'\n]*)'|([A-Za-z0-9][^\s#"'\\{}\[\],&*!|>]*))[ ]*\#+[ ]*
    \{[ ]*"\$imagepolicy"[ ]*:[ ]*"([^"\\%~/\n]+)"[ ]*\}[ ]*\r?$""",
    re.VERBOSE,
)
_IMAGE = re.compile(rb"""image:[ ]+(?:"([^"\\\n]*)"|'([^'\n]*)'|([A-Za-z0-9][^\s#"'\\{}\[\],&*!|>]*))[ ]*(?:\#[^\n]*)?\r?$""")


@dataclass(frozen=True, slots=True)
class Expected:
    """What fields are to hold: by setter, and by the canonical repository of an image.

    None stands for a value that is not known yet, which makes every block that names it be composed. `others` are the
    setters of policies that are known and not used here; any other setter is a mistake that is to be reported.
    Repositories that are not listed are nobody's and change nothing.
    """

    setters: Mapping[str, str | None] = field(default_factory=dict)
    images: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    others: frozenset[str] = frozenset()


def may_change(raw: bytes, expected: Expected, needles: tuple[bytes, ...] = ()) -> bool:
    """Tell whether a block has to be composed. `needles` are further words whose presence forces that."""
    if may_hold(raw, needles):
        return True
    if may_hold_marker(raw) and _markers_differ(raw, expected):
        return True
    return bool(expected.images) and _images_differ(raw, expected.images)


def may_hold(raw: bytes, needles: tuple[bytes, ...]) -> bool:
    """Tell whether any of the words may stand in a block, escapes allowed for."""
    if any(needle in raw for needle in needles):
        return True
    return b"\\" in raw and (b"\\/" in raw or _BREAKS.search(raw) is not None)


def may_hold_marker(raw: bytes) -> bool:
    """Tell whether a comment of a block may be a marker, in any spelling."""
    return b"imagepolicy" in raw or b'"$ref"' in raw or (b"#" in raw and b"\\u" in raw)


def _lines(raw: bytes, word: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each line that holds a word and the line after it."""
    at = raw.find(word)
    while at >= 0:
        start = raw.rfind(b"\n", 0, at) + 1
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        after = raw.find(b"\n", end + 1)
        yield raw[start:end], raw[end + 1 : len(raw) if after < 0 else after]
        at = raw.find(word, end)


def _markers_differ(raw: bytes, expected: Expected) -> bool:
    if b'"$ref"' in raw or b"\\u" in raw:
        return True
    for line, _ in _lines(raw, b"imagepolicy"):
        found = _MARKER.match(line)
        if found is None:
            return True
        setter = found[4].decode("utf-8", "replace")
        if setter in expected.others:
            continue
        value = (found[1] or found[2] or found[3] or b"").decode("utf-8", "replace")
        if setter not in expected.setters or expected.setters[setter] != value:
            return True
    return False


_NEXT = re.compile(rb"[ ]*(?:$|-[ ]|\#|[A-Za-z0-9_.-]+:(?:[ \r]|$))")


def _images_differ(raw: bytes, images: Mapping[str, frozenset[str] | None]) -> bool:
    values = image_values(raw)
    return values is None or any(_differs(value, images) for value in values)


def image_values(raw: bytes) -> set[str] | None:
    """Collect the values of all keys `image`, those in text included; None when a line needs a parser to be sure."""
    if b"\\" in raw and may_hold(raw, ()):
        return None
    values: set[str] = set()
    for line, after in _lines(raw, b"image"):
        at = line.find(b"image")
        lead = line[:at].lstrip(b" ").removeprefix(b"-").strip(b" ")
        if lead or line.count(b"image:") != 1:
            if b"image:" not in line and b"image" not in line[at + 5 :] and _harmless(line, at):
                continue
            return None
        found = _IMAGE.match(line, at)
        if found is None or not _NEXT.match(after):
            return None
        values.add((found[1] or found[2] or found[3] or b"").decode("utf-8", "replace"))
    return values


def _harmless(line: bytes, at: int) -> bool:
    """Tell whether a word like imagePullPolicy stands there, which is no image field in any spelling."""
    return re.compile(rb"image[A-Za-z]+:[ ]").match(line, at) is not None


def _differs(value: str, images: Mapping[str, frozenset[str] | None]) -> bool:
    try:
        repository = ImageRef.parse(value).canonical
    except RuleError:
        return False
    if repository not in images:
        return False
    accepted = images[repository]
    return accepted is None or value not in accepted


def setters_in(raw: bytes) -> set[str]:
    """Collect every setter that a marker may name, decoded; a superset of those that are read."""
    from krmfn.markers import setter_of

    found: set[str] = set()
    for match in re.compile(rb"#[ \t#]*(\{[^\r\n]{0,1024})").finditer(raw) if b"#" in raw else ():
        text = match[1].decode("utf-8", "replace").rstrip()
        setter = setter_of(text)
        if setter is not None:
            found.add(setter)
    return found
