"""A plugin of pytest for `benchmarks.mutants`: tells coverage which test runs, and runs chosen tests, the quickest first.

COVERING_TIMES=FILE: append a line for each test, its name, seconds and outcome; coverage's contexts are those names, in programs
that a test starts too. COVERING_SAMPLE=N: run N of the cases of each test. COVERING_TESTS=FILE: of the collected tests run those named there,
in that order, with all of their cases. COVERING_BRIEFLY=1: one case of every test of a file first, properties with few examples.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from hypothesis import Phase, settings

EXAMPLES = 25


def pytest_collection() -> None:
    """Look for no smaller example: that one fails is enough."""
    settings.register_profile("covering", settings.get_profile("no clock"), phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("covering")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if wanted := os.environ.pop("COVERING_TESTS", ""):
        order = {name: number for number, name in enumerate(Path(wanted).read_text(encoding="utf-8").splitlines())}
        items[:] = sorted((item for item in items if name(item.nodeid) in order), key=lambda item: order[name(item.nodeid)])
    if sample := int(os.environ.pop("COVERING_SAMPLE", "0")):
        cases: dict[str, list[pytest.Item]] = {}
        for item in items:
            cases.setdefault(name(item.nodeid), []).append(item)
        items[:] = [item for same in cases.values() for item in same[:: max(1, len(same) // sample)]]
    if os.environ.pop("COVERING_BRIEFLY", ""):
        files = {item.path: number for number, item in enumerate(reversed(items))}
        seen: Counter[str] = Counter()
        order = {}
        for item in items:
            order[item.nodeid] = (-files[item.path], seen[name(item.nodeid)])
            seen[name(item.nodeid)] += 1
            known = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
            if known:
                item.obj._hypothesis_internal_use_settings = settings(known, max_examples=min(known.max_examples, EXAMPLES))  # noqa: SLF001
        items.sort(key=lambda item: order[item.nodeid])


def name(node: str) -> str:
    """Return the name of a test without that of its case."""
    return node.partition("[")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    measured = coverage.Coverage.current()
    if measured is None:
        return (yield)
    measured.switch_context(name(item.nodeid))
    measured.config.context = name(item.nodeid)
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        os.environ["COVERAGE_PROCESS_CONFIG"] = measured.config.serialize()
    measured.config.context = None
    try:
        return (yield)
    finally:
        measured.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if path := os.environ.get("COVERING_TIMES"):
        with Path(path).open("a", encoding="utf-8") as times:
            times.write(json.dumps([name(report.nodeid), report.duration, report.outcome]) + "\n")
