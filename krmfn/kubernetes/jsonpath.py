"""JSONPath over composed YAML: jsonpath-ng parses, the steps are walked over nodes, which know where they stand.

What is no plain step (filters, `where`, unions) is found by jsonpath-ng on plain data and followed back to nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

import yaml

from krmfn.errors import InputError, RuleError
from krmfn.kubernetes.resource import aimed
from krmfn.yamledit.yamltree import Step, children, construct

Place = tuple[tuple[Step, ...], yaml.Node]
_WORDS = ("where", "wherenot")
_DESCENTS = 2
"""Each multiplies what has to be looked at by the depth of the document, unless krmfn walks itself, which meets a node once."""
_PARTS = 200
"""Steps of one path, which are nested as they are read."""
_PLACES = frozenset({
    "Root", "This", "Child", "Parent", "Descendants", "Fields", "Index", "Slice", "Wildcard", "Where", "WhereNot", "_Union", "Filter", "Expression", "And", "Or", "Len", "Keys",
})  # fmt: skip
"""What of jsonpath-ng leads to a place, or compares; the rest computes values that stand nowhere."""
_STEPS = frozenset({"Root", "Child", "Descendants", "Fields", "Index", "Slice", "Wildcard"})


class JSONPath(NamedTuple):
    """A compiled JSONPath. `needle` is a literal key that any document it matches must hold, or empty."""

    text: str
    expression: Any
    needle: str
    is_plain: bool

    @classmethod
    def parse(cls, text: str) -> JSONPath:
        """Compile a path; raises RuleError with what jsonpath-ng says."""
        if sum(map(text.count, ".[|&")) > _PARTS:
            raise RuleError(f"{text[:80]!r}... has more than {_PARTS} steps", help="for example $.spec.values.image.tag")
        try:
            expression = _parser(text)(text)
            _check(expression)
        except Exception as error:  # jsonpath-ng raises its own and ply's errors, all meaning the same
            message = f"{text!r} is not a JSONPath: {error}"
            raise RuleError(message, help="for example $.spec.values.image.tag") from error
        is_plain = _is_plain(expression)
        descents = 0 if is_plain else _descents(expression)
        if descents > _DESCENTS:
            message = f"{text!r} has {descents} descents (..); expected at most {_DESCENTS} with a filter, a union or brackets"
            raise RuleError(message, help="name the keys between them")
        return cls(text, expression, _needle(expression), is_plain)

    def find(self, root: yaml.Node) -> Iterator[Place]:
        """Yield (steps, node) of every match below `root`, in document order; an alias at the end stays one.

        Raises InputError when a filter meets a key that is given twice, or what it cannot compare.
        """
        if self.is_plain:
            yield from _walk(self.expression, (), root)
            return
        data = construct(root)
        try:
            matches = self.expression.find(data)
        except Exception as error:  # what a path of others meets in data of others
            raise InputError(f"{self.text!r} cannot be followed here: {type(error).__name__}") from error
        for match in matches if isinstance(matches, list) else [matches]:
            steps = tuple(_steps(match.full_path))
            node = _follow(root, steps)
            if node is not None:
                yield steps, node


def written(steps: Iterable[Step]) -> str:
    """Write steps as a JSONPath that finds exactly that place.

    >>> written(["spec", "my.key", 0, "image"])
    "$.spec['my.key'][0].image"
    """
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isascii() and step.replace("-", "_").isidentifier() and step[0] != "-" and step not in _WORDS:
            path += f".{step}"
        else:
            path += "['" + step.replace("\\", "\\\\").replace("'", "\\'") + "']"
    return path


def _parser(text: str) -> Callable[[str], Any]:
    """Return the parser that the text needs; filters are an extension that costs more to import."""
    if "?" in text or "`" in text:
        from jsonpath_ng.ext import parser as extended

        parse: Callable[[str], Any] = extended.parse
        return parse
    from jsonpath_ng import parser

    return parser.parse


class _Found(str):
    """A pattern of RE2 that equals every text in which it is found: jsonpath-ng's own `=~` takes exponential time."""

    __slots__ = ("is_in",)
    is_in: Callable[[str], bool]

    def __new__(cls, pattern: str) -> Self:
        from krmfn.kubernetes.kustomize.expressions import searcher

        text = super().__new__(cls, pattern)
        text.is_in = searcher(pattern)
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.is_in(other)

    __hash__ = str.__hash__


def _check(expression: Any) -> None:
    """Let regular expressions be matched by RE2. Raise ValueError for what computes a value."""
    for inner in vars(expression).values() if hasattr(expression, "__dict__") else ():
        for one in inner if isinstance(inner, list) else (inner,):
            if type(one).__module__.startswith("jsonpath_ng"):
                _check(one)
    if _kind(expression) not in _PLACES:
        raise ValueError(f"{_kind(expression)} leads to no place")
    if getattr(expression, "op", None) == "=~":
        expression.op, expression.value = "==", _Found(str(expression.value))


def _kind(expression: Any) -> str:
    return type(expression).__name__


def _is_plain(expression: Any) -> bool:
    if _kind(expression) not in _STEPS or _descents(getattr(expression, "right", None)):
        return False
    return not hasattr(expression, "left") or (_is_plain(expression.left) and _is_plain(expression.right))


def _descents(expression: Any) -> int:
    """Count the `..` of an expression, those in filters and unions included."""
    inner = vars(expression).values() if hasattr(expression, "__dict__") else ()
    return (_kind(expression) == "Descendants") + sum(_descents(one) for one in inner if not isinstance(one, str))


def _needle(expression: Any) -> str:
    """Return the last key that the path cannot do without; a plain word, so that its bytes show in any spelling."""
    kind = _kind(expression)
    if kind in ("Child", "Descendants"):
        return _needle(expression.right) or _needle(expression.left)
    if kind == "Fields" and len(expression.fields) == 1 and not _is_wildcard(expression):
        name = str(expression.fields[0])
        return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else ""
    return ""


def _is_wildcard(fields: Any) -> bool:
    return bool(getattr(fields, "_deprecated_wildcard_use", "*" in fields.fields))


def _walk(expression: Any, steps: tuple[Step, ...], node: yaml.Node) -> Iterator[Place]:
    """Walk one part of a path from a node."""
    kind = _kind(expression)
    if kind == "Root":
        yield steps, node
    elif kind == "Child":
        for path, inner in _walk(expression.left, steps, node):
            yield from _walk(expression.right, path, inner)
    elif kind == "Descendants":
        # `$..a..b` reaches what is below two nested `a` from both; met twice, time would grow with the depth.
        met: set[tuple[Step, ...]] = set()
        is_single = _kind(expression.left) == "Root"
        for path, inner in _walk(expression.left, steps, node):
            if path in met:  # and so is all below it
                continue
            for place, each in below(path, inner):
                if place not in met:
                    yield from _walk(expression.right, place, each)
                if not is_single:
                    met.add(place)
    else:
        yield from _members(kind, expression, steps, aimed(node))


def _members(kind: str, expression: Any, steps: tuple[Step, ...], node: yaml.Node | None) -> Iterator[Place]:
    """Yield the members of one collection that a single step selects."""
    if kind == "Wildcard" or (kind == "Fields" and _is_wildcard(expression)):
        yield from (((*steps, step), child) for step, child in children(node))
    elif kind == "Fields" and isinstance(node, yaml.MappingNode):
        for name in expression.fields:
            yield from (((*steps, step), child) for step, child in children(node) if step == name)
    elif kind == "Index" and isinstance(node, yaml.SequenceNode):
        for index in getattr(expression, "indices", None) or (expression.index,):
            if -len(node.value) <= index < len(node.value):
                yield (*steps, index % len(node.value)), node.value[index]
    elif kind == "Slice" and isinstance(node, yaml.SequenceNode) and expression.step != 0:
        for index in range(len(node.value))[expression.start : expression.end : expression.step]:
            yield (*steps, index), node.value[index]


def below(steps: tuple[Step, ...], node: yaml.Node) -> Iterator[Place]:
    """Yield a node and everything below it, in document order; aliases are not entered, their anchor is met itself."""
    stack = [(steps, node)]
    while stack:
        path, each = stack.pop()
        yield path, each
        stack += reversed([((*path, step), child) for step, child in children(each)])


def _steps(path: Any) -> Iterator[Step]:
    if hasattr(path, "left"):
        yield from _steps(path.left)
        yield from _steps(path.right)
    elif hasattr(path, "fields"):
        yield from path.fields
    elif hasattr(path, "indices"):
        yield from path.indices
    elif hasattr(path, "index"):
        yield path.index


def _follow(node: yaml.Node, steps: tuple[Step, ...]) -> yaml.Node | None:
    at: yaml.Node | None = node
    for step in steps:
        at = next((child for key, child in children(aimed(at)) if key == step), None)
    return at
