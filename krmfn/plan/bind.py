"""*bind*: which field takes which part of which policy's choice. Looks only; changes nothing, asks nobody.

Markers follow Flux's attachment rules, annotations survive `kustomize build`, targets come from the configuration, and
images match by canonical repository. A field that is bound by name twice, to different choices, is an error that names
both; image matching is the last resort and gives way to the other three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import yaml

from krmfn.config.image_automation import TargetRule
from krmfn.config.loading import Config
from krmfn.config.objects import nearest
from krmfn.errors import InputError, RuleError
from krmfn.kubernetes import charts, finder, forms, walk
from krmfn.kubernetes.jsonpath import JSONPath
from krmfn.kubernetes.loosedigest import STALE, LooseDigest, loose_digests
from krmfn.kubernetes.overriding import NOTHING, Graph, deployed
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, Slot
from krmfn.kubernetes.resource import (
    Resource,
    Steps,
    anchored,
    containers,
    describe,
    get,
    named,
    owner,
    selects,
)
from krmfn.model import Diagnostic, Field, ImagePolicy, Location, Part, PolicyKey, Severity
from krmfn.plan.current import current_tag
from krmfn.plan.target import ANNOTATION, FORMS, Bound, Setter, Target, annotated, meant, parse_setter
from krmfn.yamledit import markers, prefilter
from krmfn.yamledit.nodes import Block, Scalar, children, join_path, scalar_at

_NEEDLE = ANNOTATION.encode()


def bind(blocks: Iterable[Block], config: Config, expected: prefilter.Expected, graph: Graph = NOTHING) -> Bound:
    """Find every field that a policy is bound to, in the blocks that may change. Raises InputError for no YAML."""
    blocks = tuple(blocks)
    binder = _Binder(config, graph, charts.repositories(blocks) if config.by_image() else {})
    for block in blocks:
        raw = block.raw
        if not prefilter.may_change(raw, expected, binder.needles) and not binder.may_name(block):
            binder.skip(raw)
        else:
            binder.look(block)
            block.forget()
    binder.close()
    return Bound(tuple(binder.targets), tuple(binder.results), frozenset(binder.policies))


class _Binder:
    """Walks blocks and collects targets; one instance serves one run."""

    def __init__(self, config: Config, graph: Graph, known: Mapping[charts.Key, str]) -> None:
        self.config, self.graph, self.charts = config, graph, known
        self.by_image = config.by_image()
        self.lasts = tuple({name.rpartition("/")[2].encode() for name in self.by_image})
        self.paths = {rule.path: JSONPath.parse(rule.path) for rule in config.targets if rule.path}
        self.targets: list[Target] = []
        self.results: list[Diagnostic] = []
        self.policies: set[PolicyKey] = set()
        self.idle = dict.fromkeys(config.targets)
        self.needles = self._needles()

    def _needles(self) -> tuple[bytes, ...]:
        words = {_NEEDLE}
        for rule in self.config.targets:
            words |= {self.paths[rule.path].needle.encode()} if rule.path else {b"containers", b"Containers"}
        return tuple(sorted(words))

    def may_name(self, block: Block) -> bool:
        """True if a block may name a policy's image in another way than by a line `image: REFERENCE`."""
        raw = block.raw
        if not (self.by_image and forms.may_hold_compound(raw)):
            return False
        if finder.are_read(block, self.charts):
            return any(place.ref and place.ref.canonical in self.by_image for place in finder.places(block, self.charts))
        return any(last in raw for last in self.lasts)

    def skip(self, raw: bytes) -> None:
        """Count what a block that needs no change holds as bound."""
        if len(self.policies) == len(self.config.policies):
            return
        if prefilter.may_hold_marker(raw):
            self.policies |= {setter.policy for text in prefilter.setters_in(raw) if (setter := parse_setter(text))}
        if self.by_image:
            for value in prefilter.image_values(raw) or ():
                self.policies |= {policy.key for policy in self.by_image.get(prefilter.repository_of(value), ())}

    def look(self, block: Block) -> None:
        """Find the targets of one block, which is composed where its places alone do not tell them."""
        targets: dict[int, Target] = {}
        reserved: set[int] = set()
        raw = block.raw
        is_marked, may_be_annotated = prefilter.may_hold_marker(raw), prefilter.may_hold(raw, (_NEEDLE,))
        resources = describe(block) if is_marked or may_be_annotated or self.config.targets else ()
        if is_marked and resources:
            for target in self._marked(markers.read(block), resources, reserved):
                self._claim(targets, target)
        for resource in resources:
            if may_be_annotated:
                for target in self._annotations(resource, reserved):
                    self._claim(targets, target)
            for target in self._rules(resource):
                self._claim(targets, target)
        if self.by_image:
            reserved |= targets.keys()
            for target in self._images(block, reserved):
                targets.setdefault(target.scalar.start, target)
        if markers.may_ignore(raw):
            for start in [start for start in targets if markers.is_ignored(block.text.data, start)]:
                del targets[start]
        if targets and self.config.settings.keep_pins and prefilter.may_pin_beside(raw):
            for resource in describe(block):
                if not resource.is_definition:
                    self._pair(resource, targets, reserved)
        for _, target in sorted(targets.items()):
            self.targets.append(target)
            self.policies.add(target.setter.policy)

    def _rows(self, block: Block) -> set[tuple[int, int]]:
        """Return where tag and digest stand that are one row of the finder."""
        rows = set()
        for place in finder.places(block, self.charts):
            starts = {slot.part: slot.scalar.start for slot in place.slots}
            if Part.TAG in starts and Part.DIGEST in starts:
                rows.add((starts[Part.TAG], starts[Part.DIGEST]))
        return rows

    def _pair(self, resource: Resource, targets: dict[int, Target], reserved: set[int]) -> None:
        """Bind the digests that stand beside bound tags and images, each to the policy of its neighbour."""
        rows: set[tuple[int, int]] | None = None
        for loose in loose_digests(resource.root):
            neighbour = self._neighbour(resource, loose, targets)
            scalar = anchored(loose.node)
            if neighbour is None or scalar is None:
                continue
            key, target = neighbour
            path = join_path((*resource.prefix, *loose.steps, loose.key))
            digest = scalar_at(resource.block, scalar, path)
            if markers.is_ignored(resource.block.text.data, digest.start):
                targets.pop(target.scalar.start, None)
                continue
            setter, tag = (
                Setter(target.setter.policy, Part.DIGEST),
                current_tag(target, self.config.policies[target.setter.policy]),
            )
            if digest.start in targets:
                if targets[digest.start].setter == setter:
                    targets[digest.start] = targets[digest.start]._replace(tag=tag)
            elif digest.start not in reserved:
                is_pair = target.setter.part is Part.TAG and scalar is loose.node
                if is_pair and not loose.is_pair_with(key, resource.id.kind):
                    rows = self._rows(resource.block) if rows is None else rows
                    is_pair = (target.scalar.start, digest.start) in rows
                targets[digest.start] = Target(digest, setter, "beside" if is_pair else "stray", resource, tag)

    def _neighbour(
        self, resource: Resource, loose: LooseDigest, targets: dict[int, Target]
    ) -> tuple[str, Target] | None:
        """Return the bound tag or image in the mapping of a digest, with its key; None without one."""
        for key, child in children(loose.mapping):
            scalar = anchored(child)
            if scalar is not None and key != loose.key:
                target = targets.get(scalar_at(resource.block, scalar, "").start)
                if target is not None and target.setter.part in (Part.TAG, Part.IMAGE):
                    return str(key), target
        return None

    def close(self) -> None:
        """Report which targets of the configuration came to nothing."""
        for rule in self.idle:
            what = f"target {rule.path or ', '.join(rule.containers)} of policy {rule.policy}"
            message = f"{what} binds no field: no resource that it selects has it"
            self.results.append(Diagnostic("warning", "idle-target", message))

    def _claim(self, targets: dict[int, Target], target: Target) -> None:
        other = targets.setdefault(target.scalar.start, target)
        if other.setter != target.setter:
            message = f"two policies for one field: {other.how} says {other.setter}, {target.how} says {target.setter}; keep one of them"
            self._say("error", "two-policies", message, target.resource, target.scalar)

    def _say(
        self, severity: Severity, code: str, message: str, resource: Resource, scalar: Scalar | None = None
    ) -> None:
        place = resource.place(scalar.start) if scalar else resource.file
        where = Field(scalar.path, scalar.value) if scalar else None
        self.results.append(Diagnostic(severity, code, message, Location(resource.id, where, place)))

    def _known(
        self, setter: Setter | None, text: str, how: str, binding: str, resource: Resource, scalar: Scalar | None
    ) -> bool:
        """True if a setter names a policy that this binding may use; why not is reported. `how` names the place."""
        if setter is None:
            message = f"{how} {text!r} names no policy: expected {FORMS}{meant(text, self.config.declared)}"
            self._say("warning", "bad-setter", message, resource, scalar)
        elif setter.policy in self.config.policies:
            if binding in self.config.policies[setter.policy].bind:
                return True
            message = f"{how} names policy {setter.policy}, whose bind leaves {binding} out"
            self._say("warning", "left-out", message, resource, scalar)
        elif setter.policy in self.config.unresolved:
            severity: Severity = "error" if self.config.settings.on_error == "fail" else "warning"
            self.policies.add(setter.policy)
            message = f"policy {setter.policy}: {self.config.unresolved[setter.policy].why}"
            self._say(severity, "dangling-policy", message, resource, scalar)
        elif setter.policy not in self.config.declared:
            message = f"{how} names policy {setter.policy}, which is not configured{meant(str(setter.policy), self.config.declared)}"
            self._say("warning", "unknown-policy", message, resource, scalar)
        return False

    def _marked(
        self, marks: Iterable[markers.Marker], resources: tuple[Resource, ...], reserved: set[int]
    ) -> Iterator[Target]:
        for marker in marks:
            setter, resource = parse_setter(marker.setter), owner(resources, marker.scalar.start)
            if resource.is_definition:
                continue
            reserved.add(marker.scalar.start)
            if self._known(setter, marker.setter, "marker", "markers", resource, marker.scalar) and setter:
                yield Target(marker.scalar, setter, "marker", resource)

    def _annotations(self, resource: Resource, reserved: set[int]) -> Iterator[Target]:
        for key, text, setter in annotated(resource):
            if not key:
                message = f'annotation {ANNOTATION}: expected JSON such as {{"web": "flux-system:web"}} (container name or JSONPath to policy)'
                self._say("error", "bad-annotation", message, resource, self._own(resource))
                continue
            how = f"annotation {ANNOTATION}: {key}"
            if self._known(setter, text, how, "annotations", resource, self._own(resource)) and setter:
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
            self._say("error", "bad-annotation", f"annotation {ANNOTATION}: {error}", resource, self._own(resource))
            return
        if not places:
            hint = "" if key.startswith("$") else nearest(key, _names(resource))
            what = "nothing stands at" if key.startswith("$") else "there is no container with an image named"
            message = f"annotation {ANNOTATION}: {what} {key}{hint}"
            self._say("warning", "idle-annotation", message, resource, self._own(resource))
        for steps, node in places:
            if target := self._target(resource, steps, node, setter, "annotation"):
                yield target

    def _target(self, resource: Resource, steps: Steps, node: yaml.Node, setter: Setter, how: str) -> Target | None:
        scalar, path = anchored(node), join_path((*resource.prefix, *steps))
        if scalar is None:
            message = f"{how} for policy {setter.policy}: {path} is no scalar: left as it is"
            self._say("warning", "no-scalar", message, resource, self._own(resource) if how == "annotation" else None)
            return None
        return Target(scalar_at(resource.block, scalar, path), setter, how, resource)

    def _rules(self, resource: Resource) -> Iterator[Target]:
        if not self.config.targets or resource.is_definition:
            return
        for rule in self.config.targets:
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
            self._say("error", "bad-target", f"target {rule.path} cannot be looked for: {error}", resource)
            return []

    def _images(self, block: Block, reserved: set[int]) -> Iterator[Target]:
        """Find the places that are sure to hold the image of a policy."""
        for raw_place in finder.places(block, self.charts):
            place = deployed(raw_place, self.graph)
            candidates = self.by_image.get(place.ref.canonical, ()) if place.ref and raw_place.state == COUNTS else ()
            slots = [slot for slot in place.slots if slot.part is not Part.NAME and slot.scalar.value]
            if not candidates or not slots or not reserved.isdisjoint(start for slot in slots for start in (slot.scalar.start, *(slot.scalar.host or ())[:1])):
                continue
            resource, field = place.resource, slots[0].scalar
            if place.state == OVERRIDDEN:
                self.policies |= {policy.key for policy in candidates}
                message = f"{place.text} is overridden by {place.by}: left as it is"
                self._say("info", "overridden", message, resource, field)
            elif place.why == walk.TWICE:
                message = "image is given twice in one mapping, and readers differ on which one counts: left as it is"
                self._say("warning", "doubtful", message, resource, field)
            elif place.why == STALE:
                self.policies |= {policy.key for policy in candidates}
                message = f"{place.text}: {STALE}: left as it is; bind the tag and the digest, each by a marker, annotation or target"
                self._say("warning", "doubtful", message, resource, field)
            elif not place.is_sure:
                continue
            elif len(candidates) > 1:
                names = " and ".join(str(policy.key) for policy in candidates)
                message = f"two policies for one image: {names} both choose {candidates[0].repository.image.name}; bind the field by marker, annotation or target, or take `images` from the bind of one"
                self._say("error", "two-policies", message, resource, field)
                self.policies |= {policy.key for policy in candidates}
            else:
                yield from self._parts(slots, candidates[0], resource)

    def _parts(self, slots: Sequence[Slot], policy: ImagePolicy, resource: Resource) -> Iterator[Target]:
        """Bind the fields that spell one image together; a digest moves with its tag, or alone.

        Where nobody asks for digests and pins are not kept, what holds one is left: a tag beside an old digest runs nothing new.
        """
        digests = [slot for slot in slots if slot.part is Part.DIGEST]
        if digests and not (self.config.settings.keep_pins or policy.reflects):
            return
        tags = [Target(slot.scalar, Setter(policy.key, slot.part), "image", resource) for slot in slots if slot not in digests]
        yield from tags
        for slot in digests:
            how, tag = ("beside", current_tag(tags[0], policy)) if tags else ("alone", None)
            yield Target(slot.scalar, Setter(policy.key, Part.DIGEST), how, resource, tag)


def keyed(resource: Resource, key: str) -> list[tuple[Steps, yaml.Node]]:
    """Find what the key of an annotation names. Raises RuleError for no JSONPath, InputError and RecursionError."""
    return list(JSONPath.parse(key).find(resource.root) if key.startswith("$") else named(resource, (key,)))


def _names(resource: Resource) -> list[str]:
    return [place.container for place in containers(resource.root) if place.container]
