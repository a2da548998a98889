"""Keel: annotations and labels of workloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from krmfn.adopt.census import NO_EQUAL, Document, Wanted, glob
from krmfn.image import ImageRef

PREFIX = "keel.sh/"
_WITHIN = {"major": "major", "all": "major", "minor": "minor", "patch": "patch"}
_LEFT = {
    "trigger": "krmfn runs when it is called",
    "pollSchedule": "the schedule of CI: examples/ci",
    "approvals": "a proposal is a merge request, and its rules hold: docs/commands.md#proposals",
    "approvalDeadline": "a proposal is a merge request, and its rules hold: docs/commands.md#proposals",
    "matchTag": "policy digest follows the tag that is deployed",
    "match-tag": "policy digest follows the tag that is deployed",
    "imagePullSecret": "logins are never copied: docs/authentication.md",
    "initContainers": "initContainers are always followed",
    "releaseNotes": "links come from the labels of the image",
    "notify": "krmfn tells what it does in its output and in proposals",
}


def is_annotated(document: Document) -> bool:
    """True if a resource holds labels or annotations of Keel."""
    return any(key[:1] == ("metadata",) and key[-1].startswith(PREFIX) for key in document.leaves)


def annotated(document: Document, images: Iterable[ImageRef]) -> Iterator[Wanted]:
    """Yield a policy for each image of an annotated workload."""
    document.leaves = {key: leaf for key, leaf in document.leaves.items() if key[-1].startswith(PREFIX)}
    for key, leaf in document.leaves.items():
        name = key[-1].removeprefix(PREFIX)
        if name != "policy":
            document.leave(_LEFT.get(name, NO_EQUAL), *key)
            continue
        spec = _spec(leaf.value)
        if spec is None:
            document.leave("no policy: the image stays" if leaf.value in ("never", "none") else NO_EQUAL, *key)
            continue
        document.map(f"policies[].policy.{next(iter(spec['policy']))}", *key)
        for image in images:
            yield Wanted(image.name, spec, document.path, leaf.line)


def _spec(policy: str) -> dict[str, Any] | None:
    kind, _, pattern = policy.partition(":")
    if policy in _WITHIN:  # not a range: Keel compares numbers, and ^0.0.8 would never move
        return {"policy": {"version": {"within": _WITHIN[policy]}}}
    if policy == "force":
        return {"policy": {"digest": {}}}
    if kind == "glob":
        return {"policy": {"newest": {}}, "filterTags": {"pattern": glob(pattern)}}
    if kind == "regexp":
        has_group = "?P<compare>" in pattern
        extract = {"extract": "$compare"} if has_group else {}
        order: dict[str, Any] = {"alphabetical": {"order": "asc"}} if has_group else {"newest": {}}
        return {"policy": order, "filterTags": {"pattern": pattern, **extract}}
    return None
