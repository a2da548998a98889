"""Measure choosing among many tags beside a Go program with Masterminds/semver and regexp (Flux's loops), in one run.

    python -m benchmarks.choosing [most tags] [rounds]

Both get the same tags as lines, in random order; reading them is not counted. Runs alternate, the least time counts,
and both have to choose the same tag. Go's time holds the sorting of Flux's tag store, which krmfn does without.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benchmarks" / "peer" / "choosing"
BIN = ROOT / ".cache" / "benchmarks"
BUILD = ("^main-[a-f0-9]+-(?P<ts>[0-9]+)$", "$ts")
VERSION = ("^app-(?P<v>.*)$", "$v")

KRMFN = """
import json, sys, time
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import select
policy, argument, pattern, extract = sys.argv[1:]
option = {"range": argument} if policy == "semver" else {"order": argument}
tags = sys.stdin.read().splitlines()
filter_tags = {"pattern": pattern, "extract": extract} if pattern else None
start = time.perf_counter()
rules = parse_rules({policy: option}, filter_tags=filter_tags)
found = select(rules, tags)
total = time.perf_counter() - start
memory = int(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))) // 1024
start = time.perf_counter()
for one in rules.exclude:
    one.matches(tags)
exclude = time.perf_counter() - start
texts = tags
start = time.perf_counter()
if rules.filter:
    expand = rules.filter.extract.expander(rules.filter.pattern)
    texts = [expand(text, spans) for _, text, spans in rules.filter.pattern.scan(tags)]
filtering = time.perf_counter() - start
print(json.dumps({"chosen": found.tag or found.message, "eligible": found.eligible, "total_s": total, "rss_mb": memory,
                  "exclude_s": exclude, "filter_s": filtering}))
"""


class Row(NamedTuple):
    """One policy on one kind of tags."""

    name: str
    tags: Callable[[random.Random, int], list[str]]
    policy: str
    argument: str
    pattern: str = ""
    extract: str = ""


def versions(chance: random.Random, count: int, prefix: str = "") -> list[str]:
    """Make what repositories of released software hold: releases, prereleases, variants, builds of branches."""
    found: set[str] = set()
    while len(found) < count:
        number = f"{chance.randrange(30)}.{chance.randrange(90)}.{chance.randrange(900)}"
        tail = chance.choice(["", "", "", "", f"-rc.{chance.randrange(9)}", f"-alpine3.{chance.randrange(20)}"])
        build = f"main-{chance.randrange(16**7):07x}-{chance.randrange(10**9)}"
        found.add(build if chance.random() < 0.1 else prefix + chance.choice(["", "v"]) + number + tail)
    return chance.sample(sorted(found), count)


def builds(chance: random.Random, count: int) -> list[str]:
    """Make tags of builds: branch, commit, time."""
    return chance.sample(
        [f"main-{chance.randrange(16**7):07x}-{1_700_000_000 + number}" for number in range(count)], count
    )


def times(chance: random.Random, count: int) -> list[str]:
    """Make tags that are nothing but a time."""
    return chance.sample([str(1_700_000_000 + number) for number in range(count)], count)


ROWS = (
    Row("semver", versions, "semver", ">=1.2.0 <20.0.0"),
    Row("semver with prereleases", versions, "semver", ">=1.2.0-0 <20.0.0-0"),
    Row(
        "semver, extracted",
        lambda chance, count: versions(chance, count, "app-"),
        "semver",
        ">=1.2.0 <20.0.0",
        *VERSION,
    ),
    Row("alphabetical", builds, "alphabetical", "asc"),
    Row("numerical", times, "numerical", "asc"),
    Row("numerical, extracted", builds, "numerical", "asc", *BUILD),
)


def build() -> Path:
    """Build the Go program."""
    BIN.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-o", BIN / "choosing", "."], cwd=PEER, check=True)
    return BIN / "choosing"


def measure(command: list[str | Path], row: Row, file: Path) -> dict[str, Any]:
    """Run one program once on the tags in the file."""
    with file.open("rb") as tags:
        done = subprocess.run(
            [*command, row.policy, row.argument, row.pattern, row.extract], stdin=tags, capture_output=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(row: Row, count: int, rounds: int, go: Path, folder: Path) -> str:
    """Measure both programs in turn; answer a line of the table."""
    file = folder / "tags"
    file.write_text("\n".join(row.tags(random.Random(count), count)) + "\n")
    pairs = [(measure([sys.executable, "-c", KRMFN], row, file), measure([go], row, file)) for _ in range(rounds)]
    ours, theirs = (min(runs, key=lambda run: run["total_s"]) for runs in zip(*pairs, strict=True))
    assert ours["chosen"] == theirs["chosen"], (row, ours, theirs)
    ours["policy_s"] = ours["total_s"] - ours["exclude_s"] - ours["filter_s"]
    cells = [
        row.name, f"{count:,}", f"{ours['total_s'] * 1e3:,.1f}", f"{theirs['total_s'] * 1e3:,.1f}",
        f"{ours['total_s'] / theirs['total_s']:.2f}",
        f"{ours['total_s'] / (theirs['total_s'] - theirs['sort_s']):.2f}",
        split(ours, "exclude", "filter", "policy"), split(theirs, "exclude", "sort", "filter", "policy"),
        f"{ours['rss_mb']} / {theirs['rss_mb']}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def split(run: dict[str, Any], *parts: str) -> str:
    """Return where the time went."""
    return ", ".join(f"{part} {run[part + '_s'] * 1e3:,.0f}" for part in parts if run[part + "_s"] * 1e3 >= 0.5) or "-"


def main() -> None:
    """Print the table."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    go = build()
    print("| policy | tags | krmfn ms | Go ms | ratio | ratio without Go's sorting | krmfn ms in | Go ms in | MB |")
    print("|---|--:|--:|--:|--:|--:|---|---|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            for count in (1_000, 10_000, 100_000, 1_000_000):
                if count <= most:
                    print(compare(row, count, rounds, go, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
