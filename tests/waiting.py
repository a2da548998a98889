"""Waiting in tests, and the only limit of time that a test may set: one against hanging, far beyond what anything takes."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HANGS = 60.0
"""Seconds after which something hangs. What a test lets hang has to hang for longer."""


def wait_until(happened: Callable[[], object], every: float = 0.01) -> None:
    """Wait for what another process or thread does; raise AssertionError if it never does."""
    until = time.monotonic() + HANGS
    while not happened():
        assert time.monotonic() < until, "what the test waits for does not happen"
        time.sleep(every)


def wait_for_server(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until a server listens on a port of loopback; raise AssertionError with its log if it ends instead."""

    def is_listening() -> bool:
        assert server.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_listening)


@contextmanager
def ending() -> Iterator[None]:
    """Raise AssertionError after a block that hung."""
    before = time.monotonic()
    yield
    assert time.monotonic() - before < HANGS, "it hung"


@contextmanager
def thrifty() -> Iterator[None]:
    """Raise AssertionError after a block that took half a minute of the processor: the square of what it should, or worse."""
    before = time.process_time()
    yield
    assert time.process_time() - before < HANGS / 2, "it took too much of the processor"


def pause(seconds: float) -> None:
    """Let a moment pass, where a test wants events in an order that it does not choose itself; no test may need that moment."""
    time.sleep(seconds)
