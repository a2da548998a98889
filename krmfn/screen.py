"""The value filter: whether a block may change at all, judged on its text alone.

The answer "no" is given only when every line that could be bound is recognised as complete and already current;
whatever is not recognised at once is composed and judged by its nodes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

    None stands for a value that is not known yet, which makes every block that names it be composed. Setters and
    repositories that are not listed are nobody's and change nothing.
    """

    setters: Mapping[str, str | None] = field(default_factory=dict)
    images: Mapping[str, frozenset[str] | None] = field(default_factory=dict)


def may_change(raw: bytes, expected: Expected, needles: tuple[bytes, ...] = ()) -> bool:
    """Tell whether a block has to be composed. `needles` are further words whose presence forces that."""
    if any(needle in raw for needle in needles):
        return True
    has_marker = bool(expected.setters) and (b"imagepolicy" in raw or b"$ref" in raw)
    has_image = bool(expected.images) and b"image" in raw
    if (expected.setters or expected.images) and b"\\" in raw and _BREAKS.search(raw):
        return True
    if has_marker and _markers_differ(raw, expected.setters):
        return True
    return has_image and _images_differ(raw, expected.images)


def _lines(raw: bytes, word: bytes) -> list[tuple[bytes, bytes]] | None:
    """Answer each line that holds a word and the line after it."""
    found = []
    at = raw.find(word)
    while at >= 0:
        start = raw.rfind(b"\n", 0, at) + 1
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        after = raw.find(b"\n", end + 1)
        found.append((raw[start:end], raw[end + 1 : len(raw) if after < 0 else after]))
        at = raw.find(word, end)
    return found


def _markers_differ(raw: bytes, setters: Mapping[str, str | None]) -> bool:
    if b"$ref" in raw:
        return True
    for line, _ in _lines(raw, b"imagepolicy") or ():
        found = _MARKER.match(line)
        if found is None:
            return True
        setter = found[4].decode("utf-8", "replace")
        if setter in setters and setters[setter] != (found[1] or found[2] or found[3] or b"").decode("utf-8", "replace"):
            return True
    return False


_NEXT = re.compile(rb"[ ]*(?:$|-[ ]|\#|[A-Za-z0-9_.-]+:(?:[ \r]|$))")


def _images_differ(raw: bytes, images: Mapping[str, frozenset[str] | None]) -> bool:
    for line, after in _lines(raw, b"image") or ():
        at = line.find(b"image")
        lead = line[:at].lstrip(b" ").removeprefix(b"-").strip(b" ")
        if lead or line.count(b"image:") != 1:
            if b"image:" not in line and b"image" not in line[at + 5 :] and _harmless(line, at):
                continue
            return True
        found = _IMAGE.match(line, at)
        if found is None or not _NEXT.match(after):
            return True
        if _differs((found[1] or found[2] or found[3] or b"").decode("utf-8", "replace"), images):
            return True
    return False


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


def image_values(raw: bytes) -> set[str]:
    """Collect every value that may be an image reference behind a word `image`; a superset of those that are bound."""
    found: set[str] = set()
    for match in re.compile(rb"""image["']?[ \t]*:\s*["']?([^\s"'#,}\]]+)""").finditer(raw):
        found.add(match[1].decode("utf-8", "replace"))
    return found
