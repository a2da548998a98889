"""Real kpt runs krmfn: render and eval with --exec, source and sink, results, failures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests import tools
from tests.conftest import free_port
from tests.running import EXAMPLES, Done, diff, files, run, succeed

EXAMPLE = EXAMPLES / "kpt-package"
POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: web\n      image: {}:1.2.0 # the web\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "shop"))


def kpt(*arguments: str | Path) -> Done:
    return run([tools.require("kpt"), "fn", *arguments])


def test_render_makes_the_expected_diff_and_results(package: Path, tmp_path: Path, golden):
    before = files(package)
    done = kpt("render", package, "--allow-exec", "--results-dir", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert diff(before, files(package)) == (EXAMPLE / ".expected" / "diff.patch").read_text()
    seen = (tmp_path / "results" / "results.yaml").read_text()
    golden(seen, EXAMPLE / ".expected" / "results.yaml")
    assert len(yaml.safe_load(seen)["items"][0]["results"]) == 3


def test_the_example_has_no_noise_of_kpts_own(package: Path):
    before = files(package)
    assert kpt("eval", package, "--exec", "cat").returncode == 0
    assert files(package) == before


def test_a_second_render_changes_nothing(package: Path):
    assert kpt("render", package, "--allow-exec").returncode == 0
    once = files(package)
    assert kpt("render", package, "--allow-exec").returncode == 0
    assert files(package) == once


def test_render_shows_old_and_new_in_the_terminal(package: Path):
    done = kpt("render", package, "--allow-exec")
    assert "1.2.0 -> 1.3.1" in done.stdout + done.stderr


def test_eval_takes_a_policy_from_its_arguments(tmp_path: Path, example_registry: str):
    image = f"{example_registry}/acme/web"
    (tmp_path / "pod.yaml").write_text(POD.format(image))
    done = kpt("eval", tmp_path, "--exec", "krmfn", "--", f"image={image}", "semver=1.2.x")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pod.yaml").read_text() == POD.format(image).replace("1.2.0", "1.2.1")


def test_eval_takes_a_configuration_file(tmp_path: Path, example_registry: str):
    image = f"{example_registry}/acme/web"
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "pod.yaml").write_text(POD.format(image))
    (tmp_path / "images.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images}\nspec:\n  policies:\n"
        f"    - {{name: web, image: '{image}', policy: {{semver: {{range: '>=1.0.0'}}}}}} # all\n"
    )
    done = kpt("eval", tmp_path / "package", "--exec", "krmfn", "--fn-config", tmp_path / "images.yaml")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "package") == {"pod.yaml": POD.format(image).replace("1.2.0", "2.0.0")}


def test_a_subpackage_is_rendered_by_its_own_pipeline(package: Path):
    child = package / "child"
    shutil.copytree(EXAMPLE, child)
    (package / "Kptfile").write_text((package / "Kptfile").read_text().replace("exec: krmfn", "exec: cat"))
    assert kpt("render", package, "--allow-exec").returncode == 0
    assert "ghcr.io/acme/web:1.3.1 #" in files(package)["child/web.yaml"]
    assert "ghcr.io/acme/web:1.2.0 #" in files(package)["web.yaml"]


def test_a_registry_that_is_down_leaves_every_file_as_it_was(package: Path):
    (package / "tags.yaml").unlink()
    address = f"127.0.0.1:{free_port()}"
    for name in ("web.yaml", "image-policies.yaml"):
        path = package / name
        path.write_text(path.read_text().replace("ghcr.io", address).replace("image: redis", f"image: {address}/redis"))
    before = files(package)
    done = kpt("render", package, "--allow-exec")
    assert done.returncode == 1
    assert files(package) == before
    assert f"{address}/acme/web" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_source_and_sink_around_krmfn_keep_comments(package: Path, tmp_path: Path):
    listed = succeed([tools.require("kpt"), "fn", "source", package])
    answered = succeed(["krmfn"], text=listed)
    succeed([tools.require("kpt"), "fn", "sink", tmp_path / "out"], text=answered)
    assert diff({"web.yaml": files(package)["web.yaml"]}, {"web.yaml": files(tmp_path / "out")["web.yaml"]}) in (
        (EXAMPLE / ".expected" / "diff.patch").read_text()
    )
