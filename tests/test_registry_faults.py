"""The fault matrix: whatever a registry does, every question ends in time, in the right class, and gives nothing away."""

from __future__ import annotations

import base64
import json
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from krmfn.errors import RegistryError
from tests import faults
from tests.asking import Clock, asking, repository
from tests.registry_server import Login, Registry, Request
from tests.waiting import ending

if TYPE_CHECKING:
    from krmfn.sources.registry.source import RegistrySource

USER, PASSWORD = "canary-user", "canary-password-7d1f"
CANARIES = (PASSWORD, "canary-token", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
CASES = [(row, endpoint) for row in faults.ROWS for endpoint in row.endpoints]
SLOW = {"repository_seconds": 0.5, "request_seconds": 0.4, "idle_seconds": 0.2, "connect_seconds": 0.2}
NORMAL = {"repository_seconds": 20.0, "request_seconds": 5.0, "idle_seconds": 2.0, "connect_seconds": 2.0}


def test_the_matrix_is_as_large_as_it_has_to_be():
    assert len({row.name for row in faults.ROWS}) == len(faults.ROWS)
    assert len(faults.ROWS) >= 42
    assert len(CASES) >= 160


def question(source: RegistrySource, registry: Registry, endpoint: str) -> object:
    """Ask what makes the client come to this endpoint."""
    web = repository(f"{registry.address}/acme/web", docker_configs=(config(registry.address),))
    if endpoint == "head":
        return source.digest(web, "1.0.0")
    if endpoint in {"manifest", "child", "blob"}:
        return source.created(web, "1.0.0")
    return source.tags(web)


def config(address: str) -> str:
    return json.dumps({"auths": {address: {"auth": CANARIES[2]}}})


@pytest.fixture
def attacker():
    with Registry(host="127.0.0.2") as server:
        yield server


@pytest.fixture
def registry():
    with Registry(page=2, login=Login("bearer", USER, PASSWORD)) as server:
        server.add("acme/web", ["1.0.0", "1.1.0", "1.2.0"], platforms=["linux/amd64", "linux/arm64"])
        yield server


@pytest.mark.parametrize(("row", "endpoint"), CASES, ids=[f"{row.name}-{endpoint}" for row, endpoint in CASES])
def test_fault(row, endpoint, registry, attacker):
    misbehave(row, endpoint, registry, attacker)
    times: dict[str, Any] = SLOW if row.slow else NORMAL
    world = replace(Clock().world(), chance=lambda: 0.0)
    with asking(world=world, **times) as source, ending():
        end, shown = end_of(source, registry, endpoint)
        shown += repr(source.notes())
    assert end == row.end(endpoint), shown
    assert source.requests <= (1010 if "without end" in row.name else 16)
    assert shown.isprintable()
    for canary in CANARIES:
        assert canary not in shown
        assert canary not in attacker.text()
    assert "Authorization" not in attacker.text()


def misbehave(row: faults.Row, endpoint: str, registry: Registry, attacker: Registry) -> None:
    """Plant the fault behind the log-in, so that there is something to steal."""

    def act(request: Request) -> None:
        if endpoint != "token" and not at_once and not request.is_let_in():
            request.answer()
        else:
            done.append(1)
            row.act(request, attacker)

    def once(request: Request) -> None:
        if row.times is None or len(done) < row.times:
            act(request)
        else:
            request.answer()

    at_once = row.name.startswith(("realm", "401 w"))
    done: list[int] = []
    registry.misbehave(endpoint, once)


def end_of(source: RegistrySource, registry: Registry, endpoint: str) -> tuple[str, str]:
    try:
        return "ok", repr(question(source, registry, endpoint))
    except RegistryError as failed:
        error = failed
    assert error.repository == f"{registry.address}/acme/web"
    assert len(str(error)) < 900
    return error.failure, str(error)


BODIES = [row for row in faults.ROWS if "endless" in row.name or "bomb" in row.name or "huge" in row.name]


def test_large_answers_stay_small_in_memory(registry, attacker):
    assert len(BODIES) >= 6
    with asking(world=replace(Clock().world(), chance=lambda: 0.0)) as source:
        question(source, registry, "tags")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for row in BODIES:
            misbehave(row, "manifest", registry, attacker)
            end_of(source, registry, "manifest")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20 << 10, f"{grown} KiB"
