"""Which namespaces may read an ImageRepository: Flux's cross-namespace ACL (fluxcd/pkg runtime/acl)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from krmfn.config.objects import Object, Problems, listing, mapping, text

if TYPE_CHECKING:
    from krmfn.config.flux import ImageRepository
    from krmfn.model import PolicyKey, ResourceId


def access_denied(
    repository: ImageRepository, wanted: PolicyKey, key: PolicyKey, objects: tuple[Object, ...], problems: Problems, where: ResourceId
) -> str:
    """Return why Flux's cross-namespace ACL refuses (fluxcd/pkg runtime/acl), or nothing; unknown labels pass with a warning."""
    if repository.access_from is None:
        return f"access denied: '{wanted.namespace}/{wanted.name}' can't be accessed due to missing ACL labels on 'accessFrom'"
    labels = {"kubernetes.io/metadata.name": key.namespace}
    is_known = False
    for resource in objects:
        if resource.id.kind == "Namespace" and resource.id.name == key.namespace:
            labels |= {
                str(k): text(v) for k, v in mapping(mapping(resource.data.get("metadata")).get("labels")).items()
            }
            is_known = True
    selectors = [
        mapping(mapping(one).get("matchLabels")) for one in listing(repository.access_from.get("namespaceSelectors"))
    ]
    if any(all(labels.get(name) == value for name, value in selector.items()) for selector in selectors):
        return ""
    if not is_known and any(set(selector) - set(labels) for selector in selectors):
        message = f"policy {key} reads {repository.defined} of another namespace: Namespace {key.namespace} is not among the items, so accessFrom was not checked"
        problems.remark(where, message, "warning")
        return ""
    return (
        f"access denied: '{wanted.namespace}/{wanted.name}' can't be accessed due to ACL labels mismatch "
        f"on namespace '{key.namespace}'"
    )
