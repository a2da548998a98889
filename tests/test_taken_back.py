"""A rollback by hand sticks: `krmfn update` holds off what it wrote and people took back, and guesses nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests import images
from tests.lists import pod, policy, resource_list
from tests.running import call, environment, run, succeed

WEB = "ghcr.io/acme/web"
HOLDS = Path("shop/krmfn-holds.yaml")


def offer(*tags: str) -> None:
    shutil.rmtree("registry", ignore_errors=True)
    images.write(Path("registry"), {WEB: {tag: f"2026-01-{index + 1:02}T00:00:00Z" for index, tag in enumerate(tags)}})


def krmfn(*words: str, code: int = 0, text: str = "") -> str:
    env = {"KRMFN_NOW": "2026-11-21T00:00:00Z", "KRMFN_LAYOUT": str(Path("registry").absolute())}
    done = call(*words, cwd=Path.cwd(), **env) if words else run(["krmfn"], cwd=Path.cwd(), text=text, env=environment(**env))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose field an update has just moved from 1.0.0 to 1.2.0."""
    monkeypatch.chdir(tmp_path)
    Path("shop").mkdir()
    write("policy", policy())
    write("pod", pod(f"{WEB}:1.0.0"))
    offer("1.0.0", "1.1.0", "1.2.0")
    krmfn("fetch", "shop", "--lock")
    krmfn("update", "shop")
    assert field() == "1.2.0"
    return tmp_path


def write(name: str, text: str) -> None:
    Path(f"shop/{name}.yaml").write_text(text)


def edit(name: str, *pairs: tuple[str, str]) -> None:
    path = Path(f"shop/{name}.yaml")
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def field(name: str = "pod") -> str:
    found: list[str] = re.findall(rf"{WEB}:(\S+)", Path(f"shop/{name}.yaml").read_text())
    return found[0]


def holds() -> list[dict[str, str]]:
    documents = yaml.load_all(HOLDS.read_text(), yaml.BaseLoader) if HOLDS.exists() else ()
    return [one["spec"] for one in documents if one]


def tree() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("shop").rglob("*")) if path.is_file()}


HELD = {"policy": "flux:web", "not": "1.2.0", "until": "newer", "because": "taken back by hand"}


def test_a_rollback_by_hand_sticks_until_there_is_a_newer_tag():
    edit("pod", ("1.2.0", "1.1.0"))
    said = krmfn("update", "shop")
    assert "1.2.0 was taken back to 1.1.0 by hand" in said
    assert (field(), holds()) == ("1.1.0", [HELD])
    before = tree()
    for _ in range(2):
        krmfn("update", "shop")
        assert tree() == before
    krmfn("update", "shop", "--mode", "frozen")
    krmfn("fetch", "shop", "--lock")
    assert tree() == before
    offer("1.0.0", "1.1.0", "1.2.0", "1.3.0")
    assert "the hold ends: policy flux:web takes a newer tag than 1.2.0" in krmfn("update", "shop")
    assert (field(), holds()) == ("1.3.0", [])
    edit("pod", ("1.3.0", "1.1.0"))
    krmfn("update", "shop")
    assert [one["not"] for one in holds()] == ["1.3.0"]


def test_a_check_shows_it_and_writes_nothing():
    edit("pod", ("1.2.0", "1.1.0"))
    before = tree()
    said = krmfn("update", "shop", "--check", "--diff", code=10)
    assert '+  not: "1.2.0"' in said
    assert "taken back" in said
    assert tree() == before


def test_a_hold_goes_where_holds_stand():
    write("rules", "apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: x}\nspec: {policy: 'flux:web', not: 0.9.0}")
    edit("pod", ("1.2.0", "1.1.0"))
    krmfn("update", "shop")
    assert not HOLDS.exists()
    assert [one["spec"]["not"] for one in yaml.load_all(Path("shop/rules.yaml").read_text(), yaml.BaseLoader)] == ["0.9.0", "1.2.0"]


def digest_pin() -> None:
    edit("policy", ("Never", "IfNotPresent"))
    krmfn("update", "shop")
    assert "@sha256" in field()
    text = Path("shop/pod.yaml").read_text()
    write("pod", re.sub(r"1\.2\.0@sha256:\S+", "1.1.0@sha256:" + "a" * 64, text))


def two_fields() -> None:
    write("pair", 'kind: Thing\nspec:\n  tag: "1.0.0" # {"$imagepolicy": "flux:web:tag"}\n')
    krmfn("update", "shop")
    edit("pair", ("1.2.0", "1.0.0"))


def rename() -> None:
    edit("pod", ("1.2.0", "1.1.0"))
    Path("shop/pod.yaml").rename("shop/moved.yaml")


def another_rule() -> None:
    edit("pod", ("1.2.0", "1.1.0"))
    edit("policy", (">=1.0.0", ">=1.0.1"))


def without_record() -> None:
    Path("shop/krmfn-lock.yaml").unlink()
    edit("pod", ("1.2.0", "1.1.0"))


CASES: dict[str, tuple[Callable[[], object], bool]] = {
    "taken back below the range": (lambda: edit("pod", ("1.2.0", "0.9.0")), True),
    "taken back with its digest": (digest_pin, True),
    "a tag alone taken back": (two_fields, True),
    "edited upward": (lambda: edit("pod", ("1.2.0", "1.5.0")), False),
    "removed": (lambda: Path("shop/pod.yaml").unlink(), False),
    "renamed": (rename, False),
    "the policy changed": (another_rule, False),
    "a field that no update wrote": (lambda: write("other", pod(f"{WEB}:1.0.0", name="other")), False),
    "replaced by another image": (lambda: edit("pod", (f"{WEB}:1.2.0", "nginx:1.0.0")), False),
    "the record is gone too": (without_record, False),
}  # fmt: skip
"""What people did to what was written -> whether that is a rollback."""


@pytest.mark.parametrize("row", CASES)
def test_what_is_a_rollback_by_hand(row: str):
    change, expected = CASES[row]
    change()
    krmfn("update", "shop")
    assert [one["not"] for one in holds()] == (["1.2.0"] if expected else [])
    before = tree()
    krmfn("update", "shop")
    assert tree() == before


def test_a_policy_that_moves_on_from_what_is_deployed_is_held_too():
    write("policy", policy("version: {within: minor}"))
    write("pod", pod(f"{WEB}:1.0.0"))
    Path("shop/krmfn-lock.yaml").unlink()
    krmfn("fetch", "shop", "--lock")
    krmfn("update", "shop")
    edit("pod", ("1.2.0", "1.0.0"))
    krmfn("update", "shop")
    assert (field(), [one["not"] for one in holds()]) == ("1.1.0", ["1.2.0"])


def test_the_function_reads_holds_and_infers_nothing():
    edit("pod", ("1.2.0", "1.1.0"))
    files = [path.read_text() for path in sorted(Path("shop").glob("*.yaml"))]
    assert f"image: {WEB}:1.2.0" in krmfn(text=resource_list(*files).decode())
    krmfn("update", "shop")
    files = [path.read_text() for path in sorted(Path("shop").glob("*.yaml"))]
    assert f"image: {WEB}:1.1.0" in krmfn(text=resource_list(*files).decode())


def git(*words: str) -> str:
    return succeed(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=Path.cwd())


@pytest.fixture
def committed() -> None:
    Path(".gitignore").write_text("registry\n")
    git("init", "-q", "-b", "main")
    git("config", "user.name", "a")
    git("config", "user.email", "a@b")
    edit("pod", ("1.2.0", "1.1.0"))
    git("add", ".")
    git("commit", "-q", "-m", "take 1.2.0 back")


@pytest.mark.parametrize("more", [(), ("--split",)])
def test_a_commit_holds_the_hold(more: tuple[str, ...], committed: None):
    said = krmfn("update", "shop", "--commit", *more)
    assert "Skip flux:web 1.2.0, taken back by hand" in said
    assert git("status", "--porcelain") == ""
    assert "shop/krmfn-holds.yaml" in git("show", "--stat", "--format=", "HEAD")
    assert holds() == [HELD]
    krmfn("update", "shop", "--commit", *more)
    assert git("rev-list", "--count", "HEAD").strip() == "2"


def test_a_proposal_holds_the_hold(committed: None):
    for more in (("--branch", "images"), ("--branch", "each", "--split")):
        krmfn("update", "shop", "--commit", *more)
    branches = git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert len(branches) == 3
    for name in branches:
        assert ("krmfn-holds.yaml" in git("ls-tree", "-r", "--name-only", name)) == (name != "main")


def test_check_shows_what_an_update_makes_of_it():
    edit("pod", ("1.2.0", "1.0.0"))
    shown = krmfn("check", "shop", "-o", "json").partition("\n}")[0] + "\n}"
    assert [one["inside"] for one in yaml.safe_load(shown)["images"]] == ["1.1.0"]
    krmfn("check", "shop", "--exit-code", code=10)
    krmfn("update", "shop")
    assert field() == "1.1.0"
    krmfn("check", "shop", "--exit-code", code=0)
