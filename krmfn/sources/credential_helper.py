"""Run a docker credential helper (docker-credential-helpers protocol): `docker-credential-NAME get`, server on stdin, JSON back."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from krmfn.sanitize import for_shell, printable
from krmfn.sources.credential import Credential
from krmfn.strict_json import parse

SECONDS = 30.0
"""How long a helper may take; cloud log-ins start whole SDKs."""
_LIMIT = 64 << 10
_LONGEST_NAME = 4096
"""Characters of a server's name, which fit into a pipe that nobody reads."""
_GRACE, _SLICE = 1.0, 0.1
"""Seconds that outputs may stay open behind a helper that ended: what it started in the background may hold them for ever."""
_name = re.compile(r"[a-z0-9._-]+", re.ASCII).fullmatch


def run(name: str, server: str, env: Mapping[str, str], seconds: float = SECONDS) -> Credential | str | None:
    """Ask a helper for the credential of a server: None when it has none, a text when it failed; raises TimeoutError.

    What a helper prints may hold a secret, so none of it is ever shown.
    """
    program = f"docker-credential-{name}"
    if not _name(name):
        return (
            f"credential helper {printable(name, 60)!r} is not run: helper names are made of a-z, 0-9, '.', '_' and '-'"
        )
    if len(server) > _LONGEST_NAME:
        return f"credential helper {program} is not asked for a name of {len(server)} characters"
    path = _which(program, env)
    if path is None:
        return f"credential helper {program} is not installed (not found on PATH)"
    try:
        code, out, err = _call(path, server, env, seconds)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise TimeoutError(f"credential helper {program} gave no answer in {seconds:g} s") from None
    except OverflowError:
        return f"credential helper {program} answered more than {_LIMIT >> 10} KiB"
    except (OSError, ValueError) as error:
        return f"credential helper {program} could not be started: {getattr(error, 'strerror', None) or 'NUL in its environment'}"
    if code != 0:
        return _failed(program, server, code, out + err)
    return _read(program, out)


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
            left = end - time.monotonic()
            if left <= 0:
                if has_ended:
                    break
                raise TimeoutError
            if not has_ended and process.poll() is not None:
                has_ended, end = True, min(end, time.monotonic() + _GRACE)
            for key, _ in waiting.select(min(left, _SLICE)):
                chunk = os.read(key.fd, _LIMIT)
                outputs[key.fileobj] += chunk  # type: ignore[index]
                if not chunk:
                    waiting.unregister(key.fileobj)
                if sum(map(len, outputs.values())) > _LIMIT:
                    raise OverflowError
    return bytes(outputs[stdout]), bytes(outputs[stderr])


def _failed(program: str, server: str, code: int, output: bytes) -> str | None:
    """Return what is wrong; None for `credentials not found`, which alone means that there are none."""
    if b"credentials not found" in output:
        return None
    call = f"{for_shell('echo', server)} | {program} get"
    return f"credential helper {program} failed with exit code {code}: see why with `{printable(call)}`"


def _read(program: str, out: bytes) -> Credential | str:
    try:
        answer = parse(out)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError):
        return f"credential helper {program} answered something else than JSON with Username and Secret"
    if not isinstance(username, str) or not isinstance(secret, str):
        return f"credential helper {program} answered a Username or Secret that is no text"
    is_identity = username == "<token>"
    credential = (
        Credential(identity_token=secret, origin=program)
        if is_identity
        else Credential(username, secret, origin=program)
    )
    return f"credential helper {program}: {credential.fault}" if credential.fault else credential
