"""Plans: the same trees at the same time give the same bytes, git repositories are read by URL without a checkout."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from krmfn.fleet.plan import PlannedTree, Use, decode, encode, make, written
from krmfn.policies.rules import parse_rules
from tests.running import call

NOW = "2026-11-20T10:00:00Z"


def pod(*images: str) -> str:
    lines = "".join(f"\n  - {{name: c{number}, image: {image!r}}}" for number, image in enumerate(images))
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:{lines}\n"


def planned(cwd: Path, *arguments: object, text: str = "", **more: str) -> dict[str, Any]:
    done = call("fleet", "plan", *arguments, cwd=cwd, text=text, KRMFN_NOW=NOW, **more)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def ssh(tmp_path: Path) -> str:
    """A program in the place of ssh that runs what is asked for here, and writes down that it was called."""
    program = tmp_path / "ssh.sh"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    folder = tmp_path / "remote"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "apps").mkdir()
    (folder / "apps" / "web.yaml").write_text(pod("ghcr.io/acme/web:1.2.0"))
    (folder / "link.yaml").symlink_to("/etc/passwd")
    (folder / ".gitattributes").write_text("*.yaml filter=lfs\n")
    (folder / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = https://nowhere.invalid/x\n')
    git(folder, "add", "-f", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


def test_repositories_are_distinct_and_in_lanes_by_host(tmp_path):
    for name, image in (("a", "nginx:1.25"), ("b", "docker.io/library/nginx:1.26"), ("c", "ghcr.io/acme/web:2.0.0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pod.yaml").write_text(pod(image))
    found = planned(tmp_path, "c", "a", "b", "a")
    assert found["now"] == "2026-11-20T10:00Z"
    assert [tree["tree"] for tree in found["trees"]] == ["a", "b", "c"]
    assert found["lanes"] == [{"host": "docker.io", "repositories": 1, "shards": 1}, {"host": "ghcr.io", "repositories": 1, "shards": 1}]
    assert call("fleet", "plan", "b", "c", "a", cwd=tmp_path, KRMFN_NOW=NOW).stdout == call("fleet", "plan", "-", cwd=tmp_path, text="a\nb\n# no\n\nc\n", KRMFN_NOW=NOW).stdout


def test_what_policies_choose_among_is_asked_too_and_what_is_not_deployed_is_not(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images}\n"
        "spec: {policies: [{name: web, image: quay.io/acme/web, policy: {semver: {range: '*'}}}]}\n---\n" + pod("${REGISTRY}/x:1", "nginx:1.25 # krmfn")
    )
    trees = planned(tmp_path, "tree")["trees"]
    assert trees[0]["images"] == {"quay.io/acme/web": {"tags": [], "policies": [{"exclusionList": ["^.*\\.sig$"], "policy": {"semver": {"range": "*"}}}]}}


def test_a_shard_has_a_thousand_sorted_names():
    images = {f"ghcr.io/acme/app-{number:05}": Use(("1.0",)) for number in range(2500)}
    plan = make(0.0, [PlannedTree("t", "", images)])
    assert [len(shard.images) for shard in plan.lanes[0].shards] == [1000, 1000, 500]
    assert [shard.first for shard in plan.lanes[0].shards] == ["ghcr.io/acme/app-00000", "ghcr.io/acme/app-01000", "ghcr.io/acme/app-02000"]
    assert encode(decode(encode(plan), "x")) == encode(plan)


def test_a_git_repository_is_read_by_url_and_nothing_is_checked_out(tmp_path, remote, ssh):
    url = f"ssh://git@git.example{remote}"
    found = planned(tmp_path, url, f"{url}#main", GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT="simple")
    commit = git(remote, "rev-parse", "HEAD")
    images = {"ghcr.io/acme/web": {"tags": ["1.2.0"]}}
    assert found["trees"] == [{"tree": name, "commit": commit, "images": images} for name in (url, f"{url}#main")]


def test_a_repository_at_the_same_commit_is_not_read_again(tmp_path, remote, ssh):
    url = f"git@git.example:{remote}"
    (tmp_path / "scan0").mkdir()
    plan = call("fleet", "plan", url, cwd=tmp_path, KRMFN_NOW=NOW, GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT="simple").stdout
    (tmp_path / "scan0" / "plan.json").write_text(plan)
    (tmp_path / "calls").unlink()
    again = call("fleet", "plan", url, "--since", "scan0", cwd=tmp_path, KRMFN_NOW=NOW, GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT="simple")
    assert again.stdout == plan
    assert len((tmp_path / "calls").read_text().splitlines()) == 1, "the commit was asked, and nothing fetched"
    (remote / "apps" / "web.yaml").write_text(pod("ghcr.io/acme/web:1.3.0"))
    git(remote, "commit", "-qam", "two")
    newer = call("fleet", "plan", url, "--since", "scan0", cwd=tmp_path, KRMFN_NOW=NOW, GIT_SSH_COMMAND=ssh, GIT_SSH_VARIANT="simple")
    assert '"1.3.0"' in newer.stdout


def images_of(plan: dict[str, Any]) -> list[list[str]]:
    return [list(tree["images"]) for tree in plan["trees"]]


def test_what_is_excluded_is_read_neither_from_folders_nor_by_url(tmp_path, remote, ssh):
    (remote / "old").mkdir()
    (remote / "old" / "api.yaml").write_text(pod("ghcr.io/acme/api:1.0.0"))
    git(remote, "add", "old")
    git(remote, "commit", "-q", "-m", "two")
    both = ["ghcr.io/acme/api", "ghcr.io/acme/web"]
    for tree in (f"ssh://git@git.example{remote}", "remote"):
        assert images_of(planned(tmp_path, tree, GIT_SSH=ssh)) == [both]
        for pattern in ("old/", "**/old/*", "api.yaml"):
            assert images_of(planned(tmp_path, tree, "--exclude", pattern, GIT_SSH=ssh)) == [both[1:]]
        assert images_of(planned(tmp_path, tree, "--exclude", "*.yaml", "--exclude", "!web.yaml", GIT_SSH=ssh)) == [both[1:]]


def test_rules_that_cannot_be_read_are_told_before_a_plan(tmp_path):
    (tmp_path / "pod.yaml").write_text(pod("ghcr.io/acme/web:1.0.0"))
    done = call("fleet", "plan", ".", "--rules", "nowhere", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nowhere" in done.stderr


def test_a_folder_says_its_commit_and_whether_it_differs(tmp_path, remote):
    commit = git(remote, "rev-parse", "HEAD")
    assert planned(tmp_path, "remote")["trees"][0]["commit"] == commit
    (remote / "more.yaml").write_text(pod("nginx:1"))
    assert planned(tmp_path, "remote")["trees"][0]["commit"] == f"{commit}-dirty"


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example/x", "git://git.example/x", "file:///etc", "ext::sh -c true", "ftp://h/x", "ssh://-oProxyCommand=x/y",
        "-oProxyCommand=x@h:y", "https://h/x#--upload-pack=x", "https://h/x#a..b", "https:///x", "https://h/x y",
    ],
)  # fmt: skip
def test_other_urls_are_refused(tmp_path, url):
    done = call("fleet", "plan", "--", url, cwd=tmp_path, KRMFN_NOW=NOW, GIT_SSH_COMMAND="false")
    assert done.returncode == 1
    assert not done.stdout
    assert "expected" in done.stderr or "no such file" in done.stderr


def test_a_login_in_a_url_is_refused_and_never_shown(tmp_path):
    done = call("fleet", "plan", "https://user:s3cr3t@git.example/x", cwd=tmp_path, KRMFN_NOW=NOW)
    assert done.returncode == 1
    assert "credential helper" in done.stderr
    assert "s3cr3t" not in done.stderr


def test_git_may_not_use_another_protocol_than_the_url_says(tmp_path, remote):
    config = tmp_path / "gitconfig"
    config.write_text(f'[url "file://{remote}"]\n\tinsteadOf = https://git.example/x\n')
    done = call("fleet", "plan", "https://git.example/x", cwd=tmp_path, KRMFN_NOW=NOW, GIT_CONFIG_GLOBAL=str(config))
    assert done.returncode == 1
    assert "transport 'file' not allowed" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is not a JSON object"),
        ("{}", "is no krmfn.dev/v1alpha1 FleetPlan"),
        ('{"apiVersion": "krmfn.dev/v1alpha1", "kind": "FleetPlan", "now": "soon"}', "no time under now"),
        ('{"apiVersion": "krmfn.dev/v1alpha1", "kind": "FleetPlan", "now": "2026-11-20T10:00Z", "trees": [{"tree": "a", "commit": "", "images": {"nginx": {"tags": []}}}]}',
         "'nginx', which is no whole repository"),
        ('{"apiVersion": "krmfn.dev/v1alpha1", "kind": "FleetPlan", "now": "2026-11-20T10:00Z", "trees": [{"tree": "a", "commit": "", "images": {"../../x": {"tags": []}}}]}',
         "which is no whole repository"),
        ('{"apiVersion": "krmfn.dev/v1alpha1", "kind": "FleetPlan", "now": "2026-11-20T10:00Z", "trees": [{"tree": "a", "commit": "", "images": {"ghcr.io/a": {"tags": ["-x"]}}}]}',
         "something else than a list of tags"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_told(tmp_path, text, message):
    (tmp_path / "plan.json").write_text(text)
    done = call("fleet", "scan", "plan.json", "--lane", "0", "--to", "scan", cwd=tmp_path, KRMFN_NOW=NOW)
    assert done.returncode == 1
    assert message in done.stderr
    assert not os.path.exists(tmp_path / "scan")  # noqa: PTH110


RULES: tuple[Mapping[str, Any], ...] = (
    {"policy": {"semver": {"range": ">=1.2.0 <2.0.0"}}},
    {"policy": {"alphabetical": {"order": "desc"}}, "filter_tags": {"pattern": "^v(?P<v>.*)$", "extract": "$v"}},
    {"policy": {"numerical": {}}, "exclusion_list": ["^x"], "allow_tags": ["a", "b"], "ignore_tags": ["c"]},
    {"policy": {"version": {"within": "minor"}}},
    {"policy": {"newest": {}}},
    {"policy": {"digest": {}}},
)


@pytest.mark.parametrize("given", RULES)
def test_the_rules_in_a_plan_are_those_of_the_policy(given):
    rules = parse_rules(**given)
    told = json.loads(written(rules.canonical()))
    again = parse_rules(
        told["policy"], filter_tags=told.get("filterTags"), exclusion_list=told.get("exclusionList"),
        allow_tags=told.get("allowTags", ()), ignore_tags=told.get("ignoreTags", ()),
    )  # fmt: skip
    assert again.canonical() == rules.canonical()


def test_trees_that_cannot_be_read_are_told_all_and_may_stay_as_they_were(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "pod.yaml").write_text(pod("nginx:1.25"))
    first = call("fleet", "plan", "a", cwd=tmp_path, KRMFN_NOW=NOW)
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "plan.json").write_text(first.stdout)
    (tmp_path / "a").rename(tmp_path / "b")
    failed = call("fleet", "plan", "a", "b", "c", cwd=tmp_path, KRMFN_NOW=NOW)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "a: there is no such file" in failed.stderr
    assert "c: there is no such file" in failed.stderr
    assert "2 of 3 trees could not be read" in failed.stderr
    kept = call("fleet", "plan", "a", "b", "c", "--on-error", "keep", "--since", "last", cwd=tmp_path, KRMFN_NOW=NOW)
    assert kept.returncode == 0
    assert [tree["tree"] for tree in json.loads(kept.stdout)["trees"]] == ["a", "b"]
    assert "its images are those of the earlier scan" in kept.stderr
    assert "it is left out" in kept.stderr
