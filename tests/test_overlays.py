"""Kustomizations read as a graph: which field counts, told from the files; kustomize itself says whether it is true."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from krmfn.kubernetes.kustomize import graph
from krmfn.kubernetes.overriding import Spot
from krmfn.yamledit.text import Text
from tests import overlays, tools
from tests.running import call, run

if TYPE_CHECKING:
    from krmfn.kubernetes.overriding import Graph

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        image: ghcr.io/acme/web:1.0.0
"""
BASE = {"base/web.yaml": WEB, "base/kustomization.yaml": "resources: [web.yaml]\n"}
TAG = "images:\n- name: ghcr.io/acme/web\n  newTag: 1.1.0\n"
MERGE = """\
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      template:
        spec:
          containers:
          - name: web
            image: ghcr.io/acme/web:1.1.0
"""
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./base
"""
ARGO = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  source:
    path: base
    kustomize:
      images:
      - ghcr.io/acme/web:1.1.0
"""


def over(more: str, **files: str) -> dict[str, str]:
    """Return the base and one overlay on it."""
    return (
        BASE
        | {"prod/kustomization.yaml": f"resources: [../base]\n{more}"}
        | {name.replace("__", "/") + ".yaml": text for name, text in files.items()}
    )


def followed(files: Mapping[str, str]) -> Graph:
    """Return the graph of files; what is no YAML is read when a generator names it."""
    texts = {name: Text(text.encode(), name) for name, text in files.items()}
    return graph.read({name: text for name, text in texts.items() if name.endswith(".yaml")}, other=texts.get)


def overridden(files: Mapping[str, str], path: str = "base/web.yaml", word: str = "ghcr.io/acme/web:1.0.0") -> str:
    """Return FILE:LINE of what overrides the scalar that starts with a word; empty when it counts."""
    found = followed(files).overridden(Spot(path, files[path].index(word)))
    return f"{found.path}:{found.line}" if found else ""


CASES = {
    "a tag of the overlay": (over(TAG), "prod/kustomization.yaml:4"),
    "a digest of the overlay": (over(f"images: [{{name: ghcr.io/acme/web, digest: 'sha256:{'a' * 64}'}}]\n"), "prod/kustomization.yaml:2"),
    "a name alone leaves the tag": (over("images: [{name: ghcr.io/acme/web, newName: mirror.io/web}]\n"), ""),
    "names are matched as they are written": (over("images: [{name: docker.io/ghcr.io/acme/web, newTag: 1.1.0}]\n"), ""),
    "names are expressions": (over("images: [{name: 'ghcr.io/.*', newTag: 1.1.0}]\n"), "prod/kustomization.yaml:2"),
    "entries work one after the other": (
        over("images:\n- {name: ghcr.io/acme/web, newName: a}\n- {name: a, newTag: 1.1.0}\n"), "prod/kustomization.yaml:4",
    ),
    "a component that somebody uses": (
        over("components: [../tag]\n", tag__kustomization=f"kind: Component\n{TAG}"), "tag/kustomization.yaml:4",
    ),
    "a component that nobody uses": (over("", tag__kustomization=f"kind: Component\n{TAG}"), ""),
    "an overlay beside one that leaves the tag": (over(TAG, dev__kustomization="resources: [../base]\n"), ""),
    "an overlay on another image": (over(TAG.replace("web", "api")), ""),
    "an example": (BASE | {"examples/prod/kustomization.yaml": f"resources: [../../base]\n{TAG}"}, ""),
    "an unrelated kustomization": (BASE | {"other/kustomization.yaml": TAG}, ""),
    "an inline merge": (over(MERGE), "prod/kustomization.yaml:12"),
    "a merge in a file": (
        over("patches: [{path: patch.yaml}]\n", prod__patch=WEB.replace("1.0.0", "1.1.0")), "prod/patch.yaml:9",
    ),
    "an old merge": (
        over("patchesStrategicMerge: [patch.yaml]\n", prod__patch=WEB.replace("1.0.0", "1.1.0")), "prod/patch.yaml:9",
    ),
    "a merge for another name": (over(MERGE.replace("metadata: {name: web}", "metadata: {name: api}")), ""),
    "a merge that removes the resource": (
        over("patches:\n- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    $patch: delete\n"),
        "prod/kustomization.yaml:7",
    ),
    "operations": (
        over(
            "patches:\n- target: {kind: Deployment, name: w.b}\n  patch: |-\n    - op: replace\n"
            "      path: /spec/template/spec/containers/0/image\n      value: ghcr.io/acme/web:1.1.0\n"
        ),
        "prod/kustomization.yaml:7",
    ),
    "old operations": (
        over(
            "patchesJson6902:\n- target: {version: v1, group: apps, kind: Deployment, name: web}\n  path: ops.yaml\n",
            prod__ops="- {op: replace, path: /spec/template/spec/containers/0/image, value: x:2}\n",
        ),
        "prod/ops.yaml:1",
    ),
    "operations on another place": (
        over("patches:\n- target: {name: web}\n  patch: '[{op: add, path: /metadata/labels, value: {a: b}}]'\n"), "",
    ),
    "a replacement of the tag": (
        over(
            "configMapGenerator:\n- name: versions\n  literals: [WEB=1.1.0]\nreplacements:\n"
            "- source: {kind: ConfigMap, name: versions, fieldPath: data.WEB}\n  targets:\n  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: ':', index: 1}\n"
        ),
        "prod/kustomization.yaml:4",
    ),
    "a replacement by what is not in a list": (
        over(
            "replacements:\n- source: {kind: Deployment, name: web, fieldPath: spec.template.spec.containers.7.image}\n  targets:\n"
            "  - select: {kind: Deployment}\n    fieldPaths: ['spec.template.spec.containers.first.image']\n"
        ),
        "",
    ),
    "a replacement of the registry": (
        over(
            "configMapGenerator:\n- name: versions\n  literals: [HOST=quay.io]\nreplacements:\n"
            "- source: {kind: ConfigMap, name: versions, fieldPath: data.HOST}\n  targets:\n  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: '/', index: 0}\n"
        ),
        "",
    ),
    "a replacement of the image by a line of a file": (
        over(
            "configMapGenerator:\n- {name: versions, envs: [versions.env]}\nreplacements:\n"
            "- source: {kind: ConfigMap, name: versions, fieldPath: data.WEB}\n  targets:\n  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n"
        ) | {"prod/versions.env": "# a word\n\nWEB=ghcr.io/acme/web:1.1.0\n"},
        "prod/versions.env:3",
    ),
    "a replacement by a generator that another one changes": (
        over(
            "configMapGenerator:\n- name: versions\n  literals: [WEB=1.1.0]\nreplacements:\n"
            "- source: {kind: ConfigMap, name: versions, fieldPath: data.WEB}\n  targets:\n  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: ':', index: 1}\n"
        ) | {
            "base/kustomization.yaml": "resources: [web.yaml]\nconfigMapGenerator: [{name: versions, literals: [WEB=1.0.1, A=b]}]\n",
            "prod/kustomization.yaml": "resources: [../base]\nconfigMapGenerator:\n- name: versions\n  behavior: merge\n"
            "  literals:\n  - WEB=1.1.0\nreplacements:\n"
            "- source: {kind: ConfigMap, name: versions, fieldPath: data.WEB}\n  targets:\n  - select: {kind: Deployment}\n"
            "    fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: ':', index: 1}\n",
        },
        "prod/kustomization.yaml:6",
    ),
    "images of a Flux Kustomization": (
        BASE | {"clusters/apps.yaml": f"{FLUX}  images: [{{name: ghcr.io/acme/web, newTag: 1.1.0}}]\n"}, "clusters/apps.yaml:6",
    ),
    "a Flux Kustomization of the base itself": (over(TAG, apps=FLUX), ""),
    "a Flux Kustomization of a folder without kustomization": (
        {"base/web.yaml": WEB, "clusters/apps.yaml": f"{FLUX}  images: [{{name: ghcr.io/acme/web, newTag: 1.1.0}}]\n"},
        "clusters/apps.yaml:6",
    ),
    "a Flux Kustomization of the top": (
        {
            "base/web.yaml": WEB, "top.yaml": "a: b\n",
            "flux.yaml": FLUX.replace("./base", "./") + "  images: [{name: ghcr.io/acme/web, newTag: 1.1.0}]\n",
        },
        "flux.yaml:6",
    ),
    "a Flux Kustomization of a folder beside files at the top": (
        {"base/web.yaml": WEB, "top.yaml": "a: b\n", "flux.yaml": f"{FLUX}  images: [{{name: ghcr.io/acme/web, newTag: 1.1.0}}]\n"},
        "flux.yaml:6",
    ),
    "an Argo CD Application": (BASE | {"apps/web.yaml": ARGO}, "apps/web.yaml:9"),
    "an overlay that cannot be read": (over(f"{TAG}  \tx: [\n"), ""),
    "an overlay on something remote": (
        BASE | {"prod/kustomization.yaml": f"resources: ['https://example.com/base?ref=v1']\n{TAG}"}, "",
    ),
    "kustomizations in a circle": (
        {"a/kustomization.yaml": f"resources: [../b]\n{TAG}", "b/kustomization.yaml": "resources: [../a, web.yaml]\n", "base/web.yaml": WEB},
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_field_is_overridden_by_what_every_root_takes_instead(case: str):
    files, expected = CASES[case]
    assert overridden(files) == expected


def test_inside_examples_overlays_override_as_anywhere():
    files = {f"examples/{name}": text for name, text in over(TAG).items()}
    assert overridden(files, "examples/base/web.yaml") == "examples/prod/kustomization.yaml:4"


def test_an_overlay_overrides_the_tag_of_another():
    files = over(TAG) | {"edge/kustomization.yaml": f"resources: [../prod]\n{TAG.replace('1.1.0', '1.2.0')}"}
    assert overridden(files, "prod/kustomization.yaml", "1.1.0") == "edge/kustomization.yaml:4"
    assert overridden(files, "edge/kustomization.yaml", "1.2.0") == ""
    assert overridden(files) == "edge/kustomization.yaml:4"


def test_the_tag_of_helm_values_is_overridden_by_a_patch():
    release = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  values:\n    image: {repository: acme/web, tag: 1.0.0}\n"
    files = {
        "base/web.yaml": release,
        "base/kustomization.yaml": "resources: [web.yaml]\n",
        "prod/kustomization.yaml": "resources: [../base]\npatches: [{path: web.yaml}]\n",
        "prod/web.yaml": release.replace("1.0.0", "1.1.0"),
    }
    assert overridden(files, word="1.0.0") == "prod/web.yaml:6"


def test_aliases_and_deep_text_are_followed_without_growing():
    bomb = "x0: &x0 {image: a}\n" + "".join(
        f"x{at}: &x{at} [{', '.join([f'*x{at - 1}'] * 20)}]\n" for at in range(1, 12)
    )
    bomb += "".join(f"y{at}: &y{at} [{', '.join(['*s', f'*y{at - 1}'] * 20)}]\n" for at in range(1, 12)).replace("*y0", "*s")
    bomb = f"s: &s b\n{bomb}all: [*y11]\n"
    deep = "a: " + "[" * 900 + "]" * 900 + "\n"
    files = over(TAG) | {"base/more.yaml": f"{bomb}---\n{deep}"}
    files["base/kustomization.yaml"] = "resources: [web.yaml, more.yaml]\n"
    assert overridden(files) == "prod/kustomization.yaml:4"


VARIABLE = {
    "base/web.yaml": WEB.replace("ghcr.io/acme/web:1.0.0", "$(WEB_IMAGE)"),
    "base/names.yaml": "varReference:\n- {path: spec/template/spec/containers/image, kind: Deployment}\n",
    "base/kustomization.yaml": "resources: [web.yaml]\nconfigurations: [names.yaml]\n"
    "configMapGenerator:\n- {name: versions, envs: [versions.env], literals: [PORT=80]}\n"
    "vars:\n- name: WEB_IMAGE\n  objref: {apiVersion: v1, kind: ConfigMap, name: versions}\n  fieldref: {fieldpath: data.WEB}\n",
    "base/versions.env": "HOST=localhost:80\nWEB=ghcr.io/acme/web:1.1.0\n",
    "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
}
LITERAL = {
    "prod/kustomization.yaml": "resources: [../base]\nconfigMapGenerator:\n- name: versions\n  behavior: merge\n"
    "  literals:\n  - WEB=ghcr.io/acme/web:1.2.0\n"
}


def test_an_image_that_a_variable_takes_from_a_file_is_shown_with_its_line(tmp_path: Path):
    top = written(VARIABLE, tmp_path)
    assert build(top / "prod") == {"ghcr.io/acme/web:1.1.0"}
    assert overridden(VARIABLE, word="$(WEB_IMAGE)") == "base/versions.env:2"
    done = call("check", ".", "--all", "--source", "layout:none", "-o", "json", cwd=top)
    ((image, place),) = [(one, place) for one in json.loads(done.stdout)["images"] for place in one["places"]]
    assert (image["repository"], image["tag"]) == ("ghcr.io/acme/web", "1.1.0")
    assert (place["path"], place["line"], place["sure"], place["state"]) == ("base/versions.env", 2, False, "counts")
    (top / "policy.yaml").write_text(POLICY)
    assert call("update", ".", cwd=top).returncode == 0
    assert (top / "base/versions.env").read_text() == VARIABLE["base/versions.env"]


def test_a_variable_takes_what_an_overlay_merges_into_its_source(tmp_path: Path):
    files = VARIABLE | LITERAL
    assert build(written(files, tmp_path) / "prod") == {"ghcr.io/acme/web:1.2.0"}
    assert overridden(files, "base/versions.env", "ghcr.io") == "prod/kustomization.yaml:6"
    texts = followed(files).emitted[Spot("prod/kustomization.yaml", files["prod/kustomization.yaml"].index("WEB=ghcr"))]
    assert texts == {"ghcr.io/acme/web:1.2.0"}


def test_a_generator_reads_no_file_outside_of_its_folder(tmp_path: Path):
    outside = {"base/kustomization.yaml": VARIABLE["base/kustomization.yaml"].replace("versions.env", "../versions.env")}
    files = VARIABLE | outside | {"versions.env": "WEB=ghcr.io/acme/web:1.1.0\n"}
    assert followed(files).outside == {}
    (tmp_path / "versions.env").write_text("WEB=ghcr.io/acme/web:1.1.0\n")
    top = written(VARIABLE | {"base/versions.env": ""}, tmp_path / "tree")
    (top / "base/versions.env").unlink()
    (top / "base/versions.env").symlink_to("../../versions.env")
    done = call("check", ".", "--all", "--source", "layout:none", "-o", "json", cwd=top)
    assert json.loads(done.stdout)["images"] == []


def images(data: Any) -> Iterator[str]:
    """Yield every `image` of what kustomize printed."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from [value] if key == "image" and isinstance(value, str) else images(value)
    elif isinstance(data, list):
        for value in data:
            yield from images(value)


def build(folder: Path) -> set[str]:
    """Return the images that kustomize emits for a folder."""
    done = run([tools.require("kustomize"), "build", folder])
    assert done.returncode == 0, done.stderr
    return {image for document in yaml.safe_load_all(done.stdout) for image in images(document)}


def written(files: Mapping[str, str], top: Path) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def roots(files: Mapping[str, str]) -> list[str]:
    """Return the folders that nothing else refers to."""
    every = {name.partition("/")[0] for name in files}
    used = {
        Path(one).name
        for name, text in files.items()
        if name.endswith("kustomization.yaml")
        for one in (yaml.safe_load(text) or {}).get("resources", [])
    }
    return sorted(folder for folder in every if folder not in used and not folder.startswith("component"))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=overlays.trees())
def test_the_graph_emits_the_images_that_kustomize_builds(
    files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
):
    top = written(files, tmp_path_factory.mktemp("tree"))
    emitted = followed(files).emitted
    seen = {text for found in emitted.values() for text in found if text.startswith(overlays.IMAGES)}
    if emitted:
        assert set().union(*(build(top / folder) for folder in roots(files))) == seen


POLICY = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images}
spec:
  policies:
  - {name: web, namespace: apps, image: ghcr.io/acme/web, policy: {semver: {range: "*"}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: [1.0.0, 1.1.0, 2.0.0]}
"""


def test_an_update_by_name_leaves_what_an_overlay_overrides_and_says_so(tmp_path: Path):
    written(over(TAG, policy=POLICY), tmp_path)
    done = run(["krmfn", "update", "."], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "krmfn: info: base/web.yaml:9:16: ghcr.io/acme/web:1.0.0 is overridden by prod/kustomization.yaml:4: left as it is"
        in done.stderr
    )
    assert (tmp_path / "base/web.yaml").read_text() == WEB


def test_an_update_by_name_edits_what_one_root_still_takes(tmp_path: Path):
    written(over(TAG, policy=POLICY, dev__kustomization="resources: [../base]\n"), tmp_path)
    done = run(["krmfn", "update", "."], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "base/web.yaml").read_text() == WEB.replace("1.0.0", "2.0.0")


def test_what_a_kustomization_gives_another_name_is_shown_under_it_and_left(tmp_path: Path):
    tag = WEB.replace("ghcr.io/acme/web:1.0.0", "web:1.0.0")
    renaming = "resources: [../base]\nimages: [{name: web, newName: ghcr.io/acme/web}]\n"
    files = BASE | {"base/web.yaml": tag, "prod/kustomization.yaml": renaming, "policy.yaml": POLICY}
    written(files, tmp_path)
    checked = run(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path)
    image = next(one for one in json.loads(checked.stdout)["images"] if one["tag"] == "1.0.0")
    assert (image["repository"], image["places"][0]["sure"], image["places"][0]["why"]) == (
        "ghcr.io/acme/web", False, "kustomizations deploy it as ghcr.io/acme/web"
    )  # fmt: skip
    assert run(["krmfn", "update", ".", "--within", "major"], cwd=tmp_path).returncode == 0
    assert (tmp_path / "base/web.yaml").read_text() == tag


def test_an_image_of_an_inline_patch_is_shown_under_the_name_that_it_gets(tmp_path: Path):
    renaming = "images: [{name: ghcr.io/acme/web, newName: mirror.example/web}]\n"
    written(over(MERGE + renaming, policy=POLICY), tmp_path)
    checked = json.loads(run(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path).stdout)
    found = {image["repository"]: image["places"][0]["state"] for image in checked["images"] if image["tag"] == "1.1.0"}
    assert found == {"mirror.example/web": "counts"}


@pytest.mark.parametrize("more", [{}, {"dev/kustomization.yaml": "resources: [../base]\n"}], ids=["one", "two"])
def test_every_name_under_which_an_image_is_deployed_is_told(tmp_path: Path, more: dict[str, str]):
    renaming = "resources: [../base]\nimages: [{name: ghcr.io/acme/web, newName: mirror.example/web}]\n"
    written(BASE | {"prod/kustomization.yaml": renaming, "policy.yaml": POLICY} | more, tmp_path)
    checked = run(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path)
    names = "ghcr.io/acme/web and as mirror.example/web" if more else "mirror.example/web"
    whys = [place.get("why") for image in json.loads(checked.stdout)["images"] for place in image["places"]]
    assert f"kustomizations deploy it as {names}" in whys


def test_an_image_that_an_overlay_renames_back_is_not_sure(tmp_path: Path):
    """The base by itself deploys another image: whose tags are right cannot be told."""
    files = BASE | {
        "base/kustomization.yaml": BASE["base/kustomization.yaml"] + "images: [{name: ghcr.io/acme/web, newName: mirror.example/web}]\n",
        "prod/kustomization.yaml": "resources: [../base]\nimages: [{name: mirror.example/web, newName: ghcr.io/acme/web}]\n",
        "policy.yaml": POLICY,
    }
    written(files, tmp_path)
    before = (tmp_path / "base/web.yaml").read_text()
    checked = run(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path)
    whys = [place.get("why") for image in json.loads(checked.stdout)["images"] for place in image["places"]]
    assert "kustomizations deploy it as ghcr.io/acme/web and as mirror.example/web" in whys
    run(["krmfn", "update", "."], cwd=tmp_path)
    assert (tmp_path / "base/web.yaml").read_text() == before


def test_a_word_of_a_scalar_is_overridden_with_the_scalar(tmp_path: Path):
    flag = "        args: [--agent-image=ghcr.io/acme/agent:VERSION]\n"
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n"
    files = BASE | {
        "base/web.yaml": WEB + flag.replace("VERSION", "1.0.0"),
        "prod/args.yaml": patch + flag.replace("VERSION", "1.1.0"),
        "prod/kustomization.yaml": "resources: [../base]\npatches: [{path: args.yaml}]\n",
    }
    written(files, tmp_path)
    checked = json.loads(run(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path).stdout)
    states = {
        image["tag"]: image["places"][0]["state"] for image in checked["images"] if "agent" in image["repository"]
    }
    assert states == {"1.0.0": "overridden", "1.1.0": "counts"}


def test_what_an_entry_looks_for_is_no_place(tmp_path: Path):
    entry = "images: [{name: 'ghcr.io/acme/web:1.0.0', newName: ghcr.io/acme/web, newTag: 1.1.0}]\n"
    written(BASE | {"prod/kustomization.yaml": f"resources: [../base]\n{entry}", "policy.yaml": POLICY}, tmp_path)
    assert run(["krmfn", "update", "."], cwd=tmp_path).returncode == 0
    assert (tmp_path / "prod/kustomization.yaml").read_text().endswith(entry.replace("1.1.0", "2.0.0"))
