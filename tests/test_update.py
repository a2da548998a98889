"""`krmfn update` on files: what it prints in each form, and what it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from krmfn.git.changelog import Link, link
from tests import images
from tests.running import EXAMPLES, files, run

LAYOUT = f"layout:{images.BUNDLED}"
REPO = "https://github.com/acme/web"
OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "repo")
    return tmp_path


def update(repo: Path, *arguments: str, source: str = LAYOUT):
    return run(["krmfn", "update", "repo", "--source", source, *arguments], cwd=repo)


TABLE = """\
ghcr.io/acme/api  main-3f9c2d1-1767225600 -> main-12e4567-1772323200  repo/apps/api.yaml:14
redis             7.2.4 -> 7.2.5                                      repo/apps/kustomization.yaml:10
ghcr.io/acme/web  1.2.0 -> 1.3.1                                      repo/apps/web.yaml:16
"""


def test_one_line_per_image_says_from_to_and_where(repo: Path):
    done = update(repo)
    assert done.stdout == TABLE
    assert done.stderr == "3 images, 3 fields in 3 of 7 files changed\n"
    assert "image: ghcr.io/acme/web:1.3.1 # {" in (repo / "repo/apps/web.yaml").read_text()


def test_check_says_what_would_change_and_writes_nothing(repo: Path):
    before = files(repo)
    done = update(repo, "--check")
    assert (done.returncode, done.stdout) == (10, TABLE)
    assert done.stderr == "3 images, 3 fields in 3 of 7 files would change\n"
    assert files(repo) == before


def test_a_second_run_is_up_to_date(repo: Path):
    update(repo)
    done = update(repo, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "up to date: nothing to change in 7 files\n"


def test_one_image_at_many_places_is_one_line(repo: Path):
    text = (repo / "repo/apps/web.yaml").read_text()
    for index in range(5):
        (repo / f"repo/apps/web{index}.yaml").write_text(text)
    line = update(repo).stdout.splitlines()[-1]
    assert line.endswith("repo/apps/web.yaml:16 repo/apps/web0.yaml:16 repo/apps/web1.yaml:16 +3")


def test_diff_stands_alone_and_applies(repo: Path):
    shutil.copytree(repo / "repo", repo / "copy" / "repo")
    done = update(repo, "--diff")
    assert done.stdout.startswith("--- a/repo/apps/api.yaml\n+++ b/repo/apps/api.yaml\n")
    applied = run(["git", "apply", "-"], cwd=repo / "copy", text=done.stdout)
    assert applied.returncode == 0
    assert files(repo / "copy" / "repo") == files(repo / "repo")


def test_json_names_every_change(repo: Path):
    data = json.loads(update(repo, "-o", "json").stdout)
    assert data["changed"] == ["repo/apps/api.yaml", "repo/apps/kustomization.yaml", "repo/apps/web.yaml"]
    (web,) = (one for one in data["results"] if one["field"]["proposedValue"] == "ghcr.io/acme/web:1.3.1")
    assert web["file"] == {"path": "repo/apps/web.yaml", "line": 16, "column": 16}
    assert (
        web["message"]
        == "ghcr.io/acme/web: 1.2.0 -> 1.3.1 (policy flux-system:web, semver >=1.2.0 <2.0.0, 4 of 9 tags eligible)"
    )


def test_markdown_is_the_body_of_a_pull_request(repo: Path):
    assert update(repo, "-o", "markdown", "--check").stdout.splitlines() == [
        "| image | from | to | files | why |",
        "| --- | --- | --- | --- | --- |",
        "| ghcr.io/acme/api | main-3f9c2d1-1767225600 | main-12e4567-1772323200 | repo/apps/api.yaml:14 | policy flux-system:api, numerical asc, 3 of 5 tags eligible |",
        "| redis | 7.2.4 | 7.2.5 | repo/apps/kustomization.yaml:10 | policy flux-system:cache, semver 7.2.x, 2 of 5 tags eligible |",
        "| ghcr.io/acme/web | 1.2.0 | 1.3.1 | repo/apps/web.yaml:16 | policy flux-system:web, semver >=1.2.0 \\<2.0.0, 4 of 9 tags eligible |",
    ]


def labelled(folder: Path, labels: dict[str, dict[str, str]]) -> str:
    """Write a layout whose images of ghcr.io/acme/web carry labels, by tag."""
    images.write(folder, images.EXAMPLES)
    root = folder / "ghcr.io/acme/web"
    index = json.loads((root / "index.json").read_text())
    for entry in index["manifests"]:
        entry.setdefault("annotations", {})
        tag = entry["annotations"]["org.opencontainers.image.ref.name"]
        if tag in labels:
            _relabel(root, entry, labels[tag])
    (root / "index.json").write_text(json.dumps(index))
    return f"layout:{folder}"


def _relabel(root: Path, entry: dict[str, Any], labels: dict[str, str]) -> None:
    manifest = json.loads(_blob(root, entry["digest"]).read_text())
    config = json.loads(_blob(root, manifest["config"]["digest"]).read_text())
    config["config"]["Labels"] = labels
    manifest["config"] = _stored(root, config, manifest["config"])
    entry.update(_stored(root, manifest, entry))


def _blob(root: Path, digest: str) -> Path:
    return root / "blobs" / digest.replace(":", "/")


def _stored(root: Path, value: object, descriptor: dict[str, Any]) -> dict[str, Any]:
    made = images._descriptor(descriptor["mediaType"], images._text(value))
    _blob(root, str(made["digest"])).write_bytes(images._text(value))
    return {**descriptor, **made}


def test_markdown_links_to_the_source_and_the_comparison(repo: Path):
    key = "org.opencontainers.image."
    labels = {
        tag: {f"{key}source": f"{REPO}.git", f"{key}revision": commit}
        for tag, commit in (("1.2.0", OLD), ("1.3.1", NEW))
    }
    shown = update(repo, "-o", "markdown", "--check", source=labelled(repo / "layout", labels)).stdout
    assert f"| [ghcr.io/acme/web]({REPO}) | 1.2.0 | [1.3.1]({REPO}/compare/{OLD}...{NEW}) |" in shown
    assert "| redis | 7.2.4 |" in shown


LINKS = {
    "no label": ({}, {}, None),
    "a source": ({"source": REPO}, {}, Link(REPO)),
    "a comparison": ({"source": REPO, "revision": NEW}, {"revision": OLD}, Link(REPO, f"{REPO}/compare/{OLD}...{NEW}")),
    "gitlab": ({"source": "https://gitlab.com/a/b", "revision": NEW}, {"revision": OLD}, Link("https://gitlab.com/a/b", f"https://gitlab.com/a/b/-/compare/{OLD}...{NEW}")),
    "another host": ({"source": "https://git.example/a/b", "revision": NEW}, {"revision": OLD}, Link("https://git.example/a/b")),
    "the same commit": ({"source": REPO, "revision": OLD}, {"revision": OLD}, Link(REPO)),
    "a revision that is none": ({"source": REPO, "revision": "v1"}, {"revision": OLD}, Link(REPO)),
    "a script": ({"source": "javascript:alert(1)"}, {}, None),
    "an address that closes the link": ({"source": "https://x/a) [b](https://evil"}, {}, None),
    "a line break": ({"source": "https://x/a\nb"}, {}, None),
    "a password": ({"source": "https://u:p@x/a"}, {}, None),
    "a very long address": ({"source": "https://x/" + "a" * 400}, {}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", LINKS)
def test_only_plain_addresses_become_links(case: str):
    new, old, expected = LINKS[case]
    prefix = "org.opencontainers.image."
    assert (
        link(
            {prefix + name: value for name, value in new.items()}, {prefix + name: value for name, value in old.items()}
        )
        == expected
    )


def test_an_error_writes_nothing_and_exits_1(repo: Path):
    before = files(repo)
    done = update(repo, source=f"layout:{repo / 'nowhere'}")
    assert done.returncode == 1
    assert "nowhere holds no OCI layout at all (3 repositories: ghcr.io/acme/api, docker.io/library/redis, ghcr.io/acme/web)" in done.stderr
    assert done.stderr.splitlines()[-1].endswith("nothing written")
    assert done.stdout == ""
    assert files(repo) == before


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_errors_reach_stderr_in_every_form(repo: Path, form: str):
    done = update(repo, "-o", form, source=f"layout:{repo / 'nowhere'}")
    assert done.returncode == 1
    assert "nowhere holds no OCI layout at all (3 repositories: ghcr.io/acme/api, docker.io/library/redis, ghcr.io/acme/web)" in done.stderr
    assert "policy flux-system:api" in done.stdout


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_stderr_is_silent_when_all_went_well(repo: Path, form: str):
    assert update(repo, "-o", form).stderr == ""


def test_an_automation_limits_what_is_looked_at(repo: Path):
    shutil.copy(repo / "repo/apps/web.yaml", repo / "repo/clusters/web.yaml")
    done = update(repo, "--automation", "apps", "--check")
    assert done.returncode == 10
    assert "clusters/web.yaml" not in done.stdout
    assert "repo/apps/web.yaml:16" in done.stdout


def test_mode_check_on_files_is_what_check_is(repo: Path):
    before = files(repo)
    done = update(repo, "--mode", "check")
    assert (done.returncode, done.stdout) == (10, TABLE)
    assert files(repo) == before


def test_without_a_policy_it_says_what_to_do(tmp_path: Path):
    (tmp_path / "pod.yaml").write_text("kind: Pod\nspec: {containers: [{image: 'ghcr.io/acme/web:1.2.0'}]}\n")
    done = run(["krmfn", "update", "."], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("no policy in 1 file: nothing says which images to choose\nhelp: krmfn update --within minor needs none")
