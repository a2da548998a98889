"""Which policies stand somewhere, and which images they name, whether they take part in a run or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from krmfn.config.objects import GROUP, Object, key_of, listing, mapping, text
from krmfn.kubernetes.form import parsed
from krmfn.model import PolicyKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.config import flux


def _key(named: Mapping[str, Any], resource: Object) -> PolicyKey:
    return PolicyKey(text(named.get("namespace")) or resource.id.namespace or "default", text(named.get("name")))


def _policies(objects: tuple[Object, ...]) -> Iterator[tuple[PolicyKey, Mapping[str, Any], Object]]:
    """Yield every policy with what is written of it: an ImagePolicy, or an entry of an ImageAutomation."""
    for resource in objects:
        if resource.id.kind == "ImagePolicy" and resource.group == GROUP:
            yield key_of(resource.id), resource.spec, resource
        elif resource.id.kind == "ImageAutomation":
            for entry in map(mapping, listing(resource.spec.get("policies"))):
                yield _key(entry, resource), entry, resource


def declared_in(objects: tuple[Object, ...]) -> frozenset[PolicyKey]:
    """Name every policy that stands somewhere, used here or not: a marker for it is no mistake."""
    return frozenset(key for key, _, _ in _policies(objects))


def suspended_images(
    objects: tuple[Object, ...], repositories: Mapping[PolicyKey, flux.ImageRepository]
) -> dict[str, PolicyKey]:
    """Return the images of suspended policies: they are named, and so nobody else's."""
    suspended: dict[str, PolicyKey] = {}
    for key, spec, resource in _policies(objects):
        is_suspended = text(spec.get("suspend")) == "true"
        if resource.id.kind == "ImageAutomation":
            image = parsed(text(spec.get("image")))
        else:
            known = repositories.get(_key(mapping(spec.get("imageRepositoryRef")), resource))
            image = known.repository.image if known else None
            is_suspended = is_suspended or (known is not None and known.is_suspended)
        if image and is_suspended:
            suspended[image.canonical] = key
    return suspended
