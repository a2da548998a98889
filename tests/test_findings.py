"""What `check` and `lint` tell code scanning and workflows: SARIF by its schema, annotations, the summary of a job."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from krmfn.diagnostics import CHECK_CODES, LINT_CODES, VERIFY_CODES
from tests import images
from tests.running import call

TIME = "2026-01-01T00:00:00Z"
OFFERED = {"ghcr.io/acme/web": dict.fromkeys(("1.2.0", "1.3.1", "2.0.0"), TIME)}
GONE = f"sha256:{'0' * 64}"
HELD = {
    "updatable": "ghcr.io/acme/web:1.2.0",
    "beyond": "ghcr.io/acme/web:1.3.1",
    "not-listed": "ghcr.io/acme/web:1.2.9",
    "drifted": f"ghcr.io/acme/web:2.0.0@{GONE}",
    "digest-gone": f"ghcr.io/acme/web@{GONE}",
    "unknown": "ghcr.io/acme/none:1.0.0",
}
LEVELS = {
    "updatable": "note", "beyond": "note", "not-listed": "warning", "drifted": "warning", "digest-gone": "warning",
    "unknown": "warning",
}  # fmt: skip
CHECK = ("check", "repo", "--source", "layout:images")
LINT = ("lint", "repo")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    images.write(tmp_path / "images", OFFERED)
    folder = tmp_path / "repo" / "a b"
    folder.mkdir(parents=True)
    for code, image in HELD.items():
        (folder / f"{code}.yaml").write_text(
            f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec:\n  containers:\n  - name: web\n    image: {image}\n"
        )
    (folder / "marked.yaml").write_text('apiVersion: v1\nkind: ConfigMap\ndata:\n  a: b # {"$imagepolicy": "a:b"}\n')
    return tmp_path


Rule = tuple[str, Callable[[Any], bool]]
# SARIF 2.1.0 (OASIS), what is required or bounded of what krmfn writes, and what GitHub's code scanning wants of it
REQUIRED: dict[str, tuple[Rule, ...]] = {
    "log": (
        ("version", lambda it: it == "2.1.0"),
        ("$schema", lambda it: it.endswith("sarif-2.1.0.json")),
        ("runs", lambda it: len(it) == 1),
    ),
    "driver": (
        ("name", lambda it: it == "krmfn"),
        ("version", lambda it: re.fullmatch(r"\d+\.\d+\.\d+\S*", it) is not None),
        ("informationUri", lambda it: it.startswith("https://")),
        ("rules", lambda it: len({one["id"] for one in it}) == len(it) > 0),
    ),
    "rule": (
        ("id", lambda it: re.fullmatch("[a-z]+(-[a-z]+)*", it) is not None),
        ("shortDescription", lambda it: bool(it["text"])),
        ("helpUri", lambda it: it.startswith("https://")),
    ),
    "result": (
        ("ruleId", bool),
        ("level", lambda it: it in ("none", "note", "warning", "error")),
        ("message", lambda it: bool(it["text"])),
        ("locations", lambda it: len(it) == 1),
    ),
    "physicalLocation": (
        ("artifactLocation", lambda it: re.match(r"[a-z]+:|/|\.\./", it["uri"]) is None and " " not in it["uri"]),
        ("region", lambda it: it["startLine"] >= 1 and it["startColumn"] >= 1),
    ),
}


def required(name: str, data: dict[str, Any]) -> None:
    for key, holds in REQUIRED[name]:
        assert key in data, (name, key)
        assert holds(data[key]), (name, key, data[key])


@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
@pytest.mark.parametrize(("command", "codes"), [(CHECK, CHECK_CODES), (LINT, LINT_CODES)], ids=["check", "lint"])
def test_sarif_is_what_its_schema_wants(command: tuple[str, ...], codes: dict[str, str], absolute: bool, place: Path):
    """Paths are as the repository has them, whatever was typed."""
    words = [str(place / "repo") if absolute and word == "repo" else word for word in command]
    log = json.loads(call(*words, "-o", "sarif", cwd=place).stdout)
    required("log", log)
    (run,) = log["runs"]
    required("driver", run["tool"]["driver"])
    known = {one["id"] for one in run["tool"]["driver"]["rules"]}
    assert set(codes) <= known
    assert run["results"]
    for rule in run["tool"]["driver"]["rules"]:
        required("rule", rule)
    for result in run["results"]:
        required("result", result)
        assert result["ruleId"] in known
        physical = result["locations"][0]["physicalLocation"]
        required("physicalLocation", physical)
        assert (place / unquote(physical["artifactLocation"]["uri"])).is_file()


def test_every_state_is_a_finding_at_its_place(place: Path):
    results = json.loads(call(*CHECK, "-o", "sarif", cwd=place).stdout)["runs"][0]["results"]
    assert CHECK_CODES.keys() - VERIFY_CODES.keys() - {"cluster-chooses"} == HELD.keys()  # test_verify.py holds those of signatures
    for code, level in LEVELS.items():
        mine = [one for one in results if one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(f"/{code}.yaml")]
        assert (code, level) in {(one["ruleId"], one["level"]) for one in mine}, mine
        places = [one["locations"][0]["physicalLocation"]["region"] for one in mine if one["ruleId"] == code]
        assert places == [{"startLine": 7, "startColumn": 12}]


@pytest.mark.parametrize("command", [CHECK, LINT], ids=["check", "lint"])
def test_a_workflow_gets_annotations_and_a_summary(command: tuple[str, ...], place: Path):
    (place / "summary.md").write_text("before\n")
    done = call(*command, "-o", "github", cwd=place, GITHUB_STEP_SUMMARY=str(place / "summary.md"))
    lines = done.stdout.splitlines()
    assert lines
    for line in lines:
        assert re.match(r"::(error|warning|notice) file=repo/a b/[a-z-]+\.yaml,line=\d+,col=\d+,title=krmfn [a-z-]+::\S", line), line
    summary = (place / "summary.md").read_text()
    assert summary.startswith(f"before\n## krmfn {command[0]}\n")
    assert f"repo/a b/{'updatable' if command is CHECK else 'marked'}.yaml:" in summary
    without = call(*command, "-o", "github", cwd=place)
    assert (without.stdout, without.returncode) == (done.stdout, done.returncode)
