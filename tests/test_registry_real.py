"""Real registries, in the clear, behind log-ins and TLS, with skopeo as the second opinion."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import registries, tools
from tests.asking import asking, error_of, repository
from tests.certificates import Authority
from tests.image_store import Images
from tests.registries import PASSWORD, USER
from tests.registry_server import Registry

if TYPE_CHECKING:
    from krmfn.access import Repository

PATHS = {"acme/web": 23, "acme/team/multi": 3, "public/tool": 5, "nginx": 1}
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def images() -> Images:
    made = Images()
    for path, count in PATHS.items():
        platforms = ["linux/amd64", "linux/arm64/v8"] if "multi" in path else []
        for number in range(count):
            created = f"2026-01-{number + 1:02}T00:00:00Z"
            labels = {"org.opencontainers.image.version": f"1.{number}.0"}
            made.add(path, [f"1.{number}.0"], created=created, platforms=platforms, labels=labels)
    return made


@pytest.fixture(scope="module", params=["docker-registry", "registry"])
def program(request: pytest.FixtureRequest) -> Path:
    return tools.require(request.param)


@pytest.fixture(scope="module")
def data(program: Path, folder: Path, images: Images) -> Path:
    """Fill a folder with the images, through the registry itself."""
    place = folder / program.name
    with registries.distribution(program, place, folder) as address:
        registries.push(address, images)
    return place


def secret(address: str) -> str:
    return json.dumps({"auths": {address: {"auth": LOGIN}}})


def skopeo(*arguments: str) -> Any:
    command = [str(tools.require("skopeo")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_all(address: str, images: Images, *, plain: bool, **access: Any) -> None:
    """Everything krmfn reads is what was pushed, and what skopeo reads."""
    flags = ["--tls-verify=false", *(["--creds", f"{USER}:{PASSWORD}"] if access.get("docker_configs") else [])]
    with asking(env={"KRMFN_TRUST_CONFIG": address}) as source:
        for path, known in images.tags.items():
            asked = repository(f"{address}/{path}", insecure=plain, **access)
            assert source.tags(asked).tags == tuple(sorted(known))
            tag = max(known)
            assert source.digest(asked, tag) == known[tag]
            assert source.created(asked, tag).startswith("2026-01-")
            assert source.image(asked, tag).labels == {"org.opencontainers.image.version": tag}
            if plain:
                assert sorted(skopeo("list-tags", *flags, f"docker://{address}/{path}")["Tags"]) == sorted(known)
                seen = skopeo("inspect", *flags, f"docker://{address}/{path}:{tag}")
                assert seen["Digest"] == source.digest(asked, tag)
                assert seen["Labels"] == source.image(asked, tag).labels
        multi = repository(f"{address}/acme/team/multi", insecure=plain, **access)
        assert source.image(multi, "1.0.0").platforms == ("linux/amd64", "linux/arm64/v8")
        missing = error_of(lambda: source.digest(multi, "9.9.9"))
        nowhere = error_of(lambda: source.tags(repository(f"{address}/acme/nothing", insecure=plain, **access)))
    assert (missing.failure, missing.status) == ("not-found", 404)
    assert nowhere.failure == "not-found"
    assert nowhere.code == "NAME_UNKNOWN"


def test_plain(program, data, folder, images):
    with registries.distribution(program, data, folder) as address:
        check_all(address, images, plain=True)


def test_basic(program, data, folder, images):
    (folder / "htpasswd").write_text(registries.HTPASSWD)
    auth = {"htpasswd": {"realm": "Registry Realm", "path": str(folder / "htpasswd")}}
    with registries.distribution(program, data, folder, auth=auth) as address:
        check_all(address, images, plain=True, docker_configs=(secret(address),))
        with asking() as source:
            error = error_of(lambda: source.tags(repository(f"{address}/acme/web")))
    assert error.failure == "denied"
    assert f"docker login {address}" in error.message


def test_token(program, data, folder, images, authority):
    pair = authority.issue("tokens", use_rsa=True)
    with (
        registries.TokenServer(pair) as tokens,
        registries.distribution(program, data, folder, auth=tokens.config(folder)) as address,
    ):
        access = {"docker_configs": (secret(address),), "realm_hosts": (tokens.authority,)}
        check_all(address, images, plain=True, **access)
        scopes = [query["scope"] for query in tokens.requests]
        with asking() as source:
            public = repository(f"{address}/public/tool")
            assert len(source.tags(public).tags) == PATHS["public/tool"]
            error = error_of(lambda: source.tags(repository(f"{address}/acme/web")))
            stolen = error_of(
                lambda: source.tags(repository(f"{address}/acme/web", docker_configs=access["docker_configs"]))
            )
    assert "repository:acme/web:pull" in scopes
    assert error.failure == "denied"
    assert stolen.failure == "integrity"
    assert "realmHosts" in stolen.message


def test_tls(program, data, folder, images, authority):
    certificate, key = authority.issue("localhost", "127.0.0.1").write(folder, "tls")
    http = {"tls": {"certificate": str(certificate), "key": str(key)}}
    with registries.distribution(program, data, folder, http=http) as address:
        check_all(address, images, plain=False, ca_pem=authority.pem)
        with asking() as source:
            error = error_of(lambda: source.tags(repository(f"{address}/acme/web", insecure=False)))
            assert error.failure == "integrity"
            assert "certificate" in error.message
        trusted = folder / "ca.pem"
        trusted.write_text(authority.pem)
        with asking(env={"SSL_CERT_FILE": str(trusted)}) as source:
            assert source.tags(repository(f"{address}/nginx", insecure=False)).tags == ("1.0.0",)


def test_mutual_tls(program, data, folder, images, authority):
    certificate, key = authority.issue("127.0.0.1").write(folder, "mtls")
    client_ca = folder / "client-ca.pem"
    client_ca.write_text(authority.pem)
    http = {"tls": {"certificate": str(certificate), "key": str(key), "clientcas": [str(client_ca)]}}
    client = authority.issue("client", client=True)
    access = {"ca_pem": authority.pem, "client_cert_pem": client.certificate, "client_key_pem": client.key}
    with registries.distribution(program, data, folder, http=http) as address:
        check_all(address, images, plain=False, **access)
        with asking() as source:
            error = error_of(lambda: source.tags(repository(f"{address}/nginx", insecure=False, ca_pem=authority.pem)))
        assert error.failure == "unavailable"


@pytest.fixture(scope="module")
def crane_address(folder: Path, images: Images) -> Iterator[str]:
    with registries.crane(tools.require("crane"), folder / "crane-data", folder) as address:
        registries.push(address, images)
        yield address


def test_crane(crane_address, images):
    check_all(crane_address, images, plain=True)


@pytest.mark.parametrize("size", [1, 5, 22, 23, 24])
def test_a_real_registry_pages_as_the_specification_says(folder, images, size):
    """distribution 3 answers n tags and a Link; 2.8 ignores n."""
    program = tools.require("registry")
    data = folder / program.name
    with registries.distribution(program, data, folder) as address:
        if not data.exists():
            registries.push(address, images)
        web: Repository = repository(f"{address}/acme/web")
        with asking(page_size=size) as source:
            assert source.tags(web).tags == tuple(sorted(images.tags["acme/web"]))
            assert source.requests - 1 in {-(-PATHS["acme/web"] // size), PATHS["acme/web"] // size + 1}


def test_skopeo_and_krmfn_agree_on_the_registry_of_the_tests(images):
    with Registry(page=4) as server:
        server.tags, server.blobs = images.tags, images.blobs
        check_all(server.address, images, plain=True)
