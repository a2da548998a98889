"""Prove edits before they are written: the edited text is parsed anew and must have the structure that it had."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from krmfn.text import compose
from krmfn.text.yamltext import Block, Edit, Text, apply

_RUN = 1 << 17
_word = re.compile(rb"""(["']?)[A-Za-z0-9_]+(?:[./@:+-]+[A-Za-z0-9_]+)*(["']?)""").fullmatch


def confirm(text: Text, blocks: Iterable[Block], edits: Iterable[Edit]) -> None:
    """Parse the edited blocks anew and compare: replaced scalars leave the number of events, insertions add to it.

    Only edits of whole lines or whole flow collections, as a lock needs them, may take from it.
    Guards against a bug of an editing step, not against input; raises InputError, and then nothing may be written.
    Blocks that follow each other are parsed together. A word in the place of a word, quoted alike, needs no proof.
    """
    todo = [edit for edit in sorted(set(edits)) if not _is_swap(text.data[edit.start : edit.end], edit.text)]
    at = 0
    run: tuple[int, int, list[Edit]] | None = None
    for block in blocks:
        if at == len(todo):
            break
        start, end = (block.start, block.end) if block.is_separate else (0, len(text.data))
        first = at = next((i for i in range(at, len(todo)) if todo[i].start >= start), len(todo))
        while at < len(todo) and todo[at].end <= end:
            at += 1
        if first == at:
            continue
        if run and run[1] == start and end - run[0] < _RUN:
            run = (run[0], end, run[2] + todo[first:at])
            continue
        if run:
            _confirm(text, *run)
        run = (start, end, todo[first:at])
    if run:
        _confirm(text, *run)


def _is_swap(old: bytes, new: bytes) -> bool:
    """Tell whether both are words of letters, digits and inner signs that mean nothing in YAML, in the same quotes."""
    was, becomes = _word(old), _word(new)
    return was is not None and becomes is not None and {was[1], was[2]} == {becomes[1], becomes[2]} == {was[1]}


def _confirm(text: Text, start: int, end: int, edits: list[Edit]) -> None:
    old = text.data[start:end]
    new = apply(old, [Edit(edit.start - start, edit.end - start, edit.text) for edit in edits])
    grows = any(edit.start == edit.end or text.data[edit.start] in b"{[" for edit in edits)
    try:
        before, after = compose.raw_parse(old), compose.raw_parse(new)
    except yaml.YAMLError as error:
        raise text.error(f"an edit here would break the text: {compose.malformed(error).problem}", start) from None
    shrinks = any(old[edit.start - start : edit.end - start].endswith((b"\n", b"}", b"]")) for edit in edits)
    if (after < before and not shrinks) or (after > before and not grows):
        raise text.error(f"an edit here would change the structure: {before} parts, then {after}", start)
