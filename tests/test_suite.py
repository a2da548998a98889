"""The suite itself passes however it was started: in the background, under nohup, without stdin."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.floors import FLOORS, below
from tests.tools import ROOT

SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE)


def ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def close() -> None:
    os.close(0)


@pytest.mark.parametrize("start", [ignore, block, close])
def test_the_suite_may_be_started_any_way(start):
    tests = [
        "tests/test_suite.py::test_programs_start_with_signals_as_at_a_terminal",
        "tests/test_git.py::test_a_run_that_is_stopped_in_a_hook_leaves_nothing_behind",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT, preexec_fn=start, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("...")


def test_no_test_reads_a_clock():
    """tests/waiting.py waits, and limits what hangs; a run that needs the time takes KRMFN_NOW or a clock of the test."""
    clock = re.compile(r"^(import|from) time\b|datetime\.(now|today)\(|\bdate\.today\(", re.MULTILINE)
    assert [path.name for path in (ROOT / "tests").glob("test_*.py") if path.name != "test_suite.py" and clock.search(path.read_text())] == []


def test_programs_start_with_signals_as_at_a_terminal():
    code = "import os, signal; print([signal.getsignal(n).name for n in map(int, os.sys.argv[1:])], signal.pthread_sigmask(0, ()), os.fstat(0).st_mode > 0)"
    command = [sys.executable, "-S", "-c", code.replace(".name", ""), *(str(int(number)) for number in SIGNALS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    default = "<Handlers.SIG_DFL: 0>"
    handlers = ["<built-in function default_int_handler>", default, default, default, "<Handlers.SIG_IGN: 1>"]
    assert done.stdout == f"[{', '.join(handlers)}] set() True\n"  # Python itself ignores SIGPIPE


def test_every_room_has_a_floor_of_coverage():
    rooms = {path.name for path in (ROOT / "krmfn").iterdir() if path.is_dir() and path.name[0] != "_"}
    assert FLOORS.keys() == rooms | {"values"}
    assert below(dict.fromkeys(FLOORS, 100.0)) == []
    assert below({"policies": FLOORS["policies"] - 0.1}) == [f"policies: {FLOORS['policies'] - 0.1:.1f}% of lines and branches, the floor is {FLOORS['policies']}%"]


def test_a_run_that_takes_less_than_a_floor_fails_and_its_closing_line_is_last():
    one = "tests/test_globs.py"
    run = [sys.executable, "-m", "pytest", "-p", "tests.covered", "-p", "no:cacheprovider", "-q", "-o", "addopts="]
    part = subprocess.run([*run, "-v", one], cwd=ROOT, capture_output=True, text=True, check=False)
    whole = subprocess.run([*run, "-v", "-o", f"testpaths={one}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (part.returncode, whole.returncode) == (0, 1)
    assert "covered: adopt 0.0%" in part.stdout
    assert "adopt: 0.0% of lines and branches, the floor is" not in part.stdout
    assert "adopt: 0.0% of lines and branches, the floor is" in whole.stdout
    assert " passed in " in whole.stdout.splitlines()[-1]
