"""`imagePolicies` of a Flux Kustomization -> ImagePolicy records. The image is inline; no ImageRepository is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from krmfn.access import Access, Repository
from krmfn.config import flux
from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.model import ImagePolicy, PolicyKey

_PROVIDERS = ("aws", "gcr", "oci", "dockerhub", "azure", "github")


def read_kustomization(resource: Object, problems: Problems) -> list[ImagePolicy]:
    """Read the `imagePolicies` of a Flux Kustomization; the image is inline, so they bind in every way."""
    entries = enumerate(map(mapping, listing(resource.spec.get("imagePolicies"))))
    policies = [_inline(resource, f"spec.imagePolicies[{index}]", entry, problems) for index, entry in entries]
    return [policy for policy in policies if policy is not None]


def _inline(resource: Object, path: str, entry: Mapping[str, Any], problems: Problems) -> ImagePolicy | None:
    providers = [(name, mapping(entry[name])) for name in _PROVIDERS if isinstance(entry.get(name), dict)]
    name = text(entry.get("name"))
    if not name or len(providers) != 1:
        one = f"expected exactly one of {', '.join(_PROVIDERS)}, found {len(providers)}"
        problems.add(resource.id, path, one if name else "name: required")
        return None
    provider, origin = providers[0]
    image = problems.repository(resource.id, f"{path}.{provider}.image", text(origin.get("image")))
    rules = image and flux.rules_of(resource.id, path, _inline_spec(entry, origin), (), problems)
    if image is None or rules is None:
        return None
    key = PolicyKey(resource.id.namespace or "default", name)
    reflection: Any = "Always" if rules.pins_current else "Never"
    return ImagePolicy(key, Repository(image, Access()), rules, reflection, flux.ALL_BINDINGS, defined=resource.id)


def _inline_spec(entry: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"policy": _inline_policy(mapping(entry.get("policy")))}
    regex = text(mapping(mapping(origin.get("policy")).get("tags")).get("regex"))
    spec["allowTags"] = listing(origin.get("allowTags")) + ([regex] if regex else [])
    spec["ignoreTags"] = listing(origin.get("ignoreTags"))
    prefix = text(entry.get("identifier"))
    if prefix:
        spec["filterTags"] = {"pattern": rf"^\Q{prefix}\E(?P<version>.*)$", "extract": "$version"}
    return spec


def _inline_policy(policy: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the policy in ImagePolicy's form; `type: SemVer|Digest|Alphabetical` is another spelling of the member."""
    kind = text(policy.get("type")).lower()
    members = {name.lower(): value for name, value in policy.items() if name != "type"}
    if kind and kind not in members:
        members[kind] = {"range": text(policy.get("range"))} if kind == "semver" else {}
        members.pop("range", None)
    return {name: {} if value is None else value for name, value in members.items()} or None
