"""Record what cosign says of every forgery: `python -m tests.record_forgeries COSIGN` writes fixtures/cosign/forgeries.json anew.

Each row of `tests.test_signatures.FORGERIES`, and each form as it is accepted, is served by a registry on loopback and
judged by `cosign verify` or `cosign verify-attestation`, by key, with no transparency log. COSIGN as for
tests/record_cosign.py. The keys are new ones each time: no verdict depends on them.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import signing
from tests.record_cosign import QUIET
from tests.registry_server import Registry, Request
from tests.test_signatures import DIGEST, FILE, FORGERIES, OWN, accepted, name, put, stored

COMMANDS = {
    "sig": ["verify", "--new-bundle-format=false"],
    "bundle": ["verify"],
    "att": ["verify-attestation", "--new-bundle-format=false", "--type", "slsaprovenance02"],
    "built": ["verify-attestation", "--type", "slsaprovenance1"],
}


def main() -> None:
    """Write the file."""
    program, verdicts = sys.argv[1], {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "cosign.pub").write_bytes(OWN.pem)
        for form in COMMANDS:
            verdicts[form] = _judge(program, folder, form, accepted(form))
        for form, path, value, *_ in FORGERIES:
            fields = copy.deepcopy(accepted(form))
            put(fields, path, value)
            verdicts[name(form, path, value)] = _judge(program, folder, form, fields)
    FILE.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n")


def _judge(program: str, folder: str, form: str, fields: dict[str, object]) -> str:
    """Return `passed`, or the last line that cosign wrote."""
    store = stored(form, fields)
    with Registry() as registry:
        for digest, data in store.content.items():
            kind = signing.MANIFEST if b'"layers"' in data else "application/octet-stream"
            registry.blobs[digest] = (kind, data)
        registry.blobs[DIGEST] = (signing.MANIFEST, signing.IMAGE)
        registry.tags["acme/web"] = {"1.0.0": DIGEST, **store.tags}

        def refer(request: Request) -> None:
            index = {"schemaVersion": 2, "mediaType": signing.INDEX, "manifests": store.refers.get(request.path.rpartition("/")[2], [])}
            request.plain(200, json.dumps(index).encode(), {"Content-Type": signing.INDEX})

        registry.misbehave("other", refer)
        image = f"{registry.address}/acme/web@{DIGEST}"
        command = [program, *COMMANDS[form], "--key", "cosign.pub", "--insecure-ignore-tlog=true", *QUIET, image]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return "passed"
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        panic = next((line for line in lines if line.startswith("panic:")), "")
        return re.sub(r"127\.0\.0\.1:\d+", "r.example", panic or lines[-1])[:300]


if __name__ == "__main__":
    main()
