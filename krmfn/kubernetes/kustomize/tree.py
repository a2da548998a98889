"""Composed YAML as plain trees whose leaves remember where they stand, so that a value can be followed through a build.

Trees are never changed in place: a transformation returns a new tree that shares what it left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.errors import InputError
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
        one = stack.pop()
        if isinstance(one, Leaf):
            yield one
        else:
            stack += one.values() if isinstance(one, dict) else one


def trees(block: Block, locate: Locate | None = None) -> Tree | None:
    """Return a block's tree, None for an empty document. Raises InputError."""
    root = block.root
    if root is None:
        return None
    return _Planter(block, locate or (lambda offset: Spot(block.text.name, offset))).plant(root, MAX_DEPTH)


class _Planter:
    """Turns the nodes of one block into a tree."""

    def __init__(self, block: Block, locate: Locate) -> None:
        self.block, self.locate = block, locate
        self.is_aliased = False

    def plant(self, node: yaml.Node, depth: int) -> Tree:
        if isinstance(node, Alias):
            return self.aliased(node, depth)
        if isinstance(node, yaml.ScalarNode):
            return Leaf(node.value, (self.locate(self.block.span(node)[0]),), is_null(node))
        if depth <= 0:
            return UNKNOWN
        if isinstance(node, yaml.SequenceNode):
            return [self.plant(child, depth - 1) for child in node.value]
        tree: dict[str, Tree] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                planted = self.plant(value, depth - 1)
                if key.value == "<<" and isinstance(planted, dict):
                    tree = planted | tree
                else:
                    tree[key.value] = planted
        return tree

    def aliased(self, node: Alias, depth: int) -> Tree:
        """Plant what an alias stands for; aliases inside of it are left out, as they could grow without bound."""
        if node.target is None or (self.is_aliased and not isinstance(node.target, yaml.ScalarNode)):
            return UNKNOWN
        self.is_aliased = True
        try:
            return self.plant(node.target, depth)
        finally:
            self.is_aliased = False


def inner(text: Text, leaf: Leaf) -> list[Tree]:
    """Return the trees of YAML that is the text of a scalar; leaves of a literal block stand where they are written."""
    spot = leaf.spots[0] if leaf.spots else Spot(text.name, 0)
    locate = _literal(text.data, spot, leaf.text) or (lambda _: spot)
    try:
        blocks = documents(Text(leaf.text.encode(), text.name))
        return [tree for block in blocks if (tree := trees(block, locate)) is not None]
    except (InputError, UnicodeEncodeError):
        return []


def _literal(data: bytes, spot: Spot, value: str) -> Locate | None:
    """Return how offsets inside a literal block become offsets of its file; None for other scalars."""
    if data[spot.offset : spot.offset + 1] != b"|":
        return None
    outer, inside = data.find(b"\n", spot.offset) + 1, 0
    starts: list[tuple[int, int]] = []
    for line in value.encode().splitlines(keepends=True):
        end = data.find(b"\n", outer)
        end = len(data) if end < 0 else end
        starts.append((inside, outer + len(data[outer:end].rstrip(b"\r")) - len(line.rstrip(b"\r\n"))))
        inside, outer = inside + len(line), end + 1

    def locate(offset: int) -> Spot:
        start, at = max((one for one in starts if one[0] <= offset), default=(0, spot.offset))
        return Spot(spot.path, at + offset - start)

    return locate


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
        one = stack.pop()
        if isinstance(one, dict):
            stack += one.values()
            image = one.get("image")
            if isinstance(image, Leaf):
                yield image
        elif isinstance(one, list):
            stack += one


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
