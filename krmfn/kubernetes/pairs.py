"""Images that one mapping spells in several scalars: `{registry, repository, tag, digest}` and their kin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import yaml

from krmfn.kubernetes import forms, reference
from krmfn.kubernetes.reference import Evidence, Reading
from krmfn.model import Part
from krmfn.yamledit.nodes import children

Scalars = Mapping[str, yaml.ScalarNode]


class Found(NamedTuple):
    """An image: the row's code, its text and reading, the scalars with their parts and keys, and what speaks against it."""

    code: str
    text: str
    reading: Reading | None
    parts: tuple[tuple[Part, yaml.ScalarNode], ...]
    keys: Mapping[int, str]
    at: yaml.ScalarNode
    why: str = ""


_VERSION = re.compile(r"(.*?)[_.-]?(tag|Tag|TAG|digest|Digest|DIGEST|sha256|version|Version|VERSION)").fullmatch
_NAMES = {"repository": ("repository", "repo"), "image": ("image", ""), "name": ("name",)}


@lru_cache(2048)
def _stem(key: str) -> tuple[str, str] | None:
    """Split a key such as `webImageTag` into `webImage` and `tag`; None for a key that holds no version."""
    found = _VERSION(key)
    if found is None or found[1] in ("new", "app", "api", "chart", "target", "kubernetes", "min", "max"):
        return None
    what = found[2].lower()
    return found[1], "digest" if what == "sha256" else what


@lru_cache(2048)
def _candidates(stem: str) -> tuple[tuple[str, str], ...]:
    """Return the keys that may hold the name beside a version with this stem, best first, each with its kind."""
    bare = re.sub(r"[_.-]?(?:image|Image|IMAGE)$", "", stem)
    found: list[tuple[str, str]] = []
    for head in dict.fromkeys((stem, bare)):
        for kind, words in _NAMES.items():
            for word in words:
                found += [(key, kind) for key in _spelled(head, word)]
            if kind == "repository":
                found += [(key, kind) for key in _spelled(head, "imageRepository")]
            if kind == "image":
                found += [(key, kind) for key in _spelled(head, "imageName")]
    is_own = stem == "" or forms.is_image_key(stem)
    return tuple((key, kind) for key, kind in dict.fromkeys(found) if key and (kind != "name" or stem == "" or is_own))


def _spelled(head: str, word: str) -> Iterator[str]:
    if not head or not word:
        yield head or word
        return
    compound = word[:1].upper() + word[1:]
    yield from (head + compound, f"{head}_{word}", f"{head}-{word}", f"{head}_{word.upper()}")


def of_paths(scalars: Scalars) -> Iterator[tuple[Scalars, str, str]]:
    """Yield the mappings that keys with dots spell, such as `web.image.tag`: scalars, the key that each stands in, its path."""
    heads: dict[str, dict[str, yaml.ScalarNode]] = {}
    for key, node in scalars.items():
        head, dot, last = key.rpartition(".")
        if dot and last:
            heads.setdefault(head, {})[last] = node
    for head, entries in heads.items():
        if any(_stem(key) for key in entries):
            yield entries, head.rpartition(".")[2], head


def of_mapping(scalars: Scalars, within: str) -> Iterator[Found]:
    """Yield the images of one mapping, which stands under the key `within`."""
    if found := _kustomized(scalars, within):
        yield found
        return
    stems: dict[str, dict[str, str]] = {}
    for key, node in scalars.items():
        if (split := _stem(key)) and node.value:
            stems.setdefault(split[0], {}).setdefault(split[1], key)
    for stem, versions in stems.items():
        if found := _versioned(scalars, stem, versions, within):
            yield found


def _kustomized(scalars: Scalars, within: str) -> Found | None:
    """Read an `images` entry of a kustomization."""
    name = scalars.get("name")
    tag, digest, new = (_filled(scalars, key) for key in ("newTag", "digest", "newName"))
    if name is None or not name.value or not (tag or new or (digest and within == "images")):
        return None
    spelled = new or name
    parts = [(Part.NAME, new), (Part.TAG, tag), (Part.DIGEST, digest)]
    keys = {id(node): key for key, node in scalars.items()}
    text = spelled.value + (f":{tag.value}" if tag else "") + (f"@{digest.value}" if digest else "")
    return Found(
        "kustomize-images", text, reference.read(text), tuple((part, node) for part, node in parts if node), keys,
        tag or digest or spelled, "" if tag or digest else "it changes the name alone",
    )  # fmt: skip


def _filled(scalars: Scalars, key: str) -> yaml.ScalarNode | None:
    node = scalars.get(key)
    return node if node is not None and node.value else None


def _versioned(scalars: Scalars, stem: str, versions: Mapping[str, str], within: str) -> Found | None:
    tag, digest = scalars.get(versions.get("tag", "")), scalars.get(versions.get("digest", ""))
    kind = "tag"
    if tag is None and "version" in versions:
        tag, kind = scalars[versions["version"]], "version"
    at = tag or digest
    if at is None:
        return None
    keys = {id(node): key for key, node in scalars.items()}
    versioned = tuple((part, node) for part, node in ((Part.TAG, tag), (Part.DIGEST, digest)) if node)
    if digest is None and not stem and "digest" in scalars:
        versioned = (*versioned, (Part.DIGEST, scalars["digest"]))  # written empty, and there to be filled
    for key, named in _candidates(stem):
        name = _filled(scalars, key)
        if name is None or name is at:
            continue
        registry = next(
            (
                node
                for one in ("registry", "imageRegistry", *_spelled(stem, "registry"))
                if (node := _filled(scalars, one))
            ),
            None,
        )
        short = _filled(scalars, "image") if registry is None and named == "repository" else None
        if short is not None and "/" not in short.value:
            registry, name = name, short
        text = _text(registry, name, tag, digest)
        reading = None if reference.read(name.value) is None else reference.read(text)
        if reading is None or _has_version(name.value):
            continue
        for row in forms.pair(named, kind, within):
            if reading.evidence >= row.shown:
                parts = versioned if registry else ((Part.NAME, name), *versioned)
                why = "" if reading.evidence >= row.sure else row.why
                return Found(row.code, text, reading, parts, keys, at, why)
    names = (_filled(scalars, key) for key, _ in _candidates(stem))
    has_whole = any(name is not None and _has_version(name.value) for name in names)
    if (
        kind == "tag"
        and not has_whole
        and (forms.is_image_key(within) or forms.is_image_key(stem))
        and "{{" not in at.value
    ):
        why = "the repository is named elsewhere, by the chart or another file"
        return Found("tag-alone", at.value, None, versioned, keys, at, why)
    return None


def _has_version(text: str) -> bool:
    seen = reference.read(text)
    return seen is not None and seen.evidence >= Evidence.VERSION


def _text(
    registry: yaml.ScalarNode | None, name: yaml.ScalarNode, tag: yaml.ScalarNode | None, digest: yaml.ScalarNode | None
) -> str:
    head = f"{registry.value.rstrip('/')}/{name.value}" if registry else name.value
    return head + (f":{tag.value}" if tag else "") + (f"@{digest.value}" if digest else "")


def entry(scalars: Scalars) -> tuple[str, str, str] | None:
    """Read a mapping that names its value, such as `{name: WEB_IMAGE, value: ...}`: the name, what it is in, and the key."""
    pointed = pointer(scalars)
    if pointed and "value" in scalars:
        return (*pointed, "value")
    name = scalars.get("name")
    key = next((key for key in ("value", "default") if key in scalars), None)
    if name is None or key is None or not isinstance(name.value, str):
        return None
    head, _, last = name.value.rpartition(".")
    return last, head.rpartition(".")[2], key


def pointer(entries: Mapping[str, yaml.Node]) -> tuple[str, str] | None:
    """Return the last two names of the path of a JSON 6902 operation; None for any other mapping."""
    path = entries.get("path")
    if "op" not in entries or not isinstance(path, yaml.ScalarNode) or not str(path.value).startswith("/"):
        return None
    names = [name.replace("~1", "/").replace("~0", "~") for name in str(path.value).split("/") if not name.isdecimal()]
    names = [name for name in names if name != "-"]
    return names[-1], names[-2] if len(names) > 1 else ""


def of_parameters(items: Iterable[yaml.Node]) -> Iterator[tuple[Scalars, str]]:
    """Yield the items of a list of `{name, value}` that belong together, as a mapping, and the key it would stand in."""
    groups: dict[str, dict[str, yaml.ScalarNode]] = {}
    for item in items:
        entries = {str(key): value for key, value in children(item) if isinstance(value, yaml.ScalarNode)}
        named = entry(entries)
        path = _path(entries)
        if named and path:
            groups.setdefault(".".join(path[:-1]), {})[path[-1]] = entries[named[2]]
    for group, scalars in groups.items():
        if any(_stem(key) for key in scalars):
            yield scalars, group.rpartition(".")[2]


def _path(entries: Scalars) -> Sequence[str]:
    path = entries.get("path")
    if path is not None and "op" in entries:
        return [name for name in str(path.value).split("/") if name]
    name = entries.get("name")
    return str(name.value).split(".") if name is not None else ()
