"""Patches on trees: strategic merges as kyaml makes them (kyaml/yaml/merge2), and operations of RFC 6902.

Lists of built-in kinds that merge by a key put the patch's members first; lists of other kinds are replaced.
"""

from __future__ import annotations

from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, leaves, text_of
from krmfn.yamledit.nodes import reference_token

_BUILT_IN = {
    "v1": {"Pod", "PodTemplate", "ReplicationController"},
    "apps/v1": {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ControllerRevision"},
    "batch/v1": {"Job", "CronJob"},
}
_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "volumeMounts": "mountPath", "volumeDevices": "devicePath", "ports": "containerPort", "imagePullSecrets": "name",
    "hostAliases": "ip",
}  # fmt: skip
"""The lists of a pod that merge, and by which key (Kubernetes' OpenAPI, x-kubernetes-patch-merge-key)."""


def is_built_in(tree: Tree) -> bool:
    """True for the kinds whose lists kustomize merges by their keys."""
    return text_of(tree, "kind") in _BUILT_IN.get(text_of(tree, "apiVersion"), ())


def merged(old: Tree, patch: Tree, log: Log, *, is_known: bool) -> Tree | None:
    """Return a tree with a strategic merge patch applied; None when the patch removes it."""
    if not isinstance(patch, dict):
        return patch
    directive = get(patch, "$patch")
    if isinstance(directive, Leaf) and directive.text == "delete":
        log.replaced(old, directive)
        return None
    patch = {key: value for key, value in patch.items() if not key.startswith("$")}
    if not isinstance(old, dict) or (isinstance(directive, Leaf) and directive.text == "replace"):
        log.replaced(old, directive if isinstance(directive, Leaf) else _first(patch))
        return _without_nulls(patch)
    fields = dict(old)
    for key, value in patch.items():
        before = fields.pop(key, None)
        if isinstance(value, Leaf) and value.is_null:
            log.replaced(before, value)
        elif (after := _member(before, key, value, log, is_known=is_known)) is not None:
            fields[key] = after
    return fields


def _member(old: Tree | None, key: str, patch: Tree, log: Log, *, is_known: bool) -> Tree | None:
    """Return the value of a key after the patch."""
    if old is None:
        return _without_nulls(patch)
    if isinstance(patch, dict) and isinstance(old, dict):
        return merged(old, patch, log, is_known=is_known)
    if isinstance(patch, list) and isinstance(old, list) and is_known and key in _KEYS:
        return _by_key(old, patch, _KEYS[key], log)
    log.replaced(old, _first(patch))
    return _without_nulls(patch)


def _by_key(old: list[Tree], patch: list[Tree], key: str, log: Log) -> list[Tree]:
    """Merge two lists: the patch's members first, in its order, then what it does not name."""
    rest = list(old)
    items: list[Tree] = []
    # kyaml walks the patch's list first: its members lead, in its order, those that are new and those that are not.
    for member in patch:
        directive = text_of(member, "$patch")
        if directive == "replace":
            log.replaced([*rest, *items], _first(member))
            return [each for each in map(_without_nulls, patch) if text_of(each, "$patch") != "replace"]
        name = text_of(member, key)
        same = next((each for each in rest if text_of(each, key) == name), None)
        if same is not None:
            rest = [each for each in rest if each is not same]
            changed = merged(same, member, log, is_known=True)
            items += [changed] if changed is not None else []
        elif directive != "delete":
            items.append(_without_nulls(member))
    return items + rest


def _first(tree: Tree) -> Leaf:
    """Return a leaf that stands for a whole tree in what replaced what."""
    return next((leaf for leaf in reversed([*leaves(tree)]) if leaf.spots), Leaf(""))


def _without_nulls(tree: Tree) -> Tree:
    if isinstance(tree, list):
        return [_without_nulls(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    return {key: _without_nulls(one) for key, one in tree.items() if not (isinstance(one, Leaf) and one.is_null)}


def operated(tree: Tree, operations: list[Tree], log: Log) -> Tree:
    """Return a tree after operations of RFC 6902. One that cannot be followed ends the patch there."""
    for operation in operations:
        steps = [reference_token(part) for part in text_of(operation, "path").split("/")[1:]]
        kind, value = text_of(operation, "op"), get(operation, "value")
        if kind not in ("add", "replace", "remove") or not steps or (kind != "remove" and value is None):
            if kind == "test":
                continue
            return tree
        by = value if value is not None else get(operation, "path")
        patched = _operated(tree, steps, kind, value, by, log)
        if patched is None:
            return tree
        tree = patched
    return tree


def _operated(
    tree: Tree | None, steps: list[str], kind: str, value: Tree | None, by: Tree | None, log: Log
) -> Tree | None:
    step, rest = steps[0], steps[1:]
    if isinstance(tree, dict):
        if rest:
            inside = _operated(tree.get(step), rest, kind, value, by, log)
            return None if inside is None else tree | {step: inside}
        if kind != "add" and step not in tree:
            return None
        log.replaced(tree.get(step), _first(by or Leaf("")))
        left = {key: one for key, one in tree.items() if key != step or kind != "remove"}
        return left if value is None else left | {step: value}
    if not isinstance(tree, list):
        return None
    if step == "-" and kind == "add" and not rest and value is not None:
        return [*tree, value]
    if not step.isdecimal() or int(step) > len(tree) - (kind != "add" or bool(rest)):
        return None
    at = int(step)
    if rest:
        inside = _operated(tree[at], rest, kind, value, by, log)
        return None if inside is None else [*tree[:at], inside, *tree[at + 1 :]]
    if kind != "add":
        log.replaced(tree[at], _first(by or Leaf("")))
    return [*tree[:at], *([] if value is None else [value]), *tree[at + (kind != "add") :]]
