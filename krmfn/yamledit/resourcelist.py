"""*read* and *splice* a ResourceList: items as blocks of the text, results spliced into it.

The wire format is the KRM functions specification's ResourceList (v1, and v1alpha1 and v1beta1 as kyaml sends them).
`read` cuts the text at the lines that start an item, and lets libyaml's parser read every item on its own: what is no YAML
is refused here, before anybody is asked for tags. What cannot be cut with certainty is composed as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import yaml

from krmfn.errors import InputError
from krmfn.namedtuple import NamedTuple
from krmfn.yamledit import compose
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.documents import check, has_plain_breaks
from krmfn.yamledit.nodes import Block, unreadable
from krmfn.yamledit.text import BOM, Edit, Source, Text, apply, pieces
from krmfn.yamledit.verification import confirm, confirm_whole
from krmfn.yamledit.yamltree import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.model import Diagnostic

VERSIONS = ("config.kubernetes.io/v1", "config.kubernetes.io/v1alpha1", "config.kubernetes.io/v1beta1")
_KINDS: dict[type, str] = {
    yaml.ScalarNode: "scalar",
    yaml.SequenceNode: "list",
    yaml.MappingNode: "mapping",
    Alias: "alias",
}
_HELP = "kustomize and kpt send one; for files use krmfn update PATH"


class ResourceList(NamedTuple):
    """A ResourceList as it was read. `skeleton` holds everything but the items, when they were cut out."""

    text: Text
    items: tuple[Block, ...]
    function_config: Block | None
    frame: Frame


class Frame(Source):
    """The list around its items, composed and checked: its marks count in what is left of the text without the items.

    Offsets from `cut` on lie `moved` bytes later in the text than in what was parsed: there the items were cut out.
    """

    __slots__ = ("cut", "moved", "root", "whole")

    def __init__(self, text: Text, data: bytes, cut: int | None = None, moved: int = 0) -> None:
        bare = Source.of(data)
        super().__init__(bare.data, bare.base)
        self.whole, self.cut, self.moved = data, len(data) + 1 if cut is None else cut, moved
        self.root = self._composed(text)

    def offset(self, index: int) -> int:
        """Turn the index of a mark of the frame into a byte offset of the text."""
        at = super().offset(index)
        return at + self.moved if at >= self.cut else at

    def index(self, offset: int) -> int:
        """Turn a byte offset of the text around the items into the index that a mark would have there."""
        return super().index(self._inside(offset))

    def edits(self, edits: Iterable[Edit]) -> list[Edit]:
        """Return edits of the text around the items as edits of `whole`, the bytes of the list without them."""
        return [edit._replace(start=self._inside(edit.start), end=self._inside(edit.end)) for edit in edits]

    def value(self, name: str) -> yaml.Node | None:
        """Return the value of a key of the list."""
        return next((node for key, node in children(self.root) if key == name), None)

    def _inside(self, offset: int) -> int:
        return offset - self.moved if offset >= self.cut + self.moved else offset

    def _composed(self, text: Text) -> yaml.MappingNode:
        """Compose the frame's one document and check that it is a mapping."""
        try:
            root = compose.compose(self.data)
        except yaml.YAMLError as error:
            if "another document" in str(error):
                raise text.error(f"the text holds several documents, expected one ResourceList; {_HELP}") from None
            raise unreadable(text, self, error) from None
        if not isinstance(root, yaml.MappingNode):
            what = "nothing but comments" if root is None else f"a {_KINDS.get(type(root))}"
            raise text.error(f"the text is {what}, expected a ResourceList; {_HELP}")
        return root


def read(text: Text, *, whole: bool = False) -> ResourceList:
    """Read a ResourceList; raises InputError. With `whole` nothing is cut, every item is composed at once."""
    check(text)
    if not whole and (cut := _cut(text)) and _separates(cut.items):
        return cut
    if not text.data.strip():
        raise text.error(f"nothing was read, expected a ResourceList; {_HELP}")
    frame = Frame(text, text.data)
    _check_frame(text, frame)
    return ResourceList(text, _whole_items(text, frame), _config(text, frame), frame)


def _check_frame(text: Text, frame: Frame) -> None:
    """Check kind, apiVersion and that no key is given twice."""
    seen: set[str] = set()
    for key, _ in frame.root.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise text.error(f"key {key.value!r} is given twice in the list", frame.offset(key.start_mark.index))
            seen.add(key.value)
    kind, version = frame.value("kind"), frame.value("apiVersion")
    place = frame.offset((kind or frame.root).start_mark.index)
    if not isinstance(kind, yaml.ScalarNode) or kind.value != "ResourceList":
        actual = f"kind is {kind.value!r}" if isinstance(kind, yaml.ScalarNode) else "the text has no kind"
        raise text.error(f"{actual}, expected 'ResourceList'; {_HELP}", place)
    if not isinstance(version, yaml.ScalarNode) or version.value not in VERSIONS:
        actual = f"apiVersion is {version.value!r}" if isinstance(version, yaml.ScalarNode) else "there is no apiVersion"
        raise text.error(f"{actual}, expected {VERSIONS[0]!r} or its v1alpha1 or v1beta1", place)


def _whole_items(text: Text, frame: Frame) -> tuple[Block, ...]:
    """Make blocks of the items of a list that was composed as a whole; each reaches to the start of the next."""
    node = frame.value("items")
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null") and not node.style):
        return ()
    if not isinstance(node, yaml.SequenceNode):
        raise text.error(f"items is a {_KINDS.get(type(node))}, expected a list", frame.offset(node.start_mark.index))
    starts = [frame.offset(item.start_mark.index) for item in node.value[1:]]
    bounds = [frame.offset(node.start_mark.index), *starts, frame.offset(node.end_mark.index)]
    return tuple(
        Block.of_node(text, (bounds[i], bounds[i + 1]), i, item, frame) for i, item in enumerate(node.value)
    )


def _config(text: Text, frame: Frame) -> Block | None:
    """Make the block of the functionConfig."""
    node = frame.value("functionConfig")
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value and not node.style):
        return None
    span = frame.offset(node.start_mark.index), frame.offset(node.end_mark.index)
    return Block.of_node(text, span, -1, node, frame)


def _cut(text: Text) -> ResourceList | None:
    """Cut the items out by their lines; None when the text has anything that could make a line mean something else."""
    data = text.data
    if not _is_plain(data):
        return None
    at = 0 if data.startswith(b"items:") else data.find(b"\nitems:") + 1
    if not data.startswith(b"items:", at):
        return None
    first = re.compile(rb"items:(?:[ \t]+#[^\n]*|[ \t]*)\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)-(?=[ \t\r\n])").match(
        data, at
    )
    if first is None:
        return None
    begin = first.start(1)
    tail = _tail(data, begin)
    # The rest is composed with an empty list where the items were. If `items` is not that very list then, the line
    # that was taken for its key is text of something else, and the cut was wrong.
    head = data[: at + 6] + b" []" + data[at + 6 : begin]
    try:
        frame = Frame(text, head + data[tail:], len(head), tail - len(head))
    except InputError:
        return None
    items = frame.value("items")
    if items is None or frame.offset(items.start_mark.index) != at + 7:
        return None
    _check_frame(text, frame)
    starts = [*_starts(data, begin, tail, b"\n" + first[1] + b"-"), tail]
    blocks = tuple(Block(text, starts[i], starts[i + 1], i, is_cut=True) for i in range(len(starts) - 1))
    return ResourceList(text, blocks, _config(text, frame), frame)


def _is_plain(data: bytes) -> bool:
    """True if lines end as everybody thinks and there is one document without directives."""
    if not has_plain_breaks(data):
        return False
    return b"\n---" not in data and b"\n..." not in data and b"\n%" not in data and not data.startswith((b"%", BOM))


def _tail(data: bytes, begin: int) -> int:
    """Find where the list goes on after its items: the first of its own keys at the start of a line."""
    keys = (b"\napiVersion:", b"\nkind:", b"\nmetadata:", b"\nfunctionConfig:", b"\nresults:")
    ends = [at for key in keys if (at := data.find(key, begin)) >= 0]
    return min(ends) + 1 if ends else len(data)


def _starts(data: bytes, begin: int, tail: int, line: bytes) -> Iterable[int]:
    """Yield where items start: lines that hold a dash in the items' column and a blank after it."""
    yield begin
    at, size = data.find(line, begin, tail), len(line)
    while at >= 0:
        if data[at + size : at + size + 1] in (b" ", b"\n", b"\t", b"\r", b""):
            yield at + 1
        at = data.find(line, at + size, tail)


def _separates(blocks: Iterable[Block]) -> bool:
    """True if every block is YAML on its own, and so one item: then no quote or bracket is open at any cut."""
    try:
        for block in blocks:
            compose.check(block.raw)
    except yaml.YAMLError:
        return False
    return True


def splice(resource_list: ResourceList, edits: Sequence[Edit], results: Sequence[Diagnostic]) -> list[bytes | memoryview]:
    """Return the text in pieces, with edits and results spliced in; with neither, the very bytes that were read."""
    around = confirm(resource_list.text, resource_list.items, edits)
    if not (around or results):
        return pieces(resource_list.text.data, edits)
    from krmfn.yamledit.results import events, insert, unknown

    diagnostics = unknown(resource_list, results)
    # The list with one result is proven node by node. All results are written alike, so that of the others the events
    # are counted alone, which costs no memory: a text in them that ended a quote would make more, or fewer.
    first = _confirm_around(resource_list, [*around, *insert(resource_list, diagnostics[:1])])
    added = insert(resource_list, diagnostics)
    if len(diagnostics) > 1:
        whole = apply(resource_list.frame.whole, resource_list.frame.edits([*around, *added]))
        if compose.raw_parse(whole) != compose.raw_parse(first) + sum(map(events, diagnostics[1:])):
            raise resource_list.text.error("the results of this run would change the list; nothing was written")
    return pieces(resource_list.text.data, [*edits, *added])


def _confirm_around(resource_list: ResourceList, edits: Sequence[Edit]) -> bytes:
    """Prove edits around the items; return the frame's bytes with them."""
    frame = resource_list.frame
    source = Source.of(frame.whole)  # counts in the frame itself, where `frame` counts in the text
    return confirm_whole(Text(frame.whole, resource_list.text.name), frame.root, source, frame.edits(edits))
