"""The folder in which a run works beside the checkout, and what killed runs left behind.

Every run holds a lock on a file in `.git/krmfn` that names its folder, for as long as it lives. A file whose lock is free
belongs to a run that was killed: its folder, its worktree and the lock files of git that it may have left are removed by
the next run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.disk.reading import NotReadError, read_file
from krmfn.disk.signals import signals_held
from krmfn.disk.temporary import temporary_folder
from krmfn.errors import GitError
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.git.program import Git

_TRIES = 5
_LONGEST = 64 << 10
"""Bytes of what a run or git notes beside a checkout: paths."""
_FOLDER = re.compile(r"krmfn-([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of this run alone. `descriptor` is the open lock file, `common` is what all worktrees of git share."""

    folder: Path
    common: Path
    journal: Path
    descriptor: int
    git: Git

    @contextlib.contextmanager
    def changing(self, files: Iterable[Path]) -> Iterator[tuple[int]]:
        """Remember lock files that git may leave if it is killed inside the block; yield what git must inherit.

        A lock file that exists already belongs to somebody else. As git holds the lock of this run too, the next run
        does not take a lock file away from a git that is still at work.
        """
        self.journal.write_text("\0".join(str(file) for file in files if not file.exists()))
        try:
            yield (self.descriptor,)
        finally:
            self.journal.unlink(missing_ok=True)

    @contextlib.contextmanager
    def worktree(self, name: str, base: str) -> Iterator[Path]:
        """Check out a commit in a worktree of this workspace."""
        folder = self.folder / name
        try:
            self.git.run("worktree", "add", "--quiet", "--detach", str(folder), base)
            yield folder
        finally:
            _remove_folder(self.folder, self.common)


@contextlib.contextmanager
def workspace(git: Git) -> Iterator[Workspace]:
    """Remove what killed runs left in the repository, and make a workspace."""
    common = Path(git.read("rev-parse", "--path-format=absolute", "--git-common-dir"))
    home = common / "krmfn"
    try:
        home.mkdir(exist_ok=True)
        _sweep(home)
        _forget(home)
        lock, descriptor = _locked(home)
        folder = temporary_folder() / f"krmfn-{lock.stem}"
        lock.write_text(str(folder))
        folder.mkdir(mode=0o700)
    except OSError as error:
        place = printable(str(error.filename or home))
        raise GitError(
            f"{place} cannot be made: {error.strerror}", help="krmfn needs to write there to commit"
        ) from None
    try:
        yield Workspace(folder, common, lock.with_suffix(".journal"), descriptor, git)
    finally:
        with signals_held():
            _remove_folder(folder, common)
            lock.with_suffix(".journal").unlink(missing_ok=True)  # an interrupt may have come before it was
            lock.unlink(missing_ok=True)
            os.close(descriptor)
            with contextlib.suppress(OSError):
                home.rmdir()


def _locked(home: Path) -> tuple[Path, int]:
    """Return a new lock file and its descriptor; another run may have swept it before it was locked."""
    while True:
        home.mkdir(exist_ok=True)
        lock = home / f"{secrets.token_hex(6)}.lock"
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:  # another run has just removed the empty folder
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.exists():
                return lock, descriptor
        os.close(descriptor)


def _sweep(home: Path) -> None:
    """Remove what runs left that are no longer alive."""
    for journal in home.glob("*.journal"):
        if not os.path.lexists(lock := journal.with_suffix(".lock")):
            _remove(lock)
    for lock in sorted(home.glob("*.lock")):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError:  # gone meanwhile, or no lock of ours
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            _remove(lock)
        finally:
            os.close(descriptor)


def _remove(lock: Path) -> None:
    journal = lock.with_suffix(".journal")
    for name in _noted(journal).split("\0"):
        if name.endswith(".lock"):
            Path(name).unlink(missing_ok=True)
    journal.unlink(missing_ok=True)
    folder = Path(_noted(lock))
    if folder.is_absolute() and folder.name == f"krmfn-{lock.stem}":
        _remove_folder(folder, lock.parent.parent)
    lock.unlink(missing_ok=True)


def _noted(file: Path) -> str:
    """Return what a file beside the checkout says, nothing when it cannot be read."""
    with contextlib.suppress(OSError, NotReadError, UnicodeDecodeError):
        return read_file(file, _LONGEST).decode()
    return ""


def _remove_tree(folder: Path) -> None:
    """Remove a folder although files in it come and go: a git that is ended removes its lock files."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def _forget(home: Path) -> None:
    """Remove git's records of worktrees of runs that are over, lock and folder included: a git that outlived its run made them."""
    for record in (home.parent / "worktrees").glob("*/gitdir"):
        with contextlib.suppress(OSError):
            folder = Path(_noted(record).rstrip("\n")).parent.parent
            name = _FOLDER.fullmatch(folder.name)
            if name and not (home / f"{name[1]}.lock").exists() and not folder.exists():
                _remove_tree(record.parent)


def _remove_folder(folder: Path, common: Path) -> None:
    """Remove the folder of a run with git's record of the worktree in it (gitrepository-layout: worktrees/NAME/gitdir)."""
    _remove_tree(folder)
    records = common / "worktrees"
    for record in records.glob("*/gitdir"):
        if Path(_noted(record).rstrip("\n")).is_relative_to(folder):
            _remove_tree(record.parent)
    with contextlib.suppress(OSError):
        records.rmdir()
