"""Differences from Flux that docs/compatibility.md names and no other test shows: references, access, files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from krmfn.config.loading import load
from krmfn.image import ImageRef
from krmfn.sources.registry.endpoints import locate
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.asking import asking, error_of, repository
from tests.registry_server import Login, Registry
from tests.running import run

if TYPE_CHECKING:
    from krmfn.config.records import Config

POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: web, namespace: a}
spec: {image: ghcr.io/acme/web%s}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: web, namespace: a}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: 1.x}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: [1.0.0, 1.2.3]}
"""
MARKED = 'image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "a:web"}\n'


def configured(more: str) -> Config:
    return load(documents(Text((POLICY % more).encode())))


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("localhost/web", "localhost/web"),
        ("ghcr.io/acme/x", "ghcr.io/acme/x"),
        ("nginx", "docker.io/library/nginx"),
        ("myhost/web", "docker.io/myhost/web"),
    ],
)
def test_references_are_read_as_docker_reads_them(name: str, canonical: str):
    assert ImageRef.parse(name).canonical == canonical


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("127.0.0.1:5000/a", True),
        ("localhost:5000/a", True),
        ("10.0.0.5:5000/a", False),
        ("192.168.1.2:5000/a", False),
        ("nas.local/a", False),
    ],
)
def test_plain_http_is_for_this_machine_and_for_insecure(name: str, plain: bool):
    assert locate(repository(name, insecure=False), ()).plain is plain
    assert locate(repository(name), ()).plain


def test_insecure_holds_for_digests_too():
    """Only `insecure` lets a login travel in plain text, so a digest behind a login shows that it counts there."""
    login = '{"auths": {"%s": {"username": "reader", "password": "correct-horse"}}}'
    with Registry(login=Login("basic", "reader", "correct-horse")) as registry, asking() as source:
        registry.add("acme/web", ["1.0.0"])
        name, config = f"{registry.address}/acme/web", (login % registry.address,)
        assert source.digest(repository(name, docker_configs=config), "1.0.0") == registry.tags["acme/web"]["1.0.0"]
        assert (
            error_of(lambda: source.digest(repository(name, docker_configs=config, insecure=False), "1.0.0")).failure
            == "denied"
        )


def test_a_secret_that_is_not_among_the_items_is_no_error():
    (policy,) = configured(", secretRef: {name: login}").policies.values()
    assert policy.repository.access.docker_configs == ()


def test_what_only_a_cluster_can_use_is_passed_over():
    assert configured(", provider: aws, serviceAccountName: x").policies.keys() == configured("").policies.keys()


def test_a_marked_file_that_is_no_yaml_is_told(tmp_path: Path):
    (tmp_path / "policy.yaml").write_text(POLICY % "")
    (tmp_path / "template.yaml").write_text("{{ if .x }}\n" + MARKED)
    (tmp_path / "web.yaml").write_text(MARKED)
    done = run(["krmfn", "update", "."], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ": holds markers, but was not read as YAML" in done.stderr
    assert "1.2.3" in (tmp_path / "web.yaml").read_text()


def test_hidden_folders_and_links_are_left_alone(tmp_path: Path):
    (tmp_path / "outside.yaml").write_text(MARKED)
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "policy.yaml").write_text(POLICY % "")
    (tree / ".git" / "web.yaml").write_text(MARKED)
    (tree / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (tree / "web.yaml").write_text(MARKED)
    done = run(["krmfn", "update", "."], cwd=tree)
    assert done.returncode == 0, done.stderr
    assert "1.2.3" in (tree / "web.yaml").read_text()
    assert (tree / ".git" / "web.yaml").read_text() == (tmp_path / "outside.yaml").read_text() == MARKED


def test_a_list_of_patches_is_updated(tmp_path: Path):
    (tmp_path / "policy.yaml").write_text(POLICY % "")
    (tmp_path / "patch.yaml").write_text(f"- op: replace\n  path: /spec/image\n  {MARKED.replace('image', 'value', 1)}")
    done = run(["krmfn", "update", "."], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1.2.3" in (tmp_path / "patch.yaml").read_text()
