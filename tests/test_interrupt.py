"""Ctrl-C during a run: what was learned is shown, nothing is written, and the exit is 130; without anything learned just that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry_server import Registry, Request
from tests.running import environment

VERBS = {
    "check": ("check", "."),
    "check json": ("check", ".", "-o", "json"),
    "update": ("update", ".", "--within", "minor"),
    "update json": ("update", ".", "--within", "minor", "-o", "json"),
    "get": ("get", "image", "repository", "."),
}
SEEN = {
    "check": "1.7.3", "check json": "1.7.3", "update": "1.0.0 -> 1.7.3", "update json": "1.7.3", "get": "found 2 tags",
}  # fmt: skip
REPOSITORY = """\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: {0}, namespace: apps}}
spec: {{image: {1}/acme/{0}, interval: 5m, insecure: true}}
"""
POD = """\
---
apiVersion: v1
kind: Pod
metadata: {{name: {0}}}
spec:
  containers:
  - name: app
    image: {1}/acme/{0}:1.0.0
"""


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A registry that answers for `web`; for `slow` it never does."""

    def tags(request: Request) -> None:
        if "/acme/slow" in request.path:
            request.hang()
        else:
            request.answer()

    with Registry() as made:
        made.add("acme/web", ["1.0.0", "1.7.3"])
        made.misbehave("tags", tags)
        yield made


def interrupted(command: tuple[str, ...], folder: Path, after: tuple[str, ...]) -> tuple[int, str, str]:
    """Run a command and press Ctrl-C when it has told all of `after` under -v."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import krmfn.__main__ as m; raise SystemExit(m.main())"
    with subprocess.Popen(
        [sys.executable, "-c", code, *command, "-v"], cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stderr
        seen = ""
        while not all(word in seen for word in after):
            line = process.stderr.readline()
            assert line, seen
            seen += line
        threading.Event().wait(0.5)  # an answer is told just before it is kept
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    return process.returncode, out, err


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_learned_is_shown(verb: str, tmp_path: Path, registry: Registry):
    form = REPOSITORY if verb == "get" else POD
    text = "".join(form.format(name, registry.address) for name in ("web", "slow"))
    (tmp_path / "all.yaml").write_text(text)
    code, out, err = interrupted(VERBS[verb], tmp_path, ("acme/web: listed", "acme/slow: listing"))
    assert code == 130, err
    assert SEEN[verb] in out, out + err
    assert "interrupted: what follows is what was learned" in err
    assert f"{registry.address} was not asked any more: interrupted" in out + err
    assert "Traceback" not in err
    if "json" in verb:
        json.loads(out)
    assert (tmp_path / "all.yaml").read_text() == text


@pytest.mark.parametrize("verb", VERBS)
def test_without_anything_learned_it_just_ends(verb: str, tmp_path: Path, registry: Registry):
    form = REPOSITORY if verb == "get" else POD
    (tmp_path / "all.yaml").write_text(form.format("slow", registry.address) + form.format("slower", registry.address))
    code, out, err = interrupted(VERBS[verb], tmp_path, ("acme/slow: listing", "acme/slower: listing"))
    assert (code, out) == (130, "")
    assert "Traceback" not in err
