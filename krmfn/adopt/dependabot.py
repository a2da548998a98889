"""Dependabot: the `docker`, `docker-compose` and `helm` updates of `.github/dependabot.yml`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from krmfn.adopt.census import NO_EQUAL, Document, Steps, Wanted
from krmfn.image import ImageRef

NAMES = (".github/dependabot.yml", ".github/dependabot.yaml")
_ECOSYSTEMS = ("docker", "helm")
_BOUNDS = {"version-update:semver-major": "minor", "version-update:semver-minor": "patch"}
_LEFT = {
    "schedule": "the schedule of CI: examples/ci",
    "registries": "logins are never copied: docs/authentication.md",
    "groups": "krmfn update --commit makes one proposal of all, --split one an image",
    "open-pull-requests-limit": "krmfn update --commit makes one proposal of all, --split one an image",
    "target-branch": "krmfn update --base REF",
    "commit-message": "krmfn update --message TEMPLATE",
    "version": "describes the file itself",
}


def read(document: Document, images: Sequence[tuple[str, ImageRef]]) -> Iterator[Wanted]:
    """Yield a policy for each image below the directories. `images` are paths from the repository's top, and what stands there."""
    for update in document.count("updates"):
        ecosystem = document.value(*update, "package-ecosystem")
        if ecosystem not in _ECOSYSTEMS:
            document.leave("krmfn is about images in manifests", *update)
            continue
        folders = document.items(*update, "directory") + document.items(*update, "directories")
        document.map("each image below it gets a policy", *update, "package-ecosystem")
        document.map("each image below it gets a policy", *update, "directory")
        document.map("each image below it gets a policy", *update, "directories")
        line = document.leaves[(*update, "package-ecosystem")].line
        for image in dict.fromkeys(ref for path, ref in images if any(_is_below(path, folder) for folder in folders)):
            within = _within(document, update, image)
            if within:
                yield Wanted(image.name, {"policy": {"version": {"within": within}}}, document.path, line)
    for key in document.leaves:
        why = next((why for word, why in _LEFT.items() if word in key), None)
        if why:
            document.leave(why, *key)


def _is_below(path: str, folder: str) -> bool:
    pattern = folder.strip("/")
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    return not pattern or pattern == "." or any(fnmatchcase(parent, pattern) for parent in parents)


def _within(document: Document, update: Steps, image: ImageRef) -> str:
    """Return how far an image may go; empty for one that is ignored whole."""
    bound = "major"
    for rule in document.count(*update, "ignore"):
        name = document.value(*rule, "dependency-name")
        kinds = document.items(*rule, "update-types")
        is_mapped = bool(kinds) and all(kind in _BOUNDS for kind in kinds)
        if document.below(*rule, "versions"):
            document.leave(f"{NO_EQUAL}: write semver or ignoreTags", *rule, "versions")
        elif not kinds or is_mapped:
            document.map("policies[].policy.version.within" if kinds else "no policy for this image", *rule)
        if not name or not (fnmatchcase(image.name, name) or fnmatchcase(image.name.rpartition("/")[2], name)):
            continue
        if not kinds and not document.below(*rule, "versions"):
            return ""
        bound = min(
            (bound, *(_BOUNDS[kind] for kind in kinds if kind in _BOUNDS)), key=("patch", "minor", "major").index
        )
    return bound
