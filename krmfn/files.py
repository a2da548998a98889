"""Manifests on disk: find them, read them, and write back only what changed, atomically and with their mode bits.

Which files count is Flux's rule (`.yaml`, `.yml`, `Kustomization`); text is only parsed when it can matter, which keeps
Helm templates away from the parser.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from krmfn.errors import InputError
from krmfn.yamltext import Block, Text, documents

_WORDS = (b"image", b"krmfn.dev", b"TagSnapshot")
_KEPT = (b"kind: ImageLock", b"kind: TagSnapshot")
"""Nobody may go on without a lock that is there but cannot be read, such as one with conflict markers."""
_SECRETS = (b"kind: Secret", b"kind: Namespace")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left alone, and why. `matters` is true when it holds markers that now do nothing."""

    path: str
    why: str
    matters: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The texts that may matter, their documents in order, and what was left alone."""

    texts: tuple[Text, ...]
    blocks: tuple[Block, ...]
    skipped: tuple[Skipped, ...]


def read(paths: Iterable[Path]) -> Tree:
    """Read the manifests below the paths, in lexical order. Raises InputError for a path that is not there."""
    texts: list[Text] = []
    blocks: list[Block] = []
    skipped: list[Skipped] = []
    for path in _found(paths, skipped):
        text = _text(path, skipped)
        if text is None or not any(word in text.data for word in (*_WORDS, *_SECRETS)):
            continue
        try:
            found = documents(text)
            for block in found:
                block.root  # noqa: B018 - compose now: a file is taken whole or not at all
        except InputError as error:
            if any(word in text.data for word in _KEPT):
                raise
            marked = b'"$imagepolicy"' in text.data
            skipped.append(Skipped(text.name, f"not read as YAML: {error}", marked))
            continue
        texts.append(text)
        blocks += found
    return Tree(tuple(texts), tuple(blocks), tuple(skipped))


def _text(path: Path, skipped: list[Skipped]) -> Text | None:
    try:
        return Text(path.read_bytes(), str(path))
    except OSError as error:
        skipped.append(Skipped(str(path), f"cannot be read: {error.strerror}", matters=True))
        return None


def _found(paths: Iterable[Path], skipped: list[Skipped]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError("there is no such file or directory", name=str(path))
        for one in [path] if path.is_file() else _walk(path, skipped):
            real = one.resolve()
            if real not in seen:
                seen.add(real)
                yield one


def _walk(top: Path, skipped: list[Skipped]) -> Iterator[Path]:
    for folder, names, files in os.walk(top):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not (name.endswith((".yaml", ".yml")) or name == "Kustomization"):
                continue
            if path.is_symlink():
                skipped.append(Skipped(str(path), "a symbolic link: its target is edited where it lies"))
            elif path.is_file():
                yield path


def write(path: Path, data: bytes) -> None:
    """Replace a file's content at once: readers see the old text or the new one, whatever happens. Raises OSError.

    A link is followed, so that the link stays; mode bits stay too. What is not there yet is made.
    """
    real = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o644)
        Path(name).replace(real)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
