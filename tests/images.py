"""Small real images: the OCI layouts that the examples bundle, and pushing them to a registry.

`python -m tests.images` writes `examples/images` anew; `test_examples` fails when that tree is not what this makes.
Every tag is an image with a config (its `created` is the tag's time) and one empty layer.
"""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "examples" / "images"

Tags = Mapping[str, str]
"""Tag to the time its image was created, RFC 3339 in UTC."""

EXAMPLES: Mapping[str, Tags] = {
    "ghcr.io/acme/web": {
        "1.2.0": "2026-01-12T09:00:00Z",
        "1.2.1": "2026-02-03T09:00:00Z",
        "1.3.0": "2026-03-17T09:00:00Z",
        "1.3.1": "2026-04-02T09:00:00Z",
        "1.3.1-debug": "2026-04-02T09:10:00Z",
        "1.10.0-rc.1": "2026-05-20T09:00:00Z",
        "2.0.0": "2026-06-30T09:00:00Z",
        "latest": "2026-06-30T09:00:00Z",
        f"sha256-{hashlib.sha256(b'web').hexdigest()}.sig": "2026-06-30T09:05:00Z",
    },
    "ghcr.io/acme/api": {
        "main-3f9c2d1-1767225600": "2026-01-01T00:00:00Z",
        "main-a41b77e-1769904000": "2026-02-01T00:00:00Z",
        "main-12e4567-1772323200": "2026-03-01T00:00:00Z",
        "feature-login-9d0e1f2-1775001600": "2026-04-01T00:00:00Z",
        "main-latest": "2026-03-01T00:00:00Z",
    },
    "docker.io/library/redis": {
        "7.2.4": "2026-01-09T00:00:00Z",
        "7.2.5": "2026-05-16T00:00:00Z",
        "7.2.5-alpine": "2026-05-16T00:10:00Z",
        "7.4.0": "2026-07-29T00:00:00Z",
        "8.0.0": "2026-09-01T00:00:00Z",
    },
}

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = bytes(1024)  # an empty tar


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}


def _text(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def blobs(repository: str, tag: str, created: str) -> tuple[bytes, bytes, bytes]:
    """Make one image: its layer, its config and its manifest."""
    config = _text(
        {
            "architecture": "amd64",
            "config": {
                "Labels": {
                    "org.opencontainers.image.title": repository.rpartition("/")[2],
                    "org.opencontainers.image.version": tag,
                }
            },
            "created": created,
            "os": "linux",
            "rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(_LAYER).hexdigest()}"], "type": "layers"},
        }
    )
    manifest = _text(
        {
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", _LAYER)],
            "mediaType": _MANIFEST,
            "schemaVersion": 2,
        }
    )
    return _LAYER, config, manifest


def layout(repository: str, tags: Tags) -> Iterator[tuple[str, bytes]]:
    """Make the files of one repository's OCI image layout, as (path, content)."""
    manifests = []
    for tag, created in tags.items():
        made = blobs(repository, tag, created)
        for content in made:
            yield f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content
        name = {"org.opencontainers.image.ref.name": tag}
        manifests.append(_descriptor(_MANIFEST, made[2]) | {"annotations": name})
    yield "index.json", _text({"manifests": manifests, "mediaType": _INDEX, "schemaVersion": 2})
    yield "oci-layout", _text({"imageLayoutVersion": "1.0.0"})


def tree(repositories: Mapping[str, Tags]) -> dict[str, bytes]:
    """Make a whole tree `<repository>/index.json`, as path to content."""
    return {
        f"{repository}/{path}": content
        for repository, tags in repositories.items()
        for path, content in layout(repository, tags)
    }


def write(root: Path, repositories: Mapping[str, Tags]) -> None:
    """Write a tree of layouts to disk."""
    for path, content in tree(repositories).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def push(address: str, path: str, tags: Tags) -> None:
    """Push every tag to `http://address/path` by the OCI distribution spec: blobs, then the manifest."""
    for tag, created in tags.items():
        *parts, manifest = blobs(path, tag, created)
        for content in parts:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            place = _send(f"http://{address}/v2/{path}/blobs/uploads/", "POST", b"", "application/octet-stream")
            joint = "&" if "?" in place else "?"
            _send(f"{place}{joint}digest={digest}", "PUT", content, "application/octet-stream")
        _send(f"http://{address}/v2/{path}/manifests/{tag}", "PUT", manifest, _MANIFEST)


def _send(url: str, method: str, content: bytes, media_type: str) -> str:
    request = urllib.request.Request(url, content, {"Content-Type": media_type}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.headers.get("Location", ""))


if __name__ == "__main__":
    import shutil

    shutil.rmtree(BUNDLED, ignore_errors=True)
    write(BUNDLED, EXAMPLES)
