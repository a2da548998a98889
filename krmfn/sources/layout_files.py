"""The files of one OCI layout: its index, and content that is checked against its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import is_tag
from krmfn.sanitize import printable
from krmfn.sources.manifest import LIMIT, digest_in
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.sources.contents import Part

INDEX_LIMIT = 64 << 20
"""Bytes of an `index.json`; some 250,000 tags."""
_VALUES, _OBJECTS = 2_000_000, 500_000
"""Values and objects of an index; it holds ten values and two objects for each image."""
_NAME = "org.opencontainers.image.ref.name"


class Layout(NamedTuple):
    """What the index of a layout names, and the content beside it. A tag of `twice` names two images."""

    folder: Path
    tags: Mapping[str, Mapping[str, Any]]
    """Each tag's descriptor."""
    twice: frozenset[str]
    malformed: int
    untagged: tuple[str, ...] = ()
    """Digests of the manifests without a tag, among which tools keep what refers to others."""

    def blob(self, digest: str) -> bytes:
        """Read a blob; raises ValueError when it is missing or its content has another digest."""
        algorithm, _, value = digest.partition(":")
        try:
            data = _read_file(self.path(digest), LIMIT)
        except OSError as error:
            raise ValueError(f"needs blob {digest}, which cannot be read ({error.strerror})") from None
        if hashlib.new(algorithm, data).hexdigest() != value:
            raise ValueError(f"needs blob {digest}, whose content has another digest")
        return data

    def path(self, digest: str) -> Path:
        """Return where a blob is, if it is there."""
        return self.folder.joinpath("blobs", *digest.split(":"))

    def has(self, digest: str) -> bool:
        """See contents.Pieces."""
        return self.path(digest).is_file()

    def read(self, _kind: Part, digest: str) -> bytes | None:
        """See contents.Pieces. Raise ValueError for content with another digest."""
        return self.blob(digest) if self.has(digest) else None


def failure_of(repository: Repository, failure: RegistryFailure, message: str, common: str = "") -> RegistryError:
    """Return the failure of a layout that stands for a repository."""
    return RegistryError(failure, repository.image.canonical, message, common=common)


def shown(path: Path) -> str:
    """Return a path for people."""
    return printable(str(path))


def _read_file(path: Path, limit: int) -> bytes:
    """Read a file of a layout. Raise ValueError for what cannot be read, FileNotFoundError where nothing is."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return read_file(path, limit)
    except NotReadError as error:
        raise ValueError(f"cannot be read: {error}") from None


def read_layout(folder: Path) -> Layout:
    """Read the index of a layout. Raise ValueError for what is none, FileNotFoundError and other OSErrors."""
    manifests = parse(_read_file(folder / "index.json", INDEX_LIMIT), _VALUES, _OBJECTS).get("manifests")
    if not isinstance(manifests, list):
        raise ValueError("has no list of manifests")  # noqa: TRY004 - the input is wrong
    tags: dict[str, Mapping[str, Any]] = {}
    twice: set[str] = set()
    untagged: list[str] = []
    malformed = 0
    for entry in manifests:
        tag, digest = _tag(entry), digest_in(entry)
        if tag is None:
            untagged += [digest] if digest else []
        elif not is_tag(tag) or not digest:
            malformed += 1
        elif tags.setdefault(tag, entry)["digest"] != digest:
            twice.add(tag)
    return Layout(folder, tags, frozenset(twice), malformed, tuple(dict.fromkeys(untagged)))


def _tag(entry: object) -> str | None:
    """Return the tag of a descriptor, None when it has none; some tools write the whole reference there."""
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(_NAME) if isinstance(annotations, dict) else None
    if not isinstance(name, str):
        return None
    return name.rpartition(":")[2] if "/" in name else name
