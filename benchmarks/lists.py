"""Measure krmfn on ResourceLists beside Go (kyaml, yaml.v3), a ruamel round trip and the read-scan-write floor, in one run.

    python -m benchmarks.lists [most Deployments] [rounds]

Whole processes, file to file, one after the other in every round; the least wall time of the rounds counts. All get the
same list, with tags from a TagSnapshot in it; krmfn and the peers have to change the same number of images.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.manifests import IMAGES, NEW, OLD, resource_list

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benchmarks" / "peer" / "lists"
BIN = ROOT / ".cache" / "benchmarks"
SIZES = (10, 100, 1_000, 10_000)
MOST_RUAMEL = 100
"""ruamel takes minutes for more."""

FLOOR = f"""
import re, sys
data = sys.stdin.buffer.read()
sys.stdout.buffer.write(re.sub(rb'(image: ["\\']?ghcr.io/acme/[a-z]+:){re.escape(OLD)}(["\\']? # )', rb'\\g<1>{NEW}\\2', data))
"""
RUAMEL = f"""
import sys
from ruamel.yaml import YAML
yaml = YAML()
yaml.preserve_quotes, yaml.width = True, 1 << 20
data = yaml.load(sys.stdin.buffer)
def change(node):
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key == "image" and isinstance(value, str):
            node[key] = type(value)(value.replace("{OLD}", "{NEW}"))
        change(value)
change(data["items"])
yaml.dump(data, sys.stdout.buffer)
"""


class Cost(NamedTuple):
    """Seconds on the wall, megabytes at most, and seconds of the processor."""

    seconds: float
    megabytes: float
    processor: float


def build() -> Path:
    """Build the Go program."""
    BIN.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", BIN / "lists", "."], cwd=PEER, check=True)
    return BIN / "lists"


def measure(command: list[str | Path], given: Path, made: Path, exits: tuple[int, ...] = (0,)) -> Cost:
    """Run a program once, from file to file."""
    with given.open("rb") as stdin, made.open("wb") as stdout, (made.parent / "stderr").open("wb") as stderr:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        elapsed = time.perf_counter() - start
        cost = Cost(elapsed, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)
    assert child.returncode in exits, (command, (made.parent / "stderr").read_text())
    return cost


def programs(go: Path, count: int) -> Iterator[tuple[str, list[str | Path]]]:
    """Name the programs that are compared at this size; krmfn first, the floor last."""
    yield "krmfn", [sys.executable, "-m", "krmfn"]
    yield "Go kyaml", [go, "kyaml", OLD, NEW]
    yield "Go yaml.v3", [go, "yaml", OLD, NEW]
    if count <= MOST_RUAMEL:
        yield "ruamel.yaml", [sys.executable, "-c", RUAMEL]
    yield "floor", [sys.executable, "-I", "-c", FLOOR]


def images(text: bytes) -> int:
    """Count the new images that a list holds outside of texts."""
    return len(
        re.findall(
            rb"^ +(?:- )?image: ['\"]?ghcr\.io/acme/(?:%b):%b['\"]? # " % ("|".join(IMAGES).encode(), NEW.encode()),
            text,
            re.MULTILINE,
        )
    )


def compare(count: int, share: float, rounds: int, go: Path, folder: Path) -> Iterator[str]:
    """Measure all programs in turn; yield the lines of the table."""
    given, made = folder / "given.yaml", folder / "made.yaml"
    given.write_bytes(resource_list(count, share, look_alikes=False))
    size = given.stat().st_size / 1e6
    costs: dict[str, list[Cost]] = {}
    changed: dict[str, int] = {}
    for _ in range(rounds):
        for name, command in programs(go, count):
            costs.setdefault(name, []).append(measure(command, given, made))
            if name != "ruamel.yaml":
                changed[name] = images(made.read_bytes())
    assert len(set(changed.values())) == 1, changed
    assert all(changed.values()), changed
    ours = min(costs["krmfn"])
    for name, runs in costs.items():
        best = min(runs)
        ratio = "" if name == "krmfn" else f"{ours.seconds / best.seconds:.2f}"
        memory = max(run.megabytes for run in runs)
        cells = [
            f"{count:,}",
            f"{size:.2f}",
            f"{share:.0%}",
            name,
            f"{best.seconds * 1e3:,.0f}",
            ratio,
            f"{memory:,.0f}",
            f"{memory / size:.1f}",
        ]
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    go = build()
    print("| Deployments | MB | marked | program | ms | krmfn takes this share | MB at most | per MB of input |")
    print("|--:|--:|--:|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for count in SIZES:
            for share in (1.0, 0.01):
                if count <= most:
                    for line in compare(count, share, rounds, go, Path(folder)):
                        print(line, flush=True)


if __name__ == "__main__":
    main()
