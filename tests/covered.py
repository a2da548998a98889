"""Branch coverage of a whole run, with a floor for each room: `pytest -p tests.covered`, as `make test` runs it.

Only this process counts, without tests that are marked slow: those run at full speed. A run of a part of the tests shows what it
takes and is held to no floor.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import coverage
import pytest

from tests.floors import FLOORS, PARSERS, below
from tests.tools import ROOT

_measured = coverage.Coverage(data_file=None, branch=True, source=[str(ROOT / "krmfn")])
_measured.start()


def _share(*patterns: str) -> float:
    try:
        return _measured.report(include=[str(ROOT / "krmfn" / pattern) for pattern in patterns], file=io.StringIO())
    except coverage.exceptions.NoDataError:  # no test was run
        return 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Measure a test, unless it is slow already."""
    is_slow = item.get_closest_marker("slow") is not None
    if is_slow:
        _measured.stop()
    try:
        return (yield)
    finally:
        if is_slow:
            _measured.start()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole run that passes and takes less of a room than its floor."""
    _measured.stop()
    config = session.config
    shares = {room: _share("*.py" if room == "values" else f"{room}/*") for room in FLOORS} | {"parsers": _share(*(f"{name}.py" for name in PARSERS))}
    is_whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    faults = below(shares) if is_whole else []
    config.stash[LINES] = [f"covered: {', '.join(f'{room} {share:.1f}%' for room, share in shares.items())}", *faults]
    if faults and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


LINES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the shares, in front of pytest's closing line."""
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)
