"""Binding of digests that stand beside a bound tag or image, each to the policy of its neighbour, so that pins move along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from krmfn.kubernetes import finder
from krmfn.kubernetes.loosedigest import LooseDigest, loose_digests
from krmfn.kubernetes.resource import Resource, anchored
from krmfn.model import ImagePolicy, Part, PolicyKey
from krmfn.plan.current import current_tag
from krmfn.plan.target import Setter, Target
from krmfn.yamledit import markers
from krmfn.yamledit.yamltree import children, join_path, scalar_at

if TYPE_CHECKING:
    from krmfn.kubernetes.charts import Key
    from krmfn.yamledit.nodes import Block


def pair(
    resource: Resource, targets: dict[int, Target], reserved: set[int], policies: Mapping[PolicyKey, ImagePolicy], charts: Mapping[Key, str]
) -> None:
    """Bind the digests that stand beside bound tags and images, each to the policy of its neighbour."""
    rows: set[tuple[int, int]] | None = None
    for loose in loose_digests(resource.root):
        neighbour = _neighbour(resource, loose, targets)
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
            current_tag(target, policies[target.setter.policy]),
        )
        if digest.start in targets:
            if targets[digest.start].setter == setter:
                targets[digest.start] = targets[digest.start]._replace(tag=tag)
        elif digest.start not in reserved:
            # Only where a reader is known to join tag and digest they are written together; any other digest is `stray`.
            is_pair = target.setter.part is Part.TAG and scalar is loose.node
            if is_pair and not loose.is_pair_with(key, resource.id.kind):
                rows = _rows(resource.block, charts) if rows is None else rows
                is_pair = (target.scalar.start, digest.start) in rows
            targets[digest.start] = Target(digest, setter, "beside" if is_pair else "stray", resource, tag)


def _rows(block: Block, charts: Mapping[Key, str]) -> set[tuple[int, int]]:
    """Return where tag and digest stand that are one row of the finder."""
    rows = set()
    for place in finder.places(block, charts):
        starts = {slot.part: slot.scalar.start for slot in place.slots}
        if Part.TAG in starts and Part.DIGEST in starts:
            rows.add((starts[Part.TAG], starts[Part.DIGEST]))
    return rows


def _neighbour(
    resource: Resource, loose: LooseDigest, targets: dict[int, Target]
) -> tuple[str, Target] | None:
    """Return the bound tag or image in the mapping of a digest, with its key; None without one."""
    for key, child in children(loose.mapping):
        scalar = anchored(child)
        if scalar is not None and key != loose.key:
            target = targets.get(scalar_at(resource.block, scalar, "").start)
            if target is not None and target.setter.part in (Part.TAG, Part.IMAGE):
                return str(key), target
    return None
