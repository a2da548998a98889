"""Manifests on disk: find them, read them, and write back only what changed.

Which files count is Flux's rule (`.yaml`, `.yml`, `Kustomization`); text is only parsed when it can matter, which keeps
Helm templates away from the parser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from krmfn.disk import reading, writing
from krmfn.errors import InputError
from krmfn.inventory.ignore import Ignored
from krmfn.inventory.survey import Skipped, Survey
from krmfn.kubernetes.forms import may_hold_image
from krmfn.kubernetes.resource import is_definition
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.documents import documents
from krmfn.yamledit.prefilter import MARKS
from krmfn.yamledit.text import Text
from krmfn.yamledit.yamltree import is_null

if TYPE_CHECKING:
    from krmfn.kubernetes.overriding import Graph
    from krmfn.yamledit.nodes import Block

_WORDS = (b"image", b"krmfn.dev", b"TagSnapshot", b"Secret", b"Namespace", b"source.toolkit.fluxcd.io")
_TARGETS = (b"krmfn.dev/v1alpha1", b"ImageAutomation", b"targets")
"""A text that holds all three may name fields of any file."""
_KEPT = (b"kind: ImageLock", b"kind: TagSnapshot")
"""Nobody may go on without a lock that is there but cannot be read, such as one with conflict markers."""
_CONFIGURATION = (b"image.toolkit.fluxcd.io/", b"krmfn.dev/v", b"imageScans:")
MAX_TOTAL = 1 << 30
"""Bytes of all files of a run together."""
_WIDE = (b"\xff\xfe", b"\xfe\xff")
"""How UTF-16 starts, in which no word shows; nobody downstream reads it."""


@dataclass(frozen=True)
class Tree:
    """The texts that may matter, their documents in order, and what was left alone."""

    texts: tuple[Text, ...]
    blocks: tuple[Block, ...]
    skipped: tuple[Skipped, ...]
    every: tuple[Text, ...] = ()
    """All texts that a kustomization may refer to."""
    aside: tuple[Text, ...] = ()
    """Texts in which nothing is changed: what is no YAML and, where it was asked for, what stands in hidden folders."""
    leftovers: tuple[Path, ...] = ()
    """What killed runs left behind; the next one that writes removes it."""

    @cached_property
    def graph(self) -> Graph:
        """Return which fields count where kustomizations change them."""
        from krmfn.kubernetes.kustomize import graph

        blocks: dict[str, list[Block]] = {}
        for block in self.blocks:
            blocks.setdefault(block.text.name, []).append(block)
        every = {text.name: text for text in self.every}
        return graph.read(every, lambda text: blocks.get(text.name) or documents(text), _unlinked)


def read(
    paths: Iterable[Path], exclude: Sequence[str] = (), texts_in_memory: Iterable[Text] = (), *, is_hidden_shown: bool = False
) -> Tree:
    """Read the manifests below the paths, in lexical order. Raise InputError for a path that is not there.

    Raise InputError, too, when they have more than MAX_TOTAL bytes together. A file that is too large by itself is skipped.
    What is given as a text, such as stdin, comes first. `exclude` are patterns of gitignore; see `ignore`.
    """
    survey = Survey(Ignored(exclude), is_hidden_shown=is_hidden_shown)
    named: list[Text] = [*texts_in_memory]
    aside: list[Text] = []
    limit, total = reading.max_bytes(), 0
    for path in survey.files(paths):
        if (text := survey.text(path, limit)) is not None:
            (aside if path in survey.hidden else named).append(text)
            total += len(text.data)
            if total > MAX_TOTAL:
                raise InputError(f"expected at most {MAX_TOTAL} bytes in all files, found more; name fewer paths", name=text.name)
    skipped = survey.skipped
    # Only texts with a word that matters are parsed: templates of charts are no YAML, and most files hold no image.
    is_any = any(all(word in text.data for word in _TARGETS) for text in named)
    texts: list[Text] = []
    blocks: list[Block] = []
    for text in named:
        is_told = is_any or any(word in text.data for word in _WORDS) or may_hold_image(text.data)
        if is_told or text.data.startswith(_WIDE):
            composed = _documents(text, skipped)
            (aside if composed is None else texts).append(text)
            blocks += (block for block in composed or () if not is_definition(block))
    every = tuple(text for text in named if not _defines_alone(text.data))
    return Tree(tuple(texts), tuple(blocks), tuple(skipped), every, tuple(aside), tuple(survey.leftovers))


def _defines_alone(data: bytes) -> bool:
    """True if a text holds nothing but definitions, which make up most bytes of many trees and are never changed."""
    keys = (b"kind: ", b"kind: CustomResourceDefinition")
    kinds, definitions = (data.count(b"\n" + key) + data.startswith(key) for key in keys)
    return kinds == definitions > 0


def _documents(text: Text, skipped: list[Skipped]) -> tuple[Block, ...] | None:
    """Compose a text; a file is taken whole or not at all."""
    plain = text.data.replace(b"\0", b"") if text.data.startswith(_WIDE) else text.data
    is_marked = any(mark in plain for mark in MARKS)
    try:
        blocks = documents(text)
    except InputError as error:
        if any(word in text.data for word in _KEPT):
            raise
        is_configuration = any(word in text.data for word in _CONFIGURATION)
        holds, why = "markers" if is_marked else "configuration", f"not read as YAML: {error.message}"
        skipped.append(Skipped(text.name, why, is_marked or is_configuration, holds, error.line, error.column))
        return None
    if is_marked and not all(_has_metadata(block) for block in blocks):
        skipped.append(Skipped(text.name, "left alone, as Flux leaves it: metadata is no mapping", matters=True))
        return None
    return blocks


def _has_metadata(block: Block) -> bool:
    """True if Flux's reader can put its annotations into a document (kyaml kio)."""
    entries = block.root.value if isinstance(block.root, yaml.MappingNode) else ()
    return not any(
        key.value == "metadata" and not (isinstance(value, yaml.MappingNode | Alias) or is_null(value))
        for key, value in entries
    )


def read_text(path: Path) -> Text | None:
    """Return a file by its name alone, None when nothing is there. Raise InputError for what cannot be read."""
    try:
        return Text(reading.read_file(path, reading.max_bytes()), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except reading.NotReadError as error:
        raise InputError(f"cannot be read: {error}", name=str(path)) from None


def _unlinked(name: str) -> Text | None:
    """Return a file that a kustomization names; None when it is a link, or cannot be read."""
    with suppress(InputError):
        return None if Path(name).is_symlink() else read_text(Path(name))
    return None


def texts(paths: Iterable[Path], words: Iterable[bytes], exclude: Sequence[str] = ()) -> Iterator[Text]:
    """Yield the texts below the paths that hold one of the words. Raise InputError for a path that is not there."""
    survey = Survey(Ignored(exclude))
    for path in survey.files(paths):
        text = survey.text(path, reading.max_bytes())
        if text is not None and any(word in text.data for word in words):
            yield text


def write_all(written: Mapping[Text, bytes], leftovers: Iterable[Path] = (), *, new: Mapping[str, bytes] | None = None) -> None:
    """Write new content of files that were read, and `new` files by path. Raise InputError, see `writing.replace_all`."""
    changed = [writing.Replacement(Path(text.name), data, text.data) for text, data in written.items()]
    added = [writing.Replacement(Path(path), data) for path, data in (new or {}).items()]
    writing.replace_all([*changed, *added], leftovers)
