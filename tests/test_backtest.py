"""`krmfn backtest`: what rules would have done with the past of a real git repository."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.access import Repository
from krmfn.config.require import Age, Requirement, step
from krmfn.image import ImageRef
from krmfn.model import ImagePolicy, PolicyKey
from krmfn.plan.backtest import DAY, Taken, simulate, taken_back
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import outranks, select
from tests.running import Done, call, environment

WEB, API = "ghcr.io/acme/web", "ghcr.io/acme/api"
START = 1767225600
"""2026-01-01T00:00Z."""


def commit(place: Path, day: float, files: dict[str, str]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    time = f"{START + int(day * 86400)} +0000"
    git(place, "add", "-A")
    git(place, "commit", "-qm", "x", GIT_COMMITTER_DATE=time, GIT_AUTHOR_DATE=time)


def git(place: Path, *arguments: str, **more: str) -> None:
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c"}
    subprocess.run(["git", *arguments], cwd=place, env=environment(**names, **more), check=True, capture_output=True)


def pod(image: str) -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n  - name: web\n    image: {image}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """1.1.0 runs from day 1 to day 2.5 and is taken back; 1.1.1 comes on day 4; of the api 2.0.0 runs ten days and is taken back."""
    top = tmp_path / "shop"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    for day, web in ((0, "1.0.0"), (1, "1.1.0"), (2.5, "1.0.0"), (4, "1.1.1")):
        commit(top, day, {"web.yaml": pod(f"{WEB}:{web}"), "notes.yaml": f"day: {day}\n"})
    for day, api in ((5, "1.0.0"), (6, "2.0.0"), (16, "1.0.0")):
        commit(top, day, {"apps/api.yaml": pod(f"{API}:{api}")})
    commit(top, 20, {"apps/broken.yaml": "image: [nginx:1.2\n"})
    return top


def told(place: Path, *arguments: str, **more: str) -> Done:
    return call("backtest", place, *arguments, cwd=place.parent, **more)


def backtest(place: Path, *arguments: str) -> dict[str, Any]:
    done = told(place, "-o", "json", *arguments)
    assert done.returncode == 0, done.stderr
    shown: dict[str, Any] = json.loads(done.stdout)
    return shown


def test_an_age_spares_what_was_taken_back_sooner(place: Path):
    shown = backtest(place)
    assert shown["rules"] == [
        {"name": "0 days", "moves": 3, "daysBehind": 0.0, "longest": 0.0, "adoptedAndTakenBack": 2, "spared": 0},
        {"name": "3 days", "moves": 2, "daysBehind": 3.0, "longest": 3.0, "adoptedAndTakenBack": 1, "spared": 1},
        {"name": "7 days", "moves": 2, "daysBehind": 7.0, "longest": 7.0, "adoptedAndTakenBack": 1, "spared": 1},
    ]
    web = next(one for one in shown["images"] if one["image"] == WEB)
    assert web["takenBack"] == [
        {"tag": "1.1.0", "adopted": "2026-01-02T00:00Z", "takenBack": "2026-01-03T12:00Z", "backTo": "1.0.0", "again": None, "adoptedBy": ["0 days"]}
    ]
    assert web["moves"] == 3


def test_the_table_says_it_in_80_columns(place: Path):
    text = told(place, COLUMNS="80").stdout
    assert text.splitlines()[0] == "2 images, 5 moves from 2026-01-02 to 2026-01-17, 2 taken back"
    assert "3 days 2 3.0 3.0 1 1" in " ".join(text.split())
    assert f"{WEB}:1.1.0" in text
    assert max(map(len, text.splitlines())) <= 80
    markdown = told(place, "-o", "markdown", "--all").stdout
    assert "| 3 days | 2 | 3.0 | 3.0 | 1 | 1 |" in markdown


RULES = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: shop}
spec:
  require:
  - images: ["ghcr.io/acme/*"]
    minimumReleaseAge: {default: 1 day, major: 14 days}
"""
POLICIES = """  policies:
  - name: web
    image: ghcr.io/acme/web
    policy: {semver: {range: ">=1.0.0 <1.1.1"}}
"""


def test_two_sets_of_rules_stand_side_by_side(place: Path, tmp_path: Path):
    (tmp_path / "a.yaml").write_text(RULES)
    (tmp_path / "b.yaml").write_text(RULES.replace("14 days", "2 days"))
    first, second = backtest(place, "--rules", str(tmp_path / "a.yaml"), "--rules", str(tmp_path / "b.yaml"))["rules"]
    assert (first["adoptedAndTakenBack"], first["spared"]) == (1, 1)
    assert (second["adoptedAndTakenBack"], second["spared"]) == (2, 0)


def test_the_policies_and_requirements_of_the_tree_count(place: Path):
    commit(place, 21, {"krmfn.yaml": RULES + POLICIES})
    shown = backtest(place)
    assert [one["name"] for one in shown["rules"]] == ["as configured", "0 days", "3 days", "7 days"]
    web = next(one for one in shown["images"] if one["image"] == WEB)
    assert [one["moves"] for one in web["rules"]] == [1, 1, 0, 0]
    assert [one["image"] for one in backtest(place, "--policy", "web")["images"]] == [WEB]
    done = told(place, "--policy", "wbe")
    assert done.returncode == 1
    assert "did you mean web" in done.stderr


def test_snapshots_and_locks_are_observations(place: Path):
    snapshot = f"""\
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {{name: web}}
spec:
  image: {WEB}
  time: "2026-01-20T00:00:00Z"
  tags:
  - {{name: 1.0.0, firstSeen: "2025-12-01T00:00:00Z"}}
  - {{name: 1.2.0, firstSeen: "2026-01-10T00:00:00Z"}}
"""
    lock = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageLock
metadata: {name: images}
spec:
  images:
  - {policy: "shop:db", image: ghcr.io/acme/db, tag: 16.%d.0, policyHash: "1"}
"""
    commit(place, 21, {"tags.yaml": snapshot, "lock.yaml": lock % 1})
    commit(place, 22, {"lock.yaml": lock % 2})
    commit(place, 23, {"lock.yaml": lock % 1})
    images = {one["image"]: one for one in backtest(place, "--age", "0 days")["images"]}
    assert images[WEB]["rules"][0]["moves"] == 3  # 1.1.0, 1.1.1 and 1.2.0, which nobody ever ran
    assert [one["tag"] for one in images["ghcr.io/acme/db"]["takenBack"]] == ["16.2.0"]


def test_what_cannot_be_read_is_told(place: Path, tmp_path: Path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{place}", str(clone))
    done = told(clone)
    assert done.returncode == 0
    assert "this clone is shallow" in done.stderr
    assert "1 version of a file is no YAML" in told(place).stderr
    done = told(tmp_path)
    assert done.returncode == 1
    assert "git log failed" in done.stderr
    assert told(place, "--age", "soon").returncode == 2


# properties

VERSION = parse_rules({"version": {"within": "major"}})
TAGS = ["1.0.0", "1.0.1", "1.1.0", "1.1.1", "2.0.0", "2.0.1", "2.1.0"]
SEEN = st.dictionaries(st.sampled_from(TAGS[1:]), st.integers(1, 30), max_size=6).map(lambda seen: {"1.0.0": 0, **seen})
AGES = st.builds(
    lambda default, steps: Age(default, tuple(sorted(steps.items()))),
    st.integers(0, 8), st.dictionaries(st.sampled_from(["major", "minor", "patch"]), st.integers(0, 12)),
)  # fmt: skip


def policy_of(age: Age) -> ImagePolicy:
    image = Repository(ImageRef.parse(WEB))
    return ImagePolicy(PolicyKey("", "web"), image, VERSION, "Never", frozenset(), requirements=(Requirement(age=age),))


def by_the_day(seen: dict[str, int], taken: list[Taken], age: Age) -> tuple[list[int], set[str]]:
    """Walk through the past day by day, as somebody would who looks once a day."""
    deployed, adopted = "1.0.0", set[str]()
    ran: list[str] = []
    waits: list[int] = []
    for day in range(80):
        for one in taken:
            if one.time == day and deployed == one.tag:
                adopted.add(one.tag)
                deployed = next((tag for tag in reversed(ran) if not any(x.tag == tag and x.time <= day for x in taken)), deployed)
        while True:
            gone = {one.tag for one in taken if one.time <= day}
            ready = [tag for tag, first in seen.items() if tag not in gone and first <= day and day >= first + age.of(step(deployed, tag))]
            best = select(VERSION, (deployed, *ready), current=deployed).tag
            if best in (deployed, None):
                break
            waits.append(day - seen[best])
            ran.append(deployed)
            deployed = best
    return waits, adopted


@given(SEEN, AGES, st.lists(st.tuples(st.sampled_from(TAGS[1:]), st.integers(0, 20)), max_size=3, unique_by=lambda pair: pair[0]))
def test_events_and_days_come_to_the_same(seen, age, pulled):
    taken = [Taken(tag, seen[tag], seen[tag] + after, "1.0.0") for tag, after in pulled if tag in seen]
    outcome = simulate(policy_of(age), {tag: float(day) for tag, day in seen.items()}, taken)
    assert (list(outcome.waits), set(outcome.adopted)) == by_the_day(seen, taken, age)


@given(SEEN, st.integers(0, 8), st.integers(0, 8))
def test_nothing_is_adopted_before_it_is_old_enough(seen, age, more):
    shorter, longer = (simulate(policy_of(Age(one)), {tag: float(day) for tag, day in seen.items()}, ()) for one in (age, age + more))
    assert all(wait >= age for wait in shorter.waits)
    assert longer.moves <= shorter.moves


@given(st.lists(st.sampled_from(TAGS), min_size=2, max_size=12))
def test_only_what_was_moved_to_and_left_for_a_lower_tag_is_taken_back(tags):
    moves = [(float(time), before, after) for time, (before, after) in enumerate(pairwise(tags)) if before != after]
    taken = taken_back(VERSION, moves)
    for one in taken:
        assert outranks(VERSION, one.tag, one.back_to)
        assert (one.time, one.tag, one.back_to) in moves
        assert any(after == one.tag and outranks(VERSION, after, before) and time == one.adopted for time, before, after in moves)
    lowered = {before for _, before, after in moves if outranks(VERSION, before, after)}
    raised = {after for _, before, after in moves if outranks(VERSION, after, before)}
    assert {one.tag for one in taken} <= lowered & raised
    assert DAY == 86400


def raw(place: Path, kind: str, data: str) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-w", "-t", kind, "--literally", "--stdin"], cwd=place, input=data.encode(), env=environment(), check=True, capture_output=True
    )
    return done.stdout.decode().strip()


@pytest.mark.parametrize("when", ["99999999999999", "253402300800", "-5", "soon", "", None])
@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_a_commit_of_any_time_is_told(when: str | None, form: str, place: Path):
    """git keeps what whoever made a commit wrote as its time, and shows nothing where there is none."""
    for web in ("1.2.0", "1.1.1"):
        commit(place, 30, {"web.yaml": pod(f"{WEB}:{web}")})
        head, tree = (subprocess.run(["git", "rev-parse", one], cwd=place, check=True, capture_output=True, text=True).stdout.strip() for one in ("HEAD~1", "HEAD^{tree}"))
        committer = "" if when is None else f"committer A <a@b> {when} +0000\n"
        name = raw(place, "commit", f"tree {tree}\nparent {head}\nauthor A <a@b> 5 +0000\n{committer}\nx\n")
        (place / ".git/refs/heads/main").write_text(f"{name}\n")
    done = told(place, "--all", "-o", form)
    assert done.returncode == 0, done.stderr
    assert "1.2.0" in done.stdout


def test_files_of_any_name_have_a_history(tmp_path: Path):
    git(tmp_path, "init", "-q", "-b", "main")
    names = ("a\x01b.yaml", "\x01" + "0" * 40 + " 5.yaml", "a\nb.yaml", ":100644 100644 0 0 M.yaml", "\n.yaml")
    for day, tag in enumerate(("1.0.0", "1.1.0")):
        commit(tmp_path, day, {name: pod(f"{WEB}{number}:{tag}") for number, name in enumerate(names)})
    data = json.loads(told(tmp_path, "-o", "json").stdout)
    assert [one["moves"] for one in data["images"]] == [1] * len(names)


def test_history_is_read_a_few_megabytes_at_a_time(tmp_path: Path):
    """Sixty versions of ten megabytes, which git packs into a few kilobytes."""
    git(tmp_path, "init", "-q", "-b", "main")
    lines = "# " + "x" * 8190 + "\n"
    for number in range(24):
        commit(tmp_path, number, {f"{side}.yaml": pod(f"{WEB}:1.0.{number}") + lines * 1200 for side in "ab"})
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (600 << 20,) * 2); sys.argv = ['krmfn', 'backtest', '.', '-o', 'json'];from krmfn.__main__ import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["moves"] == 23


def test_the_configuration_of_a_checkout_neither_changes_words_nor_runs_a_program(place: Path):
    """To show signatures git runs what the configuration names."""
    spy = place.parent / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {place.parent}/evil\n")
    spy.chmod(0o755)
    commit(place, 30, {"web.yaml": pod(f"{WEB}:1.2.0")})
    head, tree = (subprocess.run(["git", "rev-parse", one], cwd=place, check=True, capture_output=True, text=True).stdout.strip() for one in ("HEAD~1", "HEAD^{tree}"))
    signed = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"
    people = f"author A <a@b> {START} +0000\ncommitter A <a@b> {START + 30 * 86400} +0000\n"
    (place / ".git/refs/heads/main").write_text(raw(place, "commit", f"tree {tree}\nparent {head}\n{people}{signed}\nx\n") + "\n")
    before = told(place).stdout
    for name, value in (("log.showSignature", "true"), ("gpg.program", str(spy)), ("i18n.logOutputEncoding", "UTF-16"), ("diff.orderFile", "/nonexistent")):
        git(place, "config", name, value)
    done = told(place)
    assert (done.returncode, done.stdout) == (0, before)
    assert not (place.parent / "evil").exists()


def test_what_a_partial_clone_lacks_is_left_out_and_told(place: Path):
    """To fetch it git would run the program that the checkout names for its remote."""
    commit(place, 30, {"web.yaml": pod(f"{WEB}:1.2.0")})
    whole = json.loads(told(place, "-o", "json").stdout)["images"][0]["moves"]
    commit(place, 31, {"web.yaml": pod(f"{WEB}:1.3.0")})
    commit(place, 32, {"web.yaml": pod(f"{WEB}:1.2.0")})
    blob = subprocess.run(["git", "rev-parse", "HEAD~1:web.yaml"], cwd=place, check=True, capture_output=True, text=True).stdout.strip()
    (place / ".git/objects" / blob[:2] / blob[2:]).unlink()
    git(place, "clone", "-q", "--bare", "--no-local", "--depth=1", f"file://{place}", str(place.parent / "remote"))
    for name, value in (
        ("core.repositoryFormatVersion", "1"), ("extensions.partialClone", "origin"), ("remote.origin.url", str(place.parent / "remote")),
        ("remote.origin.promisor", "true"), ("remote.origin.uploadpack", f"touch {place.parent}/evil; git-upload-pack"),
    ):  # fmt: skip
        git(place, "config", name, value)
    done = told(place, "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["images"][0]["moves"]) == (0, whole), done.stderr
    assert "1 version of a file is not in this clone, or too large, and left out; git fetch --refetch" in done.stderr
    assert not (place.parent / "evil").exists()
