"""Fields that take a tag alone, although their policy wants a digest that was verified: wrong configuration, told at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from krmfn.model import Diagnostic, Field, Location

if TYPE_CHECKING:
    from krmfn.plan.current import Deployed
    from krmfn.plan.target import Target

_ADVICE = (
    "bind the whole image, write the tag as TAG@DIGEST, add a digest field beside it, or set allowTagOnly: true on the requirement, "
    "where the cluster pulls whatever the tag is by then"
)


def losing(deployed: Deployed) -> list[Target]:
    """Return the fields that would lose the digest, and that no requirement lets do so."""
    return [one for one in deployed.tag_only() if not _is_permitted(deployed, one)]


def _is_permitted(deployed: Deployed, target: Target) -> bool:
    return all(one.allow_tag_only for one in deployed.policies[target.setter.policy].requirements if one.verify)


def refused(targets: Sequence[Target]) -> list[Diagnostic]:
    """Return one error that lists fields."""
    if not targets:
        return []
    listed = ", ".join(f"{_where(one)} (policy {one.setter.policy.plain})" for one in targets)
    first = targets[0]
    location = Location(first.resource.id, Field(first.scalar.path, first.scalar.value), first.resource.place(first.scalar.start))
    what = "1 field takes" if len(targets) == 1 else f"{len(targets)} fields take"
    message = f"{what} a tag alone, so the digest that was verified would be lost: {listed}: {_ADVICE}"
    return [Diagnostic("error", "no-digest-field", message, location, policy=first.setter.policy.plain)]


def _where(target: Target) -> str:
    file = target.resource.place(target.scalar.start)
    lead = f"{file.path}:{file.line}:{file.column} " if file and file.path else ""
    return f"{lead}{target.resource.id}: {target.scalar.path}"
