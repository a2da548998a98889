"""The git program: how it is started, for how long, and what it may ask or run on the side.

Git never asks anything: it has no terminal, no askpass window, and ssh fails instead of asking. What a user has set up
for machines stays: credential helpers, `GIT_ASKPASS`, ssh keys and agents, hooks and signing of commits and pushes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from krmfn.diagnostics import misconfigured
from krmfn.disk.signals import signals_held
from krmfn.disk.temporary import temporary_folder
from krmfn.errors import GitError
from krmfn.sanitize import printable

SECONDS = 600.0
"""What all git commands of a run may take together, hooks and network included; `KRMFN_GIT_TIMEOUT` changes it."""
VARIABLE = "KRMFN_GIT_TIMEOUT"
_LINES = 20
_MOST = 256 << 20
"""Bytes that one git command may print."""
_GRACE = 2.0
"""Seconds that git gets to remove its lock files before it is killed."""

_ALWAYS = (
    "--no-pager", "-c", "core.fsmonitor=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "log.showSignature=false",
    "-c", "i18n.logOutputEncoding=UTF-8", "-c", "diff.orderFile=/dev/null",
)  # fmt: skip
"""No program of the checkout's configuration, nothing that goes on running in the background, and words that can be read."""
_READING = ("--no-optional-locks", "-c", "core.hooksPath=/dev/null")
_DROPPED = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS", "SSH_ASKPASS",
)  # fmt: skip
"""Variables that point git elsewhere, as hooks of an outer git set them, or that change what is read or open windows."""


def seconds_allowed(environment: Mapping[str, str]) -> float:
    """Return the seconds that git may take in this run. Raise ConfigError for a value that is no positive number."""
    value = environment.get(VARIABLE, "")
    with contextlib.suppress(ValueError):
        seconds = float(value or SECONDS)
        if 0 < seconds <= 86400:
            return seconds
    raise misconfigured(f"{VARIABLE}: expected seconds from 1 to 86400, found {printable(value)!r}")


class Allowance:
    """The time that the git commands of one run share, in seconds."""

    def __init__(self, seconds: float) -> None:
        self.total = self.left = seconds


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in a folder. Failures are GitError with git's own words."""

    folder: Path
    allowance: Allowance
    environment: Mapping[str, str] = field(default_factory=dict)

    def read(self, *arguments: str, expects: Sequence[int] = (0,)) -> str:
        """Return what git prints about the repository, without the last line break. Runs no hook of it."""
        return self.ask(*_READING, *arguments, expects=expects)[1]

    def find(self, *arguments: str) -> str:
        """Return what git prints, or '' if it exits 1 because there is nothing."""
        return self.read(*arguments, expects=(0, 1))

    def holds(self, *arguments: str) -> bool:
        """Return True if git answers yes (exit 0), False if no (exit 1)."""
        return self.ask(*_READING, *arguments, expects=(0, 1))[0] == 0

    def commit(self, revision: str) -> str:
        """Return the full name of a commit, or '' if there is no such commit."""
        if not revision or revision.startswith("-"):
            return ""
        asked = ("rev-parse", "-q", "--verify", "--end-of-options", f"{revision}^{{commit}}")
        return self.ask(*asked, expects=(0, 1, 128))[1]

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Return True if `of` holds the commit in its history, as far as that is here."""
        return self.holds("merge-base", "--is-ancestor", commit, of)

    @property
    def is_shallow(self) -> bool:
        """Return True if history was cut when the repository was cloned."""
        return self.read("rev-parse", "--is-shallow-repository") == "true"

    def run(self, *arguments: str, text: str = "", inherit: Sequence[int] = ()) -> str:
        """Run a command that changes something, with the user's hooks, and return what it prints."""
        return self.ask(*arguments, text=text, inherit=inherit)[1]

    def ask(
        self, *arguments: str, text: str = "", expects: Sequence[int] = (0,), inherit: Sequence[int] = ()
    ) -> tuple[int, str]:
        """Return exit code and output. Raise GitError for an exit code that is not expected and for a time-out."""
        code, out, err = self._finish(arguments, text.encode("utf-8", "surrogateescape"), inherit)
        printed = out.decode("utf-8", "surrogateescape").rstrip("\n")
        if code not in expects:
            words = reason(err.decode("utf-8", "replace"), printed)
            raise GitError(f"git {name_of(arguments)} failed: {words}")
        return code, printed

    def pipe(self, *arguments: str, data: bytes = b"") -> bytes:
        """Return the raw output of a command that reads."""
        code, out, err = self._finish((*_READING, *arguments), data, ())
        if code:
            raise GitError(f"git {name_of(arguments)} failed: {reason(err.decode('utf-8', 'replace'))}")
        return out

    def _finish(self, arguments: Sequence[str], data: bytes, inherit: Sequence[int]) -> tuple[int, bytes, bytes]:
        """Run git to its end. Files instead of pipes: what a hook leaves running in the background is not waited for."""
        place = temporary_folder()
        with TemporaryFile(dir=place) as stdin, TemporaryFile(dir=place) as out, TemporaryFile(dir=place) as err:
            stdin.write(data)
            stdin.seek(0)
            process = None
            try:
                with signals_held():  # a git that is started is one that is ended, whatever comes
                    process = subprocess.Popen(
                        ["git", *_ALWAYS, *arguments], cwd=self.folder, env=_environment(self.environment), pass_fds=inherit,
                        stdin=stdin, stdout=out, stderr=err, start_new_session=True,
                    )  # fmt: skip
                self._wait(process, arguments)
            except FileNotFoundError:
                raise GitError("git is not on PATH", help="install git, or leave out --commit and --push") from None
            except BaseException:
                if process is not None:
                    _end(process)
                raise
            return process.returncode, _printed(out, arguments), _printed(err, arguments)

    def _wait(self, process: subprocess.Popen[bytes], arguments: Sequence[str]) -> None:
        start = time.monotonic()
        try:
            process.wait(max(self.allowance.left, 0.01))
        except subprocess.TimeoutExpired:
            raise GitError(
                f"git {name_of(arguments)} was ended: git commands of a run may take {self.allowance.total:g} seconds in all",
                help=f"a remote, a hook or a signing program does not answer; {VARIABLE}=SECONDS allows more",
            ) from None
        finally:
            self.allowance.left -= time.monotonic() - start


def _printed(file: IO[bytes], arguments: Sequence[str]) -> bytes:
    """Return what git printed. Raise GitError when it is more than anything that git is asked for can be."""
    if file.seek(0, os.SEEK_END) > _MOST:
        raise GitError(f"git {name_of(arguments)} printed more than {_MOST} bytes", help="what it prints is not read any further")
    file.seek(0)
    return file.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and everything it started; git gets a moment to remove its lock files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never", "SSH_ASKPASS_REQUIRE": "never", "GIT_EDITOR": "false",
        "GIT_REFLOG_ACTION": "krmfn update", "GIT_LFS_SKIP_SMUDGE": "1", "GIT_MERGE_AUTOEDIT": "no",
    }  # fmt: skip
    return environment | dict(extra)


def name_of(arguments: Sequence[str]) -> str:
    """Return the git command among arguments that may start with options.

    >>> name_of(("-c", "gpg.format=ssh", "commit", "-S"))
    'commit'
    """
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        del rest[: 2 if rest[0] == "-c" else 1]
    return rest[0] if rest else ""


def reason(*texts: str) -> str:
    """Return what git printed as one line that is safe to show."""
    lines = [line for text in texts for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return "; ".join(printable(line.strip(), 300) for line in lines[:_LINES]) or "it printed nothing"
