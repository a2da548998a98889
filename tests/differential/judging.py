"""What two programs made of one marked file, compared as PyYAML reads it: the same, or a class of docs/compatibility.md."""

from __future__ import annotations

import codecs
import re
from typing import Any

import yaml

ODD_TAGS = ("!!int ", "!!float ", "!!null ", "!!binary ", "!custom ")
_TWO_COMMENTS = re.compile(rb"#[^\n]*\n[ \n]*-[ \t]*(?:\n[ ]*)?#[^\n]*\n[ ]*[^ #\n-]")


def plain(node: yaml.Node | None) -> Any:
    """Return the texts of a tree, kinds apart, styles and tags left out."""
    if isinstance(node, yaml.MappingNode):
        return {"map": [(plain(key), plain(value)) for key, value in node.value]}
    if isinstance(node, yaml.SequenceNode):
        return [plain(child) for child in node.value]
    return None if node is None else node.value


def documents(data: bytes) -> list[Any] | None:
    """Return the trees of a file; None when it is no YAML to libyaml."""
    try:
        return [plain(root) for root in yaml.compose_all(data, yaml.CBaseLoader)]
    except yaml.YAMLError:
        return None


def _gives_a_key_twice(text: bytes) -> bool:
    """True if a mapping of the file has one key twice."""
    waiting = [*yaml.compose_all(text, yaml.CBaseLoader)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(keys) != len(set(keys)):
                return True
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return False


def _leaves(data: bytes) -> list[Any]:
    """Return the scalars of a file in order, keys included."""
    leaves: list[Any] = []
    waiting: list[Any] = [documents(data)]
    while waiting:
        one = waiting.pop()
        waiting += one if isinstance(one, list | tuple) else one.values() if isinstance(one, dict) else ()
        leaves += [] if isinstance(one, list | tuple | dict) else [one]
    return leaves


def _stays(text: bytes, flux: bytes, ours: bytes) -> bool:
    """True if krmfn wrote what Flux wrote, or left what was there, in every scalar."""
    before, theirs, mine = _leaves(text), _leaves(flux), _leaves(ours)
    return len(before) == len(theirs) == len(mine) and all(
        own in (old, other) for old, other, own in zip(before, theirs, mine, strict=True)
    )


def documented(text: bytes, flux: bytes, ours: bytes, *, is_refused: bool) -> str:
    """Return the class of docs/compatibility.md that a difference belongs to; nothing without one."""
    if documents(text) is None:
        return "a file that is no YAML to libyaml is left"
    if documents(flux) is None:
        return "Flux writes what is no YAML"
    if is_refused and _stays(text, flux, ours):
        return "a value in no known form is left"
    if b"$imagepolicy" not in text:
        return "Flux passes over files without the word $imagepolicy"
    if text.startswith(codecs.BOM_UTF8 * 2):
        return "two byte order marks"
    if b"\r---" in text and b"\n" not in text:
        return "Flux drops the documents behind the first where lines end in CR alone"
    if any(tag.encode() in text for tag in ODD_TAGS) and _stays(text, flux, ours):
        return "a value with a tag such as !!int stays"
    if _gives_a_key_twice(text):
        return "a key given twice in one mapping"
    if _TWO_COMMENTS.search(re.sub(rb"\r\n?", b"\n", text)):
        return "comments above an item and behind its dash"
    return ""
