"""Where temporary files go. Python's own search writes a file to try a folder, which a run that is killed leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

from krmfn.errors import InputError

_VARIABLES = ("TMPDIR", "TEMP", "TMP")
_FOLDERS = ("/tmp", "/var/tmp", "/usr/tmp")  # noqa: S108 - looked at, and never a name in them guessed


def temporary_folder() -> Path:
    """Return the first folder of Python's list that can be written to, as an absolute path. Raise InputError if there is none."""
    places = [place for place in (*map(os.environ.get, _VARIABLES), *_FOLDERS) if place]
    for place in places:
        if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):  # noqa: PTH112 - pathlib raises for some names
            return Path(place).absolute()
    raise InputError(f"none of {', '.join(places)} is a folder that can be written to; set TMPDIR to one", name="temporary files")
