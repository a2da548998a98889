"""Keel: annotations and labels of workloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from krmfn.adopt.census import KINDS, NO_EQUAL, Document, Wanted, glob
from krmfn.errors import RuleError
from krmfn.policies.version import Version

if TYPE_CHECKING:
    from krmfn.image import ImageRef

PREFIX = "keel.sh/"
_OLD = "keel.observer/"
_EVERY: dict[str, Any] = {"semver": {"range": ">=0.0.0-0"}}
"""The highest version, prereleases included."""
_LEFT = {
    "trigger": "krmfn runs when it is called",
    "pollSchedule": "the schedule of CI: examples/ci",
    "approvals": "a proposal is a merge request, and its rules hold: docs/commands.md#proposals",
    "approvalDeadline": "a proposal is a merge request, and its rules hold: docs/commands.md#proposals",
    "imageVolumes": "volumes of images are always followed",
    "update-time": "written by Keel",
    "digest": "written by Keel",
    "imagePullSecret": "logins are never copied: docs/authentication.md",
    "initContainers": "initContainers are always followed",
    "releaseNotes": "links come from the labels of the image",
    "notify": "krmfn tells what it does in its output and in proposals",
}


def is_annotated(document: Document) -> bool:
    """True if a resource holds labels or annotations of Keel."""
    return any(key[:1] == ("metadata",) and key[-1].startswith((PREFIX, _OLD)) for key in document.leaves)


def annotated(document: Document, images: Iterable[ImageRef]) -> Iterator[Wanted]:
    """Yield a policy for each image of an annotated workload. An annotation counts before a label of the same name."""
    document.leaves = {key: leaf for key, leaf in document.leaves.items() if key[-1].startswith((PREFIX, _OLD))}
    annotations_last = sorted(document.leaves, key=lambda steps: "annotations" in steps)
    named = {key[-1].rpartition("/")[2]: key for key in annotations_last}
    policy, match = named.get("policy"), named.get("matchTag") or named.get("match-tag")
    is_tied = bool(match) and document.value(*match or ()) == "true"
    images = list(images)
    if policy:
        leaf = document.leaves[policy]
        specs = {image: _spec(leaf.value, image, is_tied=is_tied) for image in images}
        first = next(filter(None, specs.values()), None)
        if first:
            document.map(f"policies[].policy.{next(iter(first['policy']))}", *policy)
        document.leave("no policy: the image stays" if leaf.value in ("never", "none", "") else NO_EQUAL, *policy)
        yield from (Wanted(image.name, spec, document.path, leaf.line) for image, spec in specs.items() if spec)
    if match:
        is_force = bool(policy) and document.value(*policy or ()) == "force"
        (document.map if is_force else document.leave)("policy digest keeps the tag" if is_force else "only for force", *match)
    if "matchPreRelease" in named:
        is_default = document.value(*named["matchPreRelease"]) == "true"
        why = "policy version keeps what stands behind the numbers"
        (document.map if is_default else document.leave)(why, *named["matchPreRelease"])
    for key in document.leaves:
        document.leave(_LEFT.get(key[-1].rpartition("/")[2], NO_EQUAL), *key)


def _spec(policy: str, image: ImageRef, *, is_tied: bool) -> dict[str, Any] | None:
    """Return what a policy means (keel internal/policy); of globs and patterns Keel takes the last in the alphabet."""
    kind, _, pattern = policy.partition(":")
    if policy in KINDS:  # not a range: Keel compares numbers, and ^0.0.8 would never move
        return {"policy": {"version": {"within": policy}} if _is_version(image.tag) else _EVERY}
    if policy == "all":
        return {"policy": _EVERY}
    if policy == "force":
        return {"policy": {"digest": {}} if is_tied else _EVERY}
    if kind in ("glob", "regexp") and pattern:
        taken = glob(pattern, only_stars=True) if kind == "glob" else pattern
        extract = {"extract": "$compare"} if kind == "regexp" and "?P<compare>" in pattern else {}
        return {"policy": {"alphabetical": {"order": "asc"}}, "filterTags": {"pattern": taken, **extract}}
    return None


def _is_version(tag: str | None) -> bool:
    """True if Keel can order a tag; it replaces `latest` by the highest version."""
    try:
        return bool(Version.parse(tag or ""))
    except RuleError:
        return False
