"""`images` of a kustomization: what kustomize's transformer makes of an image (api/filters/imagetag, internal/image).

The name of an entry is a regular expression there that must match the whole name as it is written: `nginx` is not
`docker.io/library/nginx`. A new tag or digest replaces tag and digest; a new name alone leaves both.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from krmfn.kubernetes.kustomize.expressions import matcher
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, items_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONTAINERS = ("containers", "initContainers")
_VOLUMES = (("spec", "volumes"), ("spec", "template", "spec", "volumes"))
_version = re.compile(r"(?::[a-zA-Z0-9_.{}-]*)?(?:@sha256:[a-zA-Z0-9_.{}-]*)?\Z", re.ASCII)


class Entry(NamedTuple):
    """One entry of `images`. Parts that are not set are None; an empty text is not set either."""

    name: str
    new_name: Leaf | None = None
    new_tag: Leaf | None = None
    digest: Leaf | None = None
    suffix: Leaf | None = None

    @property
    def version(self) -> tuple[Leaf, ...]:
        """The leaves that decide about the version; none when the entry leaves it, or most of it, alone."""
        return tuple(leaf for leaf in (self.new_tag, self.digest) if leaf)


def entries(tree: Tree | None) -> list[Entry]:
    """Return the entries of a list `images`."""
    parts = ("newName", "newTag", "digest", "tagSuffix")
    return [
        Entry(name, *(_set(get(one, part)) for part in parts))
        for one in items_of(tree)
        if (name := text_of(one, "name"))
    ]


def argo_entry(leaf: Leaf) -> Entry | None:
    """Return the entry that an image of an Argo CD Application stands for: `[old=]name[:tag][@digest]`."""
    old, equals, new = leaf.text.partition("=")
    name, tag, digest = split(new if equals else old)
    new_name = Leaf(name, leaf.spots) if equals and name != old else None
    entry = Entry(
        old if equals else name, new_name,
        Leaf(tag, leaf.spots) if tag else None, Leaf(digest, leaf.spots) if digest else None,
    )  # fmt: skip
    return entry if entry.name else None


def _set(tree: Tree | None) -> Leaf | None:
    return tree if isinstance(tree, Leaf) and tree.text and not tree.is_null else None


def split(text: str) -> tuple[str, str, str]:
    """Split an image as kustomize does: name, tag, digest.

    >>> split("localhost:5000/a/b:1@sha256:0"), split("a@sha256:0")
    (('localhost:5000/a/b', '1', 'sha256:0'), ('a', '', 'sha256:0'))
    """
    slash = max(text.find("/"), 0)
    at, colon = text.find("@", slash), text.find(":", slash)
    if at >= 0 and (colon < 0 or at < colon):
        return text[:at], "", text[at:].removeprefix("@")
    if colon < 0:
        return text, "", ""
    end = at if at >= 0 else len(text)
    return text[:colon], text[colon + 1 : end], text[end:].removeprefix("@")


def is_matched(text: str, name: str) -> bool:
    """True if an entry of this name is about the image.

    >>> is_matched("nginx:1.2", "nginx"), is_matched("docker.io/library/nginx", "nginx"), is_matched("abc:1", "a.c")
    (True, False, True)
    """
    bare = _bare(text)
    return matcher(name)(bare) or (bare != text and matcher(name)(text))


@lru_cache(100)
def _bare(text: str) -> str:
    """Return an image without tag and digest; one text after the other is held against many entries."""
    version = _version.search(text)
    return text[: version.start()] if version else text


def retagged(image: Leaf, entry: Entry, log: Log) -> Leaf:
    """Return an image as an entry changes it."""
    if not is_matched(image.text, entry.name):
        return image
    name, tag, digest = split(image.text)
    name = entry.new_name.text if entry.new_name else name
    if entry.version:
        tag = entry.new_tag.text if entry.new_tag else ""
        digest = entry.digest.text if entry.digest else ""
    elif entry.suffix:
        tag, digest = tag + entry.suffix.text, ""
    spots = tuple(spot for leaf in entry.version for spot in leaf.spots)
    made = Leaf(name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else ""), spots or image.spots)
    if spots:
        log.replaced(image, made)
    if entry.new_name:
        for spot in made.spots:
            log.named.setdefault(spot, set()).add(made.text)
    return made


def transformed(tree: Tree, entries: Sequence[Entry], log: Log) -> Tree:
    """Return a resource as entries change its images, one after the other."""
    tree = _containers(tree, entries, log)
    for steps in _VOLUMES:
        if isinstance(get(tree, *steps), list):
            tree = _below(tree, steps, entries, log)
    return tree


def _containers(tree: Tree, entries: Sequence[Entry], log: Log) -> Tree:
    """Change the images of everything that is called like a list of containers, at any depth."""
    if isinstance(tree, list):
        members = [_containers(one, entries, log) for one in tree]
        return members if any(new is not old for new, old in zip(members, tree, strict=True)) else tree
    if not isinstance(tree, dict):
        return tree
    changed = {}
    for key, value in tree.items():
        made = _containers(value, entries, log)
        if key in _CONTAINERS and isinstance(made, list):
            made = [_with(one, "image", entries, log) for one in made]
        if made is not value:
            changed[key] = made
    return tree | changed if changed else tree


def _below(tree: Tree, steps: tuple[str, ...], entries: Sequence[Entry], log: Log) -> Tree:
    """Change the references of the image volumes at keys below a resource."""
    if isinstance(tree, list):
        return [
            one | {"image": _with(one["image"], "reference", entries, log)}
            if isinstance(one, dict) and "image" in one
            else one
            for one in tree
        ]
    if not isinstance(tree, dict) or not steps or steps[0] not in tree:
        return tree
    return tree | {steps[0]: _below(tree[steps[0]], steps[1:], entries, log)}


def _with(tree: Tree, key: str, entries: Sequence[Entry], log: Log) -> Tree:
    image = get(tree, key)
    if not isinstance(tree, dict) or not isinstance(image, Leaf):
        return tree
    leaf = image
    for entry in entries:
        leaf = retagged(leaf, entry, log)
    return tree if leaf is image else tree | {key: leaf}
