"""Text, positions and trees: what is said about a place is true of the bytes there."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.errors import InputError
from krmfn.yamledit import compose
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Edit, Source, Text, apply
from krmfn.yamledit.verification import rewrite
from krmfn.yamledit.yamltree import children, construct, is_null, join_path, scalar_at
from tests import yamldocs
from tests.lists import scalars

LETTERS = st.text(st.sampled_from("ab\né🚀\u2028 "), max_size=3000)


@given(LETTERS, st.data())
def test_indexes_and_offsets_turn_into_each_other(text, data):
    source = Source(text.encode(), 7)
    index = data.draw(st.integers(0, len(text)))
    offset = 7 + len(text[:index].encode())
    assert source.offset(index) == offset
    assert source.index(offset) == index


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("abc", 0, (1, 1)),
        ("abc", 3, (1, 4)),
        ("a\nb", 2, (2, 1)),
        ("é\né x", 6, (2, 3)),
        ("\ufeffab", 4, (1, 2)),
        ("a\r\nb", 3, (2, 1)),
    ],
)
def test_a_place_is_counted_in_lines_and_letters(text, offset, place):
    assert Text(text.encode()).locate(offset) == place


@given(
    st.binary(max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8), st.binary(max_size=4)), max_size=6),
)
def test_edits_are_spliced_wherever_they_stand(data, wishes):
    edits, at = [], 0
    for start, size, text in sorted(wishes):
        if start > at and start + size <= len(data):
            edits.append(Edit(start, start + size, text))
            at = start + size
    out = apply(data, [*reversed(edits), *edits])
    back = bytearray(out)
    for number, edit in reversed(list(enumerate(edits))):
        shift = sum(len(one.text) - (one.end - one.start) for one in edits[:number])
        assert back[edit.start + shift : edit.start + shift + len(edit.text)] == edit.text
        back[edit.start + shift : edit.start + shift + len(edit.text)] = data[edit.start : edit.end]
    assert bytes(back) == data


def test_no_edits_give_back_the_very_object():
    data = bytes(bytearray(b"abc"))
    assert apply(data, []) is data


@pytest.mark.parametrize(
    "edits",
    [
        [Edit(0, 2, b"x"), Edit(1, 3, b"y")],
        [Edit(2, 1, b"x")],
        [Edit(0, 9, b"x")],
        [Edit(0, 1, b"x"), Edit(0, 1, b"y")],
    ],
)
def test_edits_that_overlap_or_leave_the_text_are_a_bug(edits):
    with pytest.raises(ValueError, match="overlaps"):
        apply(b"abc", edits)


def tree(node):
    """Describe a tree with everything that both composers must agree about."""
    spot = (node.start_mark.index, node.start_mark.column)
    if isinstance(node, yaml.MappingNode):
        return ("map", spot, bool(node.flow_style), [(tree(key), tree(value)) for key, value in node.value])
    if isinstance(node, yaml.SequenceNode):
        return ("list", spot, bool(node.flow_style), [tree(value) for value in node.value])
    tag = node.tag if isinstance(node.tag, str) and node.tag != "!" else None
    return (type(node).__name__, spot, node.end_mark.index, node.value, node.style or "", tag)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9))
def test_both_composers_make_the_same_tree(seed):
    data = yamldocs.document(seed)
    if not compose.is_simple(data):
        return
    answers: list[object] = []
    for one in (lambda: compose.compose(data), lambda: [each.root for each in compose.documents(data)]):
        try:
            made = one()
        except yaml.YAMLError as error:
            answers.append(type(error).__name__)
            continue
        made = made if isinstance(made, list) else [made]
        answers.append([tree(root) for root in made if root is not None])
    if "ComposerError" not in answers:
        assert answers[0] == answers[1]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_a_scalar_stands_where_it_says(seed):
    text = Text(yamldocs.document(seed))
    try:
        blocks = documents(text)
    except InputError:
        return
    for block in blocks:
        last = -1
        for scalar in scalars(block):
            assert block.start <= last < scalar.start + (scalar.start == scalar.end) <= scalar.end + 1 or last < 0
            last = scalar.start
            raw = text.data[scalar.start : scalar.end].decode()
            if scalar.style in ("'", '"'):
                assert raw[0] == raw[-1] == scalar.style
            elif scalar.style:
                assert raw[0] == scalar.style
            else:
                assert raw.split() == scalar.value.split()


def test_a_scalar_tells_what_writing_it_needs():
    text = Text(b'a: &x !!str b\nc: {"d": 1, "e": [2]}\nf:\n- ~\n-   g: |-\n      h\ni:\n')
    block = documents(text)[0]
    found = {scalar.path: scalar for scalar in scalars(block)}
    assert list(found) == ["a", "c.d", "c.e[0]", "f[0]", "f[1].g", "i"]
    assert (found["a"].anchored, found["a"].tag, found["a"].start) == (True, "tag:yaml.org,2002:str", 12)
    assert (found["c.d"].in_flow, found["c.d"].is_json) == (True, True)
    assert (found["f[0]"].is_null, found["f[0]"].value) == (True, "~")
    assert (found["f[1].g"].style, found["f[1].g"].indent) == ("|", 4)
    assert (found["i"].is_null, found["i"].start, found["i"].end) == (True, len(text.data) - 1, len(text.data) - 1)


def test_a_scalar_that_was_found_by_hand_is_the_same():
    block = documents(Text("ä: {b: [c, 'd']}\ne: f\n".encode()))[0]
    walked = {scalar.path: scalar for scalar in scalars(block)}
    b = dict(children(dict(children(block.root))["ä"]))["b"]
    assert scalar_at(block, dict(children(b))[1], "ä.b[1]") == walked["ä.b[1]"]
    with pytest.raises(TypeError, match="is not a scalar"):
        scalar_at(block, b, "ä.b")


def test_only_the_values_of_the_keys_asked_for_are_walked():
    block = documents(Text(b"image: a\nb:\n- image: c\n- d: {image: e, f: g}\nimages: h\n"))[0]
    assert [scalar.path for scalar in scalars(block, frozenset({"image"}))] == ["image", "b[0].image", "b[1].d.image"]


@given(st.lists(st.one_of(st.integers(0, 99), st.text(st.sampled_from("ab.['] \\\"é"), max_size=4)), max_size=4))
def test_a_path_can_be_read_back(steps):
    path, at = join_path(steps), 0
    found: list[int | str] = []
    while at < len(path):
        if path[at] == "[" and path[at + 1] != "'":
            end = path.index("]", at)
            found.append(int(path[at + 1 : end]))
            at = end + 1
        elif path[at] == "[":
            text, at = "", at + 2
            while path[at] != "'":
                at += path[at] == "\\"
                text, at = text + path[at], at + 1
            found.append(text)
            at += 2
        else:
            at += path[at] == "."
            end = min([path.find(sign, at) for sign in ".[" if path.find(sign, at) >= 0], default=len(path))
            found.append(path[at:end])
            at = end
    assert found == steps


def test_data_keeps_every_scalar_as_it_is_written():
    root = documents(Text(b"a: 1.10\nb: ~\nc:\nd: 'null'\ne: !!str null\nf: on\ng: 2024-01-02\n<<: {h: i}\n"))[0].root
    assert construct(root) == {
        "a": "1.10",
        "b": None,
        "c": None,
        "d": "null",
        "e": "null",
        "f": "on",
        "g": "2024-01-02",
        "<<": {"h": "i"},
    }


def test_aliases_are_followed():
    assert construct(documents(Text(b"a: &x [1]\nb: *x\nc: {d: *x}\n"))[0].root) == {
        "a": ["1"],
        "b": ["1"],
        "c": {"d": ["1"]},
    }


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' is given twice", 3, 1),
        ("a:\n  b: 1\n  'b': 2\n", "key 'b' is given twice", 3, 3),
        ("a: *x\n", "names no anchor", 1, 4),
        ("a: &x [*x]\n", "inside its own anchor", 1, 8),
        ("? [a]\n: b\n", "not a scalar", 1, 3),
    ],
)
def test_data_that_is_ambiguous_is_refused_with_its_place(text, message, line, column):
    block = documents(Text(text.encode(), "f.yaml"))[0]
    with pytest.raises(InputError, match=message) as caught:
        construct(block.root, block)
    assert (caught.value.name, caught.value.line, caught.value.column) == ("f.yaml", line, column)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a: ~", True),
        ("a:", True),
        ("a: null", True),
        ("a: ''", False),
        ("a: !!str", False),
        ("a: !!null x", False),
        ("a: nul", False),
    ],
)
def test_nulls_are_told_from_strings(text, answer):
    assert is_null(dict(children(documents(Text(text.encode()))[0].root))["a"]) is answer


STREAMS = {
    "one": ("a: b\n", ["a: b\n"]),
    "two": ("a: b\n---\nc: d\n", ["a: b\n", "---\nc: d\n"]),
    "a start in front": ("---\na: b\n--- # c\nc: d\n", ["---\na: b\n", "--- # c\nc: d\n"]),
    "comments around": ("# 1\n---\na: b\n# 2\n---\n# 3\nc: d\n", ["# 1\n---\na: b\n# 2\n", "---\n# 3\nc: d\n"]),
    "an end between": ("a: b\n...\n# 1\n---\nc: d\n", ["a: b\n...\n# 1\n", "---\nc: d\n"]),
    "an empty one": ("a: b\n---\n---\nc: d\n", ["a: b\n", "---\n", "---\nc: d\n"]),
    "a mark in front": ("\ufeffa: b\n---\nc: d\n", ["\ufeffa: b\n", "---\nc: d\n"]),
    "dashes in a block": ("a: |\n  ---\n  b\n---\nc: d\n", ["a: |\n  ---\n  b\n", "---\nc: d\n"]),
    "none": ("", []),
    "only comments": ("# a\n", []),
}


@pytest.mark.parametrize(("text", "raws"), STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_is_split_where_yaml_splits_it(text, raws):
    blocks = documents(Text(text.encode()))
    assert [block.raw.decode() for block in blocks] == raws
    assert [construct(block.root) for block in blocks] == [
        data or None for data in yaml.load_all(text, yaml.CBaseLoader)
    ][: len(raws)]
    assert [block.index for block in blocks] == list(range(len(raws)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\n--- {c: d}\n", "2:1: content stands behind this ---"),
        ("%YAML 1.2\n---\na: b\n", "1:1: a directive stands here"),
        ("a: b\n---\n c: [\n", "not valid YAML"),
        ("a: b\n----\nc: d\n", "not valid YAML"),
        ("{{- if .x }}\na: b\n", "not valid YAML"),
    ],
)
def test_a_stream_that_flux_would_not_read_is_refused(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        documents(Text(text.encode()))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=3))
def test_documents_cut_by_lines_are_those_of_the_events(seeds):
    data = b"---\n".join(yamldocs.document(seed).rstrip(b"\n") + b"\n" for seed in seeds)
    try:
        expected = [each.root for each in compose.documents(data)]
    except yaml.YAMLError:
        with pytest.raises(InputError):
            [construct(block.root) for block in documents(Text(data))]
        return
    try:
        blocks = documents(Text(data))
    except InputError as error:
        assert any(word in error.message for word in ("directive", "content stands", "byte order mark"))  # noqa: PT017
        return
    assert [block.root and shape(block.root) for block in blocks] == [root and shape(root) for root in expected]


def shape(node):
    """Describe a tree without its marks."""
    if isinstance(node, yaml.MappingNode):
        return [(shape(key), shape(value)) for key, value in node.value]
    return [shape(value) for value in node.value] if isinstance(node, yaml.SequenceNode) else node.value


@pytest.mark.parametrize(
    ("edit", "is_fine"),
    [
        (Edit(3, 4, b"x", "b", "x"), True),
        (Edit(3, 4, b'"x: y"', "b", "x: y"), True),
        (Edit(3, 4, b"xy", "b", "x"), False),
        (Edit(3, 4, b"x", "a", "x"), False),
        (Edit(3, 5, b"x\n", "b", "x"), False),
        (Edit(4, 4, b"x", "b", "bx"), False),
        (Edit(3, 4, b"1.10", "b", "1.10"), False),
        (Edit(3, 4, b"&b", "b", "&b"), False),
        (Edit(3, 4, b"x #", "b", "x #"), False),
        (Edit(3, 4, b"x: y", "b", "x: y"), False),
        (Edit(3, 4, b"[x]", "b", "[x]"), False),
        (Edit(3, 4, b'"x', "b", "x"), False),
        (Edit(3, 4, b"x: y"), False),
        (Edit(3, 4, b"[x]"), False),
        (Edit(3, 4, b'"x'), False),
        (Edit(5, 5, b"n: m\n"), True),
        (Edit(5, 5, b"n"), False),
        (Edit(5, 5, b"n: m"), False),
        (Edit(5, 5, b"]"), False),
        (Edit(4, 4, b" # n"), True),
        (Edit(4, 5, b" "), False),
        (Edit(10, 10, b"---\nn: m\n"), True),
        (Edit(10, 10, b"---\n"), False),
        (Edit(10, 10, b"n: m\n"), True),
        (Edit(10, 14, b""), False),
    ],
)
def test_an_edit_changes_what_it_says_and_nothing_else(edit, is_fine):
    text = Text(b"a: b\nc: d\n---\ne: f\n", "a.yaml")
    if is_fine:
        assert rewrite(text, [edit]) == apply(text.data, [edit])
        return
    with pytest.raises(InputError, match=r"^a\.yaml:\d+:\d+: an edit here would change more than its value"):
        rewrite(text, [edit])


def test_a_key_that_is_an_alias_is_the_scalar_that_it_stands_for():
    text = b"name: &app web\nof:\n  *app : {image: nginx}\n"
    block = documents(Text(text))[0]
    assert [(one.path, one.value) for one in scalars(block)] == [("name", "web"), ("of.web.image", "nginx")]
    assert construct(block.root) == {"name": "web", "of": {"web": {"image": "nginx"}}}


def test_an_alias_keeps_its_own_place():
    block = documents(Text(b"a: &x b\nc: *x\n"))[0]
    alias = dict(children(block.root))["c"]
    assert isinstance(alias, Alias)
    assert alias.target is dict(children(block.root))["a"]
    assert block.span(alias) == (11, 13)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_places_in_large_texts_are_those_that_counting_gives(size: int):
    data = (b"ab\n\ncde: f\n" * (size // 10 + 1))[:size]
    text = Text(data)
    for offset in {0, size, *range(0, size, 4_999), *(one for one in (65_535, 65_536, 65_537, 131_071, 131_072) if one <= size)}:
        before = data[:offset]
        assert text.locate(offset) == (before.count(b"\n") + 1, offset - before.rfind(b"\n"))
