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


def found(folder: Path, layout: Path) -> list[dict[str, Any]]:
    done = run(["krmfn", "check", ".", "--source", f"layout:{layout}", "-o", "json"], cwd=folder)
    seen = json.loads(done.stdout)["images"]
    places = [place | {"tag": one["tag"]} for one in seen for place in one["places"]]
    return sorted(places, key=lambda place: (place["line"], place["column"]))


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_found_and_nothing_else(tmp_path: Path, layout: Path, name: str):
    case = CASES[name]
    (tmp_path / "x.yaml").write_text(case["text"])
    places = found(tmp_path, layout)
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
