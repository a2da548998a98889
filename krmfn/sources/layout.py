"""Tags from OCI image layouts on disk (OCI image-layout spec): one folder per repository, no network.

Below the root a repository is looked for at `<registry>/<path>`, then under the name as it was typed, then at `<path>`;
for `nginx` that is `docker.io/library/nginx`, `nginx`, `library/nginx`. The first folder that holds an `index.json` is it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
from krmfn.sources.layout_files import Layout, failure_of, read_layout, shown
from krmfn.sources.manifest import LIMIT, Image, describe
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

MAX_FOLDERS = 10_000
"""Folders of a tree that are looked through for a repository of a similar name."""
MAX_UNTAGGED = 10_000
"""Manifests without a tag that are looked through for what refers to an image."""
_Referring = Mapping[str, Sequence[Mapping[str, Any]]]
"""Descriptors by the digest that they refer to."""

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
            layout = self._of(repository)
            if layout.has(tag):
                return tag
            raise failure_of(repository, "not-found", f"{tag} is not in {shown(layout.folder)}")
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
        digest = str(descriptor["digest"])
        try:
            data = layout.read("manifest", digest)
            if data is None:
                return Inspection(digest, (Lack("manifest", digest),))
            return Inspection(digest, lacking(data, _declared_type(descriptor), needs, layout))
        except ValueError as error:
            failure: RegistryFailure = "limit" if isinstance(error, TooManyError) else "integrity"
            raise failure_of(repository, failure, f"tag {tag} in {shown(layout.folder)} {error}") from None

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify."""
        from krmfn.signatures.verifying import verify

        layout = self._of(repository)
        referring = self._referring.get(repository.image.name, lambda: _referring_in(layout))
        return verify(digest, _Attachments(repository, layout, referring), wanted)

    def image(self, repository: Repository, tag: str) -> Image:
        """Return what a tag or digest offers."""
        layout, descriptor = self._of(repository), self._descriptor(repository, tag)
        try:
            data = layout.blob(str(descriptor["digest"]))
            return describe(f"{repository.image.canonical}:{tag}", data, _declared_type(descriptor), layout.blob)
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
        layout = self._layouts.get(repository.image.name, lambda: self._open(repository))
        if isinstance(layout, RegistryError):
            raise layout
        return layout

    def _open(self, repository: Repository) -> Layout | RegistryError:
        """Read the layout of a repository; a failure is remembered as well, and told again."""
        image = repository.image
        places = list(dict.fromkeys(self._root / name for name in (image.canonical, image.name, image.path)))
        for folder in (self._root, *places):
            if self._within and not _is_within(folder / "index.json", self._within):
                message = (
                    f"source.layout.path {shown(folder)} leads out of {shown(self._within)}, where krmfn runs: "
                    "a resource may name folders below that one; --source layout:DIR and KRMFN_LAYOUT may name any"
                )
                return failure_of(repository, "limit", message, message if folder == self._root else "")
        for folder in places:
            try:
                return read_layout(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                failure: RegistryFailure = "unavailable" if isinstance(error, OSError) else "integrity"
                why = error.strerror if isinstance(error, OSError) else error
                return failure_of(repository, failure, f"{shown(folder)}/index.json {why}")
        tree = self._names.get("", self._walk)
        message = f"no OCI layout (index.json) is in {', '.join(map(shown, places))}{_nearest(repository, tree)}"
        if not tree.names:
            return failure_of(repository, "not-found", f"{message}; {tree.why}", tree.why)
        common = f"{shown(self._root)} holds no OCI layout (index.json) of them"
        return failure_of(repository, "not-found", message, common)

    def _walk(self) -> _Names:
        """Return which repositories the tree holds."""
        walked = list(islice(os.walk(self._root), MAX_FOLDERS))
        names = sorted(os.path.relpath(folder, self._root) for folder, _, files in walked if "index.json" in files)
        if len(walked) == MAX_FOLDERS:
            return _Names(names, f"the first {MAX_FOLDERS} folders below {shown(self._root)} hold no layout, others were not looked at")
        return _Names(names, f"{shown(self._root)} holds no OCI layout at all")


def _nearest(repository: Repository, tree: _Names) -> str:
    """Return which repository of the tree may have been meant."""
    from difflib import get_close_matches

    image = repository.image
    close = get_close_matches(image.canonical, tree.names, 1) or get_close_matches(image.path, tree.names, 1)
    return f"; did you mean {printable(close[0])}?" if close else ""


def _is_within(path: Path, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except ValueError:  # NUL in the path
        return False


def _declared_type(descriptor: Mapping[str, Any]) -> str:
    declared = descriptor.get("mediaType")
    return declared if isinstance(declared, str) else ""


class _Attachments:
    """The artefacts of one repository in a layout: signatures and attestations.

    What refers to a digest stands in the index without a tag (`oras copy -r`), or is found by the tag that the OCI
    specification falls back to.
    """

    def __init__(self, repository: Repository, layout: Layout, referring: _Referring) -> None:
        self._repository, self._layout, self._referring = repository, layout, referring

    def referrers(self, digest: str) -> Sequence[object]:
        """Return the descriptors of what refers to a digest."""
        if len(self._layout.untagged) > MAX_UNTAGGED:
            message = f"more than {MAX_UNTAGGED} manifests without a tag in {shown(self._layout.folder)}/index.json"
            raise failure_of(self._repository, "limit", message)
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
            message = f"{reference} in {shown(self._layout.folder)} {error}"
            raise failure_of(self._repository, "integrity", message) from None

    def blob(self, digest: str, limit: int) -> bytes:
        """Return content of at most `limit` bytes."""
        del limit  # no blob that is read here is longer than a manifest may be
        try:
            return self._layout.blob(digest)
        except ValueError as error:
            failure: RegistryFailure = "integrity" if self._layout.path(digest).exists() else "not-found"
            raise failure_of(self._repository, failure, f"{shown(self._layout.folder)} {error}") from None


def _referring_in(layout: Layout) -> _Referring:
    """Return what the manifests without a tag refer to; what cannot be read refers to nothing."""
    referring: dict[str, list[Mapping[str, Any]]] = {}
    for digest in layout.untagged[:MAX_UNTAGGED]:
        try:
            manifest = parse(layout.blob(digest))
        except ValueError:
            continue
        subject = manifest.get("subject")
        if isinstance(subject, dict) and isinstance(subject.get("digest"), str):
            described = {name: manifest.get(name) for name in ("artifactType", "annotations")}
            referring.setdefault(subject["digest"], []).append({"digest": digest, **described})
    return referring
