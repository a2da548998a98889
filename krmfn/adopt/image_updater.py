"""Argo CD Image Updater: annotations of an Application, and the ImageUpdater resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from krmfn.adopt.census import NO_EQUAL, Document, Leaf, Steps, Wanted, glob

PREFIX = "argocd-image-updater.argoproj.io/"
_STRATEGIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "semver": lambda constraint: {"semver": {"range": constraint or "*"}},
    "newest-build": lambda _: {"newest": {}},
    "latest": lambda _: {"newest": {}},
    "alphabetical": lambda _: {"alphabetical": {"order": "asc"}},
    "name": lambda _: {"alphabetical": {"order": "asc"}},
    "digest": lambda _: {"digest": {}},
}
_BOUND = "the field is bound by image name; else by a marker or target"
_LEFT = {
    **dict.fromkeys(("helm", "kustomize", "manifestTargets"), _BOUND),
    **dict.fromkeys(
        ("write-back", "writeBackConfig", "repository"), "krmfn update writes to files and commits: docs/commands.md"
    ),
    "git": "krmfn update --branch NAME --base REF",
    **dict.fromkeys(("pull-secret", "pullSecret"), "logins are never copied: docs/authentication.md"),
    "useAnnotations": "annotations count wherever they stand",
    "imagesVerification": f"{NO_EQUAL}: nothing is verified",
    **dict.fromkeys(("force-update", "forceUpdate"), "every image that is named is followed"),
}


def is_annotated(document: Document) -> bool:
    """True if a resource holds annotations of Image Updater."""
    return any(key[:2] == ("metadata", "annotations") and key[-1].startswith(PREFIX) for key in document.leaves)


def annotated(document: Document) -> Iterator[Wanted]:
    """Yield the policies of an annotated Application."""
    at = ("metadata", "annotations")
    document.leaves = {key: leaf for key, leaf in document.leaves.items() if key[-1].startswith(PREFIX)}
    entries = document.leaves.get((*at, f"{PREFIX}image-list"))
    for entry in (part.strip() for part in entries.value.split(",")) if entries else ():
        named = re.fullmatch(r"(?:([\w.-]+)=)?(.+)", entry)  # a constraint may hold another `=`
        alias, image = (named[1] or "", named[2]) if named else ("", entry)
        document.map("policies[].image", *at, f"{PREFIX}image-list")

        def option(name: str, alias: str = alias) -> Steps:
            own = (*at, f"{PREFIX}{alias}.{name}")
            return own if alias and own in document.leaves else (*at, PREFIX + name)

        steps = map(option, ("update-strategy", "allow-tags", "ignore-tags", "platforms"))
        if entries:
            yield from _wanted(document, Leaf(image, entries.line), steps, lambda at: document.value(*at).split(","))
    for key in document.leaves:
        name = key[-1].removeprefix(PREFIX)
        for part in (name, name.partition(".")[2]):
            why = next((why for word, why in _LEFT.items() if part.startswith(word)), None)
            if why:
                document.leave(why, *key)


def resource(document: Document) -> Iterator[Wanted]:
    """Yield the policies of an ImageUpdater resource; what an image does not say, its application or all say."""
    applications = document.count("spec", "applicationRefs")
    for application, image in ((one, image) for one in applications for image in document.count(*one, "images")):
        levels = [(*level, "commonUpdateSettings") for level in (image, application, ("spec",))]

        def option(name: str, levels: list[Steps] = levels) -> Steps:
            return next(((*level, name) for level in levels if document.below(*level, name)), (*levels[0], name))

        document.map("policies[].image", *image, "imageName")
        document.leave("a name of a policy is made of the image", *image, "alias")
        document.leave(_BOUND, *image, "manifestTargets")
        steps = map(option, ("updateStrategy", "allowTags", "ignoreTags", "platforms"))
        yield from _wanted(document, document.leaves.get((*image, "imageName")), steps, lambda at: document.items(*at))
    document.leave("krmfn reads files, not Applications of a cluster", "spec", "namespace")
    for key in document.leaves:
        why = next((why for word, why in _LEFT.items() if word in key), None)
        if key[0] != "spec":
            document.leave("describes the resource itself", *key)
        elif why or key[-1] in ("namePattern", "labelSelectors"):
            document.leave(why or "krmfn reads files, not Applications of a cluster", *key)


def _wanted(
    document: Document, image: Leaf | None, options: Iterable[Steps], listed: Callable[[Steps], list[str]]
) -> Iterator[Wanted]:
    """Yield the policy of an image, if it has a name and any tag is allowed. The constraint stands behind its name.

    `options` are where strategy, allowed tags, ignored tags and platforms are said; `listed` reads a list.
    """
    strategy, allow, ignore, platforms = options
    name = image.value if image else ""
    constraint = name.rpartition(":")[2] if ":" in name.rpartition("/")[2] else ""
    word = document.value(*strategy).strip().lower() or "semver"
    if word not in _STRATEGIES:  # options.go of Image Updater: a warning, and semver
        document.leave(f"{NO_EQUAL}: there is no such strategy, and Image Updater takes semver then", *strategy)
    spec: dict[str, Any] = {"policy": _STRATEGIES.get(word, _STRATEGIES["semver"])(constraint)}
    document.map(f"policies[].policy.{next(iter(spec['policy']))}", *strategy)
    allowed = document.value(*allow).strip()
    kind, colon, pattern = allowed.partition(":")
    if colon and kind.lower() == "regexp":
        spec["allowTags"] = [pattern]
        document.map("policies[].allowTags", *allow)
    elif allowed.lower() not in ("", "any"):
        document.leave(f"{NO_EQUAL}: it allows no tag, so there is no policy for this image", *allow)
        return
    document.map("any tag is allowed without allowTags", *allow)
    if ignored := [one.strip() for one in listed(ignore) if one.strip()]:
        spec["ignoreTags"] = [glob(one) for one in ignored]
        document.map("policies[].ignoreTags", *ignore)
    if image:
        repository = name.removesuffix(f":{constraint}") if constraint else name
        yield Wanted(repository, spec, document.path, image.line, _platforms(document, platforms, listed(platforms)))


def _platforms(document: Document, at: Steps, texts: Iterable[str]) -> dict[str, Any]:
    """Return the requirement of platforms; of several Image Updater asks for any and krmfn for all."""
    platforms = [one.strip() for one in texts if re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?", one.strip())]
    if platforms:
        document.map("spec.require[].platforms, all of them", *at)
    return {"platforms": platforms} if platforms else {}
