"""Bindings that name their fields from outside: annotations of a resource, and targets of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import yaml

from krmfn.config.objects import nearest
from krmfn.errors import InputError, RuleError
from krmfn.kubernetes.jsonpath import JSONPath
from krmfn.kubernetes.resource import Resource, Steps, anchored, containers, get, named, selects
from krmfn.model import Diagnostic
from krmfn.plan.target import ANNOTATION, Setter, Target, annotated
from krmfn.yamledit.yamltree import join_path, scalar_at

if TYPE_CHECKING:
    from krmfn.config.image_automation import TargetRule
    from krmfn.plan.bind import Claims
    from krmfn.yamledit.text import Scalar


class NamedFields:
    """Finds the fields that annotations and targets name. `idle` are the targets that have bound no field yet."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.targets = claims.config.targets
        self.paths = {rule.path: JSONPath.parse(rule.path) for rule in self.targets if rule.path}
        self.idle = dict.fromkeys(self.targets)

    def needles(self) -> set[bytes]:
        """Return words of which a block holds one when a target may name a field of it."""
        words: set[bytes] = set()
        for rule in self.targets:
            words |= {self.paths[rule.path].needle.encode()} if rule.path else {b"containers", b"Containers"}
        return words

    def annotations(self, resource: Resource, reserved: set[int]) -> Iterator[Target]:
        """Yield what the annotation of a resource binds; `reserved` gets the fields that it names for no usable policy."""
        for key, text, setter in annotated(resource):
            if not key:
                message = f'annotation {ANNOTATION}: expected JSON such as {{"web": "flux-system:web"}} (container name or JSONPath to policy)'
                self.claims.say("error", "bad-annotation", message, resource, self._own(resource))
                continue
            how = f"annotation {ANNOTATION}: {key}"
            if self.claims.is_known(setter, text, how, "annotations", resource, self._own(resource)) and setter:
                yield from self._annotation(resource, key, setter)
            else:
                reserved.update(self._named(resource, key))

    def _named(self, resource: Resource, key: str) -> Iterator[int]:
        """Yield where the fields stand that an entry of no usable policy names: images keep off them."""
        with suppress(RuleError, InputError, RecursionError):
            scalars = [scalar for _, node in keyed(resource, key) if (scalar := anchored(node)) is not None]
            yield from (scalar_at(resource.block, scalar, "").start for scalar in scalars)

    def _own(self, resource: Resource) -> Scalar | None:
        """Describe the annotation itself, for results."""
        node = get(get(get(resource.root, "metadata"), "annotations"), ANNOTATION)
        path = join_path((*resource.prefix, "metadata", "annotations", ANNOTATION))
        return scalar_at(resource.block, node, path) if isinstance(node, yaml.ScalarNode) else None

    def _annotation(self, resource: Resource, key: str, setter: Setter) -> Iterator[Target]:
        try:
            places = keyed(resource, key)
        except (RuleError, InputError, RecursionError) as error:
            self.claims.say("error", "bad-annotation", f"annotation {ANNOTATION}: {error}", resource, self._own(resource))
            return
        if not places:
            names = [] if key.startswith("$") else [place.container for place in containers(resource.root) if place.container]
            hint = nearest(key, names) if names else ""
            what = "nothing stands at" if key.startswith("$") else "there is no container with an image named"
            message = f"annotation {ANNOTATION}: {what} {key}{hint}"
            self.claims.say("warning", "idle-annotation", message, resource, self._own(resource))
        for steps, node in places:
            if target := self._target(resource, steps, node, setter, "annotation"):
                yield target

    def _target(self, resource: Resource, steps: Steps, node: yaml.Node, setter: Setter, how: str) -> Target | None:
        scalar, path = anchored(node), join_path((*resource.prefix, *steps))
        if scalar is None:
            message = f"{how} for policy {setter.policy}: {path} is no scalar: left as it is"
            self.claims.say("warning", "no-scalar", message, resource, self._own(resource) if how == "annotation" else None)
            return None
        return Target(scalar_at(resource.block, scalar, path), setter, how, resource)

    def of_targets(self, resource: Resource) -> Iterator[Target]:
        """Yield what the targets of the configuration bind in a resource."""
        if resource.is_definition:
            return
        for rule in self.targets:
            if not selects(rule.select, resource) or (resource.is_configuration and not rule.select.kind):
                continue
            places = self._places(rule, resource)
            if places:
                self.idle.pop(rule, None)
            for steps, node in places:
                if target := self._target(resource, steps, node, Setter(rule.policy, rule.part), "target"):
                    yield target

    def _places(self, rule: TargetRule, resource: Resource) -> list[tuple[Steps, yaml.Node]]:
        try:
            return list(self.paths[rule.path].find(resource.root) if rule.path else named(resource, rule.containers))
        except (InputError, RecursionError) as error:
            self.claims.say("error", "bad-target", f"target {rule.path} cannot be looked for: {error}", resource)
            return []

    def close(self) -> None:
        """Report which targets of the configuration came to nothing."""
        for rule in self.idle:
            what = f"target {rule.path or ', '.join(rule.containers)} of policy {rule.policy}"
            message = f"{what} binds no field: no resource that it selects has it"
            self.claims.results.append(Diagnostic("warning", "idle-target", message))


def keyed(resource: Resource, key: str) -> list[tuple[Steps, yaml.Node]]:
    """Find what the key of an annotation names. Raises RuleError for no JSONPath, InputError and RecursionError."""
    return list(JSONPath.parse(key).find(resource.root) if key.startswith("$") else named(resource, (key,)))
