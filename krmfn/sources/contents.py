"""Whether an image is whole: the platforms that it should have, and what a cluster would have to pull of it.

Read down from the manifest of a tag, each document and each blob once. Attestations, `unknown/unknown`, and what an
index holds besides images are no platforms. Layers that are kept elsewhere (`urls`, nondistributable) are not asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from krmfn.plan.inspection import Lack, Needs
from krmfn.sources.manifest import INDEXES, MEDIA_TYPES, digest_of, media_type, platform_of, shown
from krmfn.strict_json import parse

MANIFESTS = 100
"""Documents below the manifest of a tag that are read."""
BLOBS = 500
"""Blobs of a tag that are asked for."""
DEPTH = 3
"""Indexes inside indexes."""
_CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_REFERENCE = "vnd.docker.reference.type"

Document = Mapping[str, Any]
Part = Literal["manifest", "config"]


class TooManyError(ValueError):
    """An image has more parts than are looked at."""


class Pieces(Protocol):
    """Where the parts of an image are, by digest."""

    def read(self, kind: Part, digest: str) -> bytes | bytearray | None:
        """Return a manifest (an index too) or a config, which has that digest; None where nothing is there."""
        ...

    def has(self, digest: str) -> bool:
        """True if a blob is there."""
        ...


def lacking(data: bytes | bytearray, declared: str, needs: Needs, pieces: Pieces) -> tuple[Lack, ...]:
    """Return the platforms that an image lacks, all of them, else the first part of it that is not there.

    `data` is the manifest of the tag, `declared` its media type. Raises ValueError for what is malformed, TooManyError.
    """
    return _Walk(needs, pieces).lacking(parse(data), declared)


class _Image(NamedTuple):
    """One image of a tag. `platform` is empty where the index does not tell, `digest` where there is no index."""

    platform: str
    digest: str = ""


class _GoneError(Exception):
    def __init__(self, lack: Lack) -> None:
        super().__init__(lack)
        self.lack = lack


class _Walk:
    def __init__(self, needs: Needs, pieces: Pieces) -> None:
        self.needs, self.pieces = needs, pieces
        self.documents: dict[str, Document] = {}
        """Manifests and indexes by digest; by an empty text that of the tag."""
        self.there: set[str] = set()
        """The blobs that are known to be there."""

    def lacking(self, document: Document, declared: str) -> tuple[Lack, ...]:
        try:
            self.documents[""] = document
            is_index = media_type(document, declared) in INDEXES
            images = list(self.entries(document, 1)) if is_index else [_Image("")]
            chosen, missing = self.chosen(images)
            if missing or not self.needs.pullable:
                return missing
            if not chosen:
                return (Lack("image", ""),)
            for image in chosen:
                self.pull(image)
        except _GoneError as gone:
            return (gone.lack,)
        return ()

    def entries(self, index: Document, depth: int) -> Iterator[_Image]:
        """Yield the images of an index, and of the indexes inside it."""
        if depth > DEPTH:
            raise ValueError(f"is an index nested more than {DEPTH} deep")
        manifests = index.get("manifests")
        for entry in manifests if isinstance(manifests, list) else ():
            if not isinstance(entry, dict) or _is_no_image(entry):
                continue
            digest, platform = digest_of(entry), platform_of(entry.get("platform"))
            if entry.get("mediaType") in INDEXES:
                yield from self.entries(self.manifest(digest, index=True), depth + 1)
            elif platform != "unknown/unknown":
                yield _Image(platform, digest)

    def chosen(self, images: Sequence[_Image]) -> tuple[list[_Image], tuple[Lack, ...]]:
        """Return the images of the platforms that are needed, or of all, and the platforms that none is for.

        Configs are read only where a platform is still missing.
        """
        if not self.needs.platforms:
            return list(images), ()
        told = [image for image in images if image.platform]
        missing = set(self.needs.platforms) - {image.platform for image in told}
        for image in images:
            if missing and not image.platform:
                told.append(image._replace(platform=self.platform(image)))
                missing -= {told[-1].platform}
        lacks = tuple(Lack("platform", one) for one in self.needs.platforms if one in missing)
        return [image for image in told if image.platform in self.needs.platforms], lacks

    def platform(self, image: _Image) -> str:
        """Return the platform that the config of an image tells; empty for what is no image."""
        config = self.manifest(image.digest).get("config")
        kind = config.get("mediaType") if isinstance(config, dict) else None
        if kind is not None and kind not in _CONFIGS:
            return ""
        digest = digest_of(config)
        document = self.read("config", digest)
        self.there.add(digest)
        return platform_of(document)

    def read(self, kind: Part, digest: str) -> Document:
        data = self.pieces.read(kind, digest)
        if data is None:
            raise _GoneError(Lack(kind, digest))
        return parse(data)

    def manifest(self, digest: str, *, index: bool = False) -> Document:
        if digest not in self.documents:
            if len(self.documents) > MANIFESTS:  # that of the tag is one of them, and no part below it
                raise TooManyError(f"has more than {MANIFESTS} manifests to look at, which is the limit")
            self.documents[digest] = self.read("manifest", digest)
        document = self.documents[digest]
        kind = media_type(document)
        if (kind in INDEXES) != index:
            raise ValueError(f"holds {shown(digest)}, which is {kind} and was told to be something else")
        return document

    def pull(self, image: _Image) -> None:
        """Ask for the config and every layer of an image that nobody asked for yet."""
        document = self.manifest(image.digest)
        layers = document.get("layers")
        if not isinstance(layers, list):
            raise ValueError("has a manifest without a list of layers")  # noqa: TRY004 - the input is wrong
        parts = [Lack("config", digest_of(document.get("config")))]
        parts += [Lack("layer", digest_of(layer)) for layer in layers if not _is_elsewhere(layer)]
        for part in parts:
            if part.name in self.there:
                continue
            if len(self.there) >= BLOBS:
                raise TooManyError(f"has more than {BLOBS} layers and configs, which is the limit")
            if not self.pieces.has(part.name):
                raise _GoneError(part)
            self.there.add(part.name)


def _is_no_image(entry: Document) -> bool:
    """True for attestations and other artefacts inside an index."""
    annotations, kind = entry.get("annotations"), entry.get("mediaType")
    is_attached = isinstance(annotations, dict) and _REFERENCE in annotations
    is_foreign = isinstance(kind, str) and kind not in MEDIA_TYPES
    return is_attached or is_foreign or bool(entry.get("artifactType"))


def _is_elsewhere(layer: object) -> bool:
    if not isinstance(layer, dict):
        return False
    kind = layer.get("mediaType")
    return bool(layer.get("urls")) or (isinstance(kind, str) and ("nondistributable" in kind or "foreign" in kind))
