"""The rules on what CI and releases run: pinned actions, no installs where a job may attest, everything looked after."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.tools import ROOT

JOBS: dict[str, Any] = {
    f"{path.stem}/{name}": job
    for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
    for name, job in yaml.safe_load(path.read_text())["jobs"].items()
}
INSTALL = re.compile(r"\b(pip|pipx|uv|npm|apt-get|go|cargo)\b.*\b(install|sync|add|get)\b|\bmake\b|bash ")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_may_attest_installs_nothing(name: str):
    job = JOBS[name]
    if job["permissions"].get("id-token") == "write":
        assert not [step["run"] for step in job["steps"] if INSTALL.search(step.get("run", ""))]


@pytest.mark.parametrize("name", JOBS)
def test_every_action_is_pinned_to_a_commit(name: str):
    uses = [step["uses"] for step in JOBS[name]["steps"] if "uses" in step]
    assert [one for one in uses if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one)] == []


def test_dependabot_looks_after_everything_that_is_pinned():
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "pip", "docker"}
