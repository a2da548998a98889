"""Where several locks decide, each for the files below it, one policy is several in a run: one for each lock. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from krmfn.config.locks import HERE, by_scope, scope_of

if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.model import PolicyKey
    from krmfn.plan.records import Scope
    from krmfn.plan.target import Bound


def by_lock(scope: Scope, bound: Bound) -> Scope:
    """Give every field the policy of the lock that decides it. With `every` also locks are renewed whose policies no field takes."""
    rules, floor = scope.rules, scope.rules.rulebook.floor
    homes: dict[PolicyKey, tuple[Lock | None, Lock | None]] = {}

    def scoped(key: PolicyKey, path: str) -> PolicyKey:
        home = rules.locks.deciding(path, key)
        record = floor.locks.deciding(path, key) if floor else home
        name = key._replace(lock=scope_of(home, record))
        homes.setdefault(name, (home, record))
        return name

    targets = tuple(
        target._replace(setter=target.setter._replace(policy=scoped(target.setter.policy, target.resource.block.text.name)))
        for target in bound.targets
    )
    if scope.every:  # what a lock holds is renewed, and what no lock holds is decided, whether a field takes it or not
        used = {key.plain for key in homes}
        for key in sorted(rules.policies):
            for lock in rules.locks.holding(key):
                scoped(key, f"{lock.folder}/{HERE}")
            if key not in used and not rules.locks.holding(key):
                scoped(key, rules.defined_in.get(key, ""))
    policies = {key: rules.policies[key.plain]._replace(key=key) for key in sorted(homes)}
    lock = by_scope(((key, home) for key, (home, _) in homes.items()), rules.locks.every)
    record = by_scope(((key, one) for key, (_, one) in homes.items()), ()) if floor else lock
    rules = rules._replace(lock=lock if rules.locks.every else None)
    bound = bound._replace(targets=targets)
    return scope._replace(rules=rules, wanted=tuple(policies.values()), policies=policies, lock=record, bound=bound)
