"""*report*: what changed and what did not, for people and for orchestrators. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from krmfn.access import Listing
from krmfn.diagnostics import in_order
from krmfn.errors import RuleError
from krmfn.image import ImageRef, is_digest
from krmfn.kubernetes.resource import describe
from krmfn.model import Choice, Chosen, Diagnostic, Field, Location
from krmfn.yamledit.scalars import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.config.objects import Object
    from krmfn.config.settings import Settings
    from krmfn.model import Severity
    from krmfn.plan.records import Change, Listings, Renewal
    from krmfn.yamledit.text import Edit


def results(noted: Iterable[Diagnostic], edited: Iterable[Change], settings: Settings) -> tuple[Diagnostic, ...]:
    """Return everything there is to say, in order: what the steps noted, and one result for every change.

    In `mode: check` what would change is an error; else a change is told unless an error keeps it from being made.
    """
    diagnostics, changed = list(judged(noted, settings)), [_changed(change) for change in edited]
    if settings.mode == "check":
        diagnostics += (one._replace(severity="error", code="would-change", message=f"would change {one.message}") for one in changed)
    elif not any(one.severity == "error" for one in diagnostics):
        diagnostics += changed
    return in_order(diagnostics)


def _changed(change: Change) -> Diagnostic:
    scalar = change.target.scalar
    location = change.target.location._replace(field=Field(scalar.path, scalar.value, change.value))
    return Diagnostic("info", "changed", message(change), location, policy=change.policy.key)


def message(change: Change) -> str:
    """Return what changed in one line.

    The form is `ghcr.io/acme/web: 1.2.0 -> 1.3.1 (policy flux-system:web, semver >=1.2.0 <2.0.0, 14 of 212 tags eligible)`.
    """
    image, old, new, why = row(change)
    return f"{image}: {old} -> {new} ({why})"


def row(change: Change) -> tuple[str, str, str, str]:
    """Return image, old, new and why of a change, for tables."""
    policy, chosen = change.policy, change.chosen
    old, new = _shortened(change.target.scalar.value, change.value)
    why = [f"policy {policy.key}", policy.rules.described]
    if chosen and chosen.listed:
        why.append(f"{chosen.eligible} of {chosen.listed} tags eligible")
    return policy.repository.image.name, old, new, ", ".join(why)


@lru_cache(4096)
def _shortened(old: str, new: str) -> tuple[str, str]:
    """Leave out the repository when both sides name the same one, and most of a digest."""
    if is_digest(old) and is_digest(new):
        return old[:19], new[:19]
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


def lock(lock_object: Object, renewed: Renewal, edits: tuple[Edit, ...] | Refusal, *, is_check: bool) -> Diagnostic:
    """Return what to say of a lock that changes, or that cannot be edited."""
    resources = describe(lock_object.block)
    file = next((one.place(lock_object.block.start) for one in resources if one.id == lock_object.id), None)
    severity: Severity = "error" if is_check else "info"
    message = f"would change the lock: {renewed.described}" if is_check else f"lock: {renewed.described}"
    if isinstance(edits, Refusal):
        severity, message = "warning", f"the lock is out of date ({renewed.described}) and was not updated: {edits.why}"
    return Diagnostic(severity, "lock", message, Location(lock_object.id, file=file))


def homeless(renewed: Renewal, lock: Lock) -> tuple[Diagnostic, ...]:
    """Return which policies are recorded nowhere, as several locks are here and nothing tells the one of the policy."""
    names = ", ".join(str(one.policy) for one in renewed.added if lock.home(one.policy) is None)
    if not names:
        return ()
    locks = " and ".join(str(one.id) for one in lock.objects)
    message = f"{names}: recorded in no lock: there are {locks}; krmfn fetch writes a lock for the files above them, spec.lock names one of several items"
    return (Diagnostic("warning", "lock", message),)


def notes(choices: Iterable[Choice], listings: Listings, asides: Iterable[str]) -> list[Diagnostic]:
    """Return what a decision has to say besides its choice: fall-backs, junk that was dropped, what the source says."""
    remarks = [Diagnostic("warning", "source", aside) for aside in asides]
    for chosen in (one for one in choices if isinstance(one, Chosen)):
        place, key = Location(chosen.policy.defined), chosen.policy.key
        if chosen.note:
            remarks.append(Diagnostic("warning", "choice", chosen.note, place, policy=key, cause=chosen.cause))
        if chosen.stays:
            message = f"{chosen.policy.repository.image.name}: kept by policy {key}: {chosen.stays}"
            remarks.append(Diagnostic("info", "choice", message, place, policy=key))
    for repository, listing in listings.items():
        if isinstance(listing, Listing) and listing.malformed:
            message = f"{repository.image.canonical}: {listing.malformed} malformed tags were ignored"
            remarks.append(Diagnostic("info", "malformed-tags", message))
    return remarks


_BLIND = ("not-read", "unknown-policy", "bad-setter")
"""Codes of warnings that a check must not pass over: what they are about would never be checked again."""


def judged(diagnostics: Iterable[Diagnostic], settings: Settings) -> Iterator[Diagnostic]:
    """Yield diagnostics as the settings take them: `strict` makes each warning an error, a check those that blind it."""
    is_check = settings.is_check or settings.mode == "check"
    for one in diagnostics:
        is_error = one.severity == "warning" and (settings.strict or (is_check and one.code in _BLIND))
        yield one._replace(severity="error") if is_error else one
