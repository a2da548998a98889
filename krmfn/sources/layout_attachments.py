"""What refers to an image in an OCI layout: signatures and attestations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from krmfn.sources.layout_files import Layout, blob, failure_of, shown
from krmfn.sources.manifest import LIMIT
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.access import Repository

MAX_UNTAGGED = 10_000
"""Manifests without a tag that are looked through for what refers to an image."""



class LayoutAttachments:
    """The artefacts of one repository in a layout.

    What refers to a digest stands in the index without a tag (`oras copy -r`), or is found by the tag that the OCI
    specification falls back to.
    """

    def __init__(self, repository: Repository, layout: Layout, referring: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
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
            raise failure_of(self._repository, "integrity", f"{reference} in {shown(self._layout.folder)} {error}") from None

    def blob(self, digest: str, limit: int) -> bytes:
        """Return content of at most `limit` bytes."""
        del limit  # no blob that is read here is longer than a manifest may be
        try:
            return blob(self._layout.folder, digest)
        except ValueError as error:
            is_there = (self._layout.folder / "blobs" / digest.replace(":", "/", 1)).exists()
            raise failure_of(self._repository, "integrity" if is_there else "not-found", f"{shown(self._layout.folder)} {error}") from None


def referring_in(layout: Layout) -> dict[str, list[Mapping[str, Any]]]:
    """Return the descriptors of manifests without a tag by the digest that they refer to; what cannot be read refers to nothing."""
    referring: dict[str, list[Mapping[str, Any]]] = {}
    for name in layout.untagged[:MAX_UNTAGGED]:
        try:
            manifest = parse(blob(layout.folder, name))
        except ValueError:
            continue
        subject = manifest.get("subject")
        if isinstance(subject, dict) and isinstance(subject.get("digest"), str):
            told = {"digest": name, "artifactType": manifest.get("artifactType"), "annotations": manifest.get("annotations")}
            referring.setdefault(subject["digest"], []).append(told)
    return referring
