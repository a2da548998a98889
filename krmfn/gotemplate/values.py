"""Values as Go's templates see them: truth, text, comparison, formatting. Python's values stand for Go's.

A NamedTuple stands for a struct, a tuple or list for a slice, a dict for a map.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from math import isinf, isnan
from typing import Any

MOST_TEXT = 1 << 20
"""Characters that a template may write."""


class TemplateError(Exception):
    """A template cannot be read or run. Line and column count from one; zero means unknown."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        self.message, self.line, self.column = message, line, column
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(place + message)


class Missing:
    """The value of a key that a map lacks; prints as Go prints it."""

    def __str__(self) -> str:
        """Return Go's text for it."""
        return "<no value>"


MISSING = Missing()


class Strings(dict[str, str]):
    """A map of texts: what it lacks is an empty text, and functions on maps of anything refuse it, as in Go."""


def is_struct(value: Any) -> bool:
    """Return True if a value stands for a struct."""
    return isinstance(value, tuple) and hasattr(value, "_fields")


def is_list(value: Any) -> bool:
    """Return True if a value stands for a slice."""
    return isinstance(value, list | tuple) and not is_struct(value)


def is_true(value: Any) -> bool:
    """Return True if `if` takes the branch: an empty value is false, a struct is true."""
    return is_struct(value) or (bool(value) and value is not MISSING)


def in_order(mapping: dict[Any, Any]) -> list[Any]:
    """Return the keys of a map in the order in which `range` visits them; structs stand behind texts."""
    return sorted(mapping, key=lambda key: (is_struct(key), key))


def check_length(count: int) -> None:
    """Raise TemplateError for a text that would have so many characters, if that is too many."""
    if count > MOST_TEXT:
        raise TemplateError(f"the text would have more than {MOST_TEXT} characters")


def shown(value: Any) -> str:
    """Return the text that `fmt.Print` writes for a value.

    >>> shown({"b": (1, 2), "a": None}), shown(1e21), shown(True)
    ('map[a:<nil> b:[1 2]]', '1e+21', 'true')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{shown(key)}:{shown(value[key])}" for key in in_order(value)) + "]"
    if hasattr(value, "go_string"):
        return str(value.go_string())
    if isinstance(value, list | tuple):
        text = " ".join(map(shown, value))
        return f"[{text}]" if is_list(value) else f"{{{text}}}"
    return str(value)


def _float(value: float) -> str:
    if isnan(value) or isinf(value):
        return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return re.sub(r"e([-+])(\d)$", r"e\g<1>0\2", repr(value))


def kind(value: Any) -> str:
    """Return Go's kind of a value, in the words of the template package."""
    if is_struct(value):
        return "struct"
    names = {bool: "bool", int: "int", float: "float64", str: "string", dict: "map", list: "slice", tuple: "slice"}
    return next((name for type_, name in names.items() if isinstance(value, type_)), "invalid")


def equal(left: Any, right: Any) -> bool:
    """Return True if two basic values are equal. Raise TemplateError for kinds that do not compare."""
    kinds = {kind(left), kind(right)}
    if kinds & {"map", "slice"} or (len(kinds) > 1 and "invalid" not in kinds):
        raise TemplateError("error calling eq: incompatible types for comparison")
    return bool(left == right)


def less(left: Any, right: Any) -> bool:
    """Return True if `left` sorts before `right`. Raise TemplateError unless both are of one ordered kind."""
    if kind(left) != kind(right):
        raise TemplateError("error calling lt: incompatible types for comparison")
    if kind(left) not in ("int", "float64", "string"):
        raise TemplateError("error calling lt: invalid type for comparison")
    return bool(left < right)


def printed(parts: Iterable[Any]) -> str:
    """Return values joined as `fmt.Sprint` does: a blank between two values that are no strings."""
    text = ""
    before: Any = ""
    for part in parts:
        if text and not isinstance(part, str) and not isinstance(before, str):
            text += " "
        text += shown(part)
        before = part
    return text


def formatted(template: str, *values: Any) -> str:
    """Return values formatted as `fmt.Sprintf` does: verbs v s q d x X o b t f e g c with flags, width and precision."""
    left = list(values)

    def one(hit: re.Match[str]) -> str:
        flags, width, precision, verb = hit.groups()
        if verb == "%":
            return "%"
        if not left:
            return f"%!{verb}(MISSING)"
        if int(width or 0) > 1000 or int(precision or 0) > 1000:
            raise TemplateError("error calling printf: width or precision over 1000")
        return _padded(_verb(left.pop(0), verb, flags, precision), flags, int(width or 0))

    text = re.sub(r"%([-+# 0]*)(\d{0,9})(?:\.(\d{0,9}))?([a-zA-Z%])", one, template)
    extra = ", ".join(f"{_go_type(value)}={shown(value)}" for value in left)
    return text + (f"%!(EXTRA {extra})" if left else "")


def _go_type(value: Any) -> str:
    return {"map": "map[string]interface {}", "slice": "[]interface {}"}.get(kind(value), kind(value))


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and re.fullmatch(r"[-+]?[\d.]+", text):
        return text.zfill(width)
    return text.rjust(width)


def _verb(value: Any, verb: str, flags: str, precision: str | None) -> str:
    if verb == "v" or (verb == "s" and not isinstance(value, bool | int | float)):
        text = shown(value)
        return text[: int(precision)] if precision and verb == "s" else text
    if verb == "q" and isinstance(value, str):
        return quoted(value)
    if verb == "q" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 0x110000:
        return f"'{chr(value) if chr(value).isprintable() else ascii(chr(value))[1:-1]}'"
    if verb == "t" and isinstance(value, bool):
        return shown(value)
    if verb in "dxXob" and isinstance(value, int) and not isinstance(value, bool):
        return format(value, ("+" if "+" in flags else "") + verb)
    if verb in "xX" and isinstance(value, str):
        digits = value.encode().hex()
        return digits.upper() if verb == "X" else digits
    if verb in "feEgG" and isinstance(value, float):
        sign = "+" if "+" in flags else ""
        return _float(value) if verb == "g" and not precision else format(value, f"{sign}.{precision or 6}{verb}")
    if verb == "c" and isinstance(value, int):
        return chr(value)
    return f"%!{verb}({_go_type(value)}={shown(value)})"


def quoted(text: str) -> str:
    r"""Return a text quoted as Go's `%q` does.

    >>> print(quoted('a"b\n'))
    "a\"b\n"
    """
    return json.dumps(text, ensure_ascii=False).replace("\u007f", "\\x7f")
