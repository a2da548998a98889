"""Sockets that hold their budget, whoever uses them, and names that are looked up within it.

A timeout of urllib3 bounds one read, never an answer: a peer that drips a byte now and then keeps a client
for ever. Here the socket itself looks at the clock before each read; TLS gets its bytes from it (connections.py).
"""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from krmfn.sources.registry.budget import Budget, NotAdmittedError, current
from krmfn.sources.registry.origin import literal

_Address = tuple[Any, ...]
_Received = TypeVar("_Received", bound=int | bytes)
_SLICE = 0.25
"""Seconds after which a silent read looks whether the run is over."""


class Bounded(socket.socket):
    """A socket whose reads look at the budget of the exchange under way."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Read as http.client does without TLS."""
        return self._within(partial(super().recv_into, buffer, nbytes, flags))

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read as TLS does, which gets its bytes from here, those of handshakes too."""
        return self._within(partial(super().recv, size, flags))

    def _within(self, read: Callable[[], _Received]) -> _Received:
        budget = current()
        silent_until, before = budget.clock() + budget.idle, self.gettimeout()
        try:
            # Short waits, so that the end of the run or of the budget is noticed while the peer is silent.
            while True:
                self.settimeout(budget.seconds(min(_SLICE, budget.idle)))
                try:
                    received = read()
                except TimeoutError:
                    if budget.clock() >= silent_until:
                        raise
                else:
                    budget.count(received if isinstance(received, int) else len(received))
                    return received
        finally:
            self.settimeout(before)  # for what is sent


class SlowLookupError(TimeoutError):
    """The name of a host was not looked up in the time to connect."""


def resolve(host: str, port: int, seconds: float) -> list[_Address]:
    """Look a name up, for at most `seconds`; raises SlowLookupError. getaddrinfo itself knows no end."""
    if literal(host):
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    answers: list[list[_Address] | OSError] = []

    def look() -> None:
        try:
            answers.append(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answers.append(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, "no host name"))

    # Nothing can interrupt getaddrinfo: the thread is left behind, and as a daemon it keeps no run from ending.
    thread = threading.Thread(target=look, daemon=True, name="krmfn-resolve")
    thread.start()
    thread.join(seconds)
    if not answers:
        raise SlowLookupError(errno.ETIMEDOUT, "no name server answered")
    if isinstance(answers[0], OSError):
        raise answers[0]
    return answers[0]


def connect(host: str, port: int, budget: Budget, *, is_proxy: bool) -> socket.socket:
    """Open a socket within the budget; each address of a name gets its share, so that a dead one cannot eat all of it.

    Raise NotAdmittedError for an address that the budget does not admit; a proxy may be anywhere.
    """
    end = budget.clock() + budget.seconds(budget.connect)
    addresses = resolve(host, port, budget.seconds(budget.connect))
    error: OSError = OSError(f"{host} has no address")
    for position, address in enumerate(addresses):
        if not is_proxy and not budget.admits(str(address[-1][0])):
            raise NotAdmittedError(address[-1][0])
        # The time left is parted among the addresses left: the last one gets all that the others did not use.
        share = max(0.05, (end - budget.clock()) / (len(addresses) - position))
        try:
            return _open(address, share)
        except OSError as failed:
            error = failed
    raise error


def _open(address: _Address, seconds: float) -> socket.socket:
    family, kind, proto, _, where = address
    sock = Bounded(family, kind, proto)
    try:
        sock.settimeout(seconds)
        sock.connect(where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock
