"""The text of TagSnapshot and ImageLock: written whole once, then edited entry by entry where it stands.

Tags, digests and hashes are always quoted: kustomize sends items through JSON, where a plain 1.10 becomes 1.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml

from krmfn.config.schema import API_VERSION
from krmfn.kubernetes.resource import describe, get
from krmfn.plan.entries import NUMBERS, Data, each, recorded, snapshot_data, typed
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.editor import Editor, find_key
from krmfn.yamledit.scalars import Refusal, is_string
from krmfn.yamledit.text import Edit
from krmfn.yamledit.writing import Value, block_lines
from krmfn.yamledit.yamltree import construct

if TYPE_CHECKING:
    from krmfn.config.lock import LockEntry
    from krmfn.config.objects import Object
    from krmfn.config.snapshot import Snapshot

Key = Callable[[Any], Any]


def lock_data(entry: LockEntry) -> dict[str, Any]:
    """Return an entry as the mapping that stands in an ImageLock."""
    data: dict[str, Any] = {"policy": str(entry.policy), "image": entry.image, "policyHash": entry.policy_hash}
    more = {
        "from": entry.from_tag,
        "tag": entry.tag,
        "digest": entry.digest,
        "since": entry.since,
        "written": list(entry.written),
        "rulesHash": entry.rules_hash,
        "verifiedBy": entry.verified_by,
        "verifiedAt": entry.verified_at,
        "passedOver": entry.passed_over,
        "listed": str(entry.listed or ""),
        "eligible": str(entry.eligible if entry.listed else ""),
    }
    return data | {name: value for name, value in more.items() if value}


def lock_document(entries: Sequence[LockEntry]) -> str:
    """Write an ImageLock of its own."""
    return _document("ImageLock", "images", {"images": [each(lock_data(entry), _quoted) for entry in entries]})


def snapshot_document(snapshot: Snapshot, name: str) -> str:
    """Write a TagSnapshot of its own."""
    if snapshot.time is not None:
        head = _document("TagSnapshot", name, {}).removesuffix("spec: {}\n")
        return head + "".join(f"{line}\n" for line in block_lines({"spec": recorded(snapshot)}, 0, dash=2))
    spec: dict[str, Any] = {"image": snapshot.image, "tags": [each(tag, _quoted) for tag in snapshot_data(snapshot)]}
    if snapshot.listed > len(snapshot.tags):
        spec["listed"] = snapshot.listed
    return _document("TagSnapshot", name, spec)


def _document(kind: str, name: str, spec: dict[str, Any]) -> str:
    from krmfn.yamledit.authored import document

    metadata = {"name": name, "annotations": {"config.kubernetes.io/local-config": "true"}}
    return document({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}, dash=2)


def _quoted(name: str, value: str | list[str]) -> object:
    """Return a value with every text in quotes but the image."""
    from krmfn.yamledit.authored import Quoted

    if name == "image":
        return value
    return Quoted(value) if isinstance(value, str) else [Quoted(one) for one in value]


def edit_lock(lock: Object, entries: Sequence[LockEntry]) -> tuple[Edit, ...] | Refusal:
    """Make the edits that turn the lock where it stands into one with these entries."""
    several = {str(policy) for policy, count in Counter(entry.policy for entry in entries).items() if count > 1}

    def key(data: Any) -> Any:
        policy, tag = data.get("policy", ""), data.get("from", "") or data.get("tag", "")
        return tuple(policy.split(":")), tag if policy in several or data.get("from") else ""

    return _Spec(lock).set("images", [lock_data(entry) for entry in entries], key)


def edit_snapshot(existing: Object, snapshot: Snapshot) -> tuple[Edit, ...] | Refusal:
    """Make the edits that turn the snapshot where it stands into this one."""
    from krmfn.policies.release import natural_key

    def key(data: Any) -> Any:
        name = data if isinstance(data, str) else data.get("name", "")
        return natural_key(name), name

    if snapshot.time is not None:
        return _Spec(existing).whole(snapshot)
    listed = snapshot.listed if snapshot.listed > len(snapshot.tags) else 0
    return _Spec(existing).set("tags", snapshot_data(snapshot), key, {"listed": listed})


class _Spec:
    """The spec of one object where it stands, and the edits that give it other entries."""

    def __init__(self, resource: Object) -> None:
        self.block, self.editor = resource.block, Editor(resource.block)
        root = next((one.root for one in describe(self.block) if one.id == resource.id), None)
        spec = get(root, "spec")
        self.spec = spec if isinstance(spec, yaml.MappingNode) and root is not None and not _has_alias(root) else None

    def set(
        self, name: str, wanted: Sequence[Data], key: Key, counts: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[Edit, ...] | Refusal:
        """Make the list `name` hold the wanted entries, and the numbers beside it what is counted; 0 drops one."""
        spec = self.spec
        if spec is None:
            return Refusal("it has no spec of its own, or uses anchors")
        pair = find_key(spec, name)
        if pair is None or isinstance(pair, Refusal):
            return pair or Refusal(f"its spec has no {name}: write {name}: []")
        if isinstance(pair[1], yaml.SequenceNode) and not pair[1].flow_style and pair[1].value:
            edits = self.entries(pair[1], wanted, key) if wanted else self.editor.empty(*pair)
        elif self.is_same(pair[1], wanted):
            return ()
        elif spec.flow_style:
            return self.flow(spec, name, wanted, counts)
        else:
            edits = self.editor.fill_empty(spec, *pair, [typed(entry) for entry in wanted])
        return edits and edits + self.counted(spec, pair[1], counts)

    def is_same(self, node: yaml.Node, wanted: Sequence[Data]) -> bool:
        there: Any = construct(node, self.block) or []
        return [_normal(entry) for entry in there] == list(wanted)

    def whole(self, snapshot: Snapshot) -> tuple[Edit, ...] | Refusal:
        """Write the spec of a snapshot that records first sightings anew, when anything of it is different."""
        if self.spec is None or self.spec.flow_style:
            return Refusal("it has no spec of its own in block style, or uses anchors")
        return self.editor.replace_keys(self.spec, recorded(snapshot))

    def flow(self, spec: yaml.MappingNode, name: str, wanted: Sequence[Data], counts: Mapping[str, int]) -> tuple[Edit, ...]:
        """Write a spec in flow style anew, as JSON."""
        import json

        there: Any = construct(spec, self.block)
        members = {key: value for key, value in there.items() if key not in counts}
        members[name] = [each(entry, lambda _, value: value) for entry in wanted]
        members |= {key: value for key, value in counts.items() if value}
        return (Edit(*self.block.span(spec), json.dumps(members, ensure_ascii=False).encode()),)

    def entries(self, sequence: yaml.SequenceNode, wanted: Sequence[Data], key: Key) -> tuple[Edit, ...]:
        """Drop, change and add entries one by one; what stays the same stays byte for byte."""
        there: dict[Any, yaml.Node] = {}
        edits: tuple[Edit, ...] = ()
        keys = {key(entry) for entry in wanted}
        for node in sequence.value:
            own = key(construct(node, self.block))
            if own in keys and own not in there:
                there[own] = node
            else:
                edits += self.editor.remove_item(node)
        # Entries stand sorted, and new ones behind the one that is before them in that order; those side by side are one edit.
        before: yaml.Node | None = None
        added: list[Value] = []
        for entry in wanted:
            node = there.get(key(entry))
            if node is None:
                added.append(typed(entry))
                continue
            edits += self.editor.insert_items(sequence, added, before) if added else ()
            edits += self.changed(sequence, node, entry)
            before, added = node, []
        return edits + (self.editor.insert_items(sequence, added, before) if added else ())

    def changed(self, sequence: yaml.SequenceNode, node: yaml.Node, entry: Data) -> tuple[Edit, ...]:
        """Give an entry its new values: key by key where each has its line, else as a whole."""
        if not self.is_loose(node):
            if _normal(construct(node, self.block)) == entry:
                return ()
            if isinstance(node, yaml.MappingNode) and isinstance(entry, dict):
                edits = self.mended(node, entry)
                if not isinstance(edits, Refusal):
                    return edits
        return self.editor.replace_item(sequence, node, typed(entry))

    def mended(self, node: yaml.MappingNode, entry: dict[str, Any]) -> tuple[Edit, ...] | Refusal:
        """Change single values, add and drop single lines."""
        there = {key.value: (key, value) for key, value in node.value}
        if set(there) != set(entry) and (node.flow_style or node.value[0][0].value not in entry):
            return Refusal("its keys have no lines of their own")
        edits: tuple[Edit, ...] = ()
        for key, value in there.values():
            edits += () if key.value in entry else self.editor.remove_key(key, value)
        # What is missing is collected until a key comes that is there, and stands behind the one before it: the order of the schema
        # holds, and two new lines at one place are one edit. The empty name at the end flushes what is left.
        before, missing = node.value[0][1], dict[str, Value]()
        for name, value in (*typed(entry).items(), ("", "")):
            if name and name not in there:
                missing[name] = value
                continue
            steps = [self.editor.set_keys(node, (), missing, before)] if missing else []
            if name:
                before = there[name][1]
                is_changed = construct(before) != (value if isinstance(value, list) else entry[name])
                if is_changed and isinstance(value, list):
                    return Refusal("a list in it changes")
                steps += [self.editor.set_scalar(before, node, value)] if is_changed else []
            for step in steps:
                if isinstance(step, Refusal):
                    return step
                edits += step
            missing = {}
        return edits

    def is_loose(self, node: yaml.Node) -> bool:
        """True if a text stands there that a JSON round trip would turn into a number."""
        if isinstance(node, yaml.MappingNode):
            return any(self.is_loose(value) for key, value in node.value if key.value not in NUMBERS)
        return isinstance(node, yaml.ScalarNode) and not node.style and not is_string(node.value)

    def counted(self, spec: yaml.MappingNode, above: yaml.Node, counts: Mapping[str, int]) -> tuple[Edit, ...]:
        """Set numbers beside the list: change them, drop them, or add them below it."""
        edits: tuple[Edit, ...] = ()
        for name, count in counts.items():
            pair = find_key(spec, name)
            if isinstance(pair, tuple) and not count:
                edits += self.editor.remove_key(*pair)
            elif count:
                changed = self.editor.set_keys(spec, (), {name: count}, above)
                edits += () if isinstance(changed, Refusal) else changed
        return edits


def _has_alias(node: yaml.Node) -> bool:
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, Alias):
            return True
        if isinstance(one, yaml.MappingNode):
            todo += [child for pair in one.value for child in pair]
        elif isinstance(one, yaml.SequenceNode):
            todo += one.value
    return False


def _normal(entry: Any) -> Any:
    """Leave out of an entry what says nothing: no digest, no counts."""
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if value and not (name in NUMBERS and value == "0")}
