"""TLS: what proves a registry, what a client shows of itself, and how long a handshake may take."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from krmfn.sources.registry import transport
from krmfn.sources.registry.connections import tls_context
from tests.asking import asking, error_of, repository
from tests.certificates import Authority, server_context
from tests.registry_server import Login, Request, serving
from tests.waiting import ending

if TYPE_CHECKING:
    from krmfn.sources.registry.exchange import Identity

QUICK = {"connect_seconds": 1, "idle_seconds": 0.5, "request_seconds": 1, "repository_seconds": 2}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


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


def tickets(connection: socket.socket, context: ssl.SSLContext, secrets: Path, stop: threading.Event) -> None:
    """Send session tickets without an end (RFC 8446 section 4.6.1), faster than anybody can read them."""
    tls = context.wrap_socket(connection, server_side=True)
    tls.recv(65536)
    lines = (line.split() for line in secrets.read_text().splitlines())
    secret = next(bytes.fromhex(line[2]) for line in lines if line[0] == "SERVER_TRAFFIC_SECRET_0")
    digest: hashes.HashAlgorithm = hashes.SHA384() if len(secret) == 48 else hashes.SHA256()

    def derive(name: bytes, length: int) -> bytes:
        return HKDFExpand(digest, length, struct.pack("!HB", length, 6 + len(name)) + b"tls13 " + name + b"\0").derive(secret)

    cipher, nonce = AESGCM(derive(b"key", 32 if len(secret) == 48 else 16)), int.from_bytes(derive(b"iv", 12), "big")
    ticket = b"\x04\x00\x00\x16" + struct.pack("!IIBBH8sH", 7200, 1, 1, 0, 8, b"x" * 8, 0)
    text = ticket * (16_000 // len(ticket)) + b"\x16"
    head = b"\x17\x03\x03" + struct.pack("!H", len(text) + 16)
    with socket.socket(fileno=tls.detach()) as plain:
        for number in itertools.count():
            if stop.is_set():
                return
            plain.sendall(head + cipher.encrypt((nonce ^ number).to_bytes(12, "big"), text, head))


def test_messages_of_tls_itself_are_within_the_budget_too(authority, tmp_path):
    """OpenSSL reads on while they come, and never comes back to who asked it."""
    context = server_context(authority.issue("127.0.0.1"), tmp_path)
    context.minimum_version, context.num_tickets, context.keylog_filename = ssl.TLSVersion.TLSv1_3, 0, str(tmp_path / "secrets")
    context.set_ciphers("ECDHE+AESGCM")
    with (
        listener(lambda connection, stop: tickets(connection, context, tmp_path / "secrets", stop)) as address,
        asking(tries=1, **QUICK) as source,ending()
    ):
        error = error_of(lambda: source.tags(repository(f"{address}/acme/web", insecure=False, ca_pem=authority.pem)))
    assert error.failure in ("unavailable", "limit")


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
        assert source.requests <= 3
    assert error.failure == "integrity"
    assert word in error.message
    assert not registry.seen


def test_insecure_does_not_switch_certificates_off(authority, tmp_path):
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking() as source:
        assert error_of(lambda: source.tags(repository(f"{registry.address}/acme/web"))).failure == "integrity"
        assert source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)).tags == ("1.0.0",)


def test_what_tls_trusts_for_many_repositories_is_not_kept_for_all(authority, tmp_path, monkeypatch):
    """A CA of its own for each of a thousand repositories took a gigabyte."""
    alive: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()

    def note(identity: Identity, env: Mapping[str, str]) -> ssl.SSLContext:
        context = tls_context(identity, env)
        alive.add(context)
        return context

    monkeypatch.setattr(transport, "tls_context", note)
    with serving(server_context(authority.issue("127.0.0.1"), tmp_path)) as registry, asking() as source:
        for number in range(40):
            asked = repository(f"{registry.address}/acme/web", ca_pem=f"# {number}\n{authority.pem}")
            assert source.tags(asked).tags == ("1.0.0",)
        assert len(alive) <= transport._ROUTES + 1


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
        with ending():
            error = error_of(lambda: source.tags(repository(f"{registry.address}/acme/web", ca_pem=authority.pem)))
    assert (error.failure, error.message.endswith("(2 s for this repository)")) == ("unavailable", True)


def drip_handshake(connection: socket.socket, stop: threading.Event) -> None:
    for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 0x4000:
        connection.sendall(bytes([byte]))
        if stop.wait(0.02):
            return


@pytest.mark.parametrize("act", [drip_handshake, lambda connection, stop: stop.wait(300)], ids=["dripping", "silent"])
def test_a_handshake_holds_its_deadline(act, authority):
    with listener(act) as address, asking(**QUICK) as source, ending():
        error = error_of(lambda: source.tags(repository(f"{address}/acme/web", insecure=False)))
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


def test_threads_that_share_what_tls_trusts_change_nothing_of_it(authority, tmp_path, monkeypatch):
    """A list of protocols that is set anew while another thread makes its hello sends bytes of freed memory (TLS alert 50)."""
    calls: list[ssl.SSLContext] = []
    set_protocols = ssl.SSLContext.set_alpn_protocols
    chosen: list[str | None] = []

    def note_and_set(context: ssl.SSLContext, protocols: list[str]) -> None:
        calls.append(context)
        set_protocols(context, protocols)

    def list_and_close(request: Request) -> None:
        assert isinstance(request.connection, ssl.SSLSocket)
        chosen.append(request.connection.selected_alpn_protocol())
        request.plain(200, b'{"name": "acme/web", "tags": []}', {"Connection": "close"})

    context = server_context(authority.issue("127.0.0.1"), tmp_path)
    set_protocols(context, ["http/1.1"])
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", note_and_set)
    with serving(context) as registry, asking() as source:
        for name in ("acme/web", "acme/web/acme/web", "x/acme/web"):
            registry.misbehave("tags", list_and_close)
            source.tags(repository(f"{registry.address}/{name}", ca_pem=authority.pem))
        assert chosen == ["http/1.1"] * 3
        assert registry.connections > len(calls) == len({*map(id, calls)})
