"""`images` of a kustomization: what kustomize's transformer makes of an image (api/filters/imagetag, internal/image).

The name of an entry is a regular expression there that must match the whole name as it is written: `nginx` is not
`docker.io/library/nginx`. A new tag or digest replaces tag and digest; a new name alone leaves both.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from krmfn.image import version_suffix
from krmfn.kubernetes.kustomize.expressions import matcher
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, changed, get, items_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        Entry(name, *(_set(get(entry, part)) for part in parts))
        for entry in items_of(tree)
        if (name := text_of(entry, "name"))
    ]


def argo_entry(leaf: Leaf) -> Entry | None:
    """Return the entry that an image of an Argo CD Application stands for: `[old=]name[:tag][@digest]`."""
    old, equals, new = leaf.text.partition("=")
    name, tag, digest = split(new if equals else old)
    parts = (name if equals and name != old else None, tag or None, digest or None)
    entry = Entry(old if equals else name, *(None if text is None else Leaf(text, leaf.spots) for text in parts))
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
    new = Leaf(name + version_suffix(tag, digest), spots or image.spots)
    if spots:
        log.replaced(image, new)
    if entry.new_name:
        for spot in new.spots:
            log.named.setdefault(spot, set()).add(new.text)
    return new


def transformed(tree: Tree, entries: Sequence[Entry], log: Log) -> Tree:
    """Return a resource as entries change its images, one after the other."""

    def retag(leaf: Leaf) -> Leaf:
        for entry in entries:
            leaf = retagged(leaf, entry, log)
        return leaf

    # kustomize looks for containers anywhere, by their key alone, and for image volumes where workloads have them.
    tree = _containers(tree, retag)
    for steps in _VOLUMES:
        if isinstance(get(tree, *steps), list):
            tree = changed(tree, [*steps, "*", "image", "reference"], retag)
    return tree


def _containers(tree: Tree, retag: Callable[[Leaf], Leaf]) -> Tree:
    """Change the images of everything that is called like a list of containers, at any depth."""
    if isinstance(tree, list):
        members = [_containers(member, retag) for member in tree]
        return members if any(new is not old for new, old in zip(members, tree, strict=True)) else tree
    if not isinstance(tree, dict):
        return tree
    changes = {}
    for key, value in tree.items():
        new = _containers(value, retag)
        if key in _CONTAINERS and isinstance(new, list):
            new = changed(new, ["*", "image"], retag)
        if new is not value:
            changes[key] = new
    return tree | changes if changes else tree
