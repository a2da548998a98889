"""Count what tools change in files as people write them, when one version in each file is to change.

    python -m benchmarks.corpus [files]

The files are those of tests/ugly.py. Each tool gets a copy of its own, one folder per file, and the same new version:
krmfn edits files; kyaml (Go) does what Flux's image-automation-controller does; kpt and kustomize run krmfn as a function and
write the files themselves.
"""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import lists
from tests.test_corpus import POLICIES
from tests.tools import find
from tests.ugly import NEW, OLD, Ugly, ugly

ROOT = Path(__file__).resolve().parent.parent


class Count(NamedTuple):
    """What became of the files."""

    exact: int
    rewritten: int
    left: int
    lines: int
    size: int


def judge(folder: Path, made: list[Ugly]) -> Count:
    """Compare the files with what they were: right to the byte, right but rewritten, or left alone."""
    exact = rewritten = left = lines = size = 0
    for one in made:
        now = (folder / one.name).read_bytes()
        if now == one.after:
            exact += 1
        elif now == one.before or NEW.encode() not in now:
            left += 1
        else:
            rewritten += 1
        if now != one.before:
            changed = _changed(one.before, now)
            lines += len(changed)
            size += sum(map(len, changed))
    return Count(exact, rewritten, left, lines, size)


def _changed(before: bytes, after: bytes) -> list[bytes]:
    """Return the lines that a diff would show, taken away and added."""
    old, new = before.split(b"\n"), after.split(b"\n")
    found: list[bytes] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            found += old[a:b] + new[c:d]
    return found


def run(command: list[str | Path], folder: Path) -> None:
    """Run a tool; what it refuses shows in the files."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, check=False)


def by_krmfn(folder: Path, _made: list[Ugly]) -> None:
    (folder / "policies.yaml").write_text(POLICIES)
    run(["krmfn", "update", "."], folder)


def by_kyaml(folder: Path, made: list[Ugly]) -> None:
    run([lists.build(), "files", OLD, NEW, *(one.name for one in made)], folder)


def by_function(command: list[str | Path]) -> Callable[[Path, list[Ugly]], None]:
    """Return how a tool runs krmfn as a function on every folder."""

    def change(folder: Path, made: list[Ugly]) -> None:
        for one in made:
            place = (folder / one.name).parent
            (place / "policies.yaml").write_text(POLICIES)
            run(command, place)

    return change


def tools() -> Iterator[tuple[str, Callable[[Path, list[Ugly]], None]]]:
    """Name the tools that are here."""
    yield "krmfn update", by_krmfn
    yield "kyaml, as Flux writes", by_kyaml
    if kpt := find("kpt"):
        yield "kpt fn eval --exec krmfn", by_function([kpt, "fn", "eval", ".", "--exec", "krmfn"])
    if kustomize := find("kustomize"):
        yield (
            "kustomize fn run",
            by_function(
                [kustomize, "fn", "run", ".", "--enable-exec", "--exec-path", Path(sys.executable).parent / "krmfn"]
            ),
        )


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    made = [ugly(seed) for seed in range(count)]
    needed = sum(len(line) for one in made for line in _changed(one.before, one.after))
    print(
        f"{count} files of {sum(len(one.before) for one in made):,} bytes; a diff of the versions alone has {needed:,} bytes\n"
    )
    print(
        "| tool | files right to the byte | updated, and rewritten | left alone or refused | lines in the diff | bytes in the diff |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for name, change in tools():
        with tempfile.TemporaryDirectory() as folder:
            for one in made:
                (Path(folder) / one.name).parent.mkdir()
                (Path(folder) / one.name).write_bytes(one.before)
            change(Path(folder), made)
            print(f"| {name} | " + " | ".join(f"{number:,}" for number in judge(Path(folder), made)) + " |", flush=True)


if __name__ == "__main__":
    main()
