"""What every verb on files has: several PATHS, stdin, what is left out, how much is told, and which exit code ends it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest

from krmfn import cli
from tests import images
from tests.registry_server import Registry
from tests.running import EXAMPLES, Done, call, run, succeed
from tests.tools import ROOT

LAYOUT = ("--source", f"layout:{images.BUNDLED}")
POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{name: a, image: '{0}'}}]}}\n"
VERBS = {
    "check": ["check"],
    "update": ["update", "--check"],
    "fetch": ["fetch", "--check"],
    "annotate": ["annotate", "--check"],
    "lint": ["lint"],
    "explain": ["explain", "web"],
    "get": ["get", "image", "all"],
    "test": ["test"],
    "adopt": ["adopt", "--keys"],
    "verify": ["verify", "--key", str(ROOT / "fixtures/cosign/p256.pub")],
    "init": ["init", "--dry-run"],
}
LOOKING = ("check", "lint", "explain", "get", "test", "adopt", "verify")
OFFLINE = ("lint", "annotate", "test", "adopt", "init")
KEEL = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: k, annotations: {keel.sh/policy: minor}}\nspec: {template: {spec: {containers: [{name: a, image: 'ghcr.io/acme/web:1.2.0'}]}}}\n"


def krmfn(verb: str, *arguments: object, cwd: Path, text: str = "") -> Done:
    source = () if verb in OFFLINE else LAYOUT
    return call(*VERBS[verb], *arguments, *source, cwd=cwd, text=text, SOURCE_DATE_EPOCH="1767225600")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "repo")
    (tmp_path / "repo" / "apps" / "keel.yaml").write_text(KEEL)
    (tmp_path / "pod.yaml").write_text(POD.format("ghcr.io/acme/web:1.2.0"))
    return tmp_path


def test_every_verb_on_files_is_walked():
    with click.Context(cli.krmfn) as context:
        commands = {name: cli.krmfn.get_command(context, name) for name in cli.COMMANDS}
        named = {name: [one.name for one in command.params if one.nargs == -1] for name, command in commands.items() if command}
    on_files = {name for name, arguments in named.items() if {"paths", "targets"} & {*arguments}}
    assert on_files | {"get"} == {*VERBS}  # get has commands of its own


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_several_paths(verb: str, place: Path):
    policies = [] if verb == "init" else ["repo/infrastructure"]
    done = krmfn(verb, "repo/clusters", "repo/apps", *policies, "repo/tests", cwd=place)
    assert done.returncode in (0, 1, 10), done.stderr
    assert "Usage" not in done.stderr
    alone = krmfn(verb, "repo/clusters", cwd=place)
    assert (done.stdout, done.stderr) != (alone.stdout, alone.stderr)


@pytest.mark.parametrize("verb", LOOKING)
def test_a_verb_that_looks_reads_stdin(verb: str, place: Path):
    files = sorted((place / "repo").rglob("*.yaml"))
    text = "---\n".join(file.read_text() for file in files if file.name != "kustomization.yaml")
    done = krmfn(verb, "-", cwd=place, text=text)
    from_files = krmfn(verb, *(file for file in files if file.name != "kustomization.yaml"), cwd=place)
    assert done.returncode == from_files.returncode
    assert done.stdout.count("\n") == from_files.stdout.count("\n")
    if verb == "check":
        assert "stdin:" in done.stdout


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in LOOKING])
def test_a_verb_that_writes_refuses_stdin(verb: str, place: Path):
    done = krmfn(verb, "-", cwd=place, text="")
    assert done.returncode == 2
    assert "commands that only look" in done.stderr


def found(place: Path, *arguments: str) -> set[str]:
    done = call("check", *arguments, "-o", "json", *LAYOUT, cwd=place)
    return {one["path"] for image in json.loads(done.stdout)["images"] for one in image["places"]}


TREE = ("a.yaml", "apps/a.yaml", "apps/b.gen.yaml", "apps/dev/c.yaml", "vendor/chart/d.yaml", "vendor/keep.yaml")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(POD.format("ghcr.io/acme/web:1.2.0"))
    return tmp_path


# what git itself answers: `git check-ignore` is asked in the test
PATTERNS = [
    ("*.gen.yaml",), ("vendor/",), ("/a.yaml",), ("dev",), ("apps/*", "!apps/a.yaml"), ("vendor/*", "!vendor/keep.yaml"),
    ("vendor/", "!vendor/keep.yaml"), ("**/c.yaml",), ("# vendor",), ("\\#x", "apps/**"), ("[ab].yaml",), ("dev/ ",),
]  # fmt: skip


@pytest.mark.parametrize("patterns", PATTERNS, ids=" ".join)
def test_what_is_left_out_is_what_git_ignores(patterns: tuple[str, ...], tree: Path):
    succeed(["git", "init", "-q"], cwd=tree)
    (tree / ".gitignore").write_text("\n".join(patterns) + "\n")
    ignored = set(run(["git", "check-ignore", "--no-index", *TREE], cwd=tree).stdout.split())
    kept = set(TREE) - ignored
    assert found(tree, *(f"--exclude={one}" for one in patterns), ".") == kept
    (tree / ".gitignore").rename(tree / ".krmfnignore")
    assert found(tree, ".") == kept
    assert found(tree, "apps") == {name for name in kept if name.startswith("apps/")}


def test_the_nearest_ignore_file_decides(tree: Path):
    (tree / ".krmfnignore").write_text("*.yaml\n")
    (tree / "apps" / ".krmfnignore").write_text("!a.yaml\n")
    assert found(tree, ".") == {"apps/a.yaml"}
    assert found(tree, ".", "--exclude", "apps/a.yaml") == set()


def test_a_file_that_is_named_itself_is_read(tree: Path):
    (tree / ".krmfnignore").write_text("*.yaml\n")
    assert found(tree, "a.yaml") == {"a.yaml"}


def test_an_ignore_file_of_the_repository_counts_from_below_and_none_from_above(tree: Path):
    (tree / ".krmfnignore").write_text("*.yaml\n")
    succeed(["git", "init", "-q"], cwd=tree / "apps")
    assert found(tree / "apps" / "dev", ".") == {"c.yaml"}
    succeed(["git", "init", "-q"], cwd=tree)
    shutil.rmtree(tree / "apps" / ".git")
    assert found(tree / "apps" / "dev", ".") == set()


def test_a_pattern_that_is_none_is_named(tree: Path):
    (tree / ".krmfnignore").write_text("good\n!\n")
    done = call("check", ".", *LAYOUT, cwd=tree)
    assert done.returncode == 1
    assert ".krmfnignore: pattern 2 (!)" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("patterns", [[f"**/a*{number}*/**/b*" for number in range(4000)], ["*a" * 5000 + "x"]], ids=["many", "long"])
def test_patterns_that_are_too_much_for_their_engine_are_an_error(patterns: list[str], tree: Path):
    (tree / ".krmfnignore").write_text("\n".join(patterns) + "\n")
    done = call("check", ".", *LAYOUT, cwd=tree)
    assert "this is a bug" not in done.stderr
    assert done.returncode == 0 or ".krmfnignore: " in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_quiet_leaves_stdout_and_errors(verb: str, place: Path):
    (place / "repo" / "apps" / "broken.yaml").write_text("kind: ImagePolicy\napiVersion: image.toolkit.fluxcd.io/v1\na: [\n")
    loud = krmfn(verb, "repo", cwd=place)
    quiet = krmfn(verb, "repo", "-q", cwd=place)
    assert (quiet.returncode, quiet.stdout) == (loud.returncode, loud.stdout)
    told = quiet.stderr.splitlines()
    assert all(line.startswith(("krmfn: error: ", "help: ")) or "nothing written" in line for line in told), told


def test_verbose_tells_what_is_read_and_asked(tmp_path: Path):
    with Registry() as registry:
        registry.add("web", "1.1.0")
        (tmp_path / "pod.yaml").write_text(POD.format(f"{registry.address}/web:1.0.0"))
        done = call("check", ".", "-v", cwd=tmp_path)
    assert "krmfn: debug: read 1 files below .: 1 can matter" in done.stderr
    assert f"krmfn: debug: {registry.address}/web: " in done.stderr


BROKEN = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web\n"


@pytest.mark.parametrize("verb", ["check", "explain", "get", "update", "fetch", "annotate"])
def test_strict_makes_an_error_of_configuration_that_cannot_be_read(verb: str, place: Path):
    arguments = {"explain": ["api"], "update": ["--check"], "fetch": ["--check"], "annotate": ["--check"]}
    command = [*VERBS[verb][:3 if verb == "get" else 1], *arguments.get(verb, []), "repo"]
    source = () if verb in OFFLINE else LAYOUT
    if verb in ("check", "explain", "get"):
        (place / "repo" / "apps" / "kustomization.yaml").unlink()
        (place / "repo" / "apps" / "web.yaml").unlink()
    assert call(*command, *source, cwd=place).returncode in (0, 10)
    (place / "repo" / "broken.yaml").write_text(BROKEN)
    done = call(*command, "--strict", *source, cwd=place)
    assert done.returncode == 1, done.stderr
    assert "krmfn: error: " in done.stderr
    assert "broken.yaml" in done.stderr


def test_get_fails_when_no_registry_could_be_asked(place: Path):
    done = call("get", "image", "all", "repo", "--source", "layout:/nonexistent", cwd=place)
    assert done.returncode == 1
    assert "False" in done.stdout
