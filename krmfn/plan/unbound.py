"""Policies that no field is bound to: why, and what to write. Looks at the blocks only when there is such a policy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from krmfn.kubernetes import finder
from krmfn.kubernetes.jsonpath import written
from krmfn.kubernetes.resource import KUSTOMIZE_ID, Resource, containers, describe
from krmfn.model import Diagnostic, ImagePolicy, Location, Part, PolicyKey
from krmfn.plan.target import ANNOTATION, Bound, Setter, parse_setter
from krmfn.yamledit import markers

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.kubernetes.places import Place, Slot
    from krmfn.yamledit.nodes import Block

_LOOKS = 200
"""How many blocks that mention an image are composed to find one that runs it."""


def unbound(config: Config, bound: Bound, blocks: Sequence[Block]) -> list[Diagnostic]:
    """Return a warning for every policy that no field is bound to."""
    warnings = [
        Diagnostic("warning", "unbound-policy", f"policy {key} is bound to no field, and cannot choose: {one.why}", Location(one.defined))
        for key, one in config.unresolved.items()
        if key not in bound.policies
    ]
    missing = [policy for key, policy in config.policies.items() if key not in bound.policies and key in config.declared]
    # kustomize gives every item its id; some are enough to know it by.
    is_kustomize = bool(missing) and any(KUSTOMIZE_ID.encode() in block.raw for block in blocks[:50])
    for policy in missing:
        message = f"policy {policy.key} is bound to no field: {_why(policy, blocks, is_kustomize=is_kustomize)}"
        warnings.append(Diagnostic("warning", "unbound-policy", message, Location(policy.defined)))
    return warnings


def _why(policy: ImagePolicy, blocks: Sequence[Block], *, is_kustomize: bool) -> str:
    """Return why nothing is bound, and the one thing to write."""
    if ignored := _ignored(policy.key, blocks):
        return ignored
    place = next(_places(policy, blocks), None)
    name = policy.repository.image.name
    if place is None:
        return f"no image field names {name}, and no marker or annotation names the policy"
    resource, what, entry = place
    annotation = f"{ANNOTATION}: '{json.dumps(entry, ensure_ascii=False)}'"
    where = resource.place(resource.block.start)
    verb = "hold" if what.startswith("containers ") else "holds"
    seen = f"{what} of {resource.id}{f' in {where.path}' if where else ''} {verb} {name}"
    if is_kustomize:
        return (
            f"kustomize strips comments, so markers never arrive; {seen}: write the annotation {annotation} on it "
            "(krmfn annotate does that), or bind by image in an ImageAutomation"
        )
    setter = next(iter(entry.values()))
    return f"{seen}: write the marker # {markers.written(setter)} behind it, or the annotation {annotation}"


def _ignored(key: PolicyKey, blocks: Sequence[Block]) -> str:
    """Return which marker of this policy stands where Flux does not read it."""
    for block in blocks:
        if str(key).encode() in block.raw and block.root is not None:
            # A marker that Flux passes over looks right to whoever wrote it, so it is the first thing to tell.
            for mark in markers.ignored(block):
                setter = parse_setter(mark.setter)
                if setter and setter.policy == key:
                    line, column = block.text.locate(mark.start)
                    return f"its marker at {block.text.name or 'stdin'}:{line}:{column} is not read: {mark.why}"
            block.forget()
    return ""


def _places(policy: ImagePolicy, blocks: Sequence[Block]) -> Iterator[tuple[Resource, str, dict[str, str]]]:
    """Yield resources that hold the policy's image: what holds it, and the annotation's entry that would bind it."""
    last = policy.repository.image.path.rpartition("/")[2].encode()
    looks = 0
    for block in blocks:
        if looks < _LOOKS and last in block.raw and b"image" in block.raw and block.root is not None:
            looks += 1
            for resource in describe(block):
                yield from _held(policy, resource)
            block.forget()


def _held(policy: ImagePolicy, resource: Resource) -> Iterator[tuple[Resource, str, dict[str, str]]]:
    """Yield what of one resource holds the image: all its containers and fields together, and images in several fields."""
    every = [*containers(resource.root)]
    count = Counter(one.container for one in every)
    names = {one.steps: one.container for one in every if count[one.container] == 1}
    keys: list[str] = []
    pairs: list[dict[str, str]] = []
    for place in finder.places(resource.block):
        slots = [slot for slot in place.slots if slot.steps]
        if place.resource != resource or place.ref is None or not slots or not policy.is_for(place.ref.name):
            continue
        if slots[0].part is Part.IMAGE:
            keys.append(names.get(slots[0].steps) or written(slots[0].steps))
        else:
            pairs.append({written(slot.steps): str(setter) for slot, setter in reversed(advised(place, policy)) if slot.steps})
    if keys:
        named = [key for key in keys if not key.startswith("$")]
        what = f"container{'s' * (len(named) > 1)} {', '.join(dict.fromkeys(named))}" if named else keys[0]
        yield resource, what, dict.fromkeys(keys, str(policy.key))
    yield from ((resource, next(iter(entry)), entry) for entry in pairs if entry)


def advised(place: Place, policy: ImagePolicy) -> list[tuple[Slot, Setter]]:
    """Return what to bind so that a place follows a policy and nothing else changes.

    A repository that the policy spells in another way is left as it is, and so is a digest that nobody asks for: one that is there
    moves with the tag beside it.
    """
    name = policy.repository.image.name
    places = [
        (slot, Setter(policy.key, slot.marked))
        for slot in place.slots
        if (slot.part is not Part.DIGEST or policy.reflects)
        and (slot.part is not Part.NAME or slot.scalar.value == name)
    ]
    return places if any(slot.part is not Part.NAME for slot, _ in places) else []
