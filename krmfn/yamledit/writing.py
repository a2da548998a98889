"""Values as YAML text in the two styles that edits write: JSON in one line, and block lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from krmfn.yamledit.scalars import is_plain, quoted

Value = str | int | Mapping[str, "Value"] | Sequence["Value"]


class Plain(str):
    """A text that is written as it is, without quotes."""

    __slots__ = ()


def flow(value: Value) -> str:
    """Write a value as JSON in one line.

    >>> flow({"path": "a.yaml", "index": 0, "tags": ["1.10"]})
    '{"path": "a.yaml", "index": 0, "tags": ["1.10"]}'
    """
    if isinstance(value, Plain | int):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)}: {flow(part)}" for key, part in value.items()) + "}"
    return "[" + ", ".join(map(flow, value)) + "]"


def block_lines(value: Value, column: int, step: int = 2, *, dash: int = 0) -> Iterator[str]:
    """Yield the lines of a collection in block style. `dash` is how far the items of a list are indented below its key.

    Texts are quoted: kustomize sends items through JSON, where a plain 1.10 becomes 1.1.

    >>> list(block_lines({"a": {"b": "1.10"}, "c": ["x", {"d": 1, "e": Plain("y")}]}, 0))
    ['a:', '  b: "1.10"', 'c:', '- "x"', '- d: 1', '  e: y']
    """
    space = " " * column
    if isinstance(value, Mapping):
        for name, part in value.items():
            if part and not isinstance(part, str | int):
                yield f"{space}{_key(name)}:"
                deeper = step if isinstance(part, Mapping) else dash
                yield from block_lines(part, column + deeper, step, dash=dash)
            else:
                yield f"{space}{_key(name)}: {flow(part)}"
    elif not isinstance(value, str | int):
        for item in value:
            if item and isinstance(item, Mapping):
                lines = block_lines(item, column + 2, step, dash=dash)
                yield f"{space}- {next(lines).lstrip(' ')}"
                yield from lines
            else:
                yield f"{space}- {flow(item)}"


@lru_cache(256)
def _key(name: str) -> str:
    return name if is_plain(name, in_flow=False) else quoted(name)
