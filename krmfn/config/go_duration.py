"""Durations as Go and Flux write them."""

from __future__ import annotations

import re

_DURATION = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)"
_LONGEST = 40
"""Characters."""
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def go_duration(value: str) -> float | None:
    """Return the seconds of a Go duration such as `1m30s`, or None.

    >>> go_duration("1m30s"), go_duration("soon")
    (90.0, None)
    """
    parts = re.findall(_DURATION, value) if len(value) <= _LONGEST else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
