"""Read `Link` by its grammar (RFC 8288 section 3, lists of RFC 9110 section 5.6.1): what is no Link header is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LIMIT = 64 << 10
"""Characters of all Link headers of one answer."""
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_fold = re.compile(r"\r?\n[ \t]+")
_blanks = re.compile(r"[ \t,]*+")
_target = re.compile(r"<((?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)>")
_parameter = re.compile(rf"[ \t]*+;[ \t]*+(?:({_WORD})[ \t]*+(?:=[ \t]*+(?:({_WORD})|({_QUOTED})))?)?")
_end = re.compile(r"[ \t]*+(?:,|$)")


class Link(NamedTuple):
    """One link. `relations` are lower case, None when it says none; `context` is its `anchor`, None without one."""

    target: str
    relations: tuple[str, ...] | None
    context: str | None


def links(header: str) -> Iterator[Link]:
    r"""Yield the links of a header, or of several joined by commas; raises ValueError where it leaves the grammar.

    >>> [link.target for link in links(', <?last=a,b;c>;REL="prev Next"\t,')]
    ['?last=a,b;c']
    """
    if len(header) > LIMIT:
        raise ValueError(f"is longer than {LIMIT >> 10} KiB")
    header = _fold.sub(" ", header)
    position = _after(_blanks, header, 0)
    while position < len(header):
        target = _target.match(header, position)
        if target is None:
            raise ValueError(f"cannot be read at character {position + 1}: expected <URL>")
        position = target.end()
        parameters: list[tuple[str, str]] = []
        while parameter := _parameter.match(header, position):
            name, token, quoted = parameter.groups()
            value = re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else token or ""
            parameters += [(name.lower(), value)] if name else []
            position = parameter.end()
        if not _end.match(header, position):
            raise ValueError(f"cannot be read at character {position + 1}: expected a parameter, a comma or the end")
        yield _link(target[1], parameters)
        position = _after(_blanks, header, position)


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _link(target: str, parameters: list[tuple[str, str]]) -> Link:
    """Make a link of its parameters; of several `rel` the first counts, but no later one may say `next` alone."""
    relations = [tuple(value.lower().split()) for name, value in parameters if name == "rel"]
    if any("next" in later and "next" not in relations[0] for later in relations[1:]):
        raise ValueError("says rel twice")
    context = next((value for name, value in parameters if name == "anchor"), None)
    return Link(target, relations[0] if relations else None, context)
