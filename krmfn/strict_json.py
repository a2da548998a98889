"""JSON from outside, read strictly and within bounds: UTF-8, no key twice, no NaN, and only so many values."""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VALUES = 20_000
"""Values of a document, unless its reader says otherwise; each takes a hundred bytes of memory and more."""
_TEXT = 1 << 20
"""Bytes without a quotation mark; an escape at the end of a long text would make every character of it four bytes."""
DEPTH = 200
"""Collections inside each other. Python's own limit is no guard: what is freed while it is reached cannot clean up."""


def parse(data: bytes | bytearray, values: int = VALUES, objects: int = VALUES) -> dict[str, Any]:
    """Read a JSON object; see `read`."""
    value = read(data, values, objects)
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - the input is wrong, not the program
    return value


def read(data: bytes | bytearray, values: int = VALUES, objects: int = VALUES) -> Any:
    """Read a JSON document; raises ValueError, whose text quotes nothing of it.

    Values are counted before any is made: each but the first stands behind one of `,[{`. Objects take the
    most memory and have a limit of their own.
    """
    if sum(map(data.count, b",[{")) > values:
        raise ValueError(f"has more than {values} values")
    if data.count(b"{") > objects:
        raise ValueError(f"has more than {objects} objects")
    if any(data.find(b'"', start, start + _TEXT) < 0 for start in range(0, len(data) - _TEXT, _TEXT)):
        raise ValueError(f"has a text of more than {_TEXT >> 10} KiB")
    if is_deep(data):
        raise ValueError("is nested too deeply")
    try:
        return json.loads(data.decode(), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except _StrictError as error:
        raise ValueError(str(error)) from None
    except ValueError:  # Python's limit for digits
        raise ValueError("has a number that is too long") from None


def is_deep(data: bytes | bytearray) -> bool:
    """True if more than DEPTH collections are open at once; brackets in texts do not count."""
    if data.count(b"[") + data.count(b"{") <= DEPTH:
        return False
    depth = 0
    # A text is one token, to the end where it is not closed, so that a bracket in it counts for nothing.
    for token in re.finditer(rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', data):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > DEPTH:
            return True
    return False


class _StrictError(ValueError):
    pass


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _StrictError("has a key twice")
    return mapping


def _no_constant(text: str) -> None:
    raise _StrictError(f"has {text}, which is not JSON")
