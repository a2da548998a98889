"""Measure what a short run costs beside Python itself: 10 items, one semver policy, tags from a TagSnapshot.

    python -m benchmarks.startup [rounds]

Whole processes, one after the other in every round; the least wall time of the rounds counts.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from benchmarks.lists import Cost, measure
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


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    programs: dict[str, list[str | Path]] = {
        "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
        "python -I -c 'import yaml, re2, semver'": [sys.executable, "-I", "-c", "import yaml, re2, semver"],
        "krmfn": [sys.executable, "-m", "krmfn"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.yaml"), Path(folder, "made.yaml")
        given.write_bytes(short_list())
        for _ in range(rounds):
            for name, command in programs.items():
                costs[name].append(measure(command, given, made))
        assert b"1.3.1" in made.read_bytes().rpartition(b"kind: Deployment")[2]
    floor = min(next(iter(costs.values()))).seconds
    print("| program | ms | times an empty Python | MB |")
    print("|---|--:|--:|--:|")
    for name, runs in costs.items():
        best = min(runs)
        print(f"| {name} | {best.seconds * 1e3:.1f} | {best.seconds / floor:.2f} | {best.megabytes:.0f} |")


if __name__ == "__main__":
    main()
