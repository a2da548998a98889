"""A flat ConfigMap as functionConfig: `kpt fn eval -- image=ghcr.io/acme/web semver=^1`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from krmfn.config import flux, schema
from krmfn.config.image_automation import set_up
from krmfn.config.objects import Object, Problems, listing, mapping, nearest, text
from krmfn.model import Location
from krmfn.policies.policy import POLICIES

if TYPE_CHECKING:
    from krmfn.config.image_automation import OwnReader
    from krmfn.model import Diagnostic

_POLICIES = tuple(name for name, member in POLICIES.items() if member.has_key)
KEYS = (
    *_POLICIES, "name", "namespace", "image", "pattern", "extract", "exclusionList", "allowTags", "ignoreTags", "insecure",
    "digestReflectionPolicy", "bind", "mode", "onError", "onDowngrade", "keepPins", "layout", "annotate",
)  # fmt: skip
_SETTINGS = ("mode", "onError", "onDowngrade", "keepPins")


def read_config_map(reader: OwnReader, objects: tuple[Object, ...], asides: list[str]) -> None:
    """Read a flat ConfigMap as functionConfig: `kpt fn eval -- image=ghcr.io/acme/web semver=^1`."""
    config_map = next((one for one in objects if one.is_function_config and one.id.kind == "ConfigMap"), None)
    data = mapping(config_map.data.get("data")) if config_map else {}
    if config_map is None or not data:
        return
    if not any(key in KEYS or nearest(key, KEYS) for key in data):
        asides.append(
            f"{config_map.id}: none of its keys ({', '.join(sorted(data))}) is configuration of krmfn: passed over"
        )
        return
    for key in data:
        if key not in KEYS:
            hint = nearest(key, KEYS) or f"; known: {', '.join(KEYS)}"
            reader.problems.add(config_map.id, f"data.{key}", f"unknown key{hint}")
    spec = _spec(config_map, data, reader.problems)
    wrong = list(schema.problems("ImageAutomation", {"spec": spec}))
    for path, message in wrong:
        flat = path.replace("spec.policies[0].", "data.").replace("spec.", "data.")
        reader.problems.add(config_map.id, _place(flat), message)
    if wrong or reader.problems.found:
        return
    reader.settings = set_up(reader.settings, spec)
    bind = frozenset(_words(data.get("bind"))) or flux.ALL_BINDINGS
    for entry in listing(spec.get("policies")):
        reader.inline(config_map.id, "data", entry, config_map.id.namespace or "default", bind)
    reader.problems.found[:] = map(_problem, reader.problems.found)


def _spec(config_map: Object, data: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    spec: dict[str, Any] = {name: data[name] for name in _SETTINGS if data.get(name)}
    if data.get("layout"):
        spec["source"] = {"layout": {"path": data["layout"]}}
    if data.get("annotate"):
        spec["update"] = {"annotate": data["annotate"]}
    about_policy = [key for key in data if key in KEYS and key not in (*spec, "layout", "annotate")]
    if not about_policy:
        return spec
    last_part = text(data.get("image")).rpartition("/")[2]
    entry: dict[str, Any] = {"name": data.get("name") or last_part or "image", "image": data.get("image")}
    for name in ("namespace", "digestReflectionPolicy", "insecure"):
        if data.get(name):
            entry[name] = data[name]
    for name in ("exclusionList", "allowTags", "ignoreTags", "bind"):
        if data.get(name):
            entry[name] = list(_words(data[name]))
    if data.get("pattern") or data.get("extract"):
        entry["filterTags"] = {name: data[name] for name in ("pattern", "extract") if data.get(name)}
    chosen = [name for name in _POLICIES if name in data]
    if len(chosen) > 1:
        problems.add(config_map.id, "data", f"expected one policy, found {', '.join(chosen)}")
    if chosen:
        entry["policy"] = {chosen[0]: _member(chosen[0], text(data[chosen[0]]))}
    spec["policies"] = [entry]
    return spec


def _problem(problem: Diagnostic) -> Diagnostic:
    resource, field, file = problem.location
    flat = field._replace(path=_place(field.path)) if field else None
    return problem._replace(location=Location(resource, flat, file))


def _place(problem: str) -> str:
    """Name the key of a flat ConfigMap: `data.semver` for `data.policy.semver.range`."""
    for kind in _POLICIES:
        problem = problem.replace(f"data.policy.{kind}.{POLICIES[kind].key_option}", f"data.{kind}")
    return problem.replace("data.policy.", "data.").replace("data.filterTags.", "data.")


def _member(kind: str, value: str) -> dict[str, str]:
    """Return what the key of a policy gives; an empty value is the default, and where that is required it is written, and refused."""
    name, options = POLICIES[kind].key_option, POLICIES[kind].options
    return {name: value} if name and (value or options[name].is_required) else {}


def _words(value: Any) -> tuple[str, ...]:
    return tuple(part for part in text(value).replace(",", "\n").split() if part)
