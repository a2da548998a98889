"""`fleet run` and the Job of examples/fleet: the same work by plain processes, and by what a cluster would start."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from krmfn.fleet.report import FLAGS
from tests import registries, tools
from tests.fleet_hosts import Hosts
from tests.running import EXAMPLES, call, environment, files, run

NOW = "2026-11-20T10:00:00Z"
JOB = yaml.safe_load((EXAMPLES / "fleet/scan.yaml").read_text())


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with Hosts(2, 4) as there:
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "apps.yaml").write_text(there.manifest())
        yield there


def test_one_machine_does_it_all_and_goes_on(tmp_path, hosts):
    command = ["krmfn", "fleet", "run", "tree", "--to", "scan"]
    with registries.crane(tools.require("crane"), tmp_path / "data", tmp_path) as address:
        done = run([*command, "--publish", f"oci://{address}/fleet/scan:1"], cwd=tmp_path, env=environment(KRMFN_NOW=NOW))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"oci://{address}/fleet/scan@sha256:[0-9a-f]{{64}}\n", done.stdout)
    asked = hosts.requests
    again = run(command, cwd=tmp_path, env=environment(KRMFN_NOW=NOW))
    assert (again.returncode, hosts.requests) == (0, asked)
    assert "goes on with its plan" in again.stderr


def test_a_registry_that_is_away_is_asked_by_the_next_run_alone(tmp_path, hosts):
    away = hosts.every[1]
    away.misbehave("tags", lambda request: request.plain(503))
    command = ["krmfn", "fleet", "run", "tree", "--to", "scan"]
    first = run(command, cwd=tmp_path, env=environment(KRMFN_NOW=NOW))
    assert first.returncode == 1
    assert f"not whole: {away.address}" in first.stderr
    away.reset(None)
    there = len(hosts.every[0].answered)
    second = run(command, cwd=tmp_path, env=environment(KRMFN_NOW=NOW))
    assert second.returncode == 0, second.stderr
    assert len(hosts.every[0].answered) == there
    assert not list((tmp_path / "scan").rglob("*.failed.json"))


def test_a_registry_may_be_called_like_the_file_of_the_plan(tmp_path):
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: plan.json/a/b:1}]}\n")
    done = call("fleet", "run", "pod.yaml", "--to", "scan", cwd=tmp_path, http_proxy="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "not whole: plan.json" in done.stderr
    assert sorted(path.name for path in (tmp_path / "scan" / "plan.json_").iterdir()) == ["0000.failed.json", "0000.jsonl"]


def test_the_pods_of_the_job_do_the_same(tmp_path, hosts):
    """What a kubelet would run, with the index of each pod."""
    container = JOB["spec"]["template"]["spec"]["containers"][0]
    calm = run(["krmfn", "fleet", "run", "tree", "--to", "calm"], cwd=tmp_path, env=environment(KRMFN_NOW=NOW))
    assert calm.returncode == 0, calm.stderr
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "plan.json").write_bytes((tmp_path / "calm" / "plan.json").read_bytes())
    lanes = json.loads((tmp_path / "scan" / "plan.json").read_text())["lanes"]
    arguments = [one.replace("/scan", str(tmp_path / "scan")) for one in container["args"]]
    for index in range(len(lanes)):
        done = call(*arguments, cwd=tmp_path, KRMFN_NOW=NOW, JOB_COMPLETION_INDEX=str(index))
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "scan") == files(tmp_path / "calm")
    beyond = call(*arguments, cwd=tmp_path, KRMFN_NOW=NOW, JOB_COMPLETION_INDEX=str(len(lanes)))
    assert beyond.returncode == 2, "the Job fails such an index for good"


@pytest.mark.parametrize("name", ["scan.yaml", "publish.yaml"])
def test_the_jobs_are_locked_down(name):
    job = yaml.safe_load((EXAMPLES / "fleet" / name).read_text())
    pod: dict[str, Any] = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    policy = yaml.safe_load((EXAMPLES / "fleet/network.yaml").read_text())
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_job_tries_each_lane_by_itself_and_forgives_disruptions():
    spec = JOB["spec"]
    assert (spec["completionMode"], spec["backoffLimitPerIndex"] > 0, "backoffLimit" in spec) == ("Indexed", True, False)
    assert spec["podFailurePolicy"]["rules"][0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    assert spec["podReplacementPolicy"] == "Failed"


def test_the_page_tells_the_states_of_a_report():
    text = (EXAMPLES.parent / "docs/fleet.md").read_text()
    told = dict(re.findall(r"^\| ([a-z ]+) \| (.*) \|$", text, re.MULTILINE))
    assert {flag: told.get(flag) for flag in FLAGS} == dict(FLAGS)
