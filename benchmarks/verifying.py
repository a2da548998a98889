"""CPU of verifying signatures by key, beyond the start of the program, beside `cosign verify`: python -m benchmarks.verifying IMAGES ROUNDS

A registry of the tests on loopback holds images that are signed in each form. A program verifies one of them, then all:
the difference, divided, is what one image takes, its requests over loopback included. krmfn also reads platforms and
age. cosign is looked for on PATH, or named by COSIGN; without it krmfn stands alone.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.registry_server import Registry
from tests.test_verify import SIGNER, attach

FORMS = {"tag": "`.sig` tag", "api": "bundle, referrers API", "fallback": "bundle, fallback tag"}


def main() -> None:
    """Print the table."""
    count, rounds = int(sys.argv[1]), int(sys.argv[2])
    cosign = os.environ.get("COSIGN") or shutil.which("cosign")
    print("| form | program | ms of CPU for one run | ms of CPU for each image more | requests for each image |\n|---|---|--:|--:|--:|")
    for form, described in FORMS.items():
        with Registry() as registry, tempfile.TemporaryDirectory() as folder:
            tags = [f"1.0.{number}" for number in range(count)]
            for number, tag in enumerate(tags):
                registry.add("acme/web", [tag], created=f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z")
                attach(registry, tag, form)
            Path(folder, "cosign.pub").write_bytes(SIGNER.pem)
            images = [f"{registry.address}/acme/web:{tag}" for tag in tags]
            programs = {"krmfn verify": [sys.executable, "-m", "krmfn", "verify", "--key", "cosign.pub"]}
            if cosign:
                flags = ["--insecure-ignore-tlog=true", "--allow-http-registry", *([] if form != "tag" else ["--new-bundle-format=false"])]
                programs["cosign verify"] = [cosign, "verify", "--key", "cosign.pub", *flags]
            least: dict[tuple[str, int], float] = {}
            asked: dict[str, float] = {}
            for _ in range(rounds):
                for program, command in programs.items():
                    for several in (1, count):
                        registry.seen.clear()
                        taken = _cpu([*command, *images[:several]], folder)
                        least[program, several] = min(taken, least.get((program, several), taken))
                    asked[program] = len(registry.seen) / count
            for program in programs:
                one, every = least[program, 1], least[program, count]
                print(f"| {described} | {program} | {one:.0f} | {(every - one) / (count - 1):.1f} | {asked[program]:.1f} |")


def _cpu(command: list[str], folder: str) -> float:
    """Return the milliseconds of CPU that a program took; it has to succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


if __name__ == "__main__":
    main()
