"""The definitions of krmfn's own kinds, as JSON Schema, and the strict reading that follows from them.

One table serves three readers: the checks of what is read, `krmfn schema` for editors, and the reference in `docs/`.
Data that is checked comes from `yamltree.construct`: every scalar is its text, so a boolean is the text `true`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from krmfn.config.definitions import SPECS
from krmfn.config.objects import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.config.objects import Object
    from krmfn.config.shapes import Schema

API_VERSION = "krmfn.dev/v1alpha1"
KINDS = tuple(SPECS)
_DIGITS = 18
"""Of a whole number."""


def document(kind: str) -> Schema:
    """Return the JSON Schema (draft 2020-12) of one of krmfn's own kinds, as editors and `krmfn schema` use it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{API_VERSION} {kind}",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {"type": "object"},
            "spec": SPECS[kind],
        },
    }


def of_kind(objects: Iterable[Object], kind: str) -> Iterator[Object]:
    """Yield the objects of one of krmfn's own kinds."""
    return (one for one in objects if one.id.kind == kind and one.id.api_version == API_VERSION)


def problems(kind: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Check an object of one of the own kinds strictly; yield (field path, what is wrong and what to write)."""
    for key in data:
        if key not in ("apiVersion", "kind", "metadata", "spec"):
            yield key, _unknown(key, ("apiVersion", "kind", "metadata", "spec"))
    yield from _check(data.get("spec") or {}, SPECS[kind], "spec")


def _unknown(key: str, known: tuple[str, ...]) -> str:
    hint = nearest(key, known, 0.5).removeprefix("; ") or f"known here: {', '.join(known)}"
    return f"unknown field; {hint}"


def _check(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if "oneOf" in schema:
        schema = schema["oneOf"][0] if isinstance(data, str) else schema["oneOf"][1]
    yield from _CHECKS[schema["type"]](data, schema, path)


def _check_object(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if data is None:
        data = {}
    if not isinstance(data, dict):
        yield path, f"expected a mapping, found {_seen(data)}"
        return
    known = schema.get("properties", {})
    more = schema.get("additionalProperties", False)
    for key, value in data.items():
        if key in known:
            if value is not None or known[key].get("type") == "object":
                yield from _check(value, known[key], f"{path}.{key}")
        elif more:
            yield from _check(value, more, f"{path}.{key}")
        else:
            yield f"{path}.{key}", _unknown(key, tuple(known))
    for key in schema.get("required", ()):
        if data.get(key) is None:
            yield f"{path}.{key}", f"required: {known[key].get('description', 'missing')}"


def _check_array(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(data, list):
        yield path, f"expected a list, found {_seen(data)}"
        return
    if len(data) > schema.get("maxItems", len(data)):
        yield path, f"at most {schema['maxItems']} entries, found {len(data)}"
    for index, value in enumerate(data):
        yield from _check(value, schema["items"], f"{path}[{index}]")


def _check_string(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(data, str):
        yield path, f"expected text, found {_seen(data)}"
    elif "enum" in schema and data not in schema["enum"]:
        yield path, f"expected one of {', '.join(schema['enum'])}, found {data!r}{nearest(data, schema['enum'], 0.5)}"


def _check_boolean(data: Any, _schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    if data not in ("true", "false"):
        yield path, f"expected true or false, found {_seen(data)}"


def _check_integer(data: Any, schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    is_number = isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= _DIGITS
    if not (is_number and int(data) >= schema.get("minimum", 0)):
        yield path, f"expected a whole number from {schema.get('minimum', 0)} of at most {_DIGITS} digits, found {_seen(data)}"


def _seen(data: Any) -> str:
    if data is None:
        return "nothing"
    if isinstance(data, dict):
        return "a mapping"
    return "a list" if isinstance(data, list) else repr(data)


_CHECKS = {
    "object": _check_object,
    "array": _check_array,
    "string": _check_string,
    "boolean": _check_boolean,
    "integer": _check_integer,
}
