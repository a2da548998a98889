"""Run the benchmarks, print their tables, and hold them against the budgets.

    python -m benchmarks [--quick] [--write] [suite...]

`--quick` takes fewer rounds and smaller inputs, `--write` keeps what was printed in benchmarks/RESULTS.md. A suite that
cannot run here, without Go for instance, is named with the reason. Ratios come from runs that alternate.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


class Suite(NamedTuple):
    """A module of benchmarks: its heading, and its arguments in full and when it has to be quick."""

    heading: str
    full: tuple[str, ...]
    quick: tuple[str, ...]


SUITES = {
    "startup": Suite("Start-up: 10 items, one semver policy, no registry", ("41",), ("9",)),
    "lists": Suite("ResourceLists: tags from a TagSnapshot, beside Go and ruamel", ("10000", "5"), ("10000", "2")),
    "tree": Suite("Trees of manifests: check and update, most of it definitions, no registry", ("5",), ("2",)),
    "choosing": Suite("Choosing a tag, beside Masterminds/semver and Go's regexp", ("1000000", "3"), ("100000", "2")),
    "verifying": Suite("Verifying signatures by key, beside cosign", ("50", "3"), ("20", "1")),
    "registry": Suite("Asking registries, beside go-containerregistry", ("3",), ("1",)),
}


_LEAST = "re, libyaml, the list composed"


class Budget(NamedTuple):
    """What is promised, and how the measured number is read from a suite's text; None when it is not there."""

    what: str
    budget: str
    suite: str
    read: Callable[[str], str | None]


def cells(text: str, *starts: str) -> list[list[str]]:
    """Return the rows of a Markdown table whose first cells are these; an empty text stands for any cell."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if all(not start or start == cell for start, cell in zip(starts, row, strict=False))]


def cell(text: str, column: int, *starts: str) -> str | None:
    """Return one cell of the first such row."""
    return next((row[column] for row in cells(text, *starts)), None)


def start_up(text: str) -> str | None:
    """Return how many times the processor time of an empty Python a short run takes, and what no program is below."""
    found = cell(text, 4, "krmfn")
    return found and f"{found}x of its processor time; {_LEAST} {cell(text, 4, _LEAST)}x"


def share(marked: str) -> Callable[[str], str | None]:
    """Read the share of kyaml's time."""

    def read(text: str) -> str | None:
        found = [cell(text, 5, "10,000", "", marked, name) for name in ("Go kyaml", "Go yaml.v3", "floor")]
        return f"{found[0]} of kyaml, {found[1]} of yaml.v3, {found[2]}x the floor" if all(found) else None

    return read


def memory(text: str) -> str | None:
    """Read the memory per input of the largest list."""
    found = [cell(text, 7, "10,000", "", "100%", name) for name in ("krmfn", "Go kyaml")]
    return f"{found[0]}x; kyaml {found[1]}x" if all(found) else None


def walking(text: str) -> str | None:
    """Read time and memory of check and update on a tree."""
    rows = [row for row in cells(text) if row[1].startswith("krmfn ")]
    return (
        "; ".join(
            f"{row[1].removeprefix('krmfn ')} {row[2]} ms ({row[5]} of the processor), {row[3]} of {row[4]} MB"
            for row in rows
        )
        or None
    )


def choosing(text: str) -> str | None:
    """Read the ratios of the semver policies at the largest count of tags."""
    rows = [row for row in cells(text) if row[0].startswith("semver")]
    most = max((int(row[1].replace(",", "").replace("_", "")) for row in rows), default=0)
    ratios = [row[4] for row in rows if int(row[1].replace(",", "").replace("_", "")) == most]
    return f"{', '.join(ratios)} of Go's time at {most:,} tags" if ratios else None


def asking(text: str) -> str | None:
    """Read how far the client is from the limit of the network."""
    found = re.search(
        r"^200 repositories.* 50 ms, plain.*\n  krmfn .*?([0-9.]+) x limit +([0-9]+) requests", text, re.MULTILINE
    )
    return found and f"{found[1]}x the limit, {found[2]} requests"


def verifying(text: str) -> str | None:
    """Return the most CPU that an image more takes, of krmfn and of cosign."""
    most = {program: [float(row[3]) for row in cells(text, "", program)] for program in ("krmfn verify", "cosign verify")}
    told = ", ".join(f"{program.split()[0]} {max(times):.1f} ms" for program, times in most.items() if times)
    return told or None


BUDGETS = (
    Budget("10 items, one policy, no registry", "under 4x of an empty Python", "startup", start_up),
    Budget("10,000 Deployments, all marked", "a third of kyaml", "lists", share("100%")),
    Budget("10,000 Deployments, 1% marked", "a tenth of kyaml", "lists", share("1%")),
    Budget("memory, 10,000 Deployments", "under 4x the input", "lists", memory),
    Budget("check and update 1,100 files, 25 MB", "under 1.5 s; 4x the largest file and 60 MB", "tree", walking),
    Budget("choose by semver", "no slower than Go", "choosing", choosing),
    Budget("200 repositories, list + digest, 50 ms", "within 1.2x of the network; 400 requests", "registry", asking),
    Budget("verify an image more, by key", "under 10 ms of CPU", "verifying", verifying),
)


def run(name: str, *, is_quick: bool) -> tuple[str, str]:
    """Run a suite and show what it prints; answer that, and why it failed."""
    suite = SUITES[name]
    command = [sys.executable, "-u", "-m", f"benchmarks.{name}", *(suite.quick if is_quick else suite.full)]
    lines = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
        failure = (child.stderr.read() if child.stderr else "").strip().splitlines()
    return "".join(lines), (failure or [f"exit {child.returncode}"])[-1] if child.returncode else ""


def machine() -> str:
    """Name the machine and how busy it is."""
    load = os.getloadavg()[0]
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f}"


def main() -> int:
    """Run the suites."""
    flags = {argument for argument in sys.argv[1:] if argument.startswith("--")}
    names = [argument for argument in sys.argv[1:] if argument in SUITES] or list(SUITES)
    if wrong := [argument for argument in sys.argv[1:] if argument not in {*SUITES, "--quick", "--write"}]:
        print(f"benchmarks: {wrong[0]} is none of {', '.join(SUITES)}, --quick, --write", file=sys.stderr)
        return 2
    about = machine()
    texts: dict[str, str] = {}
    parts: list[str] = []
    failures: dict[str, str] = {}
    for name in names:
        print(f"\n## {SUITES[name].heading}\n", flush=True)
        texts[name], failures[name] = run(name, is_quick="--quick" in flags)
        body = texts[name].strip("\n")
        parts.append(f"## {SUITES[name].heading}\n\n" + (body if name != "registry" else f"```text\n{body}\n```"))
    table = ["| what | budget | measured |", "|---|---|---|"]
    for one in (one for one in BUDGETS if one.suite in names):
        found = one.read(texts[one.suite]) or f"could not be measured here: {failures[one.suite] or 'no such row'}"
        table.append(f"| {one.what} | {one.budget} | {found} |")
    print("\n## Budgets\n\n" + "\n".join(table))
    if "--write" in flags:
        RESULTS.write_text(written(about, table, parts))
    return int(any(failures.values()))


def written(about: str, table: list[str], parts: list[str]) -> str:
    """Write the page."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    head = (
        f'# Measured\n\n`make bench BENCH="{" ".join(sys.argv[1:])}"` wrote this on {today}: {about}.\n\n'
        "Whole processes, file to file. The programs of a table run in turn in every round, so that a busy machine slows\n"
        "all of them, and the least time of each counts. Go programs are built from benchmarks/peer and may use every CPU;\n"
        "krmfn uses one.\n\n"
        "The lists hold items of the plain layout that krmfn reads by lines. Items with block scalars, anchors, text beyond\n"
        "ASCII or tabs, and runs that bind by image or by target, compose the changed items, which took 1.3 to 1.9 times as long\n"
        "when everything changes, and nothing more when little does. `--quick` stops at 100,000 tags.\n"
    )
    return head + "\n## Budgets\n\n" + "\n".join(table) + "\n\n" + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
