"""Hold krmfn against Flux's own Go code: markers in files, and policies over lists of tags, at random.

    python -m tests.differential SOURCES [--files N] [--policies N] [--seed N]

SOURCES is a folder with clones of fluxcd/image-automation-controller and fluxcd/image-reflector-controller; the programs
of this folder are built inside them, as they call internal packages. Every run has a seed of its own, which it prints.
Where the answers differ for a reason that docs/compatibility.md has, the class is counted; anything else is printed in
full and is an error. Go and PyYAML decide; krmfn is only run.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.differential import policies, writing

HERE = Path(__file__).parent
BATCH = 5_000
"""Cases that one process of each program answers."""
MODULES = {"writing": "image-automation-controller", "choosing": "image-reflector-controller"}


def build(sources: Path, name: str) -> Path:
    """Build one of the Go programs inside the module whose internal package it calls."""
    module = (sources / MODULES[name]).resolve()
    inside = module / "internal" / "differential"
    inside.mkdir(exist_ok=True)
    shutil.copy(HERE / name / "main.go", inside)
    subprocess.run(["go", "build", "-o", f"../{name}", "./internal/differential"], cwd=module, check=True)
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    top, commit = subprocess.run(command, cwd=module, capture_output=True, text=True, check=True).stdout.splitlines()
    if Path(top) != module:
        raise SystemExit(f"{module}: expected a clone of fluxcd/{MODULES[name]}, found a folder of {top}")
    print(f"{MODULES[name]} {commit}", flush=True)
    return sources / name


def main() -> int:
    """Run both; return 1 when anything differs that is not documented."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("sources", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--policies", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if asked.seed is None else asked.seed
    print(f"seed {seed}", flush=True)
    known: Counter[str] = Counter()
    others: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for what, compare, wanted in (
            ("choosing", policies.compare, asked.policies),
            ("writing", writing.compare, asked.files),
        ):
            program, done, changed = build(asked.sources, what), 0, 0
            rng = random.Random(f"{what} {seed}")
            while done < wanted:
                count = min(BATCH, wanted - done)
                folder = Path(scratch) / f"{what}-{done}"
                folder.mkdir()
                changed += compare(program, rng, count, folder, known, others)
                done += count
                shutil.rmtree(folder)
                print(f"{what}: {done} of {wanted}, {len(others)} others", file=sys.stderr, flush=True)
            print(
                json.dumps(
                    {
                        "run": what,
                        "cases": done,
                        "chosen or changed": changed,
                        "documented": known,
                        "others": len(others),
                    }
                ),
                flush=True,
            )
            known.clear()
    print("\n\n".join(others[:20]))
    return int(bool(others))


if __name__ == "__main__":
    sys.exit(main())
