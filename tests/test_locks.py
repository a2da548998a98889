"""Locks by folder: of several in a tree the nearest one above a file decides it, and each is renewed where it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from krmfn.config.lock import Lock, LockEntry
from krmfn.config.locks import Locks
from krmfn.model import PolicyKey
from tests import images
from tests.lists import pod, policy
from tests.running import call

WEB = "ghcr.io/acme/web"
KEY = PolicyKey("flux", "web")


def offer(*tags: str) -> None:
    shutil.rmtree("registry", ignore_errors=True)
    images.write(Path("registry"), {WEB: {tag: f"2026-01-{index + 1:02}T00:00:00Z" for index, tag in enumerate(tags)}})


def krmfn(*words: str, code: int = 0) -> str:
    done = call(*words, cwd=Path.cwd(), KRMFN_NOW="2026-11-21T00:00:00Z", KRMFN_LAYOUT=str(Path("registry").absolute()))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two overlays, each with a field of one policy."""
    monkeypatch.chdir(tmp_path)
    for name in ("prod", "staging"):
        folder = tmp_path / "overlays" / name
        folder.mkdir(parents=True)
        (folder / "pod.yaml").write_text(pod(f"{WEB}:1.0.0", name=name))
        (folder / "policy.yaml").write_text(policy())
    offer("1.0.0", "1.1.0")
    return tmp_path


def fields() -> dict[str, str]:
    found = {path.parent.name: path.read_text() for path in sorted(Path("overlays").rglob("pod.yaml"))}
    return {name: re.findall(rf"{WEB}:(\S+)", text)[0] for name, text in found.items()}


def locked() -> dict[str, str]:
    return {
        path.parent.name: " ".join(one["tag"] for one in yaml.load(path.read_text(), yaml.BaseLoader)["spec"]["images"])
        for path in sorted(Path().rglob("krmfn-lock.yaml"))
    }


def test_a_frozen_tree_takes_each_field_from_the_nearest_lock():
    krmfn("fetch", ".")
    offer("1.0.0", "1.1.0", "1.2.0")
    krmfn("fetch", "overlays/staging")
    assert locked() == {"": "1.1.0", "staging": "1.2.0"}
    krmfn("update", ".", "--mode", "frozen")
    assert fields() == {"prod": "1.1.0", "staging": "1.2.0"}
    assert "up to date" in krmfn("update", ".", "--mode", "frozen")


def test_fetch_of_a_part_never_breaks_the_whole():
    krmfn("fetch", ".")
    krmfn("fetch", "overlays/staging")
    krmfn("fetch", "overlays/prod")
    for verb in (("update", "."), ("fetch", "."), ("lint", "."), ("check", "."), ("explain", "web", "."), ("update", ".", "--mode", "frozen")):
        assert "error" not in krmfn(*verb)


def test_every_lock_that_holds_a_policy_is_renewed_where_it_stands():
    krmfn("fetch", "overlays/staging")
    krmfn("fetch", "overlays/prod")
    offer("1.0.0", "1.1.0", "1.2.0")
    said = krmfn("fetch", ".")
    assert locked() == {"prod": "1.2.0", "staging": "1.2.0"}
    assert "overlays/prod/krmfn-lock.yaml decides for the manifests below overlays/prod" in said
    before = {path: path.read_bytes() for path in Path().rglob("krmfn-*.yaml")}
    assert "everything is up to date" in krmfn("fetch", ".")
    assert {path: path.read_bytes() for path in Path().rglob("krmfn-*.yaml")} == before


def test_each_lock_holds_what_its_own_fields_follow():
    """A policy that moves on from what is deployed decides for each overlay by itself, and its locks keep apart."""
    for path in Path().rglob("policy.yaml"):
        path.write_text(policy("version: {within: patch}"))
    Path("overlays/staging/pod.yaml").write_text(pod(f"{WEB}:1.1.0", name="staging"))
    offer("1.0.0", "1.0.1", "1.1.0", "1.1.1")
    krmfn("fetch", "overlays/staging")
    krmfn("fetch", "overlays/prod")
    assert locked() == {"prod": "1.0.1", "staging": "1.1.1"}
    krmfn("update", ".")
    assert fields() == {"prod": "1.0.1", "staging": "1.1.1"}
    assert locked() == {"prod": "1.0.1", "staging": "1.1.1"}


def test_what_holds_one_overlay_leaves_the_other():
    """A record that is newer than the list keeps its own fields alone."""
    krmfn("fetch", "overlays/prod")
    offer("1.0.0", "1.1.0", "1.2.0")
    krmfn("fetch", "overlays/staging")
    for path in Path().rglob("krmfn-tags.yaml"):
        path.unlink()
    offer("1.0.0", "1.1.0")  # 1.2.0 is not listed any more
    said = krmfn("update", ".")
    assert fields() == {"prod": "1.1.0", "staging": "1.0.0"}
    assert "kept 1.2.0" in said


def test_a_policy_without_a_lock_above_its_fields_gets_one():
    krmfn("fetch", "overlays/staging")
    krmfn("fetch", "overlays/prod")
    Path("other").mkdir()
    Path("other/pod.yaml").write_text(pod(f"{WEB}:1.0.0", name="other"))
    said = krmfn("update", ".", "--mode", "frozen", code=1)
    assert "the lock has no entry for this policy: run krmfn fetch" in said
    krmfn("fetch", ".")
    assert locked() == {"": "1.1.0", "prod": "1.1.0", "staging": "1.1.0"}
    krmfn("update", ".", "--mode", "frozen")


def test_a_hold_names_the_locks_that_record_something_else():
    krmfn("fetch", "overlays/staging")
    offer("1.0.0", "1.1.0", "1.2.0")
    krmfn("fetch", "overlays/prod")
    assert locked() == {"prod": "1.2.0", "staging": "1.1.0"}
    told = {
        lock: f"{lock}/krmfn-lock.yaml records {tag}: builds in mode frozen follow the hold after the next krmfn update"
        for lock, tag in (("overlays/prod", "1.2.0"), ("overlays/staging", "1.1.0"))
    }
    said = krmfn("hold", "web@1.2.0", ".", "--not")
    assert [lock for lock in told if told[lock] in said] == ["overlays/prod"]
    said = krmfn("hold", "web@1.2.0", ".")
    assert [lock for lock in told if told[lock] in said] == ["overlays/staging"]
    said = krmfn("release", "--age", "web@1.2.0", ".")
    assert "records" not in said


def test_two_locks_in_one_folder_that_hold_one_policy_are_refused():
    krmfn("fetch", "overlays/staging")
    krmfn("fetch", "overlays/prod")
    shutil.copy("overlays/prod/krmfn-lock.yaml", "overlays/prod/second.yaml")
    assert "hold policy flux:web" in krmfn("update", ".", code=1)


ROWS = [
    ("a/x.yaml", "a", {"a": 1, "b": 1}), ("a/b/x.yaml", "a", {"a": 1}), ("a/b/x.yaml", "a/b", {"a": 1, "a/b": 1}),
    ("a/b/x.yaml", "a", {"a": 1, "a/b": 0}), ("a/b/x.yaml", "a/b", {"a": 0, "a/b": 0}), ("c/x.yaml", ".", {".": 1, "a": 1}),
    ("c/x.yaml", "a", {"a": 1, "b": 0}), ("c/x.yaml", None, {"a": 1, "b": 1}), ("ab/x.yaml", None, {"a": 0, "b": 0}),
    ("../x.yaml", "..", {"..": 1, ".": 1}), ("x.yaml", ".", {"..": 1, ".": 1}), ("../a/x.yaml", "../..", {"../..": 1, ".": 1}),
    ("/r/a/x.yaml", "/r", {"/r": 1, ".": 1}), ("", ".", {".": 1, "a": 1}), ("", "..", {"..": 1, "a": 1}), ("./a/../b/x.yaml", "b", {"a": 1, "b": 1}),
]  # fmt: skip
"""A file, the folder of the lock that decides it, and the locks by folder: 1 holds the policy."""


@pytest.mark.parametrize(("path", "expected", "folders"), ROWS)
def test_the_nearest_lock_that_holds_a_policy_decides(path: str, expected: str | None, folders: dict[str, int]):
    entry = LockEntry(KEY, WEB, "1.0.0", "00ff")
    locks = Locks(tuple(Lock((entry,) if holds else (), None, folder=folder) for folder, holds in folders.items()))
    found = locks.deciding(path, KEY)
    assert (found.folder if found else None) == expected
