"""Manifests, indexes and image configs (OCI image spec, docker schema 2): what an image says about itself.

Every document arrives through `read`, which answers the verified bytes of a digest. What is malformed raises ValueError
with a text for people; whoever reads from outside turns it into its own error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from krmfn.errors import RegistryError
from krmfn.image import is_digest, normal_platform
from krmfn.sanitize import printable
from krmfn.strict_json import parse

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MEDIA_TYPES = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
LIMIT = 4 << 20
"""Bytes of a manifest or config: the size every registry must accept (OCI distribution spec)."""

_DEPTH = 3
"""Indexes inside indexes."""
_CREATED = "org.opencontainers.image.created"
_PREFERRED = "linux/amd64"

Read = Callable[[str], bytes | bytearray]


@dataclass(frozen=True, slots=True)
class Image:
    """What one tag offers. `created` is `YYYY-MM-DDTHH:MM:SSZ` or empty when nobody wrote it down."""

    name: str
    created: str = ""
    platforms: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def created_or_error(self) -> str:
        """Return the creation time; raises RegistryError when the image has none."""
        if self.created:
            return self.created
        repository, _, tag = self.name.rpartition(":")
        message = f"tag {tag} says nowhere when it was created (neither its config nor annotation {_CREATED})"
        raise RegistryError("not-found", repository, message)


def media_type(document: Mapping[str, Any], declared: str = "") -> str:
    """Return a manifest's media type, which must be one that is known and the one it was declared with.

    An image confused with an index is CVE-2021-41190.
    """
    inside = document.get("mediaType")
    declared = declared.partition(";")[0].strip().lower()
    if declared:
        known_type(declared)
    if isinstance(inside, str) and declared and inside != declared:
        raise ValueError(f"says that it is {shown(inside)} but came as {declared}")
    guess = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    kind = known_type(declared or (inside if isinstance(inside, str) else guess))
    if "manifests" in document and document.keys() & {"layers", "config"}:
        raise ValueError("is an index and an image at once")
    if (kind in INDEXES) != ("manifests" in document):
        raise ValueError(f"came as {kind} but has not its shape")
    return kind


def known_type(kind: str) -> str:
    """Return a media type that is one of a manifest; raises ValueError for another."""
    if kind not in MEDIA_TYPES:
        raise ValueError(f"is of type {shown(kind)}, which is no image manifest of OCI or docker schema 2")
    return kind


def shown(text: str, limit: int = 80) -> str:
    """Return a foreign text for a message, or how long it is: what is cut in two can hide half of a secret."""
    return printable(text) if len(text) <= limit else f"a text of {len(text)} characters"


def describe(name: str, data: bytes | bytearray, declared: str, read: Read) -> Image:
    """Gather what `name` (`repository:tag`) says about itself, from its manifest down to one config."""
    document = parse(data)
    annotations = _texts(document.get("annotations"))
    platforms: tuple[str, ...] = ()
    kind = media_type(document, declared)
    for _ in range(_DEPTH):
        if kind not in INDEXES:
            return _from_config(name, document, platforms, annotations, read)
        entries = _entries(document)
        platforms = platforms or tuple(sorted({text for text, _ in entries if text}))
        if not entries:
            return Image(name, _utc(annotations.get(_CREATED, "")), platforms, annotations)
        chosen = next((entry for text, entry in entries if text == _PREFERRED), entries[0][1])
        document = parse(read(digest_of(chosen)))
        kind = media_type(document)
        # What the index says of the image counts more than what its manifest says.
        annotations = {**_texts(document.get("annotations")), **annotations}
    raise ValueError(f"is an index nested more than {_DEPTH} deep")


def _entries(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List the images of an index with their platforms; attestations (`unknown/unknown`) are no images."""
    manifests = document.get("manifests")
    if not isinstance(manifests, list):
        raise ValueError("is an index without a list of manifests")  # noqa: TRY004 - the input is wrong
    named = [(platform_text(entry.get("platform")), entry) for entry in manifests if isinstance(entry, dict)]
    return [(text, entry) for text, entry in named if text != "unknown/unknown"]


def platform_text(platform: object) -> str:
    """Write a platform as docker does.

    >>> platform_text({"os": "linux", "architecture": "arm", "variant": "v7"})
    'linux/arm/v7'
    """
    if not isinstance(platform, dict):
        return ""
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    texts = [part for part in parts if isinstance(part, str) and part]
    return "" if any("/" in text for text in texts) else "/".join(printable(text, 40) for text in texts)


def platform_of(platform: object) -> str:
    """Return a platform in the form that compares equal for every spelling; empty where none is told."""
    return normal_platform(platform_text(platform)) or ""


def digest_in(descriptor: object) -> str:
    """Return the digest of a descriptor, empty where no valid one is in it."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) and is_digest(digest) else ""


def digest_of(descriptor: object) -> str:
    """Return the digest of a descriptor; raises ValueError for one without a valid one."""
    if digest := digest_in(descriptor):
        return digest
    raise ValueError("has a descriptor without a valid digest")


def _from_config(
    name: str, manifest: Mapping[str, Any], platforms: tuple[str, ...], annotations: Mapping[str, str], read: Read
) -> Image:
    config = parse(read(digest_of(manifest.get("config"))))
    inner = config.get("config")
    labels = {**_texts(inner.get("Labels") if isinstance(inner, dict) else None), **annotations}
    created = _utc(config.get("created")) or _utc(annotations.get(_CREATED))
    own = platform_text(config)
    return Image(name, created, platforms or ((own,) if own else ()), labels)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}


def _utc(value: object) -> str:
    """Write an RFC 3339 time in UTC, cut to whole seconds so that the texts sort by time; empty when it is none."""
    if not isinstance(value, str) or len(value) > 64:
        return ""
    try:
        when = datetime.fromisoformat(value)
        if when.tzinfo is None:
            return ""
        # zfill: strftime writes the year 800 with three digits, and the texts have to sort
        return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)
    except (ValueError, OverflowError):
        return ""
