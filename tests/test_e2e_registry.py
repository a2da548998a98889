"""Real registries answer like the bundled layouts: docker-registry in the open, and behind TLS and a login."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import images, tools
from tests.running import EXAMPLES, diff, environment, files, run, succeed

if TYPE_CHECKING:
    from tests.conftest import Private

REPOSITORIES = {"web": "acme/web", "api": "acme/api", "redis": "library/redis"}


def at(address: str, text: str) -> str:
    """Move every image of the examples to another registry."""
    return (
        text.replace("ghcr.io/", f"{address}/")
        .replace("image: redis", f"image: {address}/library/redis")
        .replace("'redis:", f"'{address}/library/redis:")
        .replace("newName: redis", f"newName: {address}/library/redis")
    )


def moved(source: Path, folder: Path, address: str) -> Path:
    shutil.copytree(source, folder)
    for path in folder.rglob("*.yaml"):
        path.write_text(at(address, path.read_text()))
    return folder


@pytest.mark.parametrize("example", ["demo/package", "flux-repo"])
def test_a_registry_answers_like_the_layouts(example: str, example_registry: str, tmp_path: Path):
    folder = moved(EXAMPLES / example, tmp_path / "package", example_registry)
    before = files(folder)
    succeed(["krmfn", "update", "."], cwd=folder)
    assert diff(before, files(folder)) == at(
        example_registry, (EXAMPLES / example / ".expected" / "diff.patch").read_text()
    )


def test_a_private_registry_answers_to_the_docker_login(private_registry: Private, tmp_path: Path):
    folder = moved(EXAMPLES / "flux-repo", tmp_path / "package", private_registry.address)
    env = environment(DOCKER_CONFIG=str(private_registry.login), SSL_CERT_FILE=str(private_registry.certificates))
    before = files(folder)
    succeed(["krmfn", "update", "."], cwd=folder, env=env)
    expected = (EXAMPLES / "flux-repo" / ".expected" / "diff.patch").read_text()
    assert diff(before, files(folder)) == at(private_registry.address, expected)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("DOCKER_CONFIG", "401"), ("SSL_CERT_FILE", "certificate")],
    ids=["without the login", "without the authority"],
)
def test_a_private_registry_is_an_error_that_says_what_is_missing(
    missing: str, said: str, private_registry: Private, tmp_path: Path
):
    folder = moved(EXAMPLES / "flux-repo", tmp_path / "package", private_registry.address)
    given = {"DOCKER_CONFIG": str(private_registry.login), "SSL_CERT_FILE": str(private_registry.certificates)}
    env = {name: value for name, value in environment(**given).items() if name != missing}
    env.pop("SSL_CERT_DIR", None)
    if missing == "DOCKER_CONFIG":
        env |= {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    before = files(folder)
    done = run(["krmfn", "update", "."], cwd=folder, env=env)
    assert done.returncode == 1
    assert files(folder) == before
    assert said in done.stderr
    assert private_registry.address in done.stderr
    assert "acme/web" in done.stderr
    assert "correct-horse" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_secret_in_the_items_logs_in(private_registry: Private, tmp_path: Path):
    folder = moved(EXAMPLES / "flux-repo", tmp_path / "package", private_registry.address)
    policies = folder / "infrastructure" / "images" / "policies.yaml"
    secret = (
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: flux-system}\n"
        "type: kubernetes.io/dockerconfigjson\nstringData:\n"
        f"  .dockerconfigjson: '{(private_registry.login / 'config.json').read_text()}'\n"
    )
    text = policies.read_text().replace("\n  interval:", "\n  secretRef: {name: login}\n  interval:")
    policies.write_text(text + secret)
    env = environment(DOCKER_CONFIG=str(tmp_path), HOME=str(tmp_path), SSL_CERT_FILE=str(private_registry.certificates))
    succeed(["krmfn", "update", "."], cwd=folder, env=env)
    assert f"{private_registry.address}/acme/web:1.3.1 #" in files(folder)["apps/web.yaml"]


def test_kustomize_hands_the_login_to_an_exec_function(private_registry: Private, tmp_path: Path):
    folder = Path(shutil.copytree(EXAMPLES / "kustomize", tmp_path / "kustomize"))
    (folder / "base" / "kustomization.yaml").write_text("resources: [web.yaml]\n")
    for path in (folder / "base" / "web.yaml", folder / "images" / "images.yaml"):
        path.write_text(at(private_registry.address, path.read_text()))
    env = environment(DOCKER_CONFIG=str(private_registry.login), SSL_CERT_FILE=str(private_registry.certificates))
    flags = ("build", "--enable-alpha-plugins", "--enable-exec")
    shown = succeed([tools.require("kustomize"), *flags, folder / "overlays" / "staging"], env=env)
    assert f"image: {private_registry.address}/acme/web:2.0.0" in shown


@pytest.mark.parametrize("name", REPOSITORIES)
def test_the_registry_lists_what_skopeo_sees(name: str, example_registry: str, tmp_path: Path):
    """The examples' registry is a real one: another client sees the same tags, krmfn counts as many."""
    path = REPOSITORIES[name]
    listed = succeed(
        [tools.require("skopeo"), "list-tags", "--tls-verify=false", f"docker://{example_registry}/{path}"]
    )
    tags = next(tags for image, tags in images.EXAMPLES.items() if image.endswith(path))
    assert sorted(json.loads(listed)["Tags"]) == sorted(tags)
