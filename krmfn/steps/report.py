"""*report*: what changed and what did not, for people and for orchestrators. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter

from krmfn.configuration.objects import Object
from krmfn.errors import RuleError
from krmfn.frozen import replace
from krmfn.image import ImageRef
from krmfn.model import Choice, Chosen, Field, Listing, Result, settled
from krmfn.resources.resource import describe
from krmfn.steps.verdict import Change, Listings, Renewal
from krmfn.text.scalars import Refusal
from krmfn.text.yamltext import Edit

_RANK = {"error": 0, "warning": 1, "info": 2}


def changes(made: Iterable[Change]) -> list[Result]:
    """Answer one result for every change: `image: old -> new (policy, rule, counts)`."""
    return [_changed(change) for change in made]


def _changed(change: Change) -> Result:
    target, chosen = change.target, change.chosen
    where = Field(target.scalar.path, target.scalar.value, change.value)
    tags = (("policy", str(chosen.policy.key)),)
    return Result("info", message(change), target.resource.id, where, target.resource.place(target.scalar.start), tags)


def message(change: Change) -> str:
    """Say what changed in one line.

    The form is `ghcr.io/acme/web: 1.2.0 -> 1.3.1 (policy flux-system:web, semver >=1.2.0 <2.0.0, 14 of 212 tags eligible)`.
    """
    image, old, new, why = row(change)
    return f"{image}: {old} -> {new} ({why})"


def row(change: Change) -> tuple[str, str, str, str]:
    """Answer image, old, new and why of a change, for tables."""
    chosen = change.chosen
    old, new = _shortened(change.target.scalar.value, change.value)
    why = [f"policy {chosen.policy.key}", chosen.policy.described]
    if chosen.listed:
        why.append(f"{chosen.eligible} of {chosen.listed} tags eligible")
    return chosen.policy.repository.image.name, old, new, ", ".join(why)


@lru_cache(4096)
def _shortened(old: str, new: str) -> tuple[str, str]:
    """Leave out the repository when both sides name the same one."""
    try:
        before, after = ImageRef.parse(old.strip()), ImageRef.parse(new)
    except RuleError:
        return old or '""', new
    if "/" not in old and "/" not in new and ":" not in old + new:
        return old, new
    if before.canonical != after.canonical or not (after.tag or after.digest):
        return old, new
    return _version(before), _version(after)


def _version(ref: ImageRef) -> str:
    digest = f"@{ref.digest[:19]}" if ref.digest else ""
    return (ref.tag or ("" if digest else "latest")) + digest


def unwanted(made: Iterable[Change]) -> list[Result]:
    """Answer the errors of `mode: check`: what would change although nothing may."""
    return [replace(_changed(change), severity="error", message=f"would change {message(change)}") for change in made]


def lock(
    thing: Object, renewed: Renewal, edits: tuple[Edit, ...] | Refusal, *, is_check: bool
) -> tuple[tuple[Edit, ...], tuple[Result, ...]]:
    """Answer the edits of the lock and one result about it; what cannot be edited is a warning."""
    place = next((one.place(thing.block.start) for one in describe(thing.block) if one.id == thing.id), None)
    if isinstance(edits, Refusal):
        message = f"the lock is out of date ({renewed.described}) and was not updated: {edits.why}"
        return (), (Result("warning", message, thing.id, file=place),)
    if is_check:
        return edits, (Result("error", f"would change the lock: {renewed.described}", thing.id, file=place),)
    return edits, (Result("info", f"lock: {renewed.described}", thing.id, file=place),)


def notes(choices: Iterable[Choice], listings: Listings, asides: Iterable[str]) -> list[Result]:
    """Answer what a decision has to say besides its choice: fall-backs, junk that was dropped, what the source says."""
    found = [Result("warning", aside) for aside in asides]
    for chosen in (one for choice in choices for one in settled(choice) if isinstance(one, Chosen)):
        if chosen.note:
            found.append(Result("warning", chosen.note, chosen.policy.defined))
        if chosen.stays:
            image, key = chosen.policy.repository.image.name, str(chosen.policy.key)
            message = f"{image}: kept by policy {key}: {chosen.stays}"
            found.append(Result("info", message, chosen.policy.defined, tags=(("policy", key),)))
    for repository, listing in listings.items():
        if isinstance(listing, Listing) and listing.malformed:
            found.append(
                Result("info", f"{repository.image.canonical}: {listing.malformed} malformed tags were ignored")
            )
    return found


def in_order(results: Iterable[Result]) -> tuple[Result, ...]:
    """Sort results: by severity, then by place, so that the same input gives the same text. Repeats are dropped."""
    found: list[Result] = []
    last, same = None, 0
    for key, result in sorted(((_key(result), result) for result in results), key=itemgetter(0)):
        same = len(found) if key != last else same
        if result not in found[same:]:
            found.append(result)
        last = key
    return tuple(found)


def _key(result: Result) -> tuple[object, ...]:
    file, resource, where = result.file, result.resource, result.field
    return (
        _RANK[result.severity],
        file.path if file else "",
        (file.index or 0) if file else 0,
        resource or (),
        where.path if where else "",
        result.message,
    )
