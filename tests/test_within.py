"""`krmfn update --within`: from a tree without any policy to newer images, by one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import images
from tests.running import diff, files, run, succeed

TIME = "2026-01-01T00:00:00Z"
OLD = f"sha256:{'0' * 64}"
OFFERED = {
    "ghcr.io/acme/web": dict.fromkeys(("1.2.0", "1.2.7", "1.3.1", "1.4.0-rc.1", "2.0.0", "latest"), TIME),
    "ghcr.io/acme/api": dict.fromkeys(("1.2.0", "1.3.1", "2.0.0"), TIME),
    "docker.io/library/mysql": dict.fromkeys(("8.1", "8.4", "8.5", "9.1", "8.4-oracle"), TIME),
}


def container(image: str, name: str = "one") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: web\n    image: {image}\n"


def values(text: str) -> str:
    return f"apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {{name: r}}\nspec:\n  values:\n    image:\n{text}"


POLICY = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images}
spec:
  policies:
  - name: web
    image: ghcr.io/acme/web
    suspend: SUSPEND
    policy: {semver: {range: "BOUND"}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    images.write(tmp_path / "images", OFFERED)
    (tmp_path / "repo").mkdir()
    return tmp_path


def update(place: Path, *options: str):
    return run(["krmfn", "update", "repo", "--source", "layout:images", *options], cwd=place)


def after(place: Path, text: str, *options: str) -> str:
    """Return the only file of a tree after an update."""
    (place / "repo" / "a.yaml").write_text(text)
    done = update(place, *options)
    assert done.returncode == 0, done.stderr
    return (place / "repo" / "a.yaml").read_text()


@pytest.mark.parametrize(
    ("bound", "tag"), [("patch", "1.2.7"), ("minor", "1.3.1"), ("major", "2.0.0")], ids=["patch", "minor", "major"]
)
def test_images_without_a_policy_move_inside_the_bound(place: Path, bound: str, tag: str):
    text = container("ghcr.io/acme/web:1.2.0")
    assert after(place, text, "--within", bound) == text.replace("1.2.0", tag)


PINNED = {
    "a whole reference": container(f"ghcr.io/acme/web:1.2.0@{OLD}"),
    "a tag with its digest": values(f"      repository: ghcr.io/acme/web\n      tag: 1.2.0@{OLD}\n"),
    "tag and digest in fields": values(f"      repository: ghcr.io/acme/web\n      tag: 1.2.0\n      digest: {OLD}\n"),
    "an OCIRepository": f"apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {{name: x}}\nspec:\n  url: oci://ghcr.io/acme/web\n  ref:\n    tag: 1.2.0\n    digest: {OLD}\n",
    "a kustomization": f"images:\n- name: ghcr.io/acme/web\n  newTag: 1.2.0\n  digest: {OLD}\n",
}


@pytest.mark.parametrize("form", PINNED)
def test_a_pin_moves_in_its_form(place: Path, form: str):
    name = "kustomization.yaml" if form == "a kustomization" else "a.yaml"
    (place / "repo" / name).write_text(PINNED[form])
    before = files(place / "repo")
    succeed(["krmfn", "update", "repo", "--source", "layout:images", "--within", "minor"], cwd=place)
    now = files(place / "repo")[name]
    assert OLD not in now, diff(before, files(place / "repo"))
    assert now.count("sha256:") == 1
    assert "1.3.1" in now


def test_shapes_are_kept(place: Path):
    text = container("mysql:8.4")
    assert after(place, text, "--within", "patch") == text
    assert after(place, text, "--within", "minor") == text.replace("8.4", "8.5")
    text = container("mysql:8.4-oracle")
    assert after(place, text, "--within", "major") == text


def test_what_is_kept_is_told_of_the_image_where_no_resource_says_so(place: Path):
    (place / "repo" / "a.yaml").write_text(container("ghcr.io/acme/web:latest"))
    done = update(place, "--within", "minor")
    assert "krmfn: info: ghcr.io/acme/web: kept by policy within minor:ghcr.io/acme/web: latest holds no version" in done.stderr


def test_a_repository_that_cannot_answer_keeps_its_fields_with_one_warning(place: Path):
    text = container("ghcr.io/acme/none:1.0.0") + "---\n" + container("ghcr.io/acme/none:1.0.0", "two")
    (place / "repo" / "a.yaml").write_text(text)
    (place / "repo" / "b.yaml").write_text(container("ghcr.io/acme/web:1.2.0"))
    done = update(place, "--within", "minor")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        line for line in done.stderr.splitlines() if "ghcr.io/acme/none" in line
    ]
    assert done.stderr.count("warning") == 1
    assert "(and in 1 more place)" in done.stderr
    assert (place / "repo" / "a.yaml").read_text() == text
    assert "1.3.1" in (place / "repo" / "b.yaml").read_text()
    assert update(place, "--within", "minor", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("suspended", "bound", "tag"),
    [("false", "<1.3", "1.2.7"), ("false", "<3", "2.0.0"), ("true", "<3", "1.2.0")],
    ids=["narrower", "wider", "suspended"],
)
def test_an_image_that_a_policy_names_follows_that_policy(place: Path, suspended: str, bound: str, tag: str):
    (place / "repo" / "policy.yaml").write_text(POLICY.replace("SUSPEND", suspended).replace("BOUND", bound))
    text = container("ghcr.io/acme/web:1.2.0") + "---\n" + container("ghcr.io/acme/api:1.2.0", "two")
    expected = text.replace("api:1.2.0", "api:1.3.1").replace("web:1.2.0", f"web:{tag}")
    assert after(place, text, "--within", "minor") == expected


IGNORED = {
    "an image": container("ghcr.io/acme/web:1.2.0 # krmfn: ignore"),
    "among other words": container("'ghcr.io/acme/web:1.2.0'  # old on purpose # krmfn: ignore, see #12"),
    "a tag": values("      repository: ghcr.io/acme/web\n      tag: 1.2.0 # krmfn: ignore\n"),
    "a repository": values("      repository: ghcr.io/acme/web # krmfn: ignore\n      tag: 1.2.0\n"),
    "a digest": values(f"      repository: ghcr.io/acme/web\n      tag: 1.2.0\n      digest: {OLD} # krmfn: ignore\n"),
    "an item of a flow list": "kind: Pod\nspec:\n  containers: [{name: a, image: 'ghcr.io/acme/web:1.2.0'}] # krmfn: ignore\n",
}


@pytest.mark.parametrize("case", IGNORED)
@pytest.mark.parametrize("named", [False, True], ids=["without policy", "with a policy"])
def test_a_comment_keeps_a_value_out(place: Path, case: str, named: bool):
    if named:
        (place / "repo" / "policy.yaml").write_text(POLICY.replace("SUSPEND", "false").replace("BOUND", "<2"))
    assert after(place, IGNORED[case], "--within", "minor") == IGNORED[case]
    for word in ("ignored", "ignore-me-not"):
        heeded = IGNORED[case].replace("ignore", word)
        assert after(place, heeded, "--within", "minor") != heeded


def test_pin_pins_what_is_not_where_a_digest_can_stand(place: Path):
    lone = values("      repository: ghcr.io/acme/api\n      tag: 1.2.0\n")
    text = container("ghcr.io/acme/web:1.2.0") + "---\n" + lone
    now = after(place, text, "--within", "minor", "--pin")
    assert "image: ghcr.io/acme/web:1.3.1@sha256:" in now
    assert now.endswith(lone.replace("1.2.0", "1.3.1"))
    assert after(place, now, "--within", "minor", "--pin") == now


def test_pin_alone_moves_no_tag(place: Path):
    now = after(place, container("ghcr.io/acme/web:1.2.0"), "--pin")
    assert "image: ghcr.io/acme/web:1.2.0@sha256:" in now


def test_frozen_refuses_what_asks_registries(place: Path):
    (place / "repo" / "a.yaml").write_text(container("ghcr.io/acme/web:1.2.0"))
    done = update(place, "--within", "minor", "--mode", "frozen")
    assert done.returncode == 1
    assert "mode frozen forbids" in done.stderr


def test_a_lock_takes_no_entry_of_what_no_policy_names(place: Path):
    lock = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: images}\nspec:\n  images: []\n"
    (place / "repo" / "lock.yaml").write_text(lock)
    after(place, container("ghcr.io/acme/web:1.2.0"), "--within", "minor")
    assert (place / "repo" / "lock.yaml").read_text() == lock


def test_json_names_the_changes(place: Path):
    (place / "repo" / "a.yaml").write_text(container("ghcr.io/acme/web:1.2.0"))
    data = json.loads(update(place, "--within", "minor", "-o", "json").stdout)
    assert data["changed"] == ["repo/a.yaml"]


def test_the_functions_of_a_kptfile_are_images(place: Path):
    text = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: shop}\npipeline:\n  mutators:\n  - image: ghcr.io/acme/web:1.2.0\n"
    (place / "repo" / "Kptfile").write_text(text)
    assert update(place, "--within", "minor").returncode == 0
    assert (place / "repo" / "Kptfile").read_text() == text.replace("1.2.0", "1.3.1")
