"""Write results into a ResourceList by splice (KRM functions specification v1, `results`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from krmfn.sanitize import inert
from krmfn.yamledit.editor import Editor, find_key
from krmfn.yamledit.nodes import Block
from krmfn.yamledit.scalars import Refusal
from krmfn.yamledit.writing import Plain
from krmfn.yamledit.yamltree import construct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.model import Diagnostic
    from krmfn.yamledit.resourcelist import ResourceList
    from krmfn.yamledit.text import Edit

Entry = Mapping[str, "str | int | Entry"]


def insert(resource_list: ResourceList, results: Sequence[Diagnostic]) -> tuple[Edit, ...]:
    """Make the edits that add results to a list; what it already has stays, as a list or as the older mapping."""
    if not results:
        return ()
    text, frame = resource_list.text, resource_list.frame
    editor = Editor(Block.of_node(text, (0, len(text.data)), -1, frame.root, frame))
    edits = _inserted(editor, frame.root, "results", [entry(result) for result in results])
    if isinstance(edits, Refusal):
        raise text.error(f"results cannot be written here: {edits.why}")
    return edits


def _inserted(
    editor: Editor, parent: yaml.MappingNode, name: str, items: Sequence[Entry]
) -> tuple[Edit, ...] | Refusal:
    pair = find_key(parent, name)
    if isinstance(pair, Refusal):
        return pair
    if pair is None:
        return editor.set_keys(parent, (), {name: items}, parent.value[-1][1] if name == "results" else None)
    key, value = pair
    if isinstance(value, yaml.MappingNode) and value.value and name == "results":
        return _inserted(editor, value, "items", items)
    if isinstance(value, yaml.SequenceNode) and value.value:
        return editor.insert_items(value, items, value.value[-1])
    return editor.fill_empty(parent, key, value, items)


def unknown(resource_list: ResourceList, results: Sequence[Diagnostic]) -> Sequence[Diagnostic]:
    """Return the results that the list does not hold yet, so that a run on its own output changes nothing."""
    there = construct(resource_list.frame.value("results"))
    there = there.get("items") if isinstance(there, dict) else there
    known = set(map(_comparable, there)) if isinstance(there, list) else set[object]()
    return [result for result in results if _comparable(entry(result)) not in known] if known else results


def events(result: Diagnostic) -> int:
    """Return how many events a YAML parser makes of one result: two for a mapping, one for every key and scalar."""
    fields = entry(result)
    return 2 + 2 * len(fields) + sum(1 + 2 * len(part) for part in fields.values() if isinstance(part, dict))


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
    fields: dict[str, str | int | Entry] = {"message": inert(message), "severity": Plain(diagnostic.severity)}
    if resource is not None:
        parts = zip(("apiVersion", "kind", "namespace", "name"), resource, strict=True)
        fields["resourceRef"] = {key: text for key, text in parts if text}
    if field is not None:
        values = {"path": field.path, "currentValue": field.current, "proposedValue": field.proposed}
        fields["field"] = {key: text for key, text in values.items() if text is not None}
    if file is not None and file.path:
        fields["file"] = {"path": file.path} if file.document is None else {"path": file.path, "index": file.document}
    tags = {} if diagnostic.code == "changed" else {"code": diagnostic.code}
    tags |= {"eligibleAt": diagnostic.eligible_at} if diagnostic.eligible_at else {}
    fields["tags"] = ({"policy": str(diagnostic.policy)} if diagnostic.policy else {}) | tags
    return {key: value for key, value in fields.items() if value != {}}
