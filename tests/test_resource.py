"""Resources: who they are, where they come from, which fields are images."""

import pytest

from krmfn.kubernetes.resource import KUSTOMIZE_ID, containers, describe, owner
from krmfn.model import File, ResourceId
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from krmfn.yamledit.yamltree import join_path


def block_of(text, name=""):
    (block,) = documents(Text(text.encode(), name))
    return block


def one(text, name=""):
    (found,) = describe(block_of(text, name))
    return found


def test_a_resource_is_named_by_what_it_has():
    assert one("{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}}").id == ResourceId("v1", "Pod", "b", "a")
    assert one("{kind: Pod}").id == ResourceId("", "Pod", "", "")
    assert one("{kind: [a], metadata: text}").id == ResourceId()
    assert one("[a, b]").id == ResourceId()
    assert describe(documents(Text(b"---\n---\n"))[0]) == ()


FILES = {
    "internal annotations": ("{internal.config.kubernetes.io/path: a.yaml, internal.config.kubernetes.io/index: '2', config.kubernetes.io/path: b.yaml}", File("a.yaml", 2)),
    "older annotations": ("{config.kubernetes.io/path: b.yaml}", File("b.yaml")),
    "an index that is none": ("{config.kubernetes.io/path: b.yaml, config.kubernetes.io/index: '-'}", File("b.yaml")),
    "an index in other digits": ("{config.kubernetes.io/path: b.yaml, config.kubernetes.io/index: '²'}", File("b.yaml")),
    "origin of kustomize": (f"{{{KUSTOMIZE_ID}: '1', config.kubernetes.io/origin: \"path: base/x.yaml\\nrepo: y\\n\"}}", File("base/x.yaml")),
    "kustomize alone": (f"{{{KUSTOMIZE_ID}: '1', config.kubernetes.io/path: stale}}", None),
    "nothing": ("{}", None),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_resource_comes_from_the_file_that_its_orchestrator_names_by(case):
    annotations, file = FILES[case]
    assert one(f"metadata: {{annotations: {annotations}}}").file == file


def test_a_resource_of_a_file_says_line_and_column():
    found = one("kind: Pod\nspec:\n  image: x\n", "a.yaml")
    assert found.place(18) == File("a.yaml", 0, 3, 3)


def test_the_owner_of_a_place_in_a_list_is_the_member_around_it():
    text = "kind: List\nitems:\n- {kind: A}\n- kind: B\n  image: x\n"
    members = describe(block_of(text))
    assert [member.id.kind for member in members] == ["A", "B"]
    assert owner(members, text.index("x\n")).id.kind == "B"
    assert [member.root.value[0][1].value for member in members] == ["A", "B"]


def test_a_resource_outlives_the_tree_of_its_block():
    block = block_of("{kind: Pod, containers: {image: x}}")
    (found,) = describe(block)
    block.forget()
    assert [join_path(field.steps) for field in containers(found.root)] == ["containers.image"]


def paths(text):
    return [join_path(field.steps) for field in containers(one(text).root)]


def test_the_images_of_containers_come_in_document_order():
    text = (
        "spec: {image: a, initContainers: [{image: b, name: i}], containers: [{name: c, image: d}, [{image: g}], {image: [h]}], "
        "volumes: [{image: {reference: e}}]}\nimage: f\nmetadata: {containers: [{image: j}]}\n"
    )
    assert paths(text) == ["spec.initContainers[0].image", "spec.containers[0].image", "spec.containers[1][0].image"]
    assert [field.container for field in containers(one(text).root)] == ["i", "c", ""]


def test_what_lies_below_a_container_is_no_container():
    text = "containers: [{name: a, x: {image: b}, list: [{image: c}]}]"
    assert paths(text) == []


@pytest.mark.timeout(60)
def test_a_wide_and_a_deep_tree_are_walked_without_recursion():
    deep = "[" * 900 + "{image: x}" + "]" * 900
    assert len(paths(f"containers: {deep}")) == 1
    wide = "spec:\n  containers:\n" + "  - {name: a, image: x}\n" * 20_000
    assert len(paths(wide)) == 20_000
