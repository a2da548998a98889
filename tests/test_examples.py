"""The examples answer what their `.expected` says, from the bundled layouts and snapshots: no registry, no other tool."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import images
from tests.running import EXAMPLES, diff, environment, files, run, succeed
from tests.waiting import ending

LAYOUT = f"layout:{images.BUNDLED}"
PACKAGES = {"kpt-package": (), "flux-repo": ("--source", LAYOUT), "demo/package": ("--source", LAYOUT)}
"""Example to the options of `krmfn update`; the kpt package carries its tags as TagSnapshot items."""


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    name = str(request.param)
    return name, Path(shutil.copytree(EXAMPLES / name, tmp_path / "package"))


def test_the_bundled_layouts_are_what_the_generator_makes():
    written = {
        path.relative_to(images.BUNDLED).as_posix(): path.read_bytes()
        for path in images.BUNDLED.rglob("*")
        if path.is_file()
    }
    assert written == images.tree(images.EXAMPLES)


@pytest.mark.parametrize("example", ["kpt-package/tags.yaml", "kustomize/base/tags.yaml"])
def test_snapshots_offer_what_the_layouts_hold(example: str):
    import yaml

    snapshots = {
        item["spec"]["image"]: item["spec"]["tags"]
        for item in yaml.load_all((EXAMPLES / example).read_text(), Loader=yaml.BaseLoader)
    }
    assert snapshots == {
        image: [tag for tag in tags if not tag.startswith("sha256-")] for image, tags in images.EXAMPLES.items()
    }


def test_update_makes_the_expected_diff(package: tuple[str, Path], golden):
    name, folder = package
    before = files(folder)
    succeed(["krmfn", "update", ".", *PACKAGES[name]], cwd=folder)
    seen = diff(before, files(folder))
    golden(seen, EXAMPLES / name / ".expected" / "diff.patch")
    assert seen.count("\n+") > 1


def test_a_second_update_changes_nothing(package: tuple[str, Path]):
    name, folder = package
    succeed(["krmfn", "update", ".", *PACKAGES[name]], cwd=folder)
    once = files(folder)
    succeed(["krmfn", "update", ".", *PACKAGES[name], "--check"], cwd=folder)
    assert files(folder) == once


def test_check_exits_10_and_writes_nothing(package: tuple[str, Path]):
    name, folder = package
    before = files(folder)
    done = run(["krmfn", "update", ".", *PACKAGES[name], "--check", "--diff"], cwd=folder)
    assert done.returncode == 10
    assert files(folder) == before
    assert "+" in done.stdout


def test_the_demo_ends_well_and_quickly(tmp_path: Path):
    import sys

    with ending():
        shown = succeed([sys.executable, EXAMPLES / "demo" / "run.py"], env=environment(TMPDIR=str(tmp_path)))
    assert "2 a prerelease, and the range asks for releases only (1.10.0-rc.1, 1.3.1-debug)" in shown
    assert '+          image: ghcr.io/acme/web:1.3.1  # {"$imagepolicy": "shop:web"}' in shown


def test_every_example_has_a_readme():
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir() and path.name != "images"]
    assert len(folders) >= 4
    assert [path.name for path in folders if not (path / "README.md").is_file()] == []
