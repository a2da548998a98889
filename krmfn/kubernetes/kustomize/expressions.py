"""The regular expressions of kustomizations: Go's dialect, anchored at both ends; and those of filters, which search."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

_is_simple = re.compile(r"[A-Za-z0-9_/:@.-]+").fullmatch
"""An expression that reads alike in Go and in Python, which spares importing RE2."""
_LONGEST = 1000


@cache
def matcher(expression: str) -> Callable[[str], bool]:
    """Return the test whether a whole text matches; nothing matches an expression that Go cannot read."""
    try:
        fullmatch = (re.compile if _is_simple(expression) else _compiled)(expression).fullmatch
    except ValueError:
        return lambda _: False
    return lambda text: len(text) <= _LONGEST and fullmatch(text) is not None


def searcher(expression: str) -> Callable[[str], bool]:
    """Return the test whether an expression is found in a text. Raise ValueError for one that cannot be read."""
    compiled = _compiled(expression)
    return lambda text: compiled.search(text) is not None


def _compiled(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression, options)
    except re2.error:
        raise ValueError(f"{expression!r} is no regular expression") from None
