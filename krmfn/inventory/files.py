"""Manifests on disk: find them, read them, and write back only what changed, atomically and with their mode bits.

Which files count is Flux's rule (`.yaml`, `.yml`, `Kustomization`); text is only parsed when it can matter, which keeps
Helm templates away from the parser.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from krmfn.errors import InputError
from krmfn.inventory.ignore import Ignored
from krmfn.kubernetes.forms import may_hold_image
from krmfn.kubernetes.overriding import Graph
from krmfn.kubernetes.resource import is_definition
from krmfn.model import Diagnostic, File, Location
from krmfn.yamledit.nodes import Alias, Block, Text, documents, is_null

_WORDS = (b"image", b"krmfn.dev", b"TagSnapshot", b"Secret", b"Namespace", b"source.toolkit.fluxcd.io")
_TARGETS = (b"krmfn.dev/v1alpha1", b"ImageAutomation", b"targets")
"""A text that holds all three may name fields of any file."""
_KEPT = (b"kind: ImageLock", b"kind: TagSnapshot")
"""Nobody may go on without a lock that is there but cannot be read, such as one with conflict markers."""
_MARK = b'"$imagepolicy"'
_CONFIGURATION = (b"image.toolkit.fluxcd.io/", b"krmfn.dev/v")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 starts, in which no word shows; nobody downstream reads it."""


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
        return Diagnostic(
            "warning", "not-read", self.reason, Location(file=File(self.path, None, self.line, self.column))
        )


@dataclass(frozen=True, slots=True)
class Tree:
    """The texts that may matter, their documents in order, and what was left alone."""

    texts: tuple[Text, ...]
    blocks: tuple[Block, ...]
    skipped: tuple[Skipped, ...]
    every: tuple[Text, ...] = ()
    """All texts that a kustomization may refer to."""

    def graph(self) -> Graph:
        """Return which fields count where kustomizations change them."""
        from krmfn.kubernetes.kustomize import graph

        blocks: dict[str, list[Block]] = {}
        for block in self.blocks:
            blocks.setdefault(block.text.name, []).append(block)
        every = {text.name: text for text in self.every}
        return graph.read(every, lambda text: blocks.get(text.name) or documents(text))


def read(paths: Iterable[Path], exclude: Sequence[str] = (), given: Iterable[Text] = ()) -> Tree:
    """Read the manifests below the paths, in lexical order. Raises InputError for a path that is not there.

    What is given as a text, such as stdin, comes first. `exclude` are patterns of gitignore; see `ignore`.
    """
    skipped: list[Skipped] = []
    found = [*given]
    found += (text for path in _found(paths, skipped, Ignored(exclude)) if (text := _text(path, skipped)) is not None)
    is_any = any(all(word in text.data for word in _TARGETS) for text in found)
    texts: list[Text] = []
    blocks: list[Block] = []
    for text in found:
        is_told = is_any or any(word in text.data for word in _WORDS) or may_hold_image(text.data)
        if is_told or text.data.startswith(_WIDE):
            held = _documents(text, skipped)
            if held is not None:
                texts.append(text)
                blocks += (block for block in held if not is_definition(block))
    every = tuple(text for text in found if not _defines_alone(text.data))
    return Tree(tuple(texts), tuple(blocks), tuple(skipped), every)


def _defines_alone(data: bytes) -> bool:
    """True if a text holds nothing but definitions, which make up most bytes of many trees and are never changed."""
    kinds = data.count(b"\nkind: ") + data.startswith(b"kind: ")
    return (
        kinds
        == data.count(b"\nkind: CustomResourceDefinition") + data.startswith(b"kind: CustomResourceDefinition")
        > 0
    )


def _documents(text: Text, skipped: list[Skipped]) -> tuple[Block, ...] | None:
    """Compose a text; a file is taken whole or not at all."""
    is_marked = _MARK in (text.data.replace(b"\0", b"") if text.data.startswith(_WIDE) else text.data)
    try:
        found = documents(text)
    except InputError as error:
        if any(word in text.data for word in _KEPT):
            raise
        is_configuration = any(word in text.data for word in _CONFIGURATION)
        holds = "markers" if is_marked else "configuration"
        skipped.append(
            Skipped(
                text.name,
                f"not read as YAML: {error.message}",
                is_marked or is_configuration,
                holds,
                error.line,
                error.column,
            )
        )
        return None
    if is_marked and not all(_has_metadata(block) for block in found):
        skipped.append(Skipped(text.name, "left alone, as Flux leaves it: metadata is no mapping", matters=True))
        return None
    return found


def _has_metadata(block: Block) -> bool:
    """True if Flux's reader can put its annotations into a document (kyaml kio)."""
    entries = block.root.value if isinstance(block.root, yaml.MappingNode) else ()
    return not any(
        key.value == "metadata" and not (isinstance(value, yaml.MappingNode | Alias) or is_null(value))
        for key, value in entries
    )


def _text(path: Path, skipped: list[Skipped]) -> Text | None:
    try:
        return Text(path.read_bytes(), str(path))
    except OSError as error:
        skipped.append(Skipped(str(path), f"cannot be read: {error.strerror}", matters=True, holds=""))
        return None


def texts(paths: Iterable[Path], words: Iterable[bytes], exclude: Sequence[str] = ()) -> Iterator[Text]:
    """Yield the texts below the paths that hold one of the words. Raises InputError for a path that is not there."""
    for path in _found(paths, [], Ignored(exclude)):
        text = _text(path, [])
        if text is not None and any(word in text.data for word in words):
            yield text


def _found(paths: Iterable[Path], skipped: list[Skipped], ignored: Ignored) -> Iterator[Path]:
    """Yield every file once, whatever paths lead to it. A path that was named itself is never left out."""
    links: list[Path] = []
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError("there is no such file or directory", name=str(path))
        if not (path.is_file() or path.is_dir()):
            raise InputError("expected a file or a directory", name=str(path))
        for one in [path] if path.is_file() else _walk(path, links, skipped, ignored):
            real = one.resolve()
            if real not in seen:
                seen.add(real)
                yield one
    skipped += (_linked(link) for link in links if link.resolve() not in seen)


def _linked(link: Path) -> Skipped:
    """Return what became of a link whose target is in none of the paths. Nothing outside of them is ever written."""
    try:
        is_marked = _MARK in link.read_bytes()
    except OSError:
        return Skipped(str(link), "a symbolic link that leads to no file")
    return Skipped(str(link), "a symbolic link that leads out of the given paths", is_marked)


def _walk(top: Path, links: list[Path], skipped: list[Skipped], ignored: Ignored) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        skipped.append(Skipped(str(error.filename), f"cannot be read: {error.strerror}", matters=True, holds=""))

    for folder, names, files in os.walk(top, onerror=refused):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".") and not ignored.leaves_out(Path(folder, name), top, is_folder=True)
        )
        for name in sorted(files):
            path = Path(folder, name)
            if not (name.endswith((".yaml", ".yml")) or name == "Kustomization"):
                continue
            if ignored.leaves_out(path, top):
                continue
            if path.is_symlink():
                links.append(path)
            elif path.is_file():
                yield path


def write(path: Path, data: bytes) -> None:
    """Replace a file's content at once: readers see the old text or the new one, whatever happens. Raises InputError.

    A link is followed, so that the link stays; mode bits stay too. What is not there yet is made.
    """
    _replace([(path.resolve(), data)])


def write_all(written: Mapping[Text, bytes]) -> None:
    """Replace the content of files that were read; all are staged before the first is replaced. Raises InputError.

    A file that somebody else changed meanwhile stops the run before anything is replaced.
    """
    for text in written:
        try:
            now = Path(text.name).read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read again: {error.strerror}", name=text.name) from None
        if now != text.data:
            raise InputError("changed while krmfn was running; nothing was written, run it again", name=text.name)
    _replace([(Path(text.name).resolve(), data) for text, data in written.items()])


def _replace(todo: Iterable[tuple[Path, bytes]]) -> None:
    staged: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in todo:
            staged.append((_stage(path, data), path))
        while staged:
            new, path = staged[0]
            new.replace(path)
            staged.pop(0)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", name=str(path)) from None
    finally:
        for new, _ in staged:
            new.unlink(missing_ok=True)


def _stage(path: Path, data: bytes) -> Path:
    """Write the new content beside the file, with its mode bits, and its owner where that is allowed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            old = path.stat()
            if (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
                with contextlib.suppress(PermissionError):
                    os.chown(new, old.st_uid, old.st_gid)
            new.chmod(stat.S_IMODE(old.st_mode))
        else:
            new.chmod(0o644)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new
