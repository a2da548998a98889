"""Lexer of Go's text/template: text and actions, the tokens of an action, the values of constants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from krmfn.gotemplate.values import TemplateError


class Token(NamedTuple):
    """One token of an action; `glued` is True when no blank stands before it."""

    kind: str
    text: str
    at: int
    glued: bool


def place(source: str, at: int) -> tuple[int, int]:
    """Return line and column, from one, of an offset in the source."""
    return source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)


@cache
def _token_grammar() -> re.Pattern[str]:
    return re.compile(
        r"""(?P<blank>[ \t\r\n]+)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<raw>`[^`]*`)|(?P<char>'(?:[^'\\\n]|\\.[^']*)')
        |(?P<number>[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?))(?![\w.])
        |(?P<variable>\$\w*)|(?P<field>\.[^\W\d]\w*)|(?P<dot>\.)|(?P<name>[^\W\d]\w*)|(?P<sign>:=|[=|(),])""",
        re.VERBOSE,
    )


class Piece(NamedTuple):
    """A stretch of the source: text as it stands, or the inside of an action."""

    text: str
    start: int
    is_action: bool


def pieces(source: str) -> Iterator[Piece]:
    """Yield text and actions in order; `{{-` and `-}}` trim the text beside them, comments are left out."""
    at, trims = 0, False
    while True:
        start = source.find("{{", at)
        text = source[at : start if start >= 0 else len(source)]
        text = text.lstrip(" \t\r\n") if trims else text
        if start < 0:
            yield Piece(text, at, is_action=False)
            return
        inner = start + 2
        if re.match(r"-[ \t\r\n]", source[inner : inner + 2]):  # without the blank it is the sign of a number
            text, inner = text.rstrip(" \t\r\n"), inner + 2
        yield Piece(text, at, is_action=False)
        end = _end(source, inner)
        body = source[inner:end]
        trims = re.search(r"[ \t\r\n]-$", body) is not None
        body = body[:-1] if trims else body
        if not re.fullmatch(r"[ \t\r\n]*/\*.*\*/[ \t\r\n]*", body, re.DOTALL):
            yield Piece(body, inner, is_action=True)
        at = end + 2


def _end(source: str, start: int) -> int:
    """Return the offset of the `}}` that ends an action; one inside a string or a comment does not."""
    ends = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|/\*.*?\*/|\'(?:[^\'\\\n]|\\.)+\'|(\}\})', re.DOTALL)
    for hit in ends.finditer(source, start):
        if hit[1]:
            return hit.start()
    raise TemplateError("unclosed action: there is no }} behind this {{", *place(source, start - 2))


def tokens_of(source: str, piece: Piece) -> Iterator[Token]:
    """Yield the tokens of an action. Raise TemplateError at what is no token."""
    at, end, glued = piece.start, piece.start + len(piece.text), False
    while at < end:
        match = _token_grammar().match(source, at, end)
        if match is None or match.lastgroup is None:
            what = "unterminated string" if source[at] in "\"'`" else f"unexpected {source[at]!r} in command"
            raise TemplateError(what, *place(source, at))
        if match.lastgroup != "blank":
            yield Token(match.lastgroup, match[0], at, glued)
        glued, at = match.lastgroup != "blank", match.end()


def constant(token: Token, source: str) -> object:
    """Return the value of a string, character or number. Raise TemplateError for one out of range."""
    try:
        if token.kind == "raw":
            return token.text[1:-1]
        if token.kind == "string":
            return _unquoted(token.text[1:-1])
        if token.kind == "char":
            return ord(_unquoted(token.text[1:-1]))
        return _number(token.text)
    except (ValueError, TypeError, OverflowError):
        shown = token.text if len(token.text) < 80 else f"{token.text[:80]}..."
        raise TemplateError(f"bad constant {shown}", *place(source, token.at)) from None


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        # `0777` is octal to Go; the other prefixes are those of Python, and what is no integer is a float
        number = int(plain, 8 if re.fullmatch(r"[-+]?0[0-7]+", plain) else 0)
    except ValueError:
        if plain.lstrip("+-").isdigit():  # `089`
            raise OverflowError from None
        return float(plain)
    if not -(1 << 63) <= number < 1 << 64:
        raise OverflowError
    return number


def _unquoted(text: str) -> str:
    simple = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

    def one(hit: re.Match[str]) -> str:
        code = hit[1]
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code[0].isdigit() else simple.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", one, text)
