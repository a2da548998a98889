"""Execution of a parsed template on data. Bounded in steps, depth and output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from krmfn.gotemplate.functions import COPYING, COST, FUNCTIONS, SHALLOW, mismatch, not_defined
from krmfn.gotemplate.parser import MOST_DEPTH, Branch, Call, Jump, Node, Operand, Pipe, Template, Text
from krmfn.gotemplate.tokens import place
from krmfn.gotemplate.values import (
    MISSING,
    MOST_TEXT,
    TemplateError,
    in_order,
    is_list,
    is_struct,
    is_true,
    kind,
    shown,
)

MOST_STEPS = 100_000
MOST_WORK = 2_000_000
"""Characters and values that the functions of one run look at and make; what stands in several places counts in each."""


class _Stop(Exception):  # noqa: N818 - control flow, no error
    def __init__(self, kind: str) -> None:
        self.kind = kind


Functions = Mapping[str, Callable[..., Any]]


def render(template: Template, data: Any, functions: Functions = FUNCTIONS) -> str:
    """Return what a template writes. Raise TemplateError with line and column."""
    run = _Run(template, data, functions)
    run.walk(template.nodes, data)
    return "".join(run.out)


class _Run:
    def __init__(self, template: Template, data: Any, functions: Functions) -> None:
        self.template, self.functions = template, functions
        self.out: list[str] = []
        self.size = self.steps = self.depth = self.work = 0
        self.variables: list[tuple[str, Any]] = [("$", data)]

    def fail(self, message: str, at: int) -> TemplateError:
        return TemplateError(message, *place(self.template.source, at))

    def step(self, at: int) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise self.fail(f"template takes more than {MOST_STEPS} steps", at)

    def weigh(self, values: Iterable[Any], at: int, cost: int = 0) -> None:
        """Count all that values hold: a list that holds itself twice, and so on, is small and prints without an end."""
        todo = list(values)
        self.work += cost
        while todo and self.work <= MOST_WORK:
            value = todo.pop()
            self.work += len(value) if isinstance(value, str) else 1
            if isinstance(value, dict):
                todo += (*value, *value.values())
            elif isinstance(value, list | tuple):
                todo += value
        if self.work > MOST_WORK:
            raise self.fail(f"template works on more than {MOST_WORK} characters and values", at)

    def shown(self, value: Any, at: int) -> str:
        """Return the text of a value."""
        self.weigh((value,), at)
        return shown(value)

    def write(self, text: str, at: int = 0) -> None:
        self.size += len(text)
        if self.size > MOST_TEXT:
            raise self.fail(f"template writes more than {MOST_TEXT} characters", at)
        self.out.append(text)

    def walk(self, nodes: tuple[Node, ...], dot: Any) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.write(node.text)
            elif isinstance(node, Pipe):
                value = self.value(node, dot)
                if not node.names:
                    self.write("<no value>" if value is None else self.shown(value, node.at), node.at)
            elif isinstance(node, Branch):
                self._branch(node, dot)
            elif isinstance(node, Jump):
                raise _Stop(node.kind)
            else:
                self._call(node, dot)

    def _branch(self, node: Branch, dot: Any) -> None:
        kept = len(self.variables)
        try:
            if node.kind == "range":
                self._range(node, dot)
                return
            value = self.value(node.pipe, dot)
            if is_true(value):
                self.walk(node.body, value if node.kind == "with" else dot)
            else:
                self.walk(node.other, dot)
        finally:
            del self.variables[kept:]

    def _range(self, node: Branch, dot: Any) -> None:
        # the names of a range are declared for each turn below, not for the whole that is ranged over
        value = self.value(node.pipe._replace(names=()), dot)
        pairs = self._pairs(value, node.pipe.at)
        kept, pair = len(self.variables), None
        for pair in pairs:
            self.step(node.pipe.at)
            self._declare(node.pipe, pair[1:] if len(node.pipe.names) == 1 else pair)
            try:
                self.walk(node.body, pair[1])
            except _Stop as stop:
                if stop.kind == "break":
                    break
            finally:
                del self.variables[kept:]
        if pair is None:
            self.walk(node.other, dot)

    def _pairs(self, value: Any, at: int) -> Iterator[tuple[Any, Any]]:
        if isinstance(value, dict):
            return ((key, value[key]) for key in in_order(value))
        if is_list(value):
            return iter(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return ((index, index) for index in range(value))
        if value is None or value is MISSING:
            return iter(())
        raise self.fail(f"range can't iterate over {self.shown(value, at)}", at)

    def _call(self, node: Call, dot: Any) -> None:
        if node.name not in self.template.defined:
            raise self.fail(f"template {node.name!r} not defined", node.at)
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise self.fail(f"templates call each other more than {MOST_DEPTH} deep", node.at)
        data = self.value(node.pipe, dot) if node.pipe else None
        # a template sees none of its caller's variables, and as $ what it is called with
        outer, self.variables = self.variables, [("$", data)]
        self.walk(self.template.defined[node.name], data)
        self.variables = outer
        self.depth -= 1

    def _declare(self, pipe: Pipe, values: tuple[Any, ...]) -> None:
        for name, value in zip(pipe.names, values, strict=False):
            if pipe.assigns:
                index = self._index(name, pipe.at)
                self.variables[index] = (name, value)
            else:
                self.variables.append((name, value))

    def _index(self, name: str, at: int) -> int:
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                return index
        raise self.fail(f"undefined variable {name!r}", at)

    def value(self, pipe: Pipe, dot: Any) -> Any:
        """Run the commands of a pipeline; each gets the value before it as its last argument."""
        last: list[Any] = []
        for command in pipe.commands:
            self.step(pipe.at)
            last = [self._command(command, last, dot)]
        self._declare(pipe, tuple(last))
        return last[0]

    def _command(self, command: tuple[Operand, ...], more: list[Any], dot: Any) -> Any:
        first, *rest = command
        if first.kind == "function":
            return self._fields(self._function(first, rest, more, dot), first)
        if rest or more:
            raise self.fail(f"can't give argument to non-function {_spelled(first)}", first.at)
        return self._operand(first, dot)

    def _function(self, named: Operand, operands: list[Operand], more: list[Any], dot: Any) -> Any:
        name = str(named.value)
        if name in ("and", "or"):  # not a call of a function: what decides ends it, and the rest is not evaluated
            return self._logic(name, operands, more, dot)
        function = self.functions.get(name)
        if function is None:
            raise self.fail(not_defined(name, self.functions), named.at)
        values = [self._operand(operand, dot) for operand in operands] + more
        arguments = [None if value is MISSING else value for value in values]
        if wrong := mismatch(function, arguments):
            raise self.fail(f"error calling {name}: {wrong}", named.at)
        return self._apply(name, function, arguments, named.at)

    def _apply(self, name: str, function: Callable[..., Any], arguments: list[Any], at: int) -> Any:
        if name in SHALLOW and not any(map(is_struct, arguments)):
            copied = sum(len(argument) for argument in arguments if isinstance(argument, list | dict))
            self.weigh((), at, copied if name in COPYING else 1)
        else:
            self.weigh(arguments, at, COST.get(name, 0))
        try:
            value = function(*arguments)
        except TemplateError as error:
            raise (error if error.line else self.fail(error.message, at)) from None
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
            # functions check no more than Python does; only a ValueError is about the value, and says what is wrong
            reason = f"wrong arguments ({', '.join(map(kind, arguments))})"
            if isinstance(error, ValueError):
                reason = str(error).partition("\n")[0]
            raise self.fail(f"error calling {name}: {reason}", at) from None
        if isinstance(value, str):
            if len(value) > MOST_TEXT:
                raise self.fail(f"{name} makes a text of more than {MOST_TEXT} characters", at)
            self.weigh((value,), at)
        return value

    def _logic(self, name: str, operands: list[Operand], more: list[Any], dot: Any) -> Any:
        value: Any = None
        for operand in operands:
            value = self._operand(operand, dot)
            if is_true(value) == (name == "or"):
                return value
        return more[0] if more else value

    def _operand(self, operand: Operand, dot: Any) -> Any:
        value: Any = dot if operand.kind == "dot" else operand.value
        if operand.kind == "variable":
            value = self.variables[self._index(value, operand.at)][1]
        elif operand.kind == "pipe":
            value = self.value(value, dot)
        elif operand.kind == "function":
            value = self._function(operand, [], [], dot)
        return self._fields(value, operand)

    def _fields(self, value: Any, operand: Operand) -> Any:
        for name in operand.fields:
            value = self._field(value, name, operand.at)
        return value

    def _field(self, value: Any, name: str, at: int) -> Any:
        if isinstance(value, Mapping):
            return value.get(name, MISSING)
        if value is MISSING:
            return MISSING
        if value is None:
            raise self.fail(f"nil data; no entry for key {name!r}", at)
        if is_struct(value) and not name.startswith("_"):
            removed: dict[str, str] = getattr(value, "go_removed", dict)()
            if name in removed:
                raise self.fail(removed[name], at)
            if name in (*value._fields, *getattr(value, "go_methods", tuple)()):
                member = getattr(value, name)
                return member() if callable(member) else member
        raise self.fail(f"can't evaluate field {name} in {kind(value)} {self.shown(value, at)[:60]}", at)


def _spelled(operand: Operand) -> str:
    head = {"dot": "", "nil": "nil"}.get(operand.kind, str(operand.value))
    return head + "".join(f".{name}" for name in operand.fields) or "."
