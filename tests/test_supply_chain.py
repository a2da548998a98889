"""The rules on what CI, releases and users install: by hash or digest, nothing where a job may attest, everything looked after.

They are held for every workflow, script and build file that there is, so for every new one too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools import ROOT, TOOLS

WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github/workflows").glob("*.y*ml"))}
JOBS: dict[str, Any] = {f"{name}/{job}": said for name, flow in WORKFLOWS.items() for job, said in flow["jobs"].items()}
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.txt"))
SCRIPTS = [ROOT / "Makefile", ROOT / "Dockerfile", *sorted((ROOT / ".ci").iterdir())]
INSTALL = re.compile(
    r"\b(pip3?|pipx|uvx?|uv pip|npm|npx|yarn|pnpm|apt|apt-get|go|cargo|gem|brew|docker|podman|conda)\b"
    r"[^\n|;&]*\b(install|i|ci|sync|add|get|run|exec|tool|build|pull)\b|\bmake\b|\b(ba)?sh +\S|\bcurl\b|\bwget\b|\buvx\b|\bnpx\b"
)
"""Anything that brings a program in, or runs one of the repository."""
ATTESTS = {"id-token", "attestations"}
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}")
IMAGE = re.compile(r"(?:docker\.io|ghcr\.io|quay\.io|mcr\.microsoft\.com|gcr\.io)/[\w./-]+(?::[\w.-]+)?(?:@\S+)?")
FLOORS = {
    "urllib3": ((2, 7, 0), "CVE-2026-44431, CVE-2026-44432, CVE-2026-21441"),
    "requests": ((2, 33, 0), "CVE-2026-25645, CVE-2024-47081"),
    "click": ((8, 3, 3), "CVE-2026-7246"),
    "cryptography": ((50, 0, 0), "CVE-2026-69247, CVE-2026-34073, CVE-2026-26007"),
    "pytest": ((9, 0, 3), "CVE-2025-71176"),
    "pyyaml": ((6, 0, 1), "CVE-2020-14343"),
}


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every step of every job."""
    return ((name, step) for name, job in JOBS.items() for step in job["steps"])


def commands() -> Iterator[tuple[str, str]]:
    """Yield every command line of workflows, make, docker and scripts, its continuation lines joined."""
    texts = [(name, step["run"]) for name, step in steps() if "run" in step]
    texts += [(path.name, path.read_text()) for path in SCRIPTS]
    for name, text in texts:
        for line in text.replace("\\\n", " ").splitlines():
            for command in re.split(r"&&|\|\||;", line.strip().lstrip("@-")):
                if not command.strip().startswith("#"):
                    yield name, command.strip()


def permissions(name: str) -> dict[str, str]:
    """Return what a job may do: it says so itself, or its workflow does."""
    said = JOBS[name].get("permissions", WORKFLOWS[name.partition("/")[0]].get("permissions"))
    assert isinstance(said, dict), f"{name} has to list its permissions"
    return said


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_may_attest_installs_builds_and_runs_nothing(name: str):
    if ATTESTS & permissions(name).keys():
        used = [step.get("uses", "") for step in JOBS[name]["steps"]]
        assert [one for one in used if re.match(r"actions/(checkout|setup-)|docker/(build|setup|bake)", one)] == []
        assert [step["run"] for step in JOBS[name]["steps"] if INSTALL.search(step.get("run", ""))] == []


def test_a_workflow_may_do_nothing_but_what_a_job_lists():
    assert {name: flow["permissions"] for name, flow in WORKFLOWS.items()} == {key: {} for key in WORKFLOWS}
    writing = {name for name in JOBS if "write" in permissions(name).values()}
    assert {name.partition("/")[0] for name in writing} == {"release"}


@pytest.mark.parametrize("name", JOBS)
def test_every_action_is_pinned_to_a_commit(name: str):
    uses = [step["uses"] for step in JOBS[name]["steps"] if "uses" in step]
    assert [one for one in uses if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", one)] == []


def test_every_python_package_is_installed_by_its_hash():
    installs = [(name, one) for name, one in commands() if re.search(r"\b(pip3?|pipx|uv|uvx|PIP)\b.*\binstall\b|\buvx\b|\$\(PIP\)", one)]
    bare = [
        (name, one)
        for name, one in installs
        if not re.search(r"--require-hashes|\$\(HASHED\)", one)
        and not re.search(r"--no-index|--no-deps --no-build-isolation -e \.", one)
        and not one.startswith("PIP ")
    ]
    assert len(installs) >= 8
    assert bare == []


@pytest.mark.parametrize("kind", ["npm", "npx", "yarn", "pnpm", "gem", "cargo", "brew", "conda", "curl", "wget"])
def test_nothing_is_fetched_by_programs_without_hashes_of_ours(kind):
    assert [one for _, one in commands() if re.match(rf"(sudo )?{kind}\b", one)] == []


def test_every_go_program_is_one_version():
    """Their content is what the checksum database of Go says."""
    assert [tool.go for tool in TOOLS.values() if tool.go and not re.search(r"@v\d+\.\d+\.\d+[\w.-]*$", tool.go)] == []
    assert [one for _, one in commands() if re.search(r"\bgo (install|get|run)\b", one)] == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_version_and_hashes(name):
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n?", "", (ROOT / name).read_text()).strip())
    assert len(entries) > 3
    assert [one for one in entries if not re.match(r"[\w.\[\]-]+==\S+", one) or "--hash=sha256:" not in one] == []


def test_every_image_is_named_by_its_digest():
    texts = {path.name: path.read_text() for path in (ROOT / ".github/workflows").iterdir()} | {"Dockerfile": (ROOT / "Dockerfile").read_text()}
    named = [(name, one) for name, text in texts.items() for one in IMAGE.findall(text)]
    assert len(named) >= 4
    assert [one for one in named if not DIGEST.search(one[1]) and not one[1].startswith("ghcr.io/krmfn")] == []
    froms = re.findall(r"(?m)^FROM +(\S+)", texts["Dockerfile"])
    base = re.search(r"(?m)^ARG BASE_IMAGE=(\S+)$", texts["Dockerfile"])
    assert set(froms) == {"${BASE_IMAGE}"}
    assert base
    assert DIGEST.search(base[1])
    assert base[1] in texts["test.yml"]


def test_a_release_refuses_a_base_image_without_a_digest(tmp_path: Path):
    """The step's own command, over Dockerfiles with and without."""
    from tests.running import run

    guard = next(step["run"] for name, step in steps() if name == "release/image" and "base image" in step.get("name", ""))
    digest = "sha256:" + "a" * 64
    for base, code in (
        (f"python:3.13-slim@{digest}", 0),
        ("python:3.13-slim", 1),
        ("python:3.13-slim@sha256:aa", 1),
        ("python:3.13-slim # @" + digest, 1),
    ):
        (tmp_path / "Dockerfile").write_text(f"ARG BASE_IMAGE={base}\nFROM ${{BASE_IMAGE}}\n")
        assert run(["bash", "-c", guard], cwd=tmp_path).returncode == code, base


def test_what_is_pushed_is_what_was_built_and_what_is_attested_is_what_was_pushed():
    jobs = WORKFLOWS["release"]["jobs"]
    assert (jobs["push"]["needs"], jobs["attest-image"]["needs"]) == ("image", "push")
    attested = next(step["with"] for step in jobs["attest-image"]["steps"] if "attest" in step["uses"])
    assert attested["subject-digest"] == "${{ needs.push.outputs.digest }}"
    assert "--preserve-digests" in next(step["run"] for step in jobs["push"]["steps"] if "run" in step)
    built = next(step["with"] for step in jobs["image"]["steps"] if "build-push" in step.get("uses", ""))
    assert (built["outputs"].split(",")[0], built.get("push")) == ("type=oci", None)


def test_every_lock_is_audited_for_known_vulnerabilities():
    audited = [one for name, one in commands() if name == "test/audit" and one.startswith("pip-audit ")]
    assert {one.rpartition(" ")[2] for one in audited} == set(LOCKS)
    assert all({"--strict", "--disable-pip", "--require-hashes"} <= set(one.split()) for one in audited)
    assert "schedule" in WORKFLOWS["test"][True]  # YAML 1.1 reads `on` so


def test_no_lower_bound_admits_a_release_with_a_known_vulnerability():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *(one for group in groups.values() for one in group if isinstance(one, str))]
    bounds = dict(re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(wanted), re.MULTILINE))
    for name, (floor, why) in FLOORS.items():
        assert tuple(map(int, bounds[name].split("."))) >= floor, f"{name}: {why}"


def test_dependabot_looks_after_everything_that_is_pinned():
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "pip", "docker"}
    assert {one["directory"] for one in updates} == {"/"}
    assert {one["cooldown"]["default-days"] for one in updates} == {7}
