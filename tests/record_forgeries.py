"""Record what cosign says of every forgery: `python -m tests.record_forgeries COSIGN` writes forgeries.json and keyless.json of
fixtures/cosign anew.

Each row of `tests.test_signatures.FORGERIES`, and each form as it is accepted, is served by a registry on loopback and
judged by `cosign verify` or `cosign verify-attestation`, by key, with no transparency log; those of `tests.test_keyless`
by an identity under the trusted root of the tests, offline. COSIGN as for tests/record_cosign.py. The keys are new ones
each time: no verdict depends on them.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests import signing, test_keyless
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
        _write(FILE, verdicts)
        Path(folder, "root.json").write_text(json.dumps(test_keyless.ROOT))
        identity = ["--certificate-identity-regexp", f"^{test_keyless.SUBJECTS}$", "--certificate-oidc-issuer-regexp", f"^{test_keyless.ISSUERS}$"]
        command = ["verify", "--trusted-root", "root.json", *identity]
        forged = {name: _run(program, folder, command, test_keyless.stored(bundle)) for name, bundle in test_keyless.forged()}
        _write(test_keyless.FILE, forged)


def _write(file: Path, verdicts: dict[str, str]) -> None:
    file.write_text(json.dumps(verdicts, indent=1, ensure_ascii=False) + "\n")


def _judge(program: str, folder: str, form: str, fields: dict[str, object]) -> str:
    command = [*COMMANDS[form], "--key", "cosign.pub", "--insecure-ignore-tlog=true"]
    return _run(program, folder, command, stored(form, fields))


def _run(program: str, folder: str, command: Sequence[str], store: signing.Artefacts) -> str:
    """Return `passed`, or the last line that cosign wrote."""
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
        done = subprocess.run([program, *command, *QUIET, image], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return "passed"
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit {done.returncode}"]
        panic = next((line for line in lines if line.startswith("panic:")), "")
        return re.sub(r"127\.0\.0\.1:\d+", "r.example", panic or lines[-1])[:300]


if __name__ == "__main__":
    main()
