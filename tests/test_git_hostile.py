"""A checkout whose configuration, history and surroundings are against krmfn: no program on the side, nothing printed that acts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import hostile, images
from tests.running import run, succeed
from tests.test_disk import sparse
from tests.test_git import API, LAYOUT, WEB, Site
from tests.test_proposals import IMAGES, edit_elsewhere, move_main
from tests.test_verbs_on_disk import on_files

PROGRAMS = (
    "core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy", "core.alternateRefsCommand", "diff.external", "diff.yaml.textconv",
    "diff.yaml.command", "merge.yaml.driver", "merge.tool", "interactive.diffFilter", "gpg.program", "gpg.ssh.program", "gpg.ssh.defaultKeyCommand", "sequence.editor",
    "credential.helper", "pager.status", "pager.log", "pager.diff", "uploadpack.packObjectsHook", "trailer.a.command", "trailer.a.cmd", "sendemail.smtpServer",
    "alias.commit", "alias.status", "alias.push", "alias.rev-parse", "alias.ls-remote", "tar.a.command", "web.browser", "notes.rewriteRef", "gc.recentObjectsHook",
)  # fmt: skip
"""Names of git's configuration whose value is run by some command, or would replace one."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    assert site.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (site.work / ".git" / "krmfn").exists()


def spy(site: Site) -> Path:
    """Make a program that leaves a trace."""
    path = site.home / "spy"
    path.write_text(f'#!/bin/sh\necho "$0 $*" >> {site.home}/evil\nexit 1\n')
    path.chmod(0o755)
    return path


def test_no_program_that_the_configuration_names_runs(site: Site):
    """The file of configuration includes another one; attributes name drivers; hooks of no commit or push are there too."""
    program = spy(site)
    for name in PROGRAMS:
        site.git("config", "--file", str(site.home / "included"), name, f"!{program}" if name.startswith("alias.") else str(program))
    site.git("config", "include.path", str(site.home / "included"))
    site.write(".git/info/attributes", "*.yaml diff=yaml merge=yaml\n")
    site.hook("fsmonitor-watchman", f"exec {program}")
    site.hook("post-index-change", "exit 0")
    site.update("--commit")
    site.update(*IMAGES)
    assert not (site.home / "evil").exists(), (site.home / "evil").read_text()


def test_another_address_of_the_configuration_is_gits_business_and_nothing_is_asked(site: Site):
    site.git("config", "url.ext::false .insteadOf", str(site.remote))
    site.refuse("--push", said="git ls-remote failed: ")


@pytest.mark.parametrize("verb", on_files())
def test_a_verb_that_commits_nothing_runs_no_git(verb: str, site: Site):
    program = spy(site)
    (site.home / "bin").mkdir()
    shutil.copy(program, site.home / "bin/git")
    (site.work / "hold.yaml").write_text("apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: a}\nspec: {policy: 'flux-system:web', not: 1.3.1}\n")
    said = hostile.call(on_files()[verb], site.work, KRMFN_LAYOUT=str(images.BUNDLED), PATH=f"{site.home}/bin:{site.env['PATH']}")
    hostile.check(said)
    assert not (site.home / "evil").exists()


def wrapped(site: Site, script: str) -> str:
    """Put a git before the real one, `$real`; return the PATH."""
    git = site.home / "bin/git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\nreal={shutil.which('git', path=site.env['PATH'])}\n{script}\nexec $real \"$@\"\n")
    git.chmod(0o755)
    return f"{git.parent}:{site.env['PATH']}"


def test_a_git_that_speaks_another_language_is_understood(site: Site, tmp_path_factory: pytest.TempPathFactory):
    """A translation stands for an installed one: it is spoken unless LC_ALL says C."""
    path = wrapped(site, 'if [ "$LC_ALL" != C ] && ! $real rev-parse 2> /dev/null; then echo "Schwerwiegend: Kein Git-Repository" >&2; exit 128; fi')
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.yaml").write_text("a: b\n")
    env = {**site.env, "PATH": path, "LANG": "de_DE.UTF-8", "GIT_CEILING_DIRECTORIES": str(outside.parent)}
    done = run(["krmfn", "update", ".", "--commit"], cwd=outside, env=env)
    assert done.returncode == 1
    assert "is in no git repository\nhelp: leave out --commit" in done.stderr


def test_a_folder_of_somebody_else_is_refused_in_the_words_of_git(site: Site):
    site.refuse("--commit", said="detected dubious ownership", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")


@pytest.mark.parametrize("subject", ["::error::x", "\x1b[31m\u202e\x9b2J", "##[error]\r::error::x", "a" * 5000, "\udcff\udcfe"])
def test_what_a_person_wrote_into_history_is_told_safely(site: Site, subject: str):
    site.update(*IMAGES)
    edit_elsewhere(site, "images", WEB, lambda text: text + "# mine\n", "-m", subject, "--author", f"{subject.replace(chr(13), '')[:50]}x <a@b>")
    move_main(site)
    for form in ("text", "json", "markdown"):
        done = site.krmfn(*IMAGES, "-o", form)
        assert "is not krmfn's" in done.stderr
        hostile.check(hostile.Said(done.returncode, done.stdout.encode(), done.stderr.encode()), form)


@pytest.mark.parametrize("odd", ["a;touch${IFS}evil", "a'b$(touch${IFS}evil)", "a&touch${IFS}evil&b", "a|b", "--x`id`".lstrip("-"), 'a"b!c'])
def test_a_command_that_is_told_means_what_it_says_whatever_the_branch_is_called(odd: str, site: Site):
    """Git takes names that a shell acts upon; who copies the advice gives the branch up, and does nothing else."""
    site.update("--commit", "--branch", odd, "--push")
    edit_elsewhere(site, odd, WEB, lambda text: text + "# mine\n")
    move_main(site)
    told = site.krmfn("--commit", "--branch", odd, "--push").stderr
    assert "is left alone" in told
    succeed(["sh", "-c", told.partition("put on it: ")[2].splitlines()[0]], cwd=site.work, env=site.env)
    assert site.git("branch", "--list", cwd=site.remote) == "* main"
    assert not (site.work / "evil").exists()
    site.git("switch", "--quiet", "-c", odd)
    site.git("push", "--quiet", "origin", odd)
    edit_elsewhere(site, odd, WEB, lambda text: text + "# theirs\n")
    told = site.krmfn("--commit", "--push").stderr
    succeed(["sh", "-c", told.partition("help: ")[2].splitlines()[0].removesuffix(", then run krmfn again")], cwd=site.work, env=site.env)
    assert "# theirs" in site.text(WEB)
    assert not (site.work / "evil").exists()


def test_a_name_that_is_no_utf8_commits(site: Site):
    site.git("config", "user.name", "\udcff\udcfe")
    site.update("--commit")
    site.update(*IMAGES)
    assert "is up to date" in site.update(*IMAGES) or "nothing to change" in site.update(*IMAGES)


LEFT: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "3 GiB": sparse,
    "NUL": lambda path: path.write_bytes(b"/a\0b"),
    "no UTF-8": lambda path: path.write_bytes(b"/\xff"),
    "a folder of somebody else": lambda path: path.write_text(str(path.parents[2] / "apps")),
}


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize("name", ["0123456789ab.lock", "0123456789ab.journal"])
def test_what_stands_where_killed_runs_leave_their_notes_holds_nothing_up(kind: str, name: str, site: Site):
    home = site.work / ".git/krmfn"
    home.mkdir()
    if name.endswith(".journal"):
        (home / "0123456789ab.lock").touch()
    LEFT[kind](home / name)
    done = run(["krmfn", "update", ".", "--commit", "--source", LAYOUT], cwd=site.work, env=site.env, timeout=30)
    if (kind, name) == ("a folder", "0123456789ab.journal"):
        assert (done.returncode, "0123456789ab.journal cannot be made: Is a directory" in done.stderr) == (1, True)
    else:
        assert done.returncode == 0, done.stderr
        assert site.changed() == [API, "apps/kustomization.yaml", WEB]
    assert (site.work / WEB).exists()
    shutil.rmtree(home, ignore_errors=True)


def test_a_note_whose_run_is_over_is_removed_with_the_lock_files_that_it_names(site: Site):
    """A signal between the end of a git command and the removal of its note left the note for ever."""
    home = site.work / ".git/krmfn"
    home.mkdir()
    (site.work / ".git/index.lock").touch()
    (home / "0123456789ab.journal").write_text(str(site.work / ".git/index.lock"))
    site.update("--commit")
    assert not home.exists()


def test_a_linked_worktree_and_a_submodule_commit_for_themselves(site: Site):
    linked = site.home / "linked"
    site.git("worktree", "add", "--quiet", "-b", "linked", str(linked))
    done = run(["krmfn", "update", ".", "--source", LAYOUT, "--commit"], cwd=linked, env=site.env)
    assert done.returncode == 0, done.stderr
    assert site.git("log", "-1", "--format=%s", cwd=linked) == "Update 3 images"
    assert site.git("log", "-1", "--format=%s") == "start"
    site.git("worktree", "remove", "--force", str(linked))
    outer = site.home / "outer"
    site.git("init", "--quiet", str(outer), cwd=site.home)
    site.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(site.remote), "inner", cwd=outer)
    for name, value in (("user.name", "Ada"), ("user.email", "a@b.example")):
        site.git("config", name, value, cwd=outer)
        site.git("config", name, value, cwd=outer / "inner")
    site.git("commit", "--quiet", "-m", "outer", cwd=outer)
    done = run(["krmfn", "update", ".", "--source", LAYOUT, "--commit"], cwd=outer / "inner", env=site.env)
    assert done.returncode == 0, done.stderr
    assert site.git("log", "-1", "--format=%s", cwd=outer / "inner") == "Update 3 images"
    assert site.git("log", "-1", "--format=%s", cwd=outer) == "outer"
    site.git("-C", "inner", "reset", "--quiet", "--hard", "HEAD^", cwd=outer)
    done = run(["krmfn", "update", ".", "--source", LAYOUT, "--commit"], cwd=outer, env=site.env)
    assert "Traceback" not in done.stderr
    assert site.git("log", "-1", "--format=%s", cwd=outer / "inner") == "start"


def test_a_manifest_that_is_not_in_the_repository_is_named(site: Site):
    """git lists a file whose content it lacks, as partial clones and broken ones have it."""
    tree = succeed(["git", "mktree", "--missing"], cwd=site.work, text=f"100644 blob {'1' * 40}\ta.yaml\n", env=site.env).strip()
    commit = site.git("commit-tree", tree, "-m", "x")
    done = run(["krmfn", "update", ".", "--check", "--source", LAYOUT, "--rules", f"git:{commit}"], cwd=site.work, env=site.env)
    assert done.returncode == 1
    assert "a.yaml is not in this repository" in done.stderr
    assert "help: fetch it whole: git fetch --refetch" in done.stderr
