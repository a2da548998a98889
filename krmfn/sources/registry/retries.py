"""Tries: which answers are worth asking again, and when."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from krmfn.sources.registry.exchange import Call, NoReply, Reply

if TYPE_CHECKING:
    from krmfn.sources.registry.clock import World
    from krmfn.sources.registry.host_limiter import HostLimiter
    from krmfn.sources.registry.limits import Settings
    from krmfn.sources.registry.origin import Origin
    from krmfn.sources.registry.transport import Transport

_AGAIN = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
"""Statuses that pass by themselves: those of go-containerregistry, which Flux uses."""
_NO_ANSWERS = _AGAIN | {401}
_KEPT_OUT = {
    "full": NoReply("unavailable", "time", "was not asked: no place became free in the time allowed"),
    "paused": NoReply("rate-limited", "paused", "was not asked: it wants no requests for longer than the time allowed"),
}
_UNREACHED = ("name", "connect")
_FIRST, _FACTOR, _MOST = 0.5, 3.0, 8.0


class Attempts:
    """Sends a call up to `tries` times, through the limiter of its host, within its time."""

    def __init__(self, settings: Settings, world: World, transport: Transport, limiter: HostLimiter) -> None:
        self._settings, self._world, self._transport, self._limiter = settings, world, transport, limiter
        self._lost: dict[tuple[Origin, str], Reply | NoReply] = {}
        self._answered: set[tuple[Origin, str]] = set()

    def send(self, call: Call, waiting: Callable[[], None] = lambda: None) -> Reply | NoReply:
        """Return the first reply that is final, or the last there was.

        A host that is lost is not asked again in this run: a hundred repositories would otherwise wait one after the other.
        """
        way = (call.origin, call.route.proxy)
        last: Reply | NoReply | None = None
        for number in range(self._settings.tries):
            entered = self._limiter.enter(call.origin, call.until)
            if entered != "in":
                return last or _KEPT_OUT[entered]
            try:  # the pause too: who waits for the place would find out the same
                if way in self._lost:
                    return self._lost[way]
                last = self._transport.send(call)
                if isinstance(last, Reply) and last.status not in _NO_ANSWERS:
                    self._answered.add(way)
                if number + 1 == self._settings.tries or not self._pause(last, number, call, waiting):
                    if self._is_lost(way, last):
                        self._lost[way] = last
                    return last
            finally:
                self._limiter.leave(call.origin)
        return _KEPT_OUT["full"]

    def _is_lost(self, way: tuple[Origin, str], last: Reply | NoReply) -> bool:
        """True for a host that could not be reached in all tries of a call, or that failed them and never answered any.

        A call whose own time is over says nothing about the host.
        """
        if isinstance(last, NoReply):
            return last.kind in _UNREACHED or (last.kind != "time" and last.retry and way not in self._answered)
        return last.status in _AGAIN and way not in self._answered

    def _pause(self, last: Reply | NoReply, number: int, call: Call, waiting: Callable[[], None]) -> bool:
        """Wait before the next try; False when there is to be none."""
        if not (last.retry if isinstance(last, NoReply) else last.status in _AGAIN):
            return False
        asked = retry_after(last, self._world) if isinstance(last, Reply) else None
        is_limited = isinstance(last, Reply) and last.status == 429
        # Exponential with full jitter: who failed together does not come back together. The host may ask for more.
        seconds = max(asked or 0.0, self._world.chance() * min(_MOST, _FIRST * _FACTOR**number))
        is_too_long = asked is not None and asked > self._settings.retry_after_seconds
        if is_too_long or self._world.clock() + seconds >= call.until:
            if asked is not None and is_limited and (call.origin, call.route.proxy) in self._answered:
                self._limiter.pause(call.origin, asked)  # the others would be told the same
            return False
        waiting()
        # What the host asks for holds for all, who wait at the limiter; a pause of our own is for this call alone.
        if asked is not None or is_limited:
            self._limiter.pause(call.origin, seconds)
        else:
            self._world.sleep(seconds)
        return True


def retry_after(reply: Reply, world: World) -> float | None:
    """Read `Retry-After` in seconds from now (RFC 9110 section 10.2.3); None when absent or not to be understood."""
    text = reply.headers.get("Retry-After", "").strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - world.now())
    except (ValueError, OverflowError, TypeError):
        return None
