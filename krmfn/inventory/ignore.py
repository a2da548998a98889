"""Which paths below the given ones are left out: `--exclude` and `.krmfnignore`, both in the grammar of gitignore.

The grammar is `pathspec`'s. Of several files the nearest that says anything decides, and what stands below a folder that
is left out is never looked at, as git does it (gitignore(5)).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.diagnostics import misconfigured
from krmfn.disk.reading import NotReadError, max_bytes, read_file
from krmfn.errors import InputError
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAME = ".krmfnignore"
_ENCODABLE = {0xDC00 + byte: 0xF700 + byte for byte in range(0x80, 0x100)}
"""Bytes of names that are no UTF-8, as characters that RE2 takes; each stays one character and another one than all others."""


class Ignored:
    """The patterns of one run. Files are read when a folder that holds one is first asked about."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        """Take the patterns of the command line, relative to the current folder. Raises ConfigError for a wrong one."""
        self._here = Path.cwd().resolve()
        self._told = _compiled(patterns, "--exclude") if patterns else None
        self._folders: dict[Path, Path] = {}
        self._files: dict[Path, GitIgnoreSpec | None] = {}
        self._holding: dict[Path, tuple[Path, ...]] = {}

    def judges(self, folder: Path) -> bool:
        """True if any pattern counts for what stands in a folder."""
        return self._told is not None or bool(self._above(self._folder(folder)))

    def leaves_out(self, path: Path, top: Path, *, is_folder: bool = False) -> bool:
        """True if a path below `top`, a path that was given, is to be left out. Raises InputError, ConfigError."""
        whole = self._folder(path.parent) / path.name  # a link at the end stays one
        if self._told is not None:
            base = self._here if whole.is_relative_to(self._here) else self._folder(top)
            if _says(self._told, whole, base, is_folder=is_folder):
                return True
        # The nearest file that says anything wins, as git has it: `!kept.yaml` takes back what a file above leaves out.
        for folder in self._above(whole.parent):
            spec = self._file(folder)
            if spec is not None and (is_out := _says(spec, whole, folder, is_folder=is_folder)) is not None:
                return is_out
        return False

    def excludes(self, name: str) -> bool:
        """True if the command line leaves out a path of a tree that is not on disk."""
        return self._told is not None and bool(_says(self._told, Path(name), Path(), is_folder=False))

    def _folder(self, path: Path) -> Path:
        if path not in self._folders:
            self._folders[path] = path.resolve()
        return self._folders[path]

    def _above(self, folder: Path) -> tuple[Path, ...]:
        """Return the folders that hold a file which counts, the nearest first: up to the repository's, else up to the root."""
        if folder not in self._holding:
            own = (folder,) if (folder / NAME).exists() else ()
            is_last = folder == folder.parent or (folder / ".git").exists()
            self._holding[folder] = own if is_last else own + self._above(folder.parent)
        return self._holding[folder]

    def _file(self, folder: Path) -> GitIgnoreSpec | None:
        if folder not in self._files:
            name = folder / NAME
            try:
                lines = read_file(name, max_bytes()).decode().splitlines()
            except OSError:
                lines = []
            except (NotReadError, UnicodeDecodeError) as error:
                why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
                raise InputError(f"cannot be read: {why}", name=str(name)) from None
            self._files[folder] = _compiled(lines, str(name)) if lines else None
        return self._files[folder]


def _compiled(patterns: Sequence[str], where: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    lines = [pattern.translate(_ENCODABLE) for pattern in patterns]
    for number, line in enumerate(lines, 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except Exception as error:  # noqa: BLE001 - its own, and those of the engine that pathspec has chosen
            raise misconfigured(f"{where}: pattern {number} ({printable(patterns[number - 1])}) is none of gitignore's: {error}") from None
    try:
        return GitIgnoreSpec.from_lines(lines)
    except Exception:  # noqa: BLE001 - as above; each alone is good
        raise misconfigured(f"{where}: its {len(lines)} patterns are too much to be matched together; leave out folders instead of files") from None


def _says(spec: GitIgnoreSpec, path: Path, base: Path, *, is_folder: bool) -> bool | None:
    """Return whether patterns leave a path out or take it in; None when none of them is about it."""
    if path == base or not path.is_relative_to(base):
        return None
    return spec.check_file((path.relative_to(base).as_posix() + "/" * is_folder).translate(_ENCODABLE)).include
