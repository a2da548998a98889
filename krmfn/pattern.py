"""Patterns and templates of filterTags: Go's regexp dialect through RE2, and Go's Expand.

The engine is google-re2 (linear time); the few constructs it takes and Go refuses are refused here. Error texts are
those of Go's regexp/syntax. Template rules: Go regexp `(*Regexp).expand` and `extract`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from krmfn import dialect
from krmfn.errors import RuleError

MOST_PATTERN_BYTES = 4096
MOST_TEMPLATE_BYTES = 1024
MOST_EXPANDED = 256
_ENGINE_BYTES = 64 << 20
_AT_ONCE = 4096


class Match(NamedTuple):
    """What a pattern found in a tag: the whole match first, then the groups; None for a group that took no part."""

    groups: tuple[str | None, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    r"""A compiled pattern, searched anywhere in a tag.

    >>> Pattern.parse(r"^v(?P<n>\d+)").search("v12.3").groups
    ('v12', '12')
    >>> Pattern.parse("(?=x)")
    Traceback (most recent call last):
    krmfn.errors.RuleError: error parsing regexp: invalid or unsupported Perl syntax: `(?=`
    """

    text: str
    names: tuple[str, ...] = field(compare=False)
    _one: Any = field(compare=False, repr=False)
    _many: Any = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Compile a pattern; raises RuleError with the text of Go."""
        if len(text.encode("utf-8", "surrogatepass")) > MOST_PATTERN_BYTES:
            raise RuleError(f"pattern is too long: {len(text)} characters, at most {MOST_PATTERN_BYTES} bytes")
        tokens = _tokens(_engine_text(text))
        _refuse(tokens)
        names = ("", *(_name(token) for token in tokens if _is_capture(token)))
        lines = _for_lines(tokens)
        if lines is None:
            return cls(text, names, _compile("".join(tokens)), None)
        return cls(text, names, _compile(f"({''.join(tokens)})"), _compile(f"(?m:({lines}).*)", never_nl=True))

    @property
    def shift(self) -> int:
        """Where the engine's match has the whole match: group 1 when tags can be searched together, else 0."""
        return int(self._many is not None)

    def search(self, tag: str) -> Match | None:
        """Find the leftmost match, preferring what the pattern writes first."""
        found = self._one.search(_encode(tag))
        if found is None:
            return None
        return Match(tuple(_decode(found[index + self.shift]) for index in range(len(self.names))), self.names)

    def matches(self, tags: Sequence[str]) -> bytearray:
        """Tell for each tag whether the pattern is found in it: 1 or 0, in the order of the tags."""
        flags = bytearray(len(tags))
        for index, _ in self.scan(tags):
            flags[index] = 1
        return flags

    def scan(self, tags: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Yield the index and the engine's match on bytes for every tag in which the pattern is found, in order.

        Tags are searched together, one to a line, when the pattern means the same there.
        """
        for start in range(0, len(tags), _AT_ONCE):
            some = tags[start : start + _AT_ONCE]
            text = "\n".join(some)
            if self._many is None or text.count("\n") != len(some) - 1:
                for index, tag in enumerate(some, start):
                    if (found := self._one.search(_encode(tag))) is not None:
                        yield index, found
            else:
                yield from self._scan_lines(_encode(text), start)

    def _scan_lines(self, text: bytes, start: int) -> Iterator[tuple[int, Any]]:
        ends: list[int] = []
        end = line = 0
        for found in self._many.finditer(text):
            ends = ends or list(accumulate(len(line) + 1 for line in text.split(b"\n")))
            at = found.start()
            # A line gives one match; what is found behind it in the same line is a second search.
            if at >= end:
                line = bisect_right(ends, at, line)
                end = ends[line]
                yield start + line, found


@dataclass(frozen=True, slots=True)
class Template:
    """A template of Go's Expand: text, `$name`, `${name}`, `$1`, `$$`.

    >>> found = Pattern.parse("^v(?P<major>[0-9]+)[.]([0-9]+)").search("v12.3")
    >>> Template.parse("$major-${2}$$$1x").expand(found)
    '12-3$'
    """

    text: str
    parts: tuple[str | tuple[str, int], ...] = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template; every text is one, so only its length can be wrong (RuleError)."""
        if len(text.encode("utf-8", "surrogatepass")) > MOST_TEMPLATE_BYTES:
            raise RuleError(f"template is too long: {len(text)} characters, at most {MOST_TEMPLATE_BYTES} bytes")
        return cls(text, tuple(_parts(text)))

    def expand(self, match: Match) -> str:
        """Fill in the template; a group that is unknown or took no part is empty. Raises RuleError beyond the limit."""
        return _bounded("".join(_text_of(part, match) for part in self.parts), self.text)

    def expander(self, pattern: Pattern) -> Callable[[Any], str]:
        """Answer a function from the engine's match (see Pattern.scan) to the expanded text."""
        parts = [part if isinstance(part, str) else _indices(part, pattern.names, pattern.shift) for part in self.parts]
        if len(parts) == 1 and isinstance(parts[0], tuple) and len(parts[0]) == 1:
            (only,) = parts[0]
            return lambda found: _decode(found[only]) or ""

        def expand(found: Any) -> str:
            texts = (part if isinstance(part, str) else _first(found, part) for part in parts)
            return _bounded("".join(texts), self.text)

        return expand


def _first(found: Any, indices: tuple[int, ...]) -> str:
    return next((_decode(text) or "" for index in indices if (text := found[index]) is not None), "")


def _indices(part: tuple[str, int], names: tuple[str, ...], shift: int = 0) -> tuple[int, ...]:
    name, number = part
    if number >= 0:
        return (number + shift,) if number < len(names) else ()
    return tuple(index for index, known in enumerate(names, shift) if known == name)


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


def _decode(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "surrogatepass")


def _engine_text(text: str) -> str:
    """Compile, and answer the pattern in the words of RE2, which knows fewer names of classes than Go."""
    try:
        _compile(text)
    except RuleError:
        short = dialect.short_names(_tokens(text))
        if short == text:
            raise
        _compile(short)
        return short
    return text


def _compile(text: str, *, never_nl: bool = False) -> Any:
    import re2

    options = re2.Options()
    # The engine would print the pattern to stderr.
    options.log_errors = False
    options.max_mem = _ENGINE_BYTES
    options.never_nl = never_nl
    try:
        return re2.compile(_encode(text), options)
    except re2.error as error:
        words = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error.args[0])
        raise RuleError(f"error parsing regexp: {dialect.go_error(text, words)}") from None


@cache
def _token_grammar() -> re.Pattern[str]:
    escape = r"\\[pP]\{[^}]*\}|\\."
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
    if "\\C" in tokens:
        raise RuleError("error parsing regexp: invalid escape sequence: `\\C`")
    for opener in filter(_is_capture, tokens):
        if not opener.isascii():
            raise RuleError(f"error parsing regexp: invalid named capture: `{opener}`")


def _for_lines(tokens: list[str]) -> str | None:
    r"""Write the pattern for tags that stand one to a line, or None when it would mean something else there.

    The engine never matches a line end then; text anchors become line anchors.
    """
    if any(token.startswith("(?") and "<" not in token and "m" in token for token in tokens):
        return None
    if tokens and tokens[-1].startswith("\\Q") and not tokens[-1].endswith("\\E"):
        return None
    lines = {"\\A": "^", "\\z": "$"}
    return "".join(lines.get(token, token) for token in tokens)
