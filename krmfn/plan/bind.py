"""*bind*: which field takes which part of which policy's choice. Looks only; changes nothing, asks nobody.

Markers follow Flux's attachment rules, annotations survive `kustomize build`, targets come from the configuration, and
images match by canonical repository. A field that is bound by name twice, to different choices, is an error that names
both; image matching is the last resort and gives way to the other three. A run imports the bindings that it meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from krmfn.kubernetes.resource import Resource, describe, owner
from krmfn.plan.claims import Claims
from krmfn.plan.target import ANNOTATION, Bound, Target, parse_setter
from krmfn.yamledit import markers, prefilter

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.kubernetes.charts import Key
    from krmfn.kubernetes.overriding import Graph
    from krmfn.plan.bind_images import NamedImages
    from krmfn.plan.bind_named import NamedFields
    from krmfn.yamledit.nodes import Block

_NEEDLE = ANNOTATION.encode()


def bind(blocks: Iterable[Block], config: Config, expected: prefilter.Expected, graph: Graph | None = None) -> Bound:
    """Find every field that a policy is bound to, in the blocks that may change. Raises InputError for no YAML."""
    blocks = tuple(blocks)
    binder = Binder(config, blocks, graph)
    for block in blocks:
        raw = block.raw
        if not prefilter.may_change(raw, expected, binder.needles) and not (binder.images and binder.images.may_name(block)):
            binder.skip(raw)
        else:
            binder.look(block)
            block.forget()
    if binder.fields is not None:
        binder.fields.close()
    claims = binder.claims
    return Bound(tuple(claims.targets), tuple(claims.results), frozenset(claims.policies))


class Binder:
    """Walks blocks and collects targets; one instance serves one run."""

    def __init__(self, config: Config, blocks: Iterable[Block], graph: Graph | None = None) -> None:
        self.config, self.claims = config, Claims(config)
        self.images: NamedImages | None = None
        self.fields: NamedFields | None = None
        words = {_NEEDLE}
        if by_image := config.by_image():
            from krmfn.plan.bind_images import NamedImages

            self.images = NamedImages(self.claims, by_image, blocks, graph)
        if config.targets:
            words |= self._named_fields().needles()
        self.needles = tuple(sorted(words))

    def _named_fields(self) -> NamedFields:
        if self.fields is None:
            from krmfn.plan.bind_named import NamedFields

            self.fields = NamedFields(self.claims)
        return self.fields

    def skip(self, raw: bytes) -> None:
        """Count what a block that needs no change holds as bound."""
        if len(self.claims.policies) == len(self.config.policies):
            return
        if prefilter.may_hold_marker(raw):
            self.claims.policies |= {setter.policy for text in prefilter.setters_in(raw) if (setter := parse_setter(text))}
        if self.images:
            self.images.count(raw)

    def look(self, block: Block) -> None:
        """Find the targets of one block, which is composed where its places alone do not tell them."""
        targets: dict[int, Target] = {}
        reserved: set[int] = set()
        raw = block.raw
        is_marked, may_be_annotated = prefilter.may_hold_marker(raw), prefilter.may_hold(raw, (_NEEDLE,))
        resources = describe(block) if is_marked or may_be_annotated or self.config.targets else ()
        if is_marked and resources:
            for target in self._marked(markers.read(block), resources, reserved):
                self.claims.claim(targets, target)
        for resource in resources:
            if may_be_annotated:
                for target in self._named_fields().annotations(resource, reserved):
                    self.claims.claim(targets, target)
            if self.config.targets:
                for target in self._named_fields().of_targets(resource):
                    self.claims.claim(targets, target)
        if self.images:
            reserved |= targets.keys()
            for target in self.images.targets(block, reserved):
                targets.setdefault(target.scalar.start, target)
        if markers.may_ignore(raw):
            for start in [start for start in targets if markers.is_ignored(block.text.data, start)]:
                del targets[start]
        if targets and self.config.settings.keep_pins and prefilter.may_pin_beside(raw):
            self._pair(describe(block), targets, reserved)
        for _, target in sorted(targets.items()):
            self.claims.targets.append(target)
            self.claims.policies.add(target.setter.policy)

    def _marked(
        self, marks: Iterable[markers.Marker], resources: tuple[Resource, ...], reserved: set[int]
    ) -> Iterator[Target]:
        for marker in marks:
            setter, resource = parse_setter(marker.setter), owner(resources, marker.scalar.start)
            if resource.is_definition:
                continue
            reserved.add(marker.scalar.start)
            if self.claims.is_known(setter, marker.setter, "marker", "markers", resource, marker.scalar) and setter:
                yield Target(marker.scalar, setter, "marker", resource)

    def _pair(self, resources: tuple[Resource, ...], targets: dict[int, Target], reserved: set[int]) -> None:
        from krmfn.plan.bind_digests import pair  # few resources hold a digest in a field of its own

        charts: Mapping[Key, str] = self.images.charts if self.images else MappingProxyType({})
        for resource in resources:
            if not resource.is_definition:
                pair(resource, targets, reserved, self.config.policies, charts)
