"""Artefacts as cosign makes them, signed with keys of the test: `.sig` and `.att` tags, sigstore bundles as referrers.

`Signer` signs; `Artefacts` keeps content by digest as a repository does, and answers what `signatures.verifying` asks.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from krmfn.errors import RegistryError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGN = "https://sigstore.dev/cosign/sign/v1"
SLSA_1, SLSA_02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
BUILDER = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v2.0.0"
SOURCE = "https://github.com/acme/web"


IMAGE = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}", "size": 2}, "layers": []}).encode()
"""The manifest of an image of nothing."""


class Signer:
    """A private key of one kind: `p256`, `p384`, `p521`, `rsa`, `ed25519`."""

    def __init__(self, kind: str = "p256") -> None:
        curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
        self.key: Any
        if kind in curves:
            self.key = ec.generate_private_key(curves[kind])
        else:
            self.key = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)

    @property
    def pem(self) -> bytes:
        public = self.key.public_key()
        return bytes(public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))

    def sign(self, data: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return bytes(self.key.sign(data))
        if isinstance(self.key, rsa.RSAPrivateKey):
            return bytes(self.key.sign(data, padding.PKCS1v15(), digest or hashes.SHA256()))
        return bytes(self.key.sign(data, ec.ECDSA(digest or hashes.SHA256())))


class Artefacts:
    """The content of one repository."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.refers: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
        self.has_api = True

    def put(self, data: bytes | Mapping[str, Any]) -> tuple[str, int]:
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.content[digest] = data
        return digest, len(data)

    def referrers(self, digest: str) -> Sequence[object]:
        self.asked.append("referrers")
        return self.refers.get(digest, [])

    def manifest(self, reference: str) -> Mapping[str, Any] | None:
        self.asked.append(reference if ":" not in reference else "manifest")
        data = self.content.get(self.tags.get(reference, reference))
        document: Mapping[str, Any] | None = json.loads(data) if data is not None else None
        return document

    def blob(self, digest: str, limit: int) -> bytes:
        self.asked.append("blob")
        if digest not in self.content:
            raise RegistryError("not-found", "r.example/acme/web", f"no {digest}")
        assert len(self.content[digest]) <= limit
        return self.content[digest]


def simple(digest: str) -> dict[str, Any]:
    image = {"docker-manifest-digest": digest}
    critical = {"identity": {"docker-reference": "r.example/acme/web"}, "image": image, "type": "cosign container image signature"}
    return {"critical": critical, "optional": None}


def statement(digest: str, kind: str = SIGN, predicate: Mapping[str, Any] | None = None) -> dict[str, Any]:
    algorithm, _, value = digest.partition(":")
    subject = [{"name": "r.example/acme/web", "digest": {algorithm: value}}]
    return {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": kind, "predicate": predicate or {}}


def built(kind: str, builder: str = BUILDER, source: str = SOURCE) -> dict[str, Any]:
    uri = f"git+{source}@refs/tags/v1.2.0"
    if kind == SLSA_02:
        return {"builder": {"id": builder}, "invocation": {"configSource": {"uri": uri, "entryPoint": "build.yml"}}}
    workflow = {"repository": source, "ref": "refs/tags/v1.2.0", "path": "build.yml"}
    return {"runDetails": {"builder": {"id": builder}}, "buildDefinition": {"externalParameters": {"workflow": workflow}}}


def pae(payload: bytes, kind: str = PAYLOAD_TYPE) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def envelope(signer: Signer, payload: Mapping[str, Any], kind: str = PAYLOAD_TYPE) -> dict[str, Any]:
    return envelope_by(signer.sign, payload, kind)


def envelope_by(sign: Callable[[bytes], bytes], payload: Mapping[str, Any], kind: str = PAYLOAD_TYPE) -> dict[str, Any]:
    data = json.dumps(payload).encode()
    return {"payloadType": kind, "payload": text(data), "signatures": [{"sig": text(sign(pae(data, kind))), "keyid": ""}]}


def bundle(signed: Mapping[str, Any]) -> dict[str, Any]:
    return {"mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []}, "dsseEnvelope": signed}


def layer(kind: str, digest: str, size: int, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": size, "annotations": dict(annotations or {})}


def manifest(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": f"sha256:{'0' * 64}", "size": 2}
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers)}
