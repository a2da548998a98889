"""The wheel and the sdist build, hold what they should, install into an empty environment and run there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from krmfn import __version__
from tests.running import EXAMPLES, environment, run, succeed
from tests.signing import Signer
from tests.tools import ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel out of the sdist, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    succeed([sys.executable, "-m", "build", "-q", "--no-isolation", "-o", folder, ROOT], timeout=300)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel with its hashed lock into an environment that has nothing else; answer its bin folder."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    succeed([sys.executable, "-m", "venv", folder])
    pip = [folder / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-deps"]
    succeed([*pip, "--require-hashes", "-r", ROOT / "requirements.txt"], timeout=300)
    succeed([*pip, "--no-index", *built.glob("*.whl")])
    return folder / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(built: Path):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = wheel.namelist()
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "krmfn").rglob("*.py")}
    assert modules <= set(names)
    assert "krmfn/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"krmfn", f"krmfn-{__version__}.dist-info"}


def test_the_sdist_can_be_tested(built: Path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "Makefile", "pyproject.toml", "krmfn/__main__.py", "tests/conftest.py"} <= names
    assert {"examples/images/ghcr.io/acme/web/index.json", "requirements.txt", "requirements-dev.txt"} <= names


def test_a_build_of_the_same_source_gives_the_same_bytes(built: Path, tmp_path: Path):
    command = [sys.executable, "-m", "build", "-q", "--no-isolation", "-w", "-o", tmp_path, ROOT]
    succeed(command, env=environment(SOURCE_DATE_EPOCH="1767225600"), timeout=300)
    first = next(tmp_path.glob("*.whl")).read_bytes()
    succeed(command, env=environment(SOURCE_DATE_EPOCH="1767225600"), timeout=300)
    assert next(tmp_path.glob("*.whl")).read_bytes() == first


def test_an_empty_environment_runs_the_installed_program(installed: Path, tmp_path: Path):
    env = environment() | {"PATH": os.pathsep.join((str(installed), os.defpath))}
    assert succeed(["krmfn", "--version"], env=env, cwd=tmp_path) == f"krmfn {__version__}\n"
    shutil.copytree(EXAMPLES / "kpt-package", tmp_path / "shop")
    shown = succeed(["krmfn", "update", "shop", "--diff"], env=env, cwd=tmp_path)
    assert "+          image: ghcr.io/acme/web:1.3.1 #" in shown
    layout = ("--source", f"layout:{EXAMPLES / 'images'}")
    done = run(["krmfn", "update", EXAMPLES / "flux-repo", *layout, "--check"], env=env, cwd=tmp_path)
    assert done.returncode == 10
    assert "Traceback" not in done.stderr


def test_every_dependency_is_there_in_a_version_that_fits(installed: Path):
    assert "No broken requirements found" in succeed([installed / "python", "-m", "pip", "check"])


def test_a_module_of_the_same_name_in_the_folder_is_not_imported(installed: Path, tmp_path: Path):
    """Kustomize starts exec functions in the repository: a yaml.py in a pull request must not run."""
    (tmp_path / "yaml.py").write_text("raise SystemExit('imported from the folder')\n")
    listed = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems: []\n"
    assert succeed([installed / "krmfn"], text=listed, cwd=tmp_path) == listed


def pins(name: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    assert found
    return dict(found)


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-verify.txt", "requirements-build.txt"])
def test_the_locks_agree(lock: str):
    assert pins(lock).items() <= pins("requirements-dev.txt").items()


def named(lines: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9.-]", line)[0].replace(".", "-").lower() for line in lines}


def test_every_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named(project["dependencies"]) <= pins("requirements.txt").keys()


def test_the_extra_is_locked_beside_the_rest_and_the_image_has_it():
    extra = named(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["verify"])
    plain, whole = pins("requirements.txt"), pins("requirements-verify.txt")
    assert plain.items() <= whole.items()
    assert extra <= whole.keys() - plain.keys()
    assert "-r requirements-verify.txt" in (ROOT / "Dockerfile").read_text()


KEYLESS = """
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: signed}
spec:
  require:
  - verify: [{provider: cosign, matchOIDCIdentity: [{issuer: "https://accounts.example.com", subject: ".*@example.com"}]}]
"""


def test_identities_without_the_extra_are_an_error_that_says_what_to_install(installed: Path, tmp_path: Path):
    """By a key everything is there: only the missing signature is told."""
    (tmp_path / "rules.yaml").write_text(KEYLESS)
    layout = ["--source", f"layout:{EXAMPLES / 'images'}"]
    done = run([installed / "krmfn", "verify", tmp_path, "ghcr.io/acme/web:1.3.1", *layout], cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "pip install 'krmfn[verify]'" in done.stderr
    (tmp_path / "cosign.pub").write_bytes(Signer().pem)
    done = run([installed / "krmfn", "verify", "ghcr.io/acme/web:1.3.1", "--key", tmp_path / "cosign.pub", *layout], cwd=tmp_path)
    assert (done.returncode, "no signature by cosign.pub" in done.stderr) == (1, True), done.stderr


FREE = re.compile(r"\b(MIT|BSD|Apache|ISC|MPL|PSF|Python Software Foundation|Unlicense)\b")


LICENCES = """
import importlib.metadata, json
found = {}
for one in importlib.metadata.distributions():
    of = one.metadata
    classified = [line.rpartition(" :: ")[2] for line in of.get_all("Classifier", ()) if line.startswith("License :: ")]
    files = [path.read_text() for path in one.files or () if path.name.startswith("LICEN") and not of["License"]]
    text = (of["License"] or "".join(files[:1])).strip().splitlines()
    found[of["Name"].lower()] = of["License-Expression"] or ", ".join(classified) or (text[0] if text else "")
print(json.dumps(found))
"""


def test_every_shipped_licence_is_listed_and_free(installed: Path, update_golden: bool):
    found: dict[str, str] = json.loads(succeed([installed / "python", "-c", LICENCES]))
    found = {name: found[name] for name in sorted(found) if name not in {"krmfn", "pip", "setuptools", "wheel"}}
    assert len(found) >= 10
    assert [name for name, text in found.items() if not FREE.search(text)] == []
    rows = "".join(f"| {name} | {text} |\n" for name, text in found.items())
    page = f"# Licences of what krmfn installs\n\n| distribution | licence |\n|---|---|\n{rows}"
    extra = pins("requirements-verify.txt").keys() - pins("requirements.txt").keys()
    with_extra = {name.replace("_", "-"): text for name, text in json.loads(succeed([sys.executable, "-c", LICENCES])).items()}
    assert [name for name in sorted(extra) if not FREE.search(with_extra[name])] == []
    page += "\nWith the extra `verify`, and in the container image:\n\n| distribution | licence |\n|---|---|\n"
    page += "".join(f"| {name} | {with_extra[name]} |\n" for name in sorted(extra))
    path = ROOT / "docs" / "licences.md"
    if update_golden:
        path.write_text(page)
    listed = path.read_text().splitlines()
    assert [row for row in page.splitlines() if row not in listed] == []
