"""The page of `fleet report` in a real browser: nothing goes wrong, nothing is loaded, it fits, and a keyboard is enough."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browser
from tests.running import EXAMPLES, succeed

SHOWN = "[...document.querySelectorAll('#table tbody tr')].filter((row) => !row.hidden).map((row) => row.cells[0].textContent)"
FOCUS = "document.activeElement.id || document.activeElement.dataset.flag || document.activeElement.closest('th')?.textContent.trim() || ''"


@pytest.fixture(scope="module")
def page() -> Iterator[browser.Page]:
    with browser.opened() as there:
        yield there


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the trees of the documentation, and of one whose names are hostile."""
    folder = tmp_path_factory.mktemp("fleet")
    hostile = folder / "<img src=x onerror=alert(1)>"
    hostile.mkdir()
    (hostile / "a.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: ghcr.io/acme/nowhere:1.0.0}]}\n")
    scan, path = folder / "scan", folder / "report.html"
    succeed(["krmfn", "fleet", "run", "shop", "flux-repo", hostile, "--to", scan, "--source", "layout:images", "-q"], cwd=EXAMPLES)
    path.write_text(succeed(["krmfn", "fleet", "report", "--scan", scan, "-q"], cwd=EXAMPLES))
    return path


@pytest.mark.parametrize(("width", "scheme"), [*itertools.product(browser.WIDTHS, browser.SCHEMES)])
def test_the_page_loads_nothing_fails_nowhere_and_fits(page, report, width, scheme):
    page.open(report, width, scheme)
    assert page.troubles() == []
    assert page.run("document.documentElement.scrollWidth") <= width
    red, green, blue = page.run("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)")
    assert (red + green + blue < 384) == (scheme == "dark")


def test_a_keyboard_is_enough(page, report):
    page.open(report, 1280, "light")
    everything = page.run(SHOWN)
    page.press("Tab")
    assert page.run(FOCUS) == "filter"
    page.write("redis")
    assert page.run(SHOWN) == ["docker.io/library/redis"]
    page.run("document.getElementById('filter').value = ''; document.getElementById('filter').dispatchEvent(new Event('input'))")
    page.press("Tab")
    flag = page.run(FOCUS)
    page.press(" ")
    assert page.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert page.run(SHOWN) == page.run(f"[...document.querySelectorAll('#table tbody tr')].filter((row) => row.dataset.flags.split(',').includes('{flag}')).map((row) => row.cells[0].textContent)")
    page.press(" ")
    while page.run(FOCUS) != "Image":
        page.press("Tab")
    for way in ("ascending", "descending"):
        page.press("Enter")
        assert page.run("document.activeElement.closest('th').getAttribute('aria-sort')") == way
        assert page.run(SHOWN) == sorted(everything, reverse=way == "descending")
    assert page.troubles() == []
