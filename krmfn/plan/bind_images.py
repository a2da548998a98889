"""Binding by image name: the fields that are sure to hold the image of a policy. It gives way to every other binding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from krmfn.kubernetes import charts, finder, forms, walk
from krmfn.kubernetes.loosedigest import STALE
from krmfn.kubernetes.overriding import NOTHING, Graph, deployed
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, Slot
from krmfn.model import ImagePolicy, Part
from krmfn.plan.current import current_tag
from krmfn.plan.target import Setter, Target
from krmfn.yamledit import prefilter

if TYPE_CHECKING:
    from krmfn.kubernetes.resource import Resource
    from krmfn.plan.bind import Claims
    from krmfn.yamledit.nodes import Block


class NamedImages:
    """Finds the images of policies. `by_image` are the policies that bind images, by canonical repository."""

    def __init__(self, claims: Claims, by_image: Mapping[str, list[ImagePolicy]], blocks: Iterable[Block], graph: Graph | None) -> None:
        self.claims, self.by_image, self.graph = claims, by_image, graph or NOTHING
        self.charts = charts.repositories(blocks)
        self.lasts = tuple({name.rpartition("/")[2].encode() for name in by_image})

    def may_name(self, block: Block) -> bool:
        """True if a block may name a policy's image in another way than by a line `image: REFERENCE`."""
        if not forms.may_hold_compound(block.raw):
            return False
        if finder.are_read(block, self.charts):
            return any(place.ref and place.ref.canonical in self.by_image for place in finder.places(block, self.charts))
        return any(last in block.raw for last in self.lasts)

    def count(self, raw: bytes) -> None:
        """Count what a block that needs no change holds as bound."""
        for value in prefilter.image_values(raw) or ():
            self.claims.policies |= {policy.key for policy in self.by_image.get(prefilter.repository_of(value), ())}

    def targets(self, block: Block, reserved: set[int]) -> Iterator[Target]:
        """Find the places that are sure to hold the image of a policy."""
        for raw_place in finder.places(block, self.charts):
            place = deployed(raw_place, self.graph)
            candidates = self.by_image.get(place.ref.canonical, ()) if place.ref and raw_place.state == COUNTS else ()
            slots = [slot for slot in place.slots if slot.part is not Part.NAME and slot.scalar.value]
            if not candidates or not slots or not reserved.isdisjoint(start for slot in slots for start in (slot.scalar.start, *(slot.scalar.host or ())[:1])):
                continue
            resource, field = place.resource, slots[0].scalar
            if place.state == OVERRIDDEN:
                self.claims.policies |= {policy.key for policy in candidates}
                message = f"{place.text} is overridden by {place.by}: left as it is"
                self.claims.say("info", "overridden", message, resource, field)
            elif place.why == walk.TWICE:
                message = "image is given twice in one mapping, and readers differ on which one counts: left as it is"
                self.claims.say("warning", "doubtful", message, resource, field)
            elif place.why == STALE:
                self.claims.policies |= {policy.key for policy in candidates}
                message = f"{place.text}: {STALE}: left as it is; bind the tag and the digest, each by a marker, annotation or target"
                self.claims.say("warning", "doubtful", message, resource, field)
            elif not place.is_sure:
                continue
            elif len(candidates) > 1:
                names = " and ".join(str(policy.key) for policy in candidates)
                message = f"two policies for one image: {names} both choose {candidates[0].repository.image.name}; bind the field by marker, annotation or target, or take `images` from the bind of one"
                self.claims.say("error", "two-policies", message, resource, field)
                self.claims.policies |= {policy.key for policy in candidates}
            else:
                yield from self._parts(slots, candidates[0], resource)

    def _parts(self, slots: Sequence[Slot], policy: ImagePolicy, resource: Resource) -> Iterator[Target]:
        """Bind the fields that spell one image together; a digest moves with its tag, or alone.

        Where nobody asks for digests and pins are not kept, what holds one is left: a tag beside an old digest runs nothing new.
        """
        digests = [slot for slot in slots if slot.part is Part.DIGEST]
        if digests and not (self.claims.config.settings.keep_pins or policy.reflects):
            return
        tags = [Target(slot.scalar, Setter(policy.key, slot.part), "image", resource) for slot in slots if slot not in digests]
        yield from tags
        for slot in digests:
            how, tag = ("beside", current_tag(tags[0], policy)) if tags else ("alone", None)
            yield Target(slot.scalar, Setter(policy.key, Part.DIGEST), how, resource, tag)
