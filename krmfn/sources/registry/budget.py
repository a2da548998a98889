"""What one exchange may use: time by the wall clock, bytes, and how long a peer may stay silent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Literal

_HEADROOM = 1 << 20
"""Bytes for status line, headers, chunk sizes and trailers on top of a body."""


class OutOfTimeError(TimeoutError):
    """The exchange's time is up, however lively the peer still drips."""


class OutOfBytesError(OSError):
    """The peer sent more than anybody asked for."""


class NotAdmittedError(OSError):
    """The name led to an address that this exchange must not talk to."""


@dataclass(slots=True)
class Budget:
    """The allowance of one exchange: until when, how many bytes of a body are `left`, and two times in seconds.

    A peer may be silent for `idle`, and take `connect` to be reached. `admits` is asked about each address that a name
    led to.
    """

    until: float
    left: int
    _: KW_ONLY
    idle: float
    connect: float
    clock: Callable[[], float]
    is_over: Callable[[], bool] = lambda: False
    admits: Callable[[str], bool] = lambda _address: True
    overspent: Literal["", "time", "bytes"] = ""

    def seconds(self, most: float) -> float:
        """Return how long the next step may wait: `most`, or what is left; raises OutOfTimeError at the end, or when the run is over."""
        left = self.until - self.clock()
        if left <= 0 or self.is_over():
            self.overspent = "time"
            raise OutOfTimeError("time is up")
        return min(left, most)

    def count(self, received: int) -> None:
        """Take received bytes off the budget; raises OutOfBytesError when there are none left."""
        self.left -= received
        if self.left < -_HEADROOM:
            self.overspent = "bytes"
            raise OutOfBytesError("too many bytes")


_current = threading.local()


def current() -> Budget:
    """Return the budget of the exchange that this thread carries out; nothing is read or opened without one."""
    budget: Budget = _current.budget
    return budget


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Let every socket this thread reads or opens draw on `budget`."""
    _current.budget = budget
    try:
        yield
    finally:
        del _current.budget
