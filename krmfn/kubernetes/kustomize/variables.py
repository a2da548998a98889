"""`vars` of kustomizations on trees: `$(NAME)` becomes the value of a field (api/internal/accumulator/refvarresolver.go).

They are looked up and written when a root is done. kustomize writes only the fields that `varReference` lists name; here every
scalar counts, as `$(NAME)` of a name that is declared stands nowhere else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from krmfn.kubernetes.kustomize.replacements import is_version
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, items_of, text_of

_reference = re.compile(r"\$\$|\$\(([^()\s]+)\)")


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
