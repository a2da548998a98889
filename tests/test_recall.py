"""The judges of the finder: labels against `check`, and builds of kustomize against `check` and `update`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.edits import unintended
from benchmarks.recall import Place, canonical
from benchmarks.roots import NEW_DIGEST, NEW_TAG, is_intended
from benchmarks.writes import Offer, stays
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


def test_what_update_within_major_wrote(checkout: Path) -> None:
    pin = f"ghcr.io/acme/pinned:v1.0.0@sha256:{'0' * 64}"
    (checkout / "more.yaml").write_text(
        POD.replace("ghcr.io/acme/web:1.2.0", "ghcr.io/acme/web:1.4.0").replace("ghcr.io/acme/proxy:1.0.0", pin)
    )
    printed = run("benchmarks.writes", checkout)
    names, _, values = (line.strip("| ").split(" | ") for line in printed.splitlines())
    assert ", ".join(f"{name} {value}" for name, value in zip(names[1:], values[1:], strict=True)) == (
        "places 4, sure 4, moved 4, pins kept 1, files changed 2, files proven 2, scalars changed 4, second run empty 1, failures 0"
    )
    assert (checkout / "pod.yaml").read_text() == POD


WEB = "ghcr.io/acme/web"


@pytest.mark.parametrize(
    ("before", "after", "wrong"),
    [
        ("1.2.0", "2.4.0", ""),
        ("1.2.0", "2.2.0", "a.yaml:1: ghcr.io/acme/web 1.2.0 became 2.2.0, not 2.4.0"),
        ("1.2.0", "1.2.0", "a.yaml:1: ghcr.io/acme/web 1.2.0 became 1.2.0, not 2.4.0"),
        ("1.2.0@sha256:0", "2.4.0", "became 2.4.0, not 2.4.0@sha256:"),
        ("latest@sha256:0", "latest", "the pin is lost"),
        ("latest", "latest", ""),
    ],
)
def test_where_an_update_should_have_gone(before: str, after: str, wrong: str) -> None:
    old, new = (Place("a.yaml", 1, WEB, version, sure=True, state="counts") for version in (before, after))
    others = [Place("b.yaml", 1, WEB, "1.4.0", sure=True, state="counts")]
    found = stays([old], [new], Offer([old, *others]))
    assert bool(found) == bool(wrong)
    assert wrong in "".join(found)


@pytest.mark.parametrize(
    ("before", "after", "is_intended"),
    [
        (f"{WEB}:1.2.0", f"{WEB}:2.2.0", True),
        ("--image=" + f"{WEB}:1.2.0", f"--image={WEB}:2.2.0", True),
        (f"{WEB}:1.2.0", "ghcr.io/acme/other:2.2.0", False),
        (f"{WEB}:1.2.0", f"{WEB}:9.9.9", False),
        (f"{WEB}:1.2.0", f"--image={WEB}:2.2.0", False),
    ],
)
def test_what_an_update_may_write(before: str, after: str, is_intended: bool) -> None:
    offer = Offer([Place("a.yaml", 1, WEB, "1.2.0", sure=True, state="counts")])
    assert offer.is_intended(before, after) is is_intended


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
    found = unintended(POD, after, is_intended)[1]
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
