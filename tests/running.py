"""Running programs in tests: krmfn as users start it, and what a run changed on disk."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.tools import BIN, ROOT

EXAMPLES = ROOT / "examples"
Done = subprocess.CompletedProcess[str]
_PATIENT = "import sys; from krmfn import __main__, terminal; terminal._PATIENCE_SECONDS = 3600; sys.exit(__main__.main())"
PATIENT = (sys.executable, "-c", _PATIENT)
"""krmfn that shows no progress at a terminal, however busy the machine is: no run of it takes long."""


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a user: krmfn and the tools on PATH, no docker login of this machine."""
    path = os.pathsep.join((str(Path(sys.executable).parent), str(BIN), os.environ.get("PATH", os.defpath)))
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("KRMFN_", "KUSTOMIZE_", "KPT_"))}
    return {**keep, "PATH": path, "DOCKER_CONFIG": "/nonexistent", "NO_PROXY": "127.0.0.1,localhost", **more}


def run(
    command: Sequence[object],
    *,
    cwd: Path | None = None,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> Done:
    """Run a program to its end; stdin is `text`, or nothing at all."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        env=environment() if env is None else dict(env),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )


def call(*arguments: object, cwd: Path, text: str = "", **more: str) -> Done:
    """Run the command line in this process, for tables of many cases. `more` are variables of the environment."""
    from krmfn import cli

    words, out, told = [str(one) for one in arguments], io.StringIO(), io.StringIO()
    with tempfile.TemporaryFile("w+") as stdin, pytest.MonkeyPatch.context() as patch:
        stdin.write(text)
        stdin.seek(0)
        patch.chdir(cwd)
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(os, "environ", environment(**more))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            code = cli.main(words)
    return Done(words, code, out.getvalue(), told.getvalue())


def succeed(command: Sequence[object], **how: object) -> str:
    """Run a program that must exit 0 and answer its stdout; a failure shows the command and all it printed."""
    done = run(command, **how)  # type: ignore[arg-type]
    shown = " ".join(str(part) for part in command)
    assert done.returncode == 0, f"{shown}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files(root: Path) -> dict[str, str]:
    """Return every file under `root` by its path, but for what starts with a dot."""
    found = (path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file())
    return {
        path.as_posix(): (root / path).read_bytes().decode("utf-8", "surrogateescape")
        for path in found
        if not any(part.startswith(".") for part in path.parts)
    }


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the unified diff of two trees, as `git diff --no-prefix` shows it."""
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = (tree.get(path, "").splitlines(keepends=True) for tree in (before, after))
        lines += difflib.unified_diff(old, new, path, path)
    return "".join(lines)
