"""Annotations and markers are added by splice: the data gains exactly them, and other bytes stay."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.yamledit import markers
from krmfn.yamledit.documents import documents
from krmfn.yamledit.editor import Editor
from krmfn.yamledit.scalars import Refusal
from krmfn.yamledit.text import Text, apply
from krmfn.yamledit.verification import confirm
from tests.lists import scalars

KEY = "fluxcd.io/tag.web"
PATH = ("metadata", "annotations")

STATES = {
    "replaced": (
        "metadata:\n  annotations:\n    fluxcd.io/tag.web: 'old' # c\n    b: c\n",
        "metadata:\n  annotations:\n    fluxcd.io/tag.web: '1.10' # c\n    b: c\n",
    ),
    "replaced plain": ("metadata:\n  annotations:\n    fluxcd.io/tag.web: old\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n'),
    "replaced null": ("metadata:\n  annotations:\n    fluxcd.io/tag.web:\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n'),
    "replaced in JSON": (
        '{"metadata": {"annotations": {"fluxcd.io/tag.web": "old"}}}\n', '{"metadata": {"annotations": {"fluxcd.io/tag.web": "1.10"}}}\n'),
    "first key": (
        "metadata:\n  annotations:\n    a: b\n  name: x\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n    a: b\n  name: x\n'),
    "first key above a head comment": (
        "metadata:\n  annotations:\n    # head\n    a: b\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n    # head\n    a: b\n'),
    "first key in four columns": (
        "metadata:\n    annotations:\n        a: b\n", 'metadata:\n    annotations:\n        fluxcd.io/tag.web: "1.10"\n        a: b\n'),
    "annotations null": ("metadata:\n  annotations:\n  name: x\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n  name: x\n'),
    "annotations null word": ("metadata:\n  annotations: null\n  name: x\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n  name: x\n'),
    "annotations empty": (
        "metadata:\n  annotations: {} # none\n  name: x\n", 'metadata:\n  annotations: # none\n    fluxcd.io/tag.web: "1.10"\n  name: x\n'),
    "annotations empty at the end": ("metadata:\n  annotations: {}", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"'),
    "annotations empty over lines": ("metadata:\n  annotations: {\n  }\n", 'metadata:\n  annotations: {"fluxcd.io/tag.web": "1.10"}\n'),
    "annotations flow": ("metadata:\n  annotations: {a: b}\n", 'metadata:\n  annotations: {"fluxcd.io/tag.web": "1.10", a: b}\n'),
    "annotations missing": ("metadata:\n  name: x\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n  name: x\n'),
    "annotations missing, own step": (
        "metadata:\n    name: x\n    labels:\n        a: b\n",
        'metadata:\n    annotations:\n        fluxcd.io/tag.web: "1.10"\n    name: x\n    labels:\n        a: b\n'),
    "metadata null": ("kind: A\nmetadata:\nspec: {}\n", 'kind: A\nmetadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\nspec: {}\n'),
    "metadata empty": ("kind: A\nmetadata: {}\n", 'kind: A\nmetadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n'),
    "metadata flow": ("metadata: {name: x}\n", 'metadata: {"annotations": {"fluxcd.io/tag.web": "1.10"}, name: x}\n'),
    "metadata missing": ("kind: A\nspec: {}\n", 'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\nkind: A\nspec: {}\n'),
    "metadata missing in JSON": ('{"kind": "A"}\n', '{"metadata": {"annotations": {"fluxcd.io/tag.web": "1.10"}}, "kind": "A"}\n'),
    "carriage returns": (
        "metadata:\r\n  annotations:\r\n    a: b\r\n", 'metadata:\r\n  annotations:\r\n    fluxcd.io/tag.web: "1.10"\r\n    a: b\r\n'),
    "below a document start": ("---\nmetadata:\n  name: x\n", '---\nmetadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n  name: x\n'),
    "next to a kept block scalar": (
        "metadata:\n  annotations:\n    a: |+\n      b\n\n  name: x\n",
        'metadata:\n  annotations:\n    fluxcd.io/tag.web: "1.10"\n    a: |+\n      b\n\n  name: x\n'),
    "held already": ("metadata:\n  annotations: {fluxcd.io/tag.web: '1.10'}\n", None),
}  # fmt: skip


def annotated(text, wanted):
    source = Text(text.encode())
    blocks = documents(source)
    edits = Editor(blocks[0]).set_keys(blocks[0].root, PATH, wanted)
    if isinstance(edits, Refusal):
        return edits
    confirm(source, blocks, edits)
    return apply(source.data, edits).decode()


def load(text):
    return yaml.load(text, yaml.CBaseLoader)


@pytest.mark.parametrize(("text", "expected"), STATES.values(), ids=STATES.keys())
def test_an_annotation_is_set(text, expected):
    out = annotated(text, {KEY: "1.10"})
    assert out == (text if expected is None else expected)
    data = load(text)
    metadata = data.get("metadata") or {}
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else {}
    annotations = {**(annotations if isinstance(annotations, dict) else {}), KEY: "1.10"}
    assert load(out) == {
        **data,
        "metadata": {**(metadata if isinstance(metadata, dict) else {}), "annotations": annotations},
    }
    assert annotated(out, {KEY: "1.10"}) == out


@pytest.mark.parametrize(("text", "expected"), STATES.values(), ids=STATES.keys())
def test_several_annotations_are_one_set_of_edits(text, expected):
    del expected
    wanted = {KEY: "1.10", "b": "c", "fluxcd.io/build.number": "7", "odd key: #": 'x "y"'}
    out = annotated(text, wanted)
    assert load(out)["metadata"]["annotations"].items() >= wanted.items()
    assert annotated(out, wanted) == out


@pytest.mark.parametrize(
    "text",
    [
        "metadata: *m\n",
        "a: &m {b: c}\nmetadata: *m\n",
        "metadata: &m\n  name: x\n",
        "metadata: !!map\n  name: x\n",
        "metadata:\n  annotations: text\n",
        "metadata:\n  annotations:\n  - a\n",
        "metadata:\n  annotations:\n    fluxcd.io/tag.web: [a]\n",
        "metadata:\n  annotations:\n    fluxcd.io/tag.web: !!float 2\n",
        "metadata:\n  annotations:\n    ? a\n    : b\n",
        "metadata: {}\nmetadata: {}\n",
        "metadata:\n  <<: {a: b}\n  name: x\n",
        "- a\n",
        "a\n",
        "{}\n",
        "",
    ],
)
def test_what_cannot_be_annotated_safely_is_refused(text):
    blocks = documents(Text(text.encode()))
    for block in blocks:
        answer = Editor(block).set_keys(block.root, PATH, {KEY: "1"})
        assert isinstance(answer, Refusal)
        assert answer.why
    assert blocks or not text


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=3),
    st.sampled_from([text for text, _ in STATES.values()]),
)
def test_any_annotation_reads_back(wanted, text):
    out = annotated(text, wanted)
    if isinstance(out, Refusal):
        assert "<<" in wanted or "<<" in text
    elif wanted:
        assert load(out)["metadata"]["annotations"].items() >= wanted.items()


MARKER = '{"$imagepolicy": "ns:p"}'
PLACES = {
    "a value": ("image: x\nb: c\n", f"image: x # {MARKER}\nb: c\n"),
    "a value with blanks behind": ("image: x  \nb: c\n", f"image: x # {MARKER}  \nb: c\n"),
    "a quoted value": ("image: 'x'\nb: c\n", f"image: 'x' # {MARKER}\nb: c\n"),
    "the last value": ("image: x", f"image: x # {MARKER}"),
    "an anchored value": ("image: &a x\nb: *a\n", f"image: &a x # {MARKER}\nb: *a\n"),
    "a literal": ("image: |\n  x\nb: c\n", f"image: | # {MARKER}\n  x\nb: c\n"),
    "before a comma in flow": ("{image: x,\n b: c}\n", f"{{image: x, # {MARKER}\n b: c}}\n"),
    "before a line break in flow": ("{image: x\n}\n", f"{{image: x # {MARKER}\n}}\n"),
    "carriage returns": ("image: x\r\nb: c\r\n", f"image: x # {MARKER}\r\nb: c\r\n"),
}


@pytest.mark.parametrize(("text", "expected"), PLACES.values(), ids=PLACES.keys())
def test_a_marker_comment_is_added_where_it_is_read(text, expected):
    source = Text(text.encode())
    block = documents(source)[0]
    edits = Editor(block).add_comment(next(scalars(block, frozenset({"image"}))), MARKER)
    assert not isinstance(edits, Refusal)
    out = apply(source.data, edits)
    assert out.decode() == expected
    found = list(markers.read(documents(Text(out))[0]))
    assert [(marker.scalar.path, marker.setter) for marker in found] == [("image", "ns:p")]
    assert load(out) == load(text)


@pytest.mark.parametrize(
    "text",
    [
        "image: x # note\n",
        "{image: x}\n",
        "{image: x, b: c}\n",
        "image:\nb: c\n",
        "image: | # note\n  x\n",
        "[{image: x}, # note\n]\n",
        "{image: x, # n\n}\n",
    ],
)
def test_where_a_marker_would_not_be_read_it_is_refused(text):
    block = documents(Text(text.encode()))[0]
    answer = Editor(block).add_comment(next(scalars(block, frozenset({"image"}))), MARKER)
    assert isinstance(answer, Refusal)
