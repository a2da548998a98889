"""*bind*: which field takes which part of which policy's choice. Looks only; changes nothing, asks nobody.

Markers follow Flux's attachment rules, annotations survive `kustomize build`, targets come from the configuration, and
images match by canonical repository. A field that is bound by name twice, to different choices, is an error that names
both; image matching is the last resort and gives way to the other three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from krmfn import markers, screen
from krmfn.config import Config, Select
from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.jsonpath import JSONPath
from krmfn.model import Choice, Chosen, Field, ImagePolicy, Part, PolicyKey, Result
from krmfn.objects import nearest
from krmfn.resource import Resource, describe, fields_named_image, is_image_shaped, owner
from krmfn.yamltext import Block, Scalar, scalar_at

ANNOTATION = "krmfn.dev/images"
_PARTS = {part.value: part for part in Part if part is not Part.IMAGE}


class Setter(NamedTuple):
    """What a marker asks for: `ns:name`, `ns:name:tag`."""

    policy: PolicyKey
    part: Part

    def __str__(self) -> str:
        """Answer the text that markers hold."""
        return f"{self.policy}:{self.part.value}" if self.part is not Part.IMAGE else str(self.policy)


@dataclass(frozen=True, slots=True)
class Target:
    """A field and what it is to take. `how` names the binding; `resource` says where it stands."""

    scalar: Scalar
    setter: Setter
    how: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class Bound:
    """Everything that was found. `policies` also counts fields that already hold the right value."""

    targets: tuple[Target, ...]
    results: tuple[Result, ...]
    policies: frozenset[PolicyKey]
    composed: tuple[Block, ...] = field(repr=False, default=())


def parse_setter(text: str) -> Setter | None:
    """Read a marker's value; None when it has not the form `namespace:name[:tag|:name|:digest]`."""
    head, _, suffix = text.rpartition(":")
    if suffix in _PARTS and head.count(":") == 1:
        namespace, _, name = head.partition(":")
        return Setter(PolicyKey(namespace, name), _PARTS[suffix])
    namespace, colon, name = text.partition(":")
    return Setter(PolicyKey(namespace, name), Part.IMAGE) if colon and ":" not in name else None


def wanted(blocks: Iterable[Block], config: Config) -> frozenset[PolicyKey]:
    """Answer the policies that the texts may need: a cheap superset, so that nobody else is asked."""
    by_image = _by_image(config)
    found = {rule.policy for rule in config.targets}
    for block in blocks:
        raw = block.raw
        if b"$imagepolicy" in raw or b"\\u0024imagepolicy" in raw:
            found |= {setter.policy for text in screen.setters_in(raw) if (setter := parse_setter(text))}
        if by_image and (b"image" in raw or b"reference" in raw):
            for value in screen.image_values(raw):
                found |= {policy.key for policy in by_image.get(_canonical(value), ())}
        if b"krmfn.dev/images" in raw and block.root is not None:
            found |= {setter.policy for one in describe(block) for _, setter in _annotated(one) if setter}
    return frozenset(key for key in found if key in config.policies)


def expected(config: Config, choices: Mapping[PolicyKey, Choice]) -> screen.Expected:
    """Answer what fields must hold so that nothing changes, as far as that is known before digests are asked for."""
    setters: dict[str, str | None] = {}
    images: dict[str, frozenset[str] | None] = {}
    by_image = _by_image(config)
    for key in config.policies:
        chosen = choices.get(key)
        values = _values(chosen) if isinstance(chosen, Chosen) else None
        for part in Part:
            setters[str(Setter(key, part))] = values[part] if values else None
    for canonical, policies in by_image.items():
        chosen = choices.get(policies[0].key)
        values = _values(chosen) if isinstance(chosen, Chosen) and len(policies) == 1 else None
        images[canonical] = frozenset({str(values[Part.IMAGE])}) if values else None
    return screen.Expected(setters, images)


def _values(chosen: Chosen) -> dict[Part, str | None] | None:
    policy = chosen.policy
    if policy.rules.pins_current or (policy.digest_reflection != "Never" and not chosen.digest):
        return None
    return {
        Part.IMAGE: chosen.ref, Part.TAG: chosen.tag, Part.NAME: policy.repository.image.name, Part.DIGEST: chosen.digest
    }  # fmt: skip


def bind(blocks: Iterable[Block], config: Config, expected: screen.Expected) -> Bound:
    """Find every field that a policy is bound to in the blocks that may change. Raises InputError for text that is no YAML."""
    finder = _Finder(config)
    composed = []
    for block in blocks:
        if not screen.may_change(block.raw, expected, finder.needles):
            finder.skip(block.raw)
            continue
        composed.append(block)
        if block.root is not None:
            finder.look(block)
    return Bound(tuple(finder.targets), tuple(finder.results), frozenset(finder.policies), tuple(composed))


def _canonical(value: str) -> str:
    try:
        return ImageRef.parse(value).canonical
    except RuleError:
        return ""


def _by_image(config: Config) -> dict[str, list[ImagePolicy]]:
    found: dict[str, list[ImagePolicy]] = {}
    for policy in config.policies.values():
        if "images" in policy.bind:
            found.setdefault(policy.repository.image.canonical, []).append(policy)
    return found


def _annotated(resource: Resource) -> Iterator[tuple[str, Setter | None]]:
    import json

    text = resource.annotations.get(ANNOTATION)
    if not text:
        return
    try:
        data = json.loads(text)
    except ValueError:
        yield "", None
        return
    for key, value in data.items() if isinstance(data, dict) else [("", None)]:
        yield str(key), parse_setter(value) if isinstance(value, str) else None


class _Finder:
    """Walks blocks and collects targets; one instance serves one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.by_image = _by_image(config)
        self.paths = {rule.path: JSONPath.parse(rule.path) for rule in config.targets if rule.path}
        self.targets: list[Target] = []
        self.results: list[Result] = []
        self.policies: set[PolicyKey] = set()
        self.needles = self._needles()

    def _needles(self) -> tuple[bytes, ...]:
        words = {b"krmfn.dev/images"}
        for rule in self.config.targets:
            words.add(self.paths[rule.path].needle.encode() if rule.path else b"containers")
            words |= {b"initContainers", b"Containers"} if rule.containers else set()
        return tuple(sorted(words))

    def skip(self, raw: bytes) -> None:
        """Count what a block that needs no change holds as bound."""
        if b"$imagepolicy" in raw:
            self.policies |= {setter.policy for text in screen.setters_in(raw) if (setter := parse_setter(text))}
        if self.by_image and b"image" in raw:
            for value in screen.image_values(raw):
                self.policies |= {policy.key for policy in self.by_image.get(_canonical(value), ())}

    def look(self, block: Block) -> None:
        """Find the targets of one composed block."""
        resources = tuple(one for one in describe(block) if one.id.kind != "CustomResourceDefinition")
        if not resources:
            return
        found: dict[int, Target] = {}
        for target in self._markers(block, resources):
            self._claim(found, target)
        for resource in resources:
            for target in (*self._annotations(resource), *self._rules(resource)):
                self._claim(found, target)
        for resource in resources:
            for target in self._images(resource, found):
                found.setdefault(target.scalar.start, target)
        for _, target in sorted(found.items()):
            self.targets.append(target)
            self.policies.add(target.setter.policy)

    def _claim(self, found: dict[int, Target], target: Target) -> None:
        other = found.setdefault(target.scalar.start, target)
        if other.setter != target.setter:
            message = f"two policies for one field: {other.how} says {other.setter}, {target.how} says {target.setter}; keep one of them"
            self._say("error", message, target.resource, target.scalar)

    def _say(self, severity: str, message: str, resource: Resource, scalar: Scalar | None = None) -> None:
        place = resource.place(scalar.start) if scalar else resource.file
        where = Field(scalar.path, scalar.value) if scalar else None
        self.results.append(Result(severity, message, resource.id, where, place))  # type: ignore[arg-type]

    def _known(self, setter: Setter | None, text: str, how: str, resource: Resource, scalar: Scalar | None) -> bool:
        if setter is None or not setter.policy.name:
            form = "namespace:name, namespace:name:tag, namespace:name:name or namespace:name:digest"
            hint = nearest(
                text, (f"{key}{tail}" for key in self.config.declared for tail in ("", ":tag", ":name", ":digest"))
            )
            self._say("warning", f"{how} {text!r} names no policy: expected {form}{hint}", resource, scalar)
            return False
        if setter.policy in self.config.policies:
            return True
        if setter.policy in self.config.dangling:
            severity = "error" if self.config.settings.on_error == "fail" else "warning"
            self.policies.add(setter.policy)
            self._say(severity, f"policy {setter.policy}: {self.config.dangling[setter.policy].why}", resource, scalar)
            return False
        if setter.policy not in self.config.declared:
            hint = nearest(str(setter.policy), (str(key) for key in self.config.declared))
            self._say("warning", f"{how} names policy {setter.policy}, which is not configured{hint}", resource, scalar)
        return False

    def _allowed(self, key: PolicyKey, binding: str) -> bool:
        return binding in self.config.policies[key].bind

    def _markers(self, block: Block, resources: tuple[Resource, ...]) -> Iterator[Target]:
        if b"imagepolicy" not in block.raw:
            return
        for marker in markers.read(block):
            setter, resource = parse_setter(marker.setter), owner(resources, marker.scalar.start)
            known = self._known(setter, marker.setter, "marker", resource, marker.scalar)
            if known and setter and self._allowed(setter.policy, "markers"):
                yield Target(marker.scalar, setter, "marker", resource)

    def _annotations(self, resource: Resource) -> Iterator[Target]:
        for key, setter in _annotated(resource):
            if not key:
                message = f'annotation {ANNOTATION}: expected JSON such as {{"web": "flux-system:web"}} (container name or JSONPath to policy)'
                self._say("error", message, resource)
                continue
            known = self._known(setter, f"annotation {ANNOTATION}: {key}", "annotation", resource, None)
            if known and setter and self._allowed(setter.policy, "annotations"):
                yield from self._annotation(resource, key, setter)

    def _annotation(self, resource: Resource, key: str, setter: Setter) -> Iterator[Target]:
        try:
            places = JSONPath.parse(key).find(resource.root) if key.startswith("$") else resource.containers((key,))
            found = [
                target for path, node in places if (target := self._target(resource, path, node, setter, "annotation"))
            ]
        except RuleError as error:
            self._say("error", f"annotation {ANNOTATION}: {error}", resource)
            return
        if not found:
            known = "" if key.startswith("$") else nearest(key, resource.container_names())
            what = "nothing stands at" if key.startswith("$") else "there is no container"
            self._say("warning", f"annotation {ANNOTATION}: {what} {key}{known}", resource)
        yield from found

    def _target(self, resource: Resource, path: str, node: yaml.Node, setter: Setter, how: str) -> Target | None:
        if not isinstance(node, yaml.ScalarNode):
            if how != "image":
                self._say("warning", f"{how}: {path} is no scalar: left as it is", resource)
            return None
        return Target(scalar_at(resource.block, node, path), setter, how, resource)

    def _rules(self, resource: Resource) -> Iterator[Target]:
        for rule in self.config.targets:
            if not selects(rule.select, resource):
                continue
            places = self.paths[rule.path].find(resource.root) if rule.path else resource.containers(rule.containers)
            for path, node in places:
                target = self._target(resource, path, node, Setter(rule.policy, rule.part), "target")
                if target:
                    yield target

    def _images(self, resource: Resource, taken: Mapping[int, Target]) -> Iterator[Target]:
        if not self.by_image or not is_image_shaped(resource):
            return
        for path, node, is_container in fields_named_image(resource):
            if not isinstance(node, yaml.ScalarNode) or not node.value:
                continue
            candidates = self.by_image.get(_canonical(node.value), ())
            if not candidates or (not is_container and not _has_version(node.value)):
                continue
            scalar = scalar_at(resource.block, node, path)
            if scalar.start in taken:
                continue
            if len(candidates) > 1:
                names = " and ".join(str(policy.key) for policy in candidates)
                message = f"two policies for one image: {names} both choose {candidates[0].repository.image.name}; bind the field by marker, annotation or target, or take `images` from the bind of one"
                self._say("error", message, resource, scalar)
                continue
            yield Target(scalar, Setter(candidates[0].key, Part.IMAGE), "image", resource)


def _has_version(value: str) -> bool:
    ref = ImageRef.parse(value)
    return ref.tag is not None or ref.digest is not None


def selects(select: Select, resource: Resource) -> bool:
    """Tell whether a target's selector matches the resource."""
    group, _, version = resource.id.api_version.rpartition("/")
    have = (group, version, resource.id.kind, resource.id.name, resource.id.namespace)
    want = (select.group, select.version, select.kind, select.name, select.namespace)
    if any(wanted_part and wanted_part != part for wanted_part, part in zip(want, have, strict=True)):
        return False
    return all(resource.labels.get(name) == value for name, value in select.labels)
