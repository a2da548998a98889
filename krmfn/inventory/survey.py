"""Looking for the files below some paths; what is left alone is told, with the reason."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.disk import reading, writing
from krmfn.errors import InputError
from krmfn.model import Diagnostic, File, Location
from krmfn.yamledit.prefilter import MARKS
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.inventory.ignore import Ignored

_LINKED = 1 << 20
"""Bytes of a file outside of the paths that are looked through for markers."""
_TOOLS = frozenset({".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".terraform", ".terragrunt-cache", ".cache"})
"""Hidden folders that hold nothing of one's own."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left alone, and why. `matters` is true when it `holds` what now does nothing."""

    path: str
    why: str
    matters: bool = False
    holds: str = "markers"
    line: int = 0
    column: int = 0

    @property
    def is_no_yaml(self) -> bool:
        """True if its text was the reason."""
        return self.why.startswith("not read as YAML")

    @property
    def place(self) -> str:
        """The path, with line and column where they are known."""
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path

    @property
    def message(self) -> str:
        """The place and the reason in one line."""
        return f"{self.place}: {self.reason}"

    @property
    def reason(self) -> str:
        """What the file holds, when that matters, and why it was left alone."""
        return f"holds {self.holds}, but was {self.why}" if self.matters and self.holds else self.why

    @property
    def diagnostic(self) -> Diagnostic:
        """What is to be said of a file that matters."""
        place = Location(file=File(self.path, None, self.line, self.column))
        return Diagnostic("warning", "not-read", self.reason, place)


class Survey:
    """Looks for files. What cannot be read is skipped and said; nothing but regular files is opened."""

    def __init__(self, ignored: Ignored, *, is_hidden_shown: bool = False) -> None:
        self._ignored, self._is_hidden_shown = ignored, is_hidden_shown
        self.hidden: set[Path] = set()
        self.skipped: list[Skipped] = []
        self.leftovers: list[Path] = []
        self._links: list[Path] = []

    def text(self, path: Path, limit: int) -> Text | None:
        """Return the content of a file; None when it cannot be read."""
        try:
            return Text(reading.read_file(path, limit), str(path))
        except (reading.NotReadError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._leave(path, f"cannot be read: {why}", matters=True)
            return None

    def files(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield every file once, whatever paths lead to it. A path that was named itself is never left out."""
        seen: set[str] = set()
        for path in paths:
            for one, real in self._walk(path) if _is_folder(path) else ((path, os.path.realpath(path)),):
                if real not in seen:
                    seen.add(real)
                    yield one
        # A link to a file that is read is no second one; one that leads elsewhere is told, never followed.
        for link in self._links:
            if os.path.realpath(link) not in seen:
                self._leave_link(link)

    def _leave(self, path: Path, why: str, *, matters: bool = False) -> None:
        self.skipped.append(Skipped(str(path), why, matters, holds=""))

    def _leave_link(self, link: Path) -> None:
        """Note a link whose target is in none of the paths. Nothing outside of them is ever written."""
        try:
            data = reading.read_file(link, _LINKED)
        except OSError:
            self._leave(link, "a symbolic link that leads to no file")
        except reading.NotReadError as error:
            self._leave(link, f"a symbolic link that is not followed: {error}")
        else:
            self.skipped.append(Skipped(str(link), "a symbolic link that leads out of the given paths", any(mark in data for mark in MARKS)))

    def _walk(self, top: Path) -> Iterator[tuple[Path, str]]:
        """Yield the regular files below a folder that may be manifests, each with its real path."""

        def refused(error: OSError) -> None:
            self._leave(Path(str(error.filename)), f"cannot be read: {error.strerror}", matters=True)

        for folder, names, files in os.walk(top, onerror=refused):
            here, real, is_judged = Path(folder), os.path.realpath(folder), self._ignored.judges(Path(folder))
            is_hidden = any(part.startswith(".") for part in here.relative_to(top).parts)
            names[:] = sorted(
                name
                for name in names
                if not (self._leaves_hidden(name) or (is_judged and self._ignored.leaves_out(here / name, top, is_folder=True)))
            )
            for name in sorted(files):
                path = here / name
                if writing.is_leftover(name):
                    self.leftovers.append(path)
                elif _is_manifest(name) and not (is_judged and self._ignored.leaves_out(path, top)):
                    mode = path.lstat().st_mode
                    if stat.S_ISREG(mode):
                        if is_hidden:
                            self.hidden.add(path)
                        yield path, f"{real}{os.sep}{name}"
                    elif stat.S_ISLNK(mode):
                        self._links.append(path)
                    else:
                        self._leave(path, f"expected a regular file, found {reading.kind(mode)}")

    def _leaves_hidden(self, name: str) -> bool:
        return name.startswith(".") and (not self._is_hidden_shown or name in _TOOLS)


def _is_manifest(name: str) -> bool:
    """True for the names that Flux reads."""
    return name.endswith((".yaml", ".yml")) or name in ("Kustomization", "Kptfile")


def _is_folder(path: Path) -> bool:
    """True for a directory, False for a regular file. Raise InputError for anything else."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("there is no such file or directory", name=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", name=str(path)) from None
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"expected a file or a directory, found {reading.kind(mode)}", name=str(path))
    return stat.S_ISDIR(mode)
