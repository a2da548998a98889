"""Renovate: what its configuration says about images, and the comments `# renovate: datasource=docker depName=...`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from krmfn.adopt.census import NO_EQUAL, Document, Leaf, Steps, Wanted
from krmfn.image import ImageRef

NAMES = (
    *(f"{folder}renovate.{kind}" for folder in ("", ".github/", ".gitlab/") for kind in ("json", "json5")),
    *(f".renovaterc{kind}" for kind in ("", ".json", ".json5")),
)
"""Where Renovate looks, from the top of the repository."""
_COMMENT = re.compile(r"#\s*renovate:\s*(?P<pairs>.*\S)")
_MATCHES = ("matchPackageNames", "matchDepNames", "matchPackagePatterns", "matchPackagePrefixes", "matchDatasources",
            "matchManagers", "matchUpdateTypes")  # fmt: skip
_LEFT = {
    "extends": "presets are not read, as they are elsewhere: write down what they say",
    "hostRules": "logins are never copied: docs/authentication.md",
    "encrypted": "logins are never copied: docs/authentication.md",
    "schedule": "the schedule of CI: examples/ci",
    "automerge": "the rules of the merge request: docs/commands.md#proposals",
    "registryAliases": "spec.mirrors of an ImageAutomation",
    "customManagers": "a marker, whatever the field: docs/bindings.md",
    "regexManagers": "a marker, whatever the field: docs/bindings.md",
    "groupName": "krmfn update --commit makes one proposal of all, --split one an image",
    "kubernetes": "krmfn finds images by what they are, not by file name",
    "flux": "krmfn finds images by what they are, not by file name",
    "$schema": "describes the file itself",
    "description": "describes the file itself",
}


def read(document: Document, images: Sequence[tuple[str, ImageRef]]) -> Iterator[Wanted]:
    """Yield a policy for each image of the repository, as the rules that match it say, the last one last."""
    rules = document.count("packageRules")
    for image in dict.fromkeys(ref for _, ref in images):
        spec: dict[str, Any] | None = {"policy": {"version": {"within": "major"}}}
        line = next(iter(document.leaves.values())).line if document.leaves else 1
        if document.value("pinDigests") == "true":
            spec = {"policy": {"version": {"within": "major"}}, "digestReflectionPolicy": "IfNotPresent"}
        for rule in rules:
            if spec is not None and _is_about(document, rule, image):
                spec, line = _ruled(document, rule, spec), next(iter(_lines(document, rule)))
        if spec is not None:
            yield Wanted(image.name, spec, document.path, line)
    document.map("policies[].digestReflectionPolicy", "pinDigests")
    for rule in rules:
        _note(document, rule)
    for key in document.leaves:
        why = next((why for word, why in _LEFT.items() if word in key), None)
        if why:
            document.leave(why, *key)


def _lines(document: Document, rule: Steps) -> list[int]:
    return [leaf.line for key, leaf in document.leaves.items() if key[: len(rule)] == rule]


def _is_about(document: Document, rule: Steps, image: ImageRef) -> bool:
    """True if a rule speaks of an image; each kind of condition must hold by one of its texts."""
    names = (image.name, image.canonical)
    for key in {step[0] for step in document.below(*rule)}:
        texts = document.items(*rule, key)
        if key in ("matchPackageNames", "matchDepNames"):
            holds = _is_named(texts, names)
        elif key == "matchPackagePatterns":
            holds = _is_named([f"/{one}/" for one in texts], names)
        elif key == "matchPackagePrefixes":
            holds = any(name.startswith(one) for one in texts for name in names)
        elif key == "matchDatasources":
            holds = "docker" in texts
        elif key == "matchManagers":
            holds = bool({"kubernetes", "kustomize", "flux", "helm-values", "argocd"} & set(texts))
        else:
            holds = not key.startswith(("match", "exclude")) or key == "matchUpdateTypes"
        if not holds:
            return False
    return True


def _is_named(texts: Sequence[str], names: Sequence[str]) -> bool:
    wanted = [one for one in texts if not one.startswith("!")]
    refused = [one[1:] for one in texts if one.startswith("!")]
    return (not wanted or _any_matches(wanted, names)) and not _any_matches(refused, names)


def _any_matches(texts: Sequence[str], names: Sequence[str]) -> bool:
    from krmfn.policies.pattern import Pattern

    for text in texts:
        if len(text) > 1 and text.startswith("/") and text.endswith("/"):
            if any(Pattern.parse(text[1:-1]).matches(names)):
                return True
        elif any(fnmatchcase(name, text.replace("**", "*")) for name in names):
            return True
    return False


def _ruled(document: Document, rule: Steps, spec: dict[str, Any]) -> dict[str, Any] | None:
    spec = dict(spec)
    kinds = document.items(*rule, "matchUpdateTypes")
    if document.value(*rule, "enabled") == "false":
        if not kinds:
            return None
        within = "patch" if "minor" in kinds else "minor" if "major" in kinds else ""
        if within and "version" in spec["policy"]:
            spec["policy"] = {"version": {"within": within}}
    versions = document.value(*rule, "allowedVersions")
    if versions and not kinds and versions.startswith("/") and versions.endswith("/"):
        spec["allowTags"] = [versions[1:-1]]
    elif versions and not kinds and not versions.startswith("!"):
        spec["policy"] = {"semver": {"range": versions}}
    if document.value(*rule, "pinDigests") == "true":
        spec["digestReflectionPolicy"] = "IfNotPresent"
    return spec


def _note(document: Document, rule: Steps) -> None:
    kinds = document.items(*rule, "matchUpdateTypes")
    conditions = {step[0] for step in document.below(*rule) if step[0].startswith(("match", "exclude"))}
    unknown = sorted(conditions - set(_MATCHES))
    if unknown:
        document.leave(f"{NO_EQUAL}: the condition {unknown[0]}", *rule)
        return
    if document.value(*rule, "enabled"):
        is_bound = not kinds or {"major", "minor"} & set(kinds)
        known = "policies[].policy.version.within" if kinds else "no policy for these images"
        (document.map if is_bound else document.leave)(known if is_bound else NO_EQUAL, *rule, "enabled")
    versions = document.value(*rule, "allowedVersions")
    if versions and (kinds or versions.startswith("!")):
        document.leave(NO_EQUAL, *rule, "allowedVersions")
    document.map("policies[].policy.semver or allowTags", *rule, "allowedVersions")
    document.map("policies[].digestReflectionPolicy", *rule, "pinDigests")
    for condition in conditions:
        document.map("the images that get this policy", *rule, condition)


def comments(path: str, text: str) -> Iterator[Document]:
    """Yield a document for each line with a comment of Renovate; its keys are the pairs of the comment."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _COMMENT.search(line)
        if found:
            pairs = (pair.partition("=") for pair in found["pairs"].split())
            yield Document(path, {(name,): Leaf(value, number) for name, _, value in pairs})


def commented(document: Document) -> Iterator[Wanted]:
    """Yield the policy of a comment: of images alone, by the name that it gives."""
    name = document.value("packageName") or document.value("depName")
    if document.value("datasource") != "docker" or not name:
        document.leave("krmfn is about images")
        return
    document.map("policies[].image", "datasource")
    document.map("policies[].image", "depName")
    document.map("policies[].image", "packageName")
    yield Wanted(
        name, {"policy": {"version": {"within": "major"}}}, document.path, next(iter(document.leaves.values())).line
    )
