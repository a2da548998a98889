"""What to tell people of an exception that nobody foresaw: never a traceback, never the text of the exception itself."""

from __future__ import annotations

import sys
import traceback

from krmfn import __version__
from krmfn.model import Diagnostic

_REPORT = "https://github.com/krmfn/krmfn/issues"


def message(error: BaseException) -> str:
    """Return one line: what kind of exception it is, where it was raised, and where to report it.

    The text of the exception is left out: it may quote input, and so a secret.
    """
    if isinstance(error, MemoryError):
        return "there is not enough memory for this input; nothing was written"
    if isinstance(error, RecursionError):
        return "the input nests too deep; nothing was written"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "krmfn" in frame.filename]
    places = [f"{frame.filename.rpartition('krmfn/')[2]}:{frame.lineno}" for frame in frames[-3:]]
    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"this is a bug in krmfn: {type(error).__name__} at {' > '.join(places) or 'an unknown place'} "
        f"(krmfn {__version__}, Python {python}); please report this line at {_REPORT}"
    )


def diagnostic(error: BaseException) -> Diagnostic:
    """Return the same for the results of a function."""
    return Diagnostic("error", "bug", message(error))
