"""Charts and other artifacts that registries hold: OCIRepository, HelmRelease, and mappings with a chart's keys.

Of an OCIRepository Flux takes the digest before the range and the range before the tag. A digest beside a tag pins it,
and both are one place. Charts of HTTP repositories are named and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import yaml

from krmfn.image import is_tag
from krmfn.kubernetes import forms, reference
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, RANGE, UNJUDGED
from krmfn.kubernetes.resource import anchored, get, scalars_of
from krmfn.model import Part
from krmfn.yamledit.yamltree import Step, children, is_null

if TYPE_CHECKING:
    from krmfn.kubernetes.reference import Reading
    from krmfn.yamledit.nodes import Block

Key = tuple[str, str]
"""Namespace and name of a HelmRepository."""
_OCI = "oci://"
_VERSIONS = frozenset(key for row in forms.CHARTS for key in row.version)
"""Keys of which a mapping has one if it names a chart."""
_REGISTERED = re.compile(rb'\boci"?: *true')
_HELMFILE = "\0helmfile"
"""Stands for the namespace of the repositories that helmfiles name."""


class Found(NamedTuple):
    """A chart or an artifact. `at` is the version's node, `over` the one that takes precedence over it."""

    code: str
    path: tuple[Step, ...]
    at: yaml.Node
    text: str
    reading: Reading | None
    parts: tuple[tuple[Part, yaml.ScalarNode, tuple[Step, ...]], ...] = ()
    why: str = ""
    state: str = COUNTS
    constraint: str = ""
    over: yaml.Node | None = None
    keys: tuple[str, ...] = ()
    """What of the mapping was read."""


def repositories(blocks: Iterable[Block]) -> dict[Key, str]:
    """Return the URLs of the HelmRepositories of the blocks, `oci://` before those of type oci."""
    repositories_by_key: dict[Key, str] = {}
    for block in blocks:
        may_name = b"url" in block.raw and (b"HelmRepository" in block.raw or _REGISTERED.search(block.raw))
        stack = [block.root] if may_name else []
        while stack:
            node = stack.pop()
            plain = scalars_of(node)
            if plain.get("oci") == "true":
                key = _HELMFILE, plain.get("name", "")
                url = _OCI + plain.get("url", "").removeprefix(_OCI)
                repositories_by_key[key] = url if repositories_by_key.get(key, url) == url else ""
            elif plain.get("kind") == "HelmRepository":
                named, spec = scalars_of(get(node, "metadata")), scalars_of(get(node, "spec"))
                repositories_by_key[named.get("namespace", ""), named.get("name", "")] = spec.get("url", "")
            else:
                stack += [child for _, child in children(node) if isinstance(child, yaml.CollectionNode)]
    return repositories_by_key


def of_resource(root: yaml.Node, kind: str, group: str, known: Mapping[Key, str]) -> list[Found]:
    """Return what an OCIRepository, a HelmRelease, a HelmChart or a plan of the system-upgrade-controller names."""
    spec = get(root, "spec")
    if kind == "Plan" and group == "upgrade.cattle.io":
        return _planned(spec)
    if kind == "OCIRepository" and group == "source.toolkit.fluxcd.io":
        return _artifact(spec)
    if kind in ("HelmRelease", "HelmChart") and group.endswith(".fluxcd.io"):
        steps: tuple[Step, ...] = ("spec", "chart", "spec") if kind == "HelmRelease" else ("spec",)
        inner = get(get(spec, "chart"), "spec") if kind == "HelmRelease" else spec
        namespace = scalars_of(get(root, "metadata")).get("namespace", "")
        released = _released(inner, steps, namespace, known)
        return [released] if released else []
    return []


def _planned(spec: yaml.Node | None) -> list[Found]:
    """Read the version of an upgrade plan, which the controller makes the tag of an image that has none: `+` is `-`."""
    version, image = _filled(spec, "version"), _filled(get(spec, "upgrade"), "image")
    if version is None or image is None or (named := reference.read(image.value)) is None or named.ref.tag:
        return []
    text = f"{image.value}:{version.value.replace('+', '-')}"
    why = "an upgrade plan makes a tag of it, and replaces nodes"
    return [Found("upgrade-plan", ("spec", "version"), version, text, reference.read(text), (), why)]


def _artifact(spec: yaml.Node | None) -> list[Found]:
    url, ref = _filled(spec, "url"), get(spec, "ref")
    if url is None or not url.value.startswith(_OCI):
        return []
    name, path = url.value.removeprefix(_OCI).rstrip("/"), ("spec", "ref")
    held = {key: node for key in ("tag", "semver", "digest") if (node := _filled(ref, key)) is not None}
    tag, semver, digest = held.get("tag"), held.get("semver"), held.get("digest")
    charts: list[Found] = []
    if semver is not None:
        over = digest
        charts.append(
            Found("oci-repository", (*path, "semver"), semver, name, reference.read(name), (), _OF_RANGE,
                  OVERRIDDEN if over else RANGE, semver.value, over)
        )  # fmt: skip
    pinned: list[tuple[Part, yaml.ScalarNode, str]] = []
    if tag is not None and (semver is None or digest is not None):
        pinned.append((Part.TAG, tag, "tag"))
    if digest is not None:
        pinned.append((Part.DIGEST, digest, "digest"))
    if pinned:
        text = name + (f":{tag.value}" if tag is not None else "") + (f"@{digest.value}" if digest is not None else "")
        parts = tuple((part, node, (*path, key)) for part, node, key in pinned)
        charts.append(Found("oci-repository", (*path, pinned[0][2]), parts[0][1], text, reference.read(text), parts))
    elif tag is not None:
        text = f"{name}:{tag.value}"
        why = "semver takes precedence over tag"
        charts.append(
            Found("oci-repository", (*path, "tag"), tag, text, reference.read(text), (), why, OVERRIDDEN, "", semver)
        )
    if not held:
        why = "it has neither tag, semver nor digest, which means latest"
        charts.append(Found("oci-repository", ("spec", "url"), url, name, reference.read(name), (), why))
    return [one for one in charts if one.reading is not None]


_OF_RANGE = "it is a range: Flux chooses the version"


def _filled(node: yaml.Node | None, key: str) -> yaml.ScalarNode | None:
    value = get(node, key)
    scalar = anchored(value) if value is not None else None
    return scalar if scalar is not None and scalar.value and not is_null(scalar) else None


def _released(
    spec: yaml.Node | None, steps: tuple[Step, ...], namespace: str, known: Mapping[Key, str]
) -> Found | None:
    plain, source = scalars_of(spec), scalars_of(get(spec, "sourceRef"))
    version, chart = get(spec, "version"), get(spec, "chart")
    if not plain.get("chart") or not plain.get("version") or source.get("kind") != "HelmRepository" or chart is None:
        return None
    at = version if isinstance(version, yaml.ScalarNode) else chart
    name = source.get("name", "")
    wanted = (source.get("namespace") or namespace, name)
    others = {url for (_, other), url in known.items() if other == name}
    url = known.get(wanted) or (others.pop() if len(others) == 1 else "")
    path = (*steps, "version" if at is version else "chart")
    return _chart("helm-release", path, plain["chart"], url, at, version, name)


def of_mapping(
    node: yaml.Node, scalars: Mapping[str, yaml.ScalarNode], within: str, known: Mapping[Key, str]
) -> Found | None:
    """Return the chart that a mapping names, by the rows of the table; only one from a registry, or with an HTTP URL."""
    if _VERSIONS.isdisjoint(scalars):
        return None
    if within == "releases" and _first(scalars, ("chart",)) and (pinned := scalars.get("version")) is not None:
        alias, _, chart = scalars["chart"].value.partition("/")
        if registry := known.get((_HELMFILE, alias)):
            return _chart("helmfile-chart", ("version",), chart, registry, pinned, pinned, alias)._replace(keys=("chart",))
    if within == "helmChart" and isinstance(inner := get(get(node, "repository"), "url"), yaml.ScalarNode):
        scalars = {**scalars, "repository": inner}  # of Carvel
    for row in forms.charts(within):
        version, url, name = (_first(scalars, keys) for keys in (row.version, row.url, row.name))
        if not version or not url or (row.name and not name):
            continue
        place, at = scalars[url].value, scalars[version]
        is_registry = place.startswith(_OCI)
        if row.is_bare and "://" not in place and "." in place.partition("/")[0]:
            place, is_registry = _OCI + place, True
        if not is_registry and (not row.name or not re.match(r"https?://", place) or place.endswith(".git")):
            continue
        if row.is_tag:
            text = f"{place.removeprefix(_OCI)}:{at.value}"
            if (reading := reference.read(text)) is not None:
                return Found(row.code, (version,), at, text, reading, ((Part.TAG, at, (version,)),), row.why, keys=(url,))
            continue
        named = _chart(row.code, (version,), scalars[name].value if name else "", place, at, at, place)
        return named._replace(keys=(url, version, name))
    return None


def _first(scalars: Mapping[str, yaml.ScalarNode], keys: tuple[str, ...]) -> str:
    """Return the first of some keys that a mapping has filled, an empty text for none."""
    return next((key for key in keys if key in scalars and scalars[key].value), "")


def _chart(
    code: str, path: tuple[Step, ...], chart: str, url: str, at: yaml.Node, version: yaml.Node | None, source: str
) -> Found:
    """Make the place of a chart: an exact version is a tag, anything else a range; `+` is `_` in tags, as Helm has it."""
    wanted = version.value if isinstance(version, yaml.ScalarNode) else ""
    if chart.startswith(_OCI):
        url, chart = chart, ""
    if not url.startswith(_OCI):
        why = (
            f"a chart of the HTTP repository {url}"
            if url
            else f"a chart of the HelmRepository {source}, which is not among the files"
        )
        return Found(code, path, at, f"{chart or source} {wanted}".strip(), None, (), f"{why}: left alone", UNJUDGED)
    name = url.removeprefix(_OCI).rstrip("/") + (f"/{chart}" if chart and "://" not in chart else "")
    tag = wanted.replace("+", "_")
    if (
        isinstance(version, yaml.ScalarNode)
        and is_tag(tag)
        and re.match(r"v?\d+\.\d+\.\d+", tag)
        and not re.search(r"(?:^|\.)[xX*](?:\.|$)", tag)
    ):
        text = f"{name}:{tag}"
        return Found(code, path, at, text, reference.read(text), ((Part.VERSION, version, path),))
    if any(sign in wanted for sign in ("$", "{{", "<<")):
        text = f"{name}:{wanted}"
        reading = reference.read(text)
        why, state = ("", COUNTS) if reading else ("a template fills in its version", UNJUDGED)
        return Found(code, path, at, text, reading, (), why, state)
    return Found(code, path, at, name, reference.read(name), (), "it is a range", RANGE, wanted or "*")
