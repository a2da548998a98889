"""What stands around a registry: names, addresses, TLS, proxies, and the machine's own files."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from krmfn.registry.origin import Origin, is_public
from krmfn.registry.proxies import proxy_for
from krmfn.registry.question import locate
from tests.asking import asking, error_of, repository
from tests.certificates import Authority, server_context
from tests.registry_server import Login, Registry

QUICK = {"connect_seconds": 1, "idle_seconds": 0.5, "request_seconds": 1, "repository_seconds": 2}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def serving(context: ssl.SSLContext | None = None, **settings) -> Registry:
    registry = Registry(tls=context, **settings)
    registry.add("acme/web", ["1.0.0"])
    return registry


@contextmanager
def listener(act) -> Iterator[str]:
    """Run `act` with every connection; answer the address."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not stop.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                act(connection, stop)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


CERTIFICATES = {
    "of another authority": (lambda a: Authority("other").issue("127.0.0.1"), "certificate"),
    "expired": (lambda a: a.issue("127.0.0.1", expired=True), "expired"),
    "for another name": (lambda a: a.issue("registry.example"), "not valid for"),
    "of a client": (lambda a: a.issue("127.0.0.1", client=True), "certificate"),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_does_not_prove_the_host_ends_it(name, authority, tmp_path):
    make, word = CERTIFICATES[name]
    with serving(server_context(make(authority), tmp_path)) as registry, asking() as source:
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)))
        assert source.requests <= 2
    assert error.failure == "integrity"
    assert word in error.message
    assert not registry.seen


def test_insecure_does_not_switch_certificates_off(authority, tmp_path):
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking() as source:
        assert error_of(lambda: source.tags(repository(f"{registry.address}/acme/web"))).failure == "integrity"
        assert source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)).tags == ("1.0.0",)


def test_old_tls_is_refused(authority, tmp_path):
    context = server_context(authority.issue("127.0.0.1"), tmp_path)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with serving(context) as registry, asking(**QUICK) as source:
        error = error_of(
            lambda: source.tags(repository(f"{registry.address}/acme/web", insecure=False, ca_pem=authority.pem))
        )
    assert error.failure == "unavailable"


def test_tls_holds_its_deadline_against_a_dripping_server(authority, tmp_path):
    def drip(request) -> None:
        request.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        request.drip(b" ", 0.02)

    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking(**QUICK) as source:
        registry.misbehave("tags", drip)
        before = time.monotonic()
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)))
        assert time.monotonic() - before < 3
    assert (error.failure, error.message.endswith("(2 s for this repository)")) == ("unavailable", True)


def drip_handshake(connection: socket.socket, stop: threading.Event) -> None:
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 0x4000:
        connection.sendall(bytes([byte]))
        if stop.wait(0.02):
            return


@pytest.mark.parametrize("act", [drip_handshake, lambda connection, stop: stop.wait(20)], ids=["dripping", "silent"])
def test_a_handshake_holds_its_deadline(act, authority):
    with listener(act) as address, asking(**QUICK) as source:
        before = time.monotonic()
        error = error_of(lambda: source.tags(repository(f"{address}/acme/web", insecure=False)))
        assert time.monotonic() - before < 3.5
    assert error.failure == "unavailable"


@pytest.mark.parametrize(
    ("env", "access", "word"),
    [
        ({"SSL_CERT_FILE": "/nonexistent/ca.pem"}, {}, "SSL_CERT_FILE /nonexistent/ca.pem"),
        ({"SSL_CERT_FILE": "/dev/null"}, {}, "SSL_CERT_FILE /dev/null"),
        ({}, {"ca_pem": "no certificate"}, "CA certificate given"),
        ({}, {"client_cert_pem": "no certificate", "client_key_pem": "canary"}, "client certificate"),
    ],
)
def test_certificates_that_cannot_be_used_are_named(env, access, word, authority, tmp_path):
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking(env=env) as source:
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", insecure=False, **access)))
    assert error.failure == "integrity"
    assert word in error.message
    assert "canary" not in str(error)


def test_a_redirect_from_https_to_http_is_refused(authority, tmp_path):
    with serving() as plain, serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry:
        registry.misbehave("tags", lambda r: r.plain(307, b"", {"Location": plain.url + r.path}))
        with asking() as source:
            error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)))
        assert error.failure == "integrity"
        assert not plain.seen


def test_a_realm_that_is_not_https_is_refused_behind_https(authority, tmp_path):
    with serving(login=Login("bearer", anonymous=True)) as plain:
        context = server_context(authority.issue("127.0.0.1"), tmp_path)
        with (
            serving(context, login=Login("bearer", anonymous=True, realm=f"{plain.url}/token")) as registry,
            asking() as source,
        ):
            error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)))
        assert error.failure == "integrity"
        assert not plain.seen


def test_a_closed_port_is_unavailable_after_three_tries():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with asking() as source:
        error = error_of(lambda: source.tags(repository(f"{address}/acme/web")))
        assert source.requests == 4
    assert error.failure == "unavailable"
    assert "Connection refused" in error.message


@pytest.mark.parametrize(("code", "tries"), [(socket.EAI_NONAME, 1), (socket.EAI_AGAIN, 3)])
def test_a_name_that_does_not_exist_is_asked_for_once(code, tries, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with asking() as source:
        error = error_of(lambda: source.tags(repository("registry.invalid/acme/web", insecure=False)))
        assert source.requests == tries
    assert error.failure == "unavailable"
    assert "https://registry.invalid: the host name cannot be looked up" in error.message


def test_a_name_server_that_never_answers_cannot_hold_a_run(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(20) and [])
    with asking(**QUICK) as source:
        before = time.monotonic()
        error = error_of(lambda: source.tags(repository("registry.invalid/acme/web", insecure=False)))
        assert time.monotonic() - before < 3.5
    released.set()
    assert error.failure == "unavailable"


def test_ipv6_alone_is_enough():
    with serving(host="::1") as registry, asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web")).tags == ("1.0.0",)


def test_an_address_that_swallows_everything_does_not_hide_the_next(monkeypatch):
    real = socket.getaddrinfo
    with socket.socket() as hole, serving() as registry:
        hole.bind(("127.0.0.3", int(registry.address.rpartition(":")[2])))
        hole.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for one in fill:
            one.setblocking(False)
            one.connect_ex(hole.getsockname())

        def both(host: str, port: int, **how: object):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.3", port)), *real("127.0.0.1", port, **how)]  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        with asking(**(QUICK | {"repository_seconds": 8, "request_seconds": 4, "connect_seconds": 1})) as source:
            name = f"registry.localhost:{registry.address.rpartition(':')[2]}/acme/web"
            assert source.tags(repository(name)).tags == ("1.0.0",)
        for one in fill:
            one.close()


def test_netrc_is_never_read(tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\ndefault login canary password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(login=Login("basic", "canary", "canary")) as registry, asking() as source:
        assert error_of(lambda: source.tags(repository(f"{registry.address}/acme/web"))).failure == "denied"
    assert "Authorization" not in registry.text()


class Proxy:
    """A proxy that leads every name to one place, which is how a registry on loopback can have a public name."""

    def __init__(self, place: str, login: str = "") -> None:
        self.seen: list[tuple[str, str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.refuse():
                    return
                with socket.create_connection(place.split(":")) as there:  # type: ignore[arg-type]
                    path = "/" + self.path.split("/", 3)[3]
                    there.sendall(f"{self.command} {path} HTTP/1.0\r\nHost: {self.headers['Host']}\r\n\r\n".encode())
                    while data := there.recv(65536):
                        self.wfile.write(data)
                self.close_connection = True

            def do_CONNECT(self) -> None:
                if self.refuse():
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                with socket.create_connection(place.split(":")) as there:  # type: ignore[arg-type]
                    back = threading.Thread(target=copy, args=(there, self.connection))
                    back.start()
                    copy(self.connection, there)
                    back.join()
                self.close_connection = True

            def refuse(self) -> bool:
                given = self.headers.get("Proxy-Authorization", "")
                proxy.seen.append((self.command, self.path, given))
                if login in {"", given}:
                    return False
                self.send_response(407)
                self.send_header("Proxy-Authenticate", "Basic")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


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
        assert [seen[:2] for seen in proxy.seen] == [("CONNECT", "registry.example:443")]


def test_plain_text_goes_through_the_proxy_of_the_environment():
    with serving() as registry, Proxy(registry.address) as proxy:
        env = {"HTTP_PROXY": proxy.url, "HTTPS_PROXY": "http://127.0.0.1:1"}
        with asking(env=env) as source:
            assert source.tags(repository("registry.example/acme/web")).tags == ("1.0.0",)
        assert proxy.seen[0][1] == "http://registry.example/v2/acme/web/tags/list?n=1000"


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


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "255.255.255.255",
    ],
)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(address):
    assert is_public(address)


def test_the_hub_is_asked_at_its_registry():
    target = locate(repository("nginx", insecure=False), ())
    assert (target.server, target.path, target.registry, target.plain) == (
        "registry-1.docker.io",
        "library/nginx",
        "docker.io",
        False,
    )


def test_a_client_certificate_is_shown_to_its_registry_alone(authority, tmp_path):
    """The registry redirects to a server that wants client certificates too; it gets none, so nothing comes back."""
    client = authority.issue("client", client=True)
    access = {"ca_pem": authority.pem, "client_cert_pem": client.certificate, "client_key_pem": client.key}
    (tmp_path / "other").mkdir()
    own = server_context(authority.issue("127.0.0.1"), tmp_path, authority.pem)
    theirs = server_context(authority.issue("127.0.0.2"), tmp_path / "other", authority.pem)
    with serving(own) as registry, serving(theirs, host="127.0.0.2") as other, asking() as source:
        assert source.tags(repository(f"{registry.address}/acme/web", **access)).tags == ("1.0.0",)
        registry.misbehave("tags", lambda r: r.plain(307, b"", {"Location": other.url + r.path}))
        error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", **access)))
    assert error.failure == "unavailable"
    assert not other.seen
