"""What moves together, and how much at a time: `spec.groups` and `spec.maxChanges` of an ImageAutomation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from krmfn.model import ImagePolicy, PolicyKey, ResourceId

if TYPE_CHECKING:
    from krmfn.config.objects import Problems


class Group(NamedTuple):
    """Policies that take the same version (or, by tag, the same text) at the same time."""

    name: str
    members: tuple[PolicyKey, ...]
    by: Literal["version", "tag"] = "version"
    defined: ResourceId = ResourceId()
    where: str = ""


def read_groups(where: ResourceId, entries: Sequence[Any], problems: Problems) -> tuple[Group, ...]:
    """Read `spec.groups`, checked against its schema before."""
    groups = []
    for index, entry in enumerate(entries):
        path = f"spec.groups[{index}]"
        members = dict.fromkeys(key_of(name, where) for name in entry.get("policies") or ())
        if len(members) < 2:
            problems.add(where, f"{path}.policies", "expected two policies or more: name or namespace:name")
        groups.append(Group(entry["name"], tuple(members), entry.get("by") or "version", where, path))
    return tuple(groups)


def least(*limits: int | None) -> int | None:
    """Return the lowest of several limits; None where there is none."""
    return min((one for one in limits if one is not None), default=None)


def key_of(name: str, where: ResourceId) -> PolicyKey:
    """Return the policy that `name` or `namespace:name` means in an object."""
    namespace, _, last = name.rpartition(":")
    return PolicyKey(namespace or where.namespace or "default", last)


def check_groups(groups: Iterable[Group], declared: Collection[PolicyKey], problems: Problems) -> None:
    """Note members that no policy is, and policies that stand in two groups."""
    homes: dict[PolicyKey, Group] = {}
    for group in groups:
        for index, key in enumerate(group.members):
            path = f"{group.where}.policies[{index}]"
            other = homes.setdefault(key, group)
            if key not in declared:
                problems.add(group.defined, path, f"no policy {key} is configured{problems.hints.nearest(str(key), declared)}")
            elif other is not group:
                problems.add(group.defined, path, f"policy {key} stands in group {other.name} too: keep one")


def together(
    groups: Iterable[Group], floor: Iterable[Group], policies: Mapping[PolicyKey, ImagePolicy],
    declared: Collection[PolicyKey], images: Mapping[PolicyKey, frozenset[str]],
) -> tuple[Group, ...]:  # fmt: skip
    """Return the groups of the tree and of the floor, those as one that share a member.

    A policy of the tree is a member of a floor's group under any name: `images` are those of the floor's policies.
    """
    whole: list[Group] = []
    for one in (*(_renamed(group, policies, declared, images) for group in floor), *groups):
        # A group that shares a member with several makes one of them all, under the name of the first.
        shared = [other for other in whole if set(other.members) & set(one.members)]
        members = dict.fromkeys(key for group in (*shared, one) for key in group.members)
        by: Literal["version", "tag"] = "tag" if any(group.by == "tag" for group in (*shared, one)) else "version"
        whole = [other for other in whole if other not in shared]
        whole.append((*shared, one)[0]._replace(members=tuple(members), by=by))
    return tuple(one for one in whole if one.members)


def _renamed(
    group: Group, policies: Mapping[PolicyKey, ImagePolicy], declared: Collection[PolicyKey], images: Mapping[PolicyKey, frozenset[str]]
) -> Group:
    known = frozenset().union(*(images.get(key, frozenset()) for key in group.members))
    images_by_key = {key: policy.repository.image.canonical for key, policy in policies.items()}
    same = [key for key, image in images_by_key.items() if image in known and image not in images.get(key, ())]
    return group._replace(members=tuple(dict.fromkeys((*(key for key in group.members if key in declared), *same))))
