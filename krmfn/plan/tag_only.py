"""Fields that take a tag alone, although their policy wants a digest that was verified: wrong configuration, told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from krmfn.model import Diagnostic, Field, ImagePolicy, Location, Part, PolicyKey
from krmfn.plan.current import place
from krmfn.plan.records import Place
from krmfn.plan.target import Target

CODE = "no-digest-field"
_ADVICE = (
    "bind the whole image, write the tag as TAG@DIGEST, add a digest field beside it, or set allowTagOnly: true on the requirement, "
    "where the cluster pulls whatever the tag is by then"
)


def permits(policy: ImagePolicy) -> bool:
    """True if every requirement of a signature lets a field take the tag alone."""
    return all(one.allow_tag_only for one in policy.requirements if one.verify)


def tag_only(targets: Sequence[Target], policies: Mapping[PolicyKey, ImagePolicy]) -> list[Target]:
    """Return the fields of policies with a required signature that can hold no digest, and have none that moves with them."""
    with_digest = {_row(one) for one in targets if one.setter.part is Part.DIGEST}
    return [one for one in targets if takes_tag_alone(one, policies[one.setter.policy]) and _row(one) not in with_digest]


def takes_tag_alone(target: Target, policy: ImagePolicy) -> bool:
    """True if a field is a tag or a version without a digest, and its policy wants one that was verified."""
    if not policy.is_verified or target.setter.part not in (Part.TAG, Part.VERSION) or target.how == "stray":
        return False
    form = target.form(policy)
    return form is not None and not form.digest


def _row(target: Target) -> tuple[Place, str]:
    """Return the mapping that a field stands in: a digest moves with the tag beside it, not with every one of the resource."""
    return place(target), target.scalar.path.rpartition(".")[0]


def refused(targets: Sequence[Target]) -> list[Diagnostic]:
    """Return one error that lists fields."""
    listed = [f"{_where(one)} (policy {one.setter.policy.plain})" for one in targets]
    if not listed:
        return []
    first = targets[0]
    location = Location(first.resource.id, Field(first.scalar.path, first.scalar.value), first.resource.place(first.scalar.start))
    what = "1 field takes" if len(listed) == 1 else f"{len(listed)} fields take"
    message = f"{what} a tag alone, so the digest that was verified would be lost: {', '.join(listed)}: {_ADVICE}"
    return [Diagnostic("error", CODE, message, location, policy=first.setter.policy.plain)]


def _where(target: Target) -> str:
    file = target.resource.place(target.scalar.start)
    lead = f"{file.path}:{file.line}:{file.column} " if file and file.path else ""
    return f"{lead}{target.resource.id}: {target.scalar.path}"
