"""What stands around a registry: names, addresses, and the machine's own files."""

from __future__ import annotations

import socket
import threading

import pytest

from krmfn.sources.registry.endpoints import locate
from krmfn.sources.registry.origin import is_public
from tests.asking import asking, error_of, repository
from tests.registry_server import Login, serving
from tests.waiting import ending

QUICK = {"connect_seconds": 1, "idle_seconds": 0.5, "request_seconds": 1, "repository_seconds": 2}


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
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: released.wait(300) and [])
    with asking(**QUICK) as source, ending():
        error = error_of(lambda: source.tags(repository("registry.invalid/acme/web", insecure=False)))
    released.set()
    assert error.failure == "unavailable"
    assert "https://registry.invalid: no name server told its address within 1 s" in error.message


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
