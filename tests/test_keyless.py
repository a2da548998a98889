"""Signatures without a key: the sigstore package verifies them, under a sigstore that the tests made.

A forgery changes one field of a bundle that is accepted, names the verdict, and puts the field back: then it is accepted
again. The attacker owns the registry, and may get certificates from the same CA, for names of his own.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.errors import ConfigError
from krmfn.signatures.keys import read_keys
from krmfn.signatures.verifying import Verdict, verify
from krmfn.signatures.wanted import Identity, TrustedRoot, Wanted
from tests import signing
from tests.running import environment
from tests.signing import BUILDER, BUNDLE, SLSA_02, SLSA_1, SOURCE, Artefacts, Signer, statement
from tests.sigstore_instance import ISSUER, SIGNED, SUBJECT, Authority, Instance, p256
from tests.test_signatures import DIGEST
from tests.tools import ROOT as CHECKOUT

OTHER = f"sha256:{'cd' * 32}"
INSTANCE, ELSEWHERE = Instance(), Instance()
ROOT = INSTANCE.trusted_root()
PROMISED, STAMPED = INSTANCE.bundle(statement(DIGEST)), INSTANCE.bundle(statement(DIGEST), rekor=2)
ANOTHER = INSTANCE.bundle(statement(DIGEST, predicate={"approved": "yes"}))
ACCEPTED = {"promise": PROMISED, "stamp": STAMPED}
"""A bundle whose time Rekor v1 promises, and one of Rekor v2 with a time stamp."""
ISSUERS, SUBJECTS = r"https://token\.actions\.example\.com", r"https://github\.com/acme/.*"
FIXTURE = CHECKOUT / "fixtures" / "sigstore"
FILE = CHECKOUT / "fixtures" / "cosign" / "keyless.json"
GONE = object()


def root(data: dict[str, Any] | None = None) -> TrustedRoot:
    return TrustedRoot("tests", json.dumps(data or ROOT).encode())


def identity(issuer: str = ISSUERS, subject: str = SUBJECTS, *, is_whole: bool = True, trusted: TrustedRoot | None = None) -> Identity:
    return Identity(issuer, subject, is_whole, trusted or root())


def stored(*bundles: Any, digest: str = DIGEST) -> Artefacts:
    store = Artefacts()
    for one in bundles:
        name, size = store.put(one if isinstance(one, bytes) else json.dumps(one).encode())
        manifest, _ = store.put(signing.manifest([signing.layer(BUNDLE, name, size)]))
        store.refers.setdefault(digest, []).append({"mediaType": signing.MANIFEST, "digest": manifest, "size": 9, "artifactType": BUNDLE})
    return store


def judged(bundle: Any, *identities: Identity, digest: str = DIGEST, **origin: str) -> Verdict:
    return verify(digest, stored(bundle, digest=digest), Wanted((), origin.get("builder", ""), origin.get("source", ""), identities or (identity(),)))


@pytest.mark.parametrize("form", ACCEPTED)
def test_a_signature_without_a_key_is_accepted_with_who_and_when(form: str):
    verdict = judged(ACCEPTED[form])
    assert (verdict.state, verdict.why, verdict.key) == ("passed", "", None)
    assert verdict.signature is not None
    assert (verdict.signature.issuer, verdict.signature.subject) == (ISSUER, SUBJECT)
    assert verdict.signature.time == (SIGNED + timedelta(minutes=1)).timestamp()
    assert verdict.signer == f"{SUBJECT} (issuer {ISSUER})"


@pytest.mark.parametrize("subject", ["alice@example.com", "deploy!acme.example", SUBJECT])
def test_subjects_of_every_kind(subject: str):
    """A URI, an e-mail address, the name that an issuer of its own gives."""
    bundle = INSTANCE.bundle(statement(DIGEST), subject=subject)
    verdict = judged(bundle, identity(subject=re.escape(subject)))
    assert (verdict.state, verdict.signature and verdict.signature.subject) == ("passed", subject)
    assert f"names {subject} (issuer {ISSUER})" in judged(bundle, identity(subject="somebody else")).why


@pytest.mark.parametrize("kind", [SLSA_02, SLSA_1])
@pytest.mark.parametrize("rekor", [1, 2])
def test_provenance_without_a_key(kind: str, rekor: int):
    bundle = INSTANCE.bundle(statement(DIGEST, kind, signing.built(kind)), rekor=rekor)
    verdict = judged(bundle, builder=BUILDER, source=f"{SOURCE}*")
    assert verdict.state == "passed"
    assert verdict.provenance is not None
    assert verdict.provenance.builder == BUILDER
    assert "was built by" in judged(bundle, builder="https://example.com/*").why
    assert "was built from" in judged(bundle, source="https://github.com/evil/*").why
    assert judged(bundle).state == "missing"  # provenance is no signature
    assert judged(PROMISED, builder=BUILDER).why.startswith("no provenance by")


def place(bundle: Any, path: str) -> tuple[Any, Any]:
    *steps, last = path.split("/")
    for step in steps:
        bundle = bundle[int(step)] if isinstance(bundle, list) else bundle[step]
    return bundle, int(last) if isinstance(bundle, list) else last


def set_field(bundle: Any, path: str, value: object) -> object:
    """Set or drop one field; return what was there."""
    holder, name = place(bundle, path)
    before = holder[name] if isinstance(holder, list) else holder.get(name, GONE)
    if value is GONE:
        del holder[name]
    else:
        holder[name] = value
    return before


def flipped(path: str) -> Callable[[Any], object]:
    """Return what flips the last bit of what stands in base64."""

    def change(bundle: Any) -> str:
        holder, name = place(bundle, path)
        data = bytearray(base64.b64decode(holder[name]))
        data[-1] ^= 1
        return signing.text(bytes(data))

    return change


def added(path: str, amount: int) -> Callable[[Any], object]:
    def change(bundle: Any) -> str:
        holder, name = place(bundle, path)
        return str(int(holder[name]) + amount)

    return change


def other(path: str, of: Any) -> Callable[[Any], object]:
    """Return what takes the same field of another bundle."""

    def change(_bundle: Any) -> object:
        holder, name = place(of, path)
        return copy.deepcopy(holder[name])

    return change


M, LOG, CERT = "verificationMaterial", "verificationMaterial/tlogEntries/0", "verificationMaterial/certificate/rawBytes"
PROOF, STAMPS = f"{LOG}/inclusionProof", "verificationMaterial/timestampVerificationData/rfc3161Timestamps"
REFUSED = "is refused by sigstore: "
PAYLOAD_OF_ANOTHER = signing.text(json.dumps(statement(OTHER)).encode())
STRANGER = INSTANCE.bundle(statement(DIGEST), subject="https://github.com/evil/web/.github/workflows/release.yml@refs/tags/v1.2.0")
BOTH: list[tuple[str, object, str]] = [
    ("mediaType", f"{BUNDLE};version=9", f"{REFUSED}failed to load bundle"),
    ("mediaType", GONE, "is no sigstore bundle"),
    (M, GONE, "has no verificationMaterial"),
    (f"{M}/certificate", GONE, "has no certificate"),
    (CERT, "%", "has a certificate that is not base64"),
    (CERT, "AAAA", "has a certificate that cannot be read"),
    (CERT, flipped(CERT), f"{REFUSED}failed to build timestamp certificate chain"),
    (CERT, other(CERT, ANOTHER), REFUSED),
    (CERT, other(CERT, ELSEWHERE.bundle(statement(DIGEST))), f"{REFUSED}failed to build timestamp certificate chain"),
    (CERT, other(CERT, STRANGER), "names https://github.com/evil/web"),
    (f"{M}/tlogEntries", [], f"{REFUSED}expected exactly one log entry"),
    (f"{M}/tlogEntries", GONE, "tlogEntries Field required"),
    (LOG, other(LOG, ELSEWHERE.bundle(statement(DIGEST))), REFUSED),
    (f"{LOG}/logId/keyId", signing.text(b"\0" * 32), f"{REFUSED}invalid log entry: checkpoint: Signature not found"),
    (f"{LOG}/kindVersion/kind", "intoto", "which sigstore-python does not verify"),
    (f"{LOG}/kindVersion/version", "0.0.9", f"{REFUSED}Expected log entry version"),
    (f"{LOG}/canonicalizedBody", flipped(f"{LOG}/canonicalizedBody"), f"{REFUSED}invalid log entry: inclusion proof contains invalid root hash"),
    (f"{LOG}/canonicalizedBody", other(f"{LOG}/canonicalizedBody", ANOTHER), f"{REFUSED}invalid log entry: inclusion proof contains invalid root hash"),
    (PROOF, GONE, "inclusionProof Field required"),
    (f"{PROOF}/checkpoint", GONE, f"{REFUSED}entry must contain inclusion proof"),
    (f"{PROOF}/checkpoint", other(f"{PROOF}/checkpoint", ANOTHER), f"{REFUSED}invalid log entry: ('Inclusion proof contains invalid root hash"),
    (f"{PROOF}/checkpoint/envelope", "rekor.example.com - 1\n2\nAAAA\n", f"{REFUSED}invalid log entry: note must contain one blank line"),
    (f"{PROOF}/rootHash", flipped(f"{PROOF}/rootHash"), f"{REFUSED}invalid log entry: inclusion proof contains invalid root hash"),
    (f"{PROOF}/treeSize", "5", REFUSED),
    (f"{PROOF}/logIndex", "0", f"{REFUSED}invalid log entry: inclusion proof contains invalid root hash"),
    (f"{PROOF}/hashes", [], f"{REFUSED}invalid log entry"),
    (f"{PROOF}/hashes/0", flipped(f"{PROOF}/hashes/0"), f"{REFUSED}invalid log entry: inclusion proof contains invalid root hash"),
    ("dsseEnvelope/payload", PAYLOAD_OF_ANOTHER, "has another digest as its subject"),
    ("dsseEnvelope/payload", other("dsseEnvelope/payload", ANOTHER), f"{REFUSED}DSSE: invalid signature"),
    ("dsseEnvelope/payloadType", "application/json", "is not of payload type"),
    ("dsseEnvelope/signatures", [], "has not 1 to 10 signatures"),
    ("dsseEnvelope/signatures/0/sig", flipped("dsseEnvelope/signatures/0/sig"), REFUSED),
    ("dsseEnvelope/signatures/0/sig", other("dsseEnvelope/signatures/0/sig", ANOTHER), REFUSED),
]
ONE: list[tuple[str, str, object, str]] = [
    ("promise", LOG, other(LOG, ANOTHER), f"{REFUSED}log entry payload hash does not match bundle"),  # CVE-2022-36056
    ("promise", f"{LOG}/integratedTime", added(f"{LOG}/integratedTime", 60), f"{REFUSED}invalid log entry: SET: invalid inclusion promise"),
    ("promise", f"{LOG}/integratedTime", added(f"{LOG}/integratedTime", -3600), f"{REFUSED}failed to build timestamp certificate chain"),
    ("promise", f"{LOG}/integratedTime", added(f"{LOG}/integratedTime", 10**9), f"{REFUSED}failed to build timestamp certificate chain"),
    ("promise", f"{LOG}/integratedTime", GONE, f"{REFUSED}not enough sources of verified time"),
    ("promise", f"{LOG}/inclusionPromise", GONE, f"{REFUSED}bundle must contain an inclusion promise"),
    ("promise", f"{LOG}/inclusionPromise/signedEntryTimestamp", "AAAA", f"{REFUSED}invalid log entry: SET"),
    ("promise", f"{LOG}/inclusionPromise", other(f"{LOG}/inclusionPromise", ANOTHER), f"{REFUSED}invalid log entry: SET"),
    ("promise", f"{LOG}/logIndex", "0", f"{REFUSED}invalid log entry: SET"),
    ("promise", f"{LOG}/kindVersion/kind", "hashedrekord", f"{REFUSED}Unsupported DSSE log entry type"),
    ("stamp", STAMPS, [], f"{REFUSED}bundle must contain an inclusion promise or signed timestamp"),
    ("stamp", f"{STAMPS}/0/signedTimestamp", "AAAA", f"{REFUSED}Invalid Timestamp Response"),
    ("stamp", f"{STAMPS}/0/signedTimestamp", signing.text(INSTANCE.stamp(b"something else", SIGNED)), f"{REFUSED}not enough sources of verified time"),
    ("stamp", f"{STAMPS}/0/signedTimestamp", flipped(f"{STAMPS}/0/signedTimestamp"), REFUSED),
    ("stamp", LOG, other(LOG, INSTANCE.bundle(statement(DIGEST, predicate={"approved": "yes"}), rekor=2)), f"{REFUSED}transparency log entry is inconsistent"),
]
FORGERIES = [(form, path, change, why) for form in ACCEPTED for path, change, why in BOTH] + ONE


@pytest.mark.parametrize(("form", "path", "change", "why"), FORGERIES, ids=[f"{form}-{path}-{number}" for number, (form, path, _, _) in enumerate(FORGERIES)])
def test_one_field_that_is_changed_refuses_and_is_accepted_when_it_is_put_back(form: str, path: str, change: Any, why: str):
    bundle = copy.deepcopy(ACCEPTED[form])
    before = set_field(bundle, path, change(bundle) if callable(change) else change)
    verdict = judged(bundle)
    assert verdict.state == ("missing" if why.startswith("names") else "invalid"), verdict
    assert why in verdict.why
    assert verdict.signature is None
    set_field(bundle, path, before)
    assert judged(bundle).state == "passed"


ISSUED: dict[str, tuple[dict[str, Any], str, str]] = {
    "another subject": ({"subject": "https://github.com/evil/web/.github/workflows/release.yml@refs/heads/main"}, "missing", "names https://github.com/evil/web"),
    "a subject that goes on": ({"subject": f"x{SUBJECT}"}, "missing", "names xhttps://github.com/acme/web"),
    "an address": ({"subject": "mallory@example.com"}, "missing", "names mallory@example.com"),
    "another issuer": ({"issuer": "https://accounts.example.com"}, "missing", "issuer https://accounts.example.com"),
    "an issuer that goes on": ({"issuer": f"{ISSUER}.evil.example"}, "missing", "evil.example"),
    "for servers": ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "invalid", "Extended usage does not contain `code signing`"),
    "not for signatures": ({"signs": False}, "invalid", "Key usage is not of type `digital signature`"),
    "a CA of the same name": ({"by": Authority("fulcio")}, "invalid", "failed to build timestamp certificate chain"),
    "a certificate log of nobody": ({"ctlog": p256()}, "invalid", "failed to verify SCT"),
    "a stamp of another certificate": ({"spoil": b"\0"}, "invalid", "failed to verify SCT"),
}


def forged() -> Iterator[tuple[str, Any]]:
    """Yield every bundle that is accepted, and every forgery, by name."""
    yield from ACCEPTED.items()
    counts = Counter[tuple[str, str]]()
    for form, path, change, _ in FORGERIES:
        bundle = copy.deepcopy(ACCEPTED[form])
        set_field(bundle, path, change(bundle) if callable(change) else change)
        counts[form, path] += 1
        yield f"{form} {path} {counts[form, path]}", bundle
    for case, (change, _, _) in ISSUED.items():
        yield f"promise {case}", INSTANCE.bundle(statement(DIGEST), **change)
        yield f"stamp {case}", INSTANCE.bundle(statement(DIGEST), rekor=2, **change)


KIND_OF_BODY = "cosign reads the type of an entry out of its body, which the log signed"
COSIGN_TAKES = {
    "promise verificationMaterial/tlogEntries/0/kindVersion/kind 1": KIND_OF_BODY,
    "promise verificationMaterial/tlogEntries/0/kindVersion/kind 2": KIND_OF_BODY,
    "promise verificationMaterial/tlogEntries/0/kindVersion/version 1": KIND_OF_BODY,
    "stamp verificationMaterial/tlogEntries/0/kindVersion/kind 1": KIND_OF_BODY,
    "stamp verificationMaterial/tlogEntries/0/kindVersion/version 1": KIND_OF_BODY,
    "stamp verificationMaterial/tlogEntries/0 2": "the entry of another signature in Rekor v2: cosign 3.1.3 does not compare it with the envelope",
    "promise not for signatures": "cosign looks at the extended usage alone",
    "stamp not for signatures": "cosign looks at the extended usage alone",
}
"""What cosign 3.1.3 takes and krmfn refuses, and why."""


def test_what_cosign_says_of_every_forgery():
    said = json.loads(FILE.read_text())
    assert list(said) == [name for name, _ in forged()]
    assert {name for name, text in said.items() if text == "passed"} == {*ACCEPTED, *COSIGN_TAKES}
    assert not [text for text in said.values() if "connection" in text]  # it was judged, not lost


@pytest.mark.parametrize("case", ISSUED)
@pytest.mark.parametrize("rekor", [1, 2])
def test_a_certificate_that_differs_in_one_thing_refuses(case: str, rekor: int):
    change, state, why = ISSUED[case]
    verdict = judged(INSTANCE.bundle(statement(DIGEST), rekor=rekor, **change))
    assert (verdict.state, why in verdict.why) == (state, True), verdict
    assert judged(INSTANCE.bundle(statement(DIGEST), rekor=rekor)).state == "passed"


@pytest.mark.parametrize("rekor", [1, 2])
@pytest.mark.parametrize("late", [timedelta(minutes=-1), timedelta(minutes=11)])
def test_a_signature_before_or_behind_the_certificate_refuses(rekor: int, late: timedelta):
    key = p256()
    leaf, envelope = INSTANCE.certify(key), signing.envelope_by(lambda data: _signed(key, data), statement(DIGEST))
    assert "failed to build timestamp certificate chain" in judged(INSTANCE.bundled(envelope, leaf, rekor=rekor, at=SIGNED + late)).why
    assert judged(INSTANCE.bundled(envelope, leaf, rekor=rekor, at=SIGNED + timedelta(minutes=10))).state == "passed"


def _signed(key: Any, data: bytes) -> bytes:
    from tests.sigstore_instance import signed

    return signed(key, data)


@pytest.mark.parametrize("member", ["certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"])
def test_every_part_of_the_trusted_root_counts(member: str):
    foreign = {**ROOT, member: ELSEWHERE.trusted_root()[member]}
    form = "stamp" if member == "timestampAuthorities" else "promise"
    assert judged(ACCEPTED[form], identity(trusted=root(foreign))).state == "invalid"
    assert judged(ACCEPTED[form], identity(trusted=root({**foreign, member: ROOT[member]}))).state == "passed"


@pytest.mark.parametrize("form", ACCEPTED)
def test_an_odd_certificate_is_refused_without_a_warning(form: str, recwarn: pytest.WarningsRecorder):
    """A serial number below zero, of which cryptography would warn on stderr."""
    bundle = copy.deepcopy(ACCEPTED[form])
    der = bytearray(base64.b64decode(bundle[M]["certificate"]["rawBytes"]))
    der[der.index(bytes.fromhex("a003020102")) + 7] = 0x80
    bundle[M]["certificate"]["rawBytes"] = signing.text(bytes(der))
    assert REFUSED in judged(bundle).why
    assert list(recwarn) == []


DURING, BEFORE, BEHIND = ("2026-01-01", "2026-02-01"), ("2026-02-01", "2027-02-01"), ("2025-01-01", "2026-01-01")


@pytest.mark.parametrize("period", [BEFORE, BEHIND])
@pytest.mark.parametrize("member", ["certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"])
def test_a_part_of_the_trusted_root_counts_while_it_was_in_use(member: str, period: tuple[str, str]):
    """Signed before its use began, or after it ended: the key of an authority that is retired signs nothing any more."""
    form = "stamp" if member == "timestampAuthorities" else "promise"
    trusted = copy.deepcopy(ROOT)
    (part,) = trusted[member]
    for (start, end), state in ((DURING, "passed"), (period, "invalid"), (DURING, "passed")):
        part.get("publicKey", part)["validFor"] = {"start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z"}
        verdict = judged(ACCEPTED[form], identity(trusted=root(trusted)))
        assert verdict.state == state, verdict
        if state == "invalid" and form == "promise":
            assert f"tells the time 2026-01-10T12:01Z, when nothing of {member} in tests was in use" in verdict.why
    successor = {**copy.deepcopy(ROOT), member: [*trusted[member], *copy.deepcopy(ELSEWHERE.trusted_root()[member])]}
    assert judged(ACCEPTED[form], identity(trusted=root(successor))).state == "passed"


def test_any_identity_under_any_root_suffices():
    elsewhere = identity(trusted=root(ELSEWHERE.trusted_root()))
    for identities in ((elsewhere, identity()), (identity(), elsewhere), (identity(subject="nobody"), identity())):
        assert judged(PROMISED, *identities).state == "passed"
    assert judged(PROMISED, elsewhere, identity(subject="nobody")).state == "invalid"


PATTERNS = {
    "https://github.com/acme/": (False, True),
    "https://github.com/acme/web": (False, True),
    "github.com/acme/.*": (False, True),
    "https://github.com/acme/.*": (True, True),
    "https://github.com/(acme|evil)/.*|x": (True, True),
    "x|https://github.com/acme/web/.github/workflows/release.yml@refs/tags/v1.2": (False, True),
    "^https://github.com/acme/.*$": (True, True),
    "https://github.com/evil/": (False, False),
    "": (False, True),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_own_patterns_match_from_end_to_end_and_those_of_flux_anywhere(pattern: str):
    assert [judged(PROMISED, identity(subject=pattern, is_whole=one)).state == "passed" for one in (True, False)] == list(PATTERNS[pattern])


def test_what_others_signed_is_passed_over():
    by_key = signing.bundle(signing.envelope(Signer(), statement(DIGEST)))
    sbom = INSTANCE.bundle(statement(DIGEST, "https://spdx.dev/Document"))
    github = INSTANCE.bundle(statement(DIGEST, SLSA_1, signing.built(SLSA_1)), subject="https://github.com/other/x/.github/workflows/a.yml@refs/heads/main")
    others = (by_key, sbom, github, STRANGER, ELSEWHERE.bundle(statement(DIGEST)))
    assert verify(DIGEST, stored(*others, PROMISED), Wanted((), identities=(identity(),))).state == "passed"
    verdict = verify(DIGEST, stored(by_key, sbom, github, STRANGER), Wanted((), identities=(identity(),)))
    assert verdict.state == "missing"
    assert "names https://github.com/evil/web" in verdict.why
    assert verify(DIGEST, stored(), Wanted((), identities=(identity(),))).why == f"no signature by {SUBJECTS} (issuer {ISSUERS})"


def test_keys_and_identities_stand_beside_each_other():
    signer = Signer()
    by_key = signing.bundle(signing.envelope(signer, statement(DIGEST)))
    keys = read_keys("k.pub", signer.pem)
    assert [verify(DIGEST, stored(one), Wanted(keys, identities=(identity(),))).state for one in (by_key, PROMISED)] == ["passed"] * 2
    assert verify(DIGEST, stored(PROMISED), Wanted(keys)).state == "missing"
    assert verify(DIGEST, stored(by_key), Wanted((), identities=(identity(),))).state == "missing"


@pytest.mark.parametrize("tail", ["sig", "att"])
def test_certificates_outside_of_bundles_are_not_verified_and_that_is_said(tail: str):
    store = Artefacts()
    name, size = store.put(b"{}")
    kind = "application/vnd.dev.cosign.simplesigning.v1+json" if tail == "sig" else "application/vnd.dsse.envelope.v1+json"
    annotations = {"dev.cosignproject.cosign/signature": "AAAA", "dev.sigstore.cosign/certificate": "PEM"}
    store.tags[f"{DIGEST.replace(':', '-')}.{tail}"], _ = store.put(signing.manifest([signing.layer(kind, name, size, annotations)]))
    builder = BUILDER if tail == "att" else ""
    verdict = verify(DIGEST, store, Wanted((), builder, identities=(identity(),)))
    assert verdict.state == "invalid"
    assert "holds a certificate outside of a bundle" in verdict.why
    assert "blob" not in store.asked
    assert verify(DIGEST, store, Wanted(read_keys("k.pub", Signer().pem), builder)).state == "missing"


GITHUB = Identity(r"https://token\.actions\.githubusercontent\.com", r"https://github\.com/github/artifact-attestations-workflows/.*")
GITHUB_DIGEST = "sha256:49a3aa6075e0f49f82843e74b5baa614ad2a588e6675612bf108a0a008c5ac25"


def real(name: str) -> Any:
    return json.loads((FIXTURE / name).read_text())


def test_a_real_attestation_of_github_under_the_public_sigstore():
    """Its time is the one that Rekor promised; nothing is fetched."""
    bundle = real("github-provenance.json")
    origin = {"builder": "https://github.com/actions/runner/github-hosted", "source": "https://github.com/malancas/attest-demo"}
    verdict = judged(bundle, GITHUB, digest=GITHUB_DIGEST, **origin)
    assert verdict.state == "passed", verdict.why
    assert verdict.signature is not None
    assert verdict.signature.time == 1716578064
    assert judged(bundle, GITHUB, digest=GITHUB_DIGEST).state == "missing"  # foreign, where a signature is wanted
    assert judged(bundle, GITHUB._replace(subject="https://github.com/malancas/.*"), digest=GITHUB_DIGEST, **origin).state == "missing"
    assert judged(bundle, GITHUB._replace(root=root()), digest=GITHUB_DIGEST, **origin).state == "invalid"
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "1716578065"
    assert "SET" in judged(bundle, GITHUB, digest=GITHUB_DIGEST, **origin).why


def test_a_real_bundle_with_an_older_log_entry_is_refused_with_a_word():
    bundle, npm = real("npm-intoto.json"), GITHUB._replace(subject=r"https://github\.com/sigstore/sigstore-js/.*")
    (subject,) = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["subject"]
    verdict = judged(bundle, npm, digest=f"sha512:{subject['digest']['sha512']}", source="https://github.com/sigstore/*")
    assert verdict.state == "invalid"
    assert "stands in the log as `intoto 0.0.2`, which sigstore-python does not verify" in verdict.why


@pytest.mark.parametrize("data", [b"{}", b"[]", json.dumps({"mediaType": ROOT["mediaType"]}).encode(), json.dumps({**ROOT, "ctlogs": 7}).encode()])
def test_a_trusted_root_that_cannot_be_used_is_an_error_of_configuration(data: bytes):
    with pytest.raises(ConfigError, match="trusted root tests cannot be used"):
        judged(PROMISED, identity(trusted=TrustedRoot("tests", data)))


OFFLINE = """
import sys
from tests import test_keyless, test_signatures
assert test_signatures.judged("bundle", test_signatures.accepted("bundle")).state == "passed"
assert not any(one.startswith("sigstore.") for one in sys.modules), "loaded for a key"
def watch(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen"} or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(watch)
origin = {"source": "https://github.com/malancas/attest-demo"}
verdict = test_keyless.judged(test_keyless.real("github-provenance.json"), test_keyless.GITHUB, digest=test_keyless.GITHUB_DIGEST, **origin)
assert verdict.state == "passed", verdict
"""


def test_the_package_is_loaded_for_identities_alone_and_asks_nobody(tmp_path: Path):
    """No socket is opened, and nothing is written: not even below HOME."""
    done = subprocess.run([sys.executable, "-c", OFFLINE], check=False, cwd=CHECKOUT, capture_output=True, text=True, env=environment(HOME=str(tmp_path), PYTHONDONTWRITEBYTECODE="1"))
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_beside_the_one_that_counts_says_nothing():
    """Of two certificates the package reads one: who signed is what that one says."""
    forged = copy.deepcopy(STRANGER)
    forged[M]["x509CertificateChain"] = {"certificates": [{"rawBytes": PROMISED[M]["certificate"]["rawBytes"]}]}
    assert judged(forged).state == "invalid"
    beside = copy.deepcopy(PROMISED)
    beside[M]["x509CertificateChain"] = {"certificates": [{"rawBytes": STRANGER[M]["certificate"]["rawBytes"]}]}
    verdict = judged(beside, identity(subject=".*"))
    assert verdict.signature is None or verdict.signature.subject == SUBJECT


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(ACCEPTED)), st.data())
def test_whatever_is_changed_is_a_verdict(form: str, data: st.DataObject):
    """Any byte of a bundle that is accepted: it is refused, or it says the same, and nothing else escapes."""
    content = bytearray(json.dumps(ACCEPTED[form]).encode())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    verdict = judged(bytes(content))
    assert verdict.state in ("passed", "invalid", "missing")
    if verdict.state == "passed":
        envelope = json.loads(bytes(content))["dsseEnvelope"]
        assert base64.b64decode(envelope["payload"]) == base64.b64decode(ACCEPTED[form]["dsseEnvelope"]["payload"])
        assert verdict.signature is not None
        assert verdict.signature.time == (SIGNED + timedelta(minutes=1)).timestamp()
