"""Completion of names in manifests: by the protocol of each shell's script, and in a real bash."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import EXAMPLES, environment, succeed

NAMES = ["flux-system:api", "flux-system:cache", "flux-system:web"]
TYPED = {
    "explain a": ["api"],
    "explain flux-system:": NAMES,
    "explain flux-system:w": ["flux-system:web"],
    "hold w": ["web"],
    "release flux": NAMES,
    "annotate . --markers flux-system:c": ["flux-system:cache"],
    "update . --automation ": ["apps"],
    "update . --automation x": [],
    "update . --within m": ["minor", "major"],
    "explain nothing": [],
}
"""What is typed behind `krmfn`, and what is offered."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "tree")
    (tmp_path / "tree" / "broken.yaml").write_text("kind: ImagePolicy\n  spec: {\n")
    return tmp_path / "tree"


def offered(shell: str, typed: str, tree: Path) -> list[str]:
    """Return what krmfn offers to the completion script of a shell, which says what was typed as that script does."""
    line = f"krmfn {typed}"
    words = line.split(" ")
    where = words[-1] if shell == "fish" else str(len(words) - 1)
    env = environment(COMP_WORDS=line, COMP_CWORD=where, _KRMFN_COMPLETE=f"{shell}_complete")
    lines = succeed(["krmfn"], cwd=tree, env=env).splitlines()
    if shell == "zsh":  # three lines each: kind, value, description
        return lines[1::3]
    return [one.partition(",")[2].partition("\t")[0] for one in lines if one]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_offered_the_names_of_the_manifests(shell: str, tree: Path):
    for typed, names in TYPED.items():
        assert offered(shell, typed, tree) == names, typed


def test_bash_completes_the_name_behind_a_namespace(tree: Path):
    """Readline and the script together, at a terminal: bash cuts words at colons by itself."""
    script = tree / "completion"
    script.write_text(succeed(["krmfn", "completion", "bash"]))
    leader, follower = pty.openpty()
    env = environment(TERM="dumb", PS1="$ ", HOME=str(tree))
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], cwd=tree, env=env, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    ) as process:
        os.close(follower)
        os.write(leader, b". ./completion; echo ready-$((1 + 1))\n")
        seen = _until(leader, b"ready-2")
        os.write(leader, b"krmfn explain flux-system:w\t")
        seen = _until(leader, b"flux-system:web ")
        process.kill()
    os.close(leader)
    assert b"flux-system:flux-system" not in seen


def _until(leader: int, wanted: bytes) -> bytes:
    """Read until something was printed; the test's own time limit ends what never comes."""
    seen = b""
    while wanted not in seen:
        seen += os.read(leader, 65536)
    return seen
