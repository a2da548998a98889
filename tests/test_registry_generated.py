"""Generated cases for the registry client: a fixed seed here, a fresh one in the soak. See registry_cases for what they are made of.

Held for every case: its end, its exit, its time, how many requests it sends, the peak of memory, one clear line, that no secret
shows or goes to another host, and that a list comes back whole or not at all.
"""

from __future__ import annotations

import json
import os
import secrets as chance
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from krmfn.sources.keychain import Keychain
from tests.registry_cases import (
    ANSWERS,
    BODIES,
    CHALLENGES,
    EXITS,
    LINKS,
    LOGINS,
    ORIGINS,
    OWNERS,
    PAGES,
    PLACES,
    PROXIES,
    SECRET,
    TLS,
    TOKENS,
    WAYS,
    Case,
    HelperCase,
    cases,
    helper_cases,
)
from tests.registry_rounds import SIZE, House, judge, open_house

SEED, COUNT, HELPERS = 20261126, 240, 80
SOAK = int(os.environ.get("KRMFN_SOAK", "5000"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(tmp_path_factory.mktemp("cases")) as opened:
        yield opened


def failures(seed: int, count: int, house: House) -> list[str]:
    """Run cases by rounds; return what is wrong with them."""
    drawn = list(cases(seed, count))
    return [fault for start in range(0, count, SIZE) for fault in judge(drawn[start : start + SIZE], house)]


def test_generated_cases_end_as_they_must(house: House):
    assert failures(SEED, COUNT, house) == []


@pytest.mark.soak
def test_generated_cases_end_as_they_must_whatever_the_seed(house: House):
    seed = chance.randbits(32)
    assert failures(seed, SOAK, house) == [], f"seed {seed}"


def test_the_cases_reach_every_value_of_every_dimension():
    drawn = list(cases(SEED, COUNT))
    dimensions: tuple[Iterable[str], ...] = (PAGES, BODIES, LINKS, TLS, PROXIES, ORIGINS, LOGINS, CHALLENGES, TOKENS, OWNERS)
    assert len(dimensions) == len(Case._fields)
    for name, values in zip(Case._fields, dimensions, strict=True):
        assert {getattr(case, name) for case in drawn} == set(values)
    assert {(case.tls, case.proxy) for case in drawn} == set(WAYS)
    assert COUNT / 4 < sum(case.is_harmless for case in drawn) < COUNT * 3 / 4
    helpers = list(helper_cases(SEED, HELPERS))
    assert {case.answer for case in helpers} == set(ANSWERS)
    assert {case.place for case in helpers} == set(PLACES)
    assert HELPERS / 10 < sum(case.is_login for case in helpers) < HELPERS / 2
    assert {case.code for case in helpers} == set(EXITS)
    assert {case.to_stderr for case in helpers} == {True, False}


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
    credential, _, problems = Keychain(env, helper_seconds=300).find("r.example", "acme/web")
    if case.is_login != (credential is not None and credential.password == SECRET):
        return f"a login: {credential is not None}"
    if bool(problems) == (case.is_login or (case.answer == "not found" and case.code != 0)):
        return f"problems: {problems}"
    shown = " ".join(problems) + repr(credential)
    return f"shown: {shown}" if "canary" in shown or not shown.isprintable() or len(shown) > 900 else ""


@pytest.mark.parametrize(
    ("seed", "count"), [(SEED, HELPERS), pytest.param(None, SOAK // 10, marks=pytest.mark.soak)], ids=["", "soak"]
)
def test_generated_answers_of_helpers_end_as_they_must(seed, count, tmp_path):
    seed = chance.randbits(32) if seed is None else seed
    judged = ((case, judge_helper(case, tmp_path)) for case in helper_cases(seed, count))
    assert [f"{case}: {fault}" for case, fault in judged if fault] == [], f"seed {seed}"
