"""The quoting rules: write a new value where a scalar stands, in the style it stands in.

A plain scalar is quoted when YAML 1.1 or YAML 1.2 would read the new value as anything but a string: the union of
the YAML 1.1 type repository (bool, float, int, merge, null, timestamp, value), the YAML 1.2 core schema and what
yaml.v3 adds (old octal, `0b`, signed and underscored forms).
"""

from __future__ import annotations

import re

from krmfn.namedtuple import NamedTuple
from krmfn.yamledit.text import BREAK, Edit, Scalar, Text

_WORDS = frozenset(
    {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "=", "<<", ".inf", "-.inf", "+.inf", ".nan"}
)
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_SAFE = r"[A-Za-z0-9_/+](?:[A-Za-z0-9_./+@=~^-]|:(?=[A-Za-z0-9_./+@=~^-]))*"
_SPECIAL = "[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
_NUMERIC = r"""[-+]?(?:0[bB][01_]+|0[oO]?[0-9_]+|0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?
    |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9_]+)?)
    |[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"""
"""Numbers, base 60 included, and dates, each a little more widely than any reader takes them."""


class Refusal(NamedTuple):
    """Why an edit cannot be made safely."""

    why: str


def quoted(value: str) -> str:
    r"""Write a value in double quotes so that JSON, YAML 1.1 and YAML 1.2 readers agree.

    >>> print(quoted('a "b"\x7f\u2028'))
    "a \"b\"\u007f\u2028"
    """
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    from json.encoder import encode_basestring  # json.dumps(ensure_ascii=False) of a text, without an encoder each

    text: str = encode_basestring(value)
    if text.isascii() and "\x7f" not in text:
        return text
    return re.sub(_SPECIAL, lambda hit: f"\\u{ord(hit[0]):04x}", text)


def is_string(value: str) -> bool:
    """True if a plain scalar with this text is a string to every reader.

    >>> [text for text in ("1.2.3", "1.10", "1e3", "v1", "0x1F", "12e5678", "on", "2024-01-02") if is_string(text)]
    ['1.2.3', 'v1']
    """
    if value.lower() in _WORDS:
        return False
    return value[0] not in "0123456789.+-" or re.fullmatch(_NUMERIC, value, re.VERBOSE | re.ASCII) is None


def reads_as_text(scalar: Scalar) -> bool:
    """True if every reader takes the scalar for a string as it is written: `tag: 1.10` is the number 1.1 to most."""
    return bool(scalar.style) or scalar.tag in _STRING_TAGS or is_string(scalar.value)


def is_plain(value: str, *, in_flow: bool) -> bool:
    """True if a value may be written without quotes: a string to every reader and safe where it stands.

    Plain are the characters of references, tags and versions; whatever else a value holds, it is quoted.
    """
    return is_string(value) and bool(re.fullmatch(_SAFE, value)) and not (in_flow and ":" in value)


def render(text: Text, scalar: Scalar, value: str) -> Edit | Refusal:
    """Make the edit that gives a scalar a new value, or say why it cannot be made."""
    if scalar.tag is not None and scalar.tag not in _STRING_TAGS:
        return Refusal(f"it carries the tag {scalar.tag.replace('tag:yaml.org,2002:', '!!')}; remove the tag")
    if scalar.is_part:
        return _render_part(scalar, value)
    if scalar.style in ("|", ">"):
        return _render_block(text, scalar, value)
    written = _written(scalar, value)
    if scalar.start == scalar.end:
        return _render_absent(text, scalar, written, value)
    if scalar.host:
        return _render_piece(scalar, written)
    blank = " " if scalar.anchored and not text.data[scalar.start - 1 : scalar.start].isspace() else ""
    return Edit(scalar.start, scalar.end, (blank + written).encode(), scalar.value, value)


def _render_piece(scalar: Scalar, written: str) -> Edit | Refusal:
    """Write a piece of a longer scalar, through the quotes of every scalar around it."""
    piece = written  # in the end what stands in the value of the outermost scalar, which the proof of edits compares
    for style in scalar.hosts:
        if style == "" and not re.fullmatch(_SAFE, written):
            return Refusal("it stands in text without quotes, where this value would need some")
        piece = written
        written = quoted(written)[1:-1] if style == '"' else written.replace("'", "''") if style == "'" else written
    return Edit(scalar.start, scalar.end, written.encode(), scalar.piece, piece, scalar.host)


def _render_part(scalar: Scalar, value: str) -> Edit | Refusal:
    """Replace one word of a longer scalar; its characters mean the same in every style."""
    if not re.fullmatch(_SAFE, value):
        return Refusal("a word inside text takes letters, digits and signs of references alone")
    return Edit(scalar.start, scalar.end, value.encode(), scalar.value, value, scalar.host)


def _render_absent(text: Text, scalar: Scalar, written: str, value: str) -> Edit | Refusal:
    """Write a value where none is written: behind the colon or the dash, or behind the anchor or tag."""
    before = text.data[max(scalar.start - 256, 0) : scalar.start]
    if not before.rstrip(b" \t").endswith((b":", b"-", b",", b"[")) and not (scalar.anchored or scalar.tag):
        return Refusal("it has no value and no colon to put one behind")
    blank = "" if before.endswith((b" ", b"\t", b"\n", b"[")) else " "
    return Edit(scalar.start, scalar.end, (blank + written).encode(), scalar.value, value)


def _written(scalar: Scalar, value: str) -> str:
    """Write a value in the scalar's own quotes; a plain one gets quotes when it needs them."""
    if scalar.style == '"' or scalar.is_json or not value.isprintable():
        return quoted(value)
    if scalar.style == "'":
        return single_quoted(value)
    if is_plain(value, in_flow=scalar.in_flow and ":" not in scalar.value):  # who wrote one colon plainly reads another
        return value
    if scalar.value and is_string(value) and _frame(value) == _frame(scalar.value):  # only words of a text changed
        return value
    return single_quoted(value) if is_plain(value, in_flow=False) else quoted(value)


def _frame(text: str) -> str:
    """Return what stands between the words of a text, each of them one `x`, so that no quote, blank or sign is new."""
    return re.sub(r"[A-Za-z0-9_./@-]*[A-Za-z0-9_]|(?<=[A-Za-z0-9_]):(?=[A-Za-z0-9_])", "x", text, flags=re.ASCII)


def single_quoted(value: str) -> str:
    """Write a printable value in single quotes."""
    return "'" + value.replace("'", "''") + "'"


def _render_block(text: Text, scalar: Scalar, value: str) -> Edit | Refusal:
    """Replace the body of a literal or folded scalar and keep its header line, comment included.

    The value becomes the one line of the block, and chomping turns to strip as Flux has it. The line breaks below stay;
    blanks behind the text and in the lines below go, as some would become part of the value.
    """
    if not value or value != value.strip() or not value.isprintable():
        return Refusal("a block scalar takes one line of printable text")
    raw = text.data[scalar.start : scalar.end]
    breaks = re.compile(BREAK)
    end = breaks.search(raw)
    header = re.compile(rb"([|>])[-+0-9]{0,2}").match(raw)
    if header is None or end is None:
        return Refusal("the block scalar has no body")
    body = raw[end.end() :]
    content = _content(body)
    # the first line with text sets the indentation of the block; without one it is two deeper than the collection
    first = next((line for line in breaks.split(content) if line.strip()), b"")
    lead = first[: len(first) - len(first.lstrip(b" "))] if first else b" " * (max(scalar.indent, 0) + 2)
    head = header[1] + b"-" + raw[header.end() : end.end()]
    below = b"".join(breaks.findall(body[len(content) :])) if content else end[0]
    return Edit(scalar.start, scalar.end, head + lead + value.encode() + below, scalar.value, value)


def _content(body: bytes) -> bytes:
    """Take blank lines and line breaks, as YAML 1.1 knows them, off the end of a block scalar's body."""
    while (stripped := body.rstrip(b" \t\r\n")).endswith((b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")):
        body = stripped[: -2 if stripped.endswith(b"\xc2\x85") else -3]
    return stripped
