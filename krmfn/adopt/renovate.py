"""Renovate: its configuration in JSON5, and `# renovate:` comments beside a value.

Meaning: https://docs.renovatebot.com/configuration-options/ and lib/util/package-rules of its source. Rules apply in
order, and of each setting the last one counts. Renovate orders tags of images by shape, as policy version does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from krmfn.adopt.census import KINDS, NO_EQUAL, Document, Leaf, Steps, Wanted, aged, is_bound, within
from krmfn.adopt.renovate_rules import (
    MANAGERS,
    Places,
    conditions,
    is_about,
    is_glob_of,
    is_named,
    may_be_about_images,
    pattern_of,
    unknown,
)
from krmfn.errors import RuleError
from krmfn.policies.constraint import Constraint
from krmfn.policies.number import duration

NAMES = (
    *(f"{folder}renovate.{kind}" for folder in ("", ".github/", ".gitlab/") for kind in ("json", "json5", "jsonc")),
    *(f".renovaterc{kind}" for kind in ("", ".json", ".json5", ".jsonc")),
)
"""Where Renovate looks, from the top of the repository."""
_COMMENT = re.compile(r"#[^\S\n]*renovate:(?P<pairs>.*)")
_AS_DOCKER = ("docker", "semver", "semver-coerced", "semver-partial", "loose", "pep440")
"""Ways to read a version under which the shape of the deployed tag decides just as well."""
_PRESETS = (
    "docker:disableMajor", "docker:enableMajor", ":disableMajorUpdates", "docker:pinDigests", "config:best-practices",
    "default:pinDigestsDisabled", ":pinDigestsDisabled",
)  # fmt: skip
"""Presets that Renovate brings along, of which is known what they say of images."""
_LEFT = {
    "extends": "presets are not read, as they are elsewhere: write down what they say",
    "hostRules": "logins are never copied: docs/authentication.md",
    "encrypted": "logins are never copied: docs/authentication.md",
    "schedule": "the schedule of CI: examples/ci",
    "timezone": "the schedule of CI: examples/ci",
    "automerge": "the rules of the merge request: docs/commands.md#proposals",
    "registryAliases": "spec.mirrors of an ImageAutomation",
    "customManagers": "a marker, whatever the field: docs/bindings.md",
    "regexManagers": "a marker, whatever the field: docs/bindings.md",
    "groupName": "krmfn update --commit makes one proposal of all, --split one an image",
    **dict.fromkeys(MANAGERS, "krmfn finds images by what they are, not by file name"),
    "$schema": "describes the file itself",
    "description": "describes the file itself",
    **dict.fromkeys(
        ("labels", "addLabels", "assignees", "reviewers", "commitMessagePrefix", "commitMessageAction", "commitMessageTopic",
         "commitMessageExtra", "semanticCommits", "semanticCommitType", "semanticCommitScope", "prHourlyLimit",
         "prConcurrentLimit", "branchConcurrentLimit", "dependencyDashboard", "platformAutomerge", "prCreation", "rebaseWhen"),
        "the merge request is made by CI: docs/commands.md#proposals",
    ),
}  # fmt: skip


@dataclass
class _Settings:
    """What the configuration says of one image, so far."""

    line: int
    is_enabled: bool = True
    ruled: dict[str, bool] = field(default_factory=dict)
    """What rules say of a kind of step; it counts before `nested`, what stands below `major: {...}`."""
    nested: dict[str, bool] = field(default_factory=dict)
    allowed: str = ""
    pins: bool = False
    versioning: str = "docker"
    ages: dict[str, str] = field(default_factory=dict)

    def spec(self) -> dict[str, Any] | None:
        """Return the policy; None for an image that stays."""
        # Renovate applies packageRules behind the settings of a kind of update, so that they win over `major: {...}`.
        takes = {kind: self.ruled.get(kind, self.nested.get(kind, True)) for kind in (*KINDS, "digest")}
        bound = within([kind for kind in KINDS if takes[kind]])
        policy: dict[str, Any] = {"version": {"within": bound}}
        spec: dict[str, Any] = {"policy": policy}
        pattern, is_right, is_refusal = pattern_of(self.allowed)
        if is_right:
            spec["ignoreTags" if is_refusal else "allowTags"] = [pattern]
        elif self.allowed and _is_range(self.allowed):
            policy["version"]["range"] = self.allowed
        if self.pins:
            spec["digestReflectionPolicy"] = "Always" if takes["digest"] else "IfNotPresent"
        if self.versioning not in _AS_DOCKER:
            filtered = _filter(self.versioning)
            if not filtered:
                return None
            spec["filterTags"] = filtered
        return spec if bound and self.is_enabled else None


def read(document: Document, images: Places) -> Iterator[Wanted]:
    """Yield a policy for each image of the repository, as the rules that match it say, the last one last."""
    rules = document.count("packageRules")
    first = next(iter(document.leaves.values())).line if document.leaves else 1
    _note_all(document, rules)
    for image in dict.fromkeys(ref for path, ref in images if not _is_ignored(document, path)):
        places = [(path, ref) for path, ref in images if ref.name == image.name]
        settings = _Settings(first)
        if ":disableMajorUpdates" in document.items("extends"):
            settings.nested["major"] = False
        for steps in ((), ("docker",)):
            _apply(document, steps, settings)
        _extend(document, settings)
        for rule in rules:
            if is_about(document, rule, places):
                _apply(document, rule, settings, document.items(*rule, "matchUpdateTypes"))
                settings.line = min(leaf.line for key, leaf in document.leaves.items() if key[: len(rule)] == rule)
        spec = settings.spec()
        if spec is not None and not is_named(document.items("ignoreDeps"), image.name):
            yield Wanted(image.name, spec, document.path, settings.line, aged(settings.ages))
    document.leave_all(_LEFT)


def _is_ignored(document: Document, path: str) -> bool:
    """True for a file that Renovate does not look into: a part of its path, or a glob."""
    included, ignored = document.items("includePaths"), document.items("ignorePaths")
    is_left_out = any(one in path or is_glob_of(one, path) for one in ignored)
    return is_left_out or bool(included and not any(is_glob_of(one, path) for one in included))


def _extend(document: Document, settings: _Settings) -> None:
    """Apply the rules of presets, which stand before those of the file."""
    ignored = document.items("ignorePresets")
    for preset in document.items("extends"):
        if preset in ("docker:disableMajor", "docker:enableMajor"):
            settings.ruled["major"] = preset == "docker:enableMajor"
        elif preset in ("docker:pinDigests", "config:best-practices") and not {preset, "docker:pinDigests"} & {*ignored}:
            settings.pins = True


def _apply(document: Document, at: Steps, settings: _Settings, kinds: Sequence[str] = ()) -> None:
    """Take over the settings at one place: for all steps, or for some kinds of them."""
    enabled, age = document.value(*at, "enabled"), document.leaves.get((*at, "minimumReleaseAge"))
    if enabled and not kinds:
        settings.is_enabled = enabled == "true"
    if enabled and at and at[-1] in (*KINDS, "digest"):
        settings.nested[at[-1]] = enabled == "true"
    elif enabled and at[:1] == ("packageRules",):
        settings.ruled.update(dict.fromkeys(kinds or (*KINDS, "digest"), enabled == "true"))
    if age is not None:
        waits = {} if age.value in ("null", "") else {kind: age.value for kind in (kinds or ("default",)) if duration(age.value)}
        settings.ages = {**(settings.ages if kinds else {}), **{key: age for key, age in waits.items() if key in (*KINDS, "default")}}
    if not kinds:
        settings.allowed = document.value(*at, "allowedVersions") or settings.allowed
        settings.versioning = document.value(*at, "versioning") or settings.versioning
        if pins := document.value(*at, "pinDigests"):
            settings.pins = pins == "true"
        for kind in (*KINDS, "digest"):
            _apply(document, (*at, kind), settings, (kind,)) if document.below(*at, kind) else None


def _is_range(text: str) -> bool:
    try:
        Constraint.parse(text)
    except RuleError:
        return False
    return True


def _filter(versioning: str) -> Mapping[str, str] | None:
    """Return the filter that reads versions as `regex:...` says; None for another versioning, or one with a prerelease."""
    pattern = versioning.removeprefix("regex:")
    groups = re.findall(r"\(\?P?<(\w+)>", pattern)
    if pattern == versioning or "major" not in groups or "prerelease" in groups or not pattern_of(f"/{pattern}/")[1]:
        return None
    numbers = [name for name in (*KINDS, "build", "revision") if name in groups]
    extract = ".".join(f"${{{name}}}" for name in numbers) + ("-${compatibility}" if "compatibility" in groups else "")
    return {"pattern": re.sub(r"\(\?<(\w+)>", r"(?P<\1>", pattern), "extract": extract}


def _note_all(document: Document, rules: Sequence[Steps]) -> None:
    """Note what became of every key, whatever images there are."""
    for preset_steps, preset in document.below("extends").items():
        if preset in _PRESETS:
            document.map("what it says of images", "extends", *preset_steps)
    for key in ("ignorePaths", "includePaths", "ignoreDeps"):
        document.map("images that get no policy", key)
    for at in ((), ("docker",), *rules):
        if at and (condition := unknown(document, at)):
            document.leave(f"{NO_EQUAL}: the condition {condition}, so the rule does not count", *at)
            continue
        if at and not may_be_about_images(document, at):
            document.leave("krmfn is about images", *at)
            continue
        kinds = document.items(*at, "matchUpdateTypes") if at else []
        _note(document, at, kinds)
        for kind in (*KINDS, "digest"):
            _note(document, (*at, kind), [kind])
        for condition in conditions(document, at) if at else ():
            document.map("the images that get this policy", *at, condition)


def _note(document: Document, at: Steps, kinds: Sequence[str]) -> None:
    if enabled := document.value(*at, "enabled"):
        steps = [kind for kind in kinds if kind in KINDS]
        is_known = not kinds or ((steps or "digest" in kinds) and (enabled == "true" or is_bound(steps)))
        meaning = "policies[].policy.version.within" if kinds else "whether these images get a policy"
        (document.map if is_known else document.leave)(
            meaning if is_known else f"{NO_EQUAL}: larger steps than a refused one are not taken either", *at, "enabled"
        )
    age = document.value(*at, "minimumReleaseAge")
    if age in ("null", "") or (duration(age) is not None and (not kinds or set(kinds) & set(KINDS))):
        document.map("spec.require[].minimumReleaseAge", *at, "minimumReleaseAge")
    versions, versioning = document.value(*at, "allowedVersions"), document.value(*at, "versioning")
    if not kinds and (pattern_of(versions)[1] or (versions and _is_range(versions))):
        is_pattern = pattern_of(versions)[1]
        document.map("policies[].allowTags" if is_pattern else "policies[].policy.version.range", *at, "allowedVersions")
    if not kinds and (versioning in _AS_DOCKER or _filter(versioning)):
        document.map("policies[].filterTags" if versioning.startswith("regex:") else "the shape of the deployed tag", *at, "versioning")
    elif versioning:
        document.leave(f"{NO_EQUAL}, so these images get no policy: write filterTags", *at, "versioning")
    if not kinds:
        document.map("policies[].digestReflectionPolicy", *at, "pinDigests")


def comments(path: str, text: str) -> Iterator[Document]:
    """Yield a document for each line with a comment of Renovate; its keys are the pairs of the comment."""
    for number, line in enumerate(text.splitlines(), 1):
        comment = _COMMENT.search(line)
        if comment:
            pairs = (pair.partition("=") for pair in comment["pairs"].split())
            yield Document(path, {(name,): Leaf(value, number) for name, _, value in pairs})


def named_by(document: Document) -> str:
    """Return the image that a comment names; empty for what is none."""
    name = document.value("packageName") or document.value("lookupName") or document.value("depName")
    registry = document.value("registryUrl").removeprefix("https://").strip("/")
    is_image = document.value("datasource") == "docker" and name
    return (f"{registry}/{name}" if registry else name) if is_image else ""


def commented(document: Document) -> Iterator[Wanted]:
    """Yield the policy of a comment: of images alone, by the name that it gives."""
    name = named_by(document)
    if not name:
        document.leave("krmfn is about images")
        return
    for key in ("datasource", "depName", "packageName", "lookupName", "registryUrl"):
        document.map("policies[].image", key)
    settings = _Settings(next(iter(document.leaves.values())).line)
    _apply(document, (), settings)
    _note(document, (), ())
    spec = settings.spec()
    if spec:
        yield Wanted(name, spec, document.path, settings.line)
