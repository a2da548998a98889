"""A resource on its way through kustomizations: its tree, and every name that it has had."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from krmfn.kubernetes.kustomize.expressions import matcher
from krmfn.kubernetes.kustomize.images import transformed
from krmfn.kubernetes.kustomize.patches import is_built_in, merged, operated
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, changed, get, items_of, text_of
from krmfn.kubernetes.kustomize.values import Variable, replaced, source_value, steps_of, value_at, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from krmfn.kubernetes.kustomize.overlay import Generated, Overlay, Patch


class Id(NamedTuple):
    """What selectors look at."""

    group: str
    version: str
    kind: str
    name: str
    namespace: str


class Item(NamedTuple):
    """A resource and its ids, the original one first, the current one last."""

    tree: Tree
    ids: tuple[Id, ...]


def item(tree: Tree) -> Item:
    """Make the item of a resource as it stands in its file."""
    group, slash, version = text_of(tree, "apiVersion").rpartition("/")
    name, namespace = text_of(tree, "metadata", "name"), text_of(tree, "metadata", "namespace")
    return Item(tree, (Id(group if slash else "", version, text_of(tree, "kind"), name, namespace),))


def changed_by(items: list[Item], overlay: Overlay, log: Log) -> list[Item]:
    """Return resources as the transformers of a kustomization leave them, in kustomize's order."""
    # The order is that of api/internal/target/kusttarget_configplugin.go: patches see the names of the base, operations
    # of patchesJson6902 the new ones; images come after all patches, so that an entry changes what a patch has written.
    for patch in overlay.patches:
        items = _patched(items, patch, log)
    items = [_renamed(resource, overlay) for resource in items]
    for patch in overlay.operations:
        items = _patched(items, patch, log)
    if overlay.images:
        items = [resource._replace(tree=transformed(resource.tree, overlay.images, log)) for resource in items]
    for replacement in overlay.replacements:
        items = _with_copies(items, replacement, log)
    return items


def _renamed(resource: Item, overlay: Overlay) -> Item:
    current = resource.ids[-1]
    new = current._replace(
        name=overlay.prefix + current.name + overlay.suffix, namespace=overlay.namespace or current.namespace
    )
    return resource if new == current else Item(resource.tree, (*resource.ids, new))


def _patched(items: list[Item], patch: Patch, log: Log) -> list[Item]:
    for document in patch.documents:
        patched = []
        for resource in items:
            tree: Tree | None = resource.tree
            if _is_selected(resource, patch.target) if patch.target is not None else _is_same(resource, document):
                if isinstance(document, list):
                    tree = operated(resource.tree, document, log)
                else:
                    tree = merged(resource.tree, _anonymous(document), log, is_known=is_built_in(resource.tree))
            if tree is not None:
                patched.append(resource._replace(tree=tree))
        items = patched
    return items


def _anonymous(document: Tree) -> Tree:
    """Return a patch without what only says what it is for."""
    if not isinstance(document, dict):
        return document
    metadata = get(document, "metadata")
    rest = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
    if isinstance(metadata, dict):
        rest["metadata"] = {key: value for key, value in metadata.items() if key not in ("name", "namespace")}
    return rest


def _is_same(resource: Item, document: Tree) -> bool:
    wanted = item(document).ids[0]
    return any(
        own._replace(namespace=own.namespace or "default") == wanted._replace(namespace=wanted.namespace or "default")
        for own in resource.ids
    )


def _is_selected(resource: Item, target: Tree | None) -> bool:
    """True if a selector, whose texts are expressions, is about an item under one of its names."""
    for part in Id._fields:
        wanted, default = text_of(target, part), "default" if part == "namespace" else ""
        if wanted and not any(matcher(wanted)(getattr(own, part) or default) for own in resource.ids):
            return False
    return all(
        _has_labels(get(resource.tree, "metadata", where), text_of(target, selector))
        for where, selector in (("labels", "labelSelector"), ("annotations", "annotationSelector"))
    )


def _has_labels(labels: Tree | None, selector: str) -> bool:
    """True if all `key=value` of a selector hold; other forms are not told, and select nothing."""
    for term in selector.split(",") if selector else ():
        key, equals, value = term.replace("==", "=").partition("=")
        if not equals or "!" in key or text_of(labels, key.strip()) != value.strip():
            return False
    return True


def _with_copies(items: list[Item], replacement: Tree, log: Log) -> list[Item]:
    """Apply one replacement; without its one source nothing is told."""
    value = _source(items, replacement)
    if value is None:
        return items
    for target in items_of(replacement, "targets"):
        options, rejects = get(target, "options"), items_of(target, "reject")
        if text_of(options, "encoding"):
            continue
        paths = [one.text for one in items_of(target, "fieldPaths") if isinstance(one, Leaf)] or ["metadata.name"]
        items = [
            one
            if not _is_selected(one, get(target, "select")) or any(_is_selected(one, each) for each in rejects)
            else one._replace(tree=_copied(one.tree, paths, value, options, log))
            for one in items
        ]
    return items


def _source(items: list[Item], replacement: Tree) -> Leaf | None:
    source, literal = get(replacement, "source"), get(replacement, "sourceValue")
    if isinstance(literal, Leaf):
        return literal
    value = value_of(items, source, text_of(source, "fieldPath") or "metadata.name")
    return None if value is None else source_value(value, get(source, "options"))


def value_of(items: list[Item], source: Tree | None, path: str) -> Leaf | None:
    """Return the field of the one resource that a source selects; None without exactly one."""
    wanted = [(part, text) for part in Id._fields if (text := text_of(source, part))]
    selected = [
        one for one in items if all(any(getattr(own, part) == text for own in one.ids) for part, text in wanted)
    ]
    return value_at(selected[0].tree, path) if len(selected) == 1 else None


def resolved(items: list[Item], declared: list[Variable], log: Log) -> list[Item]:
    """Return what a root emits with its variables written."""
    looked_up = {one.name: value_of(items, one.source, one.path) for one in declared}
    values = {name: value for name, value in looked_up.items() if value is not None}
    return [one._replace(tree=written(one.tree, values, log)) for one in items] if values else items


def with_generated(items: list[Item], generated: Sequence[Generated], log: Log) -> list[Item]:
    """Return resources with what generators make; one that merges or replaces changes the resource of its name."""
    for generator in generated:
        renamed = item(dict(generator.tree))
        old = next((each for each in items if generator.behavior and _is_same(each, renamed.tree)), None)
        if old is None:
            items = [*items, renamed]
            continue
        before, data = get(old.tree, "data"), get(renamed.tree, "data")
        if isinstance(before, dict) and isinstance(data, dict) and isinstance(old.tree, dict):
            for key, leaf in data.items():
                log.replaced(before.get(key), leaf if isinstance(leaf, Leaf) else Leaf(""))
            merged_data: Tree = before | data if generator.behavior == "merge" else data
            items = [each._replace(tree=old.tree | {"data": merged_data}) if each is old else each for each in items]
    return items


def _copied(tree: Tree, paths: list[str], value: Leaf, options: Tree | None, log: Log) -> Tree:
    for path in paths:
        tree = changed(tree, steps_of(path), lambda old: replaced(old, value, options, log))
    return tree
