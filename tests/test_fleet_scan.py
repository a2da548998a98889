"""A scan by several processes that are killed: nothing is lost, nothing is asked twice, and equal answers give equal bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from krmfn.fleet.plan import decode
from krmfn.fleet.store import Store
from tests.fleet_hosts import Hosts
from tests.running import call, environment, files
from tests.waiting import pause

NOW = "2026-11-20T10:00:00Z"
MOMENT = 1795168800.0
IN_FLIGHT = 4
"""Requests of one process to one host at once."""
LARGE = pytest.param(12, 417, 20, id="whole", marks=[pytest.mark.soak, pytest.mark.timeout(900)])


def planned(tmp_path: Path, manifest: str) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "apps.yaml").write_text(manifest)
    done = call("fleet", "plan", "tree", cwd=tmp_path, KRMFN_NOW=NOW)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "plan.json"
    path.write_text(done.stdout)
    return path


def digest(folder: Path) -> str:
    return hashlib.sha256(json.dumps(files(folder), sort_keys=True).encode()).hexdigest()


def start(plan: Path, lane: int, to: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "krmfn", "fleet", "scan", plan, "--lane", str(lane), "--to", to, "-q"]
    return subprocess.Popen([str(part) for part in command], env=environment(KRMFN_NOW=NOW), cwd=plan.parent)


def disturbed(plan: Path, to: Path, hosts: Hosts, kills: int, processes: int = 4) -> int:
    """Scan every lane, and kill a process at random after so many requests; returns how often that happened."""
    chance = random.Random(kills)
    lanes = list(range(len(hosts.every)))
    whole = sum(one.repositories for one in hosts.every) * 3
    thresholds = sorted(chance.randrange(hosts.requests, hosts.requests + whole) for _ in range(kills))
    running: dict[int, subprocess.Popen[bytes]] = {}
    killed = 0
    while lanes or running:
        while lanes and len(running) < processes:
            lane = lanes.pop(0)
            running[lane] = start(plan, lane, to)
        if thresholds and hosts.requests >= thresholds[0]:
            thresholds.pop(0)
            lane = chance.choice(list(running))
            running[lane].send_signal(signal.SIGKILL)
        for lane, process in list(running.items()):
            if process.poll() is not None:
                del running[lane]
                if process.returncode:
                    assert process.returncode == -signal.SIGKILL
                    killed += 1
                    lanes.append(lane)
        pause(0.005)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize(("count", "repositories", "kills"), [pytest.param(4, 15, 4, id="part"), LARGE])
def test_killed_processes_lose_what_was_in_flight_and_the_result_is_a_serial_order(tmp_path, count, repositories, kills):
    rate = min(repositories, 100)
    with Hosts(count, repositories, rate=rate, changes=repositories) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        killed = disturbed(plan, tmp_path / "scan", hosts, kills)
        turned_away = sum(len(one.turned_away) for one in hosts.every)
        print(f"{killed} killed; {hosts.requests} answers, {hosts.again} of them again; {turned_away} answers of 429")
        assert killed
        assert hosts.again <= killed * IN_FLIGHT
        pauses = hosts.requests // rate + killed + count
        assert 0 < turned_away <= IN_FLIGHT * pauses
    store = Store(tmp_path / "scan")
    assert not list((tmp_path / "scan").rglob("*.journal")), "a shard that is done has no journal"
    for one in hosts.every:
        told = {(path, what, answer) for path, what, answer in one.answered}
        snapshots = store.snapshots(one.images())
        assert list(snapshots) == sorted(one.images())
        for image, snapshot in snapshots.items():
            path = image.partition("/")[2]
            assert (path, "tags", tuple(sorted(snapshot.tags))) in told
            digests = {tag: found for tag, found in snapshot.tags.items() if found}
            assert "1.1.0" in digests
            assert {(path, tag, found) for tag, found in digests.items()} <= told
            times = {seen.first for seen in snapshot.seen.values()} | {at for seen in snapshot.seen.values() for _, at in seen.digests}
            assert times == {MOMENT}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "repositories", "kills"), [pytest.param(3, 15, 2, id="part"), LARGE])
def test_a_server_that_stands_still_gives_the_same_bytes_whatever_was_killed(tmp_path, count, repositories, kills):
    with Hosts(count, repositories) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        assert disturbed(plan, tmp_path / "killed", hosts, kills)
        for lane in range(count):
            done = call("fleet", "scan", plan, "--lane", lane, "--to", tmp_path / "calm", cwd=tmp_path, KRMFN_NOW=NOW)
            assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "killed") == digest(tmp_path / "calm")
    assert len(decode(plan.read_bytes(), "plan").lanes) == count


def scan(folder: Path, plan: Path, *more: object, now: str = NOW) -> subprocess.CompletedProcess[str]:
    return call("fleet", "scan", plan, "--lane", 0, *more, cwd=folder, KRMFN_NOW=now)


def replanned(folder: Path, now: str) -> Path:
    path = folder / "later.json"
    path.write_text(call("fleet", "plan", "tree", cwd=folder, KRMFN_NOW=now).stdout)
    return path


LATER, LATER_MOMENT = "2026-11-27T10:00:00Z", 1795773600.0


def test_the_next_scan_keeps_what_was_seen_first(tmp_path):
    with Hosts(1, 2) as hosts:
        one = hosts.every[0]
        plan = planned(tmp_path, hosts.manifest())
        first = scan(tmp_path, plan, "--to", "first", "-q")
        assert (first.returncode, first.stderr) == (0, "")
        one.changes = len(one.answered)  # every tag is pushed again, and there is a new one
        later = replanned(tmp_path, LATER)
        done = scan(tmp_path, later, "--to", "second", "--since", "first", now=LATER)
        assert done.returncode == 0, done.stderr
        back = scan(tmp_path, plan, "--to", "third", "--since", "second")
        assert back.returncode == 1
        assert "make a new plan" in back.stderr
        image = one.images()[0]
    before, after = (Store(tmp_path / name).snapshots([image])[image] for name in ("first", "second"))
    assert {tag: seen.first for tag, seen in after.seen.items()} == {**dict.fromkeys(before.tags, MOMENT), "1.3.0": LATER_MOMENT}
    assert [at for _, at in after.seen["1.1.0"].digests] == [MOMENT, LATER_MOMENT]
    assert after.tags["1.1.0"] == after.seen["1.1.0"].digests[1][0] != before.tags["1.1.0"]
    assert after.time == LATER_MOMENT


def test_what_a_registry_refuses_is_a_warning_and_stays_as_it_was(tmp_path):
    with Hosts(1, 2) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        assert scan(tmp_path, plan, "--to", "first").returncode == 0
        later = replanned(tmp_path, LATER)
        hosts.every[0].misbehave("tags", lambda request: request.error(404, "NAME_UNKNOWN", "gone"), times=1)
        done = scan(tmp_path, later, "--to", "second", "--since", "first", now=LATER)
        again = scan(tmp_path, later, "--to", "second", "--strict", now=LATER)
        store = Store(tmp_path / "second")
        times = sorted(one.time or 0 for one in store.snapshots(hosts.every[0].images()).values())
    assert (done.returncode, done.stderr.count("krmfn: warning: ")) == (0, 1)
    assert (again.returncode, again.stderr.count("krmfn: error: ")) == (1, 1)
    assert times == [MOMENT, LATER_MOMENT]
    assert len(store.failed(hosts.every[0].address)) == 1


def test_what_is_written_of_a_refusal_is_the_same_on_every_machine(tmp_path):
    (tmp_path / "login").mkdir()
    (tmp_path / "login" / "config.json").write_text('{"auths": {"r.example": {"auth": "bm9ib2R5Om5vdGhpbmc="}}}')
    with Hosts(1, 2) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        for endpoint in ("tags", "ping"):
            hosts.every[0].misbehave(endpoint, lambda request: request.error(401, "UNAUTHORIZED", "log in", {"WWW-Authenticate": 'Basic realm="r"'}))
        told = [call("fleet", "scan", plan, "--lane", 0, "--to", name, cwd=tmp_path, KRMFN_NOW=NOW, DOCKER_CONFIG=str(place)).stderr for name, place in (("with", tmp_path / "login"), ("without", "/nonexistent"))]
        again = tmp_path / "again"
        scan(tmp_path, plan, "--to", again)
        next(again.rglob("*.jsonl")).unlink()
        scan(tmp_path, plan, "--to", again)
    assert told[0] != told[1], "people are told where logins were looked for"
    assert files(tmp_path / "with") == files(tmp_path / "without") == files(again)


@pytest.mark.parametrize(
    ("now", "message"),
    [("2026-11-21T10:00:01Z", "is more than a day old"), ("2026-11-20T09:59:59Z", "is in the future")],
)
def test_a_scan_does_not_begin_with_a_plan_of_another_time(tmp_path, now, message):
    with Hosts(1, 1) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        done = scan(tmp_path, plan, "--to", "scan", now=now)
        assert (done.returncode, message in done.stderr, hosts.requests) == (1, True, 0)
        assert not (tmp_path / "scan").exists()
        assert scan(tmp_path, plan, "--to", "scan").returncode == 0
        assert scan(tmp_path, plan, "--to", "scan", now=now).returncode == 0, "what is begun goes on"


def test_a_folder_takes_one_plan(tmp_path):
    with Hosts(1, 1) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        assert scan(tmp_path, plan, "--to", "scan").returncode == 0
        done = scan(tmp_path, replanned(tmp_path, LATER), "--to", "scan", now=LATER)
    assert done.returncode == 1
    assert "holds the scan of another plan" in done.stderr


@pytest.mark.parametrize("torn", [0.3, 0.55, 0.999, 1.0])
def test_a_journal_that_is_torn_anywhere_is_read_to_its_last_whole_line(tmp_path, torn):
    with Hosts(1, 5) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        whole = scan(tmp_path, plan, "--to", "whole")
        assert whole.returncode == 0, whole.stderr
        asked = hosts.requests
        lane = decode(plan.read_bytes(), "plan").lanes[0]
        store = Store(tmp_path / "torn")
        path = store.path(lane, lane.shards[0], "journal")
        lines = [json.dumps({"plan": hashlib.sha256(plan.read_bytes()).hexdigest()})]
        for repository, what, answer in hosts.every[0].answered:
            tag = "" if what == "tags" else what
            lines.append(json.dumps({"image": f"{lane.host}/{repository}", "tag": tag, "answer": answer if tag else [answer, 0]}))
        journal = "".join(f"{line}\n" for line in lines).encode()
        path.parent.mkdir(parents=True)
        path.write_bytes(journal[: int(len(journal) * torn)])
        known = path.read_bytes().count(b"\n") - 1
        assert scan(tmp_path, plan, "--to", "torn").returncode == 0
        assert hosts.requests - asked == asked - known
    assert digest(tmp_path / "torn") == digest(tmp_path / "whole")


def test_a_long_pause_that_a_registry_wants_stops_the_questions(tmp_path):
    with Hosts(1, 40) as hosts:
        one = hosts.every[0]
        plan = planned(tmp_path, hosts.manifest())
        seen: list[int] = []

        def limit(request: Any) -> None:
            seen.append(1)
            request.error(429, "TOOMANYREQUESTS", "tomorrow", {"Retry-After": "86400"}) if len(seen) > 10 else one._tags(request)

        one.misbehave("tags", limit)
        done = scan(tmp_path, plan, "--to", "scan")
        assert done.returncode == 1
        assert len(seen) <= 10 + IN_FLIGHT
        one.reset(None)
        assert scan(tmp_path, plan, "--to", "scan").returncode == 0
    assert "run the same command again, and only those are asked" in done.stderr


def test_a_host_that_is_away_is_one_line_and_the_rest_of_its_lane_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("krmfn.fleet.plan.SHARD", 3)
    with Hosts(1, 7) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        one = hosts.every[0]
        one.misbehave("tags", lambda request: request.plain(500))
        done = scan(tmp_path, plan, "--to", "scan")
        assert done.returncode == 1
        assert done.stderr.count("krmfn: error: ") == 1
        assert "(3 repositories of" in done.stderr
        assert len(list((tmp_path / "scan").rglob("*.jsonl"))) == 1
        one.reset(None)
        assert scan(tmp_path, plan, "--to", "scan").returncode == 0
        assert len(list((tmp_path / "scan").rglob("*.jsonl"))) == 3
        assert len(Store(tmp_path / "scan").snapshots(one.images())) == 7


ODD: tuple[dict[str, Any], ...] = (
    {}, {"image": ["x"], "tag": ""}, {"image": "IMAGE", "tag": ""}, {"image": "IMAGE", "tag": "", "answer": []}, {"image": "IMAGE", "tag": "", "answer": [5, 0]},
    {"image": "IMAGE", "tag": "", "answer": [["1.0.0"]]}, {"image": "IMAGE", "tag": "", "answer": [["9.9.9"], "x"]}, {"image": "IMAGE", "tag": "", "answer": [[["9"]], 0]},
    {"image": "IMAGE", "tag": "", "failure": "denied"}, {"image": "IMAGE", "tag": "", "failure": ["x"], "message": "m"}, {"image": "IMAGE", "tag": "1.0.0", "answer": "sha256:0"},
)  # fmt: skip


def journal_of(tmp_path: Path, plan: Path) -> Path:
    lane = decode(plan.read_bytes(), "plan").lanes[0]
    path = Store(tmp_path / "scan").path(lane, lane.shards[0], "journal")
    path.parent.mkdir(parents=True)
    return path


def test_a_line_of_a_journal_that_is_no_answer_is_passed_over(tmp_path):
    with Hosts(1, 2) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        image = next(iter(decode(plan.read_bytes(), "plan").lanes[0].shards[0].images))
        lines = [json.dumps({"plan": hashlib.sha256(plan.read_bytes()).hexdigest()}), *(json.dumps(one).replace("IMAGE", image) for one in ODD), "[" * 5000]
        path = journal_of(tmp_path, plan)
        path.write_text("".join(f"{line}\n" for line in lines))
        done = scan(tmp_path, plan, "--to", "scan")
        assert done.returncode == 0, done.stderr
        assert scan(tmp_path, plan, "--to", "other").returncode == 0
    assert digest(tmp_path / "scan") == digest(tmp_path / "other")


@pytest.mark.parametrize("kind", ["FIFO", "link", "device", "folder"])
def test_a_journal_that_is_no_regular_file_is_neither_read_nor_written(kind, tmp_path):
    """A scan that somebody checked in may have a link in the place of a journal, which is cut to its last whole line."""
    kept = tmp_path / "kept"
    kept.write_text("somebody's\n")
    with Hosts(1, 2) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        path = journal_of(tmp_path, plan)
        make = {"FIFO": os.mkfifo, "link": lambda one: one.symlink_to(kept), "device": lambda one: one.symlink_to("/dev/zero"), "folder": Path.mkdir}
        make[kind](path)
        done = scan(tmp_path, plan, "--to", "scan")
    assert done.returncode == 1
    assert f"{path.name}: " in done.stderr
    assert "delete it and scan again" in done.stderr
    assert kept.read_text() == "somebody's\n"
