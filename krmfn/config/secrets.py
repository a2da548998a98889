"""Secrets among the items that an ImageRepository names -> how to reach its registry. Values never leave Access.

Keys: https://fluxcd.io/flux/components/image/imagerepositories/ (secretRef, certSecretRef, proxySecretRef).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from krmfn.access import Access, Provenance
from krmfn.config.objects import Object, Problems, mapping, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.model import ResourceId

FIELDS = ("secretRef", "certSecretRef", "proxySecretRef")
Secrets = Mapping[tuple[str, str], Object]
"""Secrets by namespace and name."""


def by_name(objects: Iterable[Object]) -> Secrets:
    """Return the Secrets among objects; of several the first."""
    secrets: dict[tuple[str, str], Object] = {}
    for one in objects:
        if one.id.kind == "Secret":
            secrets.setdefault((one.id.namespace, one.id.name), one)
    return secrets


def access(spec: Mapping[str, Any], owner: ResourceId, secrets: Secrets, problems: Problems) -> Access:
    """Read the Secrets that the spec names in the owner's namespace; one that is not among the items is only noted."""
    names = {field: text(mapping(spec.get(field)).get("name")) for field in FIELDS}
    login, cert, proxy = (
        secret_values(name, owner, f"spec.{field}", secrets, problems) or {} for field, name in names.items()
    )
    config = login.get(".dockerconfigjson")
    lead = f"{owner.namespace}/" if owner.namespace else ""
    if proxy and not proxy.get("address"):
        problems.add(owner, "spec.proxySecretRef", "the Secret has no key `address`")
    # Flux takes caFile, certFile and keyFile for the names of earlier versions; those of TLS Secrets count first.
    return Access(
        docker_configs=(config,) if config else (),
        ca_pem=cert.get("ca.crt") or cert.get("caFile"),
        client_cert_pem=cert.get("tls.crt") or cert.get("certFile"),
        client_key_pem=cert.get("tls.key") or cert.get("keyFile"),
        proxy_address=proxy.get("address"),
        proxy_username=proxy.get("username"),
        proxy_password=proxy.get("password"),
        missing_secrets=tuple(
            f"{lead}{name} ({field})" for field, name in names.items() if name and (owner.namespace, name) not in secrets
        ),
        provenance=Provenance(namespace=owner.namespace),
    )


def names_secret(spec: Mapping[str, Any]) -> bool:
    """True if a spec refers to any Secret."""
    required = spec.get("require")
    entries = required if isinstance(required, list) else ()
    return any(name in spec for name in (*FIELDS, "verify")) or any(isinstance(one, dict) and "verify" in one for one in entries)


def secret_values(name: str, owner: ResourceId, path: str, secrets: Secrets, problems: Problems) -> dict[str, str] | None:
    """Return what a Secret in the owner's namespace holds; None when it is not among them."""
    secret = secrets.get((owner.namespace, name)) if name else None
    return _values(secret, owner, path, problems) if secret else None


def _values(secret: Object, owner: ResourceId, path: str, problems: Problems) -> dict[str, str]:
    import base64
    import binascii

    values = {key: text(value) for key, value in mapping(secret.data.get("stringData")).items()}
    for key, value in mapping(secret.data.get("data")).items():
        try:
            values.setdefault(key, base64.b64decode("".join(text(value).split()), validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            problems.add(owner, path, f"{secret.id}: key {key} is not base64 of text")
    return values
