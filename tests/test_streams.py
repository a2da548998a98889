"""Streams that are closed, full or read by nobody, and an environment full of junk: one clear line, the right exit, no traceback."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from krmfn import cli
from tests import hostile, images
from tests.running import EXAMPLES, environment
from tests.tools import ROOT

REDIRECTIONS = {
    "stdin closed": "<&-", "stdout closed": ">&-", "stdout full": ">/dev/full", "stderr closed": "2>&-", "stderr full": "2>/dev/full",
    "stdout and stderr full": ">/dev/full 2>&1", "all closed": "<&- >&- 2>&-",
}  # fmt: skip
LIST = (
    b"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n"
    b"- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}, spec: {containers: [{name: c, image: 'ghcr.io/acme/web:1.2.0'}]}}\n"
)


class Done(NamedTuple):
    """How a program ended."""

    code: int
    out: bytes
    err: bytes


def redirected(arguments: tuple[str, ...], how: str, cwd: Path, stdin: bytes = b"", more: Mapping[str, str] | None = None) -> Done:
    done = subprocess.run(
        ["sh", "-c", f'exec krmfn "$@" {how}', "sh", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False, timeout=60,
        env=environment(KRMFN_LAYOUT=str(images.BUNDLED), KRMFN_NOW="2026-11-26T00:00:00Z", **(more or {})),
    )  # fmt: skip
    assert not re.search(b"Traceback|this is a bug|Exception ignored|lost sys", done.stderr), done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "flux-repo")
    shutil.copy(ROOT / "fixtures/policytests/recipes.yaml", tmp_path / "flux-repo")
    return tmp_path / "flux-repo"


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_a_verb_ends_well_whatever_its_streams_are(verb: str, tree: Path):
    words = next(one.arguments for one in hostile.calls(random.Random(1)) if one.verb == verb)
    dry = {"update": ("--check", "--diff"), "fetch": ("--check",), "annotate": ("--check",), "init": ("--dry-run",)}
    words = {"hold": ("hold", "none@1.0", "."), "release": ("release", "none", ".")}.get(verb, words + dry.get(verb, ()))
    usual = redirected(words, "", tree)
    assert redirected(words, "<&- 2>&-", tree) == usual._replace(err=b"")
    assert redirected(words, "2>/dev/full", tree) == usual._replace(err=b"")
    for how in (">&-", ">/dev/full"):
        done = redirected(words, how, tree)
        assert done.code == (1 if usual.out else usual.code), how
        if usual.out:
            assert re.search(rb"^krmfn: error: stdout: (No space left on device|Bad file descriptor)$", done.err, re.MULTILINE), how
    read, write = os.pipe()
    os.close(read)
    env = environment(KRMFN_LAYOUT=str(images.BUNDLED))
    ended = subprocess.run(["krmfn", *words], cwd=tree, stdout=write, stderr=subprocess.PIPE, env=env, check=False, timeout=60)
    os.close(write)
    assert ended.returncode == (1 if usual.out else usual.code)
    assert not re.search(b"Traceback|this is a bug|Exception ignored|lost sys|Broken pipe", ended.stderr), ended.stderr


@pytest.mark.parametrize("how", REDIRECTIONS)
def test_the_function_ends_well_whatever_its_streams_are(how: str, tmp_path: Path):
    usual = redirected((), "", tmp_path, LIST)
    assert (usual.code, usual.out) == (0, LIST)
    done = redirected((), REDIRECTIONS[how], tmp_path, LIST)
    if how == "stdin closed":
        assert done.code == 1
        assert yaml.safe_load(done.out)["kind"] == "ResourceList"
    elif "stdout" in how or "all" in how:
        assert (done.code, done.out) == (1, b"")
    else:
        assert done == usual


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_a_list_with_an_error_goes_out_although_nobody_hears_of_it(how: str, tmp_path: Path):
    given = LIST + b"functionConfig: {apiVersion: krmfn.dev/v1alpha1, kind: ImageAutomation, metadata: {name: a}, spec: {polices: []}}\n"
    done = redirected((), how, tmp_path, given)
    assert done.code == 1
    assert done.out.startswith(given)
    assert b"polices" in done.out.removeprefix(given)


VARIABLES = sorted(set(re.findall(r"\bKRMFN_[A-Z_]+[A-Z]\b", "".join(path.read_text() for path in (ROOT / "krmfn").rglob("*.py")))))
"""Every variable of krmfn that its code names."""
JUNK = ("", " ", "\udcff", "\n::error::x", "##[error]", "\x1b[31m", "-1", "0", "nan", "inf", "1e999", "9" * 400, "2026-13-40T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "\u0661",
        "[::1", "http://[", "a,,b", "x" * 100_000, "/nonexistent", "/dev/zero", ".", "{", "registry=insecure", "*", "layout:")  # fmt: skip


SNAPSHOT = b"""- apiVersion: krmfn.dev/v1alpha1
  kind: TagSnapshot
  metadata: {name: web}
  spec: {image: ghcr.io/acme/web, tags: [1.2.0, 1.3.0], time: "2026-01-01T00:00:00Z"}
functionConfig:
  apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {name: images}
  spec:
    policies: [{name: web, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}]
    require: [{images: ["**"], minimumReleaseAge: 3 days}]
"""
OTHERS = (
    "SOURCE_DATE_EPOCH", "COLUMNS", "TERM", "DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HOME", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip


def check_variable(variable: str, junk: str, tree: Path) -> None:
    """Run verbs and the function with a variable; nothing asks a registry."""
    host = "none.invalid" if variable == "KRMFN_LAYOUT" else "ghcr.io"
    more = {"KRMFN_LAYOUT": str(images.BUNDLED), "KRMFN_ALLOWED_REGISTRIES": host, variable: junk}
    for words in (("update", ".", "--check"), ("check", ".", "-o", "json"), ("get", "image", "all", ".")):
        hostile.check(hostile.call(words, tree, **more), "json" if "json" in words else "text")
    said = hostile.function(LIST + SNAPSHOT, tree, **more)
    hostile.check(said._replace(out=b""), codes=(0, 1))
    assert yaml.safe_load(said.out)["items"][0]["metadata"]["name"] == "a"


@pytest.mark.parametrize("variable", [*VARIABLES, *OTHERS])
def test_junk_in_a_variable_is_an_error_or_nothing(variable: str, tree: Path):
    """Not one value ends in a traceback, and none makes a function lose its list."""
    chance = random.Random(variable)
    for junk in ("\udcff", *chance.sample(JUNK, 4)):
        check_variable(variable, junk, tree)
    hostile.check(hostile.call(("doctor", "-o", "json"), tree, **{variable: chance.choice(JUNK)}), "json")


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_all_junk_in_all_variables_is_an_error_or_nothing(tree: Path):
    for variable in (*VARIABLES, *OTHERS):
        for junk in JUNK:
            check_variable(variable, junk, tree)


@pytest.mark.parametrize(("path", "why"), [(".", "Is a directory"), ("none/x", "No such file or directory"), ("fifo", "No such device or address"), ("/dev/full", "No space left on device")])
def test_a_summary_of_a_job_that_cannot_be_written_is_told(path: str, why: str, tree: Path):
    os.mkfifo(tree / "fifo")
    done = redirected(("lint", ".", "-o", "github"), "", tree, more={"GITHUB_STEP_SUMMARY": path})
    assert (done.code, done.err.decode()) == (1, f"krmfn: error: {path}: {why}\n")


PLACES: dict[str, dict[str, str]] = {
    "relative": {"HOME": "home", "TMPDIR": "tmp"}, "missing": {"HOME": "/nonexistent/a", "TMPDIR": "/nonexistent/b"}, "files": {"HOME": "/etc/passwd", "TMPDIR": "/etc/passwd"},
    "devices": {"HOME": "/dev/null", "TMPDIR": "/dev/null"}, "a C locale": {"LANG": "C", "LC_ALL": "C"}, "ASCII": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    "UTF-16": {"PYTHONIOENCODING": "utf-16"}, "strict": {"PYTHONIOENCODING": "ascii:strict"},
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_surroundings_change_no_byte(case: str, tree: Path):
    odd = "größer\u202e-\udcff"
    text = (tree / "apps/web.yaml").read_text()
    (tree / f"{odd}.yaml").write_text(text.replace("name: web\nspec", "name: größer\nspec"))
    for words in (("check", ".", "-o", "json"), ("update", ".", "--check", "--diff", "-o", "json"), ("lint", ".", "-o", "sarif")):
        usual, done = redirected(words, "", tree), redirected(words, "", tree, more=PLACES[case])
        assert done == usual
    given = LIST.replace(b"name: a", "name: größer".encode())
    assert redirected((), "", tree, given, PLACES[case]) == Done(0, given, b"")
