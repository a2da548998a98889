"""No door writes an edit that changes more than it says: every one parses the edited text again and compares.

The edits are right as they are made, so each test breaks one step of making them, as a bug would, and goes through a door.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from krmfn import function
from krmfn.cli import main
from krmfn.plan import lockfile, rewrite
from krmfn.yamledit import editor, writing
from krmfn.yamledit.scalars import Refusal, render
from krmfn.yamledit.text import Edit, Scalar, Text
from tests.running import files

CONFIG = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: apps}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {alphabetical: {}}}
"""
SNAPSHOT = """\
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: ["1.0", "1.10"]}
"""
POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  tag: 1.0 # {"$imagepolicy": "apps:web:tag"}
  containers:
  - image: ghcr.io/acme/web:1.0 # {"$imagepolicy": "apps:web"}
    name: web
"""


def changed(by: Callable[[bytes], bytes] = bytes, start: int = 0, end: int = 0):
    """Make a renderer of scalars that is wrong: other text, or another place."""

    def wrong(text: Text, scalar: Scalar, value: str) -> Edit | Refusal:
        edit = render(text, scalar, value)
        assert isinstance(edit, Edit)
        return edit._replace(start=edit.start + start, end=edit.end + end, text=by(edit.text))

    return wrong


BUGS = {
    "it starts late": changed(start=1),
    "it starts early": changed(start=-1),
    "it ends early": changed(end=-1),
    "it ends late": changed(end=1),
    "it eats the next key": changed(end=60),
    "the quotes are forgotten": changed(lambda text: text.strip(b'"')),
    "a quote stays open": changed(lambda text: b'"' + text.strip(b'"')),
    "another value": changed(lambda text: text.replace(b"1.10", b"1.11")),
    "a comment": changed(lambda text: text + b" # "),
    "a mapping": changed(lambda text: b"{a: " + text + b"}"),
    "one more key": changed(lambda text: text + b"\n  more: x"),
    "an anchor": changed(lambda text: b"&a " + text.replace(b"1.10", b"")),
    "a tag": changed(lambda text: b"!!str " + text),
    "no value": changed(lambda _: b""),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in (("krmfn.yaml", CONFIG), ("tags.yaml", SNAPSHOT), ("web.yaml", POD)):
        (tmp_path / name).write_text(text)
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, data: str, *arguments: str, **env: str) -> tuple[int, str]:
    """Run the function in this process; return its exit code and stdout."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data.encode())))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    code = function.main(list(arguments), env)
    monkeypatch.undo()
    return code, out.getvalue().decode()


def as_list(*documents: str) -> str:
    items = "".join("- " + text.replace("\n", "\n  ").rstrip(" ") for text in documents)
    return "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n" + items


@pytest.mark.parametrize("bug", BUGS)
def test_a_file_is_not_written(
    bug: str, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(rewrite, "render", BUGS[bug])
    before = files(tree)
    assert main(["update", str(tree)]) == 1
    assert files(tree) == before
    said = capsys.readouterr()
    assert f"krmfn: error: {tree}/web.yaml:" in said.err
    assert "an edit here would change more than its value" in said.err


@pytest.mark.parametrize("whole", [False, True], ids=["cut", "whole"])
@pytest.mark.parametrize("bug", BUGS)
def test_a_list_keeps_its_items(
    bug: str, whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(rewrite, "render", BUGS[bug])
    given = as_list(CONFIG, SNAPSHOT, POD).replace("items:", "items: !!seq" if whole else "items:")
    code, out = call(monkeypatch, given)
    assert code == 1
    assert out.startswith(given)
    (result,) = yaml.load(out, yaml.BaseLoader)["results"]
    assert result["severity"] == "error"
    assert result["message"].startswith("stdin:")
    assert "an edit here would change more than its value" in result["message"]
    assert result["message"] in capsys.readouterr().err


@pytest.mark.parametrize("bug", BUGS)
def test_the_legacy_plugin_gives_back_its_stream(bug: str, tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rewrite, "render", BUGS[bug])
    given = f"{SNAPSHOT}---\n{POD}"
    code, out = call(monkeypatch, given, str(tree / "krmfn.yaml"), KUSTOMIZE_PLUGIN_CONFIG_ROOT=str(tree))
    assert (code, out) == (1, given)


QUOTING = {
    "quotes are forgotten": lambda text: text.replace('"', "") + ": x",
    "a quote stays open": lambda text: '"' + text.replace('"', ""),
    "a key follows": lambda text: text + "\nmore: x",
}


@pytest.mark.parametrize("bug", QUOTING)
def test_annotations_are_not_written(
    bug: str, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = files(tree)
    monkeypatch.setattr(writing, "quoted", QUOTING[bug])
    assert main(["annotate", str(tree)]) == 1
    assert files(tree) == before
    assert f"krmfn: error: {tree}/web.yaml:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "bug", [lambda text: text + ": {", lambda text: f"- {text}: x\n", lambda text: text + "\nmore: x"]
)
def test_a_lock_is_not_edited(bug: Callable[[str], str], tree: Path, monkeypatch: pytest.MonkeyPatch):
    assert main(["fetch", str(tree), "--source", f"layout:{layout(tree)}"]) == 0
    for path in tree.glob("krmfn-*.yaml"):
        path.write_text(re.sub(r'tag: ".*"', 'tag: "0"', path.read_text()))
    before = files(tree)
    monkeypatch.setattr(writing, "quoted", bug)
    monkeypatch.setattr(editor, "render", changed(lambda text: bug(text.decode()).encode()))
    assert main(["fetch", str(tree), "--source", f"layout:{layout(tree)}"]) == 1
    assert files(tree) == before


@pytest.mark.parametrize("bug", [lambda text: text + ": {", lambda text: text.replace('"\n', "\n", 1), lambda _: "a: 1\n  b: 2\n"])
def test_a_new_lock_is_not_written(bug: Callable[[str], str], tree: Path, monkeypatch: pytest.MonkeyPatch):
    before, lock_document = files(tree), lockfile.lock_document
    monkeypatch.setattr(lockfile, "lock_document", lambda entries: bug(lock_document(entries)))
    assert main(["fetch", str(tree), "--source", f"layout:{layout(tree)}"]) == 1
    assert files(tree) == before


def layout(tree: Path) -> Path:
    """Write images to choose from beside the tree."""
    from tests import images

    folder = tree.parent / f"{tree.name}-images"
    if not folder.exists():
        images.write(folder, images.EXAMPLES)
    return folder


@pytest.mark.parametrize("count", [1, 3])
def test_results_that_break_the_list_are_not_written(count: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writing, "flow", lambda value: f"{value}: [x]")
    pods = [POD.replace("name: web", f"name: web{number}") for number in range(count)]
    code, out = call(monkeypatch, as_list(CONFIG, SNAPSHOT, *pods))
    assert code == 1
    assert [one["kind"] for one in yaml.load(out.partition("\nresults:")[0], yaml.BaseLoader)["items"]][-1] == "Pod"
