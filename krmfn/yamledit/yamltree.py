"""Nodes of composed YAML as values: scalars with their paths, children, plain data."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from sys import intern

import yaml

from krmfn.errors import InputError
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.text import PROPERTY, Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.yamledit.nodes import Block

MAX_VALUES = 1_000_000
"""How many values `construct` makes of one node before it suspects an alias bomb."""

_PROPERTIES = rb"#[^\r\n]*|(" + PROPERTY + rb")"
"""Anchor and tag among what stands before a value; a comment there is an empty match, so that none is read in it."""
_plain_key = re.compile(r"[^\s.\[\]'\"]+").fullmatch
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})

Step = str | int


def join_path(steps: Iterable[Step]) -> str:
    """Write steps as a path; keys that would be ambiguous are quoted.

    >>> join_path(["spec", 0, "a.b"])
    "spec[0]['a.b']"
    """
    path = ""
    for step in steps:
        path = join(path, step)
    return path


def join(path: str, step: Step) -> str:
    """Append one step to a path."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if _plain_key(step):
        return f"{path}.{step}" if path else step
    return f"{path}['" + step.replace("\\", "\\\\").replace("'", "\\'") + "']"


def children(node: yaml.Node | None) -> Iterator[tuple[Step, yaml.Node]]:
    """Walk the children of a collection: key text or index, and the node. Keys that are no scalars are left out."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if type(key) is yaml.ScalarNode:
                yield key.value, value
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)


def is_null(node: yaml.Node) -> bool:
    """True if a node is a plain `null`, `~` or nothing."""
    if type(node) is not yaml.ScalarNode or node.style or node.value not in _NULLS:
        return False
    tag: object = node.tag
    return not isinstance(tag, str) or tag == "tag:yaml.org,2002:null"


def scalar_at(block: Block, node: yaml.Node, path: str, parent: yaml.Node | None = None) -> Scalar:
    """Describe a scalar node that was found by other means. `parent` spares the search for its collection."""
    if not isinstance(node, yaml.ScalarNode):
        raise TypeError(f"{path or 'the root'} is not a scalar")
    if parent is None:
        parent = _parent(block.root, node)
    start, end = block.span(node)
    in_flow = isinstance(parent, yaml.CollectionNode) and bool(parent.flow_style)
    tag: object = node.tag
    before = block.text.data[block.source.offset(node.start_mark.index) : start]
    properties = re.findall(_PROPERTIES, before) if before else []
    return Scalar(
        value=intern(node.value),  # thousands of fields hold the same few values at the same few paths
        start=start,
        end=end,
        style=node.style or "",
        path=intern(path),
        in_flow=in_flow,
        is_null=is_null(node),
        anchored=any(part.startswith(b"&") for part in properties),
        tag=tag if isinstance(tag, str) else "!" if b"!" in properties else None,
        indent=-1 if parent is None else parent.start_mark.column,
        is_json=in_flow and (node.style == '"' or _all_json(parent)),
    )


def _all_json(parent: yaml.Node | None) -> bool:
    """True if a flow mapping quotes all its keys with `"`, as JSON does."""
    return isinstance(parent, yaml.MappingNode) and all(isinstance(key, yaml.ScalarNode) and key.style == '"' for key, _ in parent.value)


def _parent(root: yaml.Node | None, wanted: yaml.Node) -> yaml.Node | None:
    """Return the collection that holds a node, by descending along the start marks; None for the root."""
    parent, node, place = None, root, wanted.start_mark.index
    while node is not wanted and isinstance(node, yaml.CollectionNode):
        at = bisect_right(node.value, place, key=lambda child: _value(child).start_mark.index)
        if not at:
            return None
        parent, node = node, _value(node.value[at - 1])
    return parent if node is wanted else None


def _value(child: yaml.Node | tuple[yaml.Node, yaml.Node]) -> yaml.Node:
    return child[1] if isinstance(child, tuple) else child


def construct(node: yaml.Node | None, block: Block | None = None) -> object:
    """Make plain data of a node: dict, list, str, and None for nulls; nothing is resolved by shape (`1.10` stays).

    Aliases are followed within a budget; merge keys `<<` are an ordinary key. Raises InputError for a key given twice
    in one mapping, a key that is no scalar, an unknown or recursive alias, or too many values; `block` gives it a place.
    """
    return _Construction(block).data(node)


class _Construction:
    """One run of `construct`: counts the values made and knows the aliases it is inside of. Does not recurse."""

    def __init__(self, block: Block | None) -> None:
        self.block, self.count, self.inside = block, 0, set[int]()
        self.stack: list[tuple[dict[str, object] | list[object], Iterator[Any], int]] = []
        """The collections that are being made, what is left of each, and the id of the node it is an alias of, or 0."""

    def data(self, node: yaml.Node | None) -> object:
        """Construct a node and everything below it."""
        root = self.value(node)
        while self.stack:
            collection, left, alias = self.stack[-1]
            entry = next(left, None)
            if entry is None:
                self.stack.pop()
                self.inside.discard(alias)
            elif isinstance(collection, dict):
                self.keep(collection, *entry)
            else:
                collection.append(self.value(entry))
        return root

    def keep(self, mapping: dict[str, object], key: yaml.Node, value: yaml.Node) -> None:
        """Add one entry of a mapping."""
        if not isinstance(key, yaml.ScalarNode):
            raise self.error("a key here is not a scalar", key)
        if key.value in mapping:
            raise self.error(f"key {key.value!r} is given twice in one mapping", key)
        mapping[key.value] = self.value(value)

    def value(self, node: yaml.Node | None) -> object:
        """Return a scalar's value, or an empty collection that `data` will fill."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise self.error(f"it expands to more than {MAX_VALUES} values", node)
        if node is None or is_null(node):
            return None
        alias = 0
        if isinstance(node, Alias):
            node = self.target(node)
            alias = id(node)
        if isinstance(node, yaml.ScalarNode):
            return node.value
        collection: dict[str, object] | list[object] = {} if isinstance(node, yaml.MappingNode) else []
        self.stack.append((collection, iter(node.value), alias))
        self.inside.add(alias)
        return collection

    def target(self, alias: Alias) -> yaml.Node:
        """Follow an alias."""
        if alias.target is None:
            raise self.error(f"alias *{alias.value} names no anchor", alias)
        if id(alias.target) in self.inside:
            raise self.error(f"alias *{alias.value} stands inside its own anchor", alias)
        return alias.target

    def error(self, message: str, node: yaml.Node | None) -> InputError:
        """Make the error, with its place where the block is known."""
        if self.block is None or node is None:
            return InputError(message)
        return self.block.text.error(message, self.block.source.offset(node.start_mark.index))
