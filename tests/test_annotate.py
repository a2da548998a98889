"""Markers become annotations that bind the same fields, and fields get the markers that Flux reads."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.cli import main
from krmfn.config import loading
from krmfn.image import ImageRef
from krmfn.inventory import annotate
from krmfn.kubernetes.resource import annotations_of
from krmfn.plan import bind
from krmfn.yamledit import markers
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text, apply

POLICIES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: apps}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}
  - {name: nginx, image: nginx, policy: {semver: {range: 1.x}}, digestReflectionPolicy: Always}
"""
HEAD = "apiVersion: v1\nkind: Pod\n"
MARK = '# {"$imagepolicy": "apps:web"}'
MARKED = HEAD + f"metadata:\n  name: a\nspec:\n  containers:\n  - name: web\n    image: ghcr.io/acme/web:1.0.0 {MARK}\n"


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "policies.yaml").write_text(POLICIES)
    return tmp_path


def run(tree, text, *options):
    (tree / "a.yaml").write_bytes(text.encode())
    code = main(["annotate", str(tree), *options])
    return code, (tree / "a.yaml").read_bytes().decode()


SHAPES = {
    "no annotations": (MARKED, MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '{\"web\": \"apps:web\"}'\n")),
    "others": (MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    x: y\n"), MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '{\"web\": \"apps:web\"}'\n    x: y\n")),
    "an entry already": (
        MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '{\"log\": \"apps:nginx\"}'\n"),
        MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '{\"log\": \"apps:nginx\", \"web\": \"apps:web\"}'\n"),
    ),
    "flow metadata": (MARKED.replace("metadata:\n  name: a\n", "metadata: {name: a}\n"), None),
    "CRLF": (MARKED.replace("\n", "\r\n"), None),
    "a List": ("kind: List\nitems:\n- " + MARKED.replace("\n", "\n  ").rstrip(" "), None),
}  # fmt: skip


def targets(text, which="annotation"):
    """Report what is bound in a text, comments aside when annotations are asked for."""
    rules = loading.load(documents(Text(POLICIES.encode())))
    data = text.encode()
    if which == "annotation":
        found = markers_of(text)
        for _, start, end in reversed(found):
            data = data[:start] + data[end:]
    bound = bind.bind(documents(Text(data, "a.yaml")), rules)
    return sorted(
        (target.resource.id.name, target.scalar.path, str(target.setter))
        for target in bound.targets
        if target.how != "image"
    )


def markers_of(text):
    return [
        (one.setter, one.start, one.end)
        for block in documents(Text(text.encode(), "a.yaml"))
        for one in markers.read(block)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_markers_become_an_annotation_where_there_is(shape, tree):
    text, expected = SHAPES[shape]
    code, after = run(tree, text)
    assert code == 0
    assert expected is None or after == expected
    assert targets(after) == targets(text, "marker")
    assert targets(text) != targets(after)
    assert run(tree, after) == (0, after)


def test_what_is_no_containers_image_gets_a_path(tree):
    text = f'apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: a}}\nspec:\n  values:\n    image.x:\n    - tag: "1" {MARK.replace("web", "web:tag")}\n'
    _, after = run(tree, text)
    (annotation,) = [annotations_of(block.root)["krmfn.dev/images"] for block in documents(Text(after.encode()))]
    assert annotation == """{"$.spec.values['image.x'][0].tag": "apps:web:tag"}"""
    assert targets(after) == targets(text, "marker")


def test_two_containers_of_one_name_get_paths(tree):
    two = MARKED + f"  initContainers:\n  - name: web\n    image: x {MARK}\n"
    _, after = run(tree, two)
    assert '"$.spec.containers[0].image"' in after
    assert targets(after) == targets(two, "marker")


LEFT = {
    "a kustomization": (f"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n- newTag: x {MARK}\n", "is read by kustomize itself"),
    "a values file": (f"image: x {MARK}\n", "is no Kubernetes resource"),
    "JSON6902 patches": (f"- value: x {MARK}\n", "is no Kubernetes resource"),
    "a definition": (f"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec:\n  x: x {MARK}\n", "is a definition"),
    "an annotation that is no JSON": (MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '[x'\n"), "is no JSON object"),
    "an annotation that disagrees": (MARKED.replace("metadata:\n", "metadata:\n  annotations:\n    krmfn.dev/images: '{\"web\": \"apps:nginx\"}'\n"), "says apps:nginx for web, the marker says apps:web"),
    "a marker of no policy": (MARKED.replace("apps:web", "web"), "names no policy"),
    "annotations that are text": (MARKED.replace("metadata:\n", "metadata:\n  annotations: text\n"), "no annotation can be written: annotations is not a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_what_cannot_be_annotated_is_left_and_told(case, tree, capsys):
    text, why = LEFT[case]
    assert run(tree, text) == (0, text)
    assert why in capsys.readouterr().err


def test_check_and_diff_write_nothing(tree, capsys):
    assert run(tree, MARKED, "--check", "--diff") == (10, MARKED)
    printed = capsys.readouterr()
    assert '+    krmfn.dev/images: \'{"web": "apps:web"}\'' in printed.out
    assert "1 change in 1 of 2 files" in printed.err
    _, after = run(tree, MARKED)
    assert run(tree, after, "--check") == (0, after)


UNMARKED = (
    HEAD
    + """\
metadata: {name: a}
spec:
  initContainers:
  - name: a
    image: docker.io/library/nginx:1.25.0
  containers:
  - image: "nginx:1.25.0"
    name: b
  - {name: c, image: nginx:1.25.0}
  - {name: d,
     image: nginx:1.25.0,
    }
  - name: e
    image: nginx:1.25.0  # why
  - name: f
    image: other/nginx:1.25.0
  - name: g
    image: >-
      nginx:1.25.0
  values:
    image:
      repository: nginx
      tag: 1.25.0
      digest: ''
"""
)


def test_markers_are_put_where_flux_reads_them(tree, capsys):
    code, after = run(tree, UNMARKED, "--markers", "apps:nginx")
    assert code == 0
    assert [setter for setter, _, _ in markers_of(after)] == ["apps:nginx"] * 4 + [
        "apps:nginx:name",
        "apps:nginx:tag",
        "apps:nginx:digest",
    ]
    assert [yaml.safe_load(after)] == [yaml.safe_load(UNMARKED)]
    told = capsys.readouterr().err
    assert "a.yaml:11:22: no marker can be written: the line goes on behind the value" in told
    assert "a.yaml:16:12: no marker can be written: the line has a comment already" in told
    assert run(tree, after, "--markers", "apps:nginx") == (0, after)


def test_policies_are_named_by_name_list_and_pattern(tree):
    text = HEAD + "spec:\n  containers:\n  - image: nginx:1\n  - image: ghcr.io/acme/web:1\n"
    outputs = {
        run(tree, text, *options)[1]
        for options in (
            ["--markers", "web", "--markers", "nginx"],
            ["--markers", "apps:web,apps:nginx"],
            ["--markers", "apps:*"],
        )
    }
    assert len(outputs) == 1
    assert len(markers_of(outputs.pop())) == 2


def test_a_misspelt_policy_gets_the_nearest(tree, capsys):
    assert run(tree, MARKED, "--markers", "apps:wbe") == (2, MARKED)
    assert "did you mean apps:web?" in capsys.readouterr().err


def test_a_field_with_another_marker_is_left_and_told(tree, capsys):
    text = MARKED.replace("apps:web", "apps:other")
    assert run(tree, text, "--markers", "apps:web") == (0, text)
    assert "there is a marker 'apps:other' already" in capsys.readouterr().err


def test_two_policies_for_one_image_are_told(tree, capsys):
    (tree / "policies.yaml").write_text(
        POLICIES + "  - {name: twin, image: docker.io/nginx, policy: {semver: {range: 1.x}}}\n"
    )
    text = HEAD + "spec:\n  containers:\n  - image: nginx:1\n"
    assert run(tree, text, "--markers", "*") == (0, text)
    assert "apps:nginx and apps:twin" in capsys.readouterr().err


IMAGES = st.sampled_from(["nginx:1", "ghcr.io/acme/web:1@sha256:" + "a" * 64, "docker.io/library/nginx:2", "other:1"])
LINES = st.sampled_from(
    [
        "image: {}",
        'image: "{}"',
        "image:   '{}'",
        "image: |-\n      {}",
        "image:\n      {}",
        "image: !!str {}",
        "image: &a{n} {}",
        "image: {} # c",
        "name: x\n    image: {}",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(LINES, IMAGES), min_size=1, max_size=4))
def test_every_marker_that_is_put_is_read_and_changes_no_value(fields):
    text = (
        HEAD
        + "spec:\n  containers:\n"
        + "".join(f"  - {line.replace('{n}', str(n)).format(image)}\n" for n, (line, image) in enumerate(fields))
    )
    rules = loading.load(documents(Text(POLICIES.encode())))
    found = annotate.with_markers(documents(Text(text.encode(), "a.yaml")), list(rules.policies.values()))
    after = apply(text.encode(), [edit for _, edit in found.edits]).decode()
    assert yaml.safe_load(after) == yaml.safe_load(text)
    wanted = sum(ImageRef.parse(image).canonical != "docker.io/library/other" for _, image in fields)
    assert len(markers_of(after)) + len(found.left) == wanted
