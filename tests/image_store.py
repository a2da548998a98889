"""Images as a registry keeps them: blobs and manifests by digest, digests by tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = b"\0" * 1024


class Images:
    """A store of images, in `tags` (path to tag to digest) and `blobs` (digest to media type and content)."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, str]] = {}
        self.blobs: dict[str, tuple[str, bytes]] = {}

    def add(
        self,
        path: str,
        tags: Iterable[str],
        *,
        created: str = "2026-01-02T03:04:05Z",
        platforms: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Put an image under each tag; with platforms it is an index of images."""
        names = list(platforms)
        digest = self._index(names, created, labels) if names else self._image("linux/amd64", created, labels)
        self.tags.setdefault(path, {}).update(dict.fromkeys(tags, digest))

    def put(self, media_type: str, document: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """Store a document and answer its descriptor."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = (media_type, data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _image(self, platform: str, created: str, labels: Mapping[str, str] | None) -> str:
        names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        config = self.put(CONFIG, {**names, "created": created, "config": {"Labels": dict(labels or {})}})
        layer = self.put("application/vnd.oci.image.layer.v1.tar", _LAYER)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        return str(self.put(MANIFEST, manifest)["digest"])

    def _index(self, platforms: list[str], created: str, labels: Mapping[str, str] | None) -> str:
        entries = []
        for platform in platforms:
            digest = self._image(platform, created, labels)
            names = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
            size = len(self.blobs[digest][1])
            entries.append({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": names})
        return str(self.put(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})["digest"])
