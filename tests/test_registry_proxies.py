"""Proxies: which one is asked, with whose log-in, and for whom none."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from krmfn.sources.registry.origin import Origin
from krmfn.sources.registry.proxies import proxy_for
from tests.asking import asking, error_of, repository
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy, relay
from tests.registry_server import Registry, Request, serving
from tests.waiting import ending, pause


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


LOGIN = "Basic " + base64.b64encode(b"me:canary-proxy").decode()


@pytest.fixture
def public(authority: Authority, tmp_path: Path) -> Iterator[Registry]:
    """Serve a registry that calls itself registry.example, over TLS."""
    with serving(server_context(authority.issue("registry.example"), tmp_path)) as registry:
        yield registry


def test_https_goes_through_the_proxy_of_the_environment(public, authority):
    with Proxy(public.address) as proxy, asking(env={"HTTPS_PROXY": proxy.url}) as source:
        asked = repository("registry.example/acme/web", insecure=False, ca_pem=authority.pem)
        assert source.tags(asked).tags == ("1.0.0",)
        assert {seen[:2] for seen in proxy.seen} == {("CONNECT", "registry.example:443")}


def test_plain_text_goes_through_the_proxy_of_the_environment():
    with serving() as registry, Proxy(registry.address) as proxy:
        env = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url}
        with asking(env=env) as source:
            assert source.tags(repository("registry.example/acme/web")).tags == ("1.0.0",)
        assert [seen[1] for seen in proxy.seen] == [
            "registry.example:443",
            "http://registry.example/v2/acme/web/tags/list?n=1000",
        ]


def test_a_proxy_may_be_where_a_public_registry_may_not_lead():
    """What a redirect leads to has to be public; the proxy that it goes through is in nobody's network but ours."""

    def lead(request: Request) -> None:
        if request.headers["Host"] == "registry.example":
            request.plain(307, b"", {"Location": "http://elsewhere.example/v2/acme/web/tags/list"})
        else:
            request.answer()

    with serving() as registry, Proxy(registry.address) as proxy, asking(env={"ALL_PROXY": proxy.url}) as source:
        registry.misbehave("tags", lead)
        assert source.tags(repository("registry.example/acme/web")).tags == ("1.0.0",)
        assert proxy.seen[-1][1] == "http://elsewhere.example/v2/acme/web/tags/list"


def test_the_proxy_of_a_repository_comes_first_and_gets_its_login(public, authority):
    access = {"ca_pem": authority.pem, "proxy_username": "me", "proxy_password": "canary-proxy"}
    with Proxy(public.address, LOGIN) as proxy, asking(env={"HTTPS_PROXY": "http://127.0.0.1:1"}) as source:
        asked = repository("registry.example/acme/web", insecure=False, proxy_address=proxy.url, **access)
        assert source.tags(asked).tags == ("1.0.0",)
        assert [seen[2] for seen in proxy.seen] == [LOGIN]
        assert "Proxy-Authorization" not in public.text()
        wrong = repository("registry.example/acme/web", insecure=False, proxy_address=proxy.url)
        error = error_of(lambda: source.tags(wrong))
    assert error.failure == "unavailable"
    assert "407" in error.message


def test_a_proxy_that_is_not_there_is_named_without_its_password():
    env = {"HTTPS_PROXY": "http://me:canary-proxy@127.0.0.1:1"}
    with asking(env=env) as source:
        error = error_of(lambda: source.tags(repository("registry.example/acme/web", insecure=False)))
    assert error.failure == "unavailable"
    assert "the proxy for https://registry.example" in error.message
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    ("url", "env", "expected"),
    [
        ("https://ghcr.io", {"https_proxy": "a", "HTTPS_PROXY": "b"}, "a"),
        ("https://ghcr.io", {"ALL_PROXY": "c"}, "c"),
        ("http://ghcr.io", {"HTTPS_PROXY": "b"}, ""),
        ("http://ghcr.io", {"HTTP_PROXY": "b", "REQUEST_METHOD": "GET"}, ""),
        ("https://ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": "*"}, ""),
        ("https://ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": "ghcr.io"}, ""),
        ("https://a.ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": "ghcr.io"}, ""),
        ("https://ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": ".ghcr.io"}, "b"),
        ("https://a.ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": ".ghcr.io, x"}, ""),
        ("https://a.ghcr.io", {"HTTPS_PROXY": "b", "no_proxy": "*.ghcr.io"}, ""),
        ("https://evilghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": "ghcr.io"}, "b"),
        ("https://ghcr.io:5000", {"HTTPS_PROXY": "b", "NO_PROXY": "ghcr.io:5000"}, ""),
        ("https://ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": "ghcr.io:5000"}, "b"),
        ("https://10.2.3.4", {"HTTPS_PROXY": "b", "NO_PROXY": "10.0.0.0/8"}, ""),
        ("https://11.2.3.4", {"HTTPS_PROXY": "b", "NO_PROXY": "10.0.0.0/8"}, "b"),
        ("https://[fd00::1]", {"HTTPS_PROXY": "b", "NO_PROXY": "fd00::/8"}, ""),
        ("https://localhost:5000", {"HTTPS_PROXY": "b"}, ""),
        ("https://127.0.0.9", {"HTTPS_PROXY": "b"}, ""),
        ("https://ghcr.io", {"HTTPS_PROXY": "b", "NO_PROXY": ", ,"}, "b"),
    ],
)
def test_proxies_are_chosen_as_go_does(url, env, expected):
    origin = Origin.of(url)
    assert origin is not None
    assert proxy_for(origin, env) == expected


def answer(connection: socket.socket, place: str, head: bytes, seconds: float = 0.0) -> None:
    """Reply to CONNECT with this head and lead on, or end where it has no end."""
    connection.recv(65536)
    connection.sendall(head)
    if not head.endswith(b"\n"):
        return
    pause(seconds)
    with socket.create_connection(place.split(":")) as there:  # type: ignore[arg-type]
        relay(connection, there)


OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
HEADS = {
    "one interim answer": (b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OPEN, ""),
    "two interim answers": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OPEN, ""),
    "line feeds alone": (b"HTTP/1.1 200 OK\nX: y\n\n", ""),
    "no end of interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "more than 1000 lines"),
    "no end of headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000, "more than 1000 lines"),
    "no header": (b"HTTP/1.1 200 OK\r\nwhat\r\n\r\n", "header line 1 that cannot be read"),
    "a bare CR": (b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", "header line 1 that cannot be read"),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "answered 101 for CONNECT"),
    "garbage": (b"\x00\xff" * 40, "the answer is not HTTP"),
    "the end": (b"", "closed the connection"),
}


@pytest.mark.parametrize("is_https", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("name", HEADS)
def test_what_a_proxy_answers_to_connect_is_read_strictly(name, is_https, authority, tmp_path):
    head, word = HEADS[name]
    tls = server_context(authority.issue("registry.example", "127.0.0.1"), tmp_path)
    with serving(tls) as registry:
        acting = Proxy(registry.address, act=lambda c: answer(c, registry.address, head), tls=tls if is_https else None)
        with acting as proxy, asking(tries=1, repository_seconds=8) as source:
            asked = repository("registry.example/acme/web", insecure=False, ca_pem=authority.pem, proxy_address=proxy.url)
            if word:
                error = error_of(lambda: source.tags(asked))
                assert "the proxy for https://registry.example" in error.message
                assert word in error.message
            else:
                assert source.tags(asked).tags == ("1.0.0",)


@pytest.mark.parametrize("is_https", [False, True], ids=["http", "https"])
def test_a_handshake_inside_a_tunnel_may_be_slow_and_keeps_its_deadline(is_https, authority, tmp_path):
    """Far away a handshake takes longer than the quarter of a second after which a silent read looks at the clock."""
    tls = server_context(authority.issue("registry.example", "127.0.0.1"), tmp_path)
    with serving(tls) as registry:
        for seconds, has_time in ((0.8, True), (5.0, False)):
            acting = Proxy(
                registry.address,
                act=lambda c: answer(c, registry.address, OPEN, seconds),  # noqa: B023
                tls=tls if is_https else None,
            )
            with acting as proxy, asking(tries=1, idle_seconds=3.0, repository_seconds=2.0) as source:
                asked = repository("registry.example/acme/web", insecure=False, ca_pem=authority.pem, proxy_address=proxy.url)
                with ending():
                    if has_time:
                        assert source.tags(asked).tags == ("1.0.0",)
                    else:
                        assert error_of(lambda: source.tags(asked)).failure == "unavailable"  # noqa: B023
