"""Judge one digest: whether a key or an identity that is trusted signed it, and whether it was built by whom and from what it must be.

The artefacts are asked for one by one, in the order that takes the fewest requests, until one passes: sigstore bundles
that refer to the digest (the referrers API, or its fallback tag), then the tags `sha256-<hex>.sig` and `.att`.
What was signed by others, and what is of another kind, is passed over; it never fails anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from krmfn.errors import RegistryError
from krmfn.globs import matches
from krmfn.image import is_digest
from krmfn.signatures.keyless import Signature, StrangerError, check_installed, judge
from krmfn.signatures.statements import (
    PROVENANCE,
    SIGNATURE,
    Provenance,
    check_payload,
    decode,
    provenance,
    read_bundle,
    read_envelope,
    read_statement,
)
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.signatures.keys import PublicKey
    from krmfn.signatures.wanted import Wanted

BUNDLE = "application/vnd.dev.sigstore.bundle"
_BUNDLES = (BUNDLE, "application/vnd.oci.empty.v1+json")
"""What registries tell of a bundle: its type, or as go-containerregistry's does, that of its empty config."""
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_OLD_KEYLESS = "holds a certificate outside of a bundle, which is not verified: sign again with cosign 3, or with --new-bundle-format"
MAX_REFERRERS, MAX_LAYERS, MAX_TRIES = 50, 100, 200
PAYLOAD_LIMIT, ENVELOPE_LIMIT = 64 << 10, 4 << 20
"""Bytes of a signature's payload, and of an envelope or bundle."""

State = Literal["passed", "missing", "invalid", "unavailable"]


class Store(Protocol):
    """Where the artefacts of one repository are. Content comes verified against its digest; raises RegistryError."""

    def referrers(self, digest: str) -> Sequence[object]:
        """Return the descriptors of what refers to a digest, by the referrers API or its fallback tag."""
        ...

    def manifest(self, reference: str) -> Mapping[str, Any] | None:
        """Return a manifest by tag or digest; None when there is none."""
        ...

    def blob(self, digest: str, limit: int) -> bytes | bytearray:
        """Return content of at most `limit` bytes."""
        ...


class Verdict(NamedTuple):
    """The judgement of a digest. `why` is empty when it passed; `key` is the one that signed, `signature` says who did without."""

    state: State
    why: str = ""
    key: PublicKey | None = None
    provenance: Provenance | None = None
    signature: Signature | None = None

    @property
    def signer(self) -> str:
        """Who signed, for people; empty when it did not pass."""
        return self.key.name if self.key else str(self.signature) if self.signature else ""


class _Artefact(NamedTuple):
    """One document: a payload with its signature as it stands in an annotation, or an envelope; or why it is none."""

    place: str
    data: bytes = b""
    signature: object = None
    kind: str = ""
    problem: str = ""


class _ForeignError(Exception):
    """An artefact is of another kind, or signed in another way: it says nothing about us."""


def verify(digest: str, store: Store, wanted: Wanted) -> Verdict:
    """Judge a digest. A store that cannot answer gives `unavailable`, whatever else is there.

    Raises ConfigError when signatures without a key cannot be judged on this machine.
    """
    if wanted.refusal:
        return Verdict("unavailable", wanted.refusal)
    if wanted.identities:
        check_installed()
    refusals: list[str] = []
    strangers: list[str] = []
    try:
        for tries, artefact in enumerate(_artefacts(digest, store, wanted)):
            if tries >= MAX_TRIES:
                return Verdict("invalid", f"more than {MAX_TRIES} artefacts, and none of the first passes")
            try:
                return _judge(artefact, digest, wanted)
            except _ForeignError:
                continue
            except StrangerError as stranger:
                strangers.append(f"{artefact.place} {stranger}")
            except ValueError as error:
                refusals.append(f"{artefact.place} {error}")
    except RegistryError as error:
        state: State = "invalid" if error.failure in ("integrity", "limit") else "unavailable"
        return Verdict(state, error.message)
    what = "provenance" if wanted.needs_provenance else "signature"
    if refusals:
        return Verdict("invalid", f"no {what} that counts: {_first(refusals)}")
    return Verdict("missing", f"no {what} by {wanted.signers}{f'; {_first(strangers)}' if strangers else ''}")


def _first(several: Sequence[str]) -> str:
    return several[0] + (f", and {len(several) - 1} more" if len(several) > 1 else "")


def _judge(artefact: _Artefact, digest: str, wanted: Wanted) -> Verdict:
    """Return a verdict that passed. Raise ValueError if the artefact does not count, _ForeignError, StrangerError."""
    if artefact.problem:
        raise ValueError(artefact.problem)
    if artefact.kind == _PAYLOAD:
        key = _signer(wanted.keys, [decode(artefact.signature, "signature")], artefact.data)
        check_payload(artefact.data, digest)
        return Verdict("passed", "", key)
    bundle = read_bundle(artefact.data) if artefact.kind == BUNDLE else None
    if artefact.kind == BUNDLE and not (bundle and (wanted.keys if bundle.is_by_key else wanted.identities)):
        raise _ForeignError
    envelope = read_envelope(bundle.envelope if bundle else parse(artefact.data))
    statement = read_statement(envelope.payload, digest)
    if not (statement.is_provenance if wanted.needs_provenance else statement.predicate_type == SIGNATURE):
        raise _ForeignError
    if bundle is None or bundle.is_by_key:
        verdict = Verdict("passed", "", _signer(wanted.keys, envelope.signatures, envelope.signed))
    else:
        signature = judge(artefact.data, bundle.document, envelope.payload, wanted.identities)
        verdict = Verdict("passed", signature=signature)
    if not wanted.needs_provenance:
        return verdict
    built = provenance(statement)
    _check_origin(built, wanted)
    return verdict._replace(provenance=built)


def _signer(keys: Iterable[PublicKey], signatures: Iterable[bytes], data: bytes) -> PublicKey:
    for signature in signatures:
        for key in keys:
            if key.verifies(signature, data):
                return key
    raise ValueError("was not signed by a key that is named")


def _check_origin(built: Provenance, wanted: Wanted) -> None:
    if wanted.builder and not matches(wanted.builder, built.builder):
        raise ValueError(f"was built by {built.builder[:200]!r}, expected {wanted.builder}")
    if wanted.source and not any(matches(wanted.source, source) for source in built.sources):
        source = built.sources[0][:200] if built.sources else "no source that it names"
        raise ValueError(f"was built from {source!r}, expected {wanted.source}")


def _artefacts(digest: str, store: Store, wanted: Wanted) -> Iterator[_Artefact]:
    """Yield what may be a signature, or provenance, of a digest; nothing is fetched before it is asked for."""
    referrers = store.referrers(digest)
    if len(referrers) > MAX_REFERRERS:
        raise RegistryError("limit", "", f"more than {MAX_REFERRERS} artefacts refer to the digest")
    for descriptor in referrers:
        if not isinstance(descriptor, dict) or not str(descriptor.get("artifactType") or BUNDLE).startswith(_BUNDLES):
            continue
        name = descriptor.get("digest")
        if isinstance(name, str) and is_digest(name) and _may_count(descriptor, wanted):
            manifest = store.manifest(name)
            if manifest and _may_count(manifest, wanted):
                yield from _layers(manifest, f"bundle {name[:19]}", store, BUNDLE, wanted)
    # cosign before version 3 knew no referrers: it pushes to a tag that the digest names
    tag = digest.replace(":", "-") + (".att" if wanted.needs_provenance else ".sig")
    manifest = store.manifest(tag)
    kind = _ENVELOPE if wanted.needs_provenance else _PAYLOAD
    yield from _layers(manifest, tag[:19] + tag[-4:], store, kind, wanted) if manifest else ()


def _may_count(described: Mapping[str, Any], wanted: Wanted) -> bool:
    """True unless a descriptor or manifest tells that its bundle is of another type, so that nothing need be fetched."""
    annotations = described.get("annotations")
    kind = annotations.get(_PREDICATE_TYPE) if isinstance(annotations, dict) else None
    return not isinstance(kind, str) or kind in (PROVENANCE if wanted.needs_provenance else (SIGNATURE,))


def _layers(manifest: Mapping[str, Any], place: str, store: Store, kind: str, wanted: Wanted) -> Iterator[_Artefact]:
    """Yield the layers of one manifest that are of a kind."""
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        yield _Artefact(place, problem=f"has not 1 to {MAX_LAYERS} layers")
        return
    limit = PAYLOAD_LIMIT if kind == _PAYLOAD else ENVELOPE_LIMIT
    for number, layer in enumerate(layers, 1):
        if not isinstance(layer, dict) or not str(layer.get("mediaType")).startswith(kind):
            continue
        annotations, size = layer.get("annotations"), layer.get("size")
        annotations = annotations if isinstance(annotations, dict) else {}
        where, name = f"layer {number} of {place}", layer.get("digest")
        if _CERTIFICATE in annotations:
            if wanted.identities:
                yield _Artefact(where, problem=_OLD_KEYLESS)
            continue
        if kind != BUNDLE and not wanted.keys:
            continue
        if not isinstance(size, int) or not 0 < size <= limit:
            yield _Artefact(where, problem=f"is not of 1 byte to {limit >> 10} KiB")
            continue
        if not isinstance(name, str) or not is_digest(name):
            yield _Artefact(where, problem="has no digest")
            continue
        try:
            data = bytes(store.blob(name, limit))
        except RegistryError as error:
            if error.failure != "not-found":
                raise
            yield _Artefact(where, problem="is not there")
            continue
        yield _Artefact(where, data, annotations.get(_ANNOTATION), kind)
