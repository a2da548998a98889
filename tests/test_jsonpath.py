"""JSONPath over nodes agrees with jsonpath-ng over plain data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.ext.parser import parse

from krmfn.errors import InputError, RuleError
from krmfn.kubernetes.jsonpath import JSONPath, written
from krmfn.yamledit.compose import Alias
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from krmfn.yamledit.yamltree import construct

DATA = {
    "spec": {
        "containers": [{"name": "web", "image": "a"}, {"name": "log", "image": "b"}],
        "a.b": {"x": "1"},
        "image": "c",
    },
    "items": [["1", "2"], "3", {"image": {"tag": "d"}}],
}
PATHS = (
    "$", "$.spec.image", "spec.image", "$.spec.containers[0].image", "$.spec.containers[-1].image", "$.spec.containers[9].image",
    "$.spec.containers[*].image", "$.spec.containers[1:].name", "$.spec.containers[::-1].name", "$.spec.containers[0,1].name", "$..image", "$..image.tag", "$.items[*][*]",
    "$.spec['a.b'].x", '$.spec."a.b".x', "$.*", "$..*", "$.spec.*", "$.spec.containers.image", "$.spec.image.tag", "$.spec[name,image]",
    "$.spec.containers[?(@.name == 'log')].image", "$.spec.containers[?(@.name =~ 'w.*')].name", "$..containers[?name='web'].image",
)  # fmt: skip


def root_of(data):
    return read(json.dumps(data, ensure_ascii=False).encode())


def read(text):
    (block,) = documents(Text(text))
    return block.root


def found(path, data):
    return [(written(steps), construct(node)) for steps, node in JSONPath.parse(path).find(root_of(data))]


def steps_of(path):
    if hasattr(path, "left"):
        return [*steps_of(path.left), *steps_of(path.right)]
    return [*(getattr(path, "fields", None) or getattr(path, "indices", None) or ())]


def reference(path, data):
    """Return what jsonpath-ng finds, each place once: it finds one again for every `..` that leads there."""
    places: dict[str, object] = {}
    for match in parse(path).find(data):
        places.setdefault(written(steps_of(match.full_path)), match.value)
    return list(places.items())


@pytest.mark.parametrize("path", PATHS)
def test_nodes_are_found_where_jsonpath_ng_finds_data(path):
    assert found(path, DATA) == reference(path, DATA).copy() or found(path, DATA) == [
        (place.replace("[-1]", "[1]"), value) for place, value in reference(path, DATA)
    ]


def test_most_paths_find_something():
    assert sum(bool(found(path, DATA)) for path in PATHS) > len(PATHS) - 5


@pytest.mark.parametrize("path", ["$" + "..*" * 8, "$..a..a..a..a..a..x", "$" + "..*" * 4 + ".x"])
def test_a_path_of_many_descents_meets_every_node_once(path):
    """A map of 400 values took eight minutes, for each `..` multiplies what it finds."""
    deep: object = {"x": "v"}
    for number in range(200):
        deep = {"a": deep, "b": number}
    assert 0 < len(found(path, {"a": deep})) < 1000


@pytest.mark.parametrize("path", ["$..*..*..*[?(@.x)]", "$..(a..(a..(a..x)))", "$..a[?(@..b)]..c..d"])
def test_a_path_of_many_descents_that_needs_a_filter_or_brackets_is_refused(path):
    with pytest.raises(RuleError, match=r"expected at most 2 with a filter, a union or brackets"):
        JSONPath.parse(path)


def test_two_descents_may_stand_beside_a_filter():
    assert found("$..a..b[?(@.c == 'v')].c", {"a": {"b": [{"c": "v"}, {"c": "w"}]}}) == [("$.a.b[0].c", "v")]


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=4)
KEYS = st.sampled_from(["a", "b", "image", "a-b", "x.y", "1", "where"]) | WORDS
TREES = st.recursive(
    st.sampled_from(["v", "w"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
STEPS = st.sampled_from(
    [".a", ".b", ".image", "..a", "..image", "[0]", "[-1]", "[*]", ".*", "[1:]", "..*", ".a-b", "['x.y']"]
)


@given(st.dictionaries(KEYS, TREES, max_size=4), st.lists(STEPS, min_size=1, max_size=3))
def test_any_path_over_any_tree_finds_the_same_values(tree, steps):
    path = "$" + "".join(steps)
    assert [value for _, value in found(path, tree)] == [value for _, value in reference(path, tree)]
    if "[-1]" not in path:
        assert found(path, tree) == reference(path, tree)


def places(data, steps=()):
    yield steps, data
    if isinstance(data, dict | list):
        for step, child in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(child, (*steps, step))


@given(st.dictionaries(WORDS, TREES, max_size=3))
def test_a_written_path_finds_its_place_and_no_other(tree):
    for steps, value in places(tree):
        assert [(place, construct(node)) for place, node in JSONPath.parse(written(steps)).find(root_of(tree))] == [
            (steps, value)
        ]


NEEDLES = {
    "$.spec.values.image.tag": "tag", "$..image": "image", "$.a[*]": "a", "$.a['b.c']": "a", "$.*": "", "$.a,b": "", "$.a.b[?(@.c == 1)].d": "d",
    "$['a b'].c[0]": "c", "$.a.`parent`": "a",
}  # fmt: skip


@pytest.mark.parametrize("path", NEEDLES)
def test_the_needle_is_a_key_that_every_match_needs(path):
    assert JSONPath.parse(path).needle == NEEDLES[path]


@pytest.mark.parametrize("path", ["$.a[", "", "$.a..", "$.[", "a b"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(RuleError, match="is not a JSONPath"):
        JSONPath.parse(path)


def test_aliases_on_the_way_are_followed_and_at_the_end_stay():
    block = read(b"a: &x {image: &i nginx}\nb: *x\nc: *i\n")
    assert [written(steps) for steps, _ in JSONPath.parse("$.b.image").find(block)] == ["$.b.image"]
    ((_, node),) = JSONPath.parse("$.c").find(block)
    assert isinstance(node, Alias)
    assert node.target is not None
    assert node.target.value == "nginx"


def test_a_tree_that_is_deep_or_its_own_alias_ends():
    deep = read(b"a: " + b"[" * 900 + b"]" * 900)
    assert sum(1 for _ in JSONPath.parse("$..*").find(deep)) == 900
    loop = read(b"a: &x [*x, {image: y}]\n")
    assert {written(steps) for steps, _ in JSONPath.parse("$..image").find(loop)} == {"$.a[1].image"}


def test_a_filter_over_a_key_that_is_given_twice_is_refused():
    block = read(b"a: [{b: 1, b: 2}]\n")
    with pytest.raises(InputError, match="given twice"):
        list(JSONPath.parse("$.a[?(@.b == 1)]").find(block))


@pytest.mark.parametrize("path", ["$.a.`sub(/x/, y)`", "$.a.`split(x, 0, -1)`", "$.a.`str()`", "$.a & $.b", '$..a[?(@.x =~ "(")]', '$..a[?(@.x =~ "(?=a)")]', "$" + ".a" * 3000, "$" + "[0]" * 3000, "$.a|" * 500 + "$.b"])
def test_a_path_that_computes_or_is_endless_is_refused(path):
    """What jsonpath-ng raises while it follows a path was a bug of krmfn; its regular expressions are Python's."""
    with pytest.raises(RuleError, match=r"is not a JSONPath|has more than 200 steps"):
        JSONPath.parse(path)


def test_a_filter_by_a_regular_expression_takes_linear_time():
    assert found('$.a[?(@.x =~ "^(a+)+$")]', {"a": [{"x": "a" * 5000 + "!"}, {"x": "a" * 5000}]})[0][0] == "$.a[1]"
    assert found('$.a[?(@.x =~ "we.")].x', {"a": [{"x": "web"}, {"x": "api"}]}) == [("$.a[0].x", "web")]
