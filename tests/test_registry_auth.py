"""Log-ins: what is sent where, how often, and that nothing is sent anywhere else."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.plan.resolve import ask
from krmfn.sources.registry import auth
from krmfn.sources.registry.challenge import parse
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.origin import Origin
from krmfn.sources.registry.source import RegistrySource
from tests.asking import Clock, asking, error_of, repository
from tests.registry_server import Login, Registry

USER, PASSWORD = "canary-user", "canary-password-93ae"


def config(address: str, **entry: str) -> str:
    login = entry or {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    return json.dumps({"auths": {address: login}})


def web(registry: Registry, path: str = "acme/web", **access: Any):
    return repository(f"{registry.address}/{path}", **{"docker_configs": (config(registry.address),), **access})


def bearer(**settings: Any) -> Registry:
    registry = Registry(login=Login("bearer", USER, PASSWORD, **settings))
    for path in ("acme/web", "acme/api"):
        registry.add(path, ["1.0.0"])
    return registry


def test_basic_is_sent_ahead_once_it_is_known_to_be_wanted():
    with Registry(login=Login("basic", USER, PASSWORD)) as registry, asking() as source:
        registry.add("acme/web", ["1.0.0"])
        source.tags(web(registry))
        source.digest(web(registry), "1.0.0")
        asked = [seen.headers.get("Authorization", "")[:5] for seen in registry.seen if seen.endpoint != "ping"]
    assert asked == ["", "Basic", "Basic"]


def test_a_login_that_cannot_be_read_is_noted_though_the_tags_come_without():
    with Registry() as registry, asking() as source:
        registry.add("acme/web", ["1.0.0"])
        broken = json.dumps({"auths": {registry.address: {"auth": "bm8gY29sb24="}}})
        assert source.tags(web(registry, docker_configs=(broken,))).tags == ("1.0.0",)
        assert ["auth without a colon between user and password" in one for one in source.notes()] == [True]


def test_a_token_serves_every_question_of_its_repository():
    with bearer() as registry, asking() as source:
        source.tags(web(registry))
        source.digest(web(registry), "1.0.0")
        source.created(web(registry), "1.0.0")
        assert registry.count("token") == 1
        source.tags(web(registry, "acme/api"))
        assert registry.count("token") == 2
        scopes = [seen.query["scope"] for seen in registry.seen if seen.endpoint == "token"]
    assert scopes == ["repository:acme/web:pull", "repository:acme/api:pull"]


def test_after_the_first_challenge_each_repository_costs_two_requests():
    with bearer() as registry, asking() as source:
        source.tags(web(registry))
        before = len(registry.seen)
        source.tags(web(registry, "acme/api"))
        assert [seen.endpoint for seen in registry.seen[before:]] == ["token", "tags"]


def test_anonymous_tokens_are_fetched_without_credentials():
    with Registry(login=Login("bearer", anonymous=True)) as registry, asking() as source:
        registry.add("acme/web", ["1.0.0"])
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == ("1.0.0",)
        assert "Authorization" not in next(seen for seen in registry.seen if seen.endpoint == "token").headers


def test_many_threads_share_one_token_request():
    with bearer() as registry, asking(workers=16, per_host=16) as source:
        registry.latency = 0.01
        source.tags(web(registry))
        assert registry.login
        registry.login.issued.clear()
        keys = [(web(registry), number) for number in range(16)]
        ask(keys, lambda key: source.digest(key[0], "1.0.0"), 16)
        assert registry.count("token") == 2


def test_a_token_is_renewed_when_its_time_is_over():
    clock = Clock()
    with bearer(life=100) as registry, asking(clock) as source:
        source.tags(web(registry))
        clock.sleep(50)
        source.tags(web(registry))
        assert registry.count("token") == 1
        clock.sleep(50)
        source.tags(web(registry))
        assert (registry.count("token"), registry.count("tags")) == (2, 4)


@pytest.mark.parametrize(("life", "after"), [(None, 50), (1, 50), (0, 50), (-1, 50)])
def test_a_token_lives_a_minute_when_the_server_says_less_or_nothing(life, after):
    clock = Clock()
    with bearer(life=life) as registry, asking(clock) as source:
        source.tags(web(registry))
        clock.sleep(after)
        source.tags(web(registry))
        assert registry.count("token") == 1


def test_a_token_that_is_refused_is_renewed_once():
    with bearer() as registry, asking() as source:
        source.tags(web(registry))
        assert registry.login
        registry.login.issued.clear()
        assert source.digest(web(registry), "1.0.0") == registry.tags["acme/web"]["1.0.0"]
        assert registry.count("token") == 2


def test_a_token_that_ran_out_is_renewed_where_it_came_from():
    with bearer() as registry, Registry(host="127.0.0.2") as other, asking() as source:
        source.tags(web(registry))
        assert registry.login
        registry.login.issued.clear()
        registry.login.realm = f"{other.url}/token"
        assert source.tags(web(registry)).tags == ("1.0.0",)
        assert not other.seen


def test_insufficient_scope_asks_for_the_scope_the_registry_names():
    with bearer() as registry, asking() as source:
        wider = 'Bearer realm="{}/token",service="registry",scope="repository:acme/web:pull,push",error="insufficient_scope"'
        registry.misbehave("tags", lambda r: r.challenge(wider.format(registry.url)), times=2)
        error_of(lambda: source.tags(web(registry)))
        assert [s.query["scope"] for s in registry.seen if s.endpoint == "token"] == ["repository:acme/web:pull,push"]


def test_an_identity_token_is_exchanged_by_post():
    with bearer(identity_token="canary-identity") as registry, asking() as source:
        secret = config(registry.address, auth=base64.b64encode(b"<token>:").decode(), identitytoken="canary-identity")
        assert source.tags(web(registry, docker_configs=(secret,))).tags == ("1.0.0",)
        token = next(seen for seen in registry.seen if seen.endpoint == "token")
    assert (token.method, "Authorization" in token.headers) == ("POST", False)
    assert "grant_type=refresh_token" in token.body
    assert "canary-identity" not in "".join(seen.path + str(seen.query) for seen in registry.seen)


def test_a_token_server_without_post_is_asked_with_the_password():
    with bearer(identity_token="canary-identity", oauth=False) as registry, asking() as source:
        login = {"username": USER, "password": PASSWORD, "identitytoken": "canary-identity"}
        assert source.tags(web(registry, docker_configs=(config(registry.address, **login),))).tags == ("1.0.0",)
        assert [seen.method for seen in registry.seen if seen.endpoint == "token"] == ["POST", "GET"]


def test_a_registry_token_is_sent_as_it_is():
    with bearer() as registry, asking() as source:
        assert registry.login
        registry.login.issued["canary-registry-token"] = "repository:acme/web:pull"
        secret = config(registry.address, registrytoken="canary-registry-token")
        assert source.tags(web(registry, docker_configs=(secret,))).tags == ("1.0.0",)
        assert registry.count("token") == 0


def test_two_secrets_for_one_registry_do_not_share_tokens():
    with bearer() as registry, asking() as source:
        source.tags(web(registry))
        wrong = config(registry.address, username=USER, password="wrong-password")
        assert error_of(lambda: source.tags(web(registry, docker_configs=(wrong,)))).failure == "denied"


def test_credentials_are_for_their_host_alone():
    with (
        bearer() as home,
        Registry(host="127.0.0.2", login=Login("basic", USER, PASSWORD)) as other,
        asking() as source,
    ):
        other.add("acme/web", ["1.0.0"])
        source.tags(web(home))
        stolen = repository(f"{other.address}/acme/web", docker_configs=(config(home.address),))
        error = error_of(lambda: source.tags(stolen))
    assert error.failure == "denied"
    assert "Authorization" not in other.text()
    assert f"no credentials for {other.address} were found" in error.message


def test_a_denial_names_the_secret_that_was_not_given():
    with Registry(login=Login("basic", USER, PASSWORD)) as registry, asking() as source:
        registry.add("acme/web", ["1.0.0"])
        asked = repository(f"{registry.address}/acme/web", missing_secrets=("shop/login (secretRef)",))
        message = error_of(lambda: source.tags(asked)).message
        assert message.endswith("or give a secretRef; Secret shop/login (secretRef) is not among the items")
        wrong = config(registry.address, username=USER, password="wrong-password")
        asked = repository(
            f"{registry.address}/acme/web", missing_secrets=("shop/login (secretRef)",), docker_configs=(wrong,)
        )
        assert "Secret shop/login (secretRef) is not among the items" in error_of(lambda: source.tags(asked)).message


@pytest.mark.parametrize(
    "key",
    ["{a}.evil.io", "evil{a}", "http://{a}.evil.io", "{a}0", "{h}", "{h}:1"],
)
def test_a_key_that_only_looks_like_the_host_gives_no_credential(key):
    with Registry(login=Login("basic", USER, PASSWORD)) as registry, asking() as source:
        name = key.format(a=registry.address, h=registry.address.rpartition(":")[0])
        error_of(lambda: source.tags(web(registry, docker_configs=(config(name),))))
        assert "Authorization" not in registry.text()


def test_plain_text_gets_credentials_only_when_insecure_is_set():
    with bearer() as registry, asking() as source:
        error = error_of(lambda: source.tags(web(registry, insecure=False)))
        assert "Authorization" not in registry.text()
    assert error.failure == "denied"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.2", "localhost", "169.254.169.254", "2852039166", "[::ffff:127.0.0.2]", "0.0.0.0", "%3127.0.0.2", "[fec0::1]", "[64:ff9b:1::7f00:2]"],
)
def test_a_public_registry_leads_no_request_to_a_private_address(host):
    world = Clock().world(is_public=lambda address: address == "127.0.0.1")
    with Registry(host="127.0.0.2") as inside, Registry(login=Login("bearer", anonymous=True)) as registry:
        port = inside.address.rpartition(":")[2]
        registry.login = Login("bearer", anonymous=True, realm=f"http://{host}:{port}/token")
        registry.add("acme/web", ["1.0.0"])
        with asking(world=world, connect_seconds=0.5, repository_seconds=3) as source:
            realm = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web")))
            registry.login = None
            location = {"Location": f"http://{host}:{port}/v2/"}
            registry.misbehave("head", lambda r: r.plain(307, b"", location))
            hop = error_of(lambda: source.digest(repository(f"{registry.address}/acme/web"), "1.0.0"))
        assert (realm.failure, hop.failure) == ("integrity", "integrity")
        assert not inside.seen


def test_a_redirect_to_another_origin_carries_no_credentials():
    with bearer() as registry, Registry(host="127.0.0.2") as other, asking() as source:
        digest = registry.tags["acme/web"]["1.0.0"]
        other.blobs.update(registry.blobs)
        registry.misbehave("blob", lambda r: r.plain(307, b"", {"Location": other.url + r.path}))
        assert source.created(web(registry), "1.0.0").startswith("2026-")
        assert digest in registry.blobs
        assert other.count("blob") == 1
        assert "Authorization" not in other.text()


def test_a_redirect_within_the_origin_keeps_credentials():
    with bearer() as registry, asking() as source:
        registry.misbehave("tags", lambda r: r.plain(308, b"", {"Location": f"{registry.url}{r.path}&x=1"}), times=1)
        assert source.tags(web(registry)).tags == ("1.0.0",)


def test_a_token_server_that_is_listed_gets_credentials():
    with Registry(host="127.0.0.2", login=Login("bearer", USER, PASSWORD)) as tokens, bearer() as registry:
        assert registry.login
        assert tokens.login
        registry.login.realm = f"{tokens.url}/token"
        registry.login.issued = tokens.login.issued
        with asking(env={"KRMFN_TRUST_CONFIG": registry.address}) as source:
            error = error_of(lambda: source.tags(web(registry)))
            assert error.failure == "integrity"
            assert f"add {tokens.address} to realmHosts" in error.message
            assert not tokens.seen
            assert source.tags(web(registry, realm_hosts=(tokens.address,))).tags == ("1.0.0",)


SECRETS = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(), "canary-token", "canary-identity")


def test_no_output_of_a_failing_run_holds_a_secret(tmp_path):
    """The registry sends back all it got, in every place that finds its way into a message."""
    docker = tmp_path / "config.json"
    with bearer() as registry:
        docker.write_text(config(registry.address))

        def echo(request: Any) -> None:
            if request.is_let_in():
                sent = request.headers["Authorization"]
                request.error(
                    418, sent, f"{sent} {PASSWORD}", {"Retry-After": sent, "Content-Type": sent, "Link": sent}
                )
            else:
                request.answer()

        for endpoint in ("tags", "head", "manifest"):
            registry.misbehave(endpoint, echo)
        code = (
            "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
            "from tests.asking import repository\nfrom krmfn.sources.registry.limits import Settings\nfrom krmfn.sources.registry.source import RegistrySource\n"
            "source = RegistrySource(Settings.of({'DOCKER_CONFIG': sys.argv[2], 'KRMFN_TRUST_CONFIG': sys.argv[1].partition('/')[0]}, tries=1))\n"
            "web = repository(sys.argv[1])\nprint(source, source._settings, web, vars(source))\n"
            "for ask in (source.tags, lambda r: source.digest(r, '1.0.0'), lambda r: source.created(r, '1.0.0')):\n"
            "    try: ask(web)\n"
            "    except Exception as error: logging.exception('failed'); print(repr(error), error, vars(error))\n"
            "print(source.notes()); raise SystemExit(repr(vars(source)))\n"
        )
        command = [sys.executable, "-c", code, f"{registry.address}/acme/web", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        sent = registry.text()
    assert all(secret in sent for secret in SECRETS[1:3]), "the secrets must have been in play"
    assert "418" in done.stdout, done.stderr
    shown = done.stdout + done.stderr
    assert [secret for secret in SECRETS if secret in shown] == []
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            'Bearer realm="https://a/t",service="s",scope="r:x:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "r:x:pull,push"})],
        ),
        ("Bearer realm=https://a/t,service=svc", [("bearer", {"realm": "https://a/t", "service": "svc"})]),
        ('basic REALM = "a \\"b\\""', [("basic", {"realm": 'a "b"'})]),
        (
            'Negotiate, Bearer realm="x", Basic realm="y, z"',
            [("negotiate", {}), ("bearer", {"realm": "x"}), ("basic", {"realm": "y, z"})],
        ),
        ("Basic", [("basic", {})]),
        ("", []),
        ('realm="x"', []),
    ],
)
def test_challenges_are_read(header, expected):
    assert [tuple(challenge) for challenge in parse(header)] == expected


@given(st.text())
def test_no_challenge_makes_the_reader_fail(text):
    assert isinstance(parse(text), tuple)


def test_settings_and_repositories_do_not_print_secrets():
    access = repository("r.example/x", docker_configs=(PASSWORD,), proxy_password=PASSWORD, client_key_pem=PASSWORD)
    source = RegistrySource(Settings.of({"DOCKER_AUTH_CONFIG": PASSWORD}))
    assert PASSWORD not in repr((access, source, vars(source), source._settings))


KNOWN = {
    "registry-1.docker.io": "auth.docker.io", "registry.gitlab.com": "gitlab.com", "nvcr.io": "authn.nvidia.com",
    "docker.elastic.co": "docker-auth.elastic.co", "registry.digitalocean.com": "api.digitalocean.com",
}  # fmt: skip


@pytest.mark.parametrize("registry", [*KNOWN, "ghcr.io", "registry-1.docker.io.example", "docker.io"])
@pytest.mark.parametrize(
    "realm",
    [
        *(f"https://{host}/token" for host in [*KNOWN.values(), "evil.example", "auth.docker.io.evil.example", "sub.gitlab.com"]),
        *(f"http://{host}/token" for host in KNOWN.values()),
        *(f"https://{host}:8443/token" for host in KNOWN.values()),
    ],
)
def test_no_token_server_elsewhere_is_known_but_those_of_the_five_pairs(registry: str, realm: str):
    """What is decided here sends a password: the ports of these hosts cannot be had in a test with sockets."""
    origin, server = Origin.of(f"https://{registry}/v2/"), Origin.of(realm)
    assert origin
    assert server
    assert auth._is_known(origin, server) == (realm == f"https://{KNOWN.get(registry, '')}/token")
