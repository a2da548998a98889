"""Write results into a ResourceList by splice (KRM functions specification v1, `results`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

import yaml

from krmfn.yamledit.edits import flow, last_leaf, newline, set_value
from krmfn.yamledit.nodes import Edit, construct
from krmfn.yamledit.scalars import is_string, quoted

if TYPE_CHECKING:
    from krmfn.model import Diagnostic
    from krmfn.yamledit.resourcelist import ResourceList

Entry = Mapping[str, "str | int | Entry"]


def insert(resource_list: ResourceList, results: Sequence[Diagnostic]) -> list[Edit]:
    """Make the edits that add results to a list; what it already has stays, as a list or as the older mapping."""
    if not results:
        return []
    root = resource_list.frame.root
    if root.flow_style:
        return _Flow(resource_list).into_mapping(root, "results", results)
    return _Block(resource_list).into_mapping(root, "results", results)


def unknown(resource_list: ResourceList, results: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
    """Return the results that the list does not hold yet, so that a run on its own output changes nothing."""
    known = _known(resource_list)
    return [result for result in results if _comparable(entry(result)) not in known] if known else results


def events(result: Diagnostic) -> int:
    """Return how many events a YAML parser makes of one result: two for a mapping, one for every key and scalar."""
    one = entry(result)
    return 2 + 2 * len(one) + sum(1 + 2 * len(part) for part in one.values() if isinstance(part, dict))


def _known(resource_list: ResourceList) -> frozenset[object]:
    data = construct(resource_list.frame.value("results"))
    data = data.get("items") if isinstance(data, dict) else data
    return frozenset(map(_comparable, data)) if isinstance(data, list) else frozenset()


def _comparable(value: object) -> object:
    """Turn plain data into something that compares and hashes; numbers are texts, as `construct` answers them."""
    if isinstance(value, Mapping):
        return frozenset((key, _comparable(part)) for key, part in value.items())
    return tuple(map(_comparable, value)) if isinstance(value, list) else str(value)


def entry(diagnostic: Diagnostic) -> Entry:
    """Return the plain data of one result (KRM functions specification v1); what is unknown is left out.

    kpt prints the message alone, so one about configuration names its place.
    """
    resource, field, file = diagnostic.location
    message = str(diagnostic) if diagnostic.is_about_text else diagnostic.message
    if diagnostic.help:
        message += f"; {diagnostic.help}"
    fields: dict[str, str | int | Entry] = {"message": message, "severity": diagnostic.severity}
    if (ref := resource) is not None:
        names = {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
        fields["resourceRef"] = {key: text for key, text in names.items() if text}
    if field is not None:
        values = {"path": field.path, "currentValue": field.current, "proposedValue": field.proposed}
        fields["field"] = {key: text for key, text in values.items() if text is not None}
    if file is not None and file.path:
        fields["file"] = {"path": file.path} if file.index is None else {"path": file.path, "index": file.index}
    tags = {} if diagnostic.code == "changed" else {"code": diagnostic.code}
    fields["tags"] = ({"policy": str(diagnostic.policy)} if diagnostic.policy else {}) | tags
    return {key: value for key, value in fields.items() if value != {}}


def lines(fields: Entry, indent: str) -> list[str]:
    """Write an entry of a block list, line by line; the first begins with the dash. Runs as often as there are results."""
    written = []
    lead, inner = f"{indent}- ", f"{indent}    "
    for key, value in fields.items():
        if key == "severity":
            written.append(f"{lead}{key}: {value}")
        elif type(value) is dict:
            written.append(f"{lead}{key}:")
            written += [
                f"{inner}{_key(name)}: {quoted(part) if type(part) is str else flow(part)}"
                for name, part in value.items()
            ]
        else:
            written.append(f"{lead}{key}: {flow(value)}")
        lead = f"{indent}  "
    return written


@lru_cache(256)
def _key(name: str) -> str:
    return name if name.isascii() and name.isalpha() and is_string(name) else quoted(name)


class _Flow:
    """Insertion into flow collections, which is how JSON is written."""

    def __init__(self, resource_list: ResourceList) -> None:
        self.resource_list = resource_list

    def into_mapping(self, node: yaml.MappingNode, name: str, entries: Sequence[Diagnostic]) -> list[Edit]:
        text = "[" + ", ".join(flow(entry(each)) for each in entries) + "]"
        for key, value in node.value:
            if key.value != name:
                continue
            if isinstance(value, yaml.MappingNode):
                return self.into_mapping(value, "items", entries)
            if isinstance(value, yaml.SequenceNode):
                return [self.before_end(value, text[1:-1])]
            return [_replaced(self.resource_list, value, text)]
        return [self.before_end(node, f"{quoted(name)}: {text}")]

    def before_end(self, node: yaml.CollectionNode, text: str) -> Edit:
        """Add a last entry. It goes right behind the one before, as a comma or a comment may follow that one."""
        if not node.value:
            at = self.resource_list.frame.offset(node.end_mark.index) - 1
            return Edit(at, at, text.encode())
        last = node.value[-1]
        at = self.resource_list.frame.offset((last[1] if isinstance(last, tuple) else last).end_mark.index)
        return Edit(at, at, f", {text}".encode())


class _Block:
    """Insertion into block collections, in the file's own indentation and line ends."""

    def __init__(self, resource_list: ResourceList) -> None:
        self.resource_list = resource_list
        self.newline = newline(resource_list.text.data, 0, len(resource_list.text.data))

    def into_mapping(self, node: yaml.MappingNode, name: str, entries: Sequence[Diagnostic]) -> list[Edit]:
        for key, value in node.value:
            if key.value == name:
                return self.into_value(value, entries)
        indent = " " * node.start_mark.column
        added = chain([f"{indent}{name}:"], self.listed(entries, indent))
        return [self.at_end(node, added) if name == "results" else self.above(node, added)]

    def into_value(self, value: yaml.Node, entries: Sequence[Diagnostic]) -> list[Edit]:
        if not isinstance(value, yaml.CollectionNode) or not value.value:
            return [_replaced(self.resource_list, value, "[" + ", ".join(flow(entry(each)) for each in entries) + "]")]
        if isinstance(value, yaml.MappingNode):
            return (_Flow(self.resource_list) if value.flow_style else self).into_mapping(value, "items", entries)
        if value.flow_style:
            return [_Flow(self.resource_list).before_end(value, ", ".join(flow(entry(each)) for each in entries))]
        return [self.behind(value, self.listed(entries, " " * value.start_mark.column))]

    def listed(self, entries: Sequence[Diagnostic], indent: str) -> Iterator[str]:
        return (self.newline.join(lines(entry(each), indent)) for each in entries)

    def whole(self, added: Iterable[str]) -> bytes:
        """Join whole lines; piece by piece, as there may be megabytes of them."""
        written, end = bytearray(), self.newline.encode()
        for line in added:
            written += line.encode()
            written += end
        return bytes(written)

    def above(self, node: yaml.Node, added: Iterable[str]) -> Edit:
        """Insert whole lines above the first line of a node that starts its line."""
        at = self.resource_list.text.data.rfind(b"\n", 0, self.resource_list.frame.offset(node.start_mark.index)) + 1
        return Edit(at, at, self.whole(added))

    def at_end(self, root: yaml.MappingNode, added: Iterable[str]) -> Edit:
        """Insert whole lines below everything; above the last key when the text ends in the middle of a line."""
        at = self.resource_list.frame.offset(root.end_mark.index)
        if not self.resource_list.text.data.endswith(b"\n", 0, at):
            return self.above(_last_entry(root), added)
        return Edit(at, at, self.whole(added))

    def behind(self, node: yaml.CollectionNode, added: Iterable[str]) -> Edit:
        """Insert whole lines below a block collection.

        A block scalar that ends the text without a line break would grow by one; the lines go above its key then.
        """
        data, leaf = self.resource_list.text.data, last_leaf(node)
        end = self.resource_list.frame.offset(leaf.end_mark.index)
        if isinstance(leaf, yaml.ScalarNode) and leaf.style in ("|", ">"):
            if not data.endswith(b"\n", 0, end):
                return self.above(_last_entry(node), added)
            return Edit(end, end, self.whole(added))
        at = data.find(b"\n", end) + 1
        if not at:
            return Edit(len(data), len(data), "".join(self.newline + line for line in added).encode())
        return Edit(at, at, self.whole(added))


def _last_entry(node: yaml.CollectionNode) -> yaml.Node:
    last: yaml.Node = node.value[-1][0] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return last


def _replaced(resource_list: ResourceList, node: yaml.Node, text: str) -> Edit:
    start, end = resource_list.frame.offset(node.start_mark.index), resource_list.frame.offset(node.end_mark.index)
    return set_value(resource_list.text.data, start, end, text)
