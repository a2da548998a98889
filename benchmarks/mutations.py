"""Small breaks of Python source: what `benchmarks.mutants` draws from.

A mutation is one edit of the text, so that the rest of the file stays as it is. No mutation is made of what runs nothing:
docstrings, annotations, TYPE_CHECKING blocks, decorators, `__all__`, the text of an f-string, messages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Where(NamedTuple):
    """Lines of a statement that runs when a function is called, or the name that a statement defines when a module is imported."""

    lines: range
    name: str


class Mutation(NamedTuple):
    """Replace the bytes from `start` to `end` of a file."""

    path: str
    where: Where
    start: int
    end: int
    new: str
    kind: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "//"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: (r"\|", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
ASKED = {"startswith", "endswith", "get", "removeprefix", "removesuffix", "split", "rsplit", "partition", "rpartition", "strip", "lstrip", "rstrip", "find", "count", "replace", "pop"}  # fmt: skip
"""Methods whose text arguments decide something."""
JUMPS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Source:
    """A file: its bytes, its tree, where nodes start and end."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source, self.tree = path, source, ast.parse(source)
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        return self.source[self.start(node) : self.end(node)].decode()

    def mutations(self) -> Iterator[Mutation]:
        """Yield every mutation of the file; of those that drop an operand with brackets around it, some are no Python."""
        for node, where in running(self.tree):
            for start, end, new, kind in self._of(node):
                yield Mutation(self.path, where, start, end, new, kind)

    def _of(self, node: ast.AST) -> Iterator[tuple[int, int, str, str]]:
        match node:
            case ast.Compare():
                operands = [node.left, *node.comparators]
                for operator, (left, right) in zip(node.ops, pairwise(operands), strict=True):
                    yield from self._between(left, right, *COMPARISONS[type(operator)], "comparison")
            case ast.BoolOp():
                old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                yield from self._between(*node.values[:2], old, new, "and/or")
                for (left, right), dropped in zip(pairwise(node.values), node.values[1:], strict=True):
                    yield self._after(left, right), self.end(dropped), "", "operand dropped"
                yield self.start(node.values[0]), self.start(node.values[1]), "", "operand dropped"
            case ast.UnaryOp(op=ast.Not()):
                yield self.start(node), self.start(node.operand), "", "not"
            case ast.BinOp() if type(node.op) in ARITHMETIC and not any(map(_is_text, (node.left, node.right))):
                yield from self._between(node.left, node.right, *ARITHMETIC[type(node.op)], "arithmetic")
            case ast.If() | ast.IfExp():
                yield self.start(node.test), self.end(node.test), f"not ({self.text(node.test)})", "branches swapped"
                if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], JUMPS):
                    yield self.start(node.test), self.end(node.test), "False", "guard removed"
            case ast.comprehension():
                for test in node.ifs:
                    yield self.start(test), self.end(test), "True", "filter removed"
            case ast.Constant(value=bool()):
                yield self.start(node), self.end(node), str(not node.value), "constant"
            case ast.Constant(value=int() | float()):
                for step in (-1, 1):
                    yield self.start(node), self.end(node), f"({node.value + step})", "constant"
            case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
                yield self.start(node.value), self.end(node.value), "None", "return value"
            case ast.Raise() | ast.AugAssign() | ast.Expr(value=ast.Call()):
                yield self.start(node), self.end(node), "pass", "statement removed"
            case ast.Continue():
                yield self.start(node), self.end(node), "break", "jump"
            case ast.Break():
                yield self.start(node), self.end(node), "continue", "jump"
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield self.start(node.func), self.end(node.func), CALLS[name], "call"
        for text in _texts(node):
            start = self.start(text)
            opened = re.match(rb"[bB]?('''|\"\"\"|'|\")", self.source[start:])
            if opened and text.value:
                yield start + opened.end(), start + opened.end(), "~", "text"

    def _after(self, left: ast.expr, right: ast.expr) -> int:
        """Return where what stands between two operands begins, behind closing brackets of the left one."""
        between = self.source[self.end(left) : self.start(right)]
        return self.end(left) + between.rfind(b")") + 1

    def _between(self, left: ast.expr, right: ast.expr, old: str, new: str, kind: str) -> Iterator[tuple[int, int, str, str]]:
        start = self.end(left)
        if found := re.search(rb"(?<![\w])" + old.encode() + rb"(?![\w])", self.source[start : self.start(right)]):
            yield start + found.start(), start + found.end(), new, kind


def is_python(source: bytes) -> bool:
    """Return whether a text is Python still: an operand may have been dropped without its brackets."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the texts that a node decides by: compared, looked up, collected."""
    match node:
        case ast.Compare():
            within = [node.left, *node.comparators]
        case ast.Set() | ast.Tuple() | ast.List():
            within = node.elts
        case ast.Dict():
            within = [key for key in node.keys if key]
        case ast.Subscript():
            within = [node.slice]
        case ast.Call(func=ast.Attribute(attr=method)) if method in ASKED:
            within = node.args[:1]
        case _:
            return
    for one in within:
        if isinstance(one, ast.Constant) and isinstance(one.value, str | bytes):
            yield one


def running(tree: ast.Module) -> Iterator[tuple[ast.AST, Where]]:
    """Yield every node that is run, with where."""
    todo: list[tuple[ast.AST, Where, bool]] = [(tree, Where(range(0), ""), False)]
    while todo:
        node, where, is_called = todo.pop()
        if isinstance(node, ast.stmt):
            where = _where(node, where, is_called=is_called)
        yield node, where
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list", "type_params", "bases"}:
                continue
            inside = is_called or (isinstance(node, ast.FunctionDef) and name == "body")
            children = reversed(value) if isinstance(value, list) else [value]
            todo += [(child, where, inside) for child in children if isinstance(child, ast.AST) and _runs(child)]


def _where(node: ast.stmt, outer: Where, *, is_called: bool) -> Where:
    if is_called:
        body = getattr(node, "body", None)
        last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
        return Where(range(node.lineno, last + 1), "")
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return Where(range(0), node.name)
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if not outer.name:
            return Where(range(0), name)
    return outer


def _runs(node: ast.AST) -> bool:
    """Return False for docstrings, annotations, f-strings, imports and what is for types alone."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Assert():
            return False
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign(targets=[ast.Name(id="__all__")]):
            return False
        case ast.Call(func=ast.Name(id="cast" | "TypeVar" | "NewType")):
            return False
        case ast.FunctionDef():
            return not any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
    return True


def room(path: str) -> str:
    """Return the room of a path of the package: its folder under krmfn, or `values` for the modules at the top."""
    parts = Path(path).parts
    return parts[1] if len(parts) > 2 else "values"
