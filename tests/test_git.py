"""`krmfn update --commit`: real repositories, a bare one on disk as remote, hooks, signing, and pushes that cross."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from krmfn.errors import GitError
from krmfn.git.program import Allowance, Git
from tests import images
from tests.running import EXAMPLES, environment, run, succeed
from tests.waiting import wait_until

LAYOUT = f"layout:{images.BUNDLED}"
WEB, API = "apps/web.yaml", "apps/api.yaml"
PERSON = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


class Site:
    """A checkout with a bare repository as its remote."""

    def __init__(self, folder: Path) -> None:
        self.home, self.remote, self.work = folder, folder / "remote.git", folder / "work"
        self.env = environment(HOME=str(folder), TMPDIR=str(folder / "tmp"), GIT_EDITOR="false", **PERSON)
        (folder / "tmp").mkdir()
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.remote), cwd=folder)
        shutil.copytree(EXAMPLES / "flux-repo", self.work)
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in (("user.name", "Ada"), ("user.email", "ada@acme.example"), ("commit.gpgSign", "false")):
            self.git("config", name, value)
        self.git("remote", "add", "origin", str(self.remote))
        self.save("start")
        self.git("push", "--quiet", "-u", "origin", "main")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        text: str = succeed(["git", *arguments], cwd=cwd or self.work, env=self.env)
        return text.rstrip("\n")

    def save(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", message)

    def krmfn(self, *arguments: str, **more: str):
        return run(["krmfn", "update", ".", "--source", LAYOUT, *arguments], cwd=self.work, env={**self.env, **more})

    def update(self, *arguments: str, **more: str) -> str:
        done = self.krmfn(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return str(done.stderr)

    def refuse(self, *arguments: str, said: str, **more: str) -> None:
        before = self.state()
        done = self.krmfn(*arguments, **more)
        assert done.returncode == 1, done.stdout + done.stderr
        assert said in done.stderr
        assert self.state() == before

    def state(self) -> tuple[str, str, str, str]:
        texts = "".join(path.read_text() for path in sorted(self.work.rglob("*.yaml")))
        return self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"), self.git("show-ref"), texts

    def message(self, ref: str = "HEAD") -> str:
        return self.git("log", "-1", "--format=%B", ref)

    def changed(self, ref: str = "HEAD") -> list[str]:
        return self.git("show", "--format=", "--name-only", ref).split()

    def text(self, path: str) -> str:
        return (self.work / path).read_text()

    def write(self, path: str, text: str) -> None:
        (self.work / path).parent.mkdir(parents=True, exist_ok=True)
        (self.work / path).write_text(text)

    def hook(self, name: str, script: str) -> None:
        path = self.work / ".git" / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def automate(self, **replace: str) -> None:
        path = "infrastructure/images/automation.yaml"
        text = self.text(path)
        for old, new in replace.items():
            text = text.replace(_PARTS[old], new)
        self.write(path, text)
        self.save("automation")
        self.git("push", "--quiet", "origin", "HEAD")


_PARTS = {
    "push": "    push: {branch: flux-images}\n", "path": "path: ./apps", "author": "author: {email: flux@acme.example, name: flux}",
    "template": 'messageTemplate: "update images"', "interval": "  interval: 30m\n",
}  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    assert not (made.work / ".git" / "krmfn").exists()
    assert made.git("worktree", "list", "--porcelain").count("worktree ") == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_one_commit_holds_the_update_and_nothing_else(site: Site):
    said = site.update("--commit")
    assert site.changed() == [API, "apps/kustomization.yaml", WEB]
    assert site.message().startswith(
        "Update 3 images\n\n- ghcr.io/acme/api: main-3f9c2d1-1767225600 -> main-12e4567-1772323200 (apps/api.yaml:14)\n"
    )
    assert site.git("status", "--porcelain") == ""
    assert f"committed {site.git('rev-parse', '--short=7', 'HEAD')} on main: Update 3 images" in said


def test_one_image_is_named_in_the_subject(site: Site):
    site.write(
        "infrastructure/images/policies.yaml",
        "\n---\n".join(site.text("infrastructure/images/policies.yaml").split("\n---\n")[:2]),
    )
    for path in (API, "apps/kustomization.yaml"):
        site.write(path, site.text(path).split(" # {")[0] + "\n")
    site.save("one policy")
    site.update("--commit")
    assert site.message().startswith("Update ghcr.io/acme/web to 1.3.1\n")


def test_split_makes_one_commit_per_image(site: Site):
    site.update("--commit", "--split")
    subjects = site.git("log", "-3", "--format=%s").splitlines()
    assert subjects == [
        "Update ghcr.io/acme/web to 1.3.1",
        "Update redis to 7.2.5",
        "Update ghcr.io/acme/api to main-12e4567-1772323200",
    ]
    assert [site.changed(ref) for ref in ("HEAD", "HEAD~1", "HEAD~2")] == [[WEB], ["apps/kustomization.yaml"], [API]]


def test_nothing_to_do_is_no_commit(site: Site):
    site.update("--commit")
    head = site.git("rev-parse", "HEAD")
    assert "up to date" in site.update("--commit", "--push")
    assert site.git("rev-parse", "HEAD") == head


def test_a_repository_without_a_commit_is_told_so(site: Site):
    site.git("checkout", "--quiet", "--orphan", "new")
    done = site.krmfn("--commit")
    assert done.returncode == 1
    assert "has no commit yet" in done.stderr
    assert "make a first commit" in done.stderr


def test_an_error_is_no_commit(site: Site):
    site.write(
        "apps/bad.yaml",
        'kind: Pod\nspec: {image: x} \nmetadata: {name: y}\nx: y # {"$imagepolicy": "flux-system:web:digest"}\n',
    )
    site.save("bad")
    site.refuse("--commit", said="nothing written")


def test_push_moves_the_remote(site: Site):
    said = site.update("--push")
    assert site.git("rev-parse", "main", cwd=site.remote) == site.git("rev-parse", "HEAD")
    assert "pushed commit '" in said
    assert "' to branch 'main'" in said


UNRELATED = {
    "a changed file": lambda site: site.write("README.md", "changed\n"),
    "a new file": lambda site: site.write("notes.txt", "new\n"),
    "a staged file": lambda site: (site.write("README.md", "staged\n"), site.git("add", "README.md")),
    "a staged new file": lambda site: (site.write("notes.txt", "new\n"), site.git("add", "notes.txt")),
    "a removed file": lambda site: (site.work / "README.md").unlink(),
    "a changed manifest": lambda site: site.write("clusters/production/apps.yaml", "kind: Other\n"),
}


@pytest.mark.parametrize("case", UNRELATED)
def test_unrelated_changes_stay_as_they_are(site: Site, case: str):
    UNRELATED[case](site)
    before = site.git("status", "--porcelain")
    site.update("--commit")
    assert site.git("status", "--porcelain") == before
    assert site.changed() == [API, "apps/kustomization.yaml", WEB]


@pytest.mark.parametrize("staged", [False, True], ids=["changed", "staged"])
def test_a_file_with_own_changes_is_refused(site: Site, staged: bool):
    site.write(WEB, site.text(WEB) + "# mine\n")
    if staged:
        site.git("add", WEB)
    site.refuse(
        "--commit",
        said=f"{WEB} holds changes that are not committed, and would be overwritten\nhelp: commit or stash them first",
    )


def test_the_middle_of_a_merge_is_refused(site: Site):
    site.git("switch", "--quiet", "-c", "other")
    site.write("README.md", "theirs\n")
    site.save("theirs")
    site.git("switch", "--quiet", "main")
    site.write("README.md", "ours\n")
    site.save("ours")
    run(["git", "merge", "other"], cwd=site.work, env=site.env)
    site.refuse("--commit", said="a merge is in progress")


def test_outside_of_git_is_refused(tmp_path: Path):
    (tmp_path / "pod.yaml").write_text("kind: Pod\nspec: {containers: [{image: a}]}\n")
    done = run(
        ["krmfn", "update", ".", "--commit"],
        cwd=tmp_path,
        env=environment(GIT_CEILING_DIRECTORIES=str(tmp_path.parent)),
    )
    assert done.returncode == 1
    assert "is in no git repository\nhelp: leave out --commit" in done.stderr


def test_hooks_run_and_may_add_to_the_message(site: Site):
    site.hook("commit-msg", 'echo "Signed-off-by: hook" >> "$1"')
    site.hook("pre-commit", "git diff --cached --name-only > ../seen; echo ran >> $HOME/hooked")
    site.update("--commit")
    assert site.message().rstrip().endswith("Signed-off-by: hook")
    assert (site.home / "hooked").read_text() == "ran\n"


def test_a_hook_that_refuses_leaves_everything_as_it_was(site: Site):
    site.hook("pre-commit", "echo policy says no >&2; exit 1")
    site.refuse("--commit", said="policy says no; nothing was changed")


def test_a_hook_that_refuses_the_second_commit_drops_the_first(site: Site):
    site.hook("commit-msg", 'if grep -q redis "$1"; then echo no redis >&2; exit 1; fi')
    site.refuse("--commit", "--split", said="no redis")


def second(site: Site) -> Path:
    other = site.home / "other"
    site.git("clone", "--quiet", str(site.remote), str(other), cwd=site.home)
    return other


def push_elsewhere(site: Site, branch: str = "main") -> str:
    other = second(site)
    (other / "README.md").write_text("theirs\n")
    for command in (
        ["switch", "--quiet", "-C", branch],
        ["-c", "user.name=B", "-c", "user.email=b@b", "commit", "--quiet", "-am", "theirs"],
        ["push", "--quiet", "origin", branch],
    ):
        site.git(*command, cwd=other)
    return site.git("rev-parse", "HEAD", cwd=other)


def test_a_remote_that_is_ahead_is_refused_before_anything_is_made(site: Site):
    theirs = push_elsewhere(site)
    before = site.git("rev-parse", "HEAD")
    done = site.krmfn("--push")
    assert done.returncode == 1
    assert (
        "origin/main has 1 commit that this checkout lacks; nothing was committed\nhelp: git pull --rebase origin main"
        in done.stderr
    )
    assert site.git("rev-parse", "HEAD") == before
    assert site.git("rev-parse", "main", cwd=site.remote) == theirs


def test_a_push_that_crosses_ours_is_refused_and_nothing_is_lost(site: Site):
    """The other push happens from our own pre-push hook: after the look at the remote, before our objects arrive."""
    other = second(site)
    (other / "README.md").write_text("theirs\n")
    site.git("-c", "user.name=B", "-c", "user.email=b@b", "commit", "--quiet", "-am", "theirs", cwd=other)
    site.hook("pre-push", f"unset GIT_DIR; cd {other} && git push --quiet origin main")
    done = site.krmfn("--push")
    assert done.returncode == 1
    ours = site.git("rev-parse", "HEAD")
    assert f"commit {ours[:7]} stays on main" in done.stderr
    assert "help: git pull --rebase origin main && git push origin main" in done.stderr
    assert site.git("rev-parse", "main", cwd=site.remote) == site.git("rev-parse", "HEAD", cwd=other)
    (site.work / ".git/hooks/pre-push").unlink()
    site.git("pull", "--quiet", "--rebase", "origin", "main")
    site.git("push", "--quiet", "origin", "main")
    assert site.changed() == [API, "apps/kustomization.yaml", WEB]


def test_another_branch_leaves_the_checkout_alone(site: Site):
    before = site.git("rev-parse", "HEAD"), site.text(WEB)
    site.write(WEB, site.text(WEB) + "# mine\n")
    site.update("--commit", "--branch", "images", "--push")
    assert site.git("rev-parse", "HEAD") == before[0]
    assert site.text(WEB) == before[1] + "# mine\n"
    assert site.git("log", "--format=%s", "main..images", cwd=site.remote) == "Update 3 images"


def test_a_branch_without_push_is_a_local_branch(site: Site):
    site.update("--commit", "--branch", "images")
    assert site.git("log", "--format=%s", "main..images") == "Update 3 images"
    assert "up to date" in site.update("--commit", "--branch", "images")


def test_a_detached_checkout_can_push_to_a_named_branch(site: Site):
    site.git("checkout", "--quiet", "--detach")
    site.refuse("--push", said="HEAD is detached")
    site.update("--push", "--branch", "main")
    assert site.git("rev-parse", "main", cwd=site.remote) == site.git("rev-parse", "HEAD")


def test_an_automation_says_path_author_message_and_branch(site: Site):
    site.update("--automation", "apps", "--push")
    shown = site.git("log", "-1", "--format=%an <%ae>|%B", "flux-images", cwd=site.remote)
    assert shown.partition("\n\nKrmfn-Tree: ")[0] == "flux <flux@acme.example>|update images"
    assert site.git("log", "-1", "--format=%s") == "start"


def test_an_automation_on_its_checkout_branch_moves_it(site: Site):
    site.automate(push="")
    site.update("--automation", "flux-system/apps", "--push")
    assert site.message() == "update images"
    assert site.git("log", "-1", "--format=%cn") == "Ada"
    assert site.git("rev-parse", "main", cwd=site.remote) == site.git("rev-parse", "HEAD")


def test_the_branch_of_a_git_repository_in_a_file_of_its_own_counts(site: Site):
    path = "infrastructure/images/automation.yaml"
    site.write(path, site.text(path).replace("    checkout:\n      ref: {branch: main}\n", ""))
    spec = "spec: {interval: 1m, url: 'https://git.example/fleet', ref: {branch: develop}}\n"
    head = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: flux-system, namespace: flux-system}\n"
    site.write("clusters/source.yaml", head + spec)
    site.save("source")
    site.refuse("--automation", "apps", said="works on branch develop, and main is checked out")


def test_an_automation_fills_in_its_template(site: Site):
    template = """messageTemplate: |
        {{ .AutomationObject }} in {{ .Values.cluster }}
        {{ range $file, $objects := .Changed.FileChanges }}
        - {{ $file }}{{ range $object, $changes := $objects }} {{ $object.Kind }}/{{ $object.Name }}{{ range $changes }}
          {{ .OldValue }} -> {{ .NewValue }} ({{ .Setter }}){{ end }}{{ end }}{{ end }}
      messageTemplateValues: {cluster: production}"""
    site.automate(push="", template=template)
    site.update("--automation", "apps")
    assert site.message() == (
        "flux-system/apps in production\n\n- api.yaml HelmRelease/api\n  main-3f9c2d1-1767225600 -> main-12e4567-1772323200 (flux-system:api:tag)\n"
        "- kustomization.yaml Kustomization/\n  7.2.4 -> 7.2.5 (flux-system:cache:tag)\n"
        "- web.yaml Deployment/web\n  ghcr.io/acme/web:1.2.0 -> ghcr.io/acme/web:1.3.1 (flux-system:web)"
    )


def test_an_automation_touches_its_path_only(site: Site):
    site.write("other/web.yaml", site.text(WEB))
    site.automate(push="")
    site.update("--automation", "apps")
    assert "other/web.yaml" not in site.changed()


def test_an_automation_takes_the_policies_it_selects(site: Site):
    site.automate(push="", interval="  interval: 30m\n  policySelector: {matchLabels: {team: web}}\n")
    policies = "infrastructure/images/policies.yaml"
    site.write(
        policies,
        site.text(policies).replace(
            "kind: ImagePolicy\nmetadata:\n  name: web\n",
            "kind: ImagePolicy\nmetadata:\n  name: web\n  labels: {team: web}\n",
        ),
    )
    site.save("label")
    site.update("--automation", "apps")
    assert site.changed() == [WEB]


def test_an_automation_can_edit_without_a_commit(site: Site):
    site.update("--automation", "apps", "--no-commit")
    assert site.git("diff", "--name-only").split() == [API, "apps/kustomization.yaml", WEB]
    assert site.git("log", "-1", "--format=%s") == "start"


def test_a_suspended_automation_does_nothing(site: Site):
    site.automate(interval="  interval: 30m\n  suspend: true\n")
    assert "is suspended: nothing done" in site.update("--automation", "apps")
    assert site.git("log", "-1", "--format=%s") == "automation"


def test_a_refspec_is_pushed_too(site: Site):
    site.automate(push="    push: {branch: auto, refspec: 'refs/heads/auto:refs/heads/review/auto'}\n")
    said = site.update("--automation", "apps", "--push")
    assert site.git("rev-parse", "auto", cwd=site.remote) == site.git("rev-parse", "review/auto", cwd=site.remote)
    assert "and refspecs 'refs/heads/auto:refs/heads/review/auto'" in said


REFUSED = {
    "an unknown automation": (("--automation", "appz"), "no such ImageUpdateAutomation; did you mean apps?"),
    "another branch is checked out": (("--automation", "apps"), "works on branch main, and feature is checked out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_automation_that_does_not_fit_is_refused(site: Site, case: str):
    arguments, said = REFUSED[case]
    site.git("switch", "--quiet", "-c", "feature")
    site.refuse(*arguments, said=said)


def test_a_removed_template_field_is_refused_in_the_words_of_flux(site: Site):
    site.automate(push="", template="messageTemplate: '{{ range .Updated.Images }}{{ println . }}{{ end }}'")
    site.refuse("--automation", "apps", said="template uses removed '.Updated' field. Please use '.Changed' instead.")


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_a_template_that_fails_is_all_that_is_said(site: Site, form: str):
    before = site.state()
    done = site.krmfn("--commit", "--message", "{{ .Nothing }}", "--diff", "-o", form)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("krmfn: error: failed to run template from spec: ")
    assert len(done.stderr.splitlines()) == 1
    assert site.state() == before


def test_a_hook_that_refuses_leaves_no_table(site: Site):
    site.hook("commit-msg", "exit 1")
    done = site.krmfn("--commit")
    assert (done.returncode, done.stdout) == (1, "")
    assert "files changed" not in done.stderr


def test_without_an_identity_the_author_commits(site: Site):
    site.automate(push="")
    site.git("config", "--unset", "user.email")
    site.git("config", "--unset", "user.name")
    site.update("--automation", "apps")
    assert site.git("log", "-1", "--format=%an %ae %cn %ce") == "flux flux@acme.example flux flux@acme.example"


def test_commits_are_signed_with_an_ssh_key(site: Site):
    key = site.home / "key"
    succeed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], env=site.env)
    (site.home / "allowed").write_text(f"ada@acme.example {key.with_suffix('.pub').read_text()}")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(key)),
        ("gpg.ssh.allowedSignersFile", str(site.home / "allowed")),
    ):
        site.git("config", name, value)
    site.update("--commit", "--sign")
    done = run(["git", "verify-commit", "HEAD"], cwd=site.work, env=site.env)
    assert done.returncode == 0
    assert "Good" in done.stderr


def test_a_signing_key_of_an_automation_signs_with_gpg(site: Site):
    home = site.home / "gnupg"
    home.mkdir(mode=0o700)
    site.env["GNUPGHOME"] = str(home)
    succeed(
        [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
            "ada@acme.example",
            "ed25519",
            "sign",
            "never",
        ],
        env=site.env,
    )
    site.automate(push="", template='messageTemplate: "update images"\n      signingKey: {secretRef: {name: key}}')
    try:
        site.git("config", "user.signingKey", "ada@acme.example")
        site.update("--automation", "apps")
        assert run(["git", "verify-commit", "HEAD"], cwd=site.work, env=site.env).returncode == 0
    finally:
        run(["gpgconf", "--kill", "all"], env=site.env)


def test_signing_without_a_key_is_refused_with_help(site: Site):
    site.env["GNUPGHOME"] = str(site.home / "none")
    site.refuse("--commit", "--sign", said="help: set up signing with git config user.signingKey KEY")


def stopped(site: Site, sign: signal.Signals) -> int:
    """Send the signal to a run that is inside the pre-commit hook."""
    site.hook("pre-commit", "touch $HOME/reached; exec sleep 60")
    process = subprocess.Popen(
        ["krmfn", "update", ".", "--source", LAYOUT, "--commit"],
        cwd=site.work,
        env=site.env,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - background jobs of CI runners ignore it
    )
    wait_until((site.home / "reached").exists)
    if sign == signal.SIGKILL:
        os.killpg(process.pid, sign)
    else:
        process.send_signal(sign)
    code = process.wait(20)
    (site.work / ".git/hooks/pre-commit").unlink()
    return code


def test_a_run_that_is_killed_in_a_hook_loses_nothing(tmp_path: Path):
    site = Site(tmp_path)
    site.write("README.md", "mine\n")
    before = site.state()
    assert stopped(site, signal.SIGKILL) == -signal.SIGKILL
    assert site.state() == before
    assert site.text("README.md") == "mine\n"
    site.update("--commit")
    assert site.changed() == [API, "apps/kustomization.yaml", WEB]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_in_a_hook_leaves_nothing_behind(site: Site, sign: signal.Signals):
    before = site.state()
    assert stopped(site, sign) == 130
    assert site.state() == before


def test_names_that_shells_dislike_are_only_names(site: Site):
    odd = 'apps/-o w\u00ebb "$(touch evil)" *.yaml'
    site.write(odd, site.text(WEB).replace("name: web\nspec", "name: odd\nspec"))
    site.save("odd")
    site.update("--commit")
    assert "ghcr.io/acme/web:1.3.1" in site.git("show", f"HEAD:{odd}")
    assert site.git("status", "--porcelain") == ""
    assert not list(site.home.rglob("evil"))


def test_without_git_files_can_still_be_edited(site: Site, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "krmfn").symlink_to(shutil.which("krmfn", path=site.env["PATH"]) or "")
    site.refuse(
        "--commit", PATH=str(tmp_path / "bin"), said="git is not on PATH\nhelp: install git, or leave out --commit"
    )
    site.update(PATH=str(tmp_path / "bin"))
    assert "ghcr.io/acme/web:1.3.1" in site.text(WEB)


@pytest.mark.parametrize("flag", ["--split", "--branch=x", "--sign", "--message=x"])
def test_flags_of_commits_need_a_commit(site: Site, flag: str):
    done = site.krmfn(flag)
    assert done.returncode == 2
    assert "needs --commit" in done.stderr


def test_a_package_below_the_root_is_committed_from_where_one_stands(site: Site):
    done = run(["krmfn", "update", "..", "--source", LAYOUT, "--commit"], cwd=site.work / "apps", env=site.env)
    assert done.returncode == 0
    assert site.changed() == [API, "apps/kustomization.yaml", WEB]
    assert "api.yaml:14" in done.stdout
    assert "(apps/api.yaml:14)" in site.message()
    assert "/tmp" not in done.stdout


def test_a_path_that_misses_the_automations_is_refused(site: Site):
    done = run(
        ["krmfn", "update", "infrastructure", "--source", LAYOUT, "--automation", "apps"], cwd=site.work, env=site.env
    )
    assert done.returncode == 1
    assert "update.path ./apps of flux-system:apps is not below it" in done.stderr


def test_a_refspec_that_forces_is_refused(site: Site):
    site.automate(push="    push: {branch: auto, refspec: '+refs/heads/auto:refs/heads/main'}\n")
    site.refuse("--automation", "apps", "--push", said="krmfn never forces a push")


HARMFUL = {
    "an empty source": ("    push: {branch: auto, refspec: ':refs/heads/main'}\n", "spec.git.push.refspec: an empty source deletes a branch"),
    "a wildcard": ("    push: {branch: auto, refspec: 'refs/*:refs/*'}\n", "spec.git.push.refspec: a wildcard pushes whatever matches"),
    "a negative refspec": ("    push: {branch: auto, refspec: '^refs/heads/main'}\n", "spec.git.push.refspec: '^refs/heads/main' holds '^'"),
    "two colons": ("    push: {branch: auto, refspec: 'a:b:c'}\n", "spec.git.push.refspec: 'b:c' holds ':'"),
    "NUL in a refspec": ('    push: {branch: auto, refspec: "refs/heads/auto\\0:refs/heads/x"}\n', "spec.git.push.refspec: 'refs/heads/auto\\x00' holds a NUL character"),
    "NUL in a branch": ('    push: {branch: "a\\0b"}\n', "spec.git.push.branch: 'a\\x00b' holds a NUL character"),
    "a branch that is an option": ("    push: {branch: '--force'}\n", "spec.git.push.branch: '--force' starts with '-'"),
    "a line feed in a branch": ('    push: {branch: "a\\n::error::b"}\n', "spec.git.push.branch: 'a\\n::error::b' holds a line break"),
    "NUL in an option": ('    push: {branch: auto, options: {a: "b\\0"}}\n', "spec.git.push.options.a: holds a NUL character"),
}  # fmt: skip


@pytest.mark.parametrize("case", HARMFUL)
def test_a_push_that_could_do_harm_is_refused(site: Site, case: str):
    push, said = HARMFUL[case]
    site.automate(push=push)
    site.refuse("--automation", "apps", "--push", said=said)
    assert site.git("for-each-ref", "--format=%(refname)", cwd=site.remote) == "refs/heads/main"


TEXTS = {
    "NUL in the author": ({"author": 'author: {email: "a\\0@b", name: flux}'}, "spec.git.commit.author.email: holds a NUL character"),
    "a line break in the author": ({"author": 'author: {email: a@b, name: "flux\\nGIT"}'}, "spec.git.commit.author.name: holds a line break"),
    "NUL in the template": ({"template": 'messageTemplate: "a\\0b"'}, "spec.git.commit.messageTemplate: holds a NUL character"),
    "NUL out of the template": ({"template": """messageTemplate: '{{ printf "%c" 0 }}'"""}, "the message holds a NUL character"),
    "half a surrogate out of the template": ({"template": """messageTemplate: '{{ "\\ud800" }}'"""}, "the message is not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_texts_that_git_would_not_take_are_refused(site: Site, case: str):
    replace, said = TEXTS[case]
    site.automate(push="", **{name: text.replace("\\\\", "\\") for name, text in replace.items()})
    site.refuse("--automation", "apps", said=said)


@pytest.mark.parametrize("branch", ["a b", "-x", "HEAD", "a..b", "\udcff", "a\n::error::b", "refs/heads/*", "x.lock"])
def test_a_branch_that_is_no_name_is_a_usage_error(site: Site, branch: str):
    done = site.krmfn("--commit", f"--branch={branch}")
    assert done.returncode == 2
    assert "Invalid value for --branch" in done.stderr
    assert not any(line.startswith("::") for line in done.stderr.splitlines())


def test_a_remote_that_does_not_answer_has_a_deadline(site: Site):
    site.git("remote", "set-url", "origin", "ext::sleep 60")
    done = site.krmfn("--push", KRMFN_GIT_TIMEOUT="2", GIT_ALLOW_PROTOCOL="ext")
    assert done.returncode == 1
    assert "git ls-remote was ended: git commands of a run may take 2 seconds in all\nhelp: " in done.stderr
    assert "KRMFN_GIT_TIMEOUT=SECONDS allows more" in done.stderr
    assert site.git("log", "-1", "--format=%s") == "start"


def test_a_hook_that_does_not_end_has_a_deadline(site: Site):
    site.hook("pre-commit", "sleep 60 & echo $! > $HOME/sleeping; wait")
    site.refuse("--commit", said="git commit was ended", KRMFN_GIT_TIMEOUT="2")
    status = Path(f"/proc/{(site.home / 'sleeping').read_text().strip()}/cmdline")
    assert not (status.exists() and b"sleep" in status.read_bytes())


def test_a_hook_that_leaves_a_program_running_is_not_waited_for(site: Site):
    site.hook("post-commit", "sleep 60 & echo $! > $HOME/sleeping")
    site.update("--commit", KRMFN_GIT_TIMEOUT="30")
    run(["kill", (site.home / "sleeping").read_text().strip()])


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e9", "nan"])
def test_a_timeout_that_is_none_is_refused(site: Site, seconds: str):
    site.refuse("--commit", said="KRMFN_GIT_TIMEOUT: expected seconds from 1 to 86400", KRMFN_GIT_TIMEOUT=seconds)


def test_git_asks_nothing_and_takes_what_was_set_up_for_machines(site: Site):
    """A remote helper stands for a server that wants a login: it records what git would ask with."""
    helper = site.home / "bin" / "git-remote-asking"
    helper.parent.mkdir()
    helper.write_text(
        f"#!/bin/sh\nenv > {site.home}/seen; (: < /dev/tty) 2> {site.home}/terminal\ngit credential fill <<< 'protocol=https' 2>&1\nexit 1\n".replace(
            " <<< 'protocol=https'", " < /dev/null"
        )
    )
    helper.chmod(0o755)
    site.git("remote", "set-url", "origin", "asking::somewhere")
    done = site.krmfn(
        "--push",
        PATH=f"{helper.parent}:{site.env['PATH']}",
        SSH_ASKPASS="/bin/window",
        GIT_ASKPASS="/bin/token",
        DISPLAY=":9",
    )
    assert done.returncode == 1
    seen = dict(line.split("=", 1) for line in (site.home / "seen").read_text().splitlines() if "=" in line)
    assert (seen["GIT_TERMINAL_PROMPT"], seen["SSH_ASKPASS_REQUIRE"], seen["GIT_ASKPASS"]) == (
        "0",
        "never",
        "/bin/token",
    )
    assert "SSH_ASKPASS" not in seen
    assert (site.home / "terminal").read_text()


def test_the_checkouts_configuration_runs_no_program_on_the_side(site: Site):
    site.write(".git/hooks/spy", f"#!/bin/sh\ntouch {site.home}/evil\n")
    spy = site.work / ".git/hooks/spy"
    spy.chmod(0o755)
    for name in ("core.fsmonitor", "diff.external", "core.pager", "diff.yaml.textconv", "diff.yaml.command"):
        site.git("config", name, str(spy))
    site.write(".git/info/attributes", "*.yaml diff=yaml\n")
    site.update("--commit", "--branch", "images", "--push")
    assert not (site.home / "evil").exists()


def test_a_push_that_was_refused_is_made_good(site: Site):
    site.hook("pre-push", "exit 1")
    assert site.krmfn("--push").returncode == 1
    ours = site.git("rev-parse", "HEAD")
    (site.work / ".git/hooks/pre-push").unlink()
    said = site.update("--push")
    assert "up to date" in said
    assert f"pushed commit '{ours[:7]}' to branch 'main'" in said
    assert site.git("rev-parse", "main", cwd=site.remote) == ours
    assert "pushed" not in site.update("--push")
    assert site.git("for-each-ref", "refs/krmfn") == ""


def test_a_push_that_was_refused_is_made_good_after_a_rebase(site: Site):
    site.hook("pre-push", "exit 1")
    assert site.krmfn("--push").returncode == 1
    (site.work / ".git/hooks/pre-push").unlink()
    push_elsewhere(site)
    site.git("pull", "--quiet", "--rebase", "origin", "main")
    site.git("commit", "--quiet", "--allow-empty", "-m", "not yet")
    site.update("--push")
    assert site.git("log", "-2", "--format=%s", "main", cwd=site.remote).splitlines() == ["Update 3 images", "theirs"]
    assert site.git("log", "-1", "--format=%s") == "not yet"


def test_what_a_person_has_not_pushed_is_not_pushed(site: Site):
    site.update("--push")
    site.git("commit", "--quiet", "--allow-empty", "-m", "mine")
    site.update("--push")
    assert site.git("log", "-1", "--format=%s", "main", cwd=site.remote) == "Update 3 images"


def test_a_lock_that_a_killed_run_left_is_removed(site: Site):
    """The kill comes from a hook of the fast-forward, while git holds the index."""
    site.write(".gitattributes", "*.yaml filter=kill\n")
    site.save("filter")
    site.git(
        "config",
        "filter.kill.smudge",
        f"cat; test -f {site.home}/armed && rm {site.home}/armed && kill -9 $(cat {site.home}/pid) $PPID || true",
    )
    site.hook("post-commit", f"touch {site.home}/armed")
    process = subprocess.Popen(
        ["sh", "-c", f"echo $$ > {site.home}/pid; exec krmfn update . --source {LAYOUT} --commit"],
        cwd=site.work, env=site.env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(60) == -signal.SIGKILL
    assert (site.work / ".git" / "index.lock").exists()
    site.hook("post-commit", "true")
    site.git("status")
    run(["git", "checkout", "--", "."], cwd=site.work, env=site.env)
    done = site.krmfn("--commit")
    assert "index.lock" not in done.stderr
    assert not (site.work / ".git" / "index.lock").exists()


def test_a_lock_of_somebody_else_stays(site: Site):
    site.write(".git/index.lock", "")
    done = site.krmfn("--commit")
    assert done.returncode == 1
    assert "index.lock" in done.stderr
    assert (site.work / ".git" / "index.lock").exists()


def test_a_refspec_cannot_be_an_option(site: Site):
    site.automate(push="    push: {branch: auto, refspec: '--receive-pack=touch evil'}\n")
    done = site.krmfn("--automation", "apps", "--push")
    assert done.returncode == 1
    assert not list(site.home.rglob("evil"))


def test_a_branch_that_is_checked_out_elsewhere_is_refused(site: Site):
    site.git("worktree", "add", "--quiet", "-b", "images", str(site.home / "elsewhere"))
    site.refuse("--commit", "--branch", "images", said="branch images is checked out in another worktree")
    site.git("worktree", "remove", str(site.home / "elsewhere"))


def test_the_lock_is_committed_with_the_images(site: Site):
    site.write(
        "lock.yaml", "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: images}\nspec:\n  images: []\n"
    )
    site.save("lock")
    site.update("--commit", "--split")
    assert site.changed() == [WEB, "lock.yaml"]
    assert site.changed("HEAD~1") == ["apps/kustomization.yaml"]
    assert 'tag: "1.3.1"' in site.text("lock.yaml")


def test_a_commit_holds_what_an_edit_in_place_writes(site: Site):
    in_place = Path(shutil.copytree(site.work, site.home / "in-place"))
    succeed(["krmfn", "update", ".", "--source", LAYOUT], cwd=in_place, env=site.env)
    site.update("--commit")
    assert {path: site.text(path) for path in (WEB, API)} == {
        path: (in_place / path).read_text() for path in (WEB, API)
    }
    assert run(["diff", "-r", "-x", ".git", site.work, in_place]).stdout == ""


def test_a_checkout_that_moves_meanwhile_is_left_where_it_is(site: Site):
    site.hook(
        "pre-commit",
        f"rm .git/hooks/pre-commit 2>/dev/null; cd {site.work} && unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE && git commit --no-verify --quiet --allow-empty -m theirs",
    )
    done = site.krmfn("--commit")
    assert done.returncode == 1
    assert "nothing was changed\nhelp: run krmfn again" in done.stderr
    assert site.git("log", "-1", "--format=%s") == "theirs"
    assert "1.2.0" in site.text(WEB)


def test_a_file_that_changes_meanwhile_is_left_as_it_is(site: Site):
    site.hook("pre-commit", f"echo '# mine' >> {site.work / WEB}")
    done = site.krmfn("--commit")
    assert done.returncode == 1
    assert f"{WEB} holds changes that are not committed" in done.stderr
    assert site.text(WEB).endswith("# mine\n")
    assert "1.2.0" in site.text(WEB)
    assert site.git("log", "-1", "--format=%s") == "start"


def test_a_shallow_checkout_of_ci_can_push(site: Site):
    """As actions/checkout leaves it: one commit, a branch, no identity."""
    site.git("clone", "--quiet", "--depth=1", f"file://{site.remote}", str(site.home / "ci"), cwd=site.home)
    done = run(
        ["krmfn", "update", ".", "--source", LAYOUT, "--automation", "apps", "--push"],
        cwd=site.home / "ci",
        env=site.env,
    )
    assert done.returncode == 0, done.stderr
    assert site.git("log", "--format=%s|%ce", "main..flux-images", cwd=site.remote) == "update images|flux@acme.example"
    again = run(
        ["krmfn", "update", ".", "--source", LAYOUT, "--automation", "apps", "--push"],
        cwd=site.home / "ci",
        env=site.env,
    )
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stderr


def test_an_automation_leaves_the_lock_of_other_policies_alone(site: Site):
    site.write(
        "lock.yaml", "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: images}\nspec:\n  images: []\n"
    )
    site.save("lock")
    site.update("--commit")
    policies = "infrastructure/images/policies.yaml"
    text = site.text(policies).replace('">=1.2.0 <2.0.0"', '">=2.0.0"').replace("7.2.x", "8.x")
    site.write(
        policies,
        text.replace(
            "kind: ImagePolicy\nmetadata:\n  name: web\n",
            "kind: ImagePolicy\nmetadata:\n  name: web\n  labels: {team: web}\n",
        ),
    )
    site.save("wider")
    site.automate(push="", interval="  interval: 30m\n  policySelector: {matchLabels: {team: web}}\n")
    site.update("--automation", "apps")
    assert site.changed() == [WEB, "lock.yaml"]
    lock = site.text("lock.yaml")
    assert [word in lock for word in ('tag: "2.0.0"', 'tag: "7.2.5"', "main-12e4567-1772323200")] == [True, True, True]


def test_a_git_is_ended_when_the_signal_comes_while_it_starts(site: Site, monkeypatch: pytest.MonkeyPatch):
    """Between the start of git and the wait for it: what it would still do is done by nobody."""
    started: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(KeyboardInterrupt):
        Git(site.work, Allowance(60)).run("-c", "alias.stay=!sleep 60", "stay")
    assert started[0].returncode == -signal.SIGTERM


def test_what_a_git_made_that_outlived_its_run_is_forgotten(site: Site):
    """A worktree whose folder is gone and whose run has no lock any more; one of a person stays."""
    left, own = site.home / "tmp/krmfn-0123456789ab/work", site.home / "mine/work2"
    for folder in (left, own):
        site.git("worktree", "add", "--quiet", "--detach", str(folder))
        shutil.rmtree(folder.parent)
    site.update("--commit")
    assert [path.name for path in (site.work / ".git/worktrees").iterdir()] == ["work2"]
    site.git("worktree", "prune")


def test_git_that_prints_without_end_is_an_error(site: Site):
    with pytest.raises(GitError, match="git noise printed more than 268435456 bytes"):
        Git(site.work, Allowance(60)).run("-c", "alias.noise=!head -c 300000000 /dev/zero", "noise")
