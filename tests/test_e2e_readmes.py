"""Every `sh` block of the examples' pages runs as it stands, in the folder it talks about; so does README.md, in a clone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.running import EXAMPLES, environment, run, succeed

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {page.parent.name: BLOCK.findall(page.read_text()) for page in sorted(EXAMPLES.glob("*/README.md"))}
COMMANDS = {name: block for name, blocks in PAGES.items() if (block := "".join(blocks))}


def test_there_are_pages_with_commands():
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("page", COMMANDS)
def test_the_commands_of_the_page_work(page: str, tmp_path: Path):
    for tool in ("kustomize", "kpt"):
        if re.search(rf"^{tool} ", COMMANDS[page], re.MULTILINE):
            tools.require(tool)
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    succeed(["bash", "-euo", "pipefail", "-c", COMMANDS[page]], cwd=tmp_path / "examples" / page)


README = (EXAMPLES.parent / "README.md").read_text()
INSTALLS = ("git clone ", "python3 -m venv ", "export PATH=", "docker ")
"""What test_e2e_fresh.py and test_container.py do: they need a package index or a container engine."""
SHOWN = re.compile(r"^```(sh|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_readme_works_when_it_is_pasted_into_a_fresh_clone(tmp_path: Path):
    for tool in ("kustomize", "kpt"):
        tools.require(tool)
    clone = tmp_path / "krmfn"
    succeed(["git", "clone", "-q", EXAMPLES.parent, clone])
    pasted = 0
    for kind, block in SHOWN.findall(README):
        if kind == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                done = run(["bash", "-c", f"{command} 2>&1"], cwd=clone)
                assert done.returncode == 0, done.stdout
                assert done.stdout == shown or not shown.strip(), command
                pasted += 1
            continue
        lines = [line for line in block.splitlines() if not line.startswith(INSTALLS)]
        told = 'trap \'code=$?; [ $code = 10 ] || { echo "failed: $BASH_COMMAND"; exit $code; }\' ERR\n'
        if lines:
            done = run(["bash", "-uo", "pipefail", "-c", told + "\n".join(lines)], cwd=clone, env=environment())
            assert done.returncode in (0, 10), done.stdout + done.stderr
            pasted += len(lines)
    assert pasted >= 12
