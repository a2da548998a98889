"""A host that does not answer costs one time-out and one line, however many repositories it has, for every verb that asks.

So does a source that has none of them.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import images
from tests.registry_server import Login, Registry
from tests.running import call, environment, run

COUNT = 30
VERBS = {
    "check": ("check", "."),
    "update": ("update", "."),
    "update within": ("update", ".", "--within", "minor"),
    "get": ("get", "image", "repository", "."),
    "get policy": ("get", "image", "policy", "."),
    "fetch": ("fetch", ".", "--on-error", "keep"),
}
POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: app-{0}, namespace: apps}}
spec: {{image: {1}/acme/app-{0}, interval: 5m, insecure: true}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: app-{0}, namespace: apps}}
spec: {{imageRepositoryRef: {{name: app-{0}}}, policy: {{semver: {{range: 1.x}}}}}}
---
"""
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: app-{0}}}
spec:
  containers:
  - name: app
    image: {1}/acme/app-{0}:1.0.0{2}
  initContainers:
  - name: init
    image: {1}/acme/app-{0}:1.0.0{2}
---
"""
KEEP = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: all}\nspec: {onError: keep}\n"


def refusing(stack: ExitStack) -> str:
    """Return the address of a port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def hanging_up(stack: ExitStack) -> str:
    """Return the address of a server that closes every connection at once."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def answering(status: int) -> Callable[[ExitStack], str]:
    """Return a registry that answers everything with a status."""

    def start(stack: ExitStack) -> str:
        registry = stack.enter_context(Registry(login=Login("basic", "me", "word") if status == 401 else None))
        if status != 401:
            registry.misbehave("tags", lambda request: request.plain(status))
        return registry.address

    return start


HOSTS = {
    "refuses": (refusing, "cannot be reached"),
    "hangs up": (hanging_up, "cannot be reached|broke off|closed the connection"),
    "401": (answering(401), "answered 401"),
    "429": (answering(429), "answered 429"),
    "503": (answering(503), "answered 503"),
}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def write(folder: Path, host: str, verb: str) -> None:
    policies = "".join(POLICY.format(index, host) for index in range(COUNT)) if "within" not in verb else ""
    marker = "" if "within" in verb else ' # {{"$imagepolicy": "apps:app-{0}"}}'
    pods = "".join(POD.format(index, host, marker.format(index)) for index in range(COUNT))
    (folder / "all.yaml").write_text(policies + pods + KEEP)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_dead_host_is_one_line(verb: str, host: str, tmp_path: Path, stack: ExitStack):
    start, why = HOSTS[host]
    address = start(stack)
    write(tmp_path, address, verb)
    before = (tmp_path / "all.yaml").read_text()
    done = run(["krmfn", *VERBS[verb]], cwd=tmp_path, env=environment())
    warnings = [line for line in done.stderr.splitlines() if "warning" in line or "error" in line]
    assert len(warnings) == 1, done.stderr
    assert f"{COUNT} repositories of {address}" in warnings[0]
    assert any(word in warnings[0] for word in why.split("|")), warnings[0]
    if verb != "fetch" and "get" not in verb:
        assert f"{2 * COUNT} fields" in warnings[0]
    assert (tmp_path / "all.yaml").read_text() == before


def empty(folder: Path) -> str:
    (folder / "layout").mkdir()
    return "holds no OCI layout at all"


def missing(_folder: Path) -> str:
    return "holds no OCI layout at all"


def of_others(folder: Path) -> str:
    images.write(folder / "layout", {"registry.example.org/acme/app": {"1.0.0": "2026-01-01T00:00:00Z"}})
    return "holds no OCI layout (index.json) of them"


@pytest.mark.parametrize("layout", [empty, missing, of_others])
@pytest.mark.parametrize("verb", VERBS)
def test_a_layout_that_lacks_repositories_is_one_line(verb: str, layout: Callable[[Path], str], tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    why = layout(tmp_path)
    write(tree, "registry.example.org", verb)
    before = (tree / "all.yaml").read_text()
    done = call(*VERBS[verb], "--source", f"layout:{tmp_path / 'layout'}", cwd=tree)
    warnings = [line for line in done.stderr.splitlines() if "warning" in line or "error" in line]
    assert len(warnings) == 1, done.stderr
    names = r"(?:registry\.example\.org/acme/app-\d+, ){3}\.\.\."
    assert re.search(rf"{re.escape(f'{tmp_path}/layout {why} ({COUNT} repositories: ')}{names}\)", warnings[0])
    assert "registry.example.org/acme/app-17" not in (done.stderr if "get" in verb else done.stdout + done.stderr)
    if verb != "fetch" and "get" not in verb:
        assert f"{2 * COUNT} fields" in warnings[0]
    assert (tree / "all.yaml").read_text() == before
