"""The regular expressions of kustomizations: Go's dialect, anchored at both ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

_is_simple = re.compile(r"[A-Za-z0-9_/:@.-]+").fullmatch
_LONGEST = 1000


@cache
def matcher(expression: str) -> Callable[[str], bool]:
    """Return the test whether a whole text matches; nothing matches an expression that Go cannot read."""
    if _is_simple(expression):
        simple = re.compile(expression)
        return lambda text: len(text) <= _LONGEST and simple.fullmatch(text) is not None
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(expression, options)
    except re2.error:
        return lambda _: False
    return lambda text: len(text) <= _LONGEST and compiled.fullmatch(text) is not None
