"""How krmfn lives beside kustomize's own transformers: order, overrides, checks, locks, several functions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import images, tools
from tests.running import EXAMPLES, Done, run, succeed

POD = """apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "ghcr.io/acme/web:1.2.0"}
"""
FUNCTION = """  annotations:
    config.kubernetes.io/function: |
      exec: {path: krmfn}
"""
IMAGES = f"""apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: images
{FUNCTION}spec:
  policies:
    - {{name: web, image: ghcr.io/acme/web, policy: {{semver: {{range: 1.x}}}}}}
"""
KUSTOMIZATION = "resources: [pod.yaml, tags.yaml]\ntransformers: [images.yaml]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a kustomization of one Pod, snapshots and one policy, as `base`."""
    base = tmp_path / "base"
    base.mkdir()
    shutil.copy(EXAMPLES / "kustomize" / "base" / "tags.yaml", base)
    for name, text in (("pod.yaml", POD), ("images.yaml", IMAGES), ("kustomization.yaml", KUSTOMIZATION)):
        (base / name).write_text(text)
    return base


def build(folder: Path) -> Done:
    return run([tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", folder])


def built(folder: Path) -> str:
    done = build(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_flat_config_map_is_a_policy(folder: Path):
    (folder / "images.yaml").write_text(
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: images\n{FUNCTION}"
        "data: {image: ghcr.io/acme/web, semver: 1.2.x}\n"
    )
    assert "image: ghcr.io/acme/web:1.2.1\n" in built(folder)


def test_two_functions_in_one_file_run_one_after_the_other(folder: Path):
    second = IMAGES.replace("name: images", "name: second").replace("1.x", "1.2.x")
    (folder / "images.yaml").write_text(
        f"{IMAGES}---\n{second}".replace("  policies:", "  onDowngrade: allow\n  policies:")
    )
    assert "image: ghcr.io/acme/web:1.2.1\n" in built(folder)


def test_kustomizes_own_images_are_seen_by_the_function_of_the_same_kustomization(folder: Path):
    """External transformers run after the built-in ones (kustomize#5037)."""
    (folder / "kustomization.yaml").write_text(f"{KUSTOMIZATION}images: [{{name: ghcr.io/acme/web, newTag: 1.2.1}}]\n")
    assert "image: ghcr.io/acme/web:1.3.1\n" in built(folder)


def test_an_overlay_overrides_what_the_base_chose(folder: Path):
    overlay = folder.parent / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base]\nimages: [{name: ghcr.io/acme/web, newTag: pinned}]\n"
    )
    assert "image: ghcr.io/acme/web:pinned\n" in built(overlay)


def test_an_overlay_can_copy_the_chosen_image(folder: Path):
    """Replacements run before functions, so krmfn belongs into the base of whoever copies an image."""
    overlay = folder.parent / "overlay"
    overlay.mkdir()
    (overlay / "settings.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {image: none}\n"
    )
    (overlay / "kustomization.yaml").write_text(
        "resources: [../base, settings.yaml]\nreplacements:\n"
        "  - source: {kind: Pod, name: web, fieldPath: 'spec.containers.[name=web].image'}\n"
        "    targets: [{select: {kind: ConfigMap}, fieldPaths: [data.image]}]\n"
    )
    assert built(overlay).count("image: ghcr.io/acme/web:1.3.1\n") == 2


def test_a_component_brings_the_function(folder: Path):
    component = folder.parent / "component"
    component.mkdir()
    shutil.move(folder / "images.yaml", component)
    (component / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ntransformers: [images.yaml]\n"
    )
    edit(folder / "kustomization.yaml", "transformers: [images.yaml]", "components: [../component]")
    assert "image: ghcr.io/acme/web:1.3.1\n" in built(folder)


def test_mode_check_fails_a_build_that_would_change_and_passes_one_that_would_not(folder: Path):
    """Kustomize refuses validators that are functions (kustomize#5036), so a check is a transformer too."""
    edit(folder / "images.yaml", "spec:\n", "spec:\n  mode: check\n")
    behind = build(folder)
    assert behind.returncode == 1
    assert "1.2.0 -> 1.3.1" in behind.stderr
    edit(folder / "pod.yaml", "1.2.0", "1.3.1")
    assert "image: ghcr.io/acme/web:1.3.1\n" in built(folder)


def test_a_lock_that_was_fetched_builds_frozen_without_tags(folder: Path):
    edit(folder / "images.yaml", "metadata:\n", "metadata:\n  namespace: shop\n")
    succeed(["krmfn", "fetch", ".", "--lock", "--source", f"layout:{images.BUNDLED}"], cwd=folder)
    (folder / "tags.yaml").unlink()
    edit(folder / "kustomization.yaml", "tags.yaml", "krmfn-lock.yaml")
    edit(folder / "images.yaml", "spec:\n", "spec:\n  mode: frozen\n")
    shown = built(folder)
    assert "image: ghcr.io/acme/web:1.3.1\n" in shown
    assert "ImageLock" not in shown

    edit(folder / "images.yaml", "1.x", "1.2.x")
    changed = build(folder)
    assert changed.returncode == 1
    assert "shop:web" in changed.stderr
    assert "krmfn fetch" in changed.stderr
