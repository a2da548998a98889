"""JSON5 as a flow collection of YAML, line for line: what Renovate's configuration is written in."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*(?:"|\Z)|'(?:\\.|[^'\\])*(?:'|\Z))|(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?P<colon>:)|(?P<tab>\t)""",
    re.DOTALL,
)
"""What has no end goes to that of the text, so that nothing is looked through twice."""


def as_yaml(data: bytes) -> bytes:
    r"""Return a text of JSON5 as YAML that says the same on the same lines; bytes that are no UTF-8 are replaced.

    >>> as_yaml(b"{a:1, // one\n'b': ['x',],}")
    b'{a: 1, \n"b":  ["x",],}'
    """
    return _TOKEN.sub(_token, data.decode("utf-8", "replace")).encode()


def _token(match: re.Match[str]) -> str:
    if match["comment"]:
        return "\n" * match["comment"].count("\n")
    if match["colon"]:
        return ": "
    if match["tab"]:
        return " "
    text = match["text"]
    if len(text) < 2 or text[-1] != text[0]:
        return text  # it has no end, as the reader of YAML will say
    body = text[1:-1] if text[0] == '"' else text[1:-1].replace('"', '\\"').replace("\\'", "'")
    return f'"{body}"'
