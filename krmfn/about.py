"""What `krmfn --doc` answers: the function's card, in the form of the KRM function SDK."""

from __future__ import annotations

from krmfn import __version__

ABOUT = {
    "name": "krmfn",
    "version": __version__,
    "short": "Chooses image tags by policy and writes them into manifests, as Flux's image automation does, without a cluster.",
    "long": (
        "Reads ImageRepository and ImagePolicy objects (Flux's own), ImageAutomation, or a flat ConfigMap; asks OCI registries, "
        "an OCI layout or TagSnapshot items; and writes newer images at setter markers, annotations, image names or paths."
    ),
    "examples": [
        "kpt fn eval DIR --exec krmfn -- image=ghcr.io/acme/web semver=^1.2",
        "kpt fn render DIR --allow-exec",
    ],
    "image": "ghcr.io/krmfn/krmfn",
    "description": "Flux's image automation as a pure function",
    "tags": ["mutator", "images"],
    "license": "Apache-2.0",
    "sourceURL": "https://github.com/krmfn/krmfn",
    "hidden": False,
}
