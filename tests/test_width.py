"""Screens of every verb at 80 and 160 columns, in colour and plain: no line is wider, and no path or reference is broken.

`fixtures/screens/VERB.COLUMNS.txt` is what people see at a terminal, stdout then stderr, with the escapes of colours shown as
`^[[1m`; a pipe with `COLUMNS` shows the same without them. `--update-golden` writes them anew: read the diff.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from krmfn.cli import COMMANDS
from tests import images
from tests.running import PATIENT, call, environment
from tests.tools import ROOT

SCREENS = ROOT / "fixtures" / "screens"
WIDTHS = (80, 160)
NOW = "2026-11-20T09:00:00Z"
LAYOUT = ("--source", "layout:../../images")
SIGNED = ("--key", "../../cosign/p256.pub", "--source", "layout:../../cosign/images")

SCENES: dict[str, tuple[tuple[str, ...], ...]] = {
    "adopt": (("adopt", ".", "--keys"), ("adopt", ".")),
    "annotate": (("annotate", ".", "--check"), ("annotate", ".", "--markers", "shop:*", "--check"), ("annotate", "nowhere")),
    "backtest": (("backtest", "."), ("backtest", "nowhere")),
    "check": (
        ("check", ".", *LAYOUT),
        ("check", ".", "--all", "--within", "major", *LAYOUT),
        ("check", "clusters/production/apps/payments-and-invoices/template.yaml", *LAYOUT),
    ),
    "completion": (("completion", "tcsh"),),
    "create": (("create", "image", "policy", "web", "--image", "ghcr.io/acme/web", "--select-semver", "not a range"),),
    "doctor": (),
    "explain": (
        ("explain", "web", ".", "--tags", *LAYOUT),
        ("explain", "cache-of-the-storefront", ".", "--tags", *LAYOUT),
        ("explain", "cach-of-the-storefront", ".", *LAYOUT),
    ),
    "fetch": (("fetch", ".", "--check", *LAYOUT), ("fetch", "clusters", *LAYOUT)),
    "fleet": (("fleet", "plan", "nowhere"), ("fleet", "report", "clusters", "--scan", "nowhere")),
    "get": (("get", "image", "all", ".", *LAYOUT), ("get", "image", "policy", ".", "nothing", *LAYOUT)),
    "hold": (("hold", "shop:web@1.2.0", ".", "--because", "the storefront is frozen"), ("hold", "wep@1.2.0", ".")),
    "init": (("init", "."), ("init", ".", "--flux")),
    "lint": (("lint", "."),),
    "release": (("release", "shop:web@1.2.0", "."),),
    "schema": (("schema", "ImageAutomatoin"),),
    "test": (("test", "."), ("test", "clusters")),
    "verify": (
        ("verify", "ghcr.io/acme/web:1.2.0", "--key", "cosign.pub"),
        ("verify", "ghcr.io/acme/web:1.2.0", *LAYOUT),
        ("verify", "r.example/acme/web:p256", *SIGNED, "--source-uri", "https://github.com/acme/*"),
        ("verify", *(f"r.example/acme/web:{kind}" for kind in ("p256", "rsa", "absent")), *SIGNED),
    ),
    "update": (
        ("update", ".", "--within", "minor", *LAYOUT),
        ("update", ".", "--check", "--strict", *LAYOUT),
        ("update", "clusters", *LAYOUT),
        ("update", ".", "--automation", "nothing-of-this-name", *LAYOUT),
    ),
}
"""What people read; what programs read (diffs, JSON, YAML, scripts) is as wide as it is."""


class Screen(NamedTuple):
    """What a command printed, and how it ended."""

    out: str
    err: str
    code: int

    def shown(self, command: tuple[str, ...]) -> str:
        """Return it as it stands in a golden file."""
        typed = " ".join(command)
        return f"$ krmfn {typed}\n{self.out}-- stderr, exit {self.code}\n{self.err}\n".replace("\x1b", "^[")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "images").symlink_to(images.BUNDLED)
    (tmp_path / "cosign").symlink_to(ROOT / "fixtures" / "cosign")
    shutil.copytree(SCREENS / "tree", tmp_path / "tree")
    return tmp_path / "tree"


def at_terminal(command: tuple[str, ...], cwd: Path, columns: int, **more: str) -> Screen:
    """Run the command line with a terminal of its own for stdout and for stderr, which is that many columns wide."""
    env = {**environment(TERM="xterm-256color", KRMFN_NOW=NOW, **more)}
    env.pop("COLUMNS", None)
    seen: list[bytearray] = [bytearray(), bytearray()]
    pairs = [pty.openpty() for _ in seen]
    for _, device in pairs:
        fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [*PATIENT, *command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=pairs[0][1], stderr=pairs[1][1]
    )
    readers = [threading.Thread(target=_drain, args=(control, data)) for (control, _), data in zip(pairs, seen, strict=True)]
    for reader, (_, device) in zip(readers, pairs, strict=True):
        os.close(device)
        reader.start()
    code = process.wait(60)
    for reader, (control, _) in zip(readers, pairs, strict=True):
        reader.join(10)
        os.close(control)
    out, err = (bytes(data).decode().replace("\r\n", "\n") for data in seen)
    return Screen(out, err, code)


def _drain(control: int, data: bytearray) -> None:
    while True:
        try:
            part = os.read(control, 65536)
        except OSError:  # the other side is closed
            return
        if not part:
            return
        data += part


def in_pipe(command: tuple[str, ...], cwd: Path, columns: int | None = None) -> Screen:
    """Run the command line in this process, with pipes."""
    more = {} if columns is None else {"COLUMNS": str(columns)}
    done = call(*command, cwd=cwd, KRMFN_NOW=NOW, **more)
    return Screen(done.stdout, done.stderr, done.returncode)


def plain(text: str) -> str:
    return re.sub(r"(?:\x1b|\^\[)\[[0-9;]*m", "", text)


def words(text: str) -> set[str]:
    return set(plain(text).split())


def too_wide(text: str, columns: int) -> list[str]:
    """Return the lines that are wider and not a single word, which nobody may break."""
    return [line for line in plain(text).splitlines() if len(line) > columns and len(line.split()) > 1]


def test_every_verb_has_its_screens():
    assert SCENES.keys() == COMMANDS.keys()


HELP = ((), *((verb,) for verb in COMMANDS), ("get", "image"), *(("create", "image", kind) for kind in ("repository", "policy", "update")))


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("verb", HELP, ids=" ".join)
def test_help_fits(verb: tuple[str, ...], columns: int, tmp_path: Path):
    shown = in_pipe((*verb, "--help"), tmp_path, columns).out
    assert "Usage: krmfn" in shown
    assert too_wide(shown, columns) == []


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("verb", SCENES)
def test_the_screens_of_a_verb(verb: str, columns: int, place: Path, golden):
    seen = ""
    for number, command in enumerate(SCENES[verb]):
        here, there, free = (shutil.copytree(place, place.parent / f"{kind}{number}" / "tree") for kind in "abc")
        coloured = at_terminal(command, here, columns)
        piped = in_pipe(command, there, columns)
        assert (plain(coloured.out), plain(coloured.err), coloured.code) == piped
        assert too_wide(piped.out, columns) == []
        assert too_wide(piped.err, columns) == []
        if columns == 80:
            unbroken = in_pipe(command, free)
            assert words(piped.out) | words(piped.err) <= words(unbroken.out) | words(unbroken.err)
        assert "Traceback" not in piped.err
        seen += coloured.shown(command)
    path = SCREENS / f"{verb}.{columns}.txt"
    if seen:
        golden(seen, path)
    else:
        assert not path.exists()


@pytest.mark.parametrize("columns", WIDTHS)
def test_what_the_machine_holds_fits_too(columns: int, tmp_path: Path):
    done = in_pipe(("doctor",), tmp_path, columns)
    assert too_wide(done.out + done.err, columns) == []


CHECK = ("check", ".", *LAYOUT)


def test_no_colour_is_no_colour(place: Path):
    seen = at_terminal(CHECK, place / "clusters", 80, NO_COLOR="1")
    assert "\x1b" not in seen.out + seen.err
    assert seen.out == in_pipe(CHECK, place / "clusters", 80).out


def test_a_warning_in_a_pipe_is_one_line(place: Path):
    lines = in_pipe(CHECK, place / "clusters").err.splitlines()
    (warning,) = [line for line in lines if "warning" in line and "worker" in line]
    assert len(warning) > 80
    assert not any(line.startswith(" ") for line in lines)
