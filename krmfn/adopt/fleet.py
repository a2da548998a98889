"""Rancher Fleet: `imageScans` of `fleet.yaml`, whose rules are those of Flux."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krmfn.adopt.census import NO_EQUAL, Document, Wanted

_LEFT = {
    "imageScanCommit": "krmfn update --commit: docs/commands.md#commits",
    "interval": "the schedule of CI: examples/ci",
    "imageScanInterval": "the schedule of CI: examples/ci",
    "gitrepoName": "krmfn works on the files that it is given",
    "secretRef": "logins are never copied: docs/authentication.md",
    "tagName": "fields are bound by image name; a marker of Fleet is not read",
}


def is_scanned(document: Document) -> bool:
    """True if a `fleet.yaml` scans images."""
    return bool(document.count("imageScans"))


def read(document: Document) -> Iterator[Wanted]:
    """Yield a policy for each scan."""
    document.leaves = {key: leaf for key, leaf in document.leaves.items() if key[0].startswith("imageScan")}
    for scan in document.count("imageScans"):
        image = document.leaves.get((*scan, "image"))
        policy = _policy(document, *scan)
        if image and policy and document.value(*scan, "suspend") != "true":
            document.map("policies[].image", *scan, "image")
            document.map(f"policies[].policy.{next(iter(policy))}", *scan, "policy")
            yield Wanted(image.value, {"policy": policy}, document.path, image.line)
        document.map(
            "no policy for this image" if document.value(*scan, "suspend") == "true" else "follows", *scan, "suspend"
        )
    for key in document.leaves:
        document.leave(next((why for word, why in _LEFT.items() if word in key), NO_EQUAL), *key)


def _policy(document: Document, *scan: str) -> dict[str, Any]:
    if span := document.value(*scan, "policy", "semver", "range"):
        return {"semver": {"range": span}}
    if document.below(*scan, "policy", "alphabetical"):
        return {"alphabetical": {"order": document.value(*scan, "policy", "alphabetical", "order") or "asc"}}
    return {}
