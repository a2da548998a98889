"""Read `WWW-Authenticate` (RFC 9110 section 11.6.1): several challenges, in one header or many, quoted or not."""

from __future__ import annotations

import re
from typing import NamedTuple

_LIMIT = 8 << 10
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_piece = re.compile(rf'[\s,]*+(?:({_WORD})\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]++))|({_WORD})(?=\s|,|$))', re.ASCII)
"""A parameter, or a word alone, which is the scheme of the next challenge: commas part both, and `=` tells them apart.

Possessive throughout, so that no character is tried in two ways: the time is linear in the length.
"""


class Challenge(NamedTuple):
    """One way to log in that a server offers; scheme and parameter names are lower case."""

    scheme: str
    parameters: dict[str, str]


def parse(header: str) -> tuple[Challenge, ...]:
    """Read every challenge; what cannot be read ends the reading.

    >>> parse('Negotiate, Bearer realm="https://a/token",service=a, Basic realm="x, y"')[1]
    Challenge(scheme='bearer', parameters={'realm': 'https://a/token', 'service': 'a'})
    """
    challenges: list[Challenge] = []
    position = 0
    header = header[:_LIMIT]
    while piece := _piece.match(header, position):
        key, quoted, plain, scheme = piece.groups()
        if scheme:
            challenges.append(Challenge(scheme.lower(), {}))
        elif challenges:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            challenges[-1].parameters.setdefault(key.lower(), value)
        position = piece.end()
    return tuple(challenges)
