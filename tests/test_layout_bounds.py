"""An image layout that a resource names: below the folder where krmfn runs alone, links followed, and walked within bounds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from krmfn.sources import layout
from tests import hostile
from tests.image_store import Images
from tests.test_layout import write

CONFIG = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images}
spec:
  policies: [{name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}]
  source: {layout: {path: PATH}}
---
kind: Pod
spec: {containers: [{name: web, image: "ghcr.io/acme/web:1.0.0"}]}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return the folder in which krmfn runs; beside it stands a layout that no resource may name."""
    stored = Images()
    stored.add("acme/web", ["1.0.0", "1.9.0"])
    here = tmp_path / "here"
    for place in (here / "inside", tmp_path / "outside"):
        write(place / "ghcr.io/acme/web", stored, "acme/web")
    (here / "link").symlink_to("../outside")
    (here / "deep/ghcr.io").mkdir(parents=True)
    (here / "deep/ghcr.io/acme").symlink_to("../../../outside/ghcr.io/acme")
    (here / "file/ghcr.io/acme/web").mkdir(parents=True)
    (here / "file/ghcr.io/acme/web/index.json").symlink_to("../../../../../outside/ghcr.io/acme/web/index.json")
    (here / "loop").symlink_to("loop")
    return here


def update(here: Path, path: str, *arguments: str, **more: str) -> hostile.Said:
    (here / "tree").mkdir(exist_ok=True)
    (here / "tree/a.yaml").write_text(CONFIG.replace("PATH", json.dumps(path)))
    return hostile.call(("update", "tree", *arguments), here, **more)


def test_a_layout_below_the_folder_is_read(here: Path):
    assert update(here, "inside").code == 0
    assert "web:1.9.0" in (here / "tree/a.yaml").read_text()


@pytest.mark.parametrize("path", ["/", "..", "../outside", "inside/../../outside", "link", "deep", "file", "/proc/self/cwd/../outside", "/etc"])
def test_a_layout_that_leads_out_is_refused(here: Path, path: str):
    said = update(here, path)
    hostile.check(said)
    assert said.code == 1
    assert "leads out of" in said.err.decode()
    assert "web:1.0.0" in (here / "tree/a.yaml").read_text()


@pytest.mark.parametrize("path", ["loop", "\0", "a" * 5000, "nowhere", "tree/a.yaml", "\n::error::x"])
def test_a_layout_that_is_none_is_an_error(here: Path, path: str):
    said = update(here, path)
    hostile.check(said)
    assert said.code == 1


def test_who_starts_krmfn_may_name_any_layout(here: Path):
    assert update(here, "..", "--source", "layout:../outside").code == 0
    assert update(here, "..", KRMFN_LAYOUT="../outside").code == 0


def test_a_tree_is_walked_within_bounds(here: Path, monkeypatch: pytest.MonkeyPatch):
    """What is looked for is not there: a tree without end would be walked for ever."""
    seen = 0
    walk = os.walk

    def counting(top: Path, **options: Any):
        nonlocal seen
        for one in walk(top, **options):
            seen += 1
            yield one

    for number in range(60):
        (here / "wide" / str(number)).mkdir(parents=True)
    monkeypatch.setattr(layout, "MAX_FOLDERS", 50)
    monkeypatch.setattr(os, "walk", counting)
    said = update(here, "wide")
    assert "the first 50 folders below" in said.err.decode()
    assert seen <= 50 + len(list(walk(here / "tree"))) + 1
