"""Real kustomize and kubectl run krmfn: exec functions, the legacy plugin, comments, failures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.conftest import free_port
from tests.running import EXAMPLES, Done, environment, files, run, succeed

BUILD = ("build", "--enable-alpha-plugins", "--enable-exec")
OVERLAYS = ("staging", "production")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "kustomize", tmp_path / "kustomize"))


def build(folder: Path, *flags: str) -> Done:
    return run([tools.require("kustomize"), *BUILD, *flags, folder])


def built(folder: Path) -> str:
    done = build(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def ask_registry(example: Path, address: str) -> None:
    """Point the example at a registry instead of its snapshots."""
    (example / "base" / "tags.yaml").unlink()
    for path in (
        example / "base" / "kustomization.yaml",
        example / "base" / "web.yaml",
        example / "images" / "images.yaml",
    ):
        lines = [line for line in path.read_text().splitlines(keepends=True) if "tags.yaml" not in line]
        path.write_text(at_registry("".join(lines), address))


def at_registry(text: str, address: str) -> str:
    return text.replace("ghcr.io/", f"{address}/").replace("image: redis", f"image: {address}/library/redis")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_builds_the_expected_manifests(overlay: str, golden):
    golden(built(EXAMPLES / "kustomize" / "overlays" / overlay), EXAMPLES / "kustomize" / ".expected" / f"{overlay}.yaml")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_registry_answers_like_the_snapshots(overlay: str, example: Path, example_registry: str):
    ask_registry(example, example_registry)
    expected = EXAMPLES / "kustomize" / ".expected" / f"{overlay}.yaml"
    assert built(example / "overlays" / overlay) == at_registry(expected.read_text(), example_registry)


def test_only_images_differ_from_a_build_without_krmfn(example: Path):
    generator = "configMapGenerator:\n  - name: settings\n    literals: [color=blue]\nnamePrefix: eu-\n"
    with (example / "overlays" / "staging" / "kustomization.yaml").open("a") as file:
        file.write(generator)
    with_krmfn = built(example / "overlays" / "staging").splitlines()
    config = example / "images" / "images.yaml"
    config.write_text(config.read_text().replace("path: krmfn", "path: cat"))
    without = built(example / "overlays" / "staging").splitlines()
    changed = [(old, new) for old, new in zip(without, with_krmfn, strict=True) if old != new]
    assert len(changed) == 4
    assert all(("image:" in old or "tag:" in old) and old.split(":")[0] == new.split(":")[0] for old, new in changed)


def test_without_the_exec_flag_kustomize_skips_the_function_silently():
    """kustomize 5.8 (kyaml fn/runtime): why the documentation asks for both flags."""
    folder = EXAMPLES / "kustomize" / "overlays" / "staging"
    shown = succeed([tools.require("kustomize"), "build", "--enable-alpha-plugins", folder])
    assert "image: ghcr.io/acme/web:1.2.0" in shown


def test_a_registry_that_is_down_fails_the_build_and_says_so(example: Path):
    address = f"127.0.0.1:{free_port()}"
    ask_registry(example, address)
    done = build(example / "overlays" / "staging")
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"{address}/acme/web" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_configuration_fails_the_build_with_every_problem(example: Path):
    config = example / "images" / "images.yaml"
    text = config.read_text().replace("range: 7.2.x", "range: seven").replace(">=1.2.0", ">=one")
    config.write_text(text)
    done = build(example / "overlays" / "staging")
    assert done.returncode == 1
    assert "seven" in done.stderr
    assert ">=one" in done.stderr


def test_flux_policies_travel_as_local_config_items(tmp_path: Path):
    policies = (EXAMPLES / "kpt-package" / "image-policies.yaml").read_text()
    (tmp_path / "policies.yaml").write_text(policies)
    shutil.copy(EXAMPLES / "kustomize" / "base" / "tags.yaml", tmp_path)
    (tmp_path / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  annotations:\n"
        '    krmfn.dev/images: \'{"web": "shop:web"}\'\n'
        "spec:\n  containers:\n    - {name: web, image: ghcr.io/acme/web:1.2.0}\n"
    )
    (tmp_path / "krmfn.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: function-input\n  annotations:\n"
        "    config.kubernetes.io/function: |\n      exec: {path: krmfn}\n"
    )
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [pod.yaml, policies.yaml, tags.yaml]\ntransformers: [krmfn.yaml]\n"
    )
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "image: ghcr.io/acme/web:1.3.1" in done.stdout
    assert "ImagePolicy" not in done.stdout


def test_kustomize_fn_run_keeps_comments_and_follows_markers(tmp_path: Path):
    for name in ("web.yaml", "tags.yaml", "image-policies.yaml"):
        shutil.copy(EXAMPLES / "kpt-package" / name, tmp_path)
    program = shutil.which("krmfn", path=environment()["PATH"])
    assert program is not None
    succeed([tools.require("kustomize"), "fn", "run", tmp_path, "--enable-exec", "--exec-path", program])
    assert 'image: ghcr.io/acme/web:1.3.1 # {"$imagepolicy": "shop:web"}' in files(tmp_path)["web.yaml"]


@pytest.mark.parametrize("program", ["kustomize", "kubectl"])
def test_the_legacy_exec_plugin_works_without_the_exec_flag(program: str, example: Path, tmp_path: Path):
    config = example / "images" / "images.yaml"
    text = config.read_text()
    start, end = text.index("    config.kubernetes.io/function"), text.index("spec:")
    config.write_text(text[:start] + text[end:])
    plugin = tmp_path / "plugins" / "krmfn.dev" / "v1alpha1" / "imageautomation" / "ImageAutomation"
    plugin.parent.mkdir(parents=True)
    krmfn = shutil.which("krmfn", path=environment()["PATH"])
    assert krmfn is not None
    plugin.symlink_to(krmfn)
    env = environment(KUSTOMIZE_PLUGIN_HOME=str(tmp_path / "plugins"))
    verb = "kustomize" if program == "kubectl" else "build"
    command = [tools.require(program), verb, "--enable-alpha-plugins", example / "overlays" / "production"]
    shown = succeed(command, env=env)
    assert shown == (EXAMPLES / "kustomize" / ".expected" / "production.yaml").read_text()
