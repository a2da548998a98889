"""Start with krmfn on repositories without its configuration, as a new user does, and count commands, lines and what follows.

    python -m benchmarks.starting CHECKOUT...

Each checkout (benchmarks/recall.py says where they come from) is copied. An OCI layout offers, for every repository that
`krmfn check` names, the tags that stand in the files and one with a higher second number, or a higher first where there is none.
Then, with no line written by hand:

1. `krmfn update . --within minor --diff --check`: lines of the first useful diff.
2. `krmfn init .`: policies, one command.
3. `krmfn update .`: fields and pins; what was pinned is pinned. A second update and a second init change nothing.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import writes
from benchmarks.recall import check, krmfn, places

COLUMNS = ("places", "pinned", "diff of 1 command", "policies of init", "fields updated", "pins kept", "again", "findings of lint")


def _next_minor(tag: str) -> str | None:
    """Return a tag with its second number raised by one, or its first where it has one number; None without a number."""
    numbers = list(re.finditer(r"\d+", tag.partition("-")[0]))
    if not numbers:
        return None
    at = numbers[1] if len(numbers) > 1 else numbers[0]
    return tag[: at.start()] + str(int(at[0]) + 1) + tag[at.end() :]


def start(checkout: Path, folder: Path) -> dict[str, object]:
    """Take the first steps in a copy of a checkout. Raise AssertionError where a step does not do what it must."""
    work = folder / checkout.name
    shutil.copytree(checkout, work, ignore=shutil.ignore_patterns(".git"), symlinks=True)
    found = places(check(work))
    writes.raised = _next_minor
    writes.Offer(found).write(folder / "images")
    source = ("--source", f"layout:{folder / 'images'}")
    diff = krmfn(work, "update", ".", "--within", "minor", "--diff", "--check", *source)
    begun = krmfn(work, "init", ".")
    assert begun.returncode == 0, begun.stderr
    pins = _pins(work)
    updated = krmfn(work, "update", ".", *source)
    assert updated.returncode == 0, updated.stderr
    again = krmfn(work, "update", ".", "--check", *source).returncode, "nothing to add" in krmfn(work, "init", ".").stderr
    assert again == (0, True), again
    policies = re.search(r"wrote (\d+) polic", begun.stderr)
    fields = re.search(r"(\d+) fields? in", updated.stderr)
    return {
        "places": len(found),
        "pinned": sum("sha256:" in one.version for one in found),
        "diff of 1 command": len(re.findall(r"^\+(?!\+\+)", diff.stdout, re.MULTILINE)),
        "policies of init": policies[1] if policies else "0",
        "fields updated": fields[1] if fields else "0",
        "pins kept": f"{_pins(work)} of {pins}",
        "again": "empty",
        "findings of lint": len(krmfn(work, "lint", ".").stdout.splitlines()),
    }


def _pins(work: Path) -> int:
    """Return how many digests stand in the manifests."""
    return sum(path.read_bytes().count(b"sha256:") for end in ("*.yaml", "*.yml") for path in work.rglob(end) if path.is_file())


def main(checkouts: list[str]) -> None:
    """Print a row of the table for every checkout."""
    print("| repository |", " | ".join(COLUMNS), "|")
    for name in checkouts:
        with tempfile.TemporaryDirectory() as folder:
            row = start(Path(name), Path(folder))
        print(f"| {Path(name).name} |", " | ".join(str(row[column]) for column in COLUMNS), "|", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
