"""The CI set-ups, as far as they run without their service: their own scripts, with real git and real krmfn."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import images, tools
from tests.running import EXAMPLES, Done, environment, run, succeed
from tests.tools import ROOT

CI = EXAMPLES / "ci"
PINNED = re.compile(r"uses: [\w./-]+@(?:[0-9a-f]{40} # v\d+\.\d+\.\d+|v\d+\.\d+\.\d+)$")


class Checkout(NamedTuple):
    """A clone of the kpt example (its tags travel with it), its bare origin, and the environment of a CI job."""

    folder: Path
    origin: Path
    env: dict[str, str]

    def git(self, *arguments: str) -> str:
        return succeed(["git", *arguments], cwd=self.folder, env=self.env)

    def script(self, text: str, **env: str) -> Done:
        return run(["bash", "-eo", "pipefail", "-c", text], cwd=self.folder, env=self.env | env)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder, origin = tmp_path / "source", tmp_path / "origin.git"
    env = environment(
        HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="ci", GIT_AUTHOR_EMAIL="ci@example.test",
        GIT_COMMITTER_NAME="ci", GIT_COMMITTER_EMAIL="ci@example.test",
    )  # fmt: skip
    succeed(["git", "init", "-q", "--bare", "-b", "main", origin], env=env)
    succeed(["git", "config", "receive.advertisePushOptions", "true"], cwd=origin, env=env)
    shutil.copytree(EXAMPLES / "kpt-package", folder)
    made = Checkout(folder, origin, env)
    made.git("init", "-q", "-b", "main")
    made.git("add", ".")
    made.git("commit", "-q", "-m", "the shop")
    made.git("remote", "add", "origin", str(origin))
    made.git("push", "-q", "origin", "main")
    return made


def pushed(checkout: Checkout) -> str:
    return succeed(["git", "show", "--format=%B", "krmfn/images"], cwd=checkout.origin, env=checkout.env)


def branches(checkout: Checkout) -> list[str]:
    return succeed(["git", "branch", "--format=%(refname:short)"], cwd=checkout.origin, env=checkout.env).split()


def assert_proposed(checkout: Checkout) -> None:
    shown = pushed(checkout)
    assert "- ghcr.io/acme/web: 1.2.0 -> 1.3.1" in shown
    assert "Krmfn-Tree: " in shown
    assert '+          image: ghcr.io/acme/web:1.3.1 # {"$imagepolicy": "shop:web"}' in shown


CANARY = "canary-token-5f3a"
EXPRESSION = re.compile(r"\$\{\{\s*([\w.]+)\s*\}\}")


def recorder(tmp_path: Path, name: str, found: str) -> str:
    """Put a program on PATH in place of the one that talks to the forge's service; it records how it is called."""
    program = tmp_path / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$1 $2" >> {tmp_path}/calls\ntest "$2" != list || printf "%s\\n" \'{found}\'\n'
        f'printf "%s\\n" "$@" >> {tmp_path}/arguments\n'
    )
    program.chmod(0o755)
    for log in ("calls", "arguments"):
        (tmp_path / log).write_text("")
    return f"{program.parent}{os.pathsep}"


def steps(tmp_path: Path, given: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield script and environment of the action's steps that run, as GitHub resolves them; krmfn is installed already."""
    declared = yaml.safe_load((CI / "github" / "action.yml").read_text())
    inputs = {name: str(one["default"]) for name, one in declared["inputs"].items()} | given
    known = {f"inputs.{name}": value for name, value in inputs.items()}
    known |= {"github.token": CANARY, "github.ref_name": "main", "github.ref": "refs/heads/main", "github.sha": "0" * 40, "runner.temp": str(tmp_path)}

    def resolved(text: str) -> str:
        while EXPRESSION.search(text):
            text = EXPRESSION.sub(lambda found: known[found[1]], text)
        return text

    for step in declared["runs"]["steps"]:
        name, _, value = step.get("if", "").partition(" == ")
        if "run" in step and "pip install" not in step["run"] and (not name or known[name] == value.strip("'")):
            yield step["run"], {key: resolved(value) for key, value in step.get("env", {}).items()}


def action(checkout: Checkout, tmp_path: Path, state: str = "", code: int = 0, **inputs: str) -> list[str]:
    """Run the action. `gh` is GitHub's own service behind a program: a recorder stands in for it alone."""
    path = recorder(tmp_path, "gh", state) + checkout.env["PATH"]
    runner = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"), "GITHUB_REPOSITORY": "acme/shop"}
    for script, env in steps(tmp_path, inputs):
        done = checkout.script(script, **env, **runner, PATH=path)
        assert done.returncode == code, done.stderr
        assert CANARY not in done.stdout + done.stderr
    logs = [tmp_path / name for name in ("calls", "arguments", "summary.md", "proposals.json")]
    assert not any(CANARY in log.read_text() for log in logs if log.exists())
    return (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("state", "calls"), [("", ["pr list", "pr create"]), ("OPEN", ["pr list", "pr edit"]), ("CLOSED", ["pr list"])]
)
def test_the_github_action_opens_one_pull_request(state: str, calls: list[str], checkout: Checkout, tmp_path: Path):
    assert action(checkout, tmp_path, state) == calls
    assert_proposed(checkout)
    summary = (tmp_path / "summary.md").read_text()
    assert "`krmfn/images`: pushed\n" in summary
    assert "| ghcr.io/acme/web | 1.2.0 | 1.3.1 |" in summary
    assert ("ghcr.io/acme/web | 1.2.0 | 1.3.1" in (tmp_path / "arguments").read_text()) == (state != "CLOSED")
    assert action(checkout, tmp_path, "OPEN") == ["pr list", "pr edit"]


def test_the_github_action_opens_a_pull_request_for_each_image(checkout: Checkout, tmp_path: Path):
    assert action(checkout, tmp_path, options="--split --prune").count("pr create") == len(branches(checkout)) - 1 > 1
    assert "Update ghcr.io/acme/web to 1.3.1\n" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(("job", "create"), [("github", "pr create"), ("gitlab", "mr create")])
def test_a_refused_branch_fails_the_job_and_stops_no_other_request(job: str, create: str, checkout: Checkout, tmp_path: Path):
    hook = checkout.origin / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ncase $1 in *-web) echo 'web is frozen' >&2; exit 1;; esac\n")
    hook.chmod(0o755)
    if job == "github":
        calls = action(checkout, tmp_path, code=1, options="--split")
    else:
        calls = gitlab(checkout, tmp_path, code=1, OPTIONS="--split")
    assert calls.count(create) == len(branches(checkout)) - 1 >= 1
    assert "krmfn/images-web" not in branches(checkout)


def test_the_action_uploads_findings_when_asked(checkout: Checkout, tmp_path: Path):
    (checkout.folder / "stray.yaml").write_text('image: web:1.0.0 # {"$imagepolicy": "shop:nobody"}\n')
    assert action(checkout, tmp_path, sarif="true")[-1] == "api repos/acme/shop/code-scanning/sarifs"
    sarif = json.loads(gzip.decompress(base64.b64decode((tmp_path / "krmfn.sarif.b64").read_text())))
    assert "unknown-policy" in {one["ruleId"] for one in sarif["runs"][0]["results"]}


def test_one_copied_file_makes_the_proposal(checkout: Checkout, tmp_path: Path):
    """The workflow to copy: a checkout, a login, and the action, with inputs that the action has and no more rights than it needs."""
    for name in ("workflow.yml", "dockerhub.yml", "ecr.yml"):
        workflow = yaml.safe_load((CI / "github" / name).read_text())
        assert set(workflow["permissions"]) <= {"contents", "pull-requests", "id-token"}
        used = [step for step in workflow["jobs"]["update"]["steps"] if "uses" in step]
        assert [step["uses"].partition("@")[0] for step in used] == ["actions/checkout", "krmfn/krmfn/examples/ci/github"]
        assert set(used[1]["with"]) <= set(yaml.safe_load((CI / "github" / "action.yml").read_text())["inputs"])
    assert action(checkout, tmp_path, **{**used[1]["with"], "paths": "."}) == ["pr list", "pr create"]


def test_the_lint_job_uploads_sarif_and_says_what_it_found(checkout: Checkout, tmp_path: Path):
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n')
    gh.chmod(0o755)
    (checkout.folder / "stray.yaml").write_text('image: web:1.0.0 # {"$imagepolicy": "shop:nobody"}\n')
    step = yaml.safe_load((CI / "github" / "lint.yml").read_text())["jobs"]["lint"]["steps"][-1]
    known = {"GITHUB_REPOSITORY": "acme/shop", "COMMIT": "0" * 40, "REF": "refs/heads/main", "RUNNER_TEMP": str(tmp_path)}
    done = checkout.script(step["run"], **known, PATH=f"{gh.parent}{os.pathsep}{checkout.env['PATH']}")
    assert done.returncode == 1
    assert "::warning file=./stray.yaml,line=1" in done.stdout.replace("file=stray", "file=./stray")
    arguments = (tmp_path / "arguments").read_text()
    assert "repos/acme/shop/code-scanning/sarifs" in arguments
    upload = arguments.partition("sarif=@")[2].strip()
    sarif = json.loads(gzip.decompress(base64.b64decode(Path(upload).read_text())))
    assert [one["ruleId"] for one in sarif["runs"][0]["results"]].count("unknown-policy") == 1


def test_the_github_action_does_nothing_when_nothing_is_newer(checkout: Checkout, tmp_path: Path):
    succeed(["krmfn", "update", "."], cwd=checkout.folder, env=checkout.env)
    checkout.git("commit", "-qam", "up to date")
    assert action(checkout, tmp_path) == []
    assert branches(checkout) == ["main"]


def test_the_github_action_fails_when_a_policy_fails(checkout: Checkout, tmp_path: Path):
    policies = checkout.folder / "image-policies.yaml"
    policies.write_text(policies.read_text().replace("7.2.x", "'>=99'"))
    checkout.git("commit", "-qam", "a range that nothing satisfies")
    with pytest.raises(AssertionError, match="shop:cache"):
        action(checkout, tmp_path)
    assert branches(checkout) == ["main"]


def gitlab(checkout: Checkout, tmp_path: Path, found: str = "[]", code: int = 0, **variables: str) -> list[str]:
    """Run the job of GitLab on its detached checkout. `glab` is GitLab's service behind a program: a recorder stands in."""
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["update-images"]
    before = [line for line in job["before_script"] if line.startswith("git config")]
    checkout.git("checkout", "-q", "--detach")
    known = {"CI_DEFAULT_BRANCH": "main", "CI_SERVER_HOST": "git.example", "CI_SERVER_URL": "https://git.example", "IMAGES_PUSH_TOKEN": CANARY}
    path = recorder(tmp_path, "glab", found) + checkout.env["PATH"]
    done = checkout.script("\n".join([*before, *job["script"]]), **known, **job["variables"] | variables, PATH=path)
    assert done.returncode == code, done.stderr
    kept = [checkout.folder / name for name in job["artifacts"]["paths"]] + [tmp_path / "arguments"]
    assert CANARY not in done.stdout + done.stderr + "".join(one.read_text() for one in kept)
    return (tmp_path / "calls").read_text().splitlines()


def test_the_gitlab_job_opens_one_merge_request(checkout: Checkout, tmp_path: Path):
    assert gitlab(checkout, tmp_path) == ["mr list", "mr create"]
    assert_proposed(checkout)
    arguments = (tmp_path / "arguments").read_text()
    assert "| ghcr.io/acme/web | 1.2.0 | 1.3.1 |" in arguments
    assert json.loads((checkout.folder / "krmfn.sarif").read_text())["version"] == "2.1.0"
    commit = succeed(["git", "rev-parse", "krmfn/images"], cwd=checkout.origin, env=checkout.env).strip()
    opened, closed = json.dumps([{"state": "opened", "sha": "0"}]), json.dumps([{"state": "closed", "sha": commit}])
    assert gitlab(checkout, tmp_path, opened) == ["mr list", "mr update"]
    assert gitlab(checkout, tmp_path, closed) == ["mr list"]
    assert gitlab(checkout, tmp_path, json.dumps([{"state": "closed", "sha": "0"}])) == ["mr list", "mr create"]


def test_the_gitlab_job_opens_a_merge_request_for_each_image(checkout: Checkout, tmp_path: Path):
    assert gitlab(checkout, tmp_path, OPTIONS="--split --prune").count("mr create") == len(branches(checkout)) - 1 > 1


def test_the_gitlab_job_pushes_with_merge_request_options(checkout: Checkout):
    job = yaml.safe_load((CI / "gitlab-push-options.yml").read_text())["update-images"]
    hook = checkout.origin / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_ | sort > options\n")
    hook.chmod(0o755)
    checkout.git("checkout", "-q", "--detach")
    done = checkout.script("\n".join(job["script"]), CI_DEFAULT_BRANCH="main")
    assert done.returncode == 0, done.stderr
    assert_proposed(checkout)
    assert (checkout.origin / "options").read_text().splitlines() == [
        "GIT_PUSH_OPTION_0=merge_request.create",
        "GIT_PUSH_OPTION_1=merge_request.target=main",
        "GIT_PUSH_OPTION_2=merge_request.remove_source_branch",
        "GIT_PUSH_OPTION_COUNT=3",
    ]


def test_the_cronjob_clones_and_proposes(checkout: Checkout, tmp_path: Path):
    job = yaml.safe_load((CI / "cronjob.yaml").read_text())
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    work = tmp_path / "work"
    work.mkdir()
    for container in pod["containers"]:
        command = [word.replace("/checkout", str(work)) for word in container["command"]]
        succeed(command, env=checkout.env | {"URL": f"file://{checkout.origin}", "TMPDIR": str(work)})
    assert_proposed(checkout)
    assert sorted(path.name for path in work.iterdir()) == ["source"]


def test_the_tekton_task_updates_the_workspace(checkout: Checkout, tmp_path: Path):
    step = yaml.safe_load((CI / "tekton-task.yaml").read_text())["spec"]["steps"][0]
    command = [word.replace("$(results.why.path)", str(tmp_path / "why")) for word in step["command"]]
    succeed([*command, "."], cwd=checkout.folder, env=checkout.env)
    assert "| ghcr.io/acme/web | 1.2.0 | 1.3.1 |" in (tmp_path / "why").read_text()
    assert "ghcr.io/acme/web:1.3.1" in (checkout.folder / "web.yaml").read_text()


def test_the_argocd_plugin_generates_the_built_manifests():
    tools.require("kustomize")
    plugin = yaml.safe_load((EXAMPLES / "argocd" / "plugin.yaml").read_text())
    shown = succeed(plugin["spec"]["generate"]["command"], cwd=EXAMPLES / "kustomize" / "overlays" / "production")
    assert shown == (EXAMPLES / "kustomize" / ".expected" / "production.yaml").read_text()


def test_the_argocd_patch_applies_to_a_repo_server(tmp_path: Path):
    (tmp_path / "server.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: argocd-repo-server}\nspec:\n  template:\n    spec:\n"
        "      containers: [{name: argocd-repo-server, image: argocd}]\n      volumes: [{name: var-files, emptyDir: {}}]\n"
    )
    shutil.copy(EXAMPLES / "argocd" / "repo-server.yaml", tmp_path / "patch.yaml")
    (tmp_path / "kustomization.yaml").write_text("resources: [server.yaml]\npatches: [{path: patch.yaml}]\n")
    pod = yaml.safe_load(succeed([tools.require("kustomize"), "build", tmp_path]))["spec"]["template"]["spec"]
    assert {container["name"] for container in pod["containers"]} == {"argocd-repo-server", "krmfn"}
    assert {volume["name"] for volume in pod["volumes"]} == {"var-files", "cmp-tmp", "docker"}


def documents(root: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted([*root.rglob("*.yml"), *root.rglob("*.yaml")]):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def test_every_set_up_is_yaml():
    assert len(list(documents(CI))) >= 6
    assert len(list(documents(ROOT / ".github"))) >= 3


def test_every_action_is_pinned():
    workflows = [*(ROOT / ".github").rglob("*.yml"), *CI.rglob("*.yml")]
    lines = [line.strip("- ") for path in workflows for line in path.read_text().splitlines() if "uses:" in line]
    assert len(lines) > 10
    assert [line for line in lines if not PINNED.search(line)] == []


HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_a_hook_passes_on_an_example_that_is_up_to_date(hook: dict[str, Any], checkout: Checkout):
    succeed(["krmfn", "update", "."], cwd=checkout.folder, env=checkout.env)
    succeed([*hook["entry"].split(), *hook["args"]], cwd=checkout.folder, env=checkout.env)


def test_the_update_hook_fails_on_an_image_behind_its_policy(checkout: Checkout):
    hook = next(hook for hook in HOOKS if hook["id"] == "krmfn-update")
    done = run([*hook["entry"].split(), *hook["args"]], cwd=checkout.folder, env=checkout.env)
    assert done.returncode == 10
    assert "+          image: ghcr.io/acme/web:1.3.1" in done.stdout


def test_the_bundled_images_are_not_named_by_the_set_ups():
    """A set-up that named the example's images would work here and nowhere else."""
    for name, document in documents(CI):
        assert not any(image in str(document) for image in images.EXAMPLES), name
