"""The judges of the finder: labels against `check`, and builds of kustomize against `check` and `update`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.recall import canonical
from benchmarks.roots import NEW_DIGEST, NEW_TAG, compare
from tests import tools
from tests.running import succeed

HEAD = "repo\tcommit\tpath\tline\talso\tkind\tref\tsure\tnote\n"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers:
  - name: web
    image: ghcr.io/acme/web:1.2.0 # ours
  - name: proxy
    image: ghcr.io/acme/proxy:1.0.0
"""


def run(*arguments: str | Path) -> str:
    """Return what a module prints."""
    return succeed([sys.executable, "-m", *arguments], cwd=tools.ROOT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout of acme/shop with one Pod."""
    folder = tmp_path / "acme__shop"
    folder.mkdir()
    (folder / "pod.yaml").write_text(POD)
    return folder


def labels(folder: Path, name: str) -> Path:
    """Write a table: a place that is found, one that nobody can find, a line that is none; the proxy has no row."""
    rows = (
        ("7", "image", "ghcr.io/acme/web:1.2.0", "yes"),
        ("3", "other", "ghcr.io/acme/none:1.0.0", "yes"),
        ("2", "negative", "", "negative"),
    )
    table = folder / name
    lines = [f"acme/shop\t0\tpod.yaml\t{line}\t\t{kind}\t{ref}\t{sure}\t\n" for line, kind, ref, sure in rows]
    table.write_text(HEAD + "".join(lines))
    return table


def test_recall_and_precision_of_labels(checkout: Path) -> None:
    printed = run("benchmarks.recall", checkout.parent, labels(checkout.parent, "dev.tsv"), "--places")
    assert "| recall | 1/2 = 50.0% |" in printed
    assert "| found, and read as it stands | 1/1 = 100.0% |" in printed
    assert "missed: 1\nacme/shop pod.yaml:3 other ghcr.io/acme/none:1.0.0\n" in printed
    assert "no place: 1\nacme/shop pod.yaml:9 ghcr.io/acme/proxy 1.0.0\n" in printed


def test_held_out_labels_stay_unseen(checkout: Path) -> None:
    printed = run("benchmarks.recall", checkout.parent, labels(checkout.parent, "labels-heldout.tsv"), "--places")
    assert "| recall | 1/2 = 50.0% |" in printed
    assert "pod.yaml" not in printed
    assert "acme" not in printed


def test_a_root_that_is_built_updated_and_built_again(checkout: Path) -> None:
    (checkout / "kustomization.yaml").write_text("resources: [pod.yaml]\n")
    printed = run("benchmarks.roots", tools.require("kustomize"), checkout, "--failures")
    names, _, values = (line.strip("| ").split(" | ") for line in printed.splitlines())
    assert ", ".join(f"{name} {value}" for name, value in zip(names[1:], values[1:], strict=True)) == (
        "folders 1, roots 1, with images 1, current 1, updated 1, sure 2, written 2, "
        "files changed 1, files proven 1, scalars changed 2, second run empty 1, set aside 0"
    )
    assert (checkout / "pod.yaml").read_text() == POD


@pytest.mark.parametrize(
    ("after", "wrong"),
    [
        (POD.replace("1.2.0", NEW_TAG), ""),
        (POD.replace("web:1.2.0", f"web:{NEW_TAG}@{NEW_DIGEST}"), "line 7: 'ghcr.io/acme/web:1.2.0' became"),
        (POD.replace("1.2.0 # ours", f"{NEW_TAG} # yours"), "bytes outside the changed scalars differ"),
        (POD.replace("acme/web:1.2.0", f"acme/other:{NEW_TAG}"), "line 7: 'ghcr.io/acme/web:1.2.0' became"),
        (POD.replace("name: proxy", f"name: {NEW_TAG}-"), "line 8: 'proxy' became"),
        (POD + "status: {}\n", "other nodes than before"),
        (POD + "\t- x", "PyYAML cannot read it"),
    ],
)
def test_what_an_edit_may_change(after: str, wrong: str) -> None:
    found = compare(POD, after)[1]
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


@pytest.mark.parametrize(
    ("ref", "repository", "version"),
    [
        ("nginx:1.27", "docker.io/library/nginx", "1.27"),
        ("oci://ghcr.io/acme/charts/web:1.2.0", "ghcr.io/acme/charts/web", "1.2.0"),
        ("registry:5000/acme/web@sha256:ab", "registry:5000/acme/web", "@sha256:ab"),
        ("docker.io/redis", "docker.io/library/redis", ""),
        ("acme/web:v1@sha256:ab", "docker.io/acme/web", "v1@sha256:ab"),
    ],
)
def test_references_are_compared_in_full(ref: str, repository: str, version: str) -> None:
    assert canonical(ref) == (repository, version)
