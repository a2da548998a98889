"""Promotion: policies that follow another lock. No circle of them, and no lock that is somebody else's is renewed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from krmfn.config.locks import Locks
from krmfn.model import ImagePolicy, PolicyKey

if TYPE_CHECKING:
    from krmfn.config.objects import Problems


def own_locks(locks: Locks, name: str, policies: Mapping[PolicyKey, ImagePolicy], declared: Collection[PolicyKey]) -> Locks:
    """Return the locks without those that are only followed: they hold other policies than stand here, or another one is named."""
    followed = {one.lock for policy in policies.values() if (one := policy.rules.followed)}
    named = "" if locks.is_by_folder else name

    def is_own(lock_name: str, keys: Collection[PolicyKey]) -> bool:
        is_here = not keys or any(key in declared for key in keys)
        return lock_name not in followed or lock_name == named or (not named and is_here)

    return Locks(tuple(one for one in locks.every if is_own(one.name, [entry.policy for entry in one.all])))


def check_circles(policies: Mapping[PolicyKey, ImagePolicy], own: Locks, name: str, problems: Problems) -> None:
    """Note circles of policies that follow each other, and a policy that follows its own record."""
    after = {key: PolicyKey(*one.policy.split(":")) for key, policy in policies.items() if (one := policy.rules.followed)}
    reported: set[PolicyKey] = set()
    for start in sorted(after):
        way = [start]
        while (key := after.get(way[-1])) is not None and key not in way:
            way.append(key)
        followed = policies[start].rules.followed
        # `way` ends where nothing is followed, or where it comes back: a circle is told once, by its first name.
        if key == start and len(way) > 1 and start not in reported:
            reported.update(way)
            circle = " -> ".join(map(str, (*way, start)))
            problems.add(policies[start].defined, "", f"policies follow each other in a circle: {circle}: let one of them choose by itself")
        elif key == start and len(way) == 1 and followed and name in ("", followed.lock) and own.named(followed.lock):
            message = (
                f"policy {start} follows its own record in lock {followed.lock}: name the lock of this environment with spec.lock, "
                "or give the policy another name"
            )
            problems.add(policies[start].defined, "", message)
