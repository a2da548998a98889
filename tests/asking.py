"""Asking registries in tests: repositories, sources with a clock of their own, and errors as values."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from tempfile import NamedTemporaryFile
from typing import Any

from krmfn.access import Access, Repository
from krmfn.errors import RegistryError
from krmfn.image import ImageRef
from krmfn.sources.registry.clock import World
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.origin import is_public
from krmfn.sources.registry.source import RegistrySource
from tests.certificates import Authority


class Clock:
    """A clock that sleeping moves on: pauses cost no time, everything else its real one."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        """Move on."""
        with self._lock:
            self.slept.append(seconds)

    def ahead(self) -> float:
        """Return how far the clock was moved."""
        with self._lock:
            return sum(self.slept)

    def world(self, is_public: Callable[[str], bool] = is_public) -> World:
        """Make the surroundings for a source."""
        return World(
            clock=lambda: time.monotonic() + self.ahead(),
            now=lambda: time.time() + self.ahead(),
            sleep=self.sleep,
            chance=lambda: 1.0,
            is_public=is_public,
        )


def repository(name: str, **access: Any) -> Repository:
    """Make a repository; plain text is allowed unless said otherwise."""
    return Repository(ImageRef.parse(name), Access(**{"insecure": True, **access}))


@cache
def one_certificate() -> str:
    """Return a file with one CA certificate; reading all of the system's takes longer than most tests."""
    file = NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115 - lives as long as the tests
    file.write(Authority("nobody").pem)
    file.flush()
    _kept.append(file)
    return file.name


_kept: list[Any] = []


@contextmanager
def asking(clock: Clock | None = None, /, **settings: Any) -> Iterator[RegistrySource]:
    """Open a source with an environment of nothing but one CA certificate, and close it at the end."""
    clock = clock or Clock()
    env = {"SSL_CERT_FILE": one_certificate(), **settings.pop("env", {})}
    source = RegistrySource(Settings.of(env, **{"world": clock.world(), **settings}))
    try:
        yield source
    finally:
        source.close()


def error_of(question: Callable[[], object]) -> RegistryError:
    """Return the RegistryError that a question ends with; anything else is a failure of the test."""
    try:
        answer = question()
    except RegistryError as error:
        return error
    raise AssertionError(f"no error, but {answer!r}")
