"""Which policies stand somewhere, and which images they name, whether they take part in a run or not."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.config.objects import GROUP, Object, key_of, listing, mapping, text
from krmfn.kubernetes.form import parsed
from krmfn.model import PolicyKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config import flux


def declared_in(objects: tuple[Object, ...]) -> frozenset[PolicyKey]:
    """Name every policy that stands somewhere, used here or not: a marker for it is no mistake."""
    keys = {
        key_of(resource.id)
        for resource in objects
        if resource.id.kind == "ImagePolicy" and resource.group == GROUP
    }
    for resource in objects:
        if resource.id.kind == "ImageAutomation":
            for entry in listing(resource.spec.get("policies")):
                one = mapping(entry)
                keys.add(
                    PolicyKey(text(one.get("namespace")) or resource.id.namespace or "default", text(one.get("name")))
                )
    return frozenset(keys)


def suspended_images(
    objects: tuple[Object, ...], repositories: Mapping[PolicyKey, flux.ImageRepository]
) -> dict[str, PolicyKey]:
    """Return the images of suspended policies: they are named, and so nobody else's."""
    suspended: dict[str, PolicyKey] = {}
    for resource in objects:
        namespace = resource.id.namespace or "default"
        if resource.id.kind == "ImagePolicy" and resource.group == GROUP:
            reference = mapping(resource.spec.get("imageRepositoryRef"))
            source = PolicyKey(text(reference.get("namespace")) or namespace, text(reference.get("name")))
            known = repositories.get(source)
            if known and (text(resource.spec.get("suspend")) == "true" or known.is_suspended):
                suspended[known.repository.image.canonical] = key_of(resource.id)
        elif resource.id.kind == "ImageAutomation":
            for entry in map(mapping, listing(resource.spec.get("policies"))):
                image = parsed(text(entry.get("image")))
                if image and text(entry.get("suspend")) == "true":
                    key = PolicyKey(text(entry.get("namespace")) or namespace, text(entry.get("name")))
                    suspended[image.canonical] = key
    return suspended
