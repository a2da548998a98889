"""Every `console` block of README.md and docs/ runs, and prints what the page shows.

The folder holds `cosign` (what cosign signed, with its keys), `examples`, `shop` (the demo's package), `images` (OCI layouts), `kpt-package`, `kustomize` and `flux-repo` (examples).
A block is `$ command` lines, each followed by what it prints; a command without output may print anything.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.running import EXAMPLES, run

ROOT = EXAMPLES.parent
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {
    page.relative_to(ROOT).as_posix(): BLOCK.findall(page.read_text())
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
BLOCKS = [
    pytest.param(block, id=f"{name} {block.splitlines()[0][2:60]}") for name, found in PAGES.items() for block in found
]


def test_the_readme_has_commands():
    assert len(PAGES["README.md"]) >= 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "demo" / "package", tmp_path / "shop")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    shutil.copytree(ROOT / "fixtures" / "cosign", tmp_path / "cosign")
    for name in ("images", "kpt-package", "kustomize", "flux-repo"):
        shutil.copytree(EXAMPLES / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS)
def test_what_the_page_shows_is_what_is_printed(block: str, folder: Path):
    for name in ("kustomize", "kpt"):
        if f"$ {name} " in block:
            tools.require(name)
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        done = run(["bash", "-c", f"{command} 2>&1"], cwd=folder)
        if shown.strip():
            assert done.stdout == shown
        else:
            assert done.returncode == 0, done.stdout
