"""Credential helpers by docker's protocol: `docker-credential-NAME get`, the server on stdin, JSON back."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from krmfn.sanitize import for_shell, printable
from krmfn.sources.credential import Credential, Unusable
from krmfn.strict_json import parse

SECONDS = 30.0
"""How long a helper may take; cloud log-ins start whole SDKs."""
_LIMIT = 64 << 10
_LONGEST_NAME = 4096
"""Characters of a server's name, which fit into a pipe that nobody reads."""
_GRACE, _SLICE = 1.0, 0.1
"""Seconds that outputs may stay open behind a helper that ended: what it started in the background may hold them for ever."""
_LATE = "credential helper docker-credential-{} gave no answer in the time allowed"
_name = re.compile(r"[a-z0-9._-]+", re.ASCII).fullmatch

Answer = Credential | Unusable | None
"""A credential, why there is none, or None when the helper knows none."""


class Helpers:
    """Runs helpers, at most `seconds` each: each is asked once per server, and one that hangs never again.

    Safe to call from threads. The first call of a helper goes alone: eight threads would otherwise find out together
    that it hangs.
    """

    def __init__(self, env: Mapping[str, str], seconds: float, clock: Callable[[], float]) -> None:
        self._env, self._seconds, self._clock = env, seconds, clock
        self._answers: dict[tuple[str, str], Answer] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._ended: set[str] = set()
        """The helpers of which a call came to its end."""
        self._hanging: dict[str, str] = {}
        """Those that took all their time, with what to say of them."""

    def ask(self, name: str, server: str, until: float) -> Answer:
        """Return what the helper says of a server; a problem when there is no answer by `until`."""
        while (name, server) not in self._answers:
            # One lock for all servers of a helper until it has ended once, then one for each server. Who waited for the
            # first call of another server goes round again.
            key = (name, server if name in self._ended else "")
            lock = self._locks.setdefault(key, threading.Lock())
            if not lock.acquire(timeout=min(max(0.0, until - self._clock()), threading.TIMEOUT_MAX)):
                return Unusable(_LATE.format(name))
            try:
                if name in self._hanging:
                    return Unusable(self._hanging[name])
                if (name, server) not in self._answers and (key[1] or name not in self._ended):
                    self._run(name, server, until)
            except TimeoutError as error:
                return Unusable(str(error))
            finally:
                lock.release()
        return self._answers[name, server]

    def _run(self, name: str, server: str, until: float) -> None:
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


def run(name: str, server: str, env: Mapping[str, str], seconds: float = SECONDS) -> Answer:
    """Ask a helper for the credential of a server; raises TimeoutError.

    What a helper prints may hold a secret, so none of it is ever shown.
    """
    program = f"docker-credential-{name}"
    if not _name(name):
        allowed = "helper names are made of a-z, 0-9, '.', '_' and '-'"
        return Unusable(f"credential helper {printable(name, 60)!r} is not run: {allowed}")
    if len(server) > _LONGEST_NAME:
        return Unusable(f"credential helper {program} is not asked for a name of {len(server)} characters")
    path = _which(program, env)
    if path is None:
        return Unusable(f"credential helper {program} is not installed (not found on PATH)")
    try:
        code, out, err = _call(path, server, env, seconds)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise TimeoutError(f"credential helper {program} gave no answer in {seconds:g} s") from None
    except OverflowError:
        return Unusable(f"credential helper {program} answered more than {_LIMIT >> 10} KiB")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "NUL in its environment"
        return Unusable(f"credential helper {program} could not be started: {why}")
    if code == 0:
        return _read(program, out)
    call = f"{for_shell('echo', server)} | {program} get"
    failed = f"credential helper {program} failed with exit code {code}: see why with `{printable(call)}`"
    return None if b"credentials not found" in out + err else Unusable(failed)  # these words alone mean that there are none


def _which(program: str, env: Mapping[str, str]) -> str | None:
    """Find a program in the absolute folders of PATH: the current folder belongs to whoever wrote the manifests."""
    for folder in env.get("PATH", "").split(os.pathsep):
        path = Path(folder, program)
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            return str(path)
    return None


def _call(path: str, server: str, env: Mapping[str, str], seconds: float) -> tuple[int, bytes, bytes]:
    end = time.monotonic() + seconds
    process = subprocess.Popen(
        [path, "get"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        start_new_session=True,
        cwd="/",
    )
    with process:
        try:
            out, err = _talk(process, server, end)
            return process.wait(max(0.0, end - time.monotonic())), out, err
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _talk(process: subprocess.Popen[bytes], server: str, end: float) -> tuple[bytes, bytes]:
    """Write the server's name and read both outputs to their ends or to the helper's, never more than the limit."""
    stdin, stdout, stderr = (cast("IO[bytes]", stream) for stream in (process.stdin, process.stdout, process.stderr))
    with suppress(BrokenPipeError):
        stdin.write(server.encode())
        stdin.close()
    outputs = {stdout: bytearray(), stderr: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for stream in outputs:
            waiting.register(stream, selectors.EVENT_READ)
        has_ended = False
        while waiting.get_map():
            # Both outputs are read at once: a helper that fills one pipe while nobody reads it would never end.
            left = end - time.monotonic()
            if left <= 0:
                if has_ended:
                    break
                raise TimeoutError
            if not has_ended and process.poll() is not None:
                has_ended, end = True, min(end, time.monotonic() + _GRACE)
            # Short waits, so that the end of the helper is seen while something in the background holds its outputs.
            for key, _ in waiting.select(min(left, _SLICE)):
                chunk = os.read(key.fd, _LIMIT)
                outputs[key.fileobj] += chunk  # type: ignore[index]
                if not chunk:
                    waiting.unregister(key.fileobj)
                if sum(map(len, outputs.values())) > _LIMIT:
                    raise OverflowError
    return bytes(outputs[stdout]), bytes(outputs[stderr])


def _read(program: str, out: bytes) -> Credential | Unusable:
    try:
        answer = parse(out)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError):
        return Unusable(f"credential helper {program} answered something else than JSON with Username and Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        return Unusable(f"credential helper {program} answered a Username or Secret that is no text")
    credential = Credential(username, secret, origin=program)
    if username == "<token>":
        credential = Credential(identity_token=secret, origin=program)
    return Unusable(f"credential helper {program}: {credential.fault}") if credential.fault else credential
