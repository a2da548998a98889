"""What every structural edit of YAML shares: line ends, the end of a collection, values and keys as JSON writes them.

Annotations, results, locks and snapshots are spliced into text that people wrote, in its own style, by these rules alone.
"""

from collections.abc import Iterable, Mapping

import yaml

from krmfn.yamledit.nodes import Edit
from krmfn.yamledit.scalars import quoted

Value = str | int | Mapping[str, "Value"]


def newline(data: bytes, start: int, end: int) -> str:
    """Return the line end of a text, as its first line between two offsets has it."""
    at = data.find(b"\n", start, end)
    return "\r\n" if at > 0 and data[at - 1 : at] == b"\r" else "\n"


def flow(value: Value) -> str:
    """Write a value as JSON in one line.

    >>> flow({"path": "a.yaml", "index": 0})
    '{"path": "a.yaml", "index": 0}'
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return str(value)
    return "{" + ", ".join(f"{quoted(key)}: {flow(part)}" for key, part in value.items()) + "}"


def nested(path: Iterable[str], value: Value) -> Value:
    """Return a value below a path of keys.

    >>> nested(("metadata", "annotations"), {"a": "b"})
    {'metadata': {'annotations': {'a': 'b'}}}
    """
    for key in reversed(tuple(path)):
        value = {key: value}
    return value


def set_value(data: bytes, start: int, end: int, text: str) -> Edit:
    """Make the edit that puts a flow value where a null or an empty collection stands, a blank before it."""
    blank = "" if data[start - 1 : start].isspace() else " "
    return Edit(start, end, (blank + text).encode())


def start_of_blanks(data: bytes, at: int) -> int:
    """Return where the blanks start that end at an offset, so that a value goes with what sets it off from its key."""
    while data[at - 1 : at] in (b" ", b"\t"):
        at -= 1
    return at


def last_leaf(node: yaml.Node) -> yaml.Node:
    """Return the node that ends a block collection.

    libyaml puts the end of a block collection at the next token, behind the blank lines and comments that follow it;
    the end of its last leaf is where its own text ends.
    """
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node
