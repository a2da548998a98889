"""What counts as signed: every form is accepted, and every single field that is changed in it refuses it.

Each row of FORGERIES changes one field of an artefact that is accepted, after it was signed, names the verdict, and
puts the field back: then it is accepted again. The attacker owns the registry: digests of content are always right,
unless the row is about them.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.errors import RegistryError, RuleError
from krmfn.signatures.keys import read_keys
from krmfn.signatures.verifying import MAX_LAYERS, MAX_REFERRERS, Verdict, verify
from krmfn.signatures.wanted import Wanted
from tests import signing
from tests.signing import BUILDER, BUNDLE, SIGN, SLSA_02, SLSA_1, SOURCE, Artefacts, Signer

DIGEST = f"sha256:{hashlib.sha256(signing.IMAGE).hexdigest()}"
OTHER = f"sha256:{'cd' * 32}"
SIGNERS = {kind: Signer(kind) for kind in ("p256", "p384", "p521", "rsa", "ed25519")}
OWN, STRANGER = SIGNERS["p256"], Signer()
KEYS = read_keys("cosign.pub", OWN.pem)
PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
FORMS = ("sig", "bundle", "att", "built")
"""A tag of signatures, a bundle with a signature, a tag of attestations with SLSA v0.2, a bundle with SLSA v1."""
GONE = object()


def accepted_content(form: str) -> dict[str, Any]:
    """Return the statement that is signed."""
    kind, predicate = {"bundle": (SIGN, {}), "att": (SLSA_02, signing.built(SLSA_02)), "built": (SLSA_1, signing.built(SLSA_1))}[form]
    return signing.statement(DIGEST, kind, predicate)


def accepted(form: str, signer: Signer = OWN) -> dict[str, Any]:
    """Return the fields of an artefact that is accepted, signed already."""
    if form == "sig":
        payload = json.dumps(signing.simple(DIGEST)).encode()
        return {"content": signing.simple(DIGEST), "signature": signing.text(signer.sign(payload)), "layer": {}, "manifest": {}, "tag": "sig"}
    content = accepted_content(form)
    fields = {"content": content, "envelope": signing.envelope(signer, content), "layer": {}, "manifest": {}}
    if form == "att":
        return {**fields, "tag": "att"}
    return {**fields, "bundle": signing.bundle({}), "referrer": {"artifactType": BUNDLE}}


def stored(form: str, fields: dict[str, Any]) -> Artefacts:
    """Put the fields together as a registry keeps them."""
    store = Artefacts()
    if form == "sig":
        digest, size = store.put(fields.get("raw", json.dumps(fields["content"]).encode()))
        annotations = {"dev.cosignproject.cosign/signature": fields["signature"]}
        layer = signing.layer(PAYLOAD, digest, size, annotations)
    else:
        signed = dict(fields["envelope"])
        if signed.get("payload") == signing.text(json.dumps(accepted_content(form)).encode()):
            signed["payload"] = signing.text(json.dumps(fields["content"]).encode())
        whole = signed if form == "att" else {**fields["bundle"], **({"dsseEnvelope": signed} if "dsseEnvelope" in fields["bundle"] else {})}
        digest, size = store.put(fields.get("raw", json.dumps(whole).encode()))
        layer = signing.layer(ENVELOPE, digest, size, {"dev.cosignproject.cosign/signature": ""}) if form == "att" else signing.layer(BUNDLE, digest, size)
    layer = without_gone({**layer, **fields["layer"]})
    manifest, _ = store.put(without_gone({**signing.manifest([layer]), **fields["manifest"]}))
    if "tag" in fields:
        store.tags[f"{DIGEST.replace(':', '-')}.{fields['tag']}"] = manifest
    else:
        store.refers[DIGEST] = [without_gone({"mediaType": signing.MANIFEST, "digest": manifest, "size": 9, **fields["referrer"]})]
    return store


def without_gone(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not GONE}


def judged(form: str, fields: dict[str, Any], **wanted: Any) -> Verdict:
    origin: dict[str, Any] = {"builder": BUILDER, "source": f"{SOURCE}*"} if form in ("att", "built") else {}
    return verify(DIGEST, stored(form, fields), Wanted(**{"keys": KEYS, **origin, **wanted}))


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_accepted_from_every_kind_of_key(form: str, kind: str):
    keys = read_keys("k.pub", SIGNERS[kind].pem)
    verdict = judged(form, accepted(form, SIGNERS[kind]), keys=keys)
    assert (verdict.state, verdict.why, verdict.key) == ("passed", "", keys[0])
    assert (verdict.provenance is not None) == (form in ("att", "built"))


def name(form: str, path: str, value: object) -> str:
    """Return the name of a row of FORGERIES, which is the same whatever keys it was signed with."""
    return f"{form} {path} {[row[2] for row in FORGERIES if row[:2] == (form, path)].index(value) + 1}"


def put(fields: Any, path: str, value: object) -> None:
    *steps, last = path.split("/")
    for step in steps:
        fields = fields[int(step)] if isinstance(fields, list) else fields[step]
    if value is GONE and not steps:
        fields.pop(last)
    elif value is GONE and steps[-1] not in ("layer", "manifest", "referrer"):
        del fields[last]
    elif isinstance(fields, list):
        fields[int(last)] = value
    else:
        fields[last] = value


NOT_OURS = "was not signed by a key that is named"
FILE = Path(__file__).parent.parent / "fixtures" / "cosign" / "forgeries.json"
FORGERIES: list[tuple[str, str, object, str, str]] = [
    # the payload of a signature
    ("sig", "content/critical/image/docker-manifest-digest", OTHER, "invalid", NOT_OURS),
    ("sig", "content/critical/identity/docker-reference", "r.example/acme/other", "invalid", NOT_OURS),
    ("sig", "content/critical/type", "atomic container signature", "invalid", NOT_OURS),
    ("sig", "content/critical/type", GONE, "invalid", NOT_OURS),
    ("sig", "content/optional", {"approved": "yes"}, "invalid", NOT_OURS),
    ("sig", "content/critical", [], "invalid", NOT_OURS),
    ("sig", "raw", b"", "invalid", "1 byte"),
    ("sig", "raw", b"{", "invalid", NOT_OURS),
    # its signature
    ("sig", "signature", "", "invalid", "has no signature"),
    ("sig", "signature", "%%%", "invalid", "not base64"),
    ("sig", "signature", signing.text(b"x" * 64), "invalid", NOT_OURS),
    ("sig", "signature", signing.text(STRANGER.sign(json.dumps(signing.simple(DIGEST)).encode())), "invalid", NOT_OURS),
    ("sig", "signature", signing.text(OWN.sign(b"another payload")), "invalid", NOT_OURS),
    ("sig", "signature", 7, "invalid", "has no signature"),
    # the layer, the manifest, the tag
    ("sig", "layer/mediaType", "application/vnd.oci.image.layer.v1.tar", "missing", "no signature by cosign.pub"),
    ("sig", "layer/mediaType", ENVELOPE, "missing", "no signature by cosign.pub"),
    ("sig", "layer/digest", OTHER, "invalid", "is not there"),
    ("sig", "layer/digest", "latest", "invalid", "has no digest"),
    ("sig", "layer/digest", GONE, "invalid", "has no digest"),
    ("sig", "layer/size", 0, "invalid", "1 byte"),
    ("sig", "layer/size", 1 << 30, "invalid", "64 KiB"),
    ("sig", "layer/size", "9", "invalid", "1 byte"),
    ("sig", "layer/annotations", GONE, "invalid", "has no signature"),
    ("sig", "layer/annotations", {}, "invalid", "has no signature"),
    ("sig", "layer/annotations", {"dev.sigstore.cosign/certificate": "PEM"}, "missing", "no signature by"),
    ("sig", "manifest/layers", GONE, "invalid", "layers"),
    ("sig", "manifest/layers", "x", "invalid", "layers"),
    ("sig", "manifest/layers", [], "missing", "no signature by"),
    ("sig", "manifest/layers", [1, None], "missing", "no signature by"),
    ("sig", "manifest/layers", [{}] * (MAX_LAYERS + 1), "invalid", f"1 to {MAX_LAYERS} layers"),
    ("sig", "tag", "att", "missing", "no signature by cosign.pub"),
    ("sig", "tag", "sbom", "missing", "no signature by cosign.pub"),
]
for _form in ("bundle", "att", "built"):
    _noun = "signature" if _form == "bundle" else "provenance"
    FORGERIES += [
        # the statement that was signed
        (_form, "content/subject/0/digest/sha256", "cd" * 32, "invalid", "another digest as its subject"),
        (_form, "content/subject/0/digest", {"sha512": DIGEST[7:]}, "invalid", "another digest as its subject"),
        (_form, "content/subject/0/digest", DIGEST[7:], "invalid", "another digest as its subject"),
        (_form, "content/subject/0/name", "r.example/acme/other", "invalid", NOT_OURS),
        (_form, "content/subject", [], "invalid", "another digest as its subject"),
        (_form, "content/subject", GONE, "invalid", "another digest as its subject"),
        (_form, "content/_type", "https://in-toto.io/Statement/v2", "invalid", "no in-toto statement"),
        (_form, "content/predicateType", "https://spdx.dev/Document", "missing", f"no {_noun} by"),
        (_form, "content/predicateType", "", "invalid", "no predicateType"),
        (_form, "content/predicate", {"builder": {"id": BUILDER}, "runDetails": {"builder": {"id": BUILDER}}}, "invalid", NOT_OURS),
        # the envelope
        (_form, "envelope/payloadType", "application/json", "invalid", "payload type"),
        (_form, "envelope/payloadType", "application/vnd.in-toto+json ", "invalid", "payload type"),
        (_form, "envelope/payload", "%%", "invalid", "a"),
        (_form, "envelope/signatures", [], "invalid", "1 to 10 signatures"),
        (_form, "envelope/signatures", [{"sig": "eA=="}] * 11, "invalid", "1 to 10 signatures"),
        (_form, "envelope/signatures", GONE, "invalid", "1 to 10 signatures"),
        (_form, "envelope/signatures/0/sig", signing.text(b"x" * 70), "invalid", NOT_OURS),
        (_form, "envelope/signatures/0/sig", "", "invalid", "has no sig"),
        (_form, "envelope/signatures/0/sig", "é", "invalid", "not base64"),
        (_form, "envelope/signatures/0", "x", "invalid", "has no signatures"),
        (_form, "layer/digest", OTHER, "invalid", "is not there"),
        (_form, "layer/size", 5 << 20, "invalid", "4096 KiB"),
        (_form, "layer/mediaType", PAYLOAD, "missing", f"no {_noun} by"),
    ]
for _form in ("bundle", "built"):
    FORGERIES += [
        (_form, "bundle/mediaType", "application/json", "invalid", "no sigstore bundle"),
        (_form, "bundle/mediaType", 3, "invalid", "no sigstore bundle"),
        (_form, "bundle/verificationMaterial", GONE, "invalid", "no verificationMaterial"),
        (_form, "bundle/verificationMaterial/publicKey", GONE, "missing", "by cosign.pub"),
        (_form, "bundle/dsseEnvelope", GONE, "missing", "by cosign.pub"),
        (_form, "referrer/artifactType", "application/vnd.cyclonedx+json", "missing", "by cosign.pub"),
        (_form, "referrer/annotations", {"dev.sigstore.bundle.predicateType": "https://spdx.dev/Document"}, "missing", "by cosign.pub"),
        (_form, "manifest/annotations", {"dev.sigstore.bundle.predicateType": "https://spdx.dev/Document"}, "missing", "by cosign.pub"),
        (_form, "referrer/digest", OTHER, "missing", "by cosign.pub"),
        (_form, "referrer/digest", "x", "missing", "by cosign.pub"),
        (_form, "raw", b'{"a": 1, "a": 2}', "invalid", "key twice"),
        (_form, "raw", b"[]", "invalid", "not a JSON object"),
        (_form, "raw", b"\xff", "invalid", "not UTF-8"),
    ]


@pytest.mark.parametrize(("form", "path", "value", "state", "why"), FORGERIES)
def test_one_field_that_is_changed_refuses_and_put_back_accepts(form: str, path: str, value: object, state: str, why: str):
    fields = accepted(form)
    forged = copy.deepcopy(fields)
    put(forged, path, value)
    verdict = judged(form, forged)
    assert verdict.state == state, verdict
    assert why in verdict.why
    assert judged(form, fields).state == "passed"


LOOKS_ELSEWHERE = {("sig", "layer/mediaType"), ("att", "layer/mediaType"), *((form, place) for form in ("bundle", "built") for place in ("referrer/artifactType", "referrer/annotations", "manifest/annotations"))}
"""What nobody signs, and tells where to look: cosign fetches what is declared as something else, krmfn does not."""


def test_cosign_judges_alike_what_it_was_asked_about():
    """Recorded by tests/record_forgeries.py, for every row and every form as it is accepted."""
    said = json.loads(FILE.read_text())
    assert said.keys() == {*FORMS, *(name(form, path, value) for form, path, value, _, _ in FORGERIES)}
    assert {form: said[form] for form in FORMS} == dict.fromkeys(FORMS, "passed")
    passed = {(form, path) for form, path, value, _, _ in FORGERIES if said[name(form, path, value)] == "passed"}
    assert passed == LOOKS_ELSEWHERE
    assert not [text for text in said.values() if "connection" in text]  # it was judged, not lost


def test_there_are_enough_forgeries_and_each_is_another():
    assert len(FORGERIES) > 60
    assert len({(form, path, repr(value)) for form, path, value, _, _ in FORGERIES}) == len(FORGERIES)


@pytest.mark.parametrize(
    ("form", "wanted", "why"),
    [
        ("att", {"builder": "https://github.com/evil/**"}, "was built by"),
        ("built", {"builder": "https://github.com/evil/**"}, "was built by"),
        ("built", {"source": "https://github.com/acme/other"}, f"was built from {SOURCE!r}"),
        ("att", {"source": "https://github.com/acme/other"}, "was built from"),
        ("built", {"source": "https://github.com/acme"}, "was built from"),
        ("bundle", {"builder": BUILDER}, "no provenance by"),
        ("sig", {"builder": BUILDER}, "no provenance by"),
        ("att", {"builder": "", "source": ""}, "no signature by"),
        ("built", {"builder": "", "source": ""}, "no signature by"),
        ("sig", {"keys": read_keys("other.pub", STRANGER.pem)}, NOT_OURS),
    ],
)
def test_what_is_required_must_be_met(form: str, wanted: dict[str, Any], why: str):
    verdict = judged(form, accepted(form), **wanted)
    assert verdict.state in ("invalid", "missing")
    assert why in verdict.why


@pytest.mark.parametrize("form", ["bundle", "built"])
@pytest.mark.parametrize("place", ["referrer", "manifest"])
@pytest.mark.parametrize("annotations", [None, [], {}, {"dev.sigstore.bundle.predicateType": []}, {"dev.sigstore.bundle.predicateType": None}])
def test_a_type_that_is_not_told_is_looked_at(form: str, place: str, annotations: object):
    fields = accepted(form)
    fields[place]["annotations"] = annotations
    assert judged(form, fields).state == "passed"


@pytest.mark.parametrize("told", ["application/vnd.oci.empty.v1+json", "", None, GONE])
def test_a_registry_that_does_not_tell_the_type_hides_no_bundle(told: object):
    """go-containerregistry's registry tells the type of the config; older ones know no artifactType."""
    fields = accepted("bundle")
    fields["referrer"]["artifactType"] = told
    assert judged("bundle", fields).state == "passed"


@pytest.mark.parametrize("form", FORMS)
def test_any_of_several_keys_suffices_and_is_named(form: str):
    keys = read_keys("a.pub", STRANGER.pem) + KEYS
    assert judged(form, accepted(form), keys=keys).key == KEYS[0]


def merged(*stores: Artefacts) -> Artefacts:
    """Return one repository with the artefacts of all; layers of one tag come in order."""
    whole = Artefacts()
    for store in stores:
        whole.content |= store.content
        for digest, entries in store.refers.items():
            whole.refers.setdefault(digest, []).extend(entries)
        for tag, digest in store.tags.items():
            there = json.loads(whole.content[whole.tags[tag]])["layers"] if tag in whole.tags else []
            layers = [*there, *json.loads(store.content[digest])["layers"]]
            whole.tags[tag] = whole.put(signing.manifest(layers))[0]
    return whole


@pytest.mark.parametrize(("form", "path", "value", "state", "why"), [row for row in FORGERIES if row[4] != f"1 to {MAX_LAYERS} layers" and row[1] != "manifest/layers"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_what_does_not_count_never_hides_what_does(form: str, path: str, value: object, state: str, why: str, is_first: bool):
    del state, why
    forged = accepted(form)
    put(forged, path, value)
    stores = [stored(form, forged), stored(form, accepted(form))]
    store = merged(*(stores if is_first else reversed(stores)))
    origin: dict[str, Any] = {"builder": BUILDER, "source": f"{SOURCE}*"} if form in ("att", "built") else {}
    assert verify(DIGEST, store, Wanted(KEYS, **origin)).state == "passed"


class Away(Artefacts):
    """A repository whose registry fails at one kind of question."""

    def __init__(self, question: str, failure: Any) -> None:
        super().__init__()
        self.question, self.failure = question, failure

    def _ask(self, question: str) -> None:
        if question == self.question:
            raise RegistryError(self.failure, "r.example/acme/web", "503 from r.example")

    def referrers(self, digest: str) -> Any:
        self._ask("referrers")
        return super().referrers(digest)

    def manifest(self, reference: str) -> Any:
        self._ask("manifest")
        return super().manifest(reference)

    def blob(self, digest: str, limit: int) -> bytes:
        self._ask("blob")
        return super().blob(digest, limit)


@pytest.mark.parametrize("question", ["referrers", "manifest", "blob"])
@pytest.mark.parametrize(("failure", "state"), [("unavailable", "unavailable"), ("denied", "unavailable"), ("rate-limited", "unavailable"), ("integrity", "invalid"), ("limit", "invalid")])
def test_a_registry_that_is_away_is_no_verdict(question: str, failure: str, state: Any):
    store = Away(question, failure)
    whole = stored("sig", accepted("sig"))
    store.content, store.tags, store.refers = whole.content, whole.tags, whole.refers
    assert verify(DIGEST, store, Wanted(KEYS)) == Verdict(state, "503 from r.example")


def test_more_referrers_than_anybody_makes_are_refused():
    store = stored("bundle", accepted("bundle"))
    store.refers[DIGEST] *= MAX_REFERRERS + 1
    verdict = verify(DIGEST, store, Wanted(KEYS))
    assert (verdict.state, verdict.why) == ("invalid", f"more than {MAX_REFERRERS} artefacts refer to the digest")


@pytest.mark.parametrize(
    ("form", "questions"),
    [
        ("bundle", ["referrers", "manifest", "blob"]),
        ("built", ["referrers", "manifest", "blob"]),
        ("sig", ["referrers", f"sha256-{DIGEST[7:]}.sig", "blob"]),
        ("att", ["referrers", f"sha256-{DIGEST[7:]}.att", "blob"]),
    ],
)
def test_no_more_is_asked_than_the_form_takes(form: str, questions: list[str]):
    store = stored(form, accepted(form))
    origin: dict[str, Any] = {"builder": BUILDER} if form in ("att", "built") else {}
    assert verify(DIGEST, store, Wanted(KEYS, **origin)).state == "passed"
    assert store.asked == questions


_SIGNED = {form: accepted(form) for form in FORMS}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), st.data())
def test_any_bytes_that_are_changed_refuse(form: str, data: st.DataObject):
    """A bit of what is signed, or of the signature: whatever it says then, it does not pass."""
    store = stored(form, _SIGNED[form])
    name = data.draw(st.sampled_from([digest for digest, content in store.content.items() if b"layers" not in content]))
    content = bytearray(store.content[name])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    store.content[name] = bytes(content)
    origin: dict[str, Any] = {"builder": BUILDER} if form in ("att", "built") else {}
    verdict = verify(DIGEST, store, Wanted(KEYS, **origin))
    assert verdict.state != "passed" or _says_the_same(form, bytes(content))


def _says_the_same(form: str, content: bytes) -> bool:
    """True if what was signed is the same for all that: a field that is signed by nobody, blanks in JSON, or spare bits of base64."""
    if form == "sig":
        return False
    document = json.loads(content)
    envelope = document if form == "att" else document["dsseEnvelope"]
    payload = json.dumps(accepted(form)["content"]).encode()
    return bool(base64.b64decode(envelope["payload"]) == payload)


PRIVATE = b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAA==\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (b"", "no PEM text"),
        (b"hello", "no PEM text"),
        (OWN.pem + b"junk", "no PEM text"),
        (PRIVATE, "encrypted sigstore private key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds a certificate"),
        (OWN.pem * 21, "more than 20 keys"),
    ],
)
def test_what_are_no_public_keys_is_refused(pem: bytes, why: str):
    with pytest.raises(RuleError, match=why):
        read_keys("cosign.pub", pem)


def test_keys_are_known_by_their_fingerprint():
    twice = read_keys("cosign.pub", OWN.pem + STRANGER.pem + OWN.pem)
    assert [key.fingerprint for key in twice] == [KEYS[0].fingerprint, read_keys("x", STRANGER.pem)[0].fingerprint]
    assert OWN.pem.split()[3].decode() not in repr(twice)
