"""Windows: when tags may move. `spec.windows` of an ImageAutomation: cron, a duration, a time zone.

A window is open from a start on, for its duration (half-open); starts when clocks change are those of Debian's cron. Pure:
time zones come from the package `tzdata`, so that every machine has the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from krmfn.config.objects import Problems, nearest
from krmfn.policies.number import duration

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from krmfn.model import ResourceId

_CLOCK_CHANGE = 3 * 3600
"""Seconds by which starts may be out of order where clocks change."""
_LOOKS = 300
"""How many changes of windows are looked at for one at which all are open."""
_SAMPLE = 1767225600.0
"""A time at which schedules are tried: the start of 2026."""


class Window(NamedTuple):
    """One entry of `windows`. `duration` is in seconds."""

    kind: Literal["Allow", "Deny"]
    schedule: str
    duration: int
    zone: str = "UTC"
    images: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()

    def covers(self, now: float) -> bool:
        """True if it is open, to allow or to deny."""
        start = _start(self, now, is_next=False)
        return start is not None and now < start + self.duration


Calendar = tuple[Window, ...]
"""Windows that count together: without an Allow it is always open, a Deny wins. Of several calendars all have to be open."""


def is_open(calendars: Iterable[Calendar], now: float) -> bool:
    """True if tags may move at a time."""
    return all(_opens(calendar, now) == now for calendar in calendars)


@lru_cache(1024)
def opening(calendars: tuple[Calendar, ...], now: float) -> float | None:
    """Return when all calendars are open the next time, `now` if they are; None if that is not foreseeable."""
    time = now
    for _ in range(_LOOKS):
        later = [_opens(calendar, time) for calendar in calendars]
        if None in later:
            return None
        best = max((one for one in later if one is not None), default=time)
        if best == time:
            return time
        time = best
    return None


def _opens(calendar: Calendar, time: float) -> float | None:
    """Return the time, if a calendar is open then, else a later one, before which it is not; None if there is none."""
    ends = [start + one.duration for one in calendar if one.kind == "Deny" and (start := _start(one, time, is_next=False)) is not None]
    if ends and max(ends) > time:
        return max(ends)
    allows = [one for one in calendar if one.kind == "Allow"]
    if not allows or any(one.covers(time) for one in allows):
        return time
    return min((start for one in allows if (start := _start(one, time, is_next=True)) is not None), default=None)


@lru_cache(4096)
def _start(window: Window, time: float, *, is_next: bool) -> float | None:
    """Return the first start after a time, or the last one up to it; None if there is none."""
    from datetime import datetime

    from cronsim import CronSim

    # Starts that a schedule names inside an hour that is skipped or repeated come out of order: begin a little aside.
    aside = time - _CLOCK_CHANGE if is_next else time + _CLOCK_CHANGE
    zone = time_zone(window.zone)
    try:
        starts: Iterable[datetime] = CronSim(window.schedule, datetime.fromtimestamp(int(aside), zone), reverse=not is_next)
        return next((start for one in starts if ((start := one.timestamp()) > time) == is_next), None)
    except (ValueError, OverflowError):  # beyond the calendar: before the year 1 or after 9999
        return None


@lru_cache(64)
def time_zone(name: str) -> tzinfo:
    """Return a time zone of the package `tzdata`. Raise ValueError for a name that is none."""
    from importlib.resources import files
    from zoneinfo import ZoneInfo

    if name not in _zones():
        raise ValueError(name)
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


@lru_cache(1)
def _zones() -> frozenset[str]:
    from importlib.resources import files

    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def read_windows(where: ResourceId, entries: Sequence[Any], problems: Problems) -> Calendar:
    """Read `spec.windows`, checked against its schema before; what is no schedule, duration or zone is a problem."""
    windows = []
    for index, entry in enumerate(entries):
        path, zone = f"spec.windows[{index}]", entry.get("timeZone") or "UTC"
        lasts = duration(entry["duration"])
        if not lasts:
            problems.add(where, f"{path}.duration", f"expected a duration such as 2h, 36 hours or 3 days, found {entry['duration']!r}")
        if zone not in _zones():
            message = f"{zone!r} is no time zone such as Europe/Berlin{nearest(zone, _zones())}"
            problems.add(where, f"{path}.timeZone", message)
        images, policies = tuple(entry.get("images") or ()), tuple(entry.get("policies") or ())
        window = Window(entry["kind"], entry["schedule"], lasts or 0, zone if zone in _zones() else "UTC", images, policies)
        if (wrong := _wrong(window)) is not None:
            problems.add(where, f"{path}.schedule", wrong)
        windows.append(window)
    return tuple(windows)


def _wrong(window: Window) -> str | None:
    from cronsim import CronSimError

    expected = "expected cron's minute, hour, day of month, month and day of week, such as 0 2 * * MON-FRI"
    if len(window.schedule.split()) != 5:
        return f"{expected}; found {window.schedule!r}"
    try:
        return None if _start(window, _SAMPLE, is_next=True) is not None else f"{window.schedule!r} never comes"
    except CronSimError as error:
        return f"{expected}; found {window.schedule!r}: {error}"
