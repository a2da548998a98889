"""Cutting is only a faster way to the same answer, and editing changes the edited scalars and nothing else."""

import io
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError as RuamelError

from krmfn.errors import InputError, RuleError
from krmfn.image import ImageRef
from krmfn.model import Diagnostic, Field, Location
from krmfn.yamledit import compose, markers, prefilter, resourcelist, scalars
from krmfn.yamledit.text import Edit, Text, apply
from tests import yamldocs
from tests.lists import scalars as values
from tests.lists import spliced

CORPUS = sorted((Path(__file__).parent.parent / "fixtures" / "yaml" / "corpus").glob("*.yaml"))
SETTERS = {"f:n": "nginx:9", "f:t:tag": "1.10"}
IMAGES = {"docker.io/library/nginx": frozenset({"nginx:9"}), "ghcr.io/a/b": frozenset({"ghcr.io/a/b:5"})}
WANTED = {"docker.io/library/nginx": "nginx:9", "ghcr.io/a/b": "ghcr.io/a/b:5"}


def edits_of(given: resourcelist.ResourceList, *, screened: bool) -> tuple[list[Edit], set[int]]:
    """Bind as a run does: markers first, then every `image` of a known repository."""
    expected = prefilter.Expected(SETTERS, IMAGES)
    found: dict[tuple[int, int], Edit] = {}
    composed = set()
    for block in given.items:
        if screened and not prefilter.may_change(block.raw, expected):
            continue
        composed.add(block.index)
        todo = [(marker.scalar, SETTERS[marker.setter]) for marker in markers.read(block) if marker.setter in SETTERS]
        images = [scalar for scalar in values(block, frozenset({"image"})) if scalar.path.endswith("image")]
        todo += [(scalar, WANTED[name]) for scalar in images if (name := canonical(scalar.value)) in WANTED]
        for scalar, value in todo:
            if value != scalar.value or scalar.is_null:
                edit = scalars.render(given.text, scalar, value)
                if isinstance(edit, Edit):
                    found.setdefault((scalar.start, scalar.end), edit)
    return sorted(found.values()), composed


def canonical(value: str) -> str:
    try:
        return ImageRef.parse(value).canonical
    except RuleError:
        return ""


def rewritten(data: bytes, *, whole: bool, screened: bool) -> bytes | str:
    """Return the edited text, or what kind of error it is."""
    text = Text(data)
    try:
        given = resourcelist.read(text, whole=whole)
        edits, _ = edits_of(given, screened=screened)
        return spliced(given, edits, ())
    except InputError as error:
        return f"not read: {type(error).__name__}"


def agree(data: bytes) -> bytes | None:
    """Check every promise for one text; answer its edited form, None when it is no ResourceList."""
    whole = rewritten(data, whole=True, screened=False)
    assert rewritten(data, whole=False, screened=False) == whole
    assert rewritten(data, whole=False, screened=True) == whole
    assert rewritten(data, whole=True, screened=True) == whole
    if isinstance(whole, str):
        return None
    assert rewritten(whole, whole=False, screened=True) == whole
    return whole


def plain(node):
    if isinstance(node, yaml.MappingNode):
        return [(plain(key), plain(value)) for key, value in node.value]
    return [plain(value) for value in node.value] if isinstance(node, yaml.SequenceNode) else node.value


def same_but_for_edits(data: bytes, out: bytes) -> None:
    """Compare with a second and a third parser: only scalars that an edit wrote may differ."""
    text = Text(data)
    edits, _ = edits_of(resourcelist.read(text, whole=True), screened=False)
    assert apply(data, edits) == out
    try:
        before, after = (plain(yaml.compose(each, yaml.SafeLoader)) for each in (data, out))
    except yaml.YAMLError:
        return
    assert shape(before) == shape(after)
    assert len([1 for old, new in zip(leaves(before), leaves(after), strict=True) if old != new]) <= len(edits) * 3
    newer = YAML(typ="rt", pure=True)
    newer.allow_duplicate_keys = True
    try:
        loaded = newer.load(io.BytesIO(data))
    except (RuamelError, ValueError, TypeError, AttributeError, NotImplementedError):
        return
    assert loaded is not None
    assert newer.load(io.BytesIO(out)) is not None


def shape(data):
    return (
        [shape(each) for each in data]
        if isinstance(data, list)
        else tuple(map(shape, data))
        if isinstance(data, tuple)
        else 0
    )


def leaves(data):
    if isinstance(data, list | tuple):
        return [leaf for each in data for leaf in leaves(each)]
    return [data]


def test_the_corpus_is_there():
    assert len(CORPUS) >= 15


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_once_broke_a_prototype_is_read_alike_both_ways(path):
    out = agree(path.read_bytes())
    if out is not None:
        same_but_for_edits(path.read_bytes(), out)


def test_the_generator_makes_lists_that_are_read_cut_and_edited():
    outs = [agree(yamldocs.document(seed)) for seed in range(300)]
    read = [seed for seed, out in enumerate(outs) if out is not None]
    changed = [seed for seed in read if outs[seed] != yamldocs.document(seed)]
    cut = [seed for seed in read if resourcelist.read(Text(yamldocs.document(seed))).items[0:1] != () and is_cut(seed)]
    assert len(read) > 90
    assert len(changed) > 50
    assert len(cut) > 50


def is_cut(seed: int) -> bool:
    return all(block.is_cut for block in resourcelist.read(Text(yamldocs.document(seed))).items)


BROKE = (253699,)
"""Seeds whose documents once showed a mistake."""


@pytest.mark.parametrize("seed", BROKE)
def test_a_document_that_once_broke_is_read_alike_both_ways(seed):
    data = yamldocs.document(seed)
    out = agree(data)
    assert out is not None
    same_but_for_edits(data, out)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 10**9))
def test_any_document_is_read_alike_both_ways(seed):
    data = yamldocs.document(seed)
    out = agree(data)
    if out is not None:
        same_but_for_edits(data, out)


def entries(data: bytes) -> list[tuple[object, object]]:
    """Read a list's keys and values with aliases as they are written."""
    root = compose.compose(data)
    assert isinstance(root, yaml.MappingNode)
    return [(plain(key), plain(value)) for key, value in root.value]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**9))
def test_results_can_be_added_to_any_list_and_are_not_repeated(seed):
    data = yamldocs.document(seed)
    text = Text(data)
    results = [Diagnostic("info", "note", 'a "b"\n', Location(field=Field("spec.image", "a", "b")))]
    try:
        given = resourcelist.read(text, whole=True)
    except InputError:
        return
    out = spliced(given, (), results)
    before, after = (entries(each) for each in (data, out))
    assert [entry for entry in after if entry[0] != "results"] == before
    again = resourcelist.read(Text(out))
    assert spliced(again, (), results) == out


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_with_a_reason(data):
    for whole in (False, True):
        said = "read"
        try:
            resourcelist.read(Text(data), whole=whole)
        except InputError as error:
            said = error.message
        assert said
        assert "\n" not in said
