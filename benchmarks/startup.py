"""Measure what a short run costs beside Python itself: 10 items, one semver policy, tags from a TagSnapshot.

    python -m benchmarks.startup [rounds]

Whole processes, one after the other in every round; the least time of the rounds counts, on the wall and of the processor.
Where valgrind is installed the instructions of each are counted, too: what else the machine does cannot change them.
What is imported has been compiled before, whatever PYTHONDONTWRITEBYTECODE says.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.lists import ROOT, Cost, measure
from benchmarks.manifests import IMAGES, resource_list


def short_list() -> bytes:
    """Write ten Deployments and the three objects of one policy."""
    head, *items = re.split(rb"\n(?=- )", resource_list(10))
    web = IMAGES[0].encode()
    config = [
        item
        for item in items
        if b"kind: Deployment" not in item and re.search(rb"\n    name: " + web + rb"(?:-tags)?\n", item)
    ]
    made = [
        re.sub(rb"(acme/|flux-system:)[a-z]+(?=[:\"])", rb"\1" + web, item)
        for item in items
        if b"kind: Deployment" in item
    ]
    return b"\n".join([head, *config, *made]).rstrip(b"\n") + b"\n"


FLOOR = """
import re, sys
from krmfn.yamledit import libyaml
libyaml.load()
from krmfn.yamledit.compose import Fast
Fast(sys.stdin.buffer.read()).get_single_node()
"""
"""What every program in Python pays that has patterns and reads the list with libyaml once."""


def instructions(command: list[str | Path], text: Path) -> int | None:
    """Return the instructions that a program executes outside of the kernel, None without valgrind."""
    if not shutil.which("valgrind"):
        return None
    with text.open("rb") as stdin:
        counted = subprocess.run(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
            stdin=stdin, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
    return int(counted.stderr.rpartition(b"Collected : ")[2].split()[0])


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "krmfn", quiet=1)
    programs: dict[str, list[str | Path]] = {
        "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
        "re, libyaml, the list composed": [sys.executable, "-I", "-c", FLOOR],
        "python -I -c 'import yaml, re2, semver'": [sys.executable, "-I", "-c", "import yaml, re2, semver"],
        "krmfn": [sys.executable, "-I", "-m", "krmfn"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.yaml"), Path(folder, "made.yaml")
        given.write_bytes(short_list())
        for _ in range(rounds):
            for name, command in programs.items():
                costs[name].append(measure(command, given, made))
        assert b"1.3.1" in made.read_bytes().rpartition(b"kind: Deployment")[2]
        counts = {name: instructions(command, given) for name, command in programs.items()}
    walls = {name: min(run.seconds for run in runs) for name, runs in costs.items()}
    processors = {name: min(run.processor for run in runs) for name, runs in costs.items()}
    empty = next(iter(programs))
    print("| program | ms | times | ms of the processor | times | million instructions | times | MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, runs in costs.items():
        columns = [f"{least[name] * 1e3:.1f} | {least[name] / least[empty]:.2f}" for least in (walls, processors)]
        count, base = counts[name], counts[empty]
        columns.append(f"{count / 1e6:.0f} | {count / base:.2f}" if count and base else "- | -")
        print(f"| {name} | {' | '.join(columns)} | {min(run.megabytes for run in runs):.0f} |")


if __name__ == "__main__":
    main()
