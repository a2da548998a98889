"""The recipes of docs/authentication.md, each against a registry behind TLS and a login."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.conftest import LOGIN, Private
from tests.containers import Containers, prepare
from tests.running import environment, run, succeed
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "authentication.md").read_text()
USER, PASSWORD = LOGIN.decode().split(":")
POLICIES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: images
  namespace: shop
  annotations:
    config.kubernetes.io/local-config: "true"
    config.kubernetes.io/function: |
      exec: {path: krmfn}
spec:
  policies:
  - {name: web, image: ADDRESS/acme/web, policy: {semver: {range: 1.x}}}
"""
FLUX = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web, namespace: shop, annotations: {config.kubernetes.io/local-config: "true"}}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  annotations: {krmfn.dev/images: '{"web": "shop:web"}'}
spec:
  containers:
  - name: web
    image: ADDRESS/acme/web:1.2.0
"""


def block(kind: str, words: str) -> str:
    """Find the page's block that holds these words."""
    blocks: list[str] = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in blocks if words in text)


def put(folder: Path, address: str, **texts: str) -> Path:
    """Write files; ADDRESS stands for the registry."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.replace("ADDRESS", address))
    return folder


@pytest.fixture
def nobody(private_registry: Private, tmp_path: Path) -> dict[str, str]:
    """Make the environment of somebody who is not logged in, and trusts the registry's CA."""
    return environment(
        DOCKER_CONFIG=str(tmp_path / "none"), HOME=str(tmp_path), SSL_CERT_FILE=str(private_registry.certificates)
    )


def test_without_a_login_the_message_says_where_it_was_looked_for(
    private_registry: Private, nobody: dict[str, str], tmp_path: Path
):
    folder = put(tmp_path / "p", private_registry.address, policies=POLICIES, pod=POD)
    done = run(["krmfn", "update", "."], cwd=folder, env=nobody)
    assert done.returncode == 1
    assert (
        f"no credentials for {private_registry.address} were found in any docker or podman configuration" in done.stderr
    )


def test_the_written_file_logs_in(private_registry: Private, nobody: dict[str, str], tmp_path: Path):
    folder = put(tmp_path / "p", private_registry.address, policies=POLICIES, pod=POD)
    script = block("sh", "mkdir -p login").replace("ghcr.io", private_registry.address)
    succeed(["bash", "-euc", script], cwd=folder, env={**nobody, "USER_NAME": USER, "TOKEN": PASSWORD})
    assert "acme/web:1.3.1" in (folder / "pod.yaml").read_text()


@pytest.mark.parametrize(
    "place", ["DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "home", "podman"]
)
def test_every_place_that_the_page_names_is_looked_at(
    place: str, private_registry: Private, nobody: dict[str, str], tmp_path: Path
):
    config = private_registry.login / "config.json"
    env = {name: value for name, value in nobody.items() if name != "DOCKER_CONFIG" and not name.startswith("XDG_")}
    file = {
        "home": tmp_path / ".docker" / "config.json",
        "podman": tmp_path / ".config" / "containers" / "auth.json",
        "XDG_RUNTIME_DIR": tmp_path / "containers" / "auth.json",
        "XDG_CONFIG_HOME": tmp_path / "containers" / "auth.json",
    }.get(place)
    if file:
        file.parent.mkdir(parents=True)
        shutil.copy(config, file)
    if place.isupper():
        env[place] = {"DOCKER_AUTH_CONFIG": config.read_text(), "REGISTRY_AUTH_FILE": str(config)}.get(
            place, str(tmp_path)
        )
        assert f"`{place}`" in PAGE or f"${place}/" in PAGE
    folder = put(tmp_path / "p", private_registry.address, policies=POLICIES, pod=POD)
    succeed(["krmfn", "update", "."], cwd=folder, env=env)
    assert "acme/web:1.3.1" in (folder / "pod.yaml").read_text()


def test_a_helper_on_the_path_logs_in(private_registry: Private, nobody: dict[str, str], tmp_path: Path):
    helper, config = tmp_path / "bin" / "docker-credential-shop", tmp_path / "docker" / "config.json"
    for one in (helper, config):
        one.parent.mkdir()
    config.write_text(json.dumps({"credHelpers": {private_registry.address: "shop"}}))
    helper.write_text(
        f'#!/bin/sh\nread server\n[ "$1 $server" = "get {private_registry.address}" ] && echo \'{{"Username": "{USER}", "Secret": "{PASSWORD}"}}\'\n'
    )
    helper.chmod(0o755)
    folder = put(tmp_path / "p", private_registry.address, policies=POLICIES, pod=POD)
    env = {**nobody, "DOCKER_CONFIG": str(config.parent)}
    done = run(["krmfn", "update", "."], cwd=folder, env=env)
    assert done.returncode == 1
    assert "docker-credential-shop is not installed" in done.stderr
    succeed(["krmfn", "update", "."], cwd=folder, env={**env, "PATH": f"{helper.parent}:{env['PATH']}"})
    assert "acme/web:1.3.1" in (folder / "pod.yaml").read_text()


def test_the_secrets_of_the_page_log_in_and_are_trusted(
    private_registry: Private, nobody: dict[str, str], tmp_path: Path
):
    address, pem = private_registry.address, private_registry.certificates.read_text()
    text = block("yaml", "secretRef: {name: registry-login}").replace("ghcr.io", address)
    text = (
        text.replace('"reader"', f'"{USER}"')
        .replace('"example"', f'"{PASSWORD}"')
        .replace("  proxySecretRef: {name: proxy}\n", "")
    )
    text = text.replace(
        "ca.crt: PEM of the CA, besides those of the system",
        "ca.crt: |\n" + "".join(f"    {line}\n" for line in pem.splitlines()),
    )
    folder = put(tmp_path / "p", address, repository=text, policies=FLUX, pod=POD)
    del nobody["SSL_CERT_FILE"]
    succeed(["krmfn", "update", "."], cwd=folder, env=nobody)
    assert "acme/web:1.3.1" in (folder / "pod.yaml").read_text()


def test_the_generated_secret_logs_in_under_kustomize(
    private_registry: Private, nobody: dict[str, str], tmp_path: Path
):
    folder = put(
        tmp_path / "p", private_registry.address, web=POD, kustomization=block("yaml", "secretGenerator"),
        policies=FLUX + "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\n"
        'metadata: {name: web, namespace: shop, annotations: {config.kubernetes.io/local-config: "true"}}\n'
        "spec: {image: ADDRESS/acme/web, secretRef: {name: registry-login}}\n",
        krmfn=POLICIES.partition("spec:")[0],
    )  # fmt: skip
    shutil.copy(private_registry.login / "config.json", folder)
    built = succeed(
        [tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", "."], cwd=folder, env=nobody
    )
    assert "acme/web:1.3.1" in built
    assert "Secret" not in built


def test_a_mirror_is_asked_with_its_own_login(private_registry: Private, nobody: dict[str, str], tmp_path: Path):
    mirrors = (
        block("yaml", "mirrors:")
        .replace("mirror.corp.example/hub", "ADDRESS")
        .replace("registry.corp.example", "ADDRESS")
    )
    folder = put(
        tmp_path / "p",
        private_registry.address,
        mirrors=mirrors,
        policies=POLICIES.replace("ADDRESS", "ghcr.io"),
        pod=POD.replace("ADDRESS", "ghcr.io"),
    )
    env = {**nobody, "DOCKER_CONFIG": str(private_registry.login)}
    succeed(["krmfn", "update", "."], cwd=folder, env=env)
    assert "ghcr.io/acme/web:1.3.1" in (folder / "pod.yaml").read_text()
    done = run(["krmfn", "update", "."], cwd=folder, env={**env, "KRMFN_ALLOWED_REGISTRIES": "ghcr.io"})
    assert (
        f"{private_registry.address}/acme/web may not be asked: KRMFN_ALLOWED_REGISTRIES allows ghcr.io" in done.stderr
    )


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Containers:
    return prepare(tmp_path_factory.mktemp("containers"))


def test_the_container_commands_of_the_page_log_in(containers: Containers, private_registry: Private, tmp_path: Path):
    """Both commands are run as they stand, with the image, the folder and the repository of the test."""
    address, home = private_registry.address, tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    shutil.copy(private_registry.login / "config.json", home / ".docker")
    shutil.copy(private_registry.certificates, home / ".docker" / "ca.pem")
    (home / ".docker" / "config.json").chmod(0o600)
    called = f"container: {{image: {containers.image}, network: true}}"
    built = put(
        tmp_path / "built", address, web=POD, krmfn=POLICIES.replace("exec: {path: krmfn}", called),
        kustomization="resources: [web.yaml]\ntransformers: [krmfn.yaml]\n",
    )  # fmt: skip
    unbound = "".join(line for line in POD.splitlines(keepends=True) if "annotations" not in line)
    package = put(tmp_path / "package", address, web=unbound)
    kpt, kustomize = block("sh", "kpt fn eval DIR --image").split("kustomize build DIR")
    trust = "DOCKER_CONFIG=/login {} SSL_CERT_FILE=/login/ca.pem"
    kpt = kpt.replace("ghcr.io/krmfn/krmfn:0.1", f"{containers.image} --image-pull-policy never").replace(
        "ghcr.io/acme", f"{address}/acme"
    )
    env = {**containers.env, "HOME": str(home), "DIR": str(package)}
    for tool in ("kpt", "kustomize"):
        env["PATH"] = f"{tools.require(tool).parent}:{env['PATH']}"
    succeed(
        ["bash", "-euc", kpt.replace(" DIR ", " $DIR ").replace("DOCKER_CONFIG=/login", trust.format("--env"))], env=env
    )
    assert f"{address}/acme/web:1.3.1" in (package / "web.yaml").read_text()
    script = f"kustomize build $DIR{kustomize}".replace("DOCKER_CONFIG=/login", trust.format("-e"))
    assert f"{address}/acme/web:1.3.1" in succeed(["bash", "-euc", script], env={**env, "DIR": str(built)})
