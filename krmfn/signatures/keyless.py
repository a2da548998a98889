"""Signatures without a key: a certificate names who signed, a transparency log or a time stamp when.

All of it is verified by the sigstore package (the extra `krmfn[verify]`), offline, under a trusted root that is given.
https://docs.sigstore.dev, https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.diagnostics import misconfigured
from krmfn.policies.number import moment, read_time
from krmfn.sanitize import printable
from krmfn.signatures.statements import PAYLOAD_TYPE, decode

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from krmfn.signatures.wanted import Identity, TrustedRoot

_ISSUER, _ISSUER_V1, _OTHER_NAME = "1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.7"
_MISSING = "signatures without a key are verified by the sigstore package, which is not installed: pip install 'krmfn[verify]'"
_PUBLIC = ("sigstore._store", "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json")
"""Where the sigstore package keeps the trusted root of the public sigstore; nothing is fetched, and no cache is read."""
_SHOWN = 200


class Signature(NamedTuple):
    """A signature that counts: who signed, who vouches for that, and the time at which it was there already (since 1970)."""

    issuer: str
    subject: str
    time: float

    def __str__(self) -> str:
        """Return `SUBJECT (issuer ISSUER)`."""
        return f"{self.subject} (issuer {self.issuer})"


class StrangerError(Exception):
    """A bundle of somebody who is not named: it says nothing about us."""


def check_installed() -> None:
    """Raise ConfigError where the sigstore package is not installed. It is not loaded."""
    from importlib.util import find_spec

    if find_spec("sigstore") is None:
        raise misconfigured(_MISSING)


def judge(data: bytes, bundle: Mapping[str, Any], payload: bytes, identities: Sequence[Identity]) -> Signature:
    """Return who signed a sigstore bundle, and when; `bundle` is `data` as JSON, `payload` what its envelope holds.

    Raises ValueError that says why it does not count, StrangerError, and ConfigError for a trusted root that cannot be read.
    """
    _hush()
    certificate = _certificate(bundle)
    issuer, subjects = _named(certificate)
    fitting = [one for one in identities if any(one.accepts(issuer, subject) for subject in subjects)]
    if not fitting:
        who = printable(f"{', '.join(subjects) or 'nobody'} (issuer {issuer or 'none'})", _SHOWN)
        raise StrangerError(f"names {who} as its signer")
    _check_kind(bundle)
    # Who is named may be named under several trusted roots: one that verifies suffices, else the first says why not.
    refusals = []
    for root in dict.fromkeys(one.root for one in fitting):
        try:
            return _verified(data, payload, root, _Named([one for one in fitting if one.root == root]))
        except ValueError as error:
            refusals.append(str(error))
    raise ValueError(refusals[0])


def _hush() -> None:
    """Keep cryptography from warning on stderr of what is odd in the certificates of strangers: a verdict says what matters."""
    import warnings

    from cryptography.utils import CryptographyDeprecationWarning

    warnings.filterwarnings("ignore", category=CryptographyDeprecationWarning)


def _certificate(bundle: Mapping[str, Any]) -> Certificate:
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate

    material = bundle["verificationMaterial"]
    chain = material.get("x509CertificateChain")
    several = chain.get("certificates") if isinstance(chain, dict) else [material.get("certificate")]
    first = several[0] if isinstance(several, list) and several else None
    encoded = decode(first.get("rawBytes") if isinstance(first, dict) else None, "certificate")
    try:
        return load_der_x509_certificate(encoded)
    except (ValueError, InvalidVersion):
        raise ValueError("has a certificate that cannot be read") from None


def _named(certificate: Certificate) -> tuple[str, list[str]]:
    """Return the issuer that a certificate names, and its subjects: URIs, e-mail addresses, names of other kinds."""
    from cryptography import x509
    from cryptography.hazmat import asn1

    # Of two forms of the issuer the newer one counts: DER, where the older is bare bytes (fulcio's oid-info).
    issuer, subjects = "", []  # type: str, list[str]
    try:
        for extension in certificate.extensions:
            value = extension.value
            if isinstance(value, x509.UnrecognizedExtension) and extension.oid.dotted_string == _ISSUER:
                issuer = asn1.decode_der(str, value.value)
            elif isinstance(value, x509.UnrecognizedExtension) and extension.oid.dotted_string == _ISSUER_V1:
                issuer = issuer or value.value.decode()
            elif isinstance(value, x509.SubjectAlternativeName):
                subjects += value.get_values_for_type(x509.UniformResourceIdentifier)
                subjects += value.get_values_for_type(x509.RFC822Name)
                others = [one for one in value.get_values_for_type(x509.OtherName) if one.type_id.dotted_string == _OTHER_NAME]
                subjects += [asn1.decode_der(str, one.value) for one in others]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise ValueError("has a certificate with extensions that cannot be read") from None
    return issuer, subjects


def _check_kind(bundle: Mapping[str, Any]) -> None:
    """Raise ValueError for the entries of a log that the package does not verify, with what to do."""
    entries = bundle["verificationMaterial"].get("tlogEntries")
    first = entries[0] if isinstance(entries, list) and entries else None
    kind = first.get("kindVersion") if isinstance(first, dict) else None
    if isinstance(kind, dict) and kind.get("kind") == "intoto":
        version = printable(str(kind.get("version")), 20)
        raise ValueError(f"stands in the log as `intoto {version}`, which sigstore-python does not verify: sign it again with a newer signer")


def _verified(data: bytes, payload: bytes, root: TrustedRoot, named: _Named) -> Signature:
    """Verify a bundle and return who signed it, and when; raises ValueError in the words of the package."""
    _verifier(root)
    from sigstore.errors import Error
    from sigstore.models import Bundle

    try:
        bundle = Bundle.from_json(data)
        time = _time(bundle)
        kind, signed = _verifier(_in_use(root, time) if time else root).verify_dsse(bundle, named)
    except _EndedError as ended:
        raise ValueError(str(ended)) from None
    except Error as error:
        raise ValueError(f"is refused by sigstore: {_words(error)}") from None
    except Exception as error:  # noqa: BLE001 - the bundle is a stranger's: whatever it breaks, it does not pass
        raise ValueError(f"is refused by sigstore: {type(error).__name__}: {_words(error)}") from None
    if kind != PAYLOAD_TYPE or signed != payload:
        raise ValueError("can be read in two ways")
    return Signature(named.issuer, named.subject, time)


class _EndedError(Exception):
    """Nothing of one kind in the trusted root was in use when something was signed."""


def _in_use(root: TrustedRoot, time: float) -> TrustedRoot:
    """Return the trusted root without the logs and authorities that were not in use at a time: the package counts them all.

    The time is what the bundle claims, which is verified under what is left.
    """
    document = json.loads(root.data or _public())
    for kind in ("certificateAuthorities", "ctlogs", "tlogs"):
        every = document.get(kind) or []
        document[kind] = [one for one in every if _covers(one.get("publicKey", one).get("validFor") or {}, time)]
        if every and not document[kind]:
            raise _EndedError(f"tells the time {moment(time)}, when nothing of {kind} in {root.name} was in use")
    return root._replace(data=json.dumps(document).encode())


def _covers(period: Mapping[str, Any], time: float) -> bool:
    start, end = (read_time(str(period[name])) if name in period else None for name in ("start", "end"))
    return (start is None or start <= time) and (end is None or time <= end)


def _words(error: Exception) -> str:
    return printable(" ".join(str(error).split()).partition(" [type=")[0], _SHOWN)  # what pydantic adds tells nobody anything


class _Named:
    """The policy that the package asks about the certificate that it verifies."""

    def __init__(self, identities: Sequence[Identity]) -> None:
        self._identities = identities
        self.issuer = self.subject = ""
        """Who signed, once the package has asked."""

    def verify(self, cert: Certificate) -> None:
        """Raise the package's VerificationError for a certificate of somebody else."""
        from sigstore.errors import VerificationError

        issuer, subjects = _named(cert)
        subject = next((one for one in subjects if any(identity.accepts(issuer, one) for identity in self._identities)), None)
        if subject is None:
            raise VerificationError("the certificate names somebody else")
        self.issuer, self.subject = issuer, subject


def _time(bundle: Any) -> float:
    """Return the time that a bundle tells: of the log's promise, else of the latest time stamp.

    Once the package has verified the bundle it is signed. Of several time stamps one at least was verified, which the
    package does not name: none is older than the latest says.
    """
    entry = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"][0]
    if entry.get("inclusionPromise") and int(entry.get("integratedTime") or 0):
        return float(entry["integratedTime"])
    stamps = bundle.verification_material.timestamp_verification_data
    return max((float(one.tst_info.gen_time.timestamp()) for one in stamps.rfc3161_timestamps), default=0.0) if stamps else 0.0


@lru_cache(20)
def _verifier(root: TrustedRoot) -> Any:
    """Return the package's verifier under a trusted root. Raises ConfigError."""
    from sigstore.models import ClientTrustConfig
    from sigstore.verify.verifier import Verifier

    logging.getLogger("sigstore").addHandler(logging.NullHandler())  # what it has to say comes as errors
    # The public interface reads a trusted root out of a file or out of this document.
    document = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads(root.data or _public()),
        "signingConfig": {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"},
    }
    try:
        return Verifier(trusted_root=ClientTrustConfig.from_json(json.dumps(document)).trusted_root)
    except Exception as error:  # noqa: BLE001 - a wrong file is told, however the package stumbles over it
        raise misconfigured(f"the trusted root {root.name} cannot be used: {_words(error)}") from None


def _public() -> bytes:
    from importlib import resources

    package, *path = _PUBLIC
    try:
        return resources.files(package).joinpath(*path).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise misconfigured("this sigstore package carries no trusted root: name one by trustedRootSecretRef") from None
