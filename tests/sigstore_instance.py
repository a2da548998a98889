"""A sigstore of the tests: a CA with Fulcio's extensions, a certificate log, Rekor v1 and v2, a time stamp authority.

`Instance` signs bundles without a key that the sigstore package accepts under `Instance.trusted_root()`. Every part is
made anew, so that whatever one changes in it can be put back. Times are fixed: no test asks a clock.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.signing import BUNDLE, envelope_by, text

ISSUER = "https://token.actions.example.com"
SUBJECT = "https://github.com/acme/web/.github/workflows/release.yml@refs/tags/v1.2.0"
SIGNED = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
_FOREVER = {"start": "2020-01-01T00:00:00Z"}
_SCT_LIST, _ISSUER_V1, _ISSUER_V2, _OTHER_NAME = (
    x509.ObjectIdentifier(f"1.3.6.1.4.1.{tail}") for tail in ("11129.2.4.2", "57264.1.1", "57264.1.8", "57264.1.7")
)


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def log_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(spki(key)).digest()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def canonical(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def general_name(subject: str) -> x509.GeneralName:
    """Return a subject as Fulcio writes it: a URI, an e-mail address, or the name `USER!DOMAIN` of an issuer of its own."""
    if "://" in subject:
        return x509.UniformResourceIdentifier(subject)
    return x509.OtherName(_OTHER_NAME, tlv(0x0C, subject.encode())) if "!" in subject else x509.RFC822Name(subject)


class Authority:
    """A root and an intermediate, which issues certificates."""

    def __init__(self, title: str, start: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self.root_key, self.key = p256(), p256()
        self.root = self._ca(f"{title} root", f"{title} root", self.root_key, self.root_key, start)
        self.certificate = self._ca(f"{title} intermediate", f"{title} root", self.key, self.root_key, start)

    @staticmethod
    def _ca(subject: str, issuer: str, key: Any, by: Any, start: datetime) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
            key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder_of(subject, issuer, key, start, timedelta(days=3650))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        return builder.sign(by, hashes.SHA256())

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.certificate, self.root]


def builder_of(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, start: datetime, lives: timedelta) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(name(subject) if subject else x509.Name([])).issuer_name(name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(start + lives)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


class Instance:
    """One sigstore. What it signs is accepted under its own trusted root, and under no other's."""

    def __init__(self) -> None:
        self.fulcio, self.tsa = Authority("fulcio"), Authority("tsa")
        self.ctlog, self.rekor = p256(), p256()
        self.stamping = p256()
        builder = builder_of("stamps", "tsa intermediate", self.stamping, datetime(2025, 1, 1, tzinfo=UTC), timedelta(days=3000))
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.tsa.key.public_key()), critical=False)
        self.stamps = builder.sign(self.tsa.key, hashes.SHA256())

    def trusted_root(self) -> dict[str, Any]:
        """Return the trusted root as data."""
        return {
            "mediaType": TRUSTED_ROOT,
            "tlogs": [{"baseUrl": "https://rekor.example.com", **self._log(self.rekor)}],
            "certificateAuthorities": [self._authority("fulcio", self.fulcio.chain)],
            "ctlogs": [{"baseUrl": "https://ct.example.com", **self._log(self.ctlog)}],
            "timestampAuthorities": [self._authority("tsa", [self.stamps, *self.tsa.chain])],
        }

    @staticmethod
    def _log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        public = {"rawBytes": text(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": _FOREVER}
        return {"hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": text(log_id(key))}}

    @staticmethod
    def _authority(title: str, chain: Sequence[x509.Certificate]) -> dict[str, Any]:
        certificates = [{"rawBytes": text(der(one))} for one in chain]
        return {
            "subject": {"organization": "tests", "commonName": title},
            "uri": f"https://{title}.example.com",
            "certChain": {"certificates": certificates},
            "validFor": _FOREVER,
        }

    def certify(
        self, key: ec.EllipticCurvePrivateKey, *, issuer: str = ISSUER, subject: str = SUBJECT, at: datetime = SIGNED,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING, by: Authority | None = None, ctlog: Any = None,
        signs: bool = True, spoil: bytes = b"",
    ) -> x509.Certificate:  # fmt: skip
        """Issue a certificate as Fulcio does, for ten minutes, with the log's stamp in it."""
        authority = by or self.fulcio
        usage = x509.KeyUsage(
            digital_signature=signs, content_commitment=not signs, key_encipherment=False, data_encipherment=False, key_agreement=False,
            key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        names = [general_name(subject)]
        builder = builder_of("", f"{authority.certificate.subject.rfc4514_string()[3:]}", key, at, timedelta(minutes=10))
        builder = builder.add_extension(usage, critical=True).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        for oid, value in ((_ISSUER_V1, issuer.encode()), (_ISSUER_V2, tlv(0x0C, issuer.encode()))):
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        before = builder.sign(authority.key, hashes.SHA256())
        stamp = self._sct(before, sha256(spki(authority.key)), at, ctlog or self.ctlog, spoil)
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, tlv(0x04, stamp)), critical=False).sign(authority.key, hashes.SHA256())

    @staticmethod
    def _sct(certificate: x509.Certificate, issuer: bytes, at: datetime, key: ec.EllipticCurvePrivateKey, spoil: bytes) -> bytes:
        """Return a list of one stamp of a certificate log (RFC 6962), over a certificate without stamps."""
        data, when = certificate.tbs_certificate_bytes + spoil, int(at.timestamp() * 1000)
        entry = issuer + len(data).to_bytes(3, "big") + data
        proof = signed(key, struct.pack("!BBQH", 0, 0, when, 1) + entry + struct.pack("!H", 0))
        stamp = struct.pack("!B32sQH", 0, log_id(key), when, 0) + b"\x04\x03" + struct.pack("!H", len(proof)) + proof
        listed = struct.pack("!H", len(stamp)) + stamp
        return struct.pack("!H", len(listed)) + listed

    def bundle(self, payload: Mapping[str, Any], *, rekor: int = 1, at: datetime = SIGNED, **certificate: Any) -> dict[str, Any]:
        """Sign a statement without a key; Rekor v1 promises the time, beside v2 there is a time stamp."""
        key = p256()
        leaf = self.certify(key, at=at, **certificate)
        document = envelope_by(lambda data: signed(key, data), payload)
        return self.bundled(document, leaf, rekor=rekor, at=at + timedelta(minutes=1))

    def bundled(self, document: Mapping[str, Any], leaf: x509.Certificate, *, rekor: int = 1, at: datetime = SIGNED) -> dict[str, Any]:
        """Put an envelope into the log, and everything into a bundle."""
        from base64 import b64decode

        entry = self.entry(self.body(document, leaf, rekor), at if rekor == 1 else None)
        entry["kindVersion"] = {"kind": "dsse", "version": "0.0.1"} if rekor == 1 else {"kind": "hashedrekord", "version": "0.0.2"}
        material: dict[str, Any] = {"certificate": {"rawBytes": text(der(leaf))}, "tlogEntries": [entry]}
        if rekor == 2:
            stamp = self.stamp(b64decode(document["signatures"][0]["sig"]), at)
            material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": text(stamp)}]}
        return {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": dict(document)}

    @staticmethod
    def body(document: Mapping[str, Any], leaf: x509.Certificate, rekor: int) -> bytes:
        """Return what the log keeps of an envelope."""
        from base64 import b64decode

        from tests.signing import pae

        payload, signature = b64decode(document["payload"]), document["signatures"][0]["sig"]
        if rekor == 2:
            verifier = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": text(der(leaf))}}
            data = {"algorithm": "SHA2_256", "digest": text(sha256(pae(payload, document["payloadType"])))}
            spec: dict[str, Any] = {"hashedRekordV002": {"data": data, "signature": {"content": signature, "verifier": verifier}}}
            return canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        pem = text(leaf.public_bytes(serialization.Encoding.PEM))
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": sha256(canonical(document)).hex()},
            "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hex()},
            "signatures": [{"signature": signature, "verifier": pem}],
        }
        return canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})

    def entry(self, body: bytes, promised: datetime | None, key: ec.EllipticCurvePrivateKey | None = None) -> dict[str, Any]:
        """Return an entry of the log with its proof in a tree of two, and the promise of a time."""
        key = key or self.rekor
        other = sha256(b"\x00another entry")
        root = sha256(b"\x01" + other + sha256(b"\x00" + body))
        note = f"rekor.example.com - 1\n2\n{text(root)}\n"
        hint = log_id(key)[:4]
        checkpoint = f"{note}\n— rekor.example.com {text(hint + signed(key, note.encode()))}\n"
        entry: dict[str, Any] = {
            "logIndex": "1",
            "logId": {"keyId": text(log_id(key))},
            "canonicalizedBody": text(body),
            "inclusionProof": {"logIndex": "1", "rootHash": text(root), "treeSize": "2", "hashes": [text(other)], "checkpoint": {"envelope": checkpoint}},
        }
        if promised:
            seconds = int(promised.timestamp())
            promise = canonical({"body": text(body), "integratedTime": seconds, "logID": log_id(key).hex(), "logIndex": 1})
            entry |= {"integratedTime": str(seconds), "inclusionPromise": {"signedEntryTimestamp": text(signed(key, promise))}}
        return entry

    def stamp(self, data: bytes, at: datetime, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """Return a time stamp of some data (RFC 3161), granted and signed."""
        when = tlv(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())
        imprint = seq(seq(oid("2.16.840.1.101.3.4.2.1")), tlv(0x04, sha256(data)))
        info = seq(number(1), oid("1.3.6.1.4.1.57264.2"), imprint, number(7), when)
        issuer = self.stamps.issuer.public_bytes()
        content, digest = oid("1.2.840.113549.1.9.16.1.4"), seq(oid("2.16.840.1.101.3.4.2.1"))
        attributes = [
            seq(oid("1.2.840.113549.1.9.3"), tlv(0x31, content)),
            seq(oid("1.2.840.113549.1.9.4"), tlv(0x31, tlv(0x04, sha256(info)))),
            seq(oid("1.2.840.113549.1.9.16.2.47"), tlv(0x31, seq(seq(seq(tlv(0x04, sha256(der(self.stamps)))))))),
        ]
        listed = b"".join(sorted(attributes))
        signature = signed(key or self.stamping, tlv(0x31, listed))
        signer = seq(
            number(1), seq(issuer, number(self.stamps.serial_number)), digest, tlv(0xA0, listed),
            seq(oid("1.2.840.10045.4.3.2")), tlv(0x04, signature),
        )  # fmt: skip
        data_of = seq(number(3), tlv(0x31, digest), seq(content, tlv(0xA0, tlv(0x04, info))), tlv(0xA0, der(self.stamps)), tlv(0x31, signer))
        return seq(seq(number(0)), seq(oid("1.2.840.113549.1.7.2"), tlv(0xA0, data_of)))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def tlv(tag: int, data: bytes) -> bytes:
    """Return a value of DER with its tag and length."""
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([0x80 | (count := (size.bit_length() + 7) // 8)]) + size.to_bytes(count, "big")
    return bytes([tag]) + length + data


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, b"".join(parts))


def number(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    data = b""
    for part in (40 * first + second, *rest):
        seven = [part & 0x7F]
        while part := part >> 7:
            seven.append(0x80 | part & 0x7F)
        data += bytes(reversed(seven))
    return tlv(0x06, data)
