"""Sprig's functions on lists, dicts, numbers and defaults: https://masterminds.github.io/sprig/."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from functools import reduce
from itertools import zip_longest
from typing import Any

from krmfn.gotemplate.values import MISSING, Strings, TemplateError, in_order, is_list, is_struct, is_true, kind, shown

MOST = 10_000
"""Entries of a list that a function makes."""
_COLLECTIONS = 200
"""Lists and objects of a JSON text."""


def _many(values: Iterable[Any]) -> list[Any]:
    entries = list(values)
    if len(entries) > MOST:
        raise TemplateError(f"a list of more than {MOST} entries")
    return entries


def _until(*bounds: int) -> list[int]:
    if any(abs(bound) > MOST for bound in bounds[:2]):
        raise TemplateError(f"a list of more than {MOST} entries")
    if len(bounds) == 1:
        return list(range(0, bounds[0], 1 if bounds[0] >= 0 else -1))
    return list(range(*bounds)) if bounds[2] else []


def _concat(*lists: Any) -> list[Any]:
    for values in lists:
        if not is_list(values):
            raise TemplateError(f"error calling concat: Cannot concat type {kind(values)} as list")
    return _many(value for values in lists for value in values)


def _uniq(values: Any) -> list[Any]:
    distinct: dict[tuple[str, str], Any] = {}  # by what is seen of a value: lists have no hash, and 1 is True to Python
    for value in values:
        distinct.setdefault((kind(value), shown(value)), value)
    return list(distinct.values())


def _texts(values: Any) -> list[str]:
    return list(map(shown, values if is_list(values) else [values]))


def _plain(value: Any) -> Any:
    if is_struct(value):
        return {name: _plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, dict):
        return {shown(key): _plain(value[key]) for key in in_order(value)}
    return [_plain(part) for part in value] if is_list(value) else None if value is MISSING else value


def _json(value: Any) -> str:
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _from_json(text: str) -> Any:
    if text.count("[") + text.count("{") > _COLLECTIONS:  # before any is entered: Python's limit on depth is no guard
        raise TemplateError(f"error calling fromJson: more than {_COLLECTIONS} lists and objects")
    return json.loads(text)


def _dict(*pairs: Any) -> dict[Any, Any]:
    return {shown(key): value for key, value in zip_longest(pairs[::2], pairs[1::2], fillvalue="")}


def _merge(first: dict[Any, Any], *others: dict[Any, Any]) -> dict[Any, Any]:
    for other in others:
        for key, value in other.items():
            first.setdefault(key, value)
    return first


def _set(mapping: dict[Any, Any], key: str, value: Any) -> dict[Any, Any]:
    mapping[key] = value
    return mapping


def _unset(mapping: dict[Any, Any], key: str) -> dict[Any, Any]:
    mapping.pop(key, None)
    return mapping


def _dig(*parts: Any) -> Any:
    *keys, default, value = parts
    for key in keys:
        if isinstance(value, Strings):
            raise TemplateError("error calling dig: the map is map[string]string, not map[string]interface {}")
        if not isinstance(value, dict) or key not in value:
            return default
        value = value[key]
    return value


def _int(value: Any) -> int:
    if isinstance(value, str):
        is_integer = re.match(r"[-+]?[0-9]+$", value.strip())
        return int(value) if is_integer and len(value) < 20 else 0
    return int(value) if isinstance(value, int | float) else 0


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0


def _fold(operation: Callable[[int, int], int], *more: int) -> Callable[..., int]:
    def run(*values: Any) -> int:
        total = reduce(operation, [*map(_int, values), *more])
        if abs(total) >= 1 << 63:
            raise TemplateError("a number beyond 64 bits")
        return total

    return run


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise TemplateError("error calling div: runtime error: integer divide by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _round(value: Any, digits: int, _half: float = 0.5) -> float:
    scale = 10.0**digits
    return math.floor(_float(value) * scale + _half) / scale


def _fail(message: str) -> str:
    raise TemplateError(f"error calling fail: {message}")


def _slice(values: Any, *bounds: int) -> Any:
    """Stand in for Go's `slice`, as sprig's does: lists only."""
    if not values:
        return None
    start, end = (*bounds, *(0, len(values))[len(bounds) :])
    if not 0 <= start <= end <= len(values):
        raise TemplateError("error calling slice: index out of range")
    return list(values[start:end])


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": _fold(lambda left, right: left + right),
    "add1": _fold(lambda left, right: left + right, 1),
    "all": lambda *values: all(map(is_true, values)),
    "any": lambda *values: any(map(is_true, values)),
    "append": lambda values, value: [*values, value],
    "atoi": _int,
    "ceil": lambda value: float(math.ceil(_float(value))),
    "coalesce": lambda *values: next(filter(is_true, values), None),
    "compact": lambda values: list(filter(is_true, values)),
    "concat": _concat,
    "default": lambda default, value=None: value if is_true(value) else default,
    "dict": _dict,
    "dig": _dig,
    "div": _fold(_quotient),
    "empty": lambda value: not is_true(value),
    "fail": _fail,
    "first": lambda values: values[0] if values else None,
    "float64": _float,
    "floor": lambda value: float(math.floor(_float(value))),
    "fromJson": _from_json,
    "get": lambda mapping, key: mapping.get(key, ""),
    "has": lambda value, values: value in values,
    "hasKey": lambda mapping, key: key in mapping,
    "initial": lambda values: list(values[:-1]),
    "int": _int,
    "int64": _int,
    "keys": lambda mapping, *others: _many(key for each in (mapping, *others) for key in each),
    "kindIs": lambda name, value: kind(value) == name,
    "kindOf": kind,
    "last": lambda values: values[-1] if values else None,
    "list": lambda *values: list(values),
    "max": _fold(max),
    "merge": _merge,
    "min": _fold(min),
    "mod": _fold(lambda left, right: int(math.fmod(left, right))),
    "mul": _fold(lambda left, right: left * right),
    "omit": lambda mapping, *keys: {key: value for key, value in mapping.items() if key not in keys},
    "pick": lambda mapping, *keys: {key: mapping[key] for key in keys if key in mapping},
    "pluck": lambda key, *mappings: [mapping[key] for mapping in mappings if key in mapping],
    "prepend": lambda values, value: [value, *values],
    "push": lambda values, value: [*values, value],
    "rest": lambda values: list(values[1:]),
    "reverse": lambda values: list(reversed(values)),
    "round": _round,
    "set": _set,
    "slice": _slice,
    "sortAlpha": lambda value: sorted(_texts(value)),
    "sub": _fold(lambda left, right: left - right),
    "ternary": lambda yes, no, holds: yes if holds else no,
    "toJson": _json,
    "toStrings": _texts,
    "tuple": lambda *values: list(values),
    "uniq": _uniq,
    "unset": _unset,
    "until": _until,
    "untilStep": _until,
    "values": lambda *mappings: _many(value for mapping in mappings for value in mapping.values()),
    "without": lambda values, *others: [value for value in values if value not in others],
}
