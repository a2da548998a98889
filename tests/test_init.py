"""`krmfn init`: one command from a tree without policies to one that `krmfn update` keeps current."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import images
from tests.running import files, run, succeed

TIME = "2026-01-01T00:00:00Z"
OLD = f"sha256:{'0' * 64}"
COUNT = 29


def release(index: int) -> str:
    """Return a HelmRelease as homelabs write it: the tag pinned in one scalar, or in two fields, or a list of containers."""
    head = (
        f"# app {index}\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata:\n  name: app-{index}\nspec:\n  values:\n"
        "    controllers:\n      app:\n        containers:\n          app:\n            image:\n"
        f"              repository: ghcr.io/home/app-{index}  # kept\n"
    )
    pin = f"              tag: 1.2.{index}@{OLD}\n"
    two = f'              tag: "1.2.{index}"\n              digest: {OLD}\n'
    return head + (pin if index % 2 else two)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a homelab of 29 images, all pinned, and what their repositories offer."""
    offered = {}
    for index in range(COUNT):
        folder = tmp_path / "home" / "apps" / f"app-{index}"
        folder.mkdir(parents=True)
        (folder / "release.yaml").write_text(release(index))
        offered[f"ghcr.io/home/app-{index}"] = dict.fromkeys((f"1.2.{index}", "1.9.0", "2.0.0"), TIME)
    images.write(tmp_path / "images", offered)
    return tmp_path


def test_a_homelab_is_followed_by_one_command_and_loses_no_pin(place: Path):
    before = files(place / "home")
    done = run(["krmfn", "init", "home"], cwd=place)
    assert done.returncode == 0, done.stderr
    assert f"wrote {COUNT} policies to home/krmfn.yaml" in done.stderr
    assert {name: text for name, text in files(place / "home").items() if name != "krmfn.yaml"} == before
    succeed(["krmfn", "update", "home", "--source", "layout:images"], cwd=place)
    after = files(place / "home")
    for index in range(COUNT):
        old, new = (one[f"apps/app-{index}/release.yaml"] for one in (before, after))
        assert OLD not in new
        assert new.count("@sha256:") + new.count("digest: sha256:") == 1
        (digest,) = {word for word in new.replace('"', " ").replace("@", " ").split() if word.startswith("sha256:")}
        assert new == old.replace(f"1.2.{index}", "1.9.0").replace(OLD, digest)
    again = run(["krmfn", "update", "home", "--source", "layout:images", "--check"], cwd=place)
    assert (again.returncode, again.stdout) == (0, "")


def test_a_second_run_adds_only_what_is_new(place: Path):
    succeed(["krmfn", "init", "home"], cwd=place)
    first = (place / "home" / "krmfn.yaml").read_text()
    done = run(["krmfn", "init", "home"], cwd=place)
    assert "nothing to add" in done.stderr
    edited = first.replace("within: minor", "within: patch", 1) + "  # my own remark\n"
    (place / "home" / "krmfn.yaml").write_text(edited)
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: a\n    image: quay.io/other/app-3:1.0.0\n"
    (place / "home" / "pod.yaml").write_text(pod)
    succeed(["krmfn", "init", "home", "--within", "major"], cwd=place)
    entry = "  - name: other-app-3\n    image: quay.io/other/app-3\n    policy:\n      version:\n        within: major\n"
    now = (place / "home" / "krmfn.yaml").read_text()
    assert now == edited.replace("  # my own remark\n", f"{entry}  # my own remark\n")
    assert run(["krmfn", "lint", "home"], cwd=place).returncode == 0


def test_a_dry_run_writes_nothing_and_shows_it(place: Path):
    before = files(place)
    shown = succeed(["krmfn", "init", "home", "--dry-run"], cwd=place)
    assert files(place) == before
    assert "+++ b/home/krmfn.yaml" in shown
    assert "+  onError: keep" in shown


def test_named_suspended_and_ignored_images_get_no_policy(tmp_path: Path):
    pod = "kind: Pod\napiVersion: v1\nmetadata: {name: a}\nspec:\n  containers:\n"
    names = ("named:1.0.0", "suspended:1.0.0", "ignored:1.0.0 # krmfn: ignore", "new:1.0.0")
    (tmp_path / "pod.yaml").write_text(pod + "".join(f"  - name: a{n}\n    image: ghcr.io/a/{one}\n" for n, one in enumerate(names)))
    (tmp_path / "own.yaml").write_text(
        "kind: ImageAutomation\napiVersion: krmfn.dev/v1alpha1\nmetadata: {name: own}\nspec:\n  policies:\n"
        "  - {name: new, image: ghcr.io/a/named, policy: {semver: {range: '1'}}}\n"
        "  - {name: s, image: ghcr.io/a/suspended, suspend: true, policy: {semver: {range: '1'}}}\n"
    )
    succeed(["krmfn", "init", "."], cwd=tmp_path)
    text = (tmp_path / "krmfn.yaml").read_text() if (tmp_path / "krmfn.yaml").exists() else ""
    assert [line.split()[-1] for line in text.splitlines() if "image:" in line] == ["ghcr.io/a/new"]
    assert "- name: a-new\n" in text  # the name `new` is taken


def test_flux_objects_come_with_markers_and_keep_pins(place: Path):
    done = run(["krmfn", "init", "home", "--flux"], cwd=place)
    assert done.returncode == 0, done.stderr
    text = (place / "home" / "krmfn.yaml").read_text()
    assert text.count("kind: ImagePolicy") == COUNT
    assert "range: '>=1.2.3 <2.0.0'" in text or 'range: ">=1.2.3 <2.0.0"' in text
    assert '# {"$imagepolicy": "flux-system:app-3:tag"}' in files(place / "home")["apps/app-3/release.yaml"]
    succeed(["krmfn", "update", "home", "--source", "layout:images"], cwd=place)
    after = files(place / "home")
    assert all("1.9.0" in after[f"apps/app-{n}/release.yaml"] for n in range(COUNT))
    assert all(OLD not in after[f"apps/app-{n}/release.yaml"] for n in range(COUNT))
    again = run(["krmfn", "init", "home", "--flux"], cwd=place)
    assert "nothing to add" in again.stderr


def test_flow_style_gets_the_annotation_that_binds_it(tmp_path: Path):
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: web, image: 'ghcr.io/a/b:1.0.0'}]}\n"
    (tmp_path / "pod.yaml").write_text(pod)
    done = run(["krmfn", "init", ".", "--flux"], cwd=tmp_path)
    assert """write the annotation krmfn.dev/images: '{"web": "flux-system:b"}' on Pod a""" in done.stderr


def test_unsure_places_are_bound_where_they_stand(tmp_path: Path):
    """By a marker in a file, by an annotation where kustomize builds; a second run adds nothing, and an update works at once."""
    images.write(tmp_path / "images", {name: dict.fromkeys(("1.0.0", "1.4.0", "2.0.0"), TIME) for name in ("ghcr.io/a/file", "ghcr.io/a/built", "ghcr.io/a/pod")})
    home = tmp_path / "home"
    (home / "built").mkdir(parents=True)
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\ndata:\n  runner: ghcr.io/a/{}:1.0.0\n  mode: slow\n"
    (home / "file.yaml").write_text(config.format("file"))
    (home / "built" / "config.yaml").write_text(config.format("built"))
    (home / "built" / "kustomization.yaml").write_text("resources: [config.yaml]\n")
    (home / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - {name: a, image: 'ghcr.io/a/pod:1.0.0'}\n")
    done = run(["krmfn", "init", "home", "--dry-run"], cwd=tmp_path)
    assert "2 places may be no image that runs, left alone: home/file.yaml:6, home/built/config.yaml:6; --unsure binds" in done.stderr
    done = run(["krmfn", "init", "home", "--unsure"], cwd=tmp_path)
    assert "wrote 3 policies to home/krmfn.yaml, and markers or annotations in 2 files" in done.stderr
    assert files(home)["file.yaml"] == config.format("file").replace("1.0.0", '1.0.0 # {"$imagepolicy": "default:file"}')
    entry = """  annotations:\n    krmfn.dev/images: '{"$.data.runner": "default:built"}'\n  name: c\n"""
    assert files(home)["built/config.yaml"] == config.format("built").replace("  name: c\n", entry)
    before = files(home)
    assert "nothing to add" in run(["krmfn", "init", "home", "--unsure"], cwd=tmp_path).stderr
    assert files(home) == before
    succeed(["krmfn", "update", "home", "--source", "layout:images"], cwd=tmp_path)
    assert files(home) == {name: text if name == "krmfn.yaml" else text.replace("1.0.0", "1.4.0") for name, text in before.items()}
