"""Fixtures that start real programs: a registry with the examples' images, for the whole session."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from tests import images, tools
from tests.waiting import wait_for_server

settings.register_profile("no clock", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("no clock")

for number in (0, 1, 2):  # closed ones would be taken by the next file or socket that a test opens
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    # Background jobs of shells, nohup and many runners of CI start with signals ignored, and children inherit that.
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python has it; subprocess restores it in a child
signal.pthread_sigmask(signal.SIG_SETMASK, ())

LOGIN = b"reader:correct-horse"
HTPASSWD = "reader:$2b$04$4o2vu9PC47LEUiopoizjeurh7.ab1M5VAEBNZ8uW4AUEQIO2cVqlu\n"
"""The same login, as docker-registry reads it: bcrypt, at its lowest cost."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden: write what the tests see into the expected files, to be read in the diff."""
    parser.addoption("--update-golden", action="store_true", help="write the expected files anew")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a soak take as long as it needs."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True if expected files are written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def golden(update_golden: bool) -> Callable[[str, Path], None]:
    """Compare a text with an expected file, or write it there under --update-golden."""

    def compare(seen: str, path: Path) -> None:
        if update_golden:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(seen.encode())
        assert seen == path.read_bytes().decode()

    return compare


class Private(NamedTuple):
    """A registry with TLS and a login: its address, the CA to trust, a folder with the right docker config.json."""

    address: str
    certificates: Path
    login: Path


@pytest.fixture(scope="session")
def registry_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill the storage of docker-registry with every image of the examples.

    `ghcr.io/acme/web` is there as `acme/web`, `docker.io/library/redis` as `library/redis`.
    """
    data = tmp_path_factory.mktemp("registry") / "data"
    with serving(data) as address:
        for repository, tags in images.EXAMPLES.items():
            images.push(address, repository.partition("/")[2], tags)
    return data


@pytest.fixture(scope="session")
def example_registry(registry_data: Path) -> Iterator[str]:
    """Start Debian's docker-registry on a loopback port with every image of the examples; answer `host:port`."""
    with serving(registry_data) as address:
        yield address


@pytest.fixture(scope="session")
def private_registry(registry_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    """Start a registry with the same images that wants TLS and a login."""
    from tests.certificates import Authority

    folder = tmp_path_factory.mktemp("private")
    authority = Authority()
    certificate, key = authority.issue("127.0.0.1").write(folder, "server")
    (folder / "ca.pem").write_text(authority.pem, encoding="utf-8")
    (folder / "htpasswd").write_text(HTPASSWD, encoding="utf-8")
    http = f", tls: {{certificate: '{certificate}', key: '{key}'}}"
    auth = f"auth: {{htpasswd: {{realm: private, path: '{folder / 'htpasswd'}'}}}}\n"
    with serving(registry_data, http, auth) as address:
        login = {"auths": {address: {"auth": base64.b64encode(LOGIN).decode()}}}
        (folder / "config.json").write_text(json.dumps(login), encoding="utf-8")
        yield Private(address, folder / "ca.pem", folder)


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(data: Path, http: str = "", more: str = "") -> Iterator[str]:
    """Run docker-registry over the storage `data` while the block lasts; `http` and `more` extend its settings."""
    program = tools.require("docker-registry")
    address = f"127.0.0.1:{free_port()}"
    config, log = data.with_name(f"{address}.yml"), data.with_name(f"{address}.log")
    config.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{data}'}}}}\n"
        f"http: {{addr: '{address}'{http}}}\n{more}",
        encoding="utf-8",
    )
    with log.open("wb") as out:
        server = subprocess.Popen([program, "serve", config], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for_server(server, int(address.partition(":")[2]), log)
        yield address
    finally:
        server.terminate()
        server.wait(10)
