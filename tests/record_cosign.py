"""Record what cosign signs and attests: `python -m tests.record_cosign COSIGN` writes fixtures/cosign anew.

COSIGN is the program, as `go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3` makes it. For each kind of key an
image is pushed to a docker-registry on loopback, signed as bundle and as `.sig` tag, and attested (SLSA v0.2 and v1) as
bundle and as `.att` tag, by key, with no transparency log. What the registry holds then becomes an OCI layout. Beside
it stand the public keys and, in verdicts.json, what cosign itself says: `cosign verify`, `cosign verify-attestation`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests import registries, signing, tools
from tests.image_store import Images

FOLDER = tools.ROOT / "fixtures" / "cosign"
PLACE = FOLDER / "images" / "r.example" / "acme" / "web"
KINDS = ("p256", "p384", "p521", "rsa", "ed25519")
QUIET = ("--allow-http-registry", "--allow-insecure-registry")
OFFLINE = ("--tlog-upload=false", "--use-signing-config=false", "-y", *QUIET)
ACCEPT = f"{signing.MANIFEST}, {signing.INDEX}"


def main() -> None:
    """Write the folder."""
    program = sys.argv[1]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    store = Images()
    for number, kind in enumerate(KINDS):
        store.add("acme/web", [kind], created=f"2026-03-0{number + 1}T00:00:00Z")
    verdicts: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder, registries.distribution(tools.require("docker-registry"), Path(folder, "data"), Path(folder)) as address:
        registries.push(address, store)
        for kind in KINDS:
            verdicts[kind] = _record(program, Path(folder), f"{address}/acme/web@{store.tags['acme/web'][kind]}", kind)
        _layout(address)
    (FOLDER / "verdicts.json").write_text(json.dumps(verdicts, indent=2) + "\n")


def _record(program: str, folder: Path, image: str, kind: str) -> dict[str, str]:
    env = {**os.environ, "COSIGN_PASSWORD": "x"}

    def cosign(*arguments: str) -> bool:
        done = subprocess.run([program, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            print(kind, arguments[0], done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return done.returncode == 0

    signer = signing.Signer(kind)
    pem = signer.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{kind}.pem").write_bytes(pem)
    if not cosign("import-key-pair", "--key", f"{kind}.pem", "--output-key-prefix", kind):
        return {}
    (FOLDER / f"{kind}.pub").write_bytes((folder / f"{kind}.pub").read_bytes())
    for name, predicate in ((signing.SLSA_02, "slsaprovenance02"), (signing.SLSA_1, "slsaprovenance1")):
        (folder / f"{predicate}.json").write_text(json.dumps(_predicate(name)))
    verdicts = {}
    for form in ("bundle", "tag"):
        legacy = [] if form == "bundle" else ["--new-bundle-format=false"]
        signed = cosign("sign", "--key", f"{kind}.key", *legacy, *OFFLINE, image)
        attested = all(
            cosign("attest", "--key", f"{kind}.key", "--type", one, "--predicate", f"{one}.json", *legacy, *OFFLINE, image)
            for one in ("slsaprovenance02", "slsaprovenance1")
        )
        checks = ["--key", f"{kind}.pub", "--insecure-ignore-tlog=true", *QUIET, *legacy]
        verdicts[f"{form} signature"] = "passed" if signed and cosign("verify", *checks, image) else "refused"
        both = attested and cosign("verify-attestation", *checks, "--type", "slsaprovenance1", image)
        verdicts[f"{form} provenance"] = "passed" if both else "refused"
    return verdicts


def _predicate(name: str) -> dict[str, object]:
    """Return a predicate with every field that cosign wants."""
    predicate = signing.built(name)
    if name == signing.SLSA_02:
        return {**predicate, "buildType": "https://example.com/build/v1"}
    predicate["buildDefinition"] = {**predicate["buildDefinition"], "buildType": "https://example.com/build/v1", "internalParameters": {}, "resolvedDependencies": []}
    return predicate


def _layout(address: str) -> None:
    """Copy the repository into a layout, with everything that is reached from its tags."""
    place = PLACE
    (place / "blobs" / "sha256").mkdir(parents=True)
    base = f"http://{address}/v2/acme/web"

    def get(path: str) -> tuple[bytes, str, str]:
        request = urllib.request.Request(f"{base}/{path}", headers={"Accept": ACCEPT})
        with urllib.request.urlopen(request) as answer:
            return answer.read(), answer.headers["Content-Type"], answer.headers.get("Docker-Content-Digest", "")

    def keep(data: bytes, digest: str) -> None:
        (place / "blobs" / digest.replace(":", "/")).write_bytes(data)

    def reach(reference: str) -> tuple[str, str, int]:
        data, kind, digest = get(f"manifests/{reference}")
        keep(data, digest)
        document = json.loads(data)
        for one in document.get("manifests", ()):
            reach(one["digest"])
        for one in (*document.get("layers", ()), *([document["config"]] if "config" in document else ())):
            keep(get(f"blobs/{one['digest']}")[0], one["digest"])
        return digest, kind, len(data)

    tags = json.loads(get("tags/list")[0])["tags"]
    entries = []
    for tag in sorted(tags):
        digest, kind, size = reach(tag)
        entries.append({"mediaType": kind, "digest": digest, "size": size, "annotations": {"org.opencontainers.image.ref.name": tag}})
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}, indent=1) + "\n")
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n')


if __name__ == "__main__":
    main()
