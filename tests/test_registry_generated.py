"""Generated cases for the registry client: a fixed seed here, a fresh one in the soak. See registry_cases for what they are made of.

Held for every case: its end, its time, how many requests it sends, how much memory the process has grown, that no secret shows
or goes to another host, and that a list comes back whole or not at all.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import secrets as chance
import shlex
import ssl
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from krmfn.errors import RegistryError
from krmfn.model import Repository
from krmfn.sources.keychain import Keychain
from tests.asking import Clock, asking, repository
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy
from tests.registry_cases import (
    ANSWERS,
    BODIES,
    LINKS,
    LOGINS,
    ORIGINS,
    PAGES,
    PLACES,
    SECRET,
    WAYS,
    WHOLE,
    Case,
    HelperCase,
    cases,
    helper_cases,
)
from tests.registry_server import Login, Registry, Request, serving

NAME = "registry.example"
BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
SHOWN = (SECRET, quote(SECRET, safe=""), BASIC, quote(BASIC, safe=""), "canary")
SECONDS = 6.0
SEED = 20261126
SOAK = int(os.environ.get("KRMFN_SOAK", "5000"))


class House(NamedTuple):
    """The servers that all cases share."""

    registries: dict[str, Registry]
    proxies: dict[tuple[str, str], Proxy]
    other: Registry
    authority: Authority


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, authority = tmp_path_factory.mktemp("cases"), Authority()

    def context(issuer: Authority) -> ssl.SSLContext:
        return server_context(issuer.issue(NAME, "127.0.0.1"), folder)

    tls = {"plain": None, "trusted": context(authority), "unknown CA": context(Authority("unknown"))}
    with ExitStack() as stack:
        registries = {name: stack.enter_context(serving(one)) for name, one in tls.items()}
        proxies = {
            (name, proxy): stack.enter_context(
                Proxy(
                    registries[name].address,
                    "Basic nobody" if proxy == "refuses" else "",
                    breaks_off=proxy == "breaks off",
                    tls=tls["trusted"] if proxy == "https" else None,
                )
            )
            for name, proxy in WAYS
            if proxy != "none"
        }
        for registry in registries.values():
            registry.add("acme/web", WHOLE)
        yield House(registries, proxies, stack.enter_context(Registry(host="127.0.0.2")), authority)


def prepare(case: Case, house: House) -> Repository:
    """Make the servers behave as the case wants, and the repository that is asked."""
    registry = house.registries[case.tls]
    registry.reset(None if case.login == "none" else Login(case.login, "me", SECRET))
    house.other.reset(None)
    host = registry.address if case.proxy == "none" else NAME
    own = f"{'http' if case.tls == 'plain' else 'https'}://{host}"
    if registry.login:
        registry.login.realm = f"{own}/token"
    words = {"own": own, "address": host, "other": house.other.url, "secret": SECRET, "long": "x" * 70_000}

    def act(request: Request) -> None:
        if not request.is_let_in():
            request.answer()
        elif case.origin != "here" and "again=1" not in request.path:
            where = ORIGINS[case.origin].format(path=request.path, **words)
            request.plain(307, b"", {"Location": where})
        else:
            headers = {"Content-Type": "application/json", "Link": LINKS[case.link].format(**words)}
            BODIES[case.body](request, PAGES[case.page], headers)

    registry.misbehave("tags", act)
    access = {"proxy_address": house.proxies[case.tls, case.proxy].url} if case.proxy != "none" else {}
    access |= {"proxy_username": "me", "proxy_password": "canary-proxy"} if access else {}
    config = json.dumps({"auths": {host: {"auth": BASIC}}})
    return repository(f"{host}/acme/web", docker_configs=(config,), ca_pem=house.authority.pem, **access)


def judge(case: Case, house: House, start: int) -> str:
    """Run a case; return what is wrong with it, or nothing."""
    asked = prepare(case, house)
    before = time.monotonic()
    with asking(
        world=replace(Clock().world(), chance=lambda: 0.0),
        repository_seconds=SECONDS,
        request_seconds=4.0,
        idle_seconds=3.0,
        connect_seconds=1.0,
        retry_after_seconds=1,
    ) as source:
        try:
            listing, shown = source.tags(asked).tags, ""
        except RegistryError as error:
            listing, shown = None, str(error)
        shown += repr(source.notes())
        requests = source.requests
    if time.monotonic() - before > SECONDS + 1:
        return "it took too long"
    if case.is_harmless and listing != WHOLE:
        return f"the whole list should have come, not {listing} {shown}"
    if not case.is_harmless and listing is not None:
        return f"an error should have come, not {listing}"
    if requests > 30:
        return f"{requests} requests"
    if not shown.isprintable() or len(shown) > 1200 or any(secret in shown for secret in SHOWN):
        return f"shown: {shown}"
    if any(secret in house.other.text() for secret in SHOWN) or "Authorization" in house.other.text():
        return "a login went to another host"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) >> 10
    return f"memory has grown by {grown} MiB" if grown > 150 else ""


def failures(seed: int, count: int, house: House) -> list[str]:
    """Run cases; return what is wrong with them."""
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    judged = ((case, judge(case, house, start)) for case in cases(seed, count))
    return [f"{case}: {fault}" for case, fault in judged if fault]


def test_generated_cases_end_as_they_must(house: House):
    assert failures(SEED, 400, house) == []


@pytest.mark.soak
def test_generated_cases_end_as_they_must_whatever_the_seed(house: House):
    seed = chance.randbits(32)
    assert failures(seed, SOAK, house) == [], f"seed {seed}"


def test_the_cases_reach_every_value_of_every_dimension():
    drawn = list(cases(SEED, 400))
    for names, values in (
        (PAGES, {case.page for case in drawn}),
        (BODIES, {case.body for case in drawn}),
        (LINKS, {case.link for case in drawn}),
        (ORIGINS, {case.origin for case in drawn}),
        (LOGINS, {case.login for case in drawn}),
        (WAYS, {(case.tls, case.proxy) for case in drawn}),
    ):
        assert set(names) == values
    assert 40 < sum(case.is_harmless for case in drawn) < 300
    helpers = list(helper_cases(SEED, 150))
    assert {case.answer for case in helpers} == set(ANSWERS)
    assert {case.place for case in helpers} == set(PLACES)
    assert 5 < sum(case.is_login for case in helpers) < 60


def judge_helper(case: HelperCase, folder: Path) -> str:
    """Run a case of a helper; return what is wrong with it, or nothing."""
    output = folder / "output"
    output.write_bytes(ANSWERS[case.answer][0].replace("%s", SECRET).encode(errors="surrogateescape"))
    program = folder / "docker-credential-case"
    program.write_text(
        f"#!/bin/sh\nread server\ncat {shlex.quote(str(output))} {'>&2' if case.to_stderr else ''}\nexit {case.code}\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    config: dict[str, object] = {} if case.place == "credHelpers" else {"credsStore": "case"}
    config |= {} if case.place == "credsStore" else {"credHelpers": {"r.example": "case"}}
    (folder / "config.json").write_text(json.dumps(config))
    env = {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}
    before = time.monotonic()
    credential, _, problems = Keychain(env, helper_seconds=10).find("r.example", "acme/web")
    if time.monotonic() - before > 11:
        return "it took too long"
    if case.is_login != (credential is not None and credential.password == SECRET):
        return f"a login: {credential is not None}"
    if bool(problems) == (case.is_login or (case.answer == "not found" and case.code != 0)):
        return f"problems: {problems}"
    shown = " ".join(problems) + repr(credential)
    return f"shown: {shown}" if "canary" in shown or not shown.isprintable() or len(shown) > 900 else ""


@pytest.mark.parametrize(
    ("seed", "count"), [(SEED, 150), pytest.param(None, SOAK // 10, marks=pytest.mark.soak)], ids=["", "soak"]
)
def test_generated_answers_of_helpers_end_as_they_must(seed, count, tmp_path):
    seed = chance.randbits(32) if seed is None else seed
    judged = ((case, judge_helper(case, tmp_path)) for case in helper_cases(seed, count))
    assert [f"{case}: {fault}" for case, fault in judged if fault] == [], f"seed {seed}"
