"""What a signed document says: cosign's payload of a signature, a DSSE envelope with an in-toto statement, a sigstore bundle.

containers/image simple signing; DSSE v1 (secure-systems-lab); in-toto Statement v0.1 and v1; SLSA provenance v0.2 and
v1; sigstore bundle v0.1 to v0.3. Every reader raises ValueError whose text says what is wrong and quotes no secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from krmfn.strict_json import parse

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a signature that cosign 3 writes, and the `type` in the payload of one by 2.5 and newer."""
PROVENANCE = frozenset({"https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1"})
_TYPES = frozenset({"cosign container image signature", SIGNATURE})
_STATEMENTS = frozenset({"https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"})
_SIGNATURES = 10
"""Signatures of one envelope that are tried."""


class Envelope(NamedTuple):
    """A DSSE envelope: the bytes that were signed (PAE), its signatures, and the payload."""

    signed: bytes
    signatures: tuple[bytes, ...]
    payload: bytes


class Bundle(NamedTuple):
    """A sigstore bundle with a DSSE envelope, signed by a key, or by somebody whom a certificate in it names."""

    document: Mapping[str, Any]
    envelope: Mapping[str, Any]
    is_by_key: bool


class Statement(NamedTuple):
    """An in-toto statement about a digest."""

    predicate_type: str
    predicate: Mapping[str, Any]

    @property
    def is_provenance(self) -> bool:
        """True for the SLSA provenance that is understood."""
        return self.predicate_type in PROVENANCE


class Provenance(NamedTuple):
    """Who built, and from which sources: URIs as they stand, and without `git+` and what follows `@`."""

    builder: str
    sources: tuple[str, ...]


def check_payload(data: bytes, digest: str) -> None:
    """Check that the payload of a signature is one of cosign, for this digest."""
    critical = _mapping(parse(data).get("critical"), "critical")
    kind = critical.get("type")
    if kind not in _TYPES:
        raise ValueError("is not of cosign's type of payload")
    image = _mapping(critical.get("image"), "critical.image")
    if image.get("docker-manifest-digest") != digest:
        raise ValueError("was made for another digest")


def read_envelope(document: Mapping[str, Any]) -> Envelope:
    """Read a DSSE envelope that holds an in-toto statement."""
    if document.get("payloadType") != PAYLOAD_TYPE:
        raise ValueError(f"is not of payload type {PAYLOAD_TYPE}")
    payload = decode(document.get("payload"), "payload")
    entries = document.get("signatures")
    if not isinstance(entries, list) or not 0 < len(entries) <= _SIGNATURES:
        raise ValueError(f"has not 1 to {_SIGNATURES} signatures")
    signatures = tuple(decode(_mapping(entry, "signatures").get("sig"), "sig") for entry in entries)
    kind = PAYLOAD_TYPE.encode()
    # PAE of DSSE v1: the type and both lengths are signed with the payload, so that no bytes have two readings.
    return Envelope(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), signatures, payload)


def read_statement(payload: bytes, digest: str) -> Statement:
    """Read an in-toto statement; one that is not about this digest is refused."""
    document = parse(payload)
    if document.get("_type") not in _STATEMENTS:
        raise ValueError("is no in-toto statement v0.1 or v1")
    subjects = document.get("subject")
    algorithm, _, value = digest.partition(":")
    named = [_mapping(one, "subject").get("digest") for one in subjects] if isinstance(subjects, list) else []
    if not any(isinstance(one, dict) and one.get(algorithm) == value for one in named):
        raise ValueError("has another digest as its subject")
    kind, predicate = document.get("predicateType"), document.get("predicate")
    if not isinstance(kind, str) or not kind:
        raise ValueError("has no predicateType")
    return Statement(kind, predicate if isinstance(predicate, dict) else {})


def read_bundle(data: bytes) -> Bundle | None:
    """Read a sigstore bundle; None for one that signs something else than a DSSE envelope."""
    document = parse(data)
    kind = document.get("mediaType")
    if not isinstance(kind, str) or not kind.startswith("application/vnd.dev.sigstore.bundle"):
        raise ValueError("is no sigstore bundle")
    material = _mapping(document.get("verificationMaterial"), "verificationMaterial")
    envelope = document.get("dsseEnvelope")
    return Bundle(document, envelope, "publicKey" in material) if isinstance(envelope, dict) else None


def provenance(statement: Statement) -> Provenance:
    """Return builder and sources of SLSA provenance; raises ValueError when it names no builder."""
    predicate = statement.predicate
    if statement.predicate_type.endswith("/v1"):
        builder = _at(predicate, "runDetails", "builder", "id")
        inputs = _at(predicate, "buildDefinition", "externalParameters")
        sources = [_at(inputs, "workflow", "repository"), _at(inputs, "source"), _at(inputs, "source", "uri"), _at(inputs, "configSource", "uri")]
    else:
        builder = _at(predicate, "builder", "id")
        sources = [_at(predicate, "invocation", "configSource", "uri")]
    if not isinstance(builder, str) or not builder:
        raise ValueError("names no builder")
    texts = [one for one in sources if isinstance(one, str) and one]
    return Provenance(builder, tuple(dict.fromkeys(form for text in texts for form in _spellings(text))))


def _spellings(uri: str) -> Iterator[str]:
    """Yield the URI of a source as it stands, and as people write it.

    >>> list(_spellings("git+https://host/a.git@refs/heads/main"))
    ['git+https://host/a.git@refs/heads/main', 'https://host/a']
    """
    yield uri
    bare = uri.removeprefix("git+")
    scheme, slashes, rest = bare.partition("://")
    path = rest.rpartition("@")[0] if "@" in rest.partition("/")[2] else rest
    yield f"{scheme}{slashes}{path}".removesuffix(".git")


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"has no {name}")  # noqa: TRY004 - the input is wrong, not the program
    return value


def decode(value: object, name: str) -> bytes:
    """Decode base64 as Go's standard encoding does: padded, line ends passed over."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"has no {name}")
    try:
        return base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"has a {name} that is not base64") from None
