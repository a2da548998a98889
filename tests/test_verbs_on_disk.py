"""Every verb on files of every kind and under every name that krmfn reads; every verb that writes when writing fails."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

import click
import pytest

from krmfn.cli import COMMANDS
from krmfn.disk import writing
from tests import hostile, images
from tests.running import environment
from tests.test_disk import KINDS
from tests.test_files import CONFIG, MARKED
from tests.tools import ROOT

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: web
        image: ghcr.io/acme/web:1.0.0 # {"$imagepolicy": "apps:web"}
      - {name: cache, image: "docker.io/library/redis:7.2.4"}
"""
HOLD = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: a}\nspec: {policy: 'apps:web', not: 1.0.1}\n---\nkind: Other\nspec: {a: b}\n"
NAMES = (
    "odd.yaml", "krmfn.yaml", "krmfn-lock.yaml", "krmfn-tags.yaml", "krmfn-holds.yaml", "kustomization.yaml", "Kustomization", "renovate.json", ".krmfnignore",
    ".github/dependabot.yml",
)  # fmt: skip
"""Names under which verbs look for something."""


def _docs() -> Mapping[str, str]:
    """Return what docs/commands.md says that each verb writes."""
    rows = re.findall(r"^\| `krmfn (\w+)[^`]*` \|.*\| (.*) \|$", (ROOT / "docs/commands.md").read_text(), re.MULTILINE)
    return dict(rows)


WRITERS: Mapping[str, tuple[str, ...]] = {
    "update": ("update", "."), "annotate": ("annotate", "."), "init": ("init", "."), "fetch": ("fetch", ".", "--lock"), "hold": ("hold", "web@1.2.3", "."),
    "release": ("release", "web", "."),
}  # fmt: skip
"""A call of every verb that writes something in `tree`."""


def test_every_verb_that_writes_is_here():
    assert {verb for verb, writes in _docs().items() if writes != "nothing"} == WRITERS.keys()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    top.mkdir()
    for name, text in (("policies.yaml", CONFIG % ""), ("a.yaml", MARKED), ("web.yaml", DEPLOYMENT), ("hold.yaml", HOLD)):
        (top / name).write_text(text)
    return top


def call(words: tuple[str, ...], cwd: Path) -> hostile.Said:
    return hostile.call(words, cwd, KRMFN_LAYOUT=str(images.BUNDLED), KRMFN_NOW="2026-11-26T00:00:00Z")


def on_files() -> Mapping[str, tuple[str, ...]]:
    """Return a call of every verb that takes paths."""
    found = dict(WRITERS)
    for verb in COMMANDS.keys() - WRITERS.keys():
        command = import_module(f"krmfn.commands.{verb}").command
        if verb == "get":
            found[verb] = ("get", "image", "all", ".")
        elif isinstance(command, click.Command) and any(one.name == "paths" for one in command.params):
            found[verb] = (verb, *(("web",) if verb == "explain" else ()), ".")
    return found


@pytest.mark.parametrize("verb", on_files())
def test_a_long_path_cuts_no_reason(verb: str, tree: Path):
    """Of a path of 3,000 characters the file's name, line and column stay, and so does what is wrong there."""
    deep = tree.joinpath(*(f"d{number:02}" + "x" * 200 for number in range(14)))
    deep.mkdir(parents=True)
    (deep / "bad.yaml").write_text(f"{MARKED} a: [\n")
    said = call(on_files()[verb], tree)
    told = [line for line in (said.out + said.err).decode().splitlines() if "d00x" in line]
    assert told or verb == "test", "nothing was said of the file"
    for line in told:
        assert len(line) < 4000
        assert re.search(r"\d\dx+/bad\.yaml:2:\d+:? .*not valid YAML", line), line


@pytest.mark.parametrize("verb", on_files())
def test_a_verb_leaves_files_of_another_kind_alone(verb: str, tree: Path, tmp_path: Path):
    kept = tmp_path / "kept"
    shutil.copytree(tree, kept)
    for kind in ("a FIFO", "a link to a device", "a link to itself", "3 GiB"):
        for name in NAMES:
            path = tree / name
            path.parent.mkdir(exist_ok=True)
            KINDS[kind][0](path)
            before = path.lstat()
            said = call(on_files()[verb], tree)
            try:
                hostile.check(said)
            except AssertionError as error:
                raise AssertionError(f"{kind} {name}") from error
            after = path.lstat()
            assert (after.st_mode, after.st_ino, after.st_size) == (before.st_mode, before.st_ino, before.st_size), f"{kind} {name}"
            shutil.rmtree(tree)
            shutil.copytree(kept, tree)


def without_privileges() -> None:
    """Let the modes of files hold for root too: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of what is executed next."""
    if os.geteuid() == 0:
        for capability in (1, 2):
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def without_room() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


def finish(verb: str, tree: Path, prepare: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    env = environment(KRMFN_LAYOUT=str(images.BUNDLED), KRMFN_NOW="2026-11-26T00:00:00Z")
    return subprocess.run([sys.executable, "-I", "-m", "krmfn", *WRITERS[verb]], cwd=tree, env=env, capture_output=True, text=True, timeout=60, check=False, preexec_fn=prepare)


@pytest.mark.parametrize("verb", WRITERS)
def test_a_verb_on_a_full_disk_writes_nothing(verb: str, tree: Path):
    before = hostile.every_file(tree)
    done = finish(verb, tree, without_room)
    assert (done.returncode, done.stderr.count("cannot be written: File too large")) == (1, 1), done.stderr
    assert hostile.every_file(tree) == before
    assert finish(verb, tree, lambda: None).returncode == 0


@pytest.mark.parametrize("verb", WRITERS)
def test_a_verb_in_a_folder_that_is_read_only_writes_nothing(verb: str, tree: Path):
    before = hostile.every_file(tree)
    tree.chmod(0o555)
    done = finish(verb, tree, without_privileges)
    tree.chmod(0o755)
    assert (done.returncode, done.stderr.count("cannot be written: Permission denied")) == (1, 1), done.stderr
    assert hostile.every_file(tree) == before


@pytest.mark.parametrize("verb", on_files())
def test_a_folder_that_cannot_be_read_is_told(verb: str, tree: Path):
    closed = tree / "closed"
    closed.mkdir()
    (closed / "b.yaml").write_text(MARKED)
    closed.chmod(0)
    env = environment(KRMFN_LAYOUT=str(images.BUNDLED), KRMFN_NOW="2026-11-26T00:00:00Z")
    done = subprocess.run(
        [sys.executable, "-I", "-m", "krmfn", *on_files()[verb]], cwd=tree, env=env, capture_output=True, text=True, timeout=60, check=False, preexec_fn=without_privileges,
    )  # fmt: skip
    closed.chmod(0o755)
    assert re.search("closed:? (not-read )?cannot be read: Permission denied", done.stdout + done.stderr)
    assert (closed / "b.yaml").read_text() == MARKED


def changed(path: Path) -> None:
    path.write_text(path.read_text() + "# mine\n" if path.exists() else "mine: 1\n")


def vanished(path: Path) -> None:
    if path.exists():
        path.unlink()
    else:
        path.mkdir()


@pytest.mark.parametrize("how", [changed, vanished])
@pytest.mark.parametrize("verb", WRITERS)
def test_a_file_that_changes_between_reading_and_writing_is_not_overwritten(verb: str, how: Callable[[Path], None], tree: Path, monkeypatch: pytest.MonkeyPatch):
    """The change is made by whoever is as fast: just before krmfn writes, to every file that it is about to write."""
    replace_all = writing.replace_all
    after: dict[str, bytes] = {}

    def meddling(replacements: list[writing.Replacement], *more: object) -> None:
        for one in replacements:
            how(one.path)
        after.update(hostile.every_file(tree))
        replace_all(replacements, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "replace_all", meddling)
    said = call(WRITERS[verb], tree)
    assert after, "it wrote nothing"
    assert said.code == 1
    assert re.search(r"(changed|appeared) while krmfn was running|cannot be read again", said.err.decode()), said.err
    assert hostile.every_file(tree) == after
