"""Writing files: each is replaced at once by a new one, which takes over mode, owner and extended attributes.

What replacing would break is refused before anything is written: files with several hard links, and read-only files.
A run that is killed leaves `.krmfn.*.tmp` files, which nobody holds a lock on any more; the next run removes them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from krmfn.disk.reading import NotReadError, max_bytes, read_file
from krmfn.disk.signals import signals_held
from krmfn.errors import InputError

_PREFIX, _SUFFIX = ".krmfn.", ".tmp"
_LOCKS = 256
"""Locks held at once; beyond them a new file has none, and only a run at the same time could mistake it."""


class Replacement(NamedTuple):
    """A file's new content. `before` is what was read from it, None when nothing was there."""

    path: Path
    data: bytes
    before: bytes | None = None


class _Staged(NamedTuple):
    """A file that is to take the place of `path`; `file` holds the lock on it, or is closed."""

    new: Path
    path: Path
    file: BinaryIO


def is_leftover(name: str) -> bool:
    """True if a file of this name was made by a run of krmfn, which renames or removes it when it ends."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


def replace_all(replacements: Iterable[Replacement], leftovers: Iterable[Path] = ()) -> None:
    """Replace the content of files; all are staged before the first is replaced. Raise InputError.

    Links are followed and stay. A file that somebody else changed meanwhile stops the run before anything is replaced,
    and so does a signal; one that comes later takes effect when all are replaced. `leftovers` of killed runs are removed.
    """
    # A staged file is locked until it is renamed or removed: that tells one of a run that goes on from a leftover.
    todo = [one._replace(path=Path(os.path.realpath(one.path))) for one in replacements]
    for path in (*leftovers, *_beside({one.path.parent for one in todo})):
        _remove_leftover(path)
    for one in todo:
        _check_unchanged(one)
    staged: list[_Staged] = []
    path = Path()
    with signals_held() as came:
        try:
            for path, data, before in todo:
                staged.append(_stage(path, data, is_new=before is None, is_locked=len(staged) < _LOCKS))
                if came:
                    return
            while staged:
                new, path, file = staged[0]
                new.replace(path)
                staged.pop(0)
                file.close()
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", name=str(path)) from None
        finally:
            for new, _, file in staged:
                new.unlink(missing_ok=True)
                file.close()


def _beside(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        with contextlib.suppress(OSError):
            yield from (folder / name for name in os.listdir(folder) if is_leftover(name))  # noqa: PTH208 - names alone


def _remove_leftover(path: Path) -> None:
    """Remove a file that a killed run left; one of a run that goes on is locked and stays."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, no path
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


def _check_unchanged(one: Replacement) -> None:
    """Raise InputError when the file is not what was read, or cannot be replaced without a loss."""
    name = str(one.path)
    if one.before is None:
        if os.path.lexists(one.path):
            raise InputError("appeared while krmfn was running; nothing was written, run it again", name=name)
        return
    try:
        now = read_file(one.path, max_bytes())
        status = one.path.stat()
    except (NotReadError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot be read again: {why}", name=name) from None
    if now != one.before:
        raise InputError("changed while krmfn was running; nothing was written, run it again", name=name)
    if not stat.S_IMODE(status.st_mode) & 0o222 or not os.access(one.path, os.W_OK):
        raise InputError("is read-only; nothing was written, chmod u+w it first", name=name)
    if status.st_nlink > 1:
        raise InputError(
            f"has {status.st_nlink} hard links, which a new file would part; nothing was written, make it a file of its own: "
            "cp -p FILE NEW && mv NEW FILE",
            name=name,
        )


def _stage(path: Path, data: bytes, *, is_new: bool, is_locked: bool) -> _Staged:
    """Write the new content beside the file, with all that the file has besides its content. Raise OSError."""
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent)
    new, file = Path(name), open(descriptor, "wb")  # noqa: PTH123, SIM115 - a descriptor, closed below
    try:
        if is_locked:
            with contextlib.suppress(OSError):  # some file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if is_new:
            new.chmod(0o644)
        else:
            _take_over(path, new)
    except BaseException:
        new.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it writes what is left
            file.close()
        raise
    if not is_locked:
        file.close()
    return _Staged(new, path, file)


def _take_over(path: Path, new: Path) -> None:
    """Give the new file the old one's owner where that is allowed, its mode bits and its extended attributes."""
    old = path.stat()
    # Owner first, as a change of it clears the set-user-ID bits of the mode (chown(2)).
    if (old.st_uid, old.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode))
    for name, value in _attributes(path).items():
        if _attributes(new).get(name) != value:
            try:
                os.setxattr(new, name, value)
            except OSError as error:
                raise OSError(error.errno, f"extended attribute {name} cannot be kept: {error.strerror}") from None


def _attributes(path: Path) -> dict[str, bytes]:
    """Return the extended attributes of a file; none where the system or the file system has none."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return {}
        raise


def put(path: Path, data: bytes) -> None:
    """Write a file at once, whatever was there: it is whole or not there at any moment. Raise InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = _stage(path, data, is_new=True, is_locked=True)
        staged.new.replace(path)
        staged.file.close()
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", name=str(path)) from None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left in a folder."""
    for path in _beside({folder}):
        _remove_leftover(path)
