"""Rancher Fleet's image scans as they are: `imageScans` of a fleet.yaml and ImageScan objects -> ImagePolicy records.

Meaning: rancher/fleet internal/cmd/controller/imagescan/{tagscan_job,update/setters}.go, which grew out of Flux's. A
marker of Fleet names a scan by its `tagName` alone; the key of its policy is `imageScans:TAGNAME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from krmfn.access import Repository
from krmfn.config import flux, secrets
from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.kubernetes.resource import get, scalars_of
from krmfn.model import ImagePolicy, PolicyKey, ResourceId
from krmfn.yamledit.markers import SCANS
from krmfn.yamledit.yamltree import children

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

_API_VERSION = "fleet.cattle.io/v1alpha1"
_POLICIES = ("semver", "alphabetical")
_REFLECTIONS: tuple[Literal["Never", "Always"], ...] = ("Never", "Always")
"""For a marker that takes a name or tag, and for `:digest`, which writes both tag and digest."""
_PINNED = re.compile(rb'"\$imagescan"[ \t]*:[ \t]*"([^"\\\n]+):digest"|imageScans:([^"\\\n@:]+)@digest')


Scans = tuple[list[ImagePolicy], set[PolicyKey], dict[str, PolicyKey]]
"""The policies of all scans, the names of all policies, suspended ones included, and the images of those that are."""


def pinned(items: Iterable[Block]) -> frozenset[str]:
    """Return the names that markers and annotations ask for with a digest behind the tag, which is a policy of its own."""
    raws = (block.raw for block in items if b"$imagescan" in block.raw or b"imageScans:" in block.raw)
    return frozenset((hit[1] or hit[2]).decode("utf-8", "replace") for raw in raws for hit in _PINNED.finditer(raw))


def read_scans(objects: Iterable[Object], with_digest: frozenset[str], problems: Problems) -> Scans:
    """Read every scan among the objects. Logins of a `secretRef` come from a Secret among them, as for Flux."""
    objects = tuple(objects)
    held = secrets.by_name(objects)
    policies: list[ImagePolicy] = []
    declared: set[PolicyKey] = set()
    suspended: dict[str, PolicyKey] = {}
    known: dict[str, Mapping[str, Any]] = {}
    for identity, path, spec, place in _scans(objects, problems):
        image = _image(identity, path, spec, problems)
        name = text(spec.get("tagName"))
        if not name:
            problems.add(identity, f"{path}.tagName", 'required: markers name the scan by it, {"$imagescan": "TAGNAME"}')
        if image is None or not name:
            continue
        if known.setdefault(name, spec) != spec:
            problems.add(identity, "", f"another scan is called {name} too, at {place}, and Fleet takes either: rename one")
            continue
        keys = [PolicyKey(SCANS, name), *([PolicyKey(SCANS, f"{name}@digest")] if name in with_digest else [])]
        declared.update(keys)
        if text(spec.get("suspend")) == "true":
            suspended[image.canonical] = keys[0]
            problems.remark(identity, f"policy {keys[0]} is suspended: skipped")
            continue
        choice = _policy(identity, path, mapping(spec.get("policy")), problems)
        rules = choice and flux.rules_of(identity, path, {"policy": choice}, (), problems)
        if not rules:
            continue
        repository = Repository(image, secrets.access(spec, identity, held, problems))
        for key, reflection in zip(keys, _REFLECTIONS, strict=False):
            policies.append(ImagePolicy(key, repository, rules, reflection, defined=identity))
    return policies, declared, suspended


def starts(block: Block) -> Iterator[tuple[ResourceId, int]]:
    """Yield what each scan of a fleet.yaml is called in messages, and the byte where it starts."""
    for _, node in children(get(block.root, "imageScans")):
        yield _identity(scalars_of(node)), block.span(node)[0]


def _identity(scan: Mapping[str, Any]) -> ResourceId:
    return ResourceId(_API_VERSION, "ImageScan", "", text(scan.get("tagName")) or text(scan.get("image")))


def _scans(objects: Iterable[Object], problems: Problems) -> Iterator[tuple[ResourceId, str, Mapping[str, Any], str]]:
    """Yield each scan: how it is called, its field, its content, and where it stands."""
    for one in objects:
        if one.group == "fleet.cattle.io" and one.id.kind == "ImageScan":
            yield one.id, "spec", one.spec, str(one.id)
        elif not one.id.kind and (scans := listing(one.data.get("imageScans"))):
            places = [*starts(one.block)]
            problems.stand(one.block, places)
            for index, (scan, (_, offset)) in enumerate(zip(map(mapping, scans), places, strict=True)):
                line, _ = one.block.text.locate(offset)
                yield _identity(scan), f"imageScans[{index}]", scan, f"{one.block.text.name or 'stdin'}:{line}"


def _image(identity: ResourceId, path: str, spec: Mapping[str, Any], problems: Problems) -> ImageRef | None:
    """Return the repository; Fleet allows a tag behind it, which means nothing."""
    try:
        ref = ImageRef.parse(text(spec.get("image")))
    except RuleError as error:
        problems.add(identity, f"{path}.image", str(error))
        return None
    return ref._replace(tag=None, digest=None)


def _policy(
    identity: ResourceId, path: str, policy: Mapping[str, Any], problems: Problems
) -> dict[str, dict[str, str]] | None:
    """Return the policy in Flux's words: semver before alphabetical, whose order is the other way round; `*` without any."""
    for unknown in policy.keys() - set(_POLICIES):
        problems.add(identity, f"{path}.policy.{unknown}", f"Fleet has the policies {' and '.join(_POLICIES)}")
        return None
    if isinstance(policy.get("alphabetical"), dict) and not isinstance(policy.get("semver"), dict):
        order = text(policy["alphabetical"].get("order")).upper()
        return {"alphabetical": {"order": "asc" if order in ("", "DESC") else "desc"}}
    return {"semver": {"range": text(mapping(policy.get("semver")).get("range"), "*")}}
