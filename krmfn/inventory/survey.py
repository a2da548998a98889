"""*survey*: every image that manifests name, markers or not. Looks only; asks nobody.

An image stands in an `image` field (containers, image volumes, unknown kinds of the same shape), in an `images` entry
of a kustomization, in a mapping `image: {repository, tag}` as Helm values have it, or behind a marker for whole images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import yaml

from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.model import File
from krmfn.resources.resource import Resource, describe, get, image_fields, is_image_shaped, scalars_of
from krmfn.text import markers
from krmfn.text.yamltext import Block, children, join_path, scalar_at

_STEPS = tuple[str | int, ...]


class Place(NamedTuple):
    """Where an image is named: the file with line and column, the field, and whose field it is."""

    file: File
    field: str
    resource: str


class Named(NamedTuple):
    """One image at one place."""

    ref: ImageRef
    place: Place


class Unread(NamedTuple):
    """A field that should hold an image and does not, with the reason; a template expression for example."""

    text: str
    why: str
    place: Place


class Inventory(NamedTuple):
    """All images in the order of the files, and the fields that hold none."""

    named: tuple[Named, ...]
    unread: tuple[Unread, ...]


class _Found(NamedTuple):
    text: str
    start: int
    field: str


def survey(blocks: Iterable[Block]) -> Inventory:
    """Find the images. A name that a kustomization replaces counts where the kustomization names it."""
    named: list[Named] = []
    unread: list[Unread] = []
    replaced: set[str] = set()
    for block in blocks:
        seen: set[int] = set()
        for resource in describe(block):
            replaced |= _replaced(resource)
            for found in _in(resource, block):
                if found.text and found.start not in seen:
                    seen.add(found.start)
                    _sort(found, resource, named, unread)
    return Inventory(tuple(one for one in named if one.ref.name not in replaced or _has_version(one)), tuple(unread))


def _sort(found: _Found, resource: Resource, named: list[Named], unread: list[Unread]) -> None:
    file = resource.place(found.start) or File("stdin")
    place = Place(file, found.field, str(resource.id))
    try:
        named.append(Named(ImageRef.parse(found.text), place))
    except RuleError as error:
        unread.append(Unread(found.text, str(error), place))


def _has_version(named: Named) -> bool:
    return named.place.field.startswith("images[")


def _in(resource: Resource, block: Block) -> Iterator[_Found]:
    if resource.id.kind == "CustomResourceDefinition":
        return
    yield from _kustomized(resource)
    if is_image_shaped(resource):
        yield from _in_fields(resource)
        yield from _in_values(resource, resource.root, resource.prefix)
    if b"imagepolicy" in block.raw and not resource.prefix:
        yield from _marked(block)


def _in_fields(resource: Resource) -> Iterator[_Found]:
    for steps, node, _, is_definite, _ in image_fields(resource.root):
        if not isinstance(node, yaml.ScalarNode):
            continue
        if is_definite or "/" in node.value or ":" in node.value or resource.id == ("", "", "", ""):
            yield _found(resource, node.value, node, join_path((*resource.prefix, *steps)))


def _found(resource: Resource, text: str, node: yaml.Node, field: str) -> _Found:
    return _Found(text, scalar_at(resource.block, node, field).start, field)


def _in_values(resource: Resource, node: yaml.Node, path: _STEPS) -> Iterator[_Found]:
    """Find `image: {registry, repository, tag, digest}`."""
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _in_values(resource, child, (*path, index))
    elif isinstance(node, yaml.MappingNode):
        for key, child in children(node):
            parts = scalars_of(child) if str(key).lower().endswith("image") else {}
            if parts.get("repository") and (parts.get("tag") or parts.get("digest")):
                named = get(child, "tag") if parts.get("tag") else get(child, "digest")
                if named is not None:
                    yield _found(resource, _joined(parts), named, join_path((*path, key)))
            elif not isinstance(child, yaml.ScalarNode):
                yield from _in_values(resource, child, (*path, key))


def _joined(parts: dict[str, str]) -> str:
    registry = parts.get("registry", "") or parts.get("imageRegistry", "")
    name = f"{registry}/{parts['repository']}" if registry else parts["repository"]
    tag, digest = parts.get("tag", ""), parts.get("digest", "")
    return name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def _entries(resource: Resource) -> Iterator[tuple[int, yaml.Node, dict[str, str]]]:
    images = get(resource.root, "images")
    group = resource.id.api_version.partition("/")[0]
    is_kustomization = group == "kustomize.config.k8s.io" or (not resource.id.kind and _is_named_so(resource))
    if is_kustomization and isinstance(images, yaml.SequenceNode):
        for index, node in enumerate(images.value):
            parts = scalars_of(node)
            if parts.get("name") and (parts.get("newTag") or parts.get("newName") or parts.get("digest")):
                yield index, node, parts


def _is_named_so(resource: Resource) -> bool:
    name = resource.file.path.rpartition("/")[2] if resource.file else ""
    return name in ("kustomization.yaml", "kustomization.yml", "Kustomization")


def _kustomized(resource: Resource) -> Iterator[_Found]:
    for index, node, parts in _entries(resource):
        tag, digest = parts.get("newTag", ""), parts.get("digest", "")
        name = parts.get("newName") or parts["name"]
        text = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
        place = next(
            one
            for key in ("newTag", "digest", "newName", "name")
            if (one := get(node, key)) is not None and parts.get(key)
        )
        yield _found(resource, text, place, f"images[{index}]")


def _replaced(resource: Resource) -> set[str]:
    return {parts["name"] for _, _, parts in _entries(resource)}


def _marked(block: Block) -> Iterator[_Found]:
    for marker in markers.read(block):
        text = marker.scalar.value
        if marker.setter.count(":") == 1 and ("/" in text or ":" in text):
            yield _Found(text, marker.scalar.start, marker.scalar.path)
