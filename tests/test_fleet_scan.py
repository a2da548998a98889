"""A scan by several processes that are killed: nothing is lost, nothing is asked twice, and equal answers give equal bytes."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from krmfn.fleet.plan import decode
from krmfn.fleet.store import Store
from tests.fleet_hosts import Hosts
from tests.running import call, environment, files

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
        time.sleep(0.005)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize(("count", "repositories", "kills"), [pytest.param(4, 15, 4, id="part"), LARGE])
def test_killed_processes_lose_what_was_in_flight_and_the_result_is_a_serial_order(tmp_path, count, repositories, kills):
    with Hosts(count, repositories, rate=400, changes=repositories) as hosts:
        plan = planned(tmp_path, hosts.manifest())
        killed = disturbed(plan, tmp_path / "scan", hosts, kills)
        assert killed
        assert hosts.again <= killed * IN_FLIGHT
        assert sum(len(one.turned_away) for one in hosts.every) <= hosts.requests // 4
    store = Store(tmp_path / "scan")
    assert not list((tmp_path / "scan").rglob("*.journal")), "a shard that is done has no journal"
    for one in hosts.every:
        told = {(path, what, answer) for path, what, answer in one.answered}
        snapshots = store.snapshots(one.images())
        assert list(snapshots) == one.images()
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
