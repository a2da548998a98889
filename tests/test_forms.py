"""The one table of forms: what `krmfn check` finds, what `krmfn update` writes by image name, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from krmfn.resources import forms
from tests import images
from tests.running import run

ROOT = Path(__file__).resolve().parent.parent
CASES: dict[str, dict[str, Any]] = {
    case["name"]: case for case in yaml.safe_load((ROOT / "fixtures/forms/forms.yaml").read_text())
}
LOOKS = [
    *((row.code, row.looks) for row in forms.REFERENCES),
    *((row.code, row.looks) for row in forms.PAIRS),
    *((row.code, row.looks) for row in forms.CHARTS),
    *forms.OTHERS.items(),
]
TIME = "2026-01-01T00:00:00Z"
OFFERED = {
    "ghcr.io/acme/web": dict.fromkeys(("1.0.0", "1.1.0", "1.2.0", "1.3.0"), TIME),
    "docker.io/acme/web": {"1.3.0": TIME},
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("layout")
    images.write(place, OFFERED)
    return place


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for every case, and one policy."""
    folder = tmp_path_factory.mktemp("tree")
    for index, case in enumerate(CASES.values()):
        (folder / f"{index:03}.yaml").write_text(case["text"])
    return folder


def file_of(name: str) -> str:
    return f"{list(CASES).index(name):03}.yaml"


@pytest.fixture(scope="module")
def checked(tree: Path, layout: Path) -> dict[str, list[dict[str, Any]]]:
    done = run(["krmfn", "check", ".", "--source", f"layout:{layout}", "-o", "json"], cwd=tree)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(done.stdout)["images"]:
        for place in one["places"]:
            found.setdefault(place["path"], []).append(place | {"tag": one["tag"]})
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_found_and_nothing_else(checked: dict[str, list[dict[str, Any]]], name: str):
    case = CASES[name]
    places = sorted(checked.get(file_of(name), ()), key=lambda place: (place["line"], place["column"]))
    assert [place["form"] for place in places] == case["forms"]
    lines = case["text"].splitlines()
    for place in places:
        assert place["sure"] == (place["tag"] == "1.2.0"), place
        assert place["tag"] != "1.0.0", place
        assert place["sure"] or place["why"], place
        at = lines[place["line"] - 1][place["column"] - 1 :]
        assert place["tag"] is None or place["tag"] in at, "the column leads to the version"


def test_every_row_of_the_table_has_a_case():
    codes = {code for code, _ in LOOKS}
    assert codes - {code for case in CASES.values() for code in case["forms"]} == {"marked", "tag-alone"}


def test_the_documentation_has_every_form():
    told = (ROOT / "docs/bindings.md").read_text().partition("<!-- forms")[2].partition("\n\n")[0].splitlines()[1:]
    rows: dict[str, list[str]] = {}
    for code, looks in LOOKS:
        rows.setdefault(code, []).append(looks)
    assert [line.split("|")[1].strip(" `") for line in told[2:]] == list(rows)
    for line, shapes in zip(told[2:], rows.values(), strict=True):
        assert line.split("| ", 2)[2].replace("`", "").removesuffix(" |") == "; ".join(shapes)


AUTOMATION = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {{name: images, annotations: {{config.kubernetes.io/local-config: "true"}}}}
spec:
  policies:
  - name: web
    image: ghcr.io/acme/web
    policy: {{semver: {{range: "{}"}}}}
"""


@pytest.fixture(scope="module")
def updates(tree: Path, layout: Path) -> list[dict[str, str]]:
    """What the files hold when there is nothing to do, after an update, and after a second run."""
    states = []
    for wanted in ("1.2.0", "1.x", "1.x"):
        (tree / "images.yaml").write_text(AUTOMATION.format(wanted))
        done = run(["krmfn", "update", ".", "--source", f"layout:{layout}"], cwd=tree)
        assert done.returncode == 0, done.stderr
        states.append({path.name: path.read_text() for path in tree.iterdir()})
    return states


@pytest.mark.parametrize("name", CASES)
def test_by_name_a_form_is_written_where_it_is_sure_and_nowhere_else(
    checked: object, updates: list[dict[str, str]], name: str
):
    assert checked is not None, "the files were looked at before"
    text = CASES[name]["text"]
    nothing_to_do, once, again = (state[file_of(name)] for state in updates)
    assert nothing_to_do == text
    assert once == text.replace("1.2.0", "1.3.0")
    assert again == once
