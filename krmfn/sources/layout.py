"""Tags from OCI image layouts on disk (OCI image-layout spec): one folder per repository, no network.

Below the root a repository is looked for at `<registry>/<path>`, then under the name as it was typed, then at `<path>`;
for `nginx` that is `docker.io/library/nginx`, `nginx`, `library/nginx`. The first folder that holds an `index.json` is it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.access import Listing, Repository
from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import is_digest
from krmfn.plan.inspection import Inspection, Lack, Needs
from krmfn.sanitize import printable
from krmfn.singleflight import Once
from krmfn.sources.contents import TooManyError, lacking
from krmfn.sources.layout_attachments import LayoutAttachments, referring_in
from krmfn.sources.layout_files import INDEX_LIMIT, Layout, Pieces, blob, failure_of, read_layout, read_part, shown
from krmfn.sources.manifest import Image, describe

if TYPE_CHECKING:
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

MAX_FOLDERS = 10_000
"""Folders of a tree that are looked through for a repository of a similar name."""


class _Names(NamedTuple):
    """The repositories of a tree, and what to say when there is none."""

    names: list[str]
    why: str


class LayoutSource:
    """A TagSource on a folder. Reads each index once; safe to call from threads."""

    def __init__(self, root: Path, within: Path | None = None) -> None:
        """`within` is the folder that the root may not lead out of, links followed; None allows any place."""
        self._root, self._within = root, within
        self._layouts = Once()
        self._names = Once()
        self._referring = Once()

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        layout = self._of(repository)
        return Listing(tuple(sorted(layout.tags)), layout.malformed)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        if is_digest(tag):
            folder = self._of(repository).folder
            if Pieces(folder).has(tag):
                return tag
            raise failure_of(repository, "not-found", f"{tag} is not in {shown(folder)}")
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
        pieces, digest, declared = Pieces(layout.folder), str(descriptor["digest"]), descriptor.get("mediaType")
        try:
            data = pieces.manifest(digest)
            if data is None:
                return Inspection(digest, (Lack("manifest", digest),))
            return Inspection(digest, lacking(data, declared if isinstance(declared, str) else "", needs, pieces))
        except ValueError as error:
            failure: RegistryFailure = "limit" if isinstance(error, TooManyError) else "integrity"
            raise failure_of(repository, failure, f"tag {tag} in {shown(layout.folder)} {error}") from None

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
        referring = self._referring.get(repository.image.name, lambda: referring_in(layout))
        return verify(digest, LayoutAttachments(repository, layout, referring), wanted)

    def image(self, repository: Repository, tag: str) -> Image:
        """Return what a tag or digest offers."""
        layout, descriptor = self._of(repository), self._descriptor(repository, tag)
        name = f"{repository.image.canonical}:{tag}"
        try:
            data = blob(layout.folder, str(descriptor["digest"]))
            declared = descriptor.get("mediaType")
            return describe(
                name, data, declared if isinstance(declared, str) else "", lambda digest: blob(layout.folder, digest)
            )
        except ValueError as error:
            raise failure_of(repository, "integrity", f"tag {tag} in {shown(layout.folder)} {error}") from None

    def _descriptor(self, repository: Repository, tag: str) -> Mapping[str, Any]:
        layout = self._of(repository)
        if tag in layout.twice:
            message = f"tag {tag} in {shown(layout.folder)} names two different images; remove one from index.json"
            raise failure_of(repository, "integrity", message)
        if is_digest(tag):
            return {"digest": self.digest(repository, tag)}
        if tag not in layout.tags:
            raise failure_of(repository, "not-found", f"tag {tag} is not in {shown(layout.folder)}/index.json")
        return layout.tags[tag]

    def _of(self, repository: Repository) -> Layout:
        layout = self._layouts.get(repository.image.name, lambda: self._opened(repository))
        if isinstance(layout, RegistryError):
            raise layout
        return layout

    def _opened(self, repository: Repository) -> Layout | RegistryError:
        try:
            return self._open(repository)
        except RegistryError as error:
            return error

    def _open(self, repository: Repository) -> Layout:
        for folder in (self._root, *self._places(repository)):
            if self._within and not _is_within(folder / "index.json", self._within):
                message = (
                    f"source.layout.path {shown(folder)} leads out of {shown(self._within)}, where krmfn runs: "
                    "a resource may name folders below that one; --source layout:DIR and KRMFN_LAYOUT may name any"
                )
                raise failure_of(repository, "limit", message, message if folder == self._root else "")
        for folder in self._places(repository):
            try:
                data = read_part(folder / "index.json", INDEX_LIMIT)
                return read_layout(folder, data)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                failure: RegistryFailure = "unavailable" if isinstance(error, OSError) else "integrity"
                raise failure_of(repository, failure, f"{shown(folder)}/index.json {why}") from None
        tried = ", ".join(map(shown, self._places(repository)))
        held = self._names.get("", self._held)
        message = f"no OCI layout (index.json) is in {tried}{_nearest(repository, held)}"
        if held.names:
            raise failure_of(repository, "not-found", message, f"{shown(self._root)} holds no OCI layout (index.json) of them")
        raise failure_of(repository, "not-found", f"{message}; {held.why}", held.why)

    def _places(self, repository: Repository) -> Iterator[Path]:
        image = repository.image
        yield from dict.fromkeys(self._root / name for name in (image.canonical, image.name, image.path))

    def _held(self) -> _Names:
        """Return which repositories the tree holds."""
        walked = list(islice(os.walk(self._root), MAX_FOLDERS))
        names = sorted(os.path.relpath(folder, self._root) for folder, _, files in walked if "index.json" in files)
        if len(walked) == MAX_FOLDERS:
            return _Names(names, f"the first {MAX_FOLDERS} folders below {shown(self._root)} hold no layout, others were not looked at")
        return _Names(names, f"{shown(self._root)} holds no OCI layout at all")


def _nearest(repository: Repository, held: _Names) -> str:
    """Return which repository of the tree may have been meant."""
    from difflib import get_close_matches

    image = repository.image
    close = get_close_matches(image.canonical, held.names, 1) or get_close_matches(image.path, held.names, 1)
    return f"; did you mean {printable(close[0])}?" if close else ""


def _is_within(path: Path, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # NUL in the path
        return False
