"""The Python API: docs/python.md as it is printed, what `import krmfn` loads, and types as a checker sees them."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

import krmfn
from krmfn.errors import InputError
from tests.tools import ROOT

PAGE = ROOT / "docs" / "python.md"


def test_the_examples_of_the_page_answer_what_it_prints():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried > 10) == (0, True)


def test_the_import_loads_no_other_module_of_krmfn_and_nothing_heavy():
    program = "import sys; before = set(sys.modules); import krmfn; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout
    assert "'krmfn'" in loaded
    assert not [name for name in ("krmfn.", "yaml", "re2", "requests", "oras", "dataclasses") if f"'{name}" in loaded]


def test_choosing_loads_neither_yaml_nor_a_registry_client():
    program = 'import sys, krmfn; krmfn.choose(["1.0.0"], {"semver": {"range": "*"}}); print(sorted(sys.modules))'
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "'krmfn.policies.selection'" in done.stdout
    assert not [name for name in ("yaml", "requests", "oras", "click", "rich") if f"'{name}'" in done.stdout]


@pytest.mark.parametrize("name", krmfn.__all__)
def test_every_name_is_there_and_explained_and_on_the_page(name: str):
    assert name in dir(krmfn)
    assert getattr(krmfn, name).__doc__
    if name not in ("Diagnostic", "Listing", "Repository", "Selection", "ConfigError"):
        assert name in PAGE.read_text()


def test_what_is_no_name_of_the_api_is_told():
    with pytest.raises(AttributeError, match="no attribute 'chose'"):
        _ = krmfn.chose


def test_the_hint_at_prereleases_comes_when_nothing_else_is_there():
    only, mixed = (
        krmfn.choose(tags, {"semver": {"range": ">=1"}}).message for tags in (["1.0.0-rc.1"], ["1.0.0-rc.1", "0.5.0"])
    )
    assert "only prereleases are there" in only
    assert "only prereleases are there" not in mixed


@pytest.mark.parametrize(
    ("current", "tags", "chosen"), [("998", ["999", "1000"], "999"), ("1000", ["999", "1001"], "1001")]
)
def test_a_number_of_four_digits_is_a_date_or_a_build_and_follows_no_smaller_one(current, tags, chosen):
    assert krmfn.choose(tags, {"version": {"within": "major"}}, current=current).tag == chosen


def test_text_that_is_no_list_is_an_input_error_with_its_place():
    with pytest.raises(InputError) as caught:
        krmfn.run("a: [")
    assert caught.value.line == 1


def test_a_checker_sees_the_types(tmp_path):
    """A user's file under mypy --strict: wrong arguments are found, and so are results that are None."""
    user = tmp_path / "user.py"
    user.write_text(
        "import krmfn\n"
        'tag: str = krmfn.choose(["1.0.0"], {}).tag\n'
        "krmfn.run(1)\n"
        'version: krmfn.Version = krmfn.Version.parse("1.0.0")\n'
        "text: bytes = krmfn.run(b'').text\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "--cache-dir", str(tmp_path), str(user)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert [line.split(": ")[0].rpartition(":")[2] for line in done.stdout.splitlines() if "error" in line] == ["2", "3"]
