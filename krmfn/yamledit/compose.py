"""Compose bytes of YAML into nodes whose marks stay true: aliases stay aliases, nothing recurses without a bound.

Two composers give the same tree. libyaml's own (PyYAML's C extension) is the fast one; it expands aliases and
recurses on the C stack, so a text with anchors, or deep or huge enough to be a risk, goes through the event stream.
A node's `tag` is a `str` only where the text spells a tag out; nothing is resolved by shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import is_

import yaml
from yaml._yaml import CParser

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 1000
"""Collections inside collections, counted from the root; deeper text is refused."""

_ANCHOR = rb"&(?![\s&*])(?<![^\s,\[{:?-]&)"
_ALIAS = rb"\*(?![\s&*])(?<![^\s,\[{:?-]\*)"
_OPENERS = 10_000
"""A text with more brackets has its depth counted, which libyaml's parser does not do; ordinary texts have fewer."""
MAX_NODES = 1_000_000
"""Nodes of one document or item; each takes some 350 bytes of memory, whatever it takes in the text."""


class Alias(yaml.Node):
    """An alias `*name` at its own place. `target` is the anchored node, or None when the text has no such anchor."""

    id = "alias"

    def __init__(self, value: str, target: yaml.Node | None, start_mark: Any, end_mark: Any) -> None:
        super().__init__("", value, start_mark, end_mark)
        self.target = target


class DepthError(yaml.MarkedYAMLError):
    """The text nests deeper than MAX_DEPTH."""


class SizeError(yaml.MarkedYAMLError):
    """The text holds more than MAX_NODES nodes."""


class Fast(CParser):
    """libyaml's composer without tag resolution; builtins spare a Python frame for every node.

    CParser calls `resolve(kind, value, implicit)` for the tag of each untagged node: what `slice` makes of the three is
    no `str`, which tells such a node from one whose tag is written out. The other two are called for an effect.
    """

    resolve: Any = slice
    descend_resolver: Any = is_
    ascend_resolver: Any = int


def malformed(error: yaml.YAMLError) -> tuple[str, int]:
    """Return what is wrong, in one line without libyaml's `in "<byte string>"`, and the mark's index, -1 if unknown."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        words = ", ".join(str(part) for part in (error.context, error.problem) if part)
        return words or "not valid YAML", getattr(mark, "index", -1)
    problem = getattr(error, "reason", None)
    return str(problem or error).splitlines()[0], -1


def compose(data: bytes) -> yaml.Node | None:
    """Compose the single document in `data`; None when it holds none. Raises yaml.YAMLError."""
    if is_simple(data):
        parser = Fast(data)
        try:
            node: yaml.Node | None = parser.get_single_node()
        finally:
            parser.dispose()
        return _present(node)
    composed = list(documents(data))
    if len(composed) > 1:
        raise yaml.MarkedYAMLError(problem="but found another document", problem_mark=composed[1].start_mark)
    return composed[0].root if composed else None


def is_simple(data: bytes) -> bool:
    """True if the C composer is safe and exact here: no anchors, and depth bounded by the text's size.

    Each level needs an opener of its own or one more column of indentation, and n columns cost n*n/2 bytes.
    """
    openers = data.count(b"[") + data.count(b"{") + data.count(b"-") + data.count(b"?")
    if openers + (2 * len(data)) ** 0.5 >= MAX_DEPTH:
        return False
    return not ((b"&" in data and re.search(_ANCHOR, data)) or (b"*" in data and re.search(_ALIAS, data)))


def raw_parse(data: bytes) -> int:
    """Let libyaml's parser read all of `data` without building anything; return the number of events."""
    parser = Fast(data)
    try:
        return int(parser.raw_parse())
    finally:
        parser.dispose()


def check(data: bytes) -> None:
    """Read all of a document without keeping it; with many brackets their depth is counted. Raise yaml.YAMLError."""
    if data.count(b"[") + data.count(b"{") > _OPENERS:
        compose(data)
    else:
        raw_parse(data)


def leading(data: bytes, key: str) -> str:
    """Return the plain value of a key among the first keys of the root, or of the only item, without composing the rest.

    An empty text when that cannot be told: something else than plain values stands before it, or the key comes twice.
    """
    parser: Any = Fast(data)
    try:
        events = [parser.get_event() for _ in range(12) if parser.check_event()]
    except yaml.YAMLError:
        return ""
    finally:
        parser.dispose()
    # stream, document and a sequence of one item may start before the mapping; then keys and values alternate
    at = next((index for index, event in enumerate(events[:4], 1) if isinstance(event, yaml.MappingStartEvent)), 12)
    while at + 1 < len(events) and all(isinstance(event, yaml.ScalarEvent) for event in events[at : at + 2]):
        name, value = events[at : at + 2]
        if name.value == key:
            # a second such key would start a line in the same column; text may look like one, and is composed then
            line = b"\n" + b" " * name.start_mark.column
            count = sum(data.count(line + quote + key.encode()) for quote in (b"", b"'", b'"'))
            is_once = count == data[: name.start_mark.index].endswith(line)
            return str(value.value) if is_once and not value.style else ""
        at += 2
    return ""


class Document(NamedTuple):
    """One document of a stream, and where it starts: at its `---`, or at its content."""

    root: yaml.Node | None
    start_mark: Any


def documents(data: bytes) -> Iterator[Document]:
    """Compose every document of `data` from libyaml's events; raises yaml.YAMLError, DepthError included."""
    parser = Fast(data)
    try:
        parser.get_event()
        while isinstance(start := parser.get_event(), yaml.DocumentStartEvent):
            root = _present(_document(parser))
            parser.get_event()
            yield Document(root, start.start_mark)
    finally:
        parser.dispose()


def _present(node: yaml.Node | None) -> yaml.Node | None:
    """Return None for the root of an empty document, a scalar that is not written at all."""
    if type(node) is yaml.ScalarNode and node.start_mark.index == node.end_mark.index:
        return None
    return node


def _document(parser: Any) -> yaml.Node:
    """Read events up to the end of one root node. A mapping's child list alternates key, value until it is closed."""
    anchors: dict[str, yaml.Node] = {}
    stack: list[tuple[yaml.CollectionNode, list[Any]]] = []
    events = 0
    while True:
        event = parser.get_event()
        events += 1
        if events > MAX_NODES:
            raise SizeError(problem=f"it holds more than {MAX_NODES} nodes", problem_mark=event.start_mark)
        kind = type(event)
        node: Any
        is_start = kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent
        if is_start:
            node = _opened(event, kind, len(stack))
            stack.append((node, []))
        elif kind is yaml.ScalarEvent:
            node = yaml.ScalarNode(event.tag, event.value, event.start_mark, event.end_mark, event.style)
        elif kind is yaml.AliasEvent:
            node = _aliased(event, anchors.get(event.anchor), stack)
        else:
            node = _closed(event, *stack.pop())
        if (is_start or kind is yaml.ScalarEvent) and event.anchor is not None:
            anchors[event.anchor] = node
        if is_start:
            continue
        if not stack:
            root: yaml.Node = node
            return root
        stack[-1][1].append(node)


def _aliased(event: Any, target: yaml.Node | None, stack: list[tuple[yaml.CollectionNode, list[Any]]]) -> yaml.Node:
    """Return an alias; one that is the key of a mapping, as in `*app : {image: web}`, is the scalar that it stands for."""
    untagged: Any = None
    is_key = stack and type(stack[-1][0]) is yaml.MappingNode and len(stack[-1][1]) % 2 == 0
    if is_key and isinstance(target, yaml.ScalarNode):
        return yaml.ScalarNode(untagged, target.value, event.start_mark, event.end_mark)
    return Alias(event.anchor, target, event.start_mark, event.end_mark)


def _opened(event: Any, kind: type, depth: int) -> Any:
    if depth >= MAX_DEPTH:
        raise DepthError(problem=f"it nests deeper than {MAX_DEPTH} levels", problem_mark=event.start_mark)
    node_class = yaml.MappingNode if kind is yaml.MappingStartEvent else yaml.SequenceNode
    return node_class(event.tag, [], event.start_mark, None, event.flow_style)


def _closed(event: Any, node: Any, parts: list[Any]) -> Any:
    node.value = list(zip(parts[::2], parts[1::2], strict=True)) if type(node) is yaml.MappingNode else parts
    node.end_mark = event.end_mark
    return node
