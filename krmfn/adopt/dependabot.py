"""Dependabot: the `docker` and `helm` updates of `.github/dependabot.yml`.

Meaning: https://docs.github.com/en/code-security/dependabot/working-with-dependabot/dependabot-options-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from krmfn.adopt.census import KINDS, NO_EQUAL, Document, Steps, Wanted, aged, is_bound, is_like, within

if TYPE_CHECKING:
    from krmfn.image import ImageRef

NAMES = (".github/dependabot.yml", ".github/dependabot.yaml")
_ECOSYSTEMS = ("docker", "docker-compose", "helm")
_AGES = {"default-days": "default", **{f"semver-{kind}-days": kind for kind in KINDS}}
_LEFT = {
    "schedule": "the schedule of CI: examples/ci",
    "registries": "logins are never copied: docs/authentication.md",
    "groups": "krmfn update --commit makes one proposal of all, --split one an image",
    "open-pull-requests-limit": "krmfn update --commit makes one proposal of all, --split one an image",
    "target-branch": "krmfn update --base REF",
    "commit-message": "krmfn update --message TEMPLATE",
    "version": "describes the file itself",
}
_OPPOSITE = {">=": "<", ">": "<=", "<": ">=", "<=": ">"}


def read(document: Document, images: Sequence[tuple[str, ImageRef]]) -> Iterator[Wanted]:
    """Yield a policy for each image below the directories. `images` are paths from the repository's top, and what stands there."""
    for update in document.count("updates"):
        ecosystem = document.value(*update, "package-ecosystem")
        if ecosystem not in _ECOSYSTEMS:
            document.leave("krmfn is about images in manifests", *update)
            continue
        folders = document.items(*update, "directory") + document.items(*update, "directories")
        excluded = document.items(*update, "exclude-paths")
        for word in ("package-ecosystem", "directory", "directories"):
            document.map("each image below it gets a policy", *update, word)
        document.map("images that stand only there get no policy", *update, "exclude-paths")
        _note(document, update)
        line = document.leaves[(*update, "package-ecosystem")].line
        there = (ref for path, ref in images if _is_below(path, folders) and not is_like(path, excluded))
        for image in dict.fromkeys(there):
            policy = _policy(document, update, image)
            if policy:
                yield Wanted(image.name, {"policy": policy}, document.path, line, aged(_ages(document, update, image)))
    document.leave_all(_LEFT)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    patterns = [folder.strip("/") for folder in folders]
    return any(not one or any(is_like(parent, [one]) for parent in parents) for one in patterns)


def _is_named(image: ImageRef, names: Iterable[str]) -> bool:
    """True if a name, in which a star stands for anything, is the image's, with or without what stands before it."""
    return any(is_like(name, names) for name in (image.name, image.path, image.name.rpartition("/")[2]))


def _policy(document: Document, update: Steps, image: ImageRef) -> dict[str, Any] | None:
    """Return the policy of an image; None for one that is ignored, or not allowed."""
    allowed = [document.value(*rule, "dependency-name") for rule in document.count(*update, "allow")]
    if any(allowed) and not _is_named(image, allowed):
        return None
    # What is ignored is taken off what may be taken: kinds of updates from the bound, versions as ranges besides it.
    kinds, spans = set(KINDS), []
    for rule in document.count(*update, "ignore"):
        if not _is_named(image, [document.value(*rule, "dependency-name")]):
            continue
        ignored = [kind.removeprefix("version-update:semver-") for kind in document.items(*rule, "update-types")]
        versions = document.items(*rule, "versions")
        if not ignored and not versions:
            return None
        kinds -= set(ignored)
        spans += [span for text in versions if (span := _opposite(text))]
    bound = within(kinds)
    if not bound:
        return None
    return {"version": {"within": bound} | ({"range": ", ".join(dict.fromkeys(spans))} if spans else {})}


def _opposite(text: str) -> str:
    """Return the range of all versions that an ignored one leaves; empty when none says that.

    >>> _opposite(">= 2.0"), _opposite("4.x"), _opposite("1.2.3"), _opposite(">= 1, < 2")
    ('<2.0', '!=4.x', '!=1.2.3', '')
    """
    bound = re.fullmatch(r"(>=|<=|<|>|=)?\s*v?([0-9]+(?:\.[0-9]+)*(?:\.[x*])?)", text.strip())
    if not bound:
        return ""
    return f"{_OPPOSITE.get(bound[1] or '', '!=')}{bound[2].replace('*', 'x')}"


def _ages(document: Document, update: Steps, image: ImageRef) -> dict[str, str]:
    at = (*update, "cooldown")
    included, excluded = document.items(*at, "include"), document.items(*at, "exclude")
    if (included and not _is_named(image, included)) or _is_named(image, excluded):
        return {}
    days = {step: document.value(*at, key) for key, step in _AGES.items()}
    return {step: f"{value} days" for step, value in days.items() if value.isdigit()}


def _note(document: Document, update: Steps) -> None:
    """Note what became of the rules, whatever images there are."""
    for key in _AGES:
        if document.value(*update, "cooldown", key).isdigit():
            document.map("spec.require[].minimumReleaseAge", *update, "cooldown", key)
    for key in ("include", "exclude"):
        document.map("the images that wait", *update, "cooldown", key)
    for rule in document.count(*update, "allow"):
        document.map("images of other names get no policy", *rule, "dependency-name")
    for rule in document.count(*update, "ignore"):
        document.map("the images that the rule is about", *rule, "dependency-name")
        refused = [kind.removeprefix("version-update:semver-") for kind in document.items(*rule, "update-types")]
        if is_bound(refused):
            document.map("policies[].policy.version.within", *rule, "update-types")
        document.leave(f"{NO_EQUAL}: larger steps than a refused one are not taken either", *rule, "update-types")
        for steps, text in document.below(*rule, "versions").items():
            if _opposite(text):
                document.map("policies[].policy.version.range", *rule, "versions", *steps)
        document.leave(f"{NO_EQUAL}: write policy.version.range", *rule, "versions")
