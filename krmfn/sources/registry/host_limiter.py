"""The limiter before each host: so many at once, and nobody before the time the host has named."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from krmfn.sources.registry.clock import World
    from krmfn.sources.registry.origin import Origin


class HostLimiter:
    """Admits exchanges. One that was rate limited pauses its host for all (RFC 9110 section 10.2.3)."""

    def __init__(self, world: World, *, per_host: int, total: int) -> None:
        self._world, self._per_host = world, per_host
        self._total = threading.Semaphore(total)
        self._hosts: dict[Origin, threading.Semaphore] = {}
        self._not_before: dict[Origin, float] = {}
        self._lock = threading.Lock()

    def pause(self, origin: Origin, seconds: float) -> None:
        """Let nobody ask this host for that long."""
        with self._lock:
            until = self._world.clock() + seconds
            self._not_before[origin] = max(self._not_before.get(origin, until), until)

    def enter(self, origin: Origin, until: float) -> Literal["in", "full", "paused"]:
        """Wait for a place, at most until that time. Whoever gets `in` must leave."""
        with self._lock:
            host = self._hosts.setdefault(origin, threading.Semaphore(self._per_host))
        if not self._wait(origin, until):
            return "paused"
        if not host.acquire(timeout=self._left(until)):
            return "full"
        if not self._total.acquire(timeout=self._left(until)):
            host.release()
            return "full"
        if self._wait(origin, until):  # once more: the host may have been paused while we waited for a place
            return "in"
        self.leave(origin)
        return "paused"

    def leave(self, origin: Origin) -> None:
        """Give the place back."""
        self._total.release()
        self._hosts[origin].release()

    def _left(self, until: float) -> float:
        return max(0.0, until - self._world.clock())

    def _wait(self, origin: Origin, until: float) -> bool:
        """Wait until a host is not paused; False when that would be too late. A pause may grow while we sleep."""
        while True:
            with self._lock:
                pause = self._not_before.get(origin, 0.0) - self._world.clock()
            if pause <= 0:
                return True
            if self._world.clock() + pause >= until:
                return False
            self._world.sleep(pause)
