"""Tags from OCI image layouts on disk (OCI image-layout spec): one folder per repository, no network.

Below the root a repository is looked for at `<registry>/<path>`, then under the name as it was typed, then at `<path>`;
for `nginx` that is `docker.io/library/nginx`, `nginx`, `library/nginx`. The first folder that holds an `index.json` is it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import is_digest, is_tag
from krmfn.model import Listing, Repository
from krmfn.plan.resolve import Inspection, Lack, Needs
from krmfn.sanitize import printable
from krmfn.singleflight import Once
from krmfn.sources.contents import TooManyError, lacking
from krmfn.sources.manifest import LIMIT, Image, describe
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

INDEX_LIMIT = 64 << 20
"""Bytes of an `index.json`; some 250,000 tags."""
_VALUES, _OBJECTS = 2_000_000, 500_000
"""Values and objects of an index; it holds ten values and two objects for each image."""
MAX_FOLDERS = 10_000
"""Folders of a tree that are looked through for a repository of a similar name."""
MAX_UNTAGGED = 10_000
"""Manifests without a tag that are looked through for what refers to an image."""
_NAME = "org.opencontainers.image.ref.name"


class _Layout(NamedTuple):
    folder: Path
    tags: Mapping[str, Mapping[str, Any]]
    """Each tag's descriptor."""
    twice: frozenset[str]
    malformed: int
    untagged: tuple[str, ...] = ()
    """Digests of the manifests without a tag, among which tools keep what refers to others."""


class _Names(NamedTuple):
    """The repositories of a tree, and what to say when there is none."""

    names: list[str]
    why: str


class _Pieces:
    """The parts of images in a layout, as `contents` wants them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest(self, digest: str) -> bytes | None:
        return _blob(self._folder, digest) if self.has(digest) else None

    config = manifest

    def has(self, digest: str) -> bool:
        return _blob_path(self._folder, digest).is_file()


class LayoutSource:
    """A TagSource on a folder. Reads each index once; safe to call from threads."""

    def __init__(self, root: Path, within: Path | None = None) -> None:
        """`within` is the folder that the root may not lead out of, links followed; None allows any place."""
        self._root, self._within = root, within
        self._layouts: Once[str, _Layout | RegistryError] = Once()
        self._names: Once[str, _Names] = Once()
        self._referring: Once[str, Mapping[str, list[Mapping[str, Any]]]] = Once()

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        layout = self._of(repository)
        return Listing(tuple(sorted(layout.tags)), layout.malformed)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        if is_digest(tag):
            folder = self._of(repository).folder
            if _Pieces(folder).has(tag):
                return tag
            raise _error(repository, "not-found", f"{tag} is not in {_shown(folder)}")
        return str(self._descriptor(repository, tag)["digest"])

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return ()

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created; `YYYY-MM-DDTHH:MM:SSZ`."""
        return self.image(repository, tag).created_or_error()

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect."""
        layout = self._of(repository)
        if tag not in layout.tags:
            return Inspection(None, (Lack("manifest", tag),))
        descriptor = self._descriptor(repository, tag)
        pieces, digest, declared = _Pieces(layout.folder), str(descriptor["digest"]), descriptor.get("mediaType")
        try:
            data = pieces.manifest(digest)
            if data is None:
                return Inspection(digest, (Lack("manifest", digest),))
            return Inspection(digest, lacking(data, declared if isinstance(declared, str) else "", needs, pieces))
        except ValueError as error:
            failure: RegistryFailure = "limit" if isinstance(error, TooManyError) else "integrity"
            raise _error(repository, failure, f"tag {tag} in {_shown(layout.folder)} {error}") from None

    def platforms(self, repository: Repository, tag: str) -> tuple[str, ...]:
        """List the platforms of the image, sorted."""
        return self.image(repository, tag).platforms

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """Return the image's labels, and over them the annotations of its manifest and index."""
        return self.image(repository, tag).labels

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify."""
        from krmfn.signatures.verifying import verify

        layout = self._of(repository)
        referring = self._referring.get(repository.image.name, lambda: _referring(layout))
        return verify(digest, LayoutAttachments(repository, layout, referring), wanted)

    def image(self, repository: Repository, tag: str) -> Image:
        """Return what a tag or digest offers."""
        layout, descriptor = self._of(repository), self._descriptor(repository, tag)
        name = f"{repository.image.canonical}:{tag}"
        try:
            data = _blob(layout.folder, str(descriptor["digest"]))
            declared = descriptor.get("mediaType")
            return describe(
                name, data, declared if isinstance(declared, str) else "", lambda digest: _blob(layout.folder, digest)
            )
        except ValueError as error:
            raise _error(repository, "integrity", f"tag {tag} in {_shown(layout.folder)} {error}") from None

    def _descriptor(self, repository: Repository, tag: str) -> Mapping[str, Any]:
        layout = self._of(repository)
        if tag in layout.twice:
            message = f"tag {tag} in {_shown(layout.folder)} names two different images; remove one from index.json"
            raise _error(repository, "integrity", message)
        if is_digest(tag):
            return {"digest": self.digest(repository, tag)}
        if tag not in layout.tags:
            raise _error(repository, "not-found", f"tag {tag} is not in {_shown(layout.folder)}/index.json")
        return layout.tags[tag]

    def _of(self, repository: Repository) -> _Layout:
        layout = self._layouts.get(repository.image.name, lambda: self._opened(repository))
        if isinstance(layout, RegistryError):
            raise layout
        return layout

    def _opened(self, repository: Repository) -> _Layout | RegistryError:
        try:
            return self._open(repository)
        except RegistryError as error:
            return error

    def _open(self, repository: Repository) -> _Layout:
        for folder in (self._root, *self._places(repository)):
            if self._within and not _is_within(folder / "index.json", self._within):
                message = (
                    f"source.layout.path {_shown(folder)} leads out of {_shown(self._within)}, where krmfn runs: "
                    "a resource may name folders below that one; --source layout:DIR and KRMFN_LAYOUT may name any"
                )
                raise _error(repository, "limit", message, message if folder == self._root else "")
        for folder in self._places(repository):
            try:
                data = _read(folder / "index.json", INDEX_LIMIT)
                return _layout(folder, data)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                failure: RegistryFailure = "unavailable" if isinstance(error, OSError) else "integrity"
                raise _error(repository, failure, f"{_shown(folder)}/index.json {why}") from None
        tried = ", ".join(map(_shown, self._places(repository)))
        held = self._names.get("", self._held)
        message = f"no OCI layout (index.json) is in {tried}{_nearest(repository, held)}"
        if held.names:
            raise _error(repository, "not-found", message, f"{_shown(self._root)} holds no OCI layout (index.json) of them")
        raise _error(repository, "not-found", f"{message}; {held.why}", held.why)

    def _places(self, repository: Repository) -> Iterator[Path]:
        image = repository.image
        yield from dict.fromkeys(self._root / name for name in (image.canonical, image.name, image.path))

    def _held(self) -> _Names:
        """Return which repositories the tree holds."""
        walked = list(islice(os.walk(self._root), MAX_FOLDERS))
        names = sorted(os.path.relpath(folder, self._root) for folder, _, files in walked if "index.json" in files)
        if len(walked) == MAX_FOLDERS:
            return _Names(names, f"the first {MAX_FOLDERS} folders below {_shown(self._root)} hold no layout, others were not looked at")
        return _Names(names, f"{_shown(self._root)} holds no OCI layout at all")


def _nearest(repository: Repository, held: _Names) -> str:
    """Return which repository of the tree may have been meant."""
    from difflib import get_close_matches

    image = repository.image
    close = get_close_matches(image.canonical, held.names, 1) or get_close_matches(image.path, held.names, 1)
    return f"; did you mean {printable(close[0])}?" if close else ""


class LayoutAttachments:
    """The artefacts of one repository in a layout.

    What refers to a digest stands in the index without a tag (`oras copy -r`), or is found by the tag that the OCI
    specification falls back to.
    """

    def __init__(self, repository: Repository, layout: _Layout, referring: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self._repository, self._layout, self._referring = repository, layout, referring

    def referrers(self, digest: str) -> Sequence[object]:
        """Return the descriptors of what refers to a digest."""
        if len(self._layout.untagged) > MAX_UNTAGGED:
            message = f"more than {MAX_UNTAGGED} manifests without a tag in {_shown(self._layout.folder)}/index.json"
            raise _error(self._repository, "limit", message)
        index = self.manifest(digest.replace(":", "-"))
        manifests = index.get("manifests") if index else None
        return [*(manifests if isinstance(manifests, list) else ()), *self._referring.get(digest, ())]

    def manifest(self, reference: str) -> Mapping[str, Any] | None:
        """Return a manifest or index by tag or digest; None when there is none."""
        if ":" not in reference:
            if reference not in self._layout.tags:
                return None
            reference = str(self._layout.tags[reference]["digest"])
        try:
            return parse(self.blob(reference, LIMIT))
        except ValueError as error:
            raise _error(self._repository, "integrity", f"{reference} in {_shown(self._layout.folder)} {error}") from None

    def blob(self, digest: str, limit: int) -> bytes:
        """Return content of at most `limit` bytes."""
        del limit  # no blob that is read here is longer than a manifest may be
        try:
            return _blob(self._layout.folder, digest)
        except ValueError as error:
            is_there = (self._layout.folder / "blobs" / digest.replace(":", "/", 1)).exists()
            raise _error(self._repository, "integrity" if is_there else "not-found", f"{_shown(self._layout.folder)} {error}") from None


def _referring(layout: _Layout) -> dict[str, list[Mapping[str, Any]]]:
    """Return the descriptors of manifests without a tag by the digest that they refer to; what cannot be read refers to nothing."""
    referring: dict[str, list[Mapping[str, Any]]] = {}
    for name in layout.untagged[:MAX_UNTAGGED]:
        try:
            manifest = parse(_blob(layout.folder, name))
        except ValueError:
            continue
        subject = manifest.get("subject")
        if isinstance(subject, dict) and isinstance(subject.get("digest"), str):
            told = {"digest": name, "artifactType": manifest.get("artifactType"), "annotations": manifest.get("annotations")}
            referring.setdefault(subject["digest"], []).append(told)
    return referring


def _is_within(path: Path, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # NUL in the path
        return False


def _error(repository: Repository, failure: RegistryFailure, message: str, common: str = "") -> RegistryError:
    return RegistryError(failure, repository.image.canonical, message, common=common)


def _shown(path: Path) -> str:
    return printable(str(path))


def _read(path: Path, limit: int) -> bytes:
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return read_file(path, limit)
    except NotReadError as error:
        raise ValueError(f"cannot be read: {error}") from None


def _blob(folder: Path, digest: str) -> bytes:
    """Read a blob; raises ValueError when it is missing or its content has another digest."""
    algorithm, _, value = digest.partition(":")
    try:
        data = _read(_blob_path(folder, digest), LIMIT)
    except OSError as error:
        raise ValueError(f"needs blob {digest}, which cannot be read ({error.strerror})") from None
    if hashlib.new(algorithm, data).hexdigest() != value:
        raise ValueError(f"needs blob {digest}, whose content has another digest")
    return data


def _blob_path(folder: Path, digest: str) -> Path:
    return folder.joinpath("blobs", *digest.split(":"))


def _layout(folder: Path, data: bytes) -> _Layout:
    manifests = parse(data, _VALUES, _OBJECTS).get("manifests")
    if not isinstance(manifests, list):
        raise ValueError("has no list of manifests")  # noqa: TRY004 - the input is wrong
    tags: dict[str, Mapping[str, Any]] = {}
    twice: set[str] = set()
    untagged: list[str] = []
    malformed = 0
    for entry in manifests:
        tag = _tag(entry)
        if tag is None:
            untagged += [str(entry["digest"])] if isinstance(entry, dict) and _has_digest(entry) else []
            continue
        if not is_tag(tag) or not _has_digest(entry):
            malformed += 1
        elif tags.setdefault(tag, entry)["digest"] != entry["digest"]:
            twice.add(tag)
    return _Layout(folder, tags, frozenset(twice), malformed, tuple(dict.fromkeys(untagged)))


def _tag(entry: object) -> str | None:
    """Return the tag of a descriptor, None when it has none; some tools write the whole reference there."""
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    name = annotations.get(_NAME) if isinstance(annotations, dict) else None
    if not isinstance(name, str):
        return None
    return name.rpartition(":")[2] if "/" in name else name


def _has_digest(entry: Mapping[str, Any]) -> bool:
    digest = entry.get("digest")
    return isinstance(digest, str) and is_digest(digest)
