"""The exits of every verb: one table here, what `--help` says, and the table of docs/commands.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click
import pytest

from krmfn.cli import COMMANDS
from tests import hostile, images
from tests.running import EXAMPLES, environment
from tests.tools import ROOT

Row = Mapping[str, tuple[str, ...]]
EXITS: Mapping[str, Row] = {
    "adopt": {"done": ("renovate",), "error": ("nowhere",), "usage": ()},
    "annotate": {"done": ("flux-repo",), "error": ("nowhere",), "usage": (), "would change": ("held", "--check")},
    "backtest": {"done": ("history",), "error": ("nowhere",), "usage": ()},
    "check": {"done": ("web",), "error": ("nowhere",), "usage": (), "would change": ("web", "--exit-code")},
    "completion": {"done": ("bash",), "usage": ("tcsh",)},
    "create": {"done": ("image", "repository", "web", "--image", "ghcr.io/acme/web"), "error": ("image", "repository", "web"), "usage": ("image", "chart")},
    "doctor": {"done": (), "error": (), "usage": ("-o", "xml")},
    "explain": {"done": ("web", "flux-repo"), "error": ("none", "flux-repo"), "usage": ("web",)},
    "fetch": {"done": ("flux-repo", "--lock"), "error": ("nowhere",), "usage": (), "would change": ("held", "--check")},
    "fleet": {
        "done": ("plan", "web"), "error": ("plan", "nowhere"), "usage": (), "would change": ("report", "web", "--scan", "scan", "--exit-code"),
    },
    "get": {"done": ("image", "all", "flux-repo"), "error": ("image", "all", "nowhere"), "usage": ("image", "charts", ".")},
    "hold": {"done": ("web@1.2.0", "flux-repo"), "error": ("none@1.2.0", "flux-repo"), "usage": ("web@1.2.0", "flux-repo", "--until", "soon")},
    "init": {"done": ("web",), "error": ("nowhere",), "usage": ()},
    "lint": {"done": ("flux-repo",), "error": ("marked",), "usage": ()},
    "release": {"done": ("web", "held"), "error": ("web", "flux-repo"), "usage": ()},
    "schema": {"done": (), "usage": ("Chart",)},
    "test": {"done": ("tests",), "error": ("web",), "usage": ()},
    "update": {"done": ("flux-repo",), "error": ("nowhere",), "usage": (), "would change": ("held", "--check")},
    "verify": {"error": ("web", "--key", "nokey"), "usage": ()},
}  # fmt: skip
VARIABLES = {("doctor", "error"): {"PATH": "/nonexistent"}}
"""What makes a call one of its kind where its arguments do not."""
CODES = {"done": 0, "error": 1, "usage": 2, "would change": 10}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "flux-repo")
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "held")
    (tmp_path / "held/hold.yaml").write_text("apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: a}\nspec: {policy: 'flux-system:web', not: 1.3.1}\n")
    for folder in ("web", "renovate", "tests", "marked"):
        (tmp_path / folder).mkdir()
    (tmp_path / "web/pod.yaml").write_text("kind: Pod\nspec: {containers: [{name: a, image: 'ghcr.io/acme/web:1.2.0'}]}\n")
    shutil.copy(tmp_path / "web/pod.yaml", tmp_path / "renovate")
    (tmp_path / "renovate/renovate.json").write_text('{"packageRules": [{"matchPackageNames": ["ghcr.io/acme/web"], "allowedVersions": "<2"}], "kubernetes": {"managerFilePatterns": ["/.yaml$/"]}}')
    shutil.copy(ROOT / "fixtures/policytests/recipes.yaml", tmp_path / "tests")
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan/plan.json").write_text('{"apiVersion": "krmfn.dev/v1alpha1", "kind": "FleetPlan", "now": "2026-11-20T10:00Z", "trees": []}')
    shutil.copytree(tmp_path / "web", tmp_path / "history")
    for words in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a")):
        subprocess.run(("git", *words), cwd=tmp_path / "history", check=True)
    (tmp_path / "marked/a.yaml").write_text('image: a:1 # {"$imagepolicy": "a:b"}\n')
    return tmp_path


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_exits_as_the_table_says(verb: str, place: Path):
    """A verb without a row fails here."""
    for case, arguments in EXITS[verb].items():
        said = hostile.call((verb, *arguments), place, KRMFN_LAYOUT=str(images.BUNDLED), KRMFN_NOW="2026-11-26T00:00:00Z", **VARIABLES.get((verb, case), {}))
        assert said.code == CODES[case], f"{case}: {said.err.decode()}"


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_of_a_verb_tells_these_exits(verb: str):
    command, every = import_module(f"krmfn.commands.{verb}").command, set[int]()
    for leaf in leaves(command):
        told = re.search(r"Exit: (.*?)\.(\s|$)", leaf.epilog or "", re.DOTALL)
        assert told, f"{verb} {leaf.name}"
        codes = {int(code) for code in re.findall(r"(?:^|, )(\d+) ", told[1])}
        every |= codes
        assert codes >= {0, 2}, f"{verb} {leaf.name}"
    assert every == {CODES[case] for case in EXITS[verb]} | {0}, verb


def leaves(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    inner = [command.get_command(context, name) for name in command.list_commands(context)]
    return [leaf for one in inner if one is not None for leaf in leaves(one)]


def test_the_documentation_tells_these_exits():
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs/commands.md").read_text(), re.MULTILINE))
    assert list(map(int, rows)) == [0, 1, 2, 10, 130]
    assert set(re.findall(r"`(\w+)(?: report)?(?: --exit-code)?`", rows["10"])) == {verb for verb, row in EXITS.items() if "would change" in row}


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_that_is_interrupted_exits_130(verb: str, place: Path):
    """The interrupt comes when the verb begins, as from a terminal."""
    code = (
        "import os, signal, sys, click\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "click.Command.invoke = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        f"sys.argv = ['krmfn', {verb!r}, *{EXITS[verb].get('done', EXITS[verb].get('error', ()))!r}]\n"
        "from krmfn.__main__ import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, env=environment(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, b"", b"")  # click ends the line of ^C
