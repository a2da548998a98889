"""RE2, compiled and asked for spans: the one place that knows google-re2."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from krmfn.errors import RuleError
from krmfn.policies import dialect

Spans = list[tuple[int, int]]
"""Start and end of the whole match, then of each group; -1 for a group that took no part, first when there is no match."""

Find = Callable[[bytes, int, int], Spans]
"""Finds the leftmost match in the text between two offsets."""

_MEMORY = 64 << 20


def compile_pattern(text: str, *, never_nl: bool = False) -> Find:
    """Compile a pattern; raises RuleError with the text of Go. With `never_nl` nothing ever matches a line end."""
    import re2

    options = re2.Options()
    # The engine would print the pattern to stderr.
    options.log_errors = False
    options.max_mem = _MEMORY
    options.never_nl = never_nl
    try:
        compiled = re2.compile(text.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        message = error.args[0]
        words = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)
        raise RuleError(f"error parsing regexp: {dialect.go_error(text, words)}") from None
    return direct(compiled) or indirect(compiled)


def direct(compiled: Any) -> Find | None:
    """Return the search of the engine below the Python wrapper, which costs more than the search itself; None when it is not there."""
    import re2

    match = getattr(getattr(compiled, "_regexp", None), "Match", None)
    anchor = getattr(getattr(re2, "_Anchor", None), "UNANCHORED", None)
    if match is None or anchor is None:
        return None

    return partial(match, anchor)


def indirect(compiled: Any) -> Find:
    """Return a search by the public interface of google-re2."""
    groups = range(compiled.groups + 1)

    def find(text: bytes, start: int, end: int) -> Spans:
        match = compiled.search(text, start, end)
        return [(-1, -1) if match is None else match.span(group) for group in groups]

    return find
