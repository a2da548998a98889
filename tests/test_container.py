"""The image: as `nobody`, with a read-only root, no HOME and no network; under kustomize, kubectl and kpt."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from krmfn import __version__
from tests import tools
from tests.containers import Containers, prepare
from tests.running import EXAMPLES, diff, files, run, succeed
from tests.test_e2e_kustomize import ask_registry, at_registry

if TYPE_CHECKING:
    from tests.conftest import Private

STRICT = ("--network=none", "--read-only", "--user=nobody", "--security-opt=no-new-privileges", "--cap-drop=all")


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Containers:
    return prepare(tmp_path_factory.mktemp("containers"))


@pytest.fixture
def kustomization(tmp_path: Path, containers: Containers) -> Path:
    """Make the kustomize example call the image."""
    folder = Path(shutil.copytree(EXAMPLES / "kustomize", tmp_path / "kustomize"))
    call_image(folder, containers.image)
    return folder


@pytest.fixture
def package(tmp_path: Path, containers: Containers) -> Path:
    """Make the kpt example call the image."""
    folder = Path(shutil.copytree(EXAMPLES / "kpt-package", tmp_path / "shop"))
    kptfile = folder / "Kptfile"
    kptfile.write_text(kptfile.read_text().replace("exec: krmfn", f"image: {containers.image}"))
    return folder


def call_image(folder: Path, image: str, *, network: bool = False) -> None:
    config = folder / "images" / "images.yaml"
    asks = "network: true" if network else ""
    called = f"container:\n        image: {image}\n        {asks}".rstrip()
    config.write_text(re.sub(r"exec:\n +path: krmfn|container:\n +image: .*", called, config.read_text()))


def expected(name: str) -> str:
    return (EXAMPLES / name).read_text()


def test_the_image_answers_the_same_bytes_as_the_program(containers: Containers, tmp_path: Path):
    shutil.copytree(EXAMPLES / "kpt-package", tmp_path / "shop")
    given = succeed([tools.require("kpt"), "fn", "source", tmp_path / "shop"])
    command = [containers.podman, "run", "--rm", "-i", *STRICT, containers.image]
    assert succeed(command, text=given, env=containers.env) == succeed(["krmfn"], text=given)


@pytest.mark.parametrize(
    ("flag", "shown"), [("--help", "Usage: krmfn"), ("--doc", '"short":'), ("--version", __version__)]
)
def test_the_image_tells_what_it_is(containers: Containers, flag: str, shown: str):
    command = [containers.podman, "run", "--rm", "-i", *STRICT, containers.image, flag]
    assert shown in succeed(command, text="", env=containers.env)


def test_the_image_carries_labels_and_an_unprivileged_user(containers: Containers):
    config = json.loads(succeed([containers.podman, "inspect", containers.image], env=containers.env))[0]["Config"]
    assert config["Entrypoint"] == ["krmfn"]
    assert config["User"] == "65534:65534"
    wanted = {"title", "description", "licenses", "version", "revision", "source"}
    assert {f"org.opencontainers.image.{name}" for name in wanted} <= config["Labels"].keys()


def test_every_module_in_the_image_is_compiled(containers: Containers):
    """With a read-only root Python would compile what is not, at every start."""
    script = (
        "import sys, importlib.util, os, krmfn.function, krmfn.cli, krmfn.sources.registry.source, yaml, re2, semver\n"
        "import cryptography.x509, sigstore.verify.verifier\n"
        "print([m.__file__ for m in list(sys.modules.values()) if (getattr(m, '__file__', '') or '').endswith('.py')"
        " and not os.path.exists(importlib.util.cache_from_source(m.__file__))])"
    )
    python = ("--entrypoint", "/opt/krmfn/bin/python", containers.image, "-c", script)
    assert succeed([containers.podman, "run", "--rm", *STRICT, *python], env=containers.env) == "[]\n"


@pytest.mark.parametrize("program", ["kustomize", "kubectl"])
def test_kustomize_runs_the_image_without_a_network(program: str, kustomization: Path, containers: Containers):
    verb = "kustomize" if program == "kubectl" else "build"
    command = [tools.require(program), verb, "--enable-alpha-plugins"]
    for overlay in ("staging", "production"):
        shown = succeed([*command, kustomization / "overlays" / overlay], env=containers.env)
        assert shown == expected(f"kustomize/.expected/{overlay}.yaml")


def test_kustomize_gives_the_image_a_network_when_both_sides_ask(
    kustomization: Path, containers: Containers, example_registry: str
):
    ask_registry(kustomization, example_registry)
    overlay = kustomization / "overlays" / "staging"
    command = [tools.require("kustomize"), "build", "--enable-alpha-plugins"]

    closed = run([*command, overlay], env=containers.env)
    assert closed.returncode == 1
    assert f"{example_registry}/acme/web" in closed.stderr

    call_image(kustomization, containers.image, network=True)
    refused = run([*command, overlay], env=containers.env)
    assert refused.returncode == 1
    assert "network" in refused.stderr

    shown = succeed([*command, "--network", overlay], env=containers.env)
    assert shown == at_registry(expected("kustomize/.expected/staging.yaml"), example_registry)


def test_kpt_renders_with_the_image_without_a_network(package: Path, containers: Containers):
    before = files(package)
    succeed([tools.require("kpt"), "fn", "render", package, "--image-pull-policy", "never"], env=containers.env)
    assert diff(before, files(package)) == expected("kpt-package/.expected/diff.patch")


def test_kpt_evaluates_the_image_with_a_network(tmp_path: Path, containers: Containers, example_registry: str):
    pod = tmp_path / "pod.yaml"
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n"
        f"    - name: web\n      image: {example_registry}/acme/web:1.2.0 # the web\n"
    )
    before = pod.read_text()
    command = [tools.require("kpt"), "fn", "eval", tmp_path, "--image", containers.image]
    command += ["--image-pull-policy", "never"]
    policy = ["--", f"image={example_registry}/acme/web", "semver=1.x"]

    closed = run([*command, *policy], env=containers.env)
    assert closed.returncode == 1
    assert pod.read_text() == before

    succeed([*command, "--network", *policy], env=containers.env)
    assert pod.read_text() == before.replace("1.2.0", "1.3.1")


def test_credentials_reach_the_image_by_mounts(tmp_path: Path, containers: Containers, private_registry: Private):
    """kpt's `--as-current-user` makes a docker config readable that only its owner may read."""
    pod = tmp_path / "package" / "pod.yaml"
    pod.parent.mkdir()
    pod.write_text(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n"
        f"    - name: web\n      image: {private_registry.address}/acme/web:1.2.0 # the web\n"
    )
    login = tmp_path / "login"
    login.mkdir()
    shutil.copy(private_registry.login / "config.json", login)
    shutil.copy(private_registry.certificates, login / "ca.pem")
    (login / "config.json").chmod(0o600)
    command = [
        tools.require("kpt"), "fn", "eval", pod.parent, "--image", containers.image, "--image-pull-policy", "never",
        "--network", "--as-current-user", "--mount", f"type=bind,src={login},dst=/login",
        "--env", "DOCKER_CONFIG=/login", "--env", "SSL_CERT_FILE=/login/ca.pem",
        "--", f"image={private_registry.address}/acme/web", "semver=1.2.x",
    ]  # fmt: skip
    succeed(command, env=containers.env)
    assert "/acme/web:1.2.1 # the web" in pod.read_text()


def test_kpt_doc_shows_the_help(containers: Containers):
    done = run([tools.require("kpt"), "fn", "doc", "--image", containers.image], env=containers.env)
    assert done.returncode == 0, done.stderr
    assert "Usage: krmfn" in done.stdout + done.stderr
