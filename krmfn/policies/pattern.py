"""Patterns and templates of filterTags: Go's regexp dialect through RE2, and Go's Expand.

The engine is google-re2 (linear time); the few constructs it takes and Go refuses are refused here. Error texts are
those of Go's regexp/syntax. Template rules: Go regexp `(*Regexp).expand` and `extract`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from krmfn.errors import RuleError
from krmfn.policies import dialect
from krmfn.policies.engine import Find, Spans, compile_pattern

MOST_PATTERN_BYTES = 4096
MOST_TEMPLATE_BYTES = 1024
MOST_EXPANDED = 256
_AT_ONCE = 4096


class Match(NamedTuple):
    """What a pattern found in a tag: the whole match first, then the groups; None for a group that took no part."""

    groups: tuple[str | None, ...]
    names: tuple[str, ...]


class Pattern(NamedTuple):
    r"""A compiled pattern, searched anywhere in a tag.

    >>> Pattern.parse(r"^v(?P<n>\d+)").search("v12.3").groups
    ('v12', '12')
    >>> Pattern.parse("(?=x)")
    Traceback (most recent call last):
    krmfn.errors.RuleError: error parsing regexp: invalid or unsupported Perl syntax: `(?=`
    """

    text: str
    names: tuple[str, ...]
    find_one: Find
    find_many: Find | None

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Compile a pattern; raises RuleError with the text of Go."""
        if len(text.encode("utf-8", "surrogatepass")) > MOST_PATTERN_BYTES:
            raise RuleError(f"pattern is too long: {len(text)} characters, at most {MOST_PATTERN_BYTES} bytes")
        one, tokens = _compile(text)
        _refuse(tokens)
        names = ("", *(_name(token) for token in tokens if _is_capture(token)))
        lines = _for_lines(tokens)
        return cls(text, names, one, None if lines is None else compile_pattern(f"(?m:{lines})", never_nl=True))

    def search(self, tag: str) -> Match | None:
        """Find the leftmost match, preferring what the pattern writes first."""
        data = _encode(tag)
        spans = self.find_one(data, 0, len(data))
        return None if spans[0][0] < 0 else Match(tuple(_text(data, span) for span in spans), self.names)

    def matches(self, tags: Sequence[str]) -> bytearray:
        """Return for each tag whether the pattern is found in it: 1 or 0, in the order of the tags."""
        flags = bytearray(len(tags))
        for index, _, _ in self.scan(tags):
            flags[index] = 1
        return flags

    def scan(self, tags: Sequence[str]) -> Iterator[tuple[int, bytes, Spans]]:
        """Yield the index, a text and the spans in it for every tag in which the pattern is found, in order.

        Tags are searched together, one to a line, when the pattern means the same there.
        """
        for start in range(0, len(tags), _AT_ONCE):
            some = tags[start : start + _AT_ONCE]
            text = "\n".join(some)
            if self.find_many is not None and text.count("\n") == len(some) - 1:
                yield from _scan_lines(self.find_many, _encode(text), start)
                continue
            for index, tag in enumerate(some, start):
                data = _encode(tag)
                spans = self.find_one(data, 0, len(data))
                if spans[0][0] >= 0:
                    yield index, data, spans


def _scan_lines(find: Find, text: bytes, index: int) -> Iterator[tuple[int, bytes, Spans]]:
    """Search all lines; behind a match the search goes on in the next line, so that each line gives one."""
    counted = at = 0
    size = len(text)
    while (spans := find(text, at, size))[0][0] >= 0:
        start, end = spans[0]
        index += text.count(b"\n", counted, start)
        yield index, text, spans
        at = text.find(b"\n", end) + 1
        if not at:
            return
        counted, index = at, index + 1  # line ends before `counted` are in `index` already


class Template(NamedTuple):
    """A template of Go's Expand: text, `$name`, `${name}`, `$1`, `$$`.

    >>> found = Pattern.parse("^v(?P<major>[0-9]+)[.]([0-9]+)").search("v12.3")
    >>> Template.parse("$major-${2}$$$1x").expand(found)
    '12-3$'
    """

    text: str
    parts: tuple[str | tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template; every text is one, so only its length can be wrong (RuleError)."""
        if len(text.encode("utf-8", "surrogatepass")) > MOST_TEMPLATE_BYTES:
            raise RuleError(f"template is too long: {len(text)} characters, at most {MOST_TEMPLATE_BYTES} bytes")
        return cls(text, tuple(_parts(text)))

    def expand(self, match: Match) -> str:
        """Fill in the template; a group that is unknown or took no part is empty. Raises RuleError beyond the limit."""
        return _bounded("".join(_text_of(part, match) for part in self.parts), self.text)

    def expander(self, pattern: Pattern) -> Callable[[bytes, Spans], str]:
        """Return a function from a text and the spans in it (see Pattern.scan) to the expanded text."""
        parts = [part if isinstance(part, str) else _indices(part, pattern.names) for part in self.parts]
        if len(parts) == 1 and isinstance(only := parts[0], tuple) and len(only) == 1:
            return _one_group(only[0], self.text)

        def expand(text: bytes, spans: Spans) -> str:
            texts = [part if isinstance(part, str) else _first(text, spans, part) for part in parts]
            return _bounded("".join(texts), self.text)

        return expand


def _one_group(index: int, template: str) -> Callable[[bytes, Spans], str]:
    def expand(text: bytes, spans: Spans) -> str:
        start, end = spans[index]
        if end - start > MOST_EXPANDED:
            return _bounded(_first(text, spans, (index,)), template)
        return text[start:end].decode("utf-8", "surrogatepass") if start >= 0 else ""

    return expand


def _first(text: bytes, spans: Spans, indices: tuple[int, ...]) -> str:
    for index in indices:
        start, end = spans[index]
        if start >= 0:
            return text[start:end].decode("utf-8", "surrogatepass")
    return ""


def _indices(part: tuple[str, int], names: tuple[str, ...]) -> tuple[int, ...]:
    name, number = part
    if number >= 0:
        return (number,) if number < len(names) else ()
    return tuple(index for index, known in enumerate(names) if known == name)


def _text_of(part: str | tuple[str, int], match: Match) -> str:
    if isinstance(part, str):
        return part
    return next((text for index in _indices(part, match.names) if (text := match.groups[index]) is not None), "")


def _bounded(text: str, template: str) -> str:
    if len(text) > MOST_EXPANDED:
        raise RuleError(f"extract {template!r} makes a text of {len(text)} characters, at most {MOST_EXPANDED}")
    return text


def _parts(template: str) -> Iterator[str | tuple[str, int]]:
    text, dollar, rest = template.partition("$")
    while dollar:
        if rest.startswith("$"):
            text, rest = text + "$", rest[1:]
        elif (reference := _reference(rest)) is None:
            text += "$"
        else:
            if text:
                yield text
            name, rest = reference
            yield name, _number(name)
            text = ""
        more, dollar, rest = rest.partition("$")
        text += more
    if text:
        yield text


def _reference(text: str) -> tuple[str, str] | None:
    is_braced = text.startswith("{")
    start = end = int(is_braced)
    while end < len(text) and (text[end] == "_" or text[end].isalpha() or text[end].isdecimal()):
        end += 1
    if end == start or (is_braced and text[end : end + 1] != "}"):
        return None
    return text[start:end], text[end + is_braced :]


def _number(name: str) -> int:
    if not (name.isascii() and name.isdigit()) or (name[0] == "0" and len(name) > 1) or len(name) > 9:
        return -1
    return int(name)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes, span: tuple[int, int]) -> str | None:
    return None if span[0] < 0 else data[span[0] : span[1]].decode("utf-8", "surrogatepass")


def _compile(text: str) -> tuple[Find, list[str]]:
    """Compile a pattern and cut it into tokens, both in the spelling of the engine. Raises RuleError in the words of Go."""
    tokens = _tokens(text)
    spelled = dialect.engine_spelling(tokens) if "\\p" in text or "\\P" in text else tokens
    written = "".join(spelled)
    try:
        return compile_pattern(written), _tokens(written)
    except RuleError as error:
        if written == text:
            raise
        message = error.message.replace(written, text)
        raise RuleError(dialect.go_words(message, tokens)) from None


@cache
def _token_grammar() -> re.Pattern[str]:
    escape = r"\\[pP](?:\{[^}]*\}|[A-Za-z])|\\."
    literal = r"\\Q.*?(?:\\E|\Z)"
    char_class = r"\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]"
    group = r"\(\?P?<[^>]*>|\(\?[^:)]*[:)]"
    return re.compile(rf"{literal}|{escape}|{char_class}|{group}|.", re.DOTALL)


def _tokens(pattern: str) -> list[str]:
    """Cut a pattern that the engine took into literals, escapes, classes and group openers."""
    return _token_grammar().findall(pattern)


def _is_capture(piece: str) -> bool:
    return piece == "(" or piece.startswith(("(?P<", "(?<"))


def _name(token: str) -> str:
    return token[token.index("<") + 1 : -1] if "<" in token else ""


def _refuse(tokens: list[str]) -> None:
    """Raise RuleError for what the engine takes and Go does not."""
    if (count := dialect.oversized_repeat(tokens)) is not None:
        raise RuleError(f"error parsing regexp: invalid repeat count: `{count}`")
    if "\\C" in tokens:
        raise RuleError("error parsing regexp: invalid escape sequence: `\\C`")
    for opener in filter(_is_capture, tokens):
        if not opener.isascii():
            raise RuleError(f"error parsing regexp: invalid named capture: `{opener}`")


def _for_lines(tokens: list[str]) -> str | None:
    r"""Write the pattern for tags that stand one to a line, or None when it would mean something else there.

    The engine never matches a line end then; text anchors become line anchors.
    """
    # A flag m of its own would end the line mode that is put around the pattern, or mean lines inside a tag.
    if any(token.startswith("(?") and "<" not in token and "m" in token for token in tokens):
        return None
    # A \Q without an end would quote the `)` that is put behind the pattern.
    if tokens and tokens[-1].startswith("\\Q") and not tokens[-1].endswith("\\E"):
        return None
    lines = {"\\A": "^", "\\z": "$"}
    return "".join(lines.get(token, token) for token in tokens)
