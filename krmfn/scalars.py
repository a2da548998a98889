"""The quoting rules: write a new value where a scalar stands, in the style it stands in.

A plain scalar is quoted when YAML 1.1 or YAML 1.2 would read the new value as anything but a string: the union of
the YAML 1.1 type repository (bool, float, int, merge, null, timestamp, value), the YAML 1.2 core schema and what
yaml.v3 adds (old octal, `0b`, signed and underscored forms).
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from krmfn.yamltext import Edit, Scalar, Text

_WORDS = frozenset(
    {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<", ".inf", "-.inf", "+.inf", ".nan"}
)
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")


class Refusal(NamedTuple):
    """Why an edit cannot be made safely."""

    why: str


def quoted(value: str) -> str:
    r"""Write a value in double quotes so that JSON, YAML 1.1 and YAML 1.2 readers agree.

    >>> print(quoted('a "b"\x7f\u2028'))
    "a \"b\"\u007f\u2028"
    """
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() and "\x7f" not in text else _special().sub(lambda hit: f"\\u{ord(hit[0]):04x}", text)


def _special() -> re.Pattern[str]:
    return re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def is_string(value: str) -> bool:
    """Tell whether a plain scalar with this text is a string to every reader.

    >>> [text for text in ("1.2.3", "1.10", "1e3", "v1", "0x1F", "12e5678", "on", "2024-01-02") if is_string(text)]
    ['1.2.3', 'v1']
    """
    if value.lower() in _WORDS:
        return False
    return value[0] not in "0123456789.+-" or not _numeric().fullmatch(value)


def _numeric() -> re.Pattern[str]:
    """Match numbers, base 60 included, and dates, each a little more widely than any reader does."""
    return re.compile(
        r"""[-+]?(?:0[bB][01_]+|0[oO]?[0-9_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9_]+)?)
        |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?""",
        re.VERBOSE | re.ASCII,
    )


def is_plain(value: str, *, in_flow: bool) -> bool:
    """Tell whether a value may be written without quotes: a string to every reader and safe where it stands."""
    if not is_string(value) or not _safe().fullmatch(value) or ": " in value or value[-1] == ":":
        return False
    return not (in_flow and ("," in value or ":" in value))


def _safe() -> re.Pattern[str]:
    """Match what is certainly plain: the characters of references, tags and versions; no indicator at the start."""
    return re.compile(r"[A-Za-z0-9_./+$(<=-][A-Za-z0-9_./+:@=,~^$()<>*-]*(?<!-)|[A-Za-z0-9_./+][A-Za-z0-9_./+:@=-]*")


def render(text: Text, scalar: Scalar, value: str) -> Edit | Refusal:
    """Make the edit that gives a scalar a new value, or say why it cannot be made."""
    if scalar.tag is not None and scalar.tag not in _STRING_TAGS:
        return Refusal(f"the value carries the tag {scalar.tag}, and a new value would not be one")
    if "\x00" in value:
        return Refusal("the new value holds a NUL")
    if scalar.style in ("|", ">"):
        return _render_block(text, scalar, value)
    written = _written(scalar, value)
    if scalar.start == scalar.end:
        before = text.data[scalar.start - 1 : scalar.start]
        written = written if before.isspace() else " " + written
    return Edit(scalar.start, scalar.end, written.encode())


def _written(scalar: Scalar, value: str) -> str:
    if scalar.style == '"' or scalar.is_json:
        return quoted(value)
    if scalar.style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if scalar.style == "" and is_plain(value, in_flow=scalar.in_flow):
        return value
    return quoted(value)


def _render_block(text: Text, scalar: Scalar, value: str) -> Edit | Refusal:
    """Replace the body of a literal or folded scalar and keep its header line, comment included.

    The whole block becomes the one line; chomping turns to strip, as the value has no line break at its end (Flux).
    """
    if "\n" in value or "\r" in value or not value.strip() or value != value.strip():
        return Refusal("a block scalar is given a single line of text only")
    data = text.data
    line = data.find(b"\n", scalar.start, scalar.end)
    if line < 0:
        return Refusal("the block scalar has no body")
    found = re.compile(rb"([|>])([-+0-9]{0,2})").match(data, scalar.start)
    if found is None:
        return Refusal("the block scalar's header cannot be read")
    body = data[line + 1 : scalar.end]
    first = next((each for each in body.split(b"\n") if each.strip()), b"")
    lead = first[: len(first) - len(first.lstrip(b" "))] or b" " * max(scalar.indent + 2, 1)
    end = b"\r\n" if data[line - 1 : line] == b"\r" else b"\n"
    last = end if body.endswith((b"\n", b"\r")) else b""
    header = found[1] + b"-" + data[found.end() : line + 1]
    return Edit(scalar.start, scalar.end, header + lead + value.encode() + last)
