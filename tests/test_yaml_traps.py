"""The traps of editing YAML by spans, one by one: each has once broken an editor."""


import pytest
import yaml

from krmfn.errors import InputError
from krmfn.yamledit import markers, prefilter, resourcelist, scalars
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Edit, Text
from krmfn.yamledit.yamltree import construct
from tests.lists import scalars as values
from tests.lists import spliced
from tests.waiting import thrifty

HEAD = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n"
MARK = '# {"$imagepolicy": "f:n"}'
SETTERS = {"f:n": "nginx:9", "f:n:tag": "1.10"}


def update(data: bytes, *, whole: bool = False) -> bytes:
    """Apply markers to a ResourceList, cut where that is possible."""
    text = Text(data)
    given = resourcelist.read(text, whole=whole)
    edits = []
    for block in given.items:
        for marker in markers.read(block):
            value = SETTERS.get(marker.setter, marker.scalar.value)
            edit = scalars.render(text, marker.scalar, value)
            if value != marker.scalar.value and isinstance(edit, Edit):
                edits.append(edit)
        block.forget()
    return spliced(given, edits, ())


def items(text: str) -> str:
    return HEAD + "items:\n" + text


# Texts and what becomes of them: None stays as it is, a text is the new form, an exception is refused.
TRAPS: dict[str, tuple[str, object]] = {
    "01 items with a hash glued on is no list": (HEAD + f"items:#x\n- image: a {MARK}\n", InputError),
    "01 items with a comment": (
        HEAD + f"items: # all\n- image: a {MARK}\n", HEAD + f"items: # all\n- image: nginx:9 {MARK}\n"),
    "01 items with an anchor": (HEAD + f"items: &a\n- image: a {MARK}\n", HEAD + f"items: &a\n- image: nginx:9 {MARK}\n"),
    "01 items with a tag": (HEAD + f"items: !!seq\n- image: a {MARK}\n", HEAD + f"items: !!seq\n- image: nginx:9 {MARK}\n"),
    "01 items in quotes": (HEAD + f'"items":\n- image: a {MARK}\n', HEAD + f'"items":\n- image: nginx:9 {MARK}\n'),
    "01 items as an explicit key": (HEAD + f"? items\n:\n- image: a {MARK}\n", HEAD + f"? items\n:\n- image: nginx:9 {MARK}\n"),
    "01 items twice": (HEAD + f"items:\n- image: a {MARK}\nitems:\n- image: a {MARK}\n", InputError),
    "02 a comment behind the dash": (items(f"- # head\n  image: a {MARK}\n"), items(f"- # head\n  image: nginx:9 {MARK}\n")),
    "02 a dash alone": (items(f"-\n  image: a {MARK}\n"), items(f"-\n  image: nginx:9 {MARK}\n")),
    "02 a wide dash": (items(f"-   image: a {MARK}\n    b: c\n"), items(f"-   image: nginx:9 {MARK}\n    b: c\n")),
    "02 a list in a list": (items(f"- - image: a {MARK}\n"), None),
    "02 an item that is a literal": (items(f"- |\n  kind: Pod\n  image: a {MARK}\n- image: a {MARK}\n"),
                                      items(f"- |\n  kind: Pod\n  image: a {MARK}\n- image: nginx:9 {MARK}\n")),
    "03 a quoted scalar over item lines": (items('- a: "x\n- image: a # b\n- b: y"\n'), None),
    "03 a quoted scalar over item lines, then a real one": (
        items(f"- a: 'x\n- image: a {MARK}\n- b: y'\n- image: a {MARK}\n"),
        items(f"- a: 'x\n- image: a {MARK}\n- b: y'\n- image: nginx:9 {MARK}\n")),
    "03 a flow mapping over item lines": (items(f"- {{a: [x,\n- image, a]}}\n- image: a {MARK}\n"), InputError),
    "04 a document start before": ("---\n" + items(f"- image: a {MARK}\n"), "---\n" + items(f"- image: nginx:9 {MARK}\n")),
    "04 a document end behind": (items(f"- image: a {MARK}\n...\n"), items(f"- image: nginx:9 {MARK}\n...\n")),
    "04 a directive": ("%YAML 1.1\n---\n" + items(f"- image: a {MARK}\n"), "%YAML 1.1\n---\n" + items(f"- image: nginx:9 {MARK}\n")),
    "04 two documents": (items(f"- image: a {MARK}\n---\na: b\n"), InputError),
    "05 a lone carriage return": (items(f"- a: b\r  image: a {MARK}\n"), items(f"- a: b\r  image: nginx:9 {MARK}\n")),
    "05 a next line character": (items(f"- a: b\x85  image: a {MARK}\n"), items(f"- a: b\x85  image: nginx:9 {MARK}\n")),
    "05 a line separator": (items(f"- a: b\u2028  image: a {MARK}\n"), items(f"- a: b\u2028  image: nginx:9 {MARK}\n")),
    "05 a byte order mark at the start": ("\ufeff" + items(f"- image: a {MARK}\n"), "\ufeff" + items(f"- image: nginx:9 {MARK}\n")),
    "05 a byte order mark at a line": (items(f"- a: b\n\ufeff- image: a {MARK}\n"), InputError),
    "05 a byte order mark inside a value": (items(f"- a: 'b\ufeff'\n- image: a {MARK}\n"), items(f"- a: 'b\ufeff'\n- image: nginx:9 {MARK}\n")),
    "06 no final line break": (items(f"- image: a {MARK}"), items(f"- image: nginx:9 {MARK}")),
    "06 carriage returns": (items(f"- image: a {MARK}\n").replace("\n", "\r\n"), items(f"- image: nginx:9 {MARK}\n").replace("\n", "\r\n")),
    "06 mixed line ends": (items(f"- image: a {MARK}\r\n- b: c\n"), items(f"- image: nginx:9 {MARK}\r\n- b: c\n")),
    "06 a NUL": (items(f"- image: a\x00 {MARK}\n"), InputError),
    "06 a control character": (items(f"- a: b\x01\n- image: a {MARK}\n"), InputError),
    "06 a delete character": (items(f"- a: b\x7f\n- image: a {MARK}\n"), InputError),
    "07 keys with blanks, tabs, quotes and escapes": (items(f'- kind\t: Pod\n  "im\\x61ge" : a {MARK}\n'), items(f'- kind\t: Pod\n  "im\\x61ge" : nginx:9 {MARK}\n')),
    "09 look-alikes in a literal": (items(f"- a: |\n    image: a {MARK}\n"), None),
    "09 look-alikes in a folded block": (items(f"- a: >-\n    image: a {MARK}\n"), None),
    "09 look-alikes in quotes over lines": (items(f"- a: 'b\n    image: a {MARK}\n    '\n"), None),
    "10 a hash inside a value": (items(f"- image: ngi#nx {MARK}\n"), items(f"- image: nginx:9 {MARK}\n")),
    "10 a hash glued to a value": (items('- image: a#{"$imagepolicy":"f:n"}\n'), None),
    "10 a comment glued to a quote": (items(f'- image: "a"{MARK}\n'), items(f'- image: "nginx:9"{MARK}\n')),
    "11 behind a flow mapping": (items(f"- a: {{image: b}} {MARK}\n"), None),
    "11 behind a comma": (items(f"- a: {{image: b, {MARK}\n    c: d}}\n"), items(f"- a: {{image: 'nginx:9', {MARK}\n    c: d}}\n")),
    "12 behind nothing": (items(f"- image: {MARK}\n  b: c\n"), None),
    "12 behind a tilde": (items(f"- image: ~ {MARK}\n"), items(f"- image: nginx:9 {MARK}\n")),
    "13 behind a block scalar's header": (items(f"- image: |- {MARK}\n    a\n  b: c\n"), items(f"- image: |- {MARK}\n    nginx:9\n  b: c\n")),
    "14 above an item": (items(f"- a:\n  - b\n  {MARK}\n  - c\n"), items(f"- a:\n  - b\n  {MARK}\n  - nginx:9\n")),
    "14 above a key": (items(f"- a: b\n  {MARK}\n  image: c\n"), None),
    "14 two hashes": (items(f"- image: a #{MARK}\n"), items(f"- image: nginx:9 #{MARK}\n")),
    "14 text behind the JSON": (items(f"- image: a {MARK} keep\n"), None),
    "15 a next line character ends a comment": (items(f"- image: a {MARK}\x85  b: c\n"), items(f"- image: nginx:9 {MARK}\x85  b: c\n")),
    "16 an escaped slash": (items(f'- image: "a\\/b" {MARK}\n'), items(f'- image: "nginx:9" {MARK}\n')),
    "17 an empty value above its twin": (items(f"- image:\n  b: c {MARK}\n"), items(f"- image:\n  b: nginx:9 {MARK}\n")),
    "18 an alias": (items(f"- a: &x b\n  image: *x {MARK}\n"), None),
    "18 an anchored scalar": (items(f"- a: &x b {MARK}\n  image: *x\n"), items(f"- a: &x nginx:9 {MARK}\n  image: *x\n")),
    "18 an anchor given twice": (items(f"- a: &x b\n  c: &x d\n  image: e {MARK}\n"), items(f"- a: &x b\n  c: &x d\n  image: nginx:9 {MARK}\n")),
    "18 an alias to another item": (items(f"- a: &x b\n- c: *x\n  image: e {MARK}\n"), items(f"- a: &x b\n- c: *x\n  image: nginx:9 {MARK}\n")),
    "18 an alias as a key": (items(f"- a: &x b\n  c:\n    *x : e {MARK}\n"), items(f"- a: &x b\n  c:\n    *x : nginx:9 {MARK}\n")),
    "18 an alias as a key on the way": (items(f"- a: &x b\n  *x :\n    image: e {MARK}\n"), items(f"- a: &x b\n  *x :\n    image: nginx:9 {MARK}\n")),
    "18 an alias as a key in flow": (items(f"- a: &x b\n  c: {{*x : y, image: &y e}} {MARK}\n"), None),
    "18 an anchored scalar that is a key elsewhere": (items(f"- image: &x b {MARK}\n  c:\n    *x : d\n"), items(f"- image: &x nginx:9 {MARK}\n  c:\n    *x : d\n")),
    "18 an alias of nothing as a key": (items(f"- *x : y\n  image: e {MARK}\n"), items(f"- *x : y\n  image: nginx:9 {MARK}\n")),
    "19 a plain value over two lines": (items(f"- image: a\n    b {MARK}\n  c: d\n"), items(f"- image: nginx:9 {MARK}\n  c: d\n")),
    "20 a marker inside a complex key": (items(f"- ? [a {MARK}\n    ]\n  : b\n"), None),
    "20 a value behind a complex key": (items(f"- ? [a]\n  : b {MARK}\n"), items(f"- ? [a]\n  : nginx:9 {MARK}\n")),
    "21 items that are no mappings": (items(f"- a {MARK}\n- ~\n- [b] {MARK}\n"), None),
    "21 no items": (HEAD + "items: []\n", None),
    "21 null items": (HEAD + "items:\n", None),
    "21 items that are a mapping": (HEAD + "items: {}\n", InputError),
    "21 a list inside": (items(f"- kind: List\n  items:\n  - image: a {MARK}\n"), items(f"- kind: List\n  items:\n  - image: nginx:9 {MARK}\n")),
    "24 JSON in one line": ('{"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": [{"a": "b"}]}', None),
    "25 two comments for one scalar": (items(f"- a:\n  {MARK}\n  - b {MARK}\n"), items(f"- a:\n  {MARK}\n  - nginx:9 {MARK}\n")),
    "32 an alias of nothing": (items(f"- a: *x\n  image: e {MARK}\n"), items(f"- a: *x\n  image: nginx:9 {MARK}\n")),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TRAPS.values(), ids=TRAPS.keys())
@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_a_trap_is_passed(text, expected, whole):
    if expected is InputError:
        with pytest.raises(InputError):
            update(text.encode(), whole=whole)
        return
    out = update(text.encode(), whole=whole)
    assert out.decode() == (text if expected is None else expected)
    assert update(out, whole=whole) == out


TYPED = [
    ("1.10", '"1.10"'), ("1e3", '"1e3"'), ("12e5678", '"12e5678"'), ("0x1f", '"0x1f"'), ("1_000", '"1_000"'), ("1:30", '"1:30"'),
    ("on", '"on"'), ("~", '"~"'), ("2024-01-02", '"2024-01-02"'), (".inf", '".inf"'), ("=", '"="'), ("<<", '"<<"'), ("v1", "v1"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "written"), TYPED, ids=[value for value, _ in TYPED])
def test_22_a_value_that_some_reader_types_is_quoted(value, written):
    text = Text(b"tag: x\n")
    edit = scalars.render(text, next(values(documents(text)[0])), value)
    assert edit == Edit(5, 6, written.encode(), "x", value)


def test_23_new_text_in_flow_holds_no_bare_sign():
    text = Text(b"{a: x, b: y}\n")
    edit = scalars.render(text, next(values(documents(text)[0])), "p,q]}")
    assert isinstance(edit, Edit)
    assert yaml.safe_load(b"{a: " + edit.text + b", b: y}") == {"a": "p,q]}", "b": "y"}


def test_24_letters_beyond_the_basic_plane_are_written_as_they_are():
    text = Text(b'{"a": "x"}\n')
    edit = scalars.render(text, next(values(documents(text)[0])), "🚀\u2028")
    assert isinstance(edit, Edit)
    assert edit.text.decode() == '"🚀\\u2028"'


DEEP = {
    "brackets": "[" * 50_000,
    "closed brackets": "[" * 50_000 + "]" * 50_000,
    "braces": "{a: " * 50_000,
    "dashes": "- " * 50_000 + "a",
    "questions": "? " * 50_000 + "a",
    "mappings by columns": "".join(" " * depth + "a:\n" for depth in range(1, 1200)),
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_26_depth_is_refused_before_anything_recurses(text):
    with thrifty():
        with pytest.raises(InputError):
            construct(documents(Text(text.encode()))[0].root)
        with pytest.raises(InputError):
            update(items(f"- image: a {MARK}\n  b:\n   - ").encode() + text.replace("\n", "\n   ").encode())


def test_26_depth_below_the_limit_is_read():
    text = Text(b"a: " + b"[" * 900 + b"]" * 900)
    assert construct(documents(text)[0].root) is not None


def test_27_many_brackets_that_nobody_composes_cost_no_square():
    data = items("- a: " + "[" * 100_000 + "\n").encode()
    with thrifty():
        with pytest.raises(InputError):
            update(data)
        many = items("- a: [[[[[[[[[[]]]]]]]]]]\n" * 20_000).encode()
        assert update(many) == many


LONG = {
    "a line of 128 KiB": (f"- a: {'x' * 131_072}\n  ", ""),
    "a scalar of 2 MB": (f"- a: '{'x y ' * 500_000}'\n  ", ""),
    "a literal of 10 MB": ("- a: |\n" + f"    image: b {MARK}\n" * 250_000 + "  ", ""),
    "a million hashes": ("- a: '" + "# {" * 1_000_000 + "'\n  ", ""),
    "fake markers on one line": ('- {"a": "' + '# {\\"$imagepolicy\\": \\"f:n\\"}' * 100_000 + '"}\n- ', ""),
    "an alias bomb": ("- a0: &a0 [x, x]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)) + "  ", ""),
    "100,000 items": ("- ", "- a: b\n" * 100_000),
    "a long key": (f"- {'k' * 1000}: a\n  ", ""),
    "many comments": ("- a:\n" + f"  {MARK}\n" * 50_000 + "  - b\n  ", ""),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("before", "behind"), LONG.values(), ids=LONG.keys())
def test_28_29_30_long_and_many_cost_time_in_proportion(before, behind):
    with thrifty():
        out = update(items(f"{before}image: b {MARK}\n{behind}").encode()).decode()
        assert out == items(f"{before}image: nginx:9 {MARK}\n{behind}")


@pytest.mark.slow
def test_30_an_alias_bomb_is_not_expanded_when_it_is_read_as_data():
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(InputError, match="more than"):
        construct(documents(Text(bomb.encode()))[0].root)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("apiVersion: v1".encode("utf-16"), "UTF-16"),
        ("apiVersion: v1".encode("utf-16-be"), "UTF-16"),
        ("apiVersion: v1".encode("utf-16-le"), "UTF-16"),
        (b"a: \xff\n", "0xff is not UTF-8"),
        (b"a: b\n" + b"c: " + "é".encode("latin-1"), "0xe9 is not UTF-8"),
        (b"a" * (1 << 20) + "é".encode()[:1], "0xc3 is not UTF-8"),
        (b"a: [b\n", "not valid YAML"),
        (b"a:\tb\x02\n", "not valid YAML"),
    ],
)
def test_what_is_no_text_is_refused_with_a_reason(data, message):
    with pytest.raises(InputError, match=message):
        documents(Text(data))


def test_a_screened_value_that_goes_on_below_is_composed():
    raw = b"- image: nginx:9\n    foo\n"
    expected = prefilter.Expected({}, {"docker.io/library/nginx": frozenset({"nginx:9"})})
    assert prefilter.may_change(raw, expected)
    assert not prefilter.may_change(b"- image: nginx:9\n  foo: b\n", expected)
