"""The last handler: a bug is one line without anything that was read, and a function gives its list back all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from krmfn import __version__
from krmfn.cli import COMMANDS
from tests.running import environment
from tests.test_streams import LIST

SECRET = "hunter2-and-more"
BUGS = {
    "RuntimeError": f"RuntimeError('{SECRET}')", "KeyError": f"KeyError('{SECRET}')", "AssertionError": "AssertionError()",
    "UnicodeEncodeError": f"UnicodeEncodeError('utf-8', '{SECRET}', 0, 1, '{SECRET}')", "OverflowError": f"OverflowError('{SECRET}')", "BaseExceptionGroup": f"ExceptionGroup('{SECRET}', [ValueError('{SECRET}')])",
}  # fmt: skip


def injected(place: str, bug: str, *arguments: str, cwd: Path, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run krmfn with a function of it (or of what it uses) that raises; all else is the program itself."""
    module, _, name = place.rpartition(":")
    code = (
        f"import sys, {module}\n"
        f"def broken(*arguments, **options): raise {bug}\n"
        f"holder = sys.modules['{module}']\n"
        f"*owners, last = '{name}'.split('.')\n"
        "for owner in owners: holder = getattr(holder, owner)\n"
        "setattr(holder, last, broken)\n"
        f"sys.argv = ['krmfn', *{arguments!r}]\n"
        "from krmfn.__main__ import main\n"
        "sys.exit(main())\n"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, input=stdin, capture_output=True, timeout=60, check=False, env=environment(**more))


def check_told(told: str, bug: str) -> None:
    assert f"this is a bug in krmfn: {bug} at " in told
    assert f"(krmfn {__version__}, Python {sys.version.split()[0]}); please report this line at https://github.com/" in told
    assert SECRET not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("place", ["krmfn.pipeline:run", "krmfn.function:_list"])
def test_a_bug_in_a_function_gives_the_list_back_and_says_so(place: str, bug: str, tmp_path: Path):
    done = injected(place, BUGS[bug], cwd=tmp_path, stdin=LIST)
    assert done.returncode == 1
    assert done.stdout.startswith(LIST)
    (result,) = yaml.safe_load(done.stdout)["results"]
    assert result["severity"] == "error"
    name = "ExceptionGroup" if bug == "BaseExceptionGroup" else bug
    for told in (result["message"], done.stderr.decode()):
        check_told(told, name)


@pytest.mark.parametrize("place", ["krmfn.yamledit.resourcelist:splice", "krmfn.yamledit.resourcelist:read", "krmfn.function:_speak"])
def test_a_bug_in_what_gives_the_list_back_loses_nothing(place: str, tmp_path: Path):
    broken = LIST + b"functionConfig: {apiVersion: krmfn.dev/v1alpha1, kind: ImageAutomation, metadata: {name: a}, spec: {polices: []}}\n"
    done = injected(place, BUGS["RuntimeError"], cwd=tmp_path, stdin=broken)
    assert done.returncode == 1
    assert done.stdout.startswith(broken)
    check_told(done.stderr.decode(), "RuntimeError")


def test_a_bug_in_a_legacy_plugin_gives_the_stream_back(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: a}\nspec: {policies: []}\n")
    stream = b"kind: A\n---\nkind: B\n"
    done = injected("krmfn.pipeline:examine", BUGS["RuntimeError"], "config.yaml", cwd=tmp_path, stdin=stream, KUSTOMIZE_PLUGIN_CONFIG_ROOT="/x")
    assert (done.returncode, done.stdout) == (1, stream)
    check_told(done.stderr.decode(), "RuntimeError")


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_bug_in_a_verb_is_one_line(verb: str, tmp_path: Path):
    words = {"get": ("image", "all", "."), "create": ("image", "repository", "web"), "hold": ("a@1", "."), "release": ("a", "."), "explain": ("a", "."), "completion": ("bash",), "fleet": ("plan", ".")}
    bare = ("schema", "doctor")
    done = injected("click:Command.invoke", BUGS["KeyError"], verb, *words.get(verb, () if verb in bare else (".",)), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith("krmfn: error: ")
    assert done.stderr.count(b"\n") == 1
    check_told(done.stderr.decode(), "KeyError")


def test_a_bug_before_there_is_a_verb_is_one_line(tmp_path: Path):
    done = injected("krmfn.yamledit.libyaml:load", BUGS["RuntimeError"], "schema", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1)
    check_told(done.stderr.decode(), "RuntimeError")


LIMITS = {"MemoryError": "there is not enough memory for this input; nothing was written", "RecursionError": "the input nests too deep; nothing was written"}


@pytest.mark.parametrize("name", LIMITS)
def test_what_an_input_can_exhaust_is_no_bug(name: str, tmp_path: Path):
    done = injected("krmfn.pipeline:run", f"{name}()", cwd=tmp_path, stdin=LIST)
    assert (done.returncode, done.stdout.startswith(LIST)) == (1, True)
    assert LIMITS[name] in done.stderr.decode()
    assert b"bug" not in done.stderr
