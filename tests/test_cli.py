"""The command line as a whole: help, usage, exit codes, terminals and pipes, start-up."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from krmfn.cli import COMMANDS
from tests import images
from tests.running import EXAMPLES, PATIENT, call, environment, run, succeed

POD = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: 'ghcr.io/acme/web:1.2.0'}]}\n"
)


def at_terminal(command: list[str], cwd: Path, more: dict[str, str] | None = None, width: int = 120) -> tuple[int, str]:
    """Run krmfn where stdin, stdout and stderr are a terminal."""
    control, device = pty.openpty()
    env = environment(**{"TERM": "xterm-256color", "COLUMNS": str(width), "LINES": "40", **(more or {})})
    process = subprocess.Popen([*PATIENT, *command], cwd=cwd, env=env, stdin=device, stdout=device, stderr=device, close_fds=True)
    os.close(device)
    data = b""
    while True:
        if select.select([control], [], [], 0.2)[0]:
            try:
                part = os.read(control, 65536)
            except OSError:  # the other side is closed
                break
            data += part
        elif process.poll() is not None:
            break
    os.close(control)
    return process.wait(10), data.decode().replace("\r\n", "\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "pod.yaml").write_text(POD)
    return tmp_path


def test_every_verb_has_a_module_and_help_with_examples(tmp_path: Path):
    shown = succeed(["krmfn", "--help"])
    for verb in COMMANDS:
        assert f"  {verb} " in shown
    for verb in COMMANDS:
        assert "Usage: krmfn" in call(verb, "--help", cwd=tmp_path).stdout


def test_without_arguments_at_a_terminal_it_says_how_to_use_it(tmp_path: Path):
    code, shown = at_terminal([], tmp_path)
    assert code == 2
    assert "Usage: krmfn" in shown
    assert "krmfn check ." in shown


@pytest.mark.parametrize("flag", ["--help", "--doc", "--version", "-h"])
def test_flags_never_read_stdin(flag: str):
    """A pipe that nobody closes would hold up a program that reads it."""
    read, write = os.pipe()
    try:
        done = subprocess.run(
            ["krmfn", flag], stdin=read, capture_output=True, text=True, timeout=30, env=environment(), check=False
        )
    finally:
        os.close(write)
        os.close(read)
    assert done.returncode == 0
    assert done.stdout
    assert done.stderr == ""


def test_doc_is_the_card_of_the_function():
    card = json.loads(succeed(["krmfn", "--doc"]))
    assert card["name"] == "krmfn"
    assert {"version", "short", "long", "examples", "license"} <= card.keys()


NEAR = {"chekc": "did you mean check?", "upgrade": "did you mean update?", "xyzzy": "known: "}


@pytest.mark.parametrize("word", NEAR)
def test_a_misspelt_verb_gets_the_nearest(word: str):
    done = run(["krmfn", word])
    assert done.returncode == 2
    assert f"no such command: {word}; {NEAR[word]}" in done.stderr or NEAR[word] in done.stderr


def test_a_misspelt_option_gets_the_nearest():
    done = run(["krmfn", "update", ".", "--chekc"])
    assert done.returncode == 2
    assert "--check" in done.stderr


PROBLEMS = {
    "no such path": (["update", "nowhere"], "nowhere: there is no such file or directory"),
    "a source that is none": (["check", ".", "--source", "docker"], "expected registry, layout:DIR or oci://HOST/PATH@DIGEST"),
    "git where there is none": (["update", ".", "--commit"], "help: "),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_is_one_line_and_never_a_traceback(place: Path, case: str):
    arguments, said = PROBLEMS[case]
    done = run(["krmfn", *arguments], cwd=place, env=environment(GIT_CEILING_DIRECTORIES=str(place.parent)))
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pod.yaml").write_text(POD)
    (tmp_path / "a").chmod(0o500)
    done = run(["krmfn", "update", "a", "--source", f"layout:{images.BUNDLED}"], cwd=tmp_path)
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error_text(place: Path):
    script = "krmfn schema | head -1; krmfn check . --source layout:x | true"
    done = run(["sh", "-c", script], cwd=place)
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


CHECK = ["krmfn", "check", ".", "--source", f"layout:{images.BUNDLED}"]


def test_a_terminal_gets_colour_and_a_pipe_does_not(place: Path):
    code, shown = at_terminal(CHECK[1:], place)
    assert code == 0
    assert "\x1b[1m" in shown
    assert "1.3.1" in shown
    assert "\x1b" not in succeed(CHECK, cwd=place)


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_colour_can_be_declined(place: Path, more: dict[str, str]):
    _, shown = at_terminal(CHECK[1:], place, more)
    assert "1.3.1" in shown
    assert not [code for code in ("\x1b[3", "\x1b[4", "\x1b[9") if code in shown.replace("\x1b[?25", "")]


def test_a_narrow_terminal_loses_nothing(place: Path):
    _, shown = at_terminal(CHECK[1:], place, {"NO_COLOR": "1"}, width=40)
    assert "1.2.0" in shown.replace("\n", "")


def test_names_from_outside_cannot_steer_a_terminal(place: Path):
    (place / "odd.yaml").write_text('kind: Pod\nspec: {containers: [{image: "evil\\e[2Jname:1"}]}\n')
    _, shown = at_terminal(CHECK[1:], place, {"NO_COLOR": "1"})
    assert "\x1b[2J" not in shown
    assert "evil\\x1b[2Jname" in shown.replace("\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_krmfn(shell: str):
    assert "_KRMFN_COMPLETE" in succeed(["krmfn", "completion", shell])


COMPLETIONS = {"krmfn up": "plain,update", "krmfn update --aut": "plain,--automation", "krmfn get ima": "plain,image"}


@pytest.mark.parametrize("words", COMPLETIONS)
def test_words_are_completed(words: str):
    env = environment(COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1), _KRMFN_COMPLETE="bash_complete")
    assert COMPLETIONS[words] in succeed(["krmfn"], env=env).splitlines()


def imported(*arguments: str) -> set[str]:
    done = run([sys.executable, "-X", "importtime", "-m", "krmfn", *arguments], cwd=EXAMPLES)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


HEAVY = {
    "rich",
    "yaml",
    "requests",
    "oras",
    "re2",
    "_re2",
    "semver",
    "ruamel",
    "ruamel.yaml",
    "jsonpath_ng",
    "ssl",
    "concurrent.futures",
    "asyncio",
}


def test_help_imports_nothing_heavy():
    found = imported("--help")
    assert "click" in found
    assert found & HEAVY == set()


def test_the_function_imports_nothing_of_the_command_line():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "krmfn"], input="apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\n",
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    found = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode == 0
    assert "yaml._yaml" in found
    mine = {
        "click",
        "rich",
        "krmfn.cli",
        "krmfn.terminal",
        "krmfn.git.repository",
        "krmfn.gotemplate.parser",
        "krmfn.inventory.flux_status",
        "krmfn.inventory.doctor",
        "subprocess",
    }
    assert found & mine == set()


def test_a_run_that_is_short_shows_no_progress_at_a_terminal(tmp_path: Path, example_registry: str):
    (tmp_path / "pod.yaml").write_text(POD.replace("ghcr.io", example_registry))
    code, shown = at_terminal(["check", "."], tmp_path)
    assert code == 0
    assert "asking registries" not in shown
    assert "1.3.1" in shown
    assert shown.rstrip().endswith("1 image in 1 place: 1 updatable, 1 newer beyond the bound")
