"""Sprig's `regex*` functions for commit messages: Go's dialect, by the engine that filterTags use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from krmfn.errors import RuleError
from krmfn.gotemplate.values import TemplateError, check_length
from krmfn.policies.pattern import Match, Pattern, Template


def _pattern(text: str) -> Any:
    import re2

    try:
        Pattern.parse(text)
    except RuleError as error:
        raise TemplateError(f"invalid regular expression: {error}") from None
    return re2.compile(text)


def _matches(pattern: str, text: str) -> Iterator[Any]:
    """Find as Go does: an empty match that touches the one before is none."""
    end = -1
    for hit in _pattern(pattern).finditer(text):
        if hit.end() > hit.start() or hit.start() != end:
            yield hit
        end = hit.end()


def _regex_find(pattern: str, text: str) -> str:
    hit = _pattern(pattern).search(text)
    return hit[0] if hit else ""


def _regex_find_all(pattern: str, text: str, count: int) -> list[str]:
    hits = [hit[0] for hit in _matches(pattern, text)]
    return hits if count < 0 else hits[:count]


def _replaced(pattern: str, text: str, new: Callable[[Any], str]) -> str:
    parts, end, length = [], 0, 0
    for hit in _matches(pattern, text):
        parts += [text[end : hit.start()], new(hit)]
        end, length = hit.end(), length + len(parts[-1])
        check_length(length)
    return "".join((*parts, text[end:]))


def _regex_replace(pattern: str, text: str, replacement: str) -> str:
    names = Pattern.parse(pattern).names
    try:
        template = Template.parse(replacement)
        return _replaced(pattern, text, lambda hit: template.expand(Match((hit[0], *hit.groups()), names)))
    except RuleError as error:
        raise TemplateError(f"error calling regexReplaceAll: {error}") from None


def _regex_split(pattern: str, text: str, count: int) -> list[str]:
    parts: list[str] = []
    at = 0
    for hit in _pattern(pattern).finditer(text):
        if 0 < count <= len(parts) + 1:
            break
        parts.append(text[at : hit.start()])
        at = hit.end()
    return [*parts, text[at:]]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "regexFind": _regex_find,
    "regexFindAll": _regex_find_all,
    "regexMatch": lambda pattern, text: _pattern(pattern).search(text) is not None,
    "regexReplaceAll": _regex_replace,
    "regexReplaceAllLiteral": lambda pattern, text, replacement: _replaced(pattern, text, lambda _: replacement),
    "regexSplit": _regex_split,
}
