"""Images that one mapping spells in several scalars: `{registry, repository, tag, digest}` and their kin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import yaml

from krmfn.image import version_suffix
from krmfn.kubernetes import forms, reference
from krmfn.kubernetes.reference import Evidence, Reading
from krmfn.model import Part
from krmfn.yamledit.nodes import reference_token
from krmfn.yamledit.yamltree import Step, children

Scalars = Mapping[str, yaml.ScalarNode]


class Spelled(NamedTuple):
    """Scalars that belong together, by the last part of their names; the key that they stand in, and where each stands.

    They are those of one mapping, of keys that are paths (`web.image.tag`), or of parameters in a list.
    """

    scalars: Scalars
    within: str
    steps: Mapping[str, tuple[Step, ...]] = {}

    def place(self, key: str) -> tuple[Step, ...]:
        """Return the steps from the collection to the scalar."""
        return self.steps.get(key, (key,))


class Mention(NamedTuple):
    """An image: the row's code, its text and reading, its parts with their keys, and what speaks against it.

    `at` is the key of the version.
    """

    code: str
    text: str
    reading: Reading | None
    parts: tuple[tuple[Part, str], ...]
    at: str
    why: str = ""


_VERSION = re.compile(r"(.*?)[_.-]?(tag|Tag|TAG|digest|Digest|DIGEST|sha256|version|Version|VERSION)").fullmatch
_KUBEADM = frozenset({"local", "dns"})
_REPOSITORIES = ("repository", "repo", "repositoryURI", "repositoryUrl")
_NAMES = {"repository": (*_REPOSITORIES, "imageRepository"), "image": ("image", "", "imageName"), "name": ("name",)}
_REGISTRIES = ("registry", "imageRegistry", "hub")
_NO_VERSION = frozenset({"true", "false", "yes", "no", "on", "off", "null", "~"})
_ELSEWHERE = "the repository is named elsewhere, by the chart or another file"


@lru_cache(2048)
def _stem(key: str) -> tuple[str, str] | None:
    """Split a key such as `webImageTag` into `webImage` and `tag`; None for a key that holds no version."""
    match = _VERSION(key)
    # `appVersion` and its kin are versions of something else wherever charts write them.
    if match is None or match[1] in ("new", "app", "api", "chart", "target", "kubernetes", "min", "max", "use"):
        return None
    what = match[2].lower()
    is_tag = what == "version" and forms.is_image_key(match[1])
    return match[1], "digest" if what == "sha256" else "tag" if is_tag else what


@lru_cache(2048)
def _candidates(stem: str) -> tuple[tuple[str, str], ...]:
    """Return the keys that may hold the name beside a version with this stem, best first, each with its kind."""
    # Beside `webImageTag` stands `webImage`, `webImageRepository` or `webRepository`.
    bare = re.sub(r"[_.-]?(?:image|Image|IMAGE)$", "", stem)
    candidates = [
        (key, kind)
        for head in (stem, bare)
        for kind, words in _NAMES.items()
        for word in words
        for key in _spelled(head, word)
    ]
    is_own = stem == "" or forms.is_image_key(stem)
    if is_own and stem:  # one of several tags of the image beside it, such as `defaultGpuImageVersion`
        candidates.append(("image", "image"))
    return tuple((key, kind) for key, kind in dict.fromkeys(candidates) if key and (kind != "name" or is_own))


def _spelled(head: str, word: str) -> Iterator[str]:
    if not head or not word:
        yield head or word
        return
    compound = word[:1].upper() + word[1:]
    yield from (head + compound, f"{head}_{word}", f"{head}-{word}", f"{head}_{word.upper()}")


def of_paths(scalars: Scalars) -> Iterator[Spelled]:
    """Yield what keys with dots spell, such as `web.image.tag`."""
    heads: dict[str, dict[str, str]] = {}
    for key in scalars:
        head, dot, last = key.rpartition(".")
        if dot and last:
            heads.setdefault(head, {})[last] = key
    for head, keys in heads.items():
        if any(_stem(last) for last in keys):
            steps: dict[str, tuple[Step, ...]] = {last: (key,) for last, key in keys.items()}
            yield Spelled({last: scalars[key] for last, key in keys.items()}, head.rpartition(".")[2], steps)


def of_mapping(scalars: Scalars, within: str) -> Iterator[Mention]:
    """Yield the images of one mapping, which stands under the key `within`."""
    if pair := _kustomized(scalars, within):
        yield pair
        return
    stems: dict[str, dict[str, str]] = {}
    for key, node in scalars.items():
        if (split := _stem(key)) and node.value and node.value.lower() not in _NO_VERSION:
            stems.setdefault(split[0], {}).setdefault(split[1], key)
    for stem, versions in stems.items():
        if pair := _versioned(scalars, stem, versions, within):
            yield pair


def _kustomized(scalars: Scalars, within: str) -> Mention | None:
    """Read an `images` entry of a kustomization."""
    name = scalars.get("name")
    if name is None or not name.value:
        return None
    tag, digest, new = (_filled(scalars, key) for key in ("newTag", "digest", "newName"))
    if not (tag or new or (digest and within == "images")):
        return None
    parts = ((Part.NAME, "newName", new), (Part.TAG, "newTag", tag), (Part.DIGEST, "digest", digest))
    text = _text(None, new or name, tag, digest)
    at = "newTag" if tag else "digest" if digest else "newName"
    why = "" if tag or digest else "it changes the name alone"
    held = tuple((part, key) for part, key, node in parts if node)
    return Mention("kustomize-images", text, reference.read(text), held, at, why)


def _filled(scalars: Scalars, key: str) -> yaml.ScalarNode | None:
    node = scalars.get(key)
    return node if node is not None and node.value else None


def _incomplete(key: str, name: str, beside: yaml.ScalarNode | None, hub: str | None) -> str:
    """Return why the name under a key may lack a part, which stands beside it or is added; empty when nothing says so."""
    if beside is not None and "/" not in beside.value and not name.endswith(beside.value):
        return "the name beside it may stand below it"
    if hub and key.lower().endswith("repo") and "/" not in name:
        return "its repository may be a namespace, which the chart completes"
    return ""


def _versioned(scalars: Scalars, stem: str, versions: Mapping[str, str], within: str) -> Mention | None:
    """Return the image of the keys `versions` (by tag, digest or version), which begin with `stem`.

    Its name is looked for under the keys that `_candidates` has for the stem; `hub` is the key of a registry of its own.
    A version without any name is a tag alone, where the keys around it say that it is of an image.
    """
    kind = next(kind for kind in ("tag", "version", "digest") if kind in versions)
    at = versions[kind]
    tag = scalars[at] if kind != "digest" else None
    digest = scalars[versions["digest"]] if "digest" in versions else None
    parts: tuple[tuple[Part, str], ...] = ((Part.TAG, at),) if tag else ()
    if held := versions.get("digest") or ("digest" if not stem and "digest" in scalars else ""):
        parts = (*parts, (Part.DIGEST, held))  # one that is written empty is there to be filled
    alone = Mention("tag-alone", scalars[at].value, None, parts, at, _ELSEWHERE)
    if within in _KUBEADM and stem == "image" and _filled(scalars, "imageRepository"):
        return alone._replace(why="kubeadm adds the name of the image to its repository")
    if stem in ("", "image") and (path := _filled(scalars, "imagePath")) is not None:
        registry = _first(scalars, ("imageRepository", *_REGISTRIES))
        text = _text(registry, path, tag, digest)
        reading = reference.read(text) if registry is not None else None
        return Mention("image-tag", text, reading, parts, at) if reading else alone
    hub = next((key for key in (*_REGISTRIES, *_spelled(stem, "registry")) if _filled(scalars, key)), None)
    names = [(key, word, name) for key, word in _candidates(stem) if (name := _filled(scalars, key)) is not None]
    for key, word, name in names:
        registry, whole = scalars[hub] if hub else None, name
        if registry is None and word == "name":  # `{repo: ghcr.io/acme, name: web}`
            registry = _first(scalars, _REPOSITORIES)
        short = _filled(scalars, "image") if hub is None and word == "repository" else None
        if short is not None and "/" not in short.value:  # `{repository: ghcr.io/acme, image: web}`
            registry, whole = name, short
        text = _text(registry, whole, tag, digest)
        reading = None if reference.read(whole.value) is None else reference.read(text)
        if key == at or reading is None or _has_version(whole.value):
            continue
        for row in forms.PAIRS:  # the value decides as much as the keys: `version` beside `image` may be a chart's
            if row.takes(word, kind, within) and reading.evidence >= row.shown:
                may_be_below = word == "repository" and not hub and forms.is_image_key(within)
                beside = _filled(scalars, "name") if may_be_below else None
                why = "" if reading.evidence >= row.sure else row.why
                if key == "image" and stem not in ("", "image"):
                    why = "its key has another name than that of the image beside it"
                why = why or _incomplete(key, whole.value, beside, hub)
                return Mention(row.code, text, reading, parts if registry else ((Part.NAME, key), *parts), at, why)
    texts = [name.value for _, word, name in names if word != "name"]
    is_alone = kind != "version" and not any(map(_has_version, texts))
    is_image = hub or forms.is_image_key(within) or forms.is_image_key(stem) or any("{{" in text for text in texts)
    return alone if is_alone and is_image and not any(sign in scalars[at].value for sign in ("{{", "$")) else None


def _first(scalars: Scalars, keys: Iterable[str]) -> yaml.ScalarNode | None:
    return next((node for key in keys if (node := _filled(scalars, key)) is not None), None)


def _has_version(text: str) -> bool:
    reading = reference.read(text)
    return reading is not None and reading.evidence >= Evidence.VERSION


def _text(
    registry: yaml.ScalarNode | None, name: yaml.ScalarNode, tag: yaml.ScalarNode | None, digest: yaml.ScalarNode | None
) -> str:
    head = f"{registry.value.rstrip('/')}/{name.value}" if registry else name.value
    pin = re.sub(r"^[0-9a-f]{64}$", r"sha256:\g<0>", digest.value) if digest else ""
    return head + version_suffix(tag.value if tag else None, pin)


def entry(scalars: Scalars) -> tuple[str, str, str] | None:
    """Read a mapping that names its value, such as `{name: WEB_IMAGE, value: ...}`: the name, what it is in, and the key."""
    key = "value" if "value" in scalars else "default" if "default" in scalars else None
    if key is None:
        return None
    pointed = pointer(scalars)
    if pointed and key == "value":
        return (*pointed, key)
    name = scalars.get("name") or scalars.get("variable")
    if name is None or not isinstance(name.value, str):
        return None
    head, _, last = name.value.rpartition(".")
    return last, head.rpartition(".")[2], key


def pointer(entries: Mapping[str, yaml.Node]) -> tuple[str, str] | None:
    """Return the last two names of the path of a JSON 6902 operation or an assertion; None for any other mapping."""
    path = entries.get("path")
    if not isinstance(path, yaml.ScalarNode) or not ("op" in entries or "." in path.value):
        return None
    is_pointer = path.value.startswith("/")
    if is_pointer != ("op" in entries):
        return None
    if is_pointer:
        names = [reference_token(name) for name in path.value.split("/")[1:]]
    else:
        names = re.sub(r"\[\d*\]", "", path.value).split(".")
    names = [name for name in names if name and name != "-" and not name.isdecimal()]
    return (names[-1], names[-2] if len(names) > 1 else "") if names else None


def of_parameters(items: Sequence[yaml.Node]) -> Iterator[Spelled]:
    """Yield the items of a list of `{name, value}` that belong together."""
    groups: dict[str, dict[str, tuple[int, str, yaml.ScalarNode]]] = {}
    for index, item in enumerate(items):
        entries = {str(key): value for key, value in children(item) if isinstance(value, yaml.ScalarNode)}
        named = entry(entries)
        path = _path(entries)
        if named and path:
            groups.setdefault(".".join(path[:-1]), {})[path[-1]] = index, named[2], entries[named[2]]
    for head, group in groups.items():
        if any(_stem(key) for key in group):
            steps: dict[str, tuple[Step, ...]] = {key: (index, last) for key, (index, last, _) in group.items()}
            yield Spelled({key: node for key, (_, _, node) in group.items()}, head.rpartition(".")[2], steps)


def _path(entries: Scalars) -> Sequence[str]:
    path = entries.get("path")
    if path is not None and "op" in entries:
        return [name for name in str(path.value).split("/") if name]
    name = entries.get("name") or entries.get("variable")
    return str(name.value).split(".") if name is not None else ()
