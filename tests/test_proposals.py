"""Proposals: branches made anew from their base, against a bare remote on disk, with what forges and people do to them."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import run, succeed
from tests.test_git import API, LAYOUT, WEB, Site, second
from tests.test_update import labelled
from tests.waiting import pause, wait_until

IMAGES = ("--commit", "--branch", "images", "--push")
FILES = [API, "apps/kustomization.yaml", WEB]
B = ("-c", "user.name=B", "-c", "user.email=b@b.example")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    assert site.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (site.work / ".git" / "krmfn").exists()


def remote(site: Site, branch: str = "images") -> str:
    return site.git("rev-parse", branch, cwd=site.remote)


def branches(site: Site) -> list[str]:
    return site.git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=site.remote).split()


def subjects(site: Site, branch: str = "images") -> list[str]:
    return site.git("log", "--format=%s", f"main..{branch}", cwd=site.remote).splitlines()


def elsewhere(site: Site, *commands: tuple[str, ...]) -> None:
    """Run git commands as a forge or another person does: in a clone of their own."""
    other = site.home / "other"
    shutil.rmtree(other, ignore_errors=True)
    second(site)
    for command in commands:
        site.git(*B, *command, cwd=other)


def edit_elsewhere(site: Site, branch: str, path: str, change: Callable[[str], str], *more: str) -> str:
    elsewhere(site, ("switch", "--quiet", branch))
    file = site.home / "other" / path
    file.write_text(change(file.read_text()))
    for command in (
        ("commit", "--quiet", "-a", *(more or ("-m", "by hand"))),
        ("push", "--quiet", "--force", "origin", branch),
    ):
        site.git(*B, *command, cwd=site.home / "other")
    return site.git("rev-parse", "HEAD", cwd=site.home / "other")


def move_main(site: Site, path: str = "README.md") -> None:
    file = site.work / path
    file.write_text(f"# more\n{file.read_text() if file.exists() else ''}")
    site.save("main moves")
    site.git("push", "--quiet", "origin", "main")


def pull(site: Site) -> None:
    site.git("pull", "--quiet", "--ff-only", "origin", "main")


def proposals(site: Site, *arguments: str) -> list[dict[str, Any]]:
    done = site.krmfn(*(arguments or IMAGES), "-o", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout).get("proposals", [])
    return found


def test_a_proposal_is_one_commit_on_the_base_with_its_trailers(site: Site):
    site.update(*IMAGES)
    name = remote(site)
    assert subjects(site) == ["Update 3 images"]
    assert site.git("rev-parse", f"{name}^", cwd=site.remote) == site.git("rev-parse", "main")
    trailers = dict(
        line.split(": ") for line in site.message("origin/images").splitlines() if line.startswith("Krmfn-")
    )
    patch = site.git("diff-tree", "-p", "origin/images")
    made = subprocess.run(
        ["git", "patch-id", "--verbatim"], input=patch + "\n", text=True, capture_output=True, check=True, env=site.env
    )
    assert trailers["Krmfn-Tree"] == site.git("rev-parse", "origin/images^{tree}")
    assert trailers["Krmfn-Patch"] == made.stdout.split()[0]
    assert site.changed("origin/images") == FILES


def test_a_second_run_changes_nothing_and_tells_everything_again(site: Site):
    first = site.krmfn(*IMAGES, "-o", "markdown")
    before = remote(site)
    again = site.krmfn(*IMAGES, "-o", "markdown")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "| ghcr.io/acme/web | 1.2.0 | 1.3.1 |" in again.stdout
    assert "policy flux-system:web, semver" in again.stdout
    assert "branch 'images' is up to date" in again.stderr
    assert remote(site) == before


def test_the_base_moved(site: Site):
    site.update(*IMAGES)
    move_main(site)
    site.update(*IMAGES)
    assert site.git("rev-parse", "images^", cwd=site.remote) == site.git("rev-parse", "main")
    assert subjects(site) == ["Update 3 images"]


def test_after_a_squash_merge_only_what_is_new_is_proposed(site: Site):
    site.update(*IMAGES)
    elsewhere(
        site,
        ("merge", "--quiet", "--squash", "origin/images"),
        ("commit", "--quiet", "-m", "Update 3 images (#1)"),
        ("push", "--quiet", "origin", "main"),
    )
    pull(site)
    stays = remote(site)
    assert "branch 'images' has nothing to propose any more; --prune deletes it" in site.update(*IMAGES)
    assert remote(site) == stays
    site.write(WEB, site.text(WEB).replace("1.3.1", "1.2.0"))
    site.save("back")
    site.git("push", "--quiet", "origin", "main")
    site.update(*IMAGES)
    assert subjects(site) == ["Update ghcr.io/acme/web to 1.3.1"]
    assert site.git("rev-parse", "images^", cwd=site.remote) == site.git("rev-parse", "main")


def test_a_rebase_by_the_forge_is_renewed(site: Site):
    site.update(*IMAGES)
    move_main(site)
    elsewhere(
        site,
        ("switch", "--quiet", "images"),
        ("rebase", "--quiet", "origin/main"),
        ("push", "--quiet", "--force", "origin", "images"),
    )
    move_main(site)
    site.update(*IMAGES)
    assert subjects(site) == ["Update 3 images"]
    assert site.git("rev-parse", "images^", cwd=site.remote) == site.git("rev-parse", "main")


def test_a_merge_from_the_base_by_the_forge_is_renewed(site: Site):
    site.update(*IMAGES)
    move_main(site)
    elsewhere(
        site,
        ("switch", "--quiet", "images"),
        ("merge", "--quiet", "--no-ff", "-m", "Merge branch 'main' into images", "origin/main"),
        ("push", "--quiet", "origin", "images"),
    )
    assert len(subjects(site)) == 2
    site.update(*IMAGES)
    assert subjects(site) == ["Update 3 images"]


FOREIGN: dict[str, Callable[[Site], str]] = {
    "a commit on top": lambda site: edit_elsewhere(site, "images", WEB, lambda text: text + "# mine\n"),
    "the same file back": lambda site: edit_elsewhere(site, "images", WEB, lambda text: text.replace("1.3.1", "1.2.0")),
    "an amended commit": lambda site: edit_elsewhere(
        site, "images", WEB, lambda text: text + "# mine\n", "--amend", "--no-edit"
    ),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_what_a_person_did_is_left_alone(site: Site, case: str):
    site.update(*IMAGES)
    theirs = FOREIGN[case](site)
    move_main(site)
    done = site.krmfn(*IMAGES, "-o", "markdown")
    assert done.returncode == 0
    assert f"warning: branch origin/images is left alone: commit {theirs[:7]}" in done.stderr
    assert "| ghcr.io/acme/web | 1.2.0 | 1.3.1 |" in done.stdout
    assert remote(site) == theirs
    command = done.stderr.partition("put on it: ")[2].splitlines()[0]
    succeed(command.split(), cwd=site.work, env=site.env)
    assert "images" not in branches(site)
    site.update(*IMAGES)
    assert subjects(site) == ["Update 3 images"]


def test_a_merge_that_a_person_edited_is_left_alone(site: Site):
    site.update(*IMAGES)
    move_main(site)
    elsewhere(site, ("switch", "--quiet", "images"), ("merge", "--quiet", "--no-ff", "--no-commit", "origin/main"))
    other = site.home / "other"
    (other / WEB).write_text((other / WEB).read_text() + "# evil merge\n")
    for command in (("commit", "--quiet", "-am", "merge"), ("push", "--quiet", "origin", "images")):
        site.git(*B, *command, cwd=other)
    theirs = remote(site)
    assert "is left alone" in site.update(*IMAGES)
    assert remote(site) == theirs


def test_a_branch_of_somebody_else_is_left_alone(site: Site):
    elsewhere(
        site,
        ("switch", "--quiet", "-c", "images"),
        ("commit", "--quiet", "--allow-empty", "-m", "mine"),
        ("push", "--quiet", "origin", "images"),
    )
    theirs = remote(site)
    assert f"left alone: commit {theirs[:7]} (mine) is not krmfn's" in site.update(*IMAGES, "--prune")
    assert remote(site) == theirs


def test_a_commit_that_arrives_during_the_push_is_left_alone(site: Site):
    """It arrives in our own pre-push hook: the lease was taken before, the objects arrive after."""
    site.update(*IMAGES)
    move_main(site)
    elsewhere(site, ("switch", "--quiet", "images"), ("commit", "--quiet", "--allow-empty", "-m", "late"))
    site.hook("pre-push", f"unset GIT_DIR; cd {site.home / 'other'} && git push --quiet origin images")
    done = site.krmfn(*IMAGES)
    assert done.returncode == 0, done.stderr
    assert "(late) is not krmfn's" in done.stderr
    assert subjects(site)[0] == "late"


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_push_that_the_forge_refuses_is_told_and_made_good(hook: str, site: Site):
    refusal = site.remote / "hooks" / hook
    refusal.parent.mkdir(exist_ok=True)
    refusal.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    refusal.chmod(0o755)
    done = site.krmfn(*IMAGES, "--split")
    assert done.returncode == 1
    assert "this branch is protected" in done.stderr
    assert branches(site) == ["main"]
    refusal.unlink()
    site.update(*IMAGES, "--split")
    assert branches(site) == ["images-api", "images-redis", "images-web", "main"]


REFUSALS = {
    "update": "case $1 in */images-api) echo 'api is frozen' >&2; exit 1;; esac",
    "pre-push": "while read -r local name remote oid; do case $remote in */images-api) echo 'api is frozen' >&2; exit 1;; esac; done",
    "commit-msg": "if grep -q acme/api \"$1\"; then echo 'api is frozen' >&2; exit 1; fi",
}
"""Who refuses: the forge, a hook at the push, a hook at the commit."""


@pytest.mark.parametrize("who", REFUSALS)
def test_a_refused_branch_stops_no_other(who: str, site: Site):
    def refuse(script: str) -> None:
        if who == "update":
            hook = site.remote / "hooks" / who
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(f"#!/bin/sh\n{script}\n")
            hook.chmod(0o755)
        else:
            site.hook(who, script)

    refuse(REFUSALS[who])
    done = site.krmfn(*IMAGES, "--split", "-o", "json")
    assert done.returncode == 1
    assert branches(site) == ["images-redis", "images-web", "main"]
    told = {one["branch"]: one for one in json.loads(done.stdout)["proposals"]}
    assert {name: one["state"] for name, one in told.items()} == {
        "images-redis": "pushed", "images-api": "refused", "images-web": "pushed",
    }  # fmt: skip
    assert "api is frozen" in told["images-api"]["error"]
    assert (told["images-api"]["body"], told["images-web"]["body"].count("\n| ")) == ("", 2)
    assert "error: branch origin/images-api: " in done.stderr
    assert "api is frozen" in done.stderr
    assert "1 of 3 branches refused" in done.stderr
    again = site.krmfn(*IMAGES, "--split", "-o", "markdown")
    assert (again.returncode, [line for line in again.stdout.splitlines() if line.startswith("## ")]) == (1, ["## images-redis", "## images-web"])
    refuse("exit 0")
    assert {one["branch"]: one["state"] for one in proposals(site, *IMAGES, "--split")} == {
        "images-redis": "unchanged", "images-api": "pushed", "images-web": "unchanged",
    }  # fmt: skip


def test_a_branch_of_a_reverted_merge_is_proposed_again(site: Site):
    site.update(*IMAGES)
    elsewhere(site, ("merge", "--quiet", "--no-edit", "origin/images"), ("push", "--quiet", "origin", "main"))
    pull(site)
    assert site.krmfn(*IMAGES).returncode == 0
    site.git(*B, "revert", "--no-edit", "HEAD")
    site.git("push", "--quiet", "origin", "main")
    assert [one["state"] for one in proposals(site)] == ["pushed"]
    assert site.git("rev-parse", "images^", cwd=site.remote) == site.git("rev-parse", "main")
    assert site.changed("origin/images") == FILES


def test_two_runs_at_once_make_one_proposal(site: Site):
    others = [Path(shutil.copytree(site.work, site.home / name)) for name in ("one", "two", "three")]
    command = ["krmfn", "update", ".", "--source", LAYOUT, *IMAGES]
    runs = [
        subprocess.Popen(
            command, cwd=folder, env=site.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        for folder in others
    ]
    said = [process.communicate(timeout=120)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0, 0], said
    assert subjects(site) == ["Update 3 images"]


def test_two_runs_at_once_in_one_checkout(site: Site):
    command = ["krmfn", "update", ".", "--source", LAYOUT, *IMAGES]
    runs = [
        subprocess.Popen(
            command, cwd=site.work, env=site.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert subjects(site) == ["Update 3 images"]


def test_split_makes_a_branch_for_each_image(site: Site):
    made = proposals(site, *IMAGES, "--split")
    assert [(one["branch"], one["state"], one["title"]) for one in made] == [
        ("images-redis", "pushed", "Update redis to 7.2.5"),
        ("images-api", "pushed", "Update ghcr.io/acme/api to main-12e4567-1772323200"),
        ("images-web", "pushed", "Update ghcr.io/acme/web to 1.3.1"),
    ]
    assert branches(site) == ["images-api", "images-redis", "images-web", "main"]
    assert [site.changed(f"origin/images-{name}") for name in ("api", "redis", "web")] == [[path] for path in FILES]
    for one in made:
        assert site.git("rev-parse", f"{one['branch']}^", cwd=site.remote) == site.git("rev-parse", "main")
        assert one["body"].count("\n| ") == 2
    assert {one["state"] for one in proposals(site, *IMAGES, "--split")} == {"unchanged"}


def test_a_split_branch_holds_the_lock_of_its_image_alone(site: Site):
    site.write(
        "lock.yaml", "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: images}\nspec:\n  images: []\n"
    )
    site.save("lock")
    site.git("push", "--quiet", "origin", "main")
    site.update(*IMAGES, "--split")
    lock = site.git("show", "origin/images-web:lock.yaml")
    assert 'tag: "1.3.1"' in lock
    assert "redis" not in lock
    assert site.changed("origin/images-web") == [WEB, "lock.yaml"]


def test_prune_deletes_branches_of_krmfn_alone(site: Site):
    site.update(*IMAGES, "--split")
    theirs = edit_elsewhere(site, "images-api", API, lambda text: text + "# mine\n")
    elsewhere(
        site,
        ("push", "--quiet", "origin", "origin/main:refs/heads/images-of-mine"),
        ("merge", "--quiet", "--no-ff", "-m", "merged", "origin/images-web"),
        ("push", "--quiet", "origin", "main"),
    )
    pull(site)
    site.write(API, site.text(API).replace("main-3f9c2d1-1767225600", "main-12e4567-1772323200"))
    site.save("api by hand")
    site.git("push", "--quiet", "origin", "main")
    assert {one["branch"]: one["state"] for one in proposals(site, *IMAGES, "--split")}["images-web"] == "obsolete"
    found = {one["branch"]: one["state"] for one in proposals(site, *IMAGES, "--split", "--prune")}
    assert found == {"images-redis": "unchanged", "images-api": "foreign", "images-web": "deleted"}
    assert branches(site) == ["images-api", "images-of-mine", "images-redis", "main"]
    assert remote(site, "images-api") == theirs


def test_a_branch_that_may_not_be_deleted_stops_no_other(site: Site):
    site.update(*IMAGES, "--split")
    elsewhere(site, ("merge", "--quiet", "--no-ff", "-m", "merged", "origin/images-web"), ("push", "--quiet", "origin", "main"))
    pull(site)
    hook = site.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ncase $1$3 in */images-web0*) echo 'never delete' >&2; exit 1;; esac\n")
    hook.chmod(0o755)
    done = site.krmfn(*IMAGES, "--split", "--prune", "-o", "json")
    assert (done.returncode, "never delete" in done.stderr) == (1, True)
    states = {one["branch"]: one["state"] for one in json.loads(done.stdout)["proposals"]}
    assert states == {"images-redis": "pushed", "images-api": "pushed", "images-web": "refused"}


def test_nothing_left_is_told_and_pruned(site: Site):
    site.update(*IMAGES)
    site.git("merge", "--quiet", "--ff-only", "origin/images")
    site.git("push", "--quiet", "origin", "main")
    said = site.update(*IMAGES)
    assert "up to date: nothing to change" in said
    assert "images" in branches(site)
    assert "deleted branch 'images'" in site.update(*IMAGES, "--prune")
    assert branches(site) == ["main"]


def test_a_policy_that_fails_does_not_take_its_branch_away(site: Site):
    site.update(*IMAGES, "--split")
    policies = "infrastructure/images/policies.yaml"
    site.write(policies, site.text(policies).replace("7.2.x", "'>=99'"))
    site.save("a range that nothing satisfies")
    site.update(*IMAGES, "--split", "--prune", "--on-error", "keep")
    assert "images-redis" in branches(site)


def test_base_names_another_start(site: Site):
    site.git("switch", "--quiet", "-c", "work")
    site.write("notes.txt", "mine\n")
    site.save("work in progress")
    site.update(*IMAGES, "--base", "origin/main")
    assert site.git("rev-parse", "images^", cwd=site.remote) == remote(site, "main")
    done = site.krmfn(*IMAGES, "--base", "v9")
    assert done.returncode == 1
    assert "--base v9: there is no such commit here" in done.stderr
    assert "fetch-depth: 0" in done.stderr


def test_a_local_proposal_follows_the_same_rule(site: Site):
    site.update("--commit", "--branch", "images")
    site.git("switch", "--quiet", "images")
    site.git("commit", "--quiet", "--allow-empty", "-m", "mine")
    site.git("switch", "--quiet", "main")
    said = site.update("--commit", "--branch", "images")
    assert "branch images is left alone" in said
    command = said.partition("put on it: ")[2].splitlines()[0]
    succeed(command.split(), cwd=site.work, env=site.env)
    site.update("--commit", "--branch", "images")
    assert site.git("log", "--format=%s", "main..images") == "Update 3 images"


def test_the_branch_of_an_automation_follows_the_same_rule(site: Site):
    site.update("--automation", "apps", "--push")
    move_main(site)
    site.update("--automation", "apps", "--push")
    assert subjects(site, "flux-images") == ["update images"]
    theirs = edit_elsewhere(site, "flux-images", WEB, lambda text: text + "# mine\n")
    assert "origin/flux-images is left alone" in site.update("--automation", "apps", "--push")
    assert remote(site, "flux-images") == theirs


def test_a_hook_that_changes_files_does_not_make_the_commit_foreign(site: Site):
    site.hook("pre-commit", f"echo '# formatted' >> {WEB}; git add {WEB}")
    site.hook("commit-msg", 'echo "Signed-off-by: hook" >> "$1"')
    site.update(*IMAGES)
    assert "Signed-off-by: hook" in site.message("origin/images")
    before = remote(site)
    assert "is up to date" in site.update(*IMAGES)
    assert remote(site) == before
    move_main(site)
    site.update(*IMAGES)
    assert subjects(site) == ["Update 3 images"]


def test_settings_of_the_user_do_not_change_the_patch(site: Site):
    site.update(*IMAGES)
    move_main(site)
    elsewhere(
        site,
        ("switch", "--quiet", "images"),
        ("rebase", "--quiet", "origin/main"),
        ("push", "--quiet", "--force", "origin", "images"),
    )
    move_main(site)
    for name, value in (
        ("diff.noprefix", "true"),
        ("diff.algorithm", "patience"),
        ("diff.context", "9"),
        ("diff.external", "false"),
        ("color.ui", "always"),
        ("diff.mnemonicPrefix", "true"),
    ):
        site.git("config", name, value)
    site.write(".git/info/attributes", "*.yaml -diff\n")
    assert "left alone" not in site.update(*IMAGES)


def shallow(site: Site, *options: str) -> Path:
    folder = site.home / "ci"
    shutil.rmtree(folder, ignore_errors=True)
    site.git("clone", "--quiet", "--depth=1", *options, f"file://{site.remote}", str(folder), cwd=site.home)
    site.git("config", "user.email", "ci@acme.example", cwd=folder)
    site.git("config", "user.name", "ci", cwd=folder)
    return folder


def in_ci(site: Site, *arguments: str) -> str:
    done = run(["krmfn", "update", ".", "--source", LAYOUT, *(arguments or IMAGES)], cwd=shallow(site), env=site.env)
    assert done.returncode == 0, done.stderr
    return str(done.stderr)


def test_a_shallow_clone_fetches_the_history_that_it_needs(site: Site):
    for _ in range(3):
        move_main(site)
    in_ci(site)
    assert "is up to date" in in_ci(site)
    for _ in range(60):
        site.git("commit", "--quiet", "--allow-empty", "-m", "more")
    move_main(site)
    assert "pushed commit" in in_ci(site)
    assert subjects(site) == ["Update 3 images"]
    theirs = edit_elsewhere(site, "images", WEB, lambda text: text + "# mine\n")
    move_main(site)
    assert "left alone" in in_ci(site)
    assert remote(site) == theirs


def test_history_that_cannot_be_fetched_is_asked_for(site: Site):
    site.update(*IMAGES)
    move_main(site)
    folder = shallow(site)
    for name in ("old", "new"):
        site.git("commit", "--quiet", "--allow-empty", "-m", name, cwd=folder)
    done = run(["krmfn", "update", ".", "--source", LAYOUT, *IMAGES], cwd=folder, env=site.env)
    assert done.returncode == 1
    assert "history is missing to tell who made the commits of branch images" in done.stderr
    assert "fetch-depth: 0" in done.stderr


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_ends_between_commit_and_push_is_made_good(site: Site, sent: signal.Signals):
    site.hook("pre-push", f"kill -{sent.value} $(cat {site.home}/pid); sleep 5")
    process = subprocess.Popen(
        ["sh", "-c", f"echo $$ > {site.home}/pid; exec krmfn update . --source {LAYOUT} --commit --branch images --push"],
        cwd=site.work, env=site.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(60) in (-sent, 130)
    assert "images" not in branches(site)
    (site.work / ".git/hooks/pre-push").unlink()
    site.update(*IMAGES)
    assert subjects(site) == ["Update 3 images"]


WAYS = {"on a branch of its own": IMAGES, "on the branch that is checked out": ("--commit", "--push")}


def start(site: Site, way: str, events: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a run; git tells its own events into a file (GIT_TRACE2_EVENT)."""
    command = ["krmfn", "update", ".", "--source", LAYOUT, *WAYS[way]]
    env = {**site.env, "GIT_TRACE2_EVENT": str(events)} if events else site.env
    return subprocess.Popen(command, cwd=site.work, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def count(events: Path) -> int:
    return events.read_bytes().count(b"\n") if events.exists() else 0


def settle(site: Site) -> None:
    """Wait for what a killed run leaves running: git ends what it has begun."""

    def is_over() -> bool:
        folders = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                folders.append((process / "cwd").readlink())
        return not any(folder.is_relative_to(site.home) for folder in folders)

    wait_until(is_over)


def start_anew(site: Site, way: str, base: str) -> None:
    if way == "on a branch of its own":
        site.git("push", "--quiet", "origin", ":images")
    else:
        site.git("reset", "--quiet", "--hard", base)
        site.git("push", "--quiet", "--force", "origin", "main")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kills", [2, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_runs_that_are_killed_anywhere_leave_nothing(site: Site, sent: signal.Signals, way: str, kills: int):
    """After every kill the next run ends as if there had been none: the same tree, pushed, and nothing left behind."""
    branch, events = "images" if way == "on a branch of its own" else "main", site.home / "events"
    moments, base = random.Random(), site.git("rev-parse", "HEAD")
    assert start(site, way, events).wait(60) == 0
    whole, tree = count(events), site.git("rev-parse", f"{branch}^{{tree}}", cwd=site.remote)
    start_anew(site, way, base)
    ended = 0
    for _ in range(kills):
        events.unlink(missing_ok=True)
        process, moment = start(site, way, events), moments.randrange(whole)
        wait_until(lambda: process.poll() is not None or count(events) >= moment, every=0.001)  # noqa: B023
        pause(moments.uniform(0, 0.3 if moment == 0 else 0.01))
        process.send_signal(sent)
        code = process.wait(60)
        assert code in (0, 130, -sent)
        ended += code != 0
        settle(site)
        site.update(*WAYS[way])
        assert site.git("rev-list", "--parents", "-1", branch, cwd=site.remote).split()[1:] == [base], moment
        assert site.git("rev-parse", f"{branch}^{{tree}}", cwd=site.remote) == tree, moment
        assert site.git("rev-parse", "HEAD") == (base if branch == "images" else remote(site, "main")), moment
        assert site.git("status", "--porcelain") == "", moment
        left = [*(site.home / "tmp").iterdir(), *site.work.rglob(".krmfn*"), *(site.work / ".git").rglob("*.lock"), *(site.work / ".git").glob("krmfn*")]
        assert left == [], moment
        assert site.git("for-each-ref", "refs/krmfn") == "", moment
        assert site.git("worktree", "list", "--porcelain").count("worktree ") == 1, moment
        start_anew(site, way, base)
    site.git("fsck", "--no-dangling", "--no-progress")
    assert kills < 10 or ended > kills * 3 / 4, f"{ended} of {kills} runs were ended by {sent.name}, too few to say much"


def test_a_git_that_is_too_old_is_told(site: Site):
    """No old git is at hand: the real one says another version."""
    git = site.home / "bin" / "git"
    git.parent.mkdir()
    real = shutil.which("git", path=site.env["PATH"])
    git.write_text(f'#!/bin/sh\ncase "$*" in *version) echo git version 2.34.1;; *) exec {real} "$@";; esac\n')
    git.chmod(0o755)
    path = f"{git.parent}:{site.env['PATH']}"
    site.refuse(*IMAGES, said="git version 2.34.1 is too old to propose on another branch; nothing was changed\nhelp: install git 2.39", PATH=path)
    site.update("--commit", PATH=path)


def test_proposal_options_need_a_proposal(site: Site):
    for arguments in (
        ("--commit", "--prune"),
        ("--commit", "--base", "main"),
        ("--commit", "--branch", "main", "--prune"),
    ):
        done = site.krmfn(*arguments)
        assert done.returncode == 2
        assert "needs --branch NAME" in done.stderr
    assert "needs --commit" in site.krmfn("--prune").stderr


REPO, OLD, NEW = "https://github.com/acme/web", "1" * 40, "2" * 40


def test_the_body_compares_pinned_images_too(site: Site):
    labels = {
        tag: {"org.opencontainers.image.source": REPO, "org.opencontainers.image.revision": commit}
        for tag, commit in (("1.2.0", OLD), ("1.3.1", NEW))
    }
    source = labelled(site.home / "layout", labels)
    policies = "infrastructure/images/policies.yaml"
    rule = '  policy:\n    semver: {range: ">=1.2.0 <2.0.0"}\n'
    assert rule in site.text(policies)
    site.write(policies, site.text(policies).replace(rule, f"{rule}  digestReflectionPolicy: IfNotPresent\n"))
    site.write(WEB, site.text(WEB).replace("web:1.2.0", f"web:1.2.0@sha256:{'a' * 64}"))
    site.save("pinned")
    done = site.krmfn("--commit", "--branch", "images", "-o", "markdown", "--source", source)
    assert done.returncode == 0, done.stderr
    assert f"({REPO}/compare/{OLD}...{NEW})" in done.stdout


def test_nothing_that_is_printed_is_a_command_of_a_ci(site: Site):
    """A file name, a subject and a file's text that hold line feeds and what terminals and runners act upon."""
    odd = "apps/a\n::error::b\x1b[31m\x85\u202e.yaml"
    site.write(odd, site.text(WEB).replace("name: web\nspec", "name: odd\nspec") + "# \u202e \x85\n")
    site.save("odd")
    site.git("push", "--quiet", "origin", "main")
    for form in ("text", "markdown", "json"):
        done = site.krmfn(*IMAGES, "--message", "a\r::error::b\x1b[0m", "--diff", "-o", form)
        assert done.returncode == 0, done.stderr
        for line in (done.stdout + done.stderr).replace("\r", "\n").splitlines():
            assert not line.lstrip().startswith("::")
            assert line.isprintable() or "\t" in line, line
    assert "+++ b/apps/a\\x0a::error::b\\x1b[31m\\x85\\u202e.yaml" in site.krmfn("--check", "--diff").stdout


def test_the_diff_of_plain_text_is_a_patch(site: Site):
    diff = site.krmfn("--check", "--diff", "-o", "json").stdout.partition("{\n")[0]
    succeed(["git", "apply", "-"], cwd=site.work, env=site.env, text=diff)
    assert site.git("diff", "--name-only").split() == FILES
