"""What an edit of files may change, judged by PyYAML: some scalars, and no other byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml


class _Loader(yaml.SafeLoader):
    """Reads what YAML 1.2 allows and PyYAML refuses: an anchor that is set again."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node; forget an earlier anchor of its name."""
        event = self.peek_event()
        if not isinstance(event, yaml.AliasEvent) and isinstance(event, yaml.NodeEvent):
            self.anchors.pop(event.anchor, None)
        return super().compose_node(parent, index)


class Edit(NamedTuple):
    """A scalar that changed: the line where it starts now, its value before and after."""

    line: int
    before: str
    after: str


class EditError(ValueError):
    """The files differ in more than scalars, or cannot be read."""


def scalars(text: str) -> list[yaml.ScalarNode]:
    """Return the scalars of a text in order, aliased ones once; raise yaml.YAMLError when it is none."""
    found: dict[int, yaml.ScalarNode] = {}
    waiting = [node for node in yaml.compose_all(text, Loader=_Loader) if node]
    seen = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            found[node.start_mark.index] = node
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
        else:
            waiting.extend(inner for pair in node.value for inner in pair)
    return [found[index] for index in sorted(found)]


def edits(before: str, after: str) -> list[Edit]:
    """Return the scalars that changed; raise EditError unless all other bytes, comments with them, are the old ones.

    Documents are cut at the lines that start with `---`, which no scalar can hold; equal ones need no parser.
    """
    old, new = (re.split(r"^(?=---(?:\s|$))", text, flags=re.MULTILINE) for text in (before, after))
    if len(old) != len(new):
        raise EditError("other documents than before")
    found, line = [], 0
    for a, b in zip(old, new, strict=True):
        found += [edit._replace(line=line + edit.line) for edit in _edits(a, b)] if a != b else []
        line += b.count("\n")
    return found


def _edits(before: str, after: str) -> list[Edit]:
    try:
        old, new = scalars(before), scalars(after)
    except yaml.YAMLError as error:
        raise EditError(f"PyYAML cannot read it: {' '.join(str(error).split())[:120]}") from None
    if len(old) != len(new):
        raise EditError("other nodes than before")
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a.value != b.value]
    restored = after
    for a, b in reversed(changed):
        source = before[a.start_mark.index : a.end_mark.index]
        restored = restored[: b.start_mark.index] + source + restored[b.end_mark.index :]
    if restored != before:
        raise EditError("bytes outside the changed scalars differ")
    return [Edit(b.start_mark.line + 1, a.value, b.value) for a, b in changed]


def unintended(before: str, after: str, is_intended: Callable[[str, str], bool]) -> tuple[int, str]:
    """Return how many scalars of a file changed, and what is wrong with that, if anything."""
    try:
        found = edits(before, after)
    except EditError as error:
        return 0, str(error)
    wrong = (edit for edit in found if not is_intended(edit.before, edit.after))
    told = (f"line {edit.line}: {edit.before[:80]!r} became {edit.after[:80]!r}" for edit in wrong)
    return len(found), next(told, "")


def contents(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of every file below a folder, links left out."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
