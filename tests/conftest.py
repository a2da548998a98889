"""Fixtures that start real programs: a registry with the examples' images, for the whole session."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import images, tools


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden: write what the tests see into the expected files, to be read in the diff."""
    parser.addoption("--update-golden", action="store_true", help="write the expected files anew")


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Tell whether expected files are written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def example_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Debian's docker-registry on a loopback port with every image of the examples; answer `host:port`.

    `ghcr.io/acme/web` is there as `acme/web`, `docker.io/library/redis` as `library/redis`.
    """
    program = tools.require("docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    address = f"127.0.0.1:{free_port()}"
    server = start_registry(program, folder, address)
    try:
        for repository, tags in images.EXAMPLES.items():
            images.push(address, repository.partition("/")[2], tags)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def free_port() -> int:
    """Answer a TCP port on loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_registry(program: Path, folder: Path, address: str) -> subprocess.Popen[bytes]:
    """Start docker-registry with its data under `folder` and wait until it listens."""
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{folder / 'data'}'}}}}\n"
        f"http: {{addr: '{address}'}}\n",
        encoding="utf-8",
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "serve", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    host, port = address.split(":")
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return server
        assert server.poll() is None, (folder / "log").read_text()
        time.sleep(0.02)
    server.kill()
    raise TimeoutError(f"docker-registry does not listen on {address} after 10 s")
