"""The functions of commit message templates: Go's own, and those of sprig's hermetic set that work on plain data.

Semantics: https://pkg.go.dev/text/template and https://masterminds.github.io/sprig/ (v3). Left out are sprig's
cryptography, dates, semver, reflection and URLs: a commit message has no use for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote_plus

from krmfn.gotemplate import sprig_lists, sprig_text
from krmfn.gotemplate.values import (
    MISSING,
    Strings,
    TemplateError,
    equal,
    formatted,
    is_list,
    is_struct,
    is_true,
    kind,
    less,
    printed,
    shown,
)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str) and not any(is_struct(name) for name in value):
                raise TemplateError(f"error calling index: value has type {kind(key)}; should be string")
            value = value.get(key, "" if isinstance(value, Strings) else MISSING)
        elif is_list(value) or isinstance(value, str):
            if not isinstance(key, int) or not 0 <= key < len(value):
                raise TemplateError(f"error calling index: index out of range: {shown(key)}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            raise TemplateError(f"error calling index: can't index item of type {shown(value)}")
    return value


def _length(value: Any) -> int:
    if value is None or value is MISSING or isinstance(value, int | float) or is_struct(value):
        raise TemplateError(f"error calling len: len of {shown(value)}")
    return len(value.encode()) if isinstance(value, str) else len(value)


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("error calling eq: missing argument for comparison")
    return any(equal(first, other) for other in others)


def _le(left: Any, right: Any) -> bool:
    return less(left, right) or equal(left, right)


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})
_BUILTIN: dict[str, Callable[..., Any]] = {
    "eq": _eq,
    "ge": lambda left, right: not less(left, right),
    "gt": lambda left, right: not _le(left, right),
    "html": lambda *parts: printed(parts).translate(_HTML),
    "index": _index,
    "le": _le,
    "len": _length,
    "lt": less,
    "ne": lambda left, right: not equal(left, right),
    "not": lambda value: not is_true(value),
    "print": lambda *parts: printed(parts),
    "printf": formatted,
    "println": lambda *parts: " ".join(map(shown, parts)) + "\n",
    "urlquery": lambda *parts: quote_plus(printed(parts), safe=""),
}

FUNCTIONS: dict[str, Callable[..., Any]] = {**sprig_text.FUNCTIONS, **sprig_lists.FUNCTIONS, **_BUILTIN}


COPYING = frozenset({"append", "prepend", "push"})
SHALLOW = COPYING | {
    "coalesce", "default", "dig", "empty", "eq", "first", "get", "hasKey", "index", "kindIs", "kindOf", "last", "len", "list", "ne", "not", "set", "ternary",
}  # fmt: skip
"""Functions that look no deeper than at their arguments themselves; all others may look at everything in them."""
COST = dict.fromkeys(("regexFind", "regexFindAll", "regexMatch", "regexReplaceAll", "regexReplaceAllLiteral", "regexSplit"), 1000)
"""What functions cost besides: a pattern is compiled."""
_KINDS: dict[str, str] = {
    **dict.fromkeys(
        ("text", "part", "path", "chars", "joint", "old", "new", "pattern", "replacement", "many", "key"), "string"
    ),
    **dict.fromkeys(("count", "start", "end", "width", "digits"), "int"),
    "holds": "bool",
    "values": "slice",
    "mapping": "map",
}
"""What a parameter of a function takes, by its name."""


def mismatch(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    """Return what is wrong with the kind of an argument, as Go would refuse it; '' if all fit."""
    code = function.__code__ if hasattr(function, "__code__") else None
    names = code.co_varnames[: code.co_argcount] if code else ()
    for name, value in zip(names, arguments, strict=False):
        wanted, actual = _KINDS.get(name), "map[string]string" if isinstance(value, Strings) else kind(value)
        if wanted not in (None, actual):
            return f"wrong type for value; expected {wanted}; got {actual}"
    return ""


def not_defined(name: str, functions: Iterable[str]) -> str:
    """Return the message about a function that does not exist, with the nearest name of those that do."""
    from difflib import get_close_matches

    near = get_close_matches(name, [*functions, "and", "or"], 1)
    hint = f"; did you mean {near[0]}?" if near else "; docs/commands.md lists the functions that krmfn knows"
    return f'function "{name}" not defined{hint}'
