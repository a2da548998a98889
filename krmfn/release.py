"""Finding the highest version among many texts at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from krmfn.constraint import Constraint
from krmfn.reason import Reason
from krmfn.version import Version, parse_tag


def highest(texts: Sequence[str], constraint: Constraint) -> tuple[bytearray, list[int]]:
    """Give every text its reason, and answer the places of the highest version that satisfies; several when equal."""
    reasons = bytearray(len(texts))
    best_key: Any = ()
    best: list[int] = []
    for index, text in enumerate(texts):
        version = parse_tag(text)
        reason = _judge(version, constraint)
        reasons[index] = reason
        if reason is Reason.LOWER and version is not None:
            key = version.key
            if key > best_key:
                best_key, best = key, [index]
            elif key == best_key:
                best.append(index)
    return reasons, best


def _judge(version: Version | None, constraint: Constraint) -> Reason:
    if version is None:
        return Reason.NOT_A_VERSION
    if version.prerelease and not constraint.admits_prereleases:
        return Reason.PRERELEASE
    return Reason.LOWER if constraint.check(version) else Reason.OUT_OF_RANGE


def top(texts: Sequence[str]) -> str | None:
    """Answer the text of the highest release, of the highest prerelease when there is no release, None without any."""
    versions = [version for version in map(parse_tag, texts) if version is not None]
    if not versions:
        return None
    return max(versions, key=lambda version: (not version.prerelease, version.key, version.original)).original


@cache
def _runs() -> re.Pattern[str]:
    return re.compile(r"[0-9]+|[^0-9]+")


def natural_key(text: str) -> tuple[Any, ...]:
    """Order texts with runs of digits compared as numbers; text breaks ties.

    >>> max(["v9", "v10"], key=natural_key)
    'v10'
    """
    runs = _runs().findall(text)
    return (*((1, len(run.lstrip("0")), run.lstrip("0")) if run[0].isdigit() else (0, 0, run) for run in runs), (-1, 0, text))
