"""Secrets among the items that an ImageRepository names -> how to reach its registry. Values never leave Access.

Keys: https://fluxcd.io/flux/components/image/imagerepositories/ (secretRef, certSecretRef, proxySecretRef).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from krmfn.access import Access, Provenance
from krmfn.config.objects import Object, Problems, mapping, text

if TYPE_CHECKING:
    from krmfn.model import ResourceId

FIELDS = ("secretRef", "certSecretRef", "proxySecretRef")


def access(spec: Mapping[str, Any], owner: ResourceId, objects: Iterable[Object], problems: Problems) -> Access:
    """Read the Secrets that the spec names in the owner's namespace; one that is not among the items is only noted."""
    objects = tuple(objects)
    config = _secret(spec, "secretRef", owner, objects, problems).get(".dockerconfigjson")
    cert = _secret(spec, "certSecretRef", owner, objects, problems)
    proxy = _secret(spec, "proxySecretRef", owner, objects, problems)
    if proxy and not proxy.get("address"):
        problems.add(owner, "spec.proxySecretRef", "the Secret has no key `address`")
    return Access(
        docker_configs=(config,) if config else (),
        ca_pem=cert.get("ca.crt") or cert.get("caFile"),
        client_cert_pem=cert.get("tls.crt") or cert.get("certFile"),
        client_key_pem=cert.get("tls.key") or cert.get("keyFile"),
        proxy_address=proxy.get("address"),
        proxy_username=proxy.get("username"),
        proxy_password=proxy.get("password"),
        missing_secrets=_missing(spec, owner, objects),
        provenance=Provenance(namespace=owner.namespace),
    )


def names_secret(spec: Mapping[str, Any]) -> bool:
    """True if a spec refers to any Secret."""
    required = spec.get("require")
    entries = required if isinstance(required, list) else ()
    return any(name in spec for name in (*FIELDS, "verify")) or any(isinstance(one, dict) and "verify" in one for one in entries)


def _missing(spec: Mapping[str, Any], owner: ResourceId, objects: tuple[Object, ...]) -> tuple[str, ...]:
    """Name the Secrets that are not among the items: `namespace/name (field)`."""
    there = {(one.id.namespace, one.id.name) for one in objects if one.id.kind == "Secret"}
    wanted = ((field, text(mapping(spec.get(field)).get("name"))) for field in FIELDS)
    lead = f"{owner.namespace}/" if owner.namespace else ""
    return tuple(f"{lead}{name} ({field})" for field, name in wanted if name and (owner.namespace, name) not in there)


def _secret(
    spec: Mapping[str, Any], field: str, owner: ResourceId, objects: tuple[Object, ...], problems: Problems
) -> dict[str, str]:
    name = text(mapping(spec.get(field)).get("name"))
    return secret_values(name, owner, f"spec.{field}", objects, problems) or {}


def secret_values(
    name: str, owner: ResourceId, path: str, objects: Iterable[Object], problems: Problems
) -> dict[str, str] | None:
    """Return what a Secret in the owner's namespace holds; None when it is not among the objects."""
    for secret in objects:
        if name and secret.id.kind == "Secret" and (secret.id.namespace, secret.id.name) == (owner.namespace, name):
            return _values(secret, owner, path, problems)
    return None


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
