"""JSONPath over composed YAML: jsonpath-ng finds on plain data, the places are followed back to nodes with spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from krmfn.errors import RuleError
from krmfn.yamltext import children, construct, join_path


@dataclass(frozen=True, slots=True)
class JSONPath:
    """A compiled JSONPath. `needle` is a literal key that any document it matches must hold, or empty."""

    text: str
    expression: Any
    needle: str

    @classmethod
    def parse(cls, text: str) -> JSONPath:
        """Compile a path; raises RuleError with what jsonpath-ng says."""
        try:
            expression = _parser(text)(text)
        except Exception as error:  # jsonpath-ng raises its own and ply's errors, all meaning the same
            raise RuleError(
                f"{text!r} is not a JSONPath: {error}", help="for example $.spec.values.image.tag"
            ) from error
        names = [] if "," in text else re.findall(r"[A-Za-z_][\w-]*", re.sub(r"\[\?.*?\]|\[['\"].*?['\"]\]", "", text))
        return cls(text, expression, names[-1] if names else "")

    def find(self, root: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
        """Yield (path, node) of every match below `root`, in document order of the matches."""
        for match in self.expression.find(construct(root)):
            steps = tuple(_steps(match.full_path))
            node = _follow(root, steps)
            if node is not None:
                yield join_path(steps), node


def _parser(text: str) -> Callable[[str], Any]:
    """Answer the parser that the text needs; filters are an extension that costs more to import."""
    if "?" in text or "`" in text:
        from jsonpath_ng.ext import parser as extended

        parse: Callable[[str], Any] = extended.parse
        return parse
    from jsonpath_ng import parser

    return parser.parse


def _steps(path: Any) -> Iterator[str | int]:
    if hasattr(path, "left"):
        yield from _steps(path.left)
        yield from _steps(path.right)
    elif hasattr(path, "fields"):
        yield from path.fields
    elif hasattr(path, "indices"):
        yield from path.indices
    elif hasattr(path, "index"):
        yield path.index


def _follow(node: yaml.Node, steps: tuple[str | int, ...]) -> yaml.Node | None:
    found: yaml.Node | None = node
    for step in steps:
        found = next((child for key, child in children(found) if key == step), None) if found is not None else None
    return found
