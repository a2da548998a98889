"""Every `sh` block of the examples' pages runs as it stands, in the folder it talks about."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.running import EXAMPLES, succeed

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
