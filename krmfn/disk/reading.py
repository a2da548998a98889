"""Reading what others wrote: regular files alone, judged before they are opened, and never more than a limit of bytes."""

from __future__ import annotations

import contextlib
import io
import os
import stat

from krmfn.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

MAX_MIB = 256
"""MiB of one file or of stdin, unless `KRMFN_MAX_INPUT_MIB` names another number."""
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a directory",
}


class NotReadError(Exception):
    """A file was not read; the message says why, for people."""


def max_bytes() -> int:
    """Return the bytes that one file or stdin may have. Raise InputError for a variable that is no number of MiB."""
    value = os.environ.get("KRMFN_MAX_INPUT_MIB", "")
    if value and not (value.isascii() and value.isdigit() and 0 < len(value) <= 6 and int(value)):
        raise InputError(f"expected a number of MiB from 1 to 999999, found {value!r}", name="KRMFN_MAX_INPUT_MIB")
    return (int(value) if value else MAX_MIB) << 20


def kind(mode: int) -> str:
    """Return what a file is that is no regular one, from the mode of its stat: `a FIFO`."""
    return _KINDS.get(stat.S_IFMT(mode), "something else")


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; links are followed.

    Raise NotReadError for anything else, FileNotFoundError and NotADirectoryError when nothing is there. Neither a FIFO
    nor a device is opened, so nothing waits, and a file that is too large is not read.
    """
    try:
        # Looked at before it is opened, as opening a FIFO waits and opening a device may act; and again once it is
        # open, as another file may stand there by then.
        _judge(os.stat(path), limit)  # noqa: PTH116 - the very call that is meant
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor, no path
            _judge(os.fstat(descriptor), limit)
            return _read(file, limit)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise NotReadError(error.strerror or "cannot be read") from None
    except ValueError as error:  # NUL in a path
        raise NotReadError(str(error)) from None


def read_stdin(stream: BinaryIO, limit: int) -> bytes:
    """Return all of stdin; raise InputError when it has more bytes than the limit, before more of it is read."""
    try:
        with contextlib.suppress(io.UnsupportedOperation):  # a stream in memory
            if stat.S_ISREG((status := os.fstat(stream.fileno())).st_mode):
                _judge(status, limit)
        return _read(stream, limit)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    except NotReadError as error:
        raise InputError(str(error)) from None


def _judge(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotReadError(f"expected a regular file, found {kind(status.st_mode)}")
    if status.st_size > limit:
        raise NotReadError(_too_large(f"{status.st_size} bytes", limit))


def _read(file: BinaryIO, limit: int) -> bytes:
    data = bytearray()
    while chunk := file.read(min(1 << 20, limit + 1 - len(data))):
        data += chunk
        if len(data) > limit:
            raise NotReadError(_too_large("more", limit))
    return bytes(data)


def _too_large(size: str, limit: int) -> str:
    advice = "; KRMFN_MAX_INPUT_MIB allows more" if limit == max_bytes() else ""
    return f"expected at most {limit} bytes, found {size}{advice}"
