"""Docker credential helpers within the time of a run: each is asked once per server, and one that hangs never again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from krmfn.sources.credential import Credential

Answer = Credential | str | None
"""A credential, a problem in people's words, or None when the helper knows none."""
_LATE = "credential helper docker-credential-{} gave no answer in the time allowed"


class Helpers:
    """Runs helpers, at most `seconds` each. Safe to call from threads.

    The first call of a helper goes alone: eight threads would otherwise find out together that it hangs.
    """

    def __init__(self, env: Mapping[str, str], seconds: float, clock: Callable[[], float]) -> None:
        self._env, self._seconds, self._clock = env, seconds, clock
        self._answers: dict[tuple[str, str], Answer] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._ended: set[str] = set()
        self._hanging: dict[str, str] = {}

    def ask(self, name: str, server: str, until: float) -> Answer:
        """Return what the helper says of a server; a problem when there is no answer by `until`."""
        while (name, server) not in self._answers:
            key = (name, server if name in self._ended else "")
            lock = self._locks.setdefault(key, threading.Lock())
            if not lock.acquire(timeout=min(max(0.0, until - self._clock()), threading.TIMEOUT_MAX)):
                return _LATE.format(name)
            try:
                if name in self._hanging:
                    return self._hanging[name]
                if (name, server) not in self._answers and (key[1] or name not in self._ended):
                    self._run(name, server, until)
            except TimeoutError as error:
                return str(error)
            finally:
                lock.release()
        return self._answers[name, server]

    def _run(self, name: str, server: str, until: float) -> None:
        from krmfn.sources.credential_helper import run

        seconds = min(self._seconds, until - self._clock())
        if seconds <= 0:
            raise TimeoutError(_LATE.format(name))
        try:
            self._answers[name, server] = run(name, server, self._env, seconds)
        except TimeoutError as error:
            if seconds == self._seconds:
                self._hanging[name] = str(error)
            raise
        self._ended.add(name)
