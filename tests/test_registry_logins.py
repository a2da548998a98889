"""Which login goes where: (origin of host, scheme, CA, proxy, mirror) x (origin of login), over real sockets.

Whoever writes manifests must not see a login of this machine, whatever they name; docs/security.md has the same table.
"""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from krmfn.access import Mirror, Provenance
from tests.asking import asking, error_of, repository
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy
from tests.registry_server import Login, Registry, serving
from tests.running import environment, run

NAME = "registry.example"
USER, PASSWORD = "canary-user", "canary-password-0b1d"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
IDENTITY, DIRECT = "canary-identity-77", "canary-direct-31"
SECRETS = (PASSWORD, BASIC, quote(BASIC, safe=""), IDENTITY, DIRECT, "canary-token")
SHOP, OTHER = Provenance(namespace="shop"), Provenance(namespace="other")


class Row(NamedTuple):
    """A way to a registry, by who names its parts, whose login there is, and whether it may be sent."""

    scheme: str
    ca: str
    proxy: str
    login: str
    is_sent: bool


ROWS = (
    *(Row("https", ca, proxy, "machine", True) for ca in ("machine", "both") for proxy in ("none", "machine")),
    *(Row("https", "item", proxy, "machine", False) for proxy in ("none", "machine", "item")),
    *(Row("https", ca, "item", "machine", False) for ca in ("machine", "both")),
    *(Row("http", "machine", proxy, "machine", False) for proxy in ("none", "machine", "item")),
    *(Row("http mirror", "machine", proxy, "machine", False) for proxy in ("none", "machine", "item")),
    *(Row("http of loopback", "machine", "none", login, False) for login in ("machine", "item")),
    *(Row("https mirror", ca, "none", "machine", ca != "item") for ca in ("machine", "item", "both")),
    Row("https mirror", "machine", "item", "machine", False),
    *(Row("https", ca, proxy, "item", True) for ca in ("machine", "item", "both") for proxy in ("none", "machine", "item")),
    *(Row("http", "machine", proxy, "item", True) for proxy in ("none", "machine", "item")),
    *(Row("http mirror", "machine", proxy, "item", True) for proxy in ("none", "machine", "item")),
    *(Row("https mirror", "machine", proxy, "item of another namespace", True) for proxy in ("none", "item")),
    *(Row("http mirror", "machine", proxy, "item of another namespace", False) for proxy in ("none", "item")),
)  # fmt: skip
ENTRIES = {
    "basic": {"auth": BASIC},
    "bearer": {"auth": BASIC},
    "identity": {"identitytoken": IDENTITY},
    "direct": {"registrytoken": DIRECT},
}


@pytest.fixture(scope="module")
def machine() -> Authority:
    return Authority("machine")


@pytest.fixture(scope="module")
def item() -> Authority:
    return Authority("item")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logins")


def context(authority: Authority, folder: Path) -> ssl.SSLContext:
    return server_context(authority.issue(NAME, "evil.example", "127.0.0.1"), folder)


def config(host: str, kind: str) -> str:
    return json.dumps({"auths": {host: ENTRIES[kind]}})


def wanting(kind: str, tls: ssl.SSLContext | None = None) -> Registry:
    """Make a registry that wants a login of a kind."""
    login = Login("basic" if kind == "basic" else "bearer", USER, PASSWORD, identity_token=IDENTITY)
    login.issued[DIRECT] = "repository:acme/web:pull"
    return serving(tls, login=login)


@pytest.mark.parametrize("is_trusted", [False, True], ids=["", "trusted"])
@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row)).replace(" ", "_"))
def test_a_login_goes_only_where_its_owner_decides(
    row: Row, kind: str, is_trusted: bool, machine: Authority, item: Authority, folder: Path
):
    authority = item if row.ca == "item" else machine
    with ExitStack() as stack:
        tls = context(authority, folder) if row.scheme.startswith("https") else None
        registry = stack.enter_context(wanting(kind, tls))
        proxy = stack.enter_context(Proxy(registry.address))
        host = registry.address if row.proxy == "none" else NAME
        assert registry.login
        registry.login.realm = f"{'https' if tls else 'http'}://{host}/token"
        trusted = folder / "machine.pem"
        trusted.write_text(machine.pem)
        env = {"SSL_CERT_FILE": str(trusted)}
        env |= {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url} if row.proxy == "machine" else {}
        env |= {"KRMFN_TRUST_CONFIG": f"else.example,{host}"} if is_trusted else {}
        env |= {"DOCKER_AUTH_CONFIG": config(host, kind)} if row.login == "machine" else {}
        access = {
            "insecure": row.scheme == "http",
            "ca_pem": None if row.ca == "machine" else authority.pem,
            "proxy_address": proxy.url if row.proxy == "item" else None,
            "docker_configs": (config(host, kind),) if row.login != "machine" else (),
            "provenance": OTHER if row.login == "item of another namespace" else SHOP,
        }
        is_mirrored = row.scheme.endswith("mirror")
        place = f"http://{host}" if row.scheme == "http mirror" else host
        mirrors = (Mirror("ghcr.io", place, SHOP),) if is_mirrored else ()
        asked = repository(f"{'ghcr.io' if is_mirrored else host}/acme/web", **access)
        source = stack.enter_context(asking(env=env, mirrors=mirrors))
        if row.is_sent or is_trusted:
            assert source.tags(asked).tags == ("1.0.0",)
        else:
            error = error_of(lambda: source.tags(asked))
            assert error.failure == "denied", error.message
            assert f"KRMFN_TRUST_CONFIG={host}" in error.message
            seen = registry.text() + proxy.text
            assert [secret for secret in SECRETS if secret in seen] == []
        assert registry.seen


@pytest.mark.parametrize("order", [("honest", "evil"), ("evil", "honest")], ids=" then ".join)
@pytest.mark.parametrize("kind", ["basic", "bearer", "identity", "direct"])
def test_what_one_repository_learns_is_of_no_use_to_another(
    order, kind, machine: Authority, item: Authority, folder: Path
):
    """The same host twice in one run: as this machine reaches it, and as items pretend to."""
    with ExitStack() as stack:
        honest = stack.enter_context(wanting(kind, context(machine, folder)))
        evil = stack.enter_context(wanting("bearer", context(item, folder)))
        assert honest.login
        assert evil.login
        honest.login.realm, evil.login.realm = f"https://{NAME}/token", "https://evil.example/token"
        straight, crooked = stack.enter_context(Proxy(honest.address)), stack.enter_context(Proxy(evil.address))
        trusted = folder / "machine.pem"
        trusted.write_text(machine.pem)
        env = {
            "SSL_CERT_FILE": str(trusted),
            "HTTPS_PROXY": straight.url,
            "HTTP_PROXY": straight.url,
            "DOCKER_AUTH_CONFIG": config(NAME, kind),
        }
        source = stack.enter_context(asking(env=env))
        hosts = ("evil.example",)
        asked = {
            "honest": repository(f"{NAME}/acme/web", realm_hosts=hosts),
            "evil": repository(f"{NAME}/acme/web", realm_hosts=hosts, ca_pem=item.pem, proxy_address=crooked.url),
        }
        for _ in range(2):
            for name in order:
                if name == "honest":
                    assert source.tags(asked[name]).tags == ("1.0.0",)
                else:
                    assert error_of(lambda: source.tags(asked["evil"])).failure == "denied"
        assert evil.seen
        assert [secret for secret in SECRETS if secret in evil.text() + crooked.text] == []


@pytest.mark.parametrize("by", ["item", "machine"])
def test_a_proxy_that_breaks_off_is_not_asked_in_plain_text(by: str):
    with wanting("basic") as registry, Proxy(registry.address, breaks_off=True) as proxy:
        env = {"DOCKER_AUTH_CONFIG": config(NAME, "basic")}
        env |= {"HTTPS_PROXY": proxy.url, "HTTP_PROXY": proxy.url} if by == "machine" else {}
        with asking(env=env) as source:
            address = proxy.url if by == "item" else None
            error = error_of(lambda: source.tags(repository(f"{NAME}/acme/web", proxy_address=address)))
        assert error.failure == "unavailable"
        assert {command for command, *_ in proxy.seen} == {"CONNECT"}
        assert not registry.seen


def test_a_proxy_of_this_machine_is_proved_by_this_machine_alone(machine: Authority, item: Authority, folder: Path):
    """Its URL holds a login too: whoever brings a CA must not pose as the proxy."""
    with serving(context(item, folder)) as pretender:
        trusted = folder / "machine.pem"
        trusted.write_text(machine.pem)
        env = {"SSL_CERT_FILE": str(trusted), "HTTPS_PROXY": f"https://me:{PASSWORD}@{pretender.address}"}
        with asking(env=env) as source:
            asked = repository(f"{NAME}/acme/web", insecure=False, ca_pem=item.pem)
            assert error_of(lambda: source.tags(asked)).failure == "unavailable"
        assert not pretender.seen


@pytest.mark.parametrize("allowed", [NAME, f"{NAME}/acme", f"*.example,{NAME}"])
def test_the_allow_list_binds_a_proxy_that_an_item_names(allowed: str, machine: Authority, folder: Path):
    with serving(context(machine, folder)) as registry, Proxy(registry.address) as proxy:
        asked = repository(f"{NAME}/acme/web", insecure=False, ca_pem=machine.pem, proxy_address=proxy.url)
        with asking(env={"KRMFN_ALLOWED_REGISTRIES": allowed}) as source:
            error = error_of(lambda: source.tags(asked))
        entry = proxy.url.removeprefix("http://")
        assert (error.failure, f"add {entry} to allow it" in error.message) == ("denied", True), error.message
        assert not proxy.seen
        with asking(env={"KRMFN_ALLOWED_REGISTRIES": f"{allowed},{entry}"}) as source:
            assert source.tags(asked).tags == ("1.0.0",)


def test_the_allow_list_binds_redirects_and_token_servers_but_not_content_by_digest():
    with serving() as registry, Registry(host="127.0.0.2", login=Login("bearer", anonymous=True)) as other:
        other.blobs.update(registry.blobs)
        elsewhere = {"Location": f"{other.url}/v2/x"}
        asked = repository(f"{registry.address}/acme/web")
        with asking(env={"KRMFN_ALLOWED_REGISTRIES": registry.address}) as source:
            for endpoint in ("tags", "head"):
                registry.misbehave(endpoint, lambda r: r.plain(307, b"", elsewhere), times=1)
                error = error_of(lambda: source.tags(asked) if endpoint == "tags" else source.digest(asked, "1.0.0"))  # noqa: B023
                assert (error.failure, f"add {other.address} to allow it" in error.message) == ("denied", True)
            assert not other.seen
            registry.login = Login("bearer", anonymous=True, realm=f"{other.url}/token")
            assert f"add {other.address} to allow it" in error_of(lambda: source.tags(asked)).message
            assert not other.seen
        registry.login = other.login = None
        registry.misbehave("blob", lambda r: r.plain(307, b"", {"Location": other.url + r.path}))
        with asking(env={"KRMFN_ALLOWED_REGISTRIES": registry.address}) as source:
            assert source.created(asked, "1.0.0").startswith("2026-")
        assert other.count("blob") == 1


ITEMS = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web, namespace: shop}}
spec:
  image: {name}/acme/web
  insecure: {insecure}
  certSecretRef: {{name: ca}}
  proxySecretRef: {{name: proxy}}
---
apiVersion: v1
kind: Secret
metadata: {{name: ca, namespace: shop}}
stringData: {{ca.crt: {pem}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: proxy, namespace: shop}}
stringData: {{address: "{proxy}"}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web, namespace: shop}}
spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
  - name: web
    image: {name}/acme/web:0.9.0 # {{"$imagepolicy": "shop:web"}}
"""


@pytest.mark.parametrize(("insecure", "breaks_off"), [("false", False), ("true", False), ("true", True)])
def test_manifests_alone_cannot_take_the_login_of_this_machine(
    insecure: str, breaks_off: bool, item: Authority, folder: Path, tmp_path: Path
):
    """The door of users: `krmfn update` on files that name a CA and a proxy for a registry this machine is logged in to."""
    tls = None if breaks_off else context(item, folder)
    with wanting("basic", tls) as evil, Proxy(evil.address, breaks_off=breaks_off) as proxy:
        text = ITEMS.format(name=NAME, insecure=insecure, pem=json.dumps(item.pem), proxy=proxy.url)
        (tmp_path / "all.yaml").write_text(text)
        env = environment(DOCKER_AUTH_CONFIG=config(NAME, "basic"))
        done = run(["krmfn", "update", "."], cwd=tmp_path, env=env)
        assert done.returncode == 1, done.stdout
        assert [secret for secret in SECRETS if secret in evil.text() + proxy.text + done.stderr] == []
        assert proxy.seen
        if not breaks_off:
            assert (
                f"ask for a CA certificate and a proxy: if they may go there all the same, set KRMFN_TRUST_CONFIG={NAME}"
                in done.stderr
            )
            assert run(["krmfn", "update", "."], cwd=tmp_path, env={**env, "KRMFN_TRUST_CONFIG": NAME}).returncode == 0
            assert BASIC in evil.text()


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_realm_that_is_listed_gets_a_login_only_when_verified_tls_names_it(
    is_verified: bool, machine: Authority, folder: Path
):
    with serving(context(machine, folder), login=Login("bearer", USER, PASSWORD)) as tokens:
        assert tokens.login
        login = Login("bearer", USER, PASSWORD, realm=f"{tokens.url}/token", issued=tokens.login.issued)
        tls = context(machine, folder) if is_verified else None
        with serving(tls, login=login) as registry, asking() as source:
            asked = repository(
                f"{registry.address}/acme/web",
                ca_pem=machine.pem,
                realm_hosts=(tokens.address,),
                docker_configs=(config(registry.address, "basic"),),
            )
            if is_verified:
                assert source.tags(asked).tags == ("1.0.0",)
            else:
                assert f"KRMFN_TRUST_CONFIG={registry.address}" in error_of(lambda: source.tags(asked)).message
                assert BASIC not in tokens.text()


def test_the_table_has_every_part_from_every_side():
    assert {row.ca for row in ROWS} == {"machine", "item", "both"}
    assert {row.proxy for row in ROWS} == {"none", "machine", "item"}
    assert not [row for row in ROWS if row.login == "machine" and row.is_sent and "item" in (row.ca, row.proxy)]
