"""Fields that take a tag alone, although their policy wants a digest that was verified: wrong configuration, told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from krmfn.model import Diagnostic
from krmfn.plan.current import Deployed

if TYPE_CHECKING:
    from krmfn.plan.records import Scope
    from krmfn.plan.target import Bound, Target

_ADVICE = (
    "bind the whole image, write the tag as TAG@DIGEST, add a digest field beside it, or set allowTagOnly: true on the requirement, "
    "where the cluster pulls whatever the tag is by then"
)


def without(scope: Scope, bound: Bound) -> Scope:
    """Return the policies without those of which a field would lose the digest, and one error that lists such fields."""
    deployed = Deployed(bound.targets, scope.policies)
    losing = [
        target
        for target in deployed.tag_only()
        if not all(one.allow_tag_only for one in scope.policies[target.setter.policy].requirements if one.verify)
    ]
    if not losing:
        return scope
    listed = ", ".join(f"{_where(one)} (policy {one.setter.policy.plain})" for one in losing)
    what = "1 field takes" if len(losing) == 1 else f"{len(losing)} fields take"
    message = f"{what} a tag alone, so the digest that was verified would be lost: {listed}: {_ADVICE}"
    error = Diagnostic("error", "no-digest-field", message, losing[0].location, policy=losing[0].setter.policy.plain)
    lost = {one.setter.policy for one in losing}
    wanted = tuple(one for one in scope.wanted if one.key not in lost)
    policies = {key: policy for key, policy in scope.policies.items() if key not in lost}
    return scope._replace(wanted=wanted, policies=policies, results=(error,))


def _where(target: Target) -> str:
    file = target.resource.place(target.scalar.start)
    lead = f"{file.path}:{file.line}:{file.column} " if file and file.path else ""
    return f"{lead}{target.resource.id}: {target.scalar.path}"
