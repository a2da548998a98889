"""`krmfn check` on manifests without any configuration, as a newcomer runs it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from krmfn.inventory.files import read
from krmfn.kubernetes.finder import aside, find
from krmfn.yamledit import compose
from tests import images
from tests.running import environment, run, succeed

TIME = "2026-01-01T00:00:00Z"
OFFERED = {
    "ghcr.io/acme/web": dict.fromkeys(("1.2.0", "1.3.1", "1.4.0-rc.1", "2.0.0", "latest"), TIME),
    "docker.io/library/nginx": dict.fromkeys(("1.25-alpine", "1.27-alpine", "1.27", "2.0-alpine"), TIME),
}
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: one}}
spec:
  containers:
  - name: web
    image: {}
"""


def digest(repository: str, tag: str) -> str:
    return "sha256:" + hashlib.sha256(images.blobs(repository, tag, TIME)[2]).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    images.write(tmp_path / "images", OFFERED)
    (tmp_path / "repo").mkdir()
    return tmp_path


def check(place: Path, *options: str):
    return run(["krmfn", "check", "repo", "--source", "layout:images", *options], cwd=place)


def seen(place: Path, *texts: str) -> list[dict[str, object]]:
    for index, text in enumerate(texts):
        (place / "repo" / f"{index}.yaml").write_text(text)
    return list(json.loads(check(place, "-o", "json").stdout)["images"])


def test_where_nothing_is_to_do_no_record_would_be_renewed(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format("ghcr.io/acme/web:2.0.0"))
    shown = check(place)
    assert shown.returncode == 0
    assert "would renew" not in shown.stderr


def test_newer_versions_are_found_without_policy_and_marker(place: Path):
    (one,) = seen(place, POD.format("ghcr.io/acme/web:1.2.0"))
    assert (one["sameMajor"], one["newest"], one["states"]) == ("1.3.1", "2.0.0", ["fixed"])
    assert one["places"] == [
        {
            "path": "repo/0.yaml",
            "line": 7,
            "column": 12,
            "field": "spec.containers[0].image",
            "resource": "Pod one",
            "form": "container",
            "sure": True,
            "state": "counts",
        }
    ]


def test_variant_and_precision_are_kept(place: Path):
    (one,) = seen(place, POD.format("nginx:1.25-alpine"))
    assert (one["sameMajor"], one["newest"], one["states"]) == ("1.27-alpine", "2.0-alpine", ["mutable"])


def test_an_untagged_image_is_latest_and_mutable(place: Path):
    (one,) = seen(place, POD.format("ghcr.io/acme/web"))
    assert (one["newest"], one["states"]) == (None, ["mutable"])


def test_a_tag_that_is_gone_is_told(place: Path):
    (one,) = seen(place, POD.format("ghcr.io/acme/web:1.1.9"))
    assert one["states"] == ["fixed", "not listed"]


def test_a_digest_that_still_holds_is_pinned(place: Path):
    (one,) = seen(place, POD.format(f"ghcr.io/acme/web:2.0.0@{digest('ghcr.io/acme/web', '2.0.0')}"))
    assert one["states"] == ["pinned"]


def test_a_rebuilt_image_has_drifted(place: Path):
    (one,) = seen(place, POD.format(f"ghcr.io/acme/web:2.0.0@sha256:{'0' * 64}"))
    assert one["states"] == ["pinned", "drifted", "digest gone"]
    assert one["digestNow"] == digest("ghcr.io/acme/web", "2.0.0")


def test_a_digest_that_was_pushed_over_is_drifted_and_still_there(place: Path):
    old = digest("ghcr.io/acme/web", "1.3.1")
    (one,) = seen(place, POD.format(f"ghcr.io/acme/web:2.0.0@{old}"))
    assert one["states"] == ["pinned", "drifted"]


@pytest.mark.parametrize(
    ("held", "states"),
    [(digest("ghcr.io/acme/web", "1.2.0"), ["pinned"]), (f"sha256:{'0' * 64}", ["pinned", "digest gone"])],
    ids=["held", "gone"],
)
def test_a_digest_alone_that_the_registry_lacks_is_told(place: Path, held: str, states: list[str]):
    (one,) = seen(place, POD.format(f"ghcr.io/acme/web@{held}"))
    assert one["states"] == states
    shown = check(place)
    assert ("digest gone" in shown.stdout) is ("digest gone" in states)
    assert ("all up to date" in shown.stderr) is ("digest gone" not in states)


def test_a_repository_that_cannot_be_listed_says_nothing_of_digests(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format(f"ghcr.io/acme/lost:1.2.0@sha256:{'0' * 64}"))
    shown = check(place)
    assert shown.returncode == 1
    assert "unknown" in shown.stdout
    assert "digest gone" not in shown.stdout + shown.stderr


def test_a_real_registry_tells_of_digests_too(tmp_path: Path, example_registry: str):
    web = f"{example_registry}/acme/web"
    (tmp_path / "pod.yaml").write_text(POD.format(f"{web}@sha256:{'0' * 64}"))
    found = json.loads(succeed(["krmfn", "check", ".", "-o", "json"], cwd=tmp_path, env=environment()))["images"]
    assert [one["states"] for one in found] == [["pinned", "digest gone"]]


def test_a_repository_is_one_row_however_often_it_is_named(place: Path):
    found = seen(place, POD.format("ghcr.io/acme/web:1.2.0"), POD.format("ghcr.io/acme/web:1.2.0"))
    assert [len(one["places"]) for one in found] == [2]  # type: ignore[arg-type]


def test_the_table_in_a_pipe_is_plain(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format("ghcr.io/acme/web:1.2.0"))
    done = check(place)
    assert done.stdout == (
        "IMAGE  CURRENT  UPDATE  BEYOND  STATE  WHERE\n"
        "web    1.2.0    1.3.1   2.0.0          repo/pod.yaml:7\n"
    )
    assert done.stderr == "1 image in 1 place: 1 updatable, 1 newer beyond the bound\n"
    assert done.returncode == 0


def test_markdown_is_a_table(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format("ghcr.io/acme/web:1.2.0"))
    assert check(place, "-o", "markdown").stdout.splitlines()[1:] == [
        "| --- | --- | --- | --- | --- | --- |",
        "| ghcr.io/acme/web | 1.2.0 | 1.3.1 | 2.0.0 | fixed | repo/pod.yaml:7 |",
    ]


@pytest.mark.parametrize(
    ("image", "options", "code"),
    [
        ("ghcr.io/acme/web:1.2.0", (), 0),
        ("ghcr.io/acme/web:1.2.0", ("--exit-code",), 10),
        ("ghcr.io/acme/web:2.0.0", ("--exit-code",), 0),
        ("ghcr.io/acme/none:1.0.0", (), 1),
        ("ghcr.io/acme/none:1.0.0", ("--exit-code",), 1),
    ],
    ids=["updates", "updates with --exit-code", "none", "not to be asked", "not to be asked with --exit-code"],
)
def test_the_exit_code_says_what_was_found(place: Path, image: str, options: tuple[str, ...], code: int):
    (place / "repo" / "pod.yaml").write_text(POD.format(image))
    assert check(place, *options).returncode == code


def test_one_unknown_repository_hides_no_other(place: Path):
    found = seen(place, POD.format("ghcr.io/acme/none:1"), POD.format("ghcr.io/acme/web:1.2.0"))
    assert [one["newest"] for one in found] == [None, "2.0.0"]
    assert "no OCI layout" in str(found[0]["error"])


def test_templates_and_expressions_are_passed_over_aloud(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format('"{{ .Values.image }}:1"'))
    done = check(place)
    assert (done.returncode, done.stdout) == (0, "")
    assert "repo/pod.yaml:7" in done.stderr
    assert "is not an image reference" in done.stderr


def test_wrong_configuration_does_not_stop_a_check(place: Path):
    policy = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: x}\nspec: {policy: {semver: {range: x}}}\n"
    (one,) = seen(place, POD.format("ghcr.io/acme/web:1.2.0"), policy)
    assert one["newest"] == "2.0.0"


def test_snapshots_in_the_files_answer_for_a_registry(place: Path):
    snapshot = "apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {name: x}\nspec: {image: quay.io/acme/db, tags: ['16.1', '16.4']}\n"
    (one,) = seen(place, POD.format("quay.io/acme/db:16.1"), snapshot)
    assert one["newest"] == "16.4"


def test_an_empty_folder_is_no_error(place: Path):
    done = check(place)
    assert (done.returncode, done.stdout) == (0, "")
    assert "no image found" in done.stderr


def test_a_real_registry_answers(tmp_path: Path, example_registry: str):
    text = (
        POD.format(f"{example_registry}/acme/web:1.2.0")
        + f"  - {{name: b, image: '{example_registry}/acme/web:1.3.0'}}\n"
    )
    (tmp_path / "pod.yaml").write_text(text)
    found = json.loads(succeed(["krmfn", "check", ".", "-o", "json"], cwd=tmp_path, env=environment()))["images"]
    assert [(one["tag"], one["newest"]) for one in found] == [("1.2.0", "2.0.0"), ("1.3.0", "2.0.0")]


INVENTORY = {
    "an init container": ("kind: Pod\nspec: {initContainers: [{name: a, image: busybox}]}\n", ["busybox"]),
    "an image volume": ("kind: Pod\nspec: {volumes: [{name: a, image: {reference: 'quay.io/a/b:1'}}]}\n", ["quay.io/a/b:1"]),
    "an unknown kind": ("apiVersion: x/v1\nkind: Odd\nspec: {image: 'quay.io/a/b:1'}\n", ["quay.io/a/b:1"]),
    "a word that is no image": ("apiVersion: x/v1\nkind: Odd\nspec: {image: logo}\n", []),
    "a list": ("kind: List\nitems:\n- {kind: Pod, spec: {containers: [{image: a}]}}\n- {kind: Pod, spec: {containers: [{image: b}]}}\n", ["a", "b"]),
    "a kustomization": ("kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nimages: [{name: web, newName: quay.io/a/web, newTag: '1.2'}]\n", ["quay.io/a/web:1.2"]),
    "helm values": ("kind: HelmRelease\nspec: {values: {image: {registry: quay.io, repository: a/b, tag: '1'}}}\n", ["quay.io/a/b:1"]),
    "a marker in a ConfigMap": ('apiVersion: v1\nkind: ConfigMap\ndata:\n  image: quay.io/a/b:1 # {"$imagepolicy": "x:y"}\n', ["quay.io/a/b:1"]),
    "a ConfigMap without marker": ("apiVersion: v1\nkind: ConfigMap\ndata: {image: 'quay.io/a/b:1'}\n", ["quay.io/a/b:1"]),
    "a marked container once": ('kind: Pod\nspec:\n  containers:\n  - image: a:1 # {"$imagepolicy": "x:y"}\n', ["a:1"]),
    "a CRD": ("kind: CustomResourceDefinition\nspec: {containers: [{image: a}]}\n", []),
    "an ImageRepository": ("apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nspec: {image: ghcr.io/a/b}\n", []),
}  # fmt: skip


@pytest.mark.parametrize("case", INVENTORY)
def test_images_are_found_where_they_run(tmp_path: Path, case: str):
    text, expected = INVENTORY[case]
    (tmp_path / "x.yaml").write_text(text)
    assert [str(one.ref) for one in find(read([tmp_path]).blocks)] == expected


POD_SPEC = "spec: {containers: [{name: a, image: 'a:1'}]}\n"
KIND = "kind: CustomResourceDefinition"
NEARLY = {
    "the first line": (f"{KIND}\n", False),
    "behind a comment": (f"# x\n---\n# kind: Pod\napiVersion: v1\n{KIND} # x\n", False),
    "with carriage returns": (f"apiVersion: v1\r\n{KIND}\r\n", False),
    "quoted": ('kind: "CustomResourceDefinition"\n', False),
    "behind metadata": (f"metadata: {{name: x}}\n{KIND}\n", False),
    "another kind": ("kind: CustomResourceDefinitionX\n", True),
    "goes on below": (f"{KIND}\n  X\n", True),
    "in a quoted scalar": (f'a: "x\n{KIND}\n"\nkind: Pod\n', True),
    "in a block scalar": (f"a: |\n  {KIND}\nkind: Pod\n", True),
    "in a comment": (f"# {KIND}\nkind: Pod\n", True),
    "in a mapping": (f"a:\n  {KIND}\nkind: Pod\n", True),
    "in a second document": (f"kind: Pod\n{POD_SPEC}---\n{KIND}\n", True),
    "before a second document": (f"{KIND}\n---\nkind: Pod\n", True),
    "before another kind": (f"{KIND}\nkind: Pod\n", True),
    "before another kind, quoted": (f"{KIND}\n'kind': Pod\n", True),
}


@pytest.mark.parametrize("case", NEARLY)
def test_only_a_definition_is_passed_over(tmp_path: Path, case: str):
    text, is_read = NEARLY[case]
    (tmp_path / "x.yaml").write_bytes(f"{text}{POD_SPEC}".encode())
    assert [str(one.ref) for one in find(read([tmp_path]).blocks)] == ["a:1"] * is_read


def test_a_definition_of_any_size_is_not_composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    big = "".join(f"  x{number}: {{image: 'a:{number}'}}\n" for number in range(10_000))
    (tmp_path / "x.yaml").write_text(
        f"apiVersion: apiextensions.k8s.io/v1\n{KIND}\nspec:\n{big}---\nkind: Pod\n{POD_SPEC}"
    )
    sizes = []
    whole = compose.compose

    def counted(data: bytes):
        sizes.append(len(data))
        return whole(data)

    monkeypatch.setattr(compose, "compose", counted)
    assert [str(one.ref) for one in find(read([tmp_path]).blocks)] == ["a:1"]
    assert sizes
    assert max(sizes) < 100


def test_a_name_that_kustomize_replaces_is_shown_as_overridden(place: Path):
    (place / "repo" / "pod.yaml").write_text(POD.format("web"))
    (place / "repo" / "kustomization.yaml").write_text(
        "resources: [pod.yaml]\nimages:\n- {name: web, newName: ghcr.io/acme/web, newTag: 1.2.0}\n"
    )
    found = json.loads(check(place, "-o", "json").stdout)["images"]
    assert [(one["image"], one["states"], one["newest"]) for one in found] == [
        ("ghcr.io/acme/web", ["fixed"], "2.0.0"),
        ("web", ["overridden by repo/kustomization.yaml:3"], None),
    ]
    assert found[1]["places"][0]["overriddenBy"] == "repo/kustomization.yaml:3"


def test_an_image_of_one_kustomization_hides_no_other(place: Path):
    """An optional component's placeholder says nothing about the same image elsewhere."""
    for folder, text in (
        ("app", POD.format("ghcr.io/acme/web:1.2.0")),
        ("component", "kind: Component\nimages:\n- {name: ghcr.io/acme/web, newTag: IMAGE_TAG}\n"),
    ):
        (place / "repo" / folder).mkdir()
        name = "pod.yaml" if folder == "app" else "kustomization.yaml"
        (place / "repo" / folder / name).write_text(text)
    found = json.loads(check(place, "-o", "json").stdout)["images"]
    assert [(one["tag"], one["newest"]) for one in found] == [("1.2.0", "2.0.0"), ("IMAGE_TAG", None)]


def test_hidden_folders_and_texts_that_are_no_yaml_are_shown_and_never_written(place: Path):
    repo = place / "repo"
    workflow = "jobs: {test: {container: {image: 'ghcr.io/acme/web:1.2.0'}}}\n"
    template = "{{- if .Values.x }}\n" + POD.format("ghcr.io/acme/web:1.2.0") + "{{- end }}\n"
    (repo / ".github").mkdir()
    (repo / ".git").mkdir()
    (repo / "ok.yaml").write_text(POD.format("ghcr.io/acme/web:1.3.1"))
    texts = {".github/test.yaml": workflow, ".git/test.yaml": workflow, "templates.yaml": template}
    for name, text in texts.items():
        (repo / name).write_text(text)
    images_ = json.loads(check(place, "-o", "json").stdout)["images"]
    shown = [(one["path"], one["line"], one["sure"], one["state"]) for image in images_ for one in image["places"]]
    assert sorted(shown) == [
        ("repo/.github/test.yaml", 1, False, "shown only"),
        ("repo/ok.yaml", 7, True, "counts"),
        ("repo/templates.yaml", 8, False, "shown only"),
    ]
    done = run(["krmfn", "update", "repo", "--within", "major", "--source", "layout:images"], cwd=place)
    assert done.returncode == 0, done.stderr
    assert {name: (repo / name).read_text() for name in texts} == texts
    assert "web:2.0.0" in (repo / "ok.yaml").read_text()


def test_a_long_word_in_a_template_is_read_once(tmp_path: Path):
    """Read from each of its characters it would take an hour."""
    template = 'a: {{ $tag := "1.2.0" }}\n{{ if }}: "ghcr.io/acme/web:{{ $tag }}"\nkey: [' + "Ab0." * 500_000 + "\n"
    (tmp_path / "a.yaml").write_text(template)
    (text,) = read([tmp_path]).aside
    assert [str(place.ref) for place in aside(text)] == ["ghcr.io/acme/web:1.2.0"]


@pytest.mark.parametrize(("tags", "line"), [(("2.0.0",), "1 image, with nothing to do"), (("2.0.0", "1.2.0"), "1 image more, with nothing to do")])
def test_what_is_not_in_the_table_is_counted_beside_what_is(place: Path, tags: tuple[str, ...], line: str):
    seen(place, *(POD.format(f"ghcr.io/acme/web:{tag}") for tag in tags))
    assert f"\n{line} (--all shows them)" in f"\n{check(place).stderr}"
