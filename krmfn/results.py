"""Write results into a ResourceList by splice (KRM functions specification v1, `results`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import yaml

from krmfn.scalars import quoted
from krmfn.yamltext import Edit, construct

if TYPE_CHECKING:
    from krmfn.model import Result
    from krmfn.resourcelist import ResourceList

Entry = Mapping[str, "str | int | Entry"]


def insert(given: ResourceList, results: Sequence[Result]) -> list[Edit]:
    """Make the edits that add results to a list; what it already has stays, as a list or as the older mapping.

    A result that the list already holds is not repeated, so that a run on its own output changes nothing.
    """
    known = _known(given)
    entries = [made for result in results if _plain(made := entry(result)) not in known]
    if not entries:
        return []
    root = given.frame.root
    if root.flow_style:
        return _Flow(given).into_mapping(root, "results", entries)
    return _Block(given).into_mapping(root, "results", entries)


def _known(given: ResourceList) -> list[object]:
    data = construct(given.frame.value("results"))
    data = data.get("items") if isinstance(data, dict) else data
    return data if isinstance(data, list) else []


def _plain(value: str | int | Entry) -> object:
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, Mapping) else str(value)


def entry(result: Result) -> Entry:
    """Make the plain data of one result; what is unknown is left out."""
    made: dict[str, str | int | Entry] = {"message": result.message, "severity": result.severity}
    if (ref := result.resource) is not None:
        names = {"apiVersion": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
        made["resourceRef"] = {key: text for key, text in names.items() if text}
    if (field := result.field) is not None:
        values = {"path": field.path, "currentValue": field.current, "proposedValue": field.proposed}
        made["field"] = {key: text for key, text in values.items() if text is not None}
    if (file := result.file) is not None:
        made["file"] = {"path": file.path} if file.index is None else {"path": file.path, "index": file.index}
    if result.tags:
        made["tags"] = dict(result.tags)
    return {key: value for key, value in made.items() if value != {}}


def flow(value: str | int | Entry) -> str:
    """Write a value as JSON in one line.

    >>> flow({"path": "a.yaml", "index": 0})
    '{"path": "a.yaml", "index": 0}'
    """
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return str(value)
    return "{" + ", ".join(f"{quoted(key)}: {flow(part)}" for key, part in value.items()) + "}"


def lines(found: Entry, indent: str) -> Iterator[str]:
    """Write an entry of a block list, one line after the other; the first begins with the dash."""
    lead = indent + "- "
    for key, value in found.items():
        if isinstance(value, Mapping):
            yield f"{lead}{key}:"
            yield from (f"{indent}    {_key(name)}: {flow(part)}" for name, part in value.items())
        else:
            yield f"{lead}{key}: {value if key == 'severity' else flow(value)}"
        lead = indent + "  "


def _key(name: str) -> str:
    return name if name.isascii() and name.isalpha() and len(name) > 3 else quoted(name)


class _Flow:
    """Insertion into flow collections, which is how JSON is written."""

    def __init__(self, given: ResourceList) -> None:
        self.given = given

    def into_mapping(self, node: yaml.MappingNode, name: str, entries: Sequence[Entry]) -> list[Edit]:
        text = "[" + ", ".join(flow(each) for each in entries) + "]"
        for key, value in node.value:
            if key.value != name:
                continue
            if isinstance(value, yaml.MappingNode):
                return self.into_mapping(value, "items", entries)
            if isinstance(value, yaml.SequenceNode):
                return [self.before_end(value, text[1:-1])]
            return [_replaced(self.given, value, text)]
        return [self.before_end(node, f"{quoted(name)}: {text}")]

    def before_end(self, node: yaml.CollectionNode, text: str) -> Edit:
        """Add a last entry: after the last one when there is one, as a comma may follow it already."""
        data = self.given.text.data
        at = self.given.frame.offset(node.end_mark.index) - 1
        if not node.value:
            return Edit(at, at, text.encode())
        last = node.value[-1]
        last = last[1] if isinstance(last, tuple) else last
        at = self.given.frame.offset(last.end_mark.index)
        comma = data[at : self.given.frame.offset(node.end_mark.index) - 1].lstrip()
        return Edit(at, at, (f", {text}").encode()) if comma[:1] != b"," else Edit(at, at, f", {text}".encode())


class _Block:
    """Insertion into block collections, in the file's own indentation and line ends."""

    def __init__(self, given: ResourceList) -> None:
        self.given = given
        data = given.text.data
        end = data.find(b"\n")
        self.newline = "\r\n" if end > 0 and data[end - 1 : end] == b"\r" else "\n"

    def into_mapping(self, node: yaml.MappingNode, name: str, entries: Sequence[Entry]) -> list[Edit]:
        indent = " " * node.start_mark.column
        for key, value in node.value:
            if key.value == name:
                return self.into_value(value, indent, entries)
        if name == "results":
            return [self.at_end([f"{indent}{name}:", *self.listed(entries, indent)])]
        return [self.before(node, [f"{indent}{name}:", *self.listed(entries, indent)])]

    def into_value(self, value: yaml.Node, indent: str, entries: Sequence[Entry]) -> list[Edit]:
        if isinstance(value, yaml.CollectionNode) and value.flow_style and value.value:
            holder = _Flow(self.given)
            if isinstance(value, yaml.MappingNode):
                return holder.into_mapping(value, "items", entries)
            return [holder.before_end(value, ", ".join(flow(each) for each in entries))]
        if isinstance(value, yaml.MappingNode) and value.value:
            return self.into_mapping(value, "items", entries)
        if isinstance(value, yaml.SequenceNode) and value.value:
            return [self.before(value, self.listed(entries, " " * value.start_mark.column))]
        return [_replaced(self.given, value, "[" + ", ".join(flow(each) for each in entries) + "]")]

    def listed(self, entries: Sequence[Entry], indent: str) -> list[str]:
        return [line for each in entries for line in lines(each, indent)]

    def before(self, node: yaml.Node, added: list[str]) -> Edit:
        """Insert whole lines above the first line of a block collection."""
        at = self.given.text.data.rfind(b"\n", 0, self.given.frame.offset(node.start_mark.index)) + 1
        return Edit(at, at, "".join(line + self.newline for line in added).encode())

    def at_end(self, added: list[str]) -> Edit:
        """Insert whole lines at the end of the document."""
        data = self.given.text.data
        at = len(data)
        text = "".join(line + self.newline for line in added)
        if data and not data.endswith((b"\n", b"\r")):
            text = self.newline + text
        return Edit(at, at, text.encode())


def _replaced(given: ResourceList, node: yaml.Node, text: str) -> Edit:
    start, end = given.frame.offset(node.start_mark.index), given.frame.offset(node.end_mark.index)
    blank = "" if given.text.data[start - 1 : start].isspace() else " "
    return Edit(start, end, (blank + text).encode())
