"""The proof of every edit: the edited text is parsed again, and differs from the old one where its edits say, or is refused.

This is the one way from edits to bytes, for stdin and files. An edit of a scalar says what the scalar read before
and reads after (`Edit.before`, `Edit.after`); any other edit may add nodes inside the bytes that it inserts and drop
nodes inside the bytes that it deletes. Every other node keeps its value, style, tag and place in the tree; aliases keep
their text. The proof guards against mistakes of an editing step, not against input. A failed proof raises InputError
with the place of the edit, and then nothing may be written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

import yaml

from krmfn.errors import InputError
from krmfn.namedtuple import NamedTuple
from krmfn.yamledit import compose
from krmfn.yamledit.documents import documents
from krmfn.yamledit.scalars import is_string
from krmfn.yamledit.text import Edit, Source, Text, apply, ordered, value_span
from krmfn.yamledit.yamltree import is_null

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

_WORD = rb"""(["']?)[A-Za-z0-9_]+(?:[./@:+-]+[A-Za-z0-9_]+)*(["']?)"""


class _Difference(Exception):  # noqa: N818 - carried from the comparison to the door that knows the text
    """The edited text differs where no edit says so: the reason, and the byte offset in the old text, -1 if unknown."""

    def __init__(self, reason: str, offset: int = -1) -> None:
        self.reason, self.offset = reason, offset
        super().__init__(reason)


def rewrite(text: Text, edits: Iterable[Edit]) -> bytes:
    """Return a stream of documents with the edits applied and proven; raise InputError when the proof fails."""
    edits = ordered(edits)
    if not edits:
        return text.data
    old = documents(text)
    return _proven(text, edits, lambda both: both.documents(old, documents(Text(both.new, text.name))))


def confirm(text: Text, blocks: Iterable[Block], edits: Iterable[Edit]) -> list[Edit]:
    """Prove the edits inside separate blocks; return the edits that are in none. Raise InputError when a proof fails.

    Every edited block is parsed again. Where words give way to words, quoted alike, their bytes are compared in place of
    the trees: no such swap can change the structure.
    """
    todo = ordered(edits)
    rest: list[Edit] = []
    at = 0
    for block in blocks:
        if at == len(todo):
            break
        while at < len(todo) and todo[at].start < block.start:
            rest.append(todo[at])
            at += 1
        first = at
        while at < len(todo) and todo[at].end <= block.end and block.is_separate:
            at += 1
        inside = todo[first:at]
        if inside:
            _confirm_piece(text, block, inside)
    return rest + todo[at:]


def confirm_whole(text: Text, root: yaml.Node, source: Source, edits: Sequence[Edit]) -> bytes:
    """Return a text of one document, composed as `root`, with the edits proven; raise InputError when that fails."""
    return _proven(text, ordered(edits), lambda both: both.whole(root, source))


def _proven(text: Text, edits: Sequence[Edit], compare: Callable[[_Comparison], None]) -> bytes:
    """Return a text with the edits, once a comparison of both finds nothing else; raise InputError when it does."""
    try:
        comparison = _Comparison(text.data, edits)
        compare(comparison)
    except (InputError, yaml.YAMLError, _Difference) as failure:
        raise _refused(text, edits, failure) from None
    return comparison.new


def _confirm_piece(text: Text, block: Block, edits: Sequence[Edit]) -> None:
    """Prove the edits inside a block."""
    try:
        inside = [_shifted(edit, -block.start) for edit in edits]
        if all(_swaps_words(text.data, edit) for edit in edits):
            compose.raw_parse(apply(block.raw, inside))
            return
        source = Source(block.raw, 0)
        _Comparison(source.data, inside).whole(compose.compose(source.data), source)
    except (yaml.YAMLError, _Difference) as failure:
        raise _refused(text, edits, failure, block.start) from None


def _refused(text: Text, edits: Sequence[Edit], failure: Exception, start: int = 0) -> InputError:
    """Return the error of edits that are not proven; `start` is where in the text the compared piece stands."""
    reason = compose.malformed(failure)[0] if isinstance(failure, yaml.YAMLError) else str(failure)
    message = f"an edit here would change more than its value ({reason}); nothing was written. This is a bug of krmfn: please report it with this line"
    offset = failure.offset if isinstance(failure, _Difference) else -1
    return text.error(message, start + offset if offset >= 0 else edits[0].start)


def _shifted(edit: Edit, by: int) -> Edit:
    host = edit.host and (edit.host[0] + by, edit.host[1])
    return edit._replace(start=edit.start + by, end=edit.end + by, host=host)


def _swaps_words(data: bytes, edit: Edit) -> bool:
    """True if a scalar of letters, digits and inner signs that mean nothing in YAML becomes another, quoted alike.

    The bytes are compared with the values that the edit names. A plain scalar ends at a blank, a break or an indicator,
    none of which is in a word, and one that begins with a letter, digit or `_` begins nothing else; in quotes no word
    holds a quote or an escape. So the parser meets the same tokens before and behind the word, and one scalar for it.
    """
    if edit.before is None or edit.after is None:
        return False
    old = data[edit.start : edit.end]
    was, becomes = re.fullmatch(_WORD, old), re.fullmatch(_WORD, edit.text)
    if was is None or becomes is None or not (was[1] == was[2] == becomes[1] == becomes[2]):
        return False
    quote = was[1].decode()
    is_exact = old.decode() == f"{quote}{edit.before}{quote}" and edit.text.decode() == f"{quote}{edit.after}{quote}"
    return is_exact and bool(quote or is_string(edit.after))


class _Side(NamedTuple):
    """One of the two texts: its bytes, and the bytes that only this one may have nodes in (sorted, disjoint)."""

    data: bytes
    starts: list[int]
    ends: list[int]

    def holds(self, offset: int, *, is_absent: bool) -> bool:
        """True if an offset is inside those bytes; a value that is not written may stand at their very end."""
        at = bisect_right(self.starts, offset) - 1
        return at >= 0 and (offset < self.ends[at] or (is_absent and offset == self.ends[at]))

    def is_own(self, node: yaml.Node, source: Source) -> bool:
        """True if all that is written of a node is inside those bytes."""
        stack = [node]
        while stack:
            part = stack.pop()
            is_block = isinstance(part, yaml.CollectionNode) and not part.flow_style and part.value
            start = part.start_mark.index
            if not is_block and not self.holds(source.offset(start), is_absent=start == part.end_mark.index):
                return False
            stack += (child for pair in _entries(part) for child in pair)
        return True

    def shared(self, node: yaml.Node, source: Source) -> list[tuple[yaml.Node, ...]]:
        """Return the entries of a collection that the other text has to have too."""
        return [entry for entry in _entries(node) if not all(self.is_own(part, source) for part in entry)]


def _entries(node: yaml.Node) -> Iterator[tuple[yaml.Node, ...]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value
    elif isinstance(node, yaml.SequenceNode):
        yield from ((child,) for child in node.value)


class _Comparison:
    """An old text and what its edits make of it, node by node."""

    def __init__(self, data: bytes, edits: Sequence[Edit]) -> None:
        try:
            self.new = apply(data, edits)
        except ValueError:
            raise _Difference("two edits overlap", edits[0].start) from None
        self.due: dict[int, tuple[Edit, int]] = {}
        self.pieces: dict[int, list[Edit]] = {}
        self.before = _Side(data, [], [])
        self.after = _Side(self.new, [], [])
        moved = 0
        for edit in edits:
            if edit.host is not None:
                self.pieces.setdefault(edit.host[0], []).append(edit)
            elif edit.after is None:
                self.before.starts.append(edit.start)
                self.before.ends.append(edit.end)
                self.after.starts.append(edit.start + moved)
                self.after.ends.append(edit.start + moved + len(edit.text))
            else:
                self.due[edit.start] = edit, moved
            moved += len(edit.text) - (edit.end - edit.start)

    def whole(self, root: yaml.Node | None, source: Source) -> None:
        """Compare texts of one document each; `root` is the old one's. Raise _Difference or yaml.YAMLError."""
        becomes = Source.of(self.new)
        self.nodes(root, source, compose.compose(becomes.data), becomes)
        self.close()

    def documents(self, old: Sequence[Block], new: Sequence[Block]) -> None:
        """Compare streams of documents; those that are equal byte for byte are not composed. Raise _Difference."""
        # a document more or less is one that an edit inserts or deletes as a whole; those are left out of both lists
        if len(old) != len(new):
            new = [block for block in new if block.root is None or not self.after.is_own(block.root, block.source)]
        if len(old) != len(new):
            old = [block for block in old if block.root is None or not self.before.is_own(block.root, block.source)]
        if len(old) != len(new):
            raise _Difference(f"{len(old)} documents, then {len(new)}")
        for was, becomes in zip(old, new, strict=True):
            if was.raw != becomes.raw or not was.is_separate:
                self.nodes(was.root, was.source, becomes.root, becomes.source)
        self.close()

    def close(self) -> None:
        """Check that every scalar that was to change was met."""
        for offset in (*self.due, *self.pieces):
            raise _Difference("no scalar stands here", offset)

    def nodes(self, old: yaml.Node | None, old_source: Source, new: yaml.Node | None, new_source: Source) -> None:
        """Compare two trees."""
        stack: list[tuple[yaml.Node | None, yaml.Node | None]] = [(old, new)]
        while stack:
            was, becomes = stack.pop()
            if was is None or becomes is None:
                if was is not becomes and (becomes is None or not self.after.is_own(becomes, new_source)):
                    raise _Difference("a document appears or vanishes")
                continue
            place = old_source.offset(was.start_mark.index)
            if self.is_replaced(was, old_source, becomes, new_source):
                continue
            if type(was) is not type(becomes) or _tag(was) != _tag(becomes):
                raise _Difference(f"a {_kind(was)} becomes a {_kind(becomes)}", place)
            if isinstance(was, yaml.ScalarNode) and isinstance(becomes, yaml.ScalarNode):
                self.scalar(was, old_source, becomes, new_source)
            elif isinstance(was, compose.Alias):
                if was.value != becomes.value:
                    raise _Difference("an alias changes", place)
            else:
                kept, stays = self.before.shared(was, old_source), self.after.shared(becomes, new_source)
                if len(kept) != len(stays):
                    raise _Difference(f"{len(kept)} entries become {len(stays)}", place)
                for pair, other in zip(kept, stays, strict=True):
                    stack += zip(pair, other, strict=True)

    def is_replaced(self, was: yaml.Node, old_source: Source, becomes: yaml.Node, new_source: Source) -> bool:
        """True if a node that is deleted gives way to one of its kind, or a null to any, all of it inserted."""
        if not self.after.starts or not self.after.is_own(becomes, new_source):
            return False
        if is_null(was):
            return was.start_mark.index == was.end_mark.index or self.before.is_own(was, old_source)
        return type(was) is type(becomes) and self.before.is_own(was, old_source)

    def scalar(self, was: yaml.ScalarNode, source: Source, becomes: yaml.ScalarNode, new_source: Source) -> None:
        """Compare two scalars: the same, or what an edit says of them, a string to every reader."""
        start, end = value_span(self.before.data, source, was)
        edit, moved = self.due.pop(start, (None, 0))
        if edit is None:
            is_key = not was.style and self.before.data[start : start + 1] == b"*"  # an alias of an edited scalar
            value = becomes.value if is_key else _pieced(was.value, self.pieces.pop(start, ()), start)
            if value != becomes.value or (was.style or "") != (becomes.style or ""):
                raise _Difference(f"{was.value[:80]!r} becomes {becomes.value[:80]!r}", start)
            return
        if was.value != edit.before or end != edit.end:
            raise _Difference(f"the scalar here is {was.value[:80]!r}, not {edit.before!r}", start)
        if becomes.value != edit.after:
            raise _Difference(f"it would read {becomes.value[:80]!r}, not {edit.after!r}", start)
        # the scalar has moved by what edits before it added; a blank may have been written in front of it
        begin = start + moved + len(edit.text) - len(edit.text.lstrip(b" "))
        if value_span(self.new, new_source, becomes) != (begin, start + moved + len(edit.text)):
            raise _Difference("more than the value would be written", start)
        if not becomes.style and _tag(becomes) is None and not is_string(becomes.value):
            raise _Difference(f"{becomes.value[:80]!r} would not be read as a string", start)


def _pieced(value: str, edits: Sequence[Edit], start: int) -> str:
    """Return what a scalar is to read after the edits of its pieces. Raise _Difference where a piece is another one."""
    if not edits:
        return value
    data, changed, at = value.encode("utf-8", "surrogatepass"), b"", 0
    for edit in sorted(edits, key=lambda edit: edit.host or (0, 0)):
        begin = edit.host[1] if edit.host else 0
        old = (edit.before or "").encode()
        if begin < at or data[begin : begin + len(old)] != old:
            raise _Difference(f"{edit.before!r} does not stand in the text here", start)
        changed += data[at:begin] + (edit.after or "").encode()
        at = begin + len(old)
    return (changed + data[at:]).decode("utf-8", "surrogatepass")


def _tag(node: yaml.Node) -> str | None:
    return tag if isinstance(tag := getattr(node, "tag", None), str) else None


def _kind(node: yaml.Node) -> str:
    return type(node).__name__.removesuffix("Node").lower()
