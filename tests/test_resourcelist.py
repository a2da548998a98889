"""A ResourceList is read item by item, refused with a reason, and written with its results."""

import pytest
import yaml

from krmfn.errors import InputError
from krmfn.model import Diagnostic, Field, File, Location, PolicyKey, ResourceId
from krmfn.yamledit import resourcelist
from krmfn.yamledit.text import Edit, Text
from krmfn.yamledit.yamltree import construct
from tests.lists import spliced

HEAD = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n"
RESULT = Diagnostic(
    "info",
    "changed",
    "a: 1 -> 2",
    Location(ResourceId("v1", "Pod", "", "x"), Field("spec.image", "a:1", "a:2"), File("a.yaml", 0)),
    policy=PolicyKey("ns", "p"),
)
ENTRY = {
    "message": "a: 1 -> 2",
    "severity": "info",
    "resourceRef": {"apiVersion": "v1", "kind": "Pod", "name": "x"},
    "field": {"path": "spec.image", "currentValue": "a:1", "proposedValue": "a:2"},
    "file": {"path": "a.yaml", "index": "0"},
    "tags": {"policy": "ns:p"},
}

SHAPES = {
    "compact": (HEAD + "items:\n- a: 1\n- a: 2\n", 2, None),
    "indented": (HEAD + "items:\n  - a: 1\n  - a: 2\n", 2, None),
    "config behind": (HEAD + "items:\n- a: 1\nfunctionConfig:\n  kind: X\n  b:\n  - c\n", 1, {"kind": "X", "b": ["c"]}),
    "config before": (HEAD + "functionConfig:\n  kind: X\nitems:\n- a: 1\n- a: 2\n", 2, {"kind": "X"}),
    "config empty": (HEAD + "items:\n- a: 1\nfunctionConfig:\n", 1, None),
    "kind behind": ("items:\n- a: 1\napiVersion: config.kubernetes.io/v1\nkind: ResourceList\n", 1, None),
    "items empty": (HEAD + "items: []\n", 0, None),
    "items null": (HEAD + "items:\nfunctionConfig: {kind: X}\n", 0, {"kind": "X"}),
    "items absent": (HEAD, 0, None),
    "items flow": (HEAD + "items: [{a: 1}, {a: 2}, {a: 3}]\n", 3, None),
    "JSON": ('{"apiVersion":"config.kubernetes.io/v1","kind":"ResourceList","items":[{"a":1}],"functionConfig":{"kind":"X"}}', 1, {"kind": "X"}),
    "alpha": (HEAD.replace("/v1", "/v1alpha1") + "items:\n- a: 1\n", 1, None),
    "beta": (HEAD.replace("/v1", "/v1beta1") + "items:\n- a: 1\n", 1, None),
    "comments between": (HEAD + "items: # all\n# one\n- a: 1\n\n# two\n- a: 2\n# end\n", 2, None),
    "other letters": (HEAD + "items:\n- a: ä\n- b: 🚀\nfunctionConfig: {kind: é}\n", 2, {"kind": "é"}),
    "a mark in front": ("\ufeff" + HEAD + "items:\n- a: 1\n", 1, None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "count", "config"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_a_list_is_read(text, count, config, whole):
    given = resourcelist.read(Text(text.encode()), whole=whole)
    assert len(given.items) == count
    assert [construct(block.root, block) for block in given.items] == (
        yaml.load(text.lstrip("\ufeff"), yaml.CBaseLoader).get("items") or []
    )
    assert (construct(given.function_config.root) if given.function_config else None) == config
    assert [block.index for block in given.items] == list(range(count))
    assert spliced(given, (), ()) is given.text.data


@pytest.mark.parametrize(("text", "count", "config"), SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_blocks_cover_their_items_in_order(text, count, config, whole):
    del config
    given = resourcelist.read(Text(text.encode()), whole=whole)
    for one, other in zip(given.items, given.items[1:], strict=False):
        assert one.start < one.end <= other.start < other.end
    for block in given.items:
        assert block.root is not None
        start, end = block.span(block.root)
        assert block.start <= start < end
        assert block.raw == given.text.data[block.start : block.end]
        block.forget()
        assert construct(block.root) is not None
    assert len(given.items) == count


REFUSED = {
    "nothing": ("", "nothing was read"),
    "blanks": (" \n\n", "nothing was read"),
    "comments": ("# a\n", "nothing but comments"),
    "a list": ("- a\n", "is a list"),
    "a scalar": ("a\n", "is a scalar"),
    "another kind": ("apiVersion: v1\nkind: Pod\n", "kind is 'Pod', expected 'ResourceList'"),
    "a kind List": ("apiVersion: v1\nkind: List\nitems:\n- a: 1\n", "kind is 'List'"),
    "no kind": ("apiVersion: config.kubernetes.io/v1\nitems: []\n", "has no kind"),
    "another version": (HEAD.replace("/v1", "/v9") + "items:\n- a: 1\n", "config.kubernetes.io/v9"),
    "no version": ("kind: ResourceList\nitems: []\n", "no apiVersion"),
    "two documents": (HEAD + "items: []\n---\na: b\n", "several documents"),
    "no YAML": (HEAD + "items:\n- a: [\n", "not valid YAML"),
    "keys twice": (HEAD + "items:\n- a: 1\nkind: ResourceList\n", "key 'kind' is given twice"),
    "items twice": (HEAD + "items: []\nitems: []\n", "key 'items' is given twice"),
    "items a mapping": (HEAD + "items: {a: b}\n", "items is a mapping"),
    "items a scalar": (HEAD + "items: text\n", "items is a scalar"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_what_is_no_list_is_refused_with_a_reason(text, message, whole):
    with pytest.raises(InputError) as caught:
        resourcelist.read(Text(text.encode(), "stdin.yaml"), whole=whole)
    assert message in str(caught.value)
    assert str(caught.value).startswith("stdin.yaml:")


def test_an_error_names_line_and_column():
    with pytest.raises(InputError) as caught:
        resourcelist.read(Text("# ä\nkind: Pod\n".encode()))
    assert (caught.value.line, caught.value.column) == (2, 7)


@pytest.mark.parametrize("items", ['- a: "x\n- b: y"\n- c: z\n', "- a: [x,\n- b]\n- c: z\n", "- a: 'x\n- b: y'\n-"])
def test_a_cut_that_was_wrong_shows_at_once(items):
    try:
        given = resourcelist.read(Text(f"{HEAD}items:\n{items}".encode()))
    except InputError as error:
        assert "not valid YAML" in str(error)  # noqa: PT017
        return
    assert [block.is_cut for block in given.items] == [False, False]


PLACES = {
    "absent": (HEAD + "items:\n- a: 1\n", []),
    "absent, config behind": (HEAD + "items:\n- a: 1\nfunctionConfig:\n  a: |+\n    b\n\n", []),
    "absent, no line end": (HEAD + "items:\n- a: |\n    b", []),
    "absent, no line end behind config": (HEAD + "items:\n- a: 1\nfunctionConfig:\n  a: |\n    b", []),
    "absent, no items": (HEAD + "items: []", []),
    "absent, document end": (HEAD + "items:\n- a: 1\n...\n", []),
    "absent, carriage returns": ((HEAD + "items:\n- a: 1\n").replace("\n", "\r\n"), []),
    "absent in JSON": ('{"apiVersion":"config.kubernetes.io/v1","kind":"ResourceList","items":[{"a":1}]}\n', []),
    "absent in JSON over lines": ('{"apiVersion":"config.kubernetes.io/v1",\n "kind":"ResourceList",\n "items":[{"a":1}]\n}\n', []),
    "null": (HEAD + "results:\nitems:\n- a: 1\n", []),
    "empty": (HEAD + "results: [] # none\nitems:\n- a: 1\n", []),
    "a list": (HEAD + "items:\n- a: 1\nresults:\n- message: old\n  severity: info\n", [{"message": "old", "severity": "info"}]),
    "a list before the items": (HEAD + "results:\n  - message: old\nitems:\n- a: 1\n", [{"message": "old"}]),
    "a list with a comment": (HEAD + "results:\n- message: old # c\n# end\nitems:\n- a: 1\n", [{"message": "old"}]),
    "a list that ends in a block": (HEAD + "results:\n- message: |\n    old\n\nitems:\n- a: 1\n", [{"message": "old\n"}]),
    "a list that ends without a line end": (HEAD + "items:\n- a: 1\nresults:\n- message: old", [{"message": "old"}]),
    "a flow list": (HEAD + "results: [{message: old}, # c\n  ]\nitems:\n- a: 1\n", [{"message": "old"}]),
    "a JSON list": ('{"apiVersion":"config.kubernetes.io/v1","kind":"ResourceList","results":[{"message":"old"}]}', [{"message": "old"}]),
    "a mapping": (HEAD + "results:\n  name: f\n  items:\n  - message: old\nitems:\n- a: 1\n", [{"message": "old"}]),
    "a mapping without items": (HEAD + "results:\n  name: f\nitems:\n- a: 1\n", []),
    "a flow mapping": (HEAD + "results: {name: f, items: [{message: old}]}\nitems:\n- a: 1\n", [{"message": "old"}]),
    "a flow mapping without items": (HEAD + "results: {name: f}\nitems:\n- a: 1\n", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "before"), PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
def test_results_are_added_behind_those_that_are_there(text, before, whole):
    given = resourcelist.read(Text(text.encode()), whole=whole)
    out = spliced(given, (), [RESULT, Diagnostic("error", "bad-input", 'bad "thing"\nover lines')])
    data, old = (yaml.load(each, yaml.CBaseLoader) for each in (out, text.encode()))
    results = data.pop("results")
    listed = results["items"] if isinstance(results, dict) else results
    assert listed == [
        *before,
        ENTRY,
        {"message": 'bad "thing"\nover lines', "severity": "error", "tags": {"code": "bad-input"}},
    ]
    if isinstance(results, dict):
        assert results["name"] == "f"
    old.pop("results", None)
    assert data == old
    assert (b"\r\n" in out) == ("\r\n" in text)
    again = spliced(
        resourcelist.read(Text(out), whole=whole),
        (),
        [RESULT, Diagnostic("error", "bad-input", 'bad "thing"\nover lines')],
    )
    assert again == out


def test_results_go_above_a_block_scalar_that_a_line_end_would_change():
    given = resourcelist.read(Text((HEAD + "items: []\nresults:\n- a: b\n- message: |\n    old").encode()))
    out = yaml.load(spliced(given, (), [RESULT]), yaml.CBaseLoader)
    assert out["results"] == [{"a": "b"}, ENTRY, {"message": "old"}]


def test_results_have_the_shape_that_readers_of_strings_expect():
    out = spliced(
        resourcelist.read(Text((HEAD + "items: []\n").encode())), (), [Diagnostic("warning", "1e3", "1.10")]
    )
    assert out.decode().removeprefix(HEAD + "items: []\n") == (
        'results:\n- message: "1.10"\n  severity: warning\n  tags:\n    code: "1e3"\n'
    )


def test_edits_and_results_are_spliced_together():
    text = Text((HEAD + "items:\n- a: x\n- b: y\n").encode())
    given = resourcelist.read(text)
    at = text.data.index(b"y\n")
    out = spliced(given, [Edit(at, at + 1, b"z")], [Diagnostic("info", "note", "b")])
    assert (
        out
        == text.data.replace(b"y\n", b"z\n")
        + b'results:\n- message: "b"\n  severity: info\n  tags:\n    code: "note"\n'
    )


@pytest.mark.parametrize("new", [b"z: w", b"[", b"'", b"\n- c: d", b"*q w"])
def test_an_edit_that_would_change_the_structure_is_refused(new):
    text = Text((HEAD + "items:\n- a: x\n- b: y\n").encode())
    given = resourcelist.read(text)
    at = text.data.index(b"y\n")
    with pytest.raises(InputError, match="an edit here would"):
        spliced(given, [Edit(at, at + 1, new)], ())
