"""The text of TagSnapshot and ImageLock: written whole once, then edited entry by entry where it stands.

Tags, digests and hashes are always quoted: kustomize sends items through JSON, where a plain 1.10 becomes 1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import yaml

from krmfn.config.lock import LockEntry, Snapshot
from krmfn.config.objects import Object
from krmfn.config.schema import API_VERSION
from krmfn.kubernetes.resource import describe, get
from krmfn.plan.entries import NUMBERS, Data, lines_of, recorded, scalar, snapshot_data
from krmfn.yamledit.edits import last_leaf, newline, start_of_blanks
from krmfn.yamledit.nodes import Alias, Block, Edit, construct, scalar_at
from krmfn.yamledit.scalars import Refusal, is_string, render

Key = Callable[[Any], Any]


def lock_data(entry: LockEntry) -> dict[str, str]:
    """Return an entry as the mapping that stands in an ImageLock."""
    data = {"policy": str(entry.policy), "image": entry.image, "policyHash": entry.policy_hash}
    more = {
        "from": entry.from_tag,
        "tag": entry.tag,
        "digest": entry.digest,
        "rulesHash": entry.rules_hash,
        "passedOver": entry.passed_over,
        "listed": str(entry.listed or ""),
        "eligible": str(entry.eligible if entry.listed else ""),
    }
    return data | {name: value for name, value in more.items() if value}


def lock_document(entries: Sequence[LockEntry]) -> str:
    """Write an ImageLock of its own."""
    return _document("ImageLock", "images", {"images": [_authored(lock_data(entry)) for entry in entries]})


def snapshot_document(snapshot: Snapshot, name: str) -> str:
    """Write a TagSnapshot of its own."""
    if snapshot.time is not None:
        head = _document("TagSnapshot", name, {}).removesuffix("spec: {}\n")
        return head + "spec:\n" + "".join(f"{line}\n" for line in recorded(snapshot, 2))
    spec: dict[str, Any] = {"image": snapshot.image, "tags": [_authored(tag) for tag in snapshot_data(snapshot)]}
    if snapshot.listed > len(snapshot.tags):
        spec["listed"] = snapshot.listed
    return _document("TagSnapshot", name, spec)


def _document(kind: str, name: str, spec: dict[str, Any]) -> str:
    from krmfn.yamledit.authored import document

    metadata = {"name": name, "annotations": {"config.kubernetes.io/local-config": "true"}}
    return document({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}, dash=2)


def _authored(entry: Data) -> object:
    """Return an entry with every text in quotes but the image, and its counts as numbers."""
    from krmfn.yamledit.authored import Quoted

    if isinstance(entry, str):
        return Quoted(entry)
    return {
        name: int(text) if name in NUMBERS else text if name == "image" else Quoted(text)
        for name, text in entry.items()
    }


def edit_lock(lock: Object, entries: Sequence[LockEntry]) -> tuple[Edit, ...] | Refusal:
    """Make the edits that turn the lock where it stands into one with these entries."""
    wanted: list[Data] = [lock_data(entry) for entry in entries]
    several = {
        entry.policy for index, entry in enumerate(entries) if index and entry.policy == entries[index - 1].policy
    }
    names = {str(policy) for policy in several}

    def key(data: Any) -> Any:
        policy, tag = data.get("policy", ""), data.get("from", "") or data.get("tag", "")
        return tuple(policy.split(":")), tag if policy in names or data.get("from") else ""

    return _Splice(lock.block, lock).set("images", wanted, key)


def edit_snapshot(existing: Object, snapshot: Snapshot) -> tuple[Edit, ...] | Refusal:
    """Make the edits that turn the snapshot where it stands into this one."""
    from krmfn.policies.release import natural_key

    def key(data: Any) -> Any:
        name = data if isinstance(data, str) else data.get("name", "")
        return natural_key(name), name

    listed = str(snapshot.listed) if snapshot.listed > len(snapshot.tags) else ""
    if snapshot.time is not None:
        return _Splice(existing.block, existing).whole(snapshot)
    return _Splice(existing.block, existing).set("tags", snapshot_data(snapshot), key, {"listed": listed})


class _Splice:
    """Edits of one list in the spec of one object."""

    def __init__(self, block: Block, resource: Object) -> None:
        self.block, self.data = block, block.text.data
        self.root = next((one.root for one in describe(block) if one.id == resource.id), None)
        self.inserted: dict[int, list[str]] = {}
        self.newline = newline(self.data, block.start, block.end)

    def set(
        self, name: str, wanted: Sequence[Data], key: Key, more: dict[str, str] | None = None
    ) -> tuple[Edit, ...] | Refusal:
        spec = get(self.root, "spec")
        if not isinstance(spec, yaml.MappingNode) or self.root is None or _has_alias(self.root):
            return Refusal("it has no spec of its own, or uses anchors")
        if spec.flow_style:
            return self.flow(spec, name, wanted, more or {})
        pair = next(((k, v) for k, v in spec.value if k.value == name), None)
        if pair is None:
            return Refusal(f"its spec has no {name}: write {name}: []")
        if isinstance(pair[1], yaml.SequenceNode) and not pair[1].flow_style and pair[1].value:
            edits = self.entries(pair[1], wanted, key)
        else:
            edits = self.anew(*pair, wanted)
        if edits or self.inserted:
            edits = (*edits, *self.members(spec, pair, more or {}))
        return (*edits, *self.insertions())

    def whole(self, snapshot: Snapshot) -> tuple[Edit, ...] | Refusal:
        """Write the spec of a snapshot that records first sightings anew, when anything of it is different."""
        spec = get(self.root, "spec")
        if not isinstance(spec, yaml.MappingNode) or self.root is None or _has_alias(self.root) or spec.flow_style:
            return Refusal("it has no spec of its own in block style, or uses anchors")
        text = "".join(line + self.newline for line in recorded(snapshot, spec.start_mark.column)).encode()
        start, end = self.line(spec), self.after(spec)
        return () if self.data[start:end] == text else (Edit(start, end, text),)

    def flow(self, spec: yaml.MappingNode, name: str, wanted: Sequence[Data], more: dict[str, str]) -> tuple[Edit, ...]:
        """Write a spec in flow style anew, as JSON."""
        import json

        there: Any = construct(spec, self.block)
        if [_normal(entry) for entry in there.get(name) or ()] == list(wanted):
            return ()
        members = {key: value for key, value in there.items() if key not in more} | {
            name: [_typed(entry) for entry in wanted]
        }
        members |= {key: int(value) for key, value in more.items() if value}
        return (Edit(*self.block.span(spec), json.dumps(members, ensure_ascii=False).encode()),)

    def anew(self, key: yaml.Node, value: yaml.Node, wanted: Sequence[Data]) -> tuple[Edit, ...]:
        """Write a list that is empty or in flow style in block style, below its key."""
        start, end = self.block.span(value)
        start = start_of_blanks(self.data, start)
        there: Any = construct(value, self.block) or []
        if [_normal(entry) for entry in there] == list(wanted):
            return ()
        text = "".join(self.newline + line for line in lines_of(wanted, key.start_mark.column + 2))
        return (Edit(start, start, (text or " []").encode()), Edit(start, end, b""))

    def entries(self, sequence: yaml.SequenceNode, wanted: Sequence[Data], key: Key) -> tuple[Edit, ...]:
        """Drop, change and add entries one by one; what stays the same stays byte for byte."""
        column = self.dash(sequence.value[0]) - self.first(sequence.value[0])
        there: dict[Any, yaml.Node] = {}
        edits: list[Edit] = []
        keys = {key(entry) for entry in wanted}
        for node in sequence.value:
            own = key(construct(node, self.block))
            if own in keys and own not in there:
                there[own] = node
            else:
                edits.append(Edit(self.first(node), self.after(node), b""))
        behind = self.first(sequence.value[0])
        for entry in wanted:
            node = there.get(key(entry))
            if node is None:
                self.insert(behind, lines_of([entry], column))
            else:
                edits += self.changed(node, entry, column)
                behind = self.after(node)
        return tuple(edits)

    def insert(self, at: int, lines: Sequence[str]) -> None:
        """Note lines to insert; those for one place come in the order in which they were noted."""
        self.inserted.setdefault(at, []).extend(lines)

    def insertions(self) -> tuple[Edit, ...]:
        """Make the edits of all that was noted."""
        edits = []
        for at, lines in self.inserted.items():
            lead = "" if self.data[at - 1 : at] == b"\n" else self.newline
            edits.append(Edit(at, at, (lead + "".join(line + self.newline for line in lines)).encode()))
        return tuple(edits)

    def changed(self, node: yaml.Node, entry: Data, column: int) -> list[Edit]:
        """Give an entry its new values: scalar by scalar when the keys stay, else as a whole."""
        if not self.is_loose(node):
            if _normal(construct(node, self.block)) == entry:
                return []
            if isinstance(node, yaml.MappingNode) and isinstance(entry, dict):
                edits = self.mended(node, entry)
                if edits is not None:
                    return edits
        self.insert(self.first(node), lines_of([entry], column))
        return [Edit(self.first(node), self.after(node), b"")]

    def mended(self, node: yaml.MappingNode, entry: dict[str, Any]) -> list[Edit] | None:
        """Change single values, add and drop single lines; None when the entry has to be written as a whole."""
        there: dict[str, yaml.Node] = {key.value: value for key, value in node.value}
        lines = {self.line(value) for value in there.values()}
        if set(there) != set(entry) and (
            node.flow_style or len(lines) < len(there) or node.value[0][0].value not in entry
        ):
            return None
        edits = [
            self.revalued(node, name, value)
            for name, value in entry.items()
            if name in there and construct(there[name]) != value
        ]
        if any(isinstance(edit, Refusal) for edit in edits):
            return None
        edits += [Edit(self.line(value), self.after(value), b"") for name, value in there.items() if name not in entry]
        before = node.value[0][1]
        for name, value in entry.items():
            if name not in there:
                self.insert(self.after(before), [f"{' ' * node.start_mark.column}{name}: {scalar(name, value)}"])
            before = there.get(name, before)
        return [edit for edit in edits if isinstance(edit, Edit)]

    def revalued(self, node: yaml.MappingNode, name: str, value: str) -> Edit | Refusal:
        value_node = get(node, name)
        scalar = scalar_at(self.block, value_node, name, node) if value_node is not None else None
        if scalar is None or scalar.start == scalar.end:
            return Refusal("it is empty")
        if name in NUMBERS and not scalar.style:
            return Edit(scalar.start, scalar.end, value.encode())
        return render(self.block.text, scalar, value)

    def is_loose(self, node: yaml.Node) -> bool:
        """True if a text stands there that a JSON round trip would turn into a number."""
        if isinstance(node, yaml.MappingNode):
            return any(self.is_loose(value) for key, value in node.value if key.value not in NUMBERS)
        return isinstance(node, yaml.ScalarNode) and not node.style and not is_string(node.value)

    def members(self, spec: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node], more: dict[str, str]) -> list[Edit]:
        """Set numbers beside the list: change them, drop them, or add them below it."""
        edits = []
        for name, value in more.items():
            member = get(spec, name)
            if member is None and value:
                self.insert(self.after(pair[1]), [f"{' ' * pair[0].start_mark.column}{name}: {value}"])
            elif member is not None and construct(member) != value:
                start, end = self.block.span(member)
                edits.append(
                    Edit(start, end, value.encode()) if value else Edit(self.line(member), self.after(member), b"")
                )
        return edits

    def line(self, node: yaml.Node) -> int:
        """Return where the line starts on which a node starts."""
        return self.data.rfind(b"\n", 0, self.block.source.offset(node.start_mark.index)) + 1

    def dash(self, node: yaml.Node) -> int:
        """Return where the dash of a list's entry stands."""
        return self.data.rfind(b"-", self.block.start, self.block.source.offset(node.start_mark.index))

    def first(self, node: yaml.Node) -> int:
        """Return where the line starts on which the dash of a list's entry stands."""
        return self.data.rfind(b"\n", 0, self.dash(node)) + 1

    def after(self, node: yaml.Node) -> int:
        """Return where the line starts that follows the last line of a node."""
        end = self.block.span(last_leaf(node))[1]
        if self.data[end - 1 : end] == b"\n":
            return end
        at = self.data.find(b"\n", end)
        return len(self.data) if at < 0 else at + 1


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


def _typed(entry: Data) -> Any:
    if isinstance(entry, str):
        return entry
    return {name: int(value) if name in NUMBERS else value for name, value in entry.items()}


def _normal(entry: Any) -> Any:
    """Leave out of an entry what says nothing: no digest, no counts."""
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if value and not (name in NUMBERS and value == "0")}
