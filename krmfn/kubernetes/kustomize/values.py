"""Values that kustomizations copy on trees: `replacements` (api/filters/replacement), and `vars`, which come before them.

A replacement copies a value whole or between delimiters. Of `vars`, `$(NAME)` becomes the value of a field when a root is done
(api/internal/accumulator/refvarresolver.go). kustomize writes only the fields that `varReference` lists name; here every scalar
counts, as `$(NAME)` of a name that is declared stands nowhere else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from krmfn.kubernetes.kustomize.images import split
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, indexes, items_of, text_of

_part = re.compile(r"\[[^\]]*\]|(?:\\.|[^.\[\\])+|(?<=\.)\[[^\]]*\]")
_reference = re.compile(r"\$\$|\$\(([^()\s]+)\)")


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
    if not is_version(text, start, start + len(value.text)):
        return Leaf(text, old.spots)
    log.replaced(old, value)
    return Leaf(text, value.spots)


def is_version(text: str, start: int, end: int) -> bool:
    """True if the characters from `start` to `end` of an image hold its tag or digest, or their beginning."""
    name, tag, digest = split(text)
    return bool(tag or digest) and start <= len(name) + 1 < end


class Variable(NamedTuple):
    """A name, the resource that it looks at, as a selector, and the path of the field."""

    name: str
    source: Tree
    path: str


def variables(tree: Tree) -> list[Variable]:
    """Return the `vars` of a kustomization."""
    declared = []
    for variable in items_of(tree, "vars"):
        objref = get(variable, "objref")
        group, _, version = text_of(objref, "apiVersion").rpartition("/")
        source: dict[str, Tree] = {part: Leaf(text_of(objref, part)) for part in ("kind", "name", "namespace")}
        source |= {"group": Leaf(group), "version": Leaf(version)}
        field = get(variable, "fieldref")
        path = text_of(field, "fieldpath") or text_of(field, "fieldPath") or "metadata.name"
        declared.append(Variable(text_of(variable, "name"), source, path))
    return declared


def written(tree: Tree, values: dict[str, Leaf], log: Log) -> Tree:
    """Return a tree with the variables that have a value; others stay as they are written."""
    if isinstance(tree, Leaf):
        return _expanded(tree, values, log) if "$(" in tree.text else tree
    if isinstance(tree, list):
        return [written(one, values, log) for one in tree]
    return {key: written(one, values, log) for key, one in tree.items()}


def _expanded(leaf: Leaf, values: dict[str, Leaf], log: Log) -> Leaf:
    """Return a scalar with its variables written; its version comes from where the variable in it comes from."""
    text, at, placed = "", 0, []
    for match in _reference.finditer(leaf.text):
        value = values.get(match[1]) if match[1] else None
        text += leaf.text[at : match.start()]
        if value is not None:
            placed.append((len(text), len(text) + len(value.text), value))
        text += value.text if value is not None else "$" if match[0] == "$$" else match[0]
        at = match.end()
    text += leaf.text[at:]
    # Of `$(REGISTRY)/web:$(TAG)` the scalar that TAG is read from decides about the version, and nothing else does.
    is_whole = len(placed) == 1 and placed[0][:2] == (0, len(text))
    sources = [value for start, end, value in placed if is_whole or is_version(text, start, end)]
    expanded = Leaf(text, tuple(spot for value in sources for spot in value.spots) or leaf.spots)
    if sources:
        log.replaced(leaf, expanded)
    return expanded
