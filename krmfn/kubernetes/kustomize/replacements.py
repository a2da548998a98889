"""`replacements` of a kustomization on trees (api/filters/replacement): a value is copied, whole or between delimiters."""

from __future__ import annotations

import re

from krmfn.kubernetes.kustomize.images import split
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, indexes, text_of

_part = re.compile(r"\[[^\]]*\]|(?:\\.|[^.\[\\])+|(?<=\.)\[[^\]]*\]")


def steps_of(path: str) -> list[str]:
    r"""Split a field path.

    >>> steps_of(r"spec.containers.[name=web].image"), steps_of(r"data.a\.b"), steps_of("metadata.annotations.[x.y/z]")
    (['spec', 'containers', '[name=web]', 'image'], ['data', 'a.b'], ['metadata', 'annotations', 'x.y/z'])
    """
    steps = [step.replace("\\.", ".") for step in _part.findall(path)]
    return [step[1:-1] if step.startswith("[") and "=" not in step else step for step in steps]


def value_at(tree: Tree | None, path: str) -> Leaf | None:
    """Return the one scalar that a field path names, or None."""
    for step in steps_of(path):
        tree = next((tree[at] for at in indexes(tree, step)), None) if isinstance(tree, list) else get(tree, step)
    return tree if isinstance(tree, Leaf) else None


def source_value(leaf: Leaf, options: Tree | None) -> Leaf:
    """Return what a source gives: the whole scalar, or one part of it."""
    delimiter, index = text_of(options, "delimiter"), text_of(options, "index") or "0"
    if not delimiter or not index.isdecimal():
        return leaf
    parts = leaf.text.split(delimiter)
    return Leaf(parts[int(index)] if int(index) < len(parts) else "", leaf.spots)


def replaced(old: Leaf, value: Leaf, options: Tree | None, log: Log) -> Leaf:
    """Return a target after a replacement; the version of an image comes from where its tag now comes from."""
    delimiter, index = text_of(options, "delimiter"), text_of(options, "index") or "0"
    if not delimiter:
        log.replaced(old, value)
        return value
    parts = old.text.split(delimiter)
    if not index.removeprefix("-").isdecimal():
        return old
    at = int(index)
    if at < 0:
        parts, at = [value.text, *parts], 0
    elif at >= len(parts):
        parts, at = [*parts, value.text], len(parts)
    else:
        parts[at] = value.text
    # Of an image that is replaced in parts, only the part that holds its version decides about that.
    text = delimiter.join(parts)
    start = len(delimiter.join(parts[:at])) + (len(delimiter) if at else 0)
    if is_version(text, start, start + len(value.text)):
        log.replaced(old, value)
        return Leaf(text, value.spots)
    return Leaf(text, old.spots)


def is_version(text: str, start: int, end: int) -> bool:
    """True if the characters from `start` to `end` of an image hold its tag or digest, or their beginning."""
    name, tag, digest = split(text)
    return bool(tag or digest) and start <= len(name) + 1 < end
