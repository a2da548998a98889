"""Which kustomization has to name a new file, so that a build hands it to krmfn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from krmfn.config.objects import listing, text
from krmfn.config.plain import read
from krmfn.disk.reading import NotReadError, max_bytes, read_file
from krmfn.errors import InputError
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_FUNCTION = b"config.kubernetes.io/function"
_PLUGINS = ("transformers", "generators", "validators")


def unseen(written: Iterable[str]) -> Iterator[str]:
    """Yield a hint for each new file that no kustomization loads although one should.

    A kustomization that lists functions is one of `transformers:`, where an item would be taken for a function; there
    the kustomization above, which uses it, has to load the file.
    """
    for name in written:
        beside = _kustomization(Path(name).parent)
        if beside is None or os.fsencode(Path(name).name) in _content(beside):
            continue
        loader = _user(beside.parent) if _lists_functions(beside) else beside
        if loader is None:
            continue
        entry = Path(os.path.relpath(name, loader.parent)).as_posix()
        if entry not in _entries(_data(loader), "resources"):
            yield f"add {entry} to the resources of {loader}, so that kustomize build sees it"


def reader(name: str) -> str:
    """Return which build reads a file beside its kustomization, as the rest of a sentence; empty for none."""
    beside = _kustomization(Path(name).parent)
    is_read = beside is not None and Path(name).name in _entries(_data(beside), "resources")
    return f", and kustomize build {beside.parent} reads it" if beside and is_read else ""


@cache
def is_built(name: str) -> bool:
    """True if a kustomization beside a file, or above it in the repository, names it among its resources: comments are lost there."""
    loaders = filter(None, map(_kustomization, _upwards(Path(name).parent, 0)))
    return any(os.path.relpath(name, loader.parent) in _entries(_data(loader), "resources") for loader in loaders)


def _upwards(folder: Path, start: int) -> Iterator[Path]:
    """Yield the folders from `start` above a folder, 0 for itself, up to the root of its repository."""
    for depth in range(start, len(folder.resolve().parents) + 1):
        above = folder / Path(*[".."] * depth)
        yield above
        if (above / ".git").exists():
            return


def _kustomization(folder: Path) -> Path | None:
    return next((path for name in _NAMES if (path := folder / name).is_file()), None)


def _user(folder: Path) -> Path | None:
    """Find the kustomization above a folder that runs it; kustomize loads files from below only."""
    here = str(folder.resolve())
    for above in _upwards(folder, 1):
        kustomization = _kustomization(above)
        entries = _entries(_data(kustomization), *_PLUGINS) if kustomization else ()
        if kustomization and any(os.path.realpath(above / entry) == here for entry in entries):
            return Path(os.path.relpath(kustomization))
    return None


def _lists_functions(kustomization: Path) -> bool:
    files = (kustomization.parent / entry for entry in _entries(_data(kustomization), "resources"))
    return any(_FUNCTION in _content(path) for path in files)


def _entries(data: Mapping[str, Any], *fields: str) -> list[str]:
    """Return the paths that fields of a kustomization name; inline documents and addresses are none."""
    entries = (text(entry) for field in fields for entry in listing(data.get(field)))
    return [os.path.normpath(entry) for entry in entries if entry and not {"\n", "\0"} & {*entry} and "://" not in entry]


def _data(path: Path) -> Mapping[str, Any]:
    """Read a kustomization; one that is no YAML names nothing."""
    try:
        resources = [resource for block in documents(Text(_content(path), str(path))) for resource in read(block)]
    except InputError:
        return {}
    return resources[0].data if resources else {}


def _content(path: Path) -> bytes:
    """Return what a file holds; one that cannot be read holds nothing."""
    try:
        return read_file(path, max_bytes())
    except (NotReadError, OSError):
        return b""
