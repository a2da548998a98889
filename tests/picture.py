"""The picture of a terminal in README.md, made anew: `python -m tests.picture` writes docs/check.svg, test_docs.py compares.

The commands run as they stand, at a terminal of 104 columns, in a copy of the example.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from tests.tools import ROOT

PICTURE = ROOT / "docs" / "check.svg"
COLUMNS = 104
COMMANDS = ("krmfn check shop", "krmfn update shop --within minor --diff")
_FONTS = re.compile(r"\s*@font-face \{.*?\n    \}", re.DOTALL)


def shown(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Return what a command prints at a terminal, stdout and stderr together."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with subprocess.Popen(command.split(), cwd=folder, env=environment, stdin=inner, stdout=inner, stderr=inner):
        os.close(inner)
        pieces = []
        while piece := _read(outer):
            pieces.append(piece)
    os.close(outer)
    return b"".join(pieces).decode().replace("\r\n", "\n")


def _read(outer: int) -> bytes:
    try:
        return os.read(outer, 65536)
    except OSError:  # Linux says so when the last writer is gone
        return b""


def render() -> str:
    """Return the picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "demo")
        shutil.copytree(ROOT / "examples" / "shop", folder / "shop")
        environment = {
            "HOME": home,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
        }
        environment["KRMFN_LAYOUT"] = str(ROOT / "examples" / "images")
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(shown(command, folder, environment).rstrip("\n")))
            console.print()
    return _FONTS.sub("", console.export_svg(title="krmfn", theme=SVG_EXPORT_THEME, unique_id="krmfn"))


if __name__ == "__main__":
    PICTURE.write_text(render())
