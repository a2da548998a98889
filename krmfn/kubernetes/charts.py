"""Charts and other artifacts that registries hold: OCIRepository, HelmRelease, and mappings with a chart's keys.

Of an OCIRepository Flux takes the digest before the range and the range before the tag. A digest beside a tag pins it,
and both are one place. Charts of HTTP repositories are named and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from krmfn.image import is_tag, version_suffix
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
Piece = tuple[Part, yaml.ScalarNode, tuple[Step, ...]]
"""A part of an image, the scalar that holds it, and the steps to that."""
_OCI = "oci://"
_VERSIONS = frozenset(key for row in forms.CHARTS for key in row.version)
"""Keys of which a mapping has one if it names a chart."""
_REGISTERED = re.compile(rb'\boci"?: *true')
_HELMFILE = "\0helmfile"
"""Stands for the namespace of the repositories that helmfiles name."""


class Mention(NamedTuple):
    """A chart or an artifact. `at` is the version's node, `over` the one that takes precedence over it."""

    code: str
    path: tuple[Step, ...]
    at: yaml.Node
    text: str
    reading: Reading | None
    why: str = ""
    parts: tuple[Piece, ...] = ()
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


def of_resource(root: yaml.Node, kind: str, group: str, known: Mapping[Key, str]) -> list[Mention]:
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


def _planned(spec: yaml.Node | None) -> list[Mention]:
    """Read the version of an upgrade plan, which the controller makes the tag of an image that has none: `+` is `-`."""
    version, image = _filled(spec, "version"), _filled(get(spec, "upgrade"), "image")
    if version is None or image is None or (untagged := reference.read(image.value)) is None or untagged.ref.tag:
        return []
    text = f"{image.value}:{version.value.replace('+', '-')}"
    why = "an upgrade plan makes a tag of it, and replaces nodes"
    return [Mention("upgrade-plan", ("spec", "version"), version, text, reference.read(text), why)]


def _artifact(spec: yaml.Node | None) -> list[Mention]:
    """Read the places of an OCIRepository: its range, and its tag and digest, which are one place where both count."""
    url, ref = _filled(spec, "url"), get(spec, "ref")
    if url is None or not url.value.startswith(_OCI):
        return []
    name = url.value.removeprefix(_OCI).rstrip("/")
    tag, semver, digest = (_filled(ref, key) for key in ("tag", "semver", "digest"))
    artifacts: list[Mention] = []

    def add(at: yaml.Node, path: tuple[Step, ...], suffix: str, why: str = "", **more: Any) -> None:
        if (reading := reference.read(f"{name}{suffix}")) is not None:
            artifacts.append(Mention("oci-repository", path, at, f"{name}{suffix}", reading, why, **more))

    if semver is not None:
        state = OVERRIDDEN if digest else RANGE
        why = "it is a range: Flux chooses the version"
        add(semver, ("spec", "ref", "semver"), "", why, state=state, constraint=semver.value, over=digest)
    is_tagged = tag is not None and (semver is None or digest is not None)
    held = ((Part.TAG, tag if is_tagged else None, "tag"), (Part.DIGEST, digest, "digest"))
    parts = tuple((part, node, ("spec", "ref", key)) for part, node, key in held if node is not None)
    if parts:
        suffix = version_suffix(tag.value if tag else None, digest.value if digest else None)
        add(parts[0][1], parts[0][2], suffix, parts=parts)
    elif tag is not None:
        why = "semver takes precedence over tag"
        add(tag, ("spec", "ref", "tag"), f":{tag.value}", why, state=OVERRIDDEN, over=semver)
    elif semver is None:
        add(url, ("spec", "url"), "", "it has neither tag, semver nor digest, which means latest")
    return artifacts


def _filled(node: yaml.Node | None, key: str) -> yaml.ScalarNode | None:
    scalar = anchored(get(node, key))
    return scalar if scalar is not None and scalar.value and not is_null(scalar) else None


def _released(
    spec: yaml.Node | None, steps: tuple[Step, ...], namespace: str, known: Mapping[Key, str]
) -> Mention | None:
    chart, source = scalars_of(spec).get("chart"), scalars_of(get(spec, "sourceRef"))
    version = get(spec, "version")
    if not isinstance(version, yaml.ScalarNode) or not version.value:
        return None
    if not chart or source.get("kind") != "HelmRepository":
        return None
    name = source.get("name", "")
    # Repositories of other namespaces count where the name is unique: kustomizations may set the namespace.
    others = {url for (_, other), url in known.items() if other == name}
    url = known.get((source.get("namespace") or namespace, name)) or (others.pop() if len(others) == 1 else "")
    return _chart("helm-release", (*steps, "version"), chart, url, version, name)


def of_mapping(
    node: yaml.Node, scalars: Mapping[str, yaml.ScalarNode], within: str, known: Mapping[Key, str]
) -> Mention | None:
    """Return the chart that a mapping names, by the rows of the table; only one from a registry, or with an HTTP URL."""
    if _VERSIONS.isdisjoint(scalars):
        return None
    if within == "releases" and _first(scalars, ("chart",)) and (pinned := scalars.get("version")) is not None:
        alias, _, chart = scalars["chart"].value.partition("/")
        if registry := known.get((_HELMFILE, alias)):
            return _chart("helmfile-chart", ("version",), chart, registry, pinned, alias)._replace(keys=("chart",))
    if within == "helmChart" and isinstance(inner := get(get(node, "repository"), "url"), yaml.ScalarNode):
        scalars = {**scalars, "repository": inner}  # of Carvel
    # HTTP repositories are told only by rows that name a chart: any other `url` with a `version` may be anything.
    rows = (row for row in forms.CHARTS if re.fullmatch(row.within, within))
    return next((chart for row in rows if (chart := _by_row(row, scalars)) is not None), None)


def _by_row(row: forms.Chart, scalars: Mapping[str, yaml.ScalarNode]) -> Mention | None:
    version, url, name = (_first(scalars, keys) for keys in (row.version, row.url, row.name))
    if not version or not url or (row.name and not name):
        return None
    place, at = scalars[url].value, scalars[version]
    if row.is_bare and "://" not in place and "." in place.partition("/")[0]:
        place = _OCI + place
    if not place.startswith(_OCI) and (not row.name or not re.match(r"https?://", place) or place.endswith(".git")):
        return None
    if row.is_tag:
        text = f"{place.removeprefix(_OCI)}:{at.value}"
        parts = ((Part.TAG, at, (version,)),)
        reading = reference.read(text)
        return reading and Mention(row.code, (version,), at, text, reading, row.why, parts, keys=(url,))
    chart = _chart(row.code, (version,), scalars[name].value if name else "", place, at, place)
    return chart._replace(keys=(url, version, name))


def _first(scalars: Mapping[str, yaml.ScalarNode], keys: tuple[str, ...]) -> str:
    """Return the first of some keys that a mapping has filled, an empty text for none."""
    return next((key for key in keys if key in scalars and scalars[key].value), "")


def _chart(
    code: str, path: tuple[Step, ...], chart: str, url: str, version: yaml.ScalarNode, source: str
) -> Mention:
    """Make the place of a chart: an exact version is a tag, anything else a range; `+` is `_` in tags, as Helm has it."""
    wanted = version.value
    if chart.startswith(_OCI):
        url, chart = chart, ""
    if not url.startswith(_OCI):
        repository = f"HTTP repository {url}" if url else f"HelmRepository {source}, which is not among the files"
        why = f"a chart of the {repository}: left alone"
        return Mention(code, path, version, f"{chart or source} {wanted}".strip(), None, why, state=UNJUDGED)
    name = url.removeprefix(_OCI).rstrip("/") + (f"/{chart}" if chart and "://" not in chart else "")
    # Flux and Helm take `1.2.3` as it stands and `1.2`, `1.2.x`, `*` as ranges (Masterminds/semver); tags have no `+`.
    tag = wanted.replace("+", "_")
    if is_tag(tag) and re.match(r"v?\d+\.\d+\.\d+", tag) and not re.search(r"(?:^|\.)[xX*](?:\.|$)", tag):
        text = f"{name}:{tag}"
        return Mention(code, path, version, text, reference.read(text), parts=((Part.VERSION, version, path),))
    if any(sign in wanted for sign in ("$", "{{", "<<")):
        text = f"{name}:{wanted}"
        reading = reference.read(text)
        why, state = ("", COUNTS) if reading else ("a template fills in its version", UNJUDGED)
        return Mention(code, path, version, text, reading, why, state=state)
    why, constraint = "it is a range", wanted or "*"
    return Mention(code, path, version, name, reference.read(name), why, state=RANGE, constraint=constraint)
