"""Public keys as cosign writes them (PEM, SubjectPublicKeyInfo), and what they sign.

ECDSA on P-256, P-384 and P-521, RSA (PKCS #1 v1.5) and Ed25519, as sigstore's signature package signs with them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import RuleError

if TYPE_CHECKING:
    from typing import Any

LIMIT = 64 << 10
"""Bytes of a file of keys."""
MAX_KEYS = 20
_SMALLEST_RSA = 2048
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})


class PublicKey(NamedTuple):
    """One key, as DER (SubjectPublicKeyInfo). `name` says where it comes from, as `cosign.pub of Secret keys`."""

    name: str
    der: bytes

    @property
    def fingerprint(self) -> str:
        """sha256 of its DER, in hex digits."""
        import hashlib

        return hashlib.sha256(self.der).hexdigest()

    def __repr__(self) -> str:
        """Return its name and fingerprint."""
        return f"PublicKey({self.name!r}, {self.fingerprint!r})"

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """True if this key made the signature of the data."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

        kind = _loaded(self.der)
        own: dict[int, hashes.HashAlgorithm] = {384: hashes.SHA384(), 521: hashes.SHA512()}
        bits = getattr(kind, "key_size", 0)
        for digest in (hashes.SHA256(), *([own[bits]] if bits in own else [])):  # cosign took SHA-256 on every curve once
            try:
                if isinstance(kind, ed25519.Ed25519PublicKey):
                    kind.verify(signature, data)
                elif isinstance(kind, ec.EllipticCurvePublicKey):
                    kind.verify(signature, data, ec.ECDSA(digest))
                else:
                    kind.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            except InvalidSignature:
                continue
            return True
        return False


def read_keys(name: str, data: bytes) -> tuple[PublicKey, ...]:
    """Read every public key of a PEM text, which must hold nothing else; raises RuleError that says what is wrong."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    text = data.decode("utf-8", "replace")
    blocks = list(_BLOCK.finditer(text))
    if len(data) > LIMIT or len(blocks) > MAX_KEYS:
        raise RuleError(f"{name} holds more than {MAX_KEYS} keys or {LIMIT >> 10} KiB")
    if not blocks or _BLOCK.sub("", text).strip():
        raise RuleError(f"{name} is no PEM text of public keys", help="cosign generate-key-pair writes cosign.pub")
    keys = []
    for block in blocks:
        if block[1] != "PUBLIC KEY":
            message = f"{name} holds a {block[1].lower()}, expected public keys (BEGIN PUBLIC KEY)"
            raise RuleError(message, help="never hand a private key to krmfn" if "PRIVATE" in block[1] else "")
        try:
            key = serialization.load_pem_public_key(block[0].encode())
        except (ValueError, UnsupportedAlgorithm):
            raise RuleError(f"{name} holds a public key that cannot be read") from None
        _check(name, key)
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        keys.append(PublicKey(name, der))
    return tuple(dict.fromkeys(keys))


@lru_cache(MAX_KEYS)
def _loaded(der: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(der)


def _check(name: str, key: object) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    is_curve = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    is_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA
    if not (is_curve or is_rsa or isinstance(key, ed25519.Ed25519PublicKey)):
        usable = "ECDSA P-256, P-384, P-521, RSA from 2048 bits, or Ed25519"
        raise RuleError(f"{name} holds a key that cosign does not sign with", help=usable)
