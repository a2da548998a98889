"""Numbers and times as policies read them: Go's strconv.ParseFloat grammar, integers exact; RFC 3339."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from math import isinf, isnan

Number = int | float


def read(text: str) -> Number | None:
    """Read what Go's ParseFloat(s, 64) accepts; an integer stays exact. None for all else, out of range included.

    >>> read("007"), read("0x1p4"), read("1_000"), read("0x10"), read("1e400"), read(" 1")
    (7, 16.0, 1000, None, None, None)
    """
    if text.isdigit() and text.isascii() and len(text) < 300:
        return int(text)
    match = _grammar().fullmatch(text)
    if match is None or not _has_good_underscores(text):
        return None
    return _read_match(match, text.replace("_", ""))


def read_all(texts: Sequence[str]) -> list[Number | None]:
    """Read many texts; see `read`."""
    joined = "".join(texts)  # one check for all: lists are mostly plain numbers
    if joined.isascii() and joined.isdigit() and all(texts) and max(map(len, texts)) < 300:
        return list(map(int, texts))
    return list(map(read, texts))


def extreme(values: Sequence[Number], tags: Sequence[str], texts: Sequence[str], *, is_least: bool) -> int:
    """Return the place of the greatest (least) number; of equal ones that of the smallest tag."""
    if float in set(map(type, values)) and any(map(isnan, values)):
        return _last_standing(values, tags, texts, is_least=is_least)
    best = min(values) if is_least else max(values)
    if values.count(best) == 1:
        return values.index(best)
    return min((index for index, value in enumerate(values) if value == best), key=tags.__getitem__)


def read_time(text: str) -> float | None:
    """Read an RFC 3339 time as seconds since 1970 in UTC, at the end of the calendar where its zone leads out of it; None for no time."""
    from datetime import UTC, datetime

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return min(max((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp(), _EARLIEST), _LATEST)


_CENTURY = 3_155_760_000
_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
"""The ends of the calendar: the start of the year 1 and the end of 9999, in seconds since 1970."""


def moment(time: float) -> str:
    """Write seconds since 1970 as RFC 3339 in UTC, without seconds where they are zero; what no calendar has as its end.

    >>> moment(1795514400.0), moment(1795514401), moment(-1e15)
    ('2026-11-24T10:00Z', '2026-11-24T10:00:01Z', '0001-01-01T00:00Z')
    """
    from datetime import UTC, datetime
    from math import ceil

    text = datetime.fromtimestamp(min(max(ceil(time), _EARLIEST), _LATEST), UTC).isoformat().replace("+00:00", "Z")
    return text.removesuffix(":00Z") + "Z" if text.endswith(":00Z") else text


@cache
def _grammar() -> re.Pattern[str]:
    digits, exponent = r"[0-9_]*", r"[+-]?[0-9][0-9_]*"
    decimal = rf"(?P<decimal>(?=\.?[0-9]){digits}(?P<point>\.{digits})?(?P<exponent>[eE]{exponent})?)"
    hexadecimal = rf"(?P<hex>0[xX]_?(?=\.?[0-9a-fA-F])[0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?[pP]{exponent})"
    return re.compile(
        rf"(?P<nan>[nN][aA][nN])|[+-]?(?:(?P<inf>[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)|{hexadecimal}|{decimal})"
    )


def _has_good_underscores(text: str) -> bool:
    """Underscores stand between digits only, or behind the hexadecimal prefix (strconv underscoreOK)."""
    if "_" not in text:
        return True
    body = re.sub(r"^[+-]?0[xX]", "0", text)
    digit = "[0-9a-fA-F]" if body != text else "[0-9]"
    return re.search(rf"(?<!{digit})_|_(?!{digit})", body) is None


def _read_match(match: re.Match[str], text: str) -> Number | None:
    if match["nan"] or match["inf"]:
        return float(text)
    if match["hex"]:
        try:
            return float.fromhex(text)
        except OverflowError:
            return None
    value = float(text)
    if isinf(value):
        return None
    if match["point"] is not None or match["exponent"] is not None:
        return value
    sign = -1 if text[0] == "-" else 1
    return sign * int(text.lstrip("+-").lstrip("0") or "0")


def _last_standing(values: Sequence[Number], tags: Sequence[str], texts: Sequence[str], *, is_least: bool) -> int:
    """Follow Flux's loop over the descending list: a NaN takes over always, and the next takes over from it."""
    smallest: dict[str, int] = {}
    for index in sorted(range(len(tags)), key=tags.__getitem__):
        smallest.setdefault(texts[index], index)
    order = sorted(smallest.values(), key=tags.__getitem__, reverse=True)
    best = order[0]
    for index in order[1:]:
        value, top = values[index], values[best]
        if isnan(value) or isnan(top) or not (value > top if is_least else value < top):
            best = index
    return best


_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> int | None:
    """Read the seconds of a duration such as `3 days`, `36 hours`, `2w`; None when it is not one, or longer than a century.

    >>> duration("3 days"), duration("1 day"), duration("36h"), duration("soon"), duration("-1 day"), duration("999999 weeks")
    (259200, 86400, 129600, None, None, None)
    """
    match = re.fullmatch(r"([0-9]{1,6}) *(?:(minute|hour|day|week)s?|([mhdw]))", text.strip())
    seconds = int(match[1]) * _UNITS[match[2] or match[3]] if match else None
    return seconds if seconds is not None and seconds <= _CENTURY else None
