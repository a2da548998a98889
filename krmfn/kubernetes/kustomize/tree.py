"""Composed YAML as plain trees whose leaves remember where they stand, so that a value can be followed through a build.

Trees are never changed in place: a transformation returns a new tree that shares what it left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.errors import InputError
from krmfn.kubernetes.embedded import line_starts
from krmfn.kubernetes.overriding import Spot
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from krmfn.yamledit.yamltree import is_null

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

MAX_DEPTH = 100
"""Deeper collections are left out of a tree: nothing in them is followed."""


class Leaf(NamedTuple):
    """A scalar. `spots` are the scalars in files that decide about its text: one, or two for a tag and a digest."""

    text: str
    spots: tuple[Spot, ...] = ()
    is_null: bool = False


Tree = dict[str, "Tree"] | list["Tree"] | Leaf
Locate = Callable[[int], Spot]
UNKNOWN = Leaf("")


class Log:
    """Which scalar took the place of which, over all builds; the last one stays. And what images were called on the way."""

    def __init__(self) -> None:
        self.by: dict[Spot, Spot] = {}
        self.named: dict[Spot, set[str]] = {}

    def replaced(self, old: Tree | None, new: Leaf) -> None:
        """Note that all leaves of `old` gave way to `new`."""
        if old is None or not new.spots:
            return
        for leaf in leaves(old):
            for spot in leaf.spots:
                if spot not in new.spots:
                    self.by[spot] = new.spots[0]


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Yield the leaves of a tree, in no particular order."""
    stack: list[Tree] = [tree]
    while stack:
        inside = stack.pop()
        if isinstance(inside, Leaf):
            yield inside
        else:
            stack += inside.values() if isinstance(inside, dict) else inside


def trees(block: Block, locate: Locate | None = None) -> Tree | None:
    """Return a block's tree, None for an empty document. Raises InputError."""
    spot = locate or (lambda offset: Spot(block.text.name, offset))
    return None if block.root is None else _planted(block.root, MAX_DEPTH, lambda node: spot(block.span(node)[0]))


def _planted(node: yaml.Node | None, depth: int, place: Callable[[yaml.Node], Spot], *, is_aliased: bool = False) -> Tree:
    if isinstance(node, Alias) and not (is_aliased and isinstance(node.target, yaml.CollectionNode)):
        # Anchors of aliases of anchors grow by a power of their depth: inside of an alias only scalars are followed.
        return _planted(node.target, depth, place, is_aliased=True)
    if isinstance(node, yaml.ScalarNode):
        return Leaf(node.value, (place(node),), is_null(node))
    if not isinstance(node, yaml.CollectionNode) or depth <= 0:
        return UNKNOWN
    if isinstance(node, yaml.SequenceNode):
        return [_planted(child, depth - 1, place, is_aliased=is_aliased) for child in node.value]
    tree: dict[str, Tree] = {}
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            planted = _planted(value, depth - 1, place, is_aliased=is_aliased)
            if key.value == "<<" and isinstance(planted, dict):
                tree = planted | tree
            else:
                tree[key.value] = planted
    return tree


def inner(text: Text, leaf: Leaf) -> list[Tree]:
    """Return the trees of YAML that is the text of a scalar; leaves of a literal block stand where they are written."""
    spot = leaf.spots[0] if leaf.spots else Spot(text.name, 0)
    try:
        inside = Text(leaf.text.encode(), text.name)
        is_literal = text.data[spot.offset : spot.offset + 1] == b"|"
        starts = line_starts(text.data, spot.offset, inside.data) if is_literal else []

        def locate(offset: int) -> Spot:
            line = inside.data.rfind(b"\n", 0, offset) + 1
            return Spot(spot.path, starts[inside.locate(offset)[0] - 1] + offset - line) if starts else spot

        return [tree for block in documents(inside) if (tree := trees(block, locate)) is not None]
    except (InputError, UnicodeEncodeError):
        return []


def assignments(text: Text) -> Iterator[tuple[str, Leaf]]:
    """Yield the keys and values of `KEY=VALUE` lines as kustomize reads them (api/kv): blanks before a key and comments go."""
    start = 0
    for line in text.data.splitlines(keepends=True):
        key, equals, value = line.rstrip(b"\r\n").partition(b"=")
        name = key.decode("utf-8", "replace").lstrip("\ufeff").lstrip()
        if equals and name and not name.startswith("#"):
            yield name, Leaf(value.decode("utf-8", "replace"), (Spot(text.name, start + len(key) + 1),))
        start += len(line)


def images_in(tree: Tree) -> Iterator[Leaf]:
    """Yield the scalars under the key `image`, wherever they stand in a tree."""
    stack: list[Tree] = [tree]
    while stack:
        inside = stack.pop()
        if isinstance(inside, dict):
            stack += inside.values()
            image = inside.get("image")
            if isinstance(image, Leaf):
                yield image
        elif isinstance(inside, list):
            stack += inside


def get(tree: Tree | None, *steps: str) -> Tree | None:
    """Return what stands at keys below a tree, or None."""
    for step in steps:
        tree = tree.get(step) if isinstance(tree, dict) else None
    return tree


def text_of(tree: Tree | None, *steps: str) -> str:
    """Return the text of the scalar at keys below a tree; empty when there is none, or null."""
    value = get(tree, *steps)
    return value.text if isinstance(value, Leaf) and not value.is_null else ""


def items_of(tree: Tree | None, *steps: str) -> list[Tree]:
    """Return the members of the list at keys below a tree."""
    value = get(tree, *steps)
    return value if isinstance(value, list) else []


def members(tree: Tree) -> list[Tree]:
    """Return the resources of a document: itself, or the members of a List."""
    is_list = text_of(tree, "kind").endswith("List") and get(tree, "spec") is None
    return items_of(tree, "items") if is_list and isinstance(get(tree, "items"), list) else [tree]


def indexes(listed: list[Tree], step: str) -> list[int]:
    """Return which members of a list a step of a field path selects: `*`, `[key=value]`, `[=value]`, or an index."""
    if step == "*":
        return [*range(len(listed))]
    if step.startswith("[") and "=" in step:
        key, _, wanted = step[1:-1].partition("=")
        texts = [text_of(member, key) if key else member.text if isinstance(member, Leaf) else "" for member in listed]
        return [at for at, text in enumerate(texts) if text == wanted.strip("'\"")]
    return [int(step)] if step.isdecimal() and int(step) < len(listed) else []


def changed(tree: Tree, steps: list[str], change: Callable[[Leaf], Leaf]) -> Tree:
    """Return a tree in which every scalar that the steps name is changed."""
    if not steps:
        return change(tree) if isinstance(tree, Leaf) else tree
    step, rest = steps[0], steps[1:]
    if isinstance(tree, list):
        chosen = set(indexes(tree, step))
        return [changed(one, rest, change) if at in chosen else one for at, one in enumerate(tree)]
    if isinstance(tree, dict) and step == "*":
        return {key: changed(one, rest, change) for key, one in tree.items()}
    if isinstance(tree, dict) and step in tree:
        return tree | {step: changed(tree[step], rest, change)}
    return tree
