"""YAML of new documents that krmfn writes itself, by ruamel.yaml: block style, keys in the order given."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from krmfn.yamledit.scalars import is_string

_WIDEST = 1 << 30
"""Lines are never folded."""


class Quoted(str):
    """A text that is always written in quotes: kustomize sends items through JSON, where a plain 1.10 becomes 1.1."""

    __slots__ = ()


def document(data: Mapping[str, Any], *, dash: int = 0) -> str:
    """Write one document without the leading `---`. `dash` is how far the dash of a list is indented below its key.

    Texts are quoted where any reader of YAML 1.1 or 1.2 could take them for something else, and what does not show is escaped.

    >>> print(document({"a": ["1.10", "yes", "x"], "b": {"c": True}}), end="")
    a:
    - "1.10"
    - "yes"
    - x
    b:
      c: true
    """
    from ruamel.yaml import YAML

    writer, text = YAML(), StringIO()
    writer.width = _WIDEST
    writer.indent(mapping=2, sequence=2 + dash, offset=dash)
    writer.representer.ignore_aliases = lambda _: True
    writer.dump(_styled(data), text)
    return "".join(char if char.isprintable() or char == "\n" else f"\\U{ord(char):08x}" for char in text.getvalue())


def _styled(value: Any) -> Any:
    """Return a value in which every text has the style that it is to be written in."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, Mapping):
        return {_styled(key): _styled(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_styled(part) for part in value]
    if not isinstance(value, str):
        return value
    if "\n" in value and all(line == line.rstrip() and line.isprintable() for line in value.split("\n")):
        return LiteralScalarString(value)
    return DoubleQuotedScalarString(value) if isinstance(value, Quoted) or not (value.isprintable() and is_string(value)) else str(value)
