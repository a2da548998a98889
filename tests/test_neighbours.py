"""Broken neighbours: what cannot be read is named with its place and left out, the rest goes on; checks are not blinded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running import run

GOOD = {
    "web.yaml": 'kind: Pod\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}\n',
    "policy.yaml": """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images}
spec:
  policies:
  - {name: web, namespace: apps, image: ghcr.io/acme/web, policy: {semver: {range: "*"}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: [1.0.0, 2.0.0]}
""",
}
TEMPLATE = "kind: Deployment\nmetadata:\n  labels: {{ toYaml .Values.imagePolicies }}\nspec: {image: 'x:1'}\n"
POLICY = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: x}\n"
BROKEN = {
    "a template that parses": (TEMPLATE, "", 0),
    "a template that does not": ("image: {{ x }}\n{{- end }}\n", "info: left alone, as no YAML: bad.yaml", 0),
    "UTF-16": ("kind: Pod\nimage: x:1\n", "info: left alone, as no YAML: bad.yaml", 0),
    "configuration with an indentation slip": (
        f"{POLICY} spec:\n  policy: {{}}\n", "bad.yaml:4:2: holds configuration, but was not read as YAML: not valid YAML: ", 1,
    ),
    "configuration with a key that is a mapping": (
        f"{POLICY}spec: {{{{ .Values.policy }}}}\n", "bad.yaml:4:8: configuration left out: a key here is not a scalar", 1,
    ),
    "configuration with a key given twice": (
        f"{POLICY}spec: {{policy: {{}}, policy: {{}}}}\n",
        "bad.yaml:4:20: configuration left out: key 'policy' is given twice in one mapping", 1,
    ),
    "configuration with an alias of nothing": (
        f"{POLICY}spec: {{policy: *x}}\n", "bad.yaml:4:16: configuration left out: alias *x names no anchor", 1,
    ),
    "markers in what is no YAML": (
        'a: [\nimage: x:1 # {"$imagepolicy": "apps:web"}\n', "bad.yaml:3:1: holds markers, but was not read as YAML: not valid YAML: ", 1,
    ),
    "a marker that names no policy": (
        'image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:wbe"}\n',
        "bad.yaml:1:8: marker names policy apps:wbe, which is not configured", 1,
    ),
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def broken(place: Path, case: str) -> tuple[str, int]:
    text, told, is_blind = BROKEN[case]
    (place / "bad.yaml").write_bytes(text.encode("utf-16" if case == "UTF-16" else "utf-8"))
    return told, is_blind


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_stops_nothing_else_and_is_named(place: Path, case: str):
    told, is_blind = broken(place, case)
    done = run(["krmfn", "update", "."], cwd=place)
    assert done.returncode == 0, done.stderr
    assert ("krmfn: warning: " if is_blind else "krmfn: ") + told in done.stderr or not told
    assert "web:2.0.0 #" in (place / "web.yaml").read_text()


@pytest.mark.parametrize("case", BROKEN)
def test_a_check_is_not_blinded_by_it(place: Path, case: str):
    told, is_blind = broken(place, case)
    done = run(["krmfn", "update", ".", "--check"], cwd=place)
    assert done.returncode == (1 if is_blind else 10)
    assert f"krmfn: {'error: ' * is_blind}{told}" in done.stderr or not told


def test_json_says_where_it_stands(place: Path):
    broken(place, "configuration with a key that is a mapping")
    done = run(["krmfn", "update", ".", "-o", "json"], cwd=place)
    assert {"path": "bad.yaml", "line": 4, "column": 8} in [
        one.get("file") for one in json.loads(done.stdout)["results"]
    ]


@pytest.mark.parametrize("verb", ["update", "fetch", "annotate"])
def test_strict_writes_nothing_beside_a_warning(place: Path, verb: str):
    broken(place, "configuration with an indentation slip")
    before = {path: path.read_bytes() for path in place.iterdir()}
    done = run(["krmfn", verb, ".", "--strict"], cwd=place)
    assert done.returncode == 1
    assert "krmfn: error: bad.yaml:4:2: holds configuration" in done.stderr
    assert {path: path.read_bytes() for path in place.iterdir()} == before


def test_strict_without_a_warning_is_no_different(place: Path):
    done = run(["krmfn", "update", ".", "--strict", "--check"], cwd=place)
    assert done.returncode == 10, done.stderr
