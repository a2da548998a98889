"""Blocks: one item of a list or one document of a stream, composed on demand, and let go of again."""

from __future__ import annotations

import yaml

from krmfn.yamledit import compose
from krmfn.yamledit.text import Source, Text, value_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.errors import InputError


class Block:
    """One item of a list or one document of a stream: bytes `start` to `end` of its text, composed when asked.

    `index` counts among its siblings. A cut block was found by lines and is one entry of a list. `notes` belongs to whoever
    reads the block more than once and keeps what it read; it holds no nodes.
    """

    __slots__ = ("_fixed", "_root", "_source", "end", "index", "is_cut", "notes", "start", "text")

    def __init__(self, text: Text, start: int, end: int, index: int, *, is_cut: bool = False) -> None:
        self.text, self.start, self.end, self.index, self.is_cut = text, start, end, index, is_cut
        self._fixed = False
        self._root: yaml.Node | None = None
        self._source: Source | None = None
        self.notes: object = None

    @classmethod
    def of_node(cls, text: Text, span: tuple[int, int], index: int, root: yaml.Node | None, source: Source) -> Block:
        """Make a block around a node that has been composed as part of `source`."""
        block = cls(text, *span, index)
        block._root, block._source, block._fixed = root, source, True
        return block

    @property
    def raw(self) -> bytes:
        """The block's own bytes."""
        return self.text.data[self.start : self.end]

    @property
    def is_separate(self) -> bool:
        """True when the block's bytes can be parsed on their own."""
        return not self._fixed

    @property
    def source(self) -> Source:
        """What the marks of this block's nodes count in."""
        if self._source is None:
            self._source = Source.of(self.raw, self.start)
        return self._source

    @property
    def root(self) -> yaml.Node | None:
        """The composed tree, None for an empty document; raises InputError."""
        if self._root is None and not self._fixed:
            node = self._composed()
            self._root = self._item(node) if self.is_cut else node
        return self._root

    def _composed(self) -> yaml.Node | None:
        try:
            return compose.compose(self.source.data)
        except yaml.YAMLError as error:
            raise unreadable(self.text, self.source, error) from None

    def _item(self, node: yaml.Node | None) -> yaml.Node:
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != 1 or node.flow_style:
            raise self.text.error(f"item {self.index} is not one entry of a list", self.start)
        item: yaml.Node = node.value[0]
        return item

    def forget(self) -> None:
        """Let go of the tree; it is composed again when asked for. Blocks made of a whole keep theirs."""
        if not self._fixed:
            self._root = self._source = None

    def span(self, node: yaml.Node) -> tuple[int, int]:
        """Return the bytes of a node in the text, as `value_span` does."""
        return value_span(self.text.data, self.source, node)


def unreadable(text: Text, source: Source, error: yaml.YAMLError) -> InputError:
    """Turn libyaml's complaint into an InputError with a place in the text."""
    problem, place = compose.malformed(error)
    return text.error(f"not valid YAML: {problem}", source.offset(place) if place >= 0 else -1)


def reference_token(text: str) -> str:
    """Decode one name of a JSON pointer (RFC 6901 section 4)."""
    return text.replace("~1", "/").replace("~0", "~")
