"""Digest reflection: which digests are asked for, which are kept, and which tags were pushed again. Pure.

Never, IfNotPresent and Always mean what they mean in Flux (image-reflector-controller, `updateImageRefs`); Flux keeps
its state in `status.latestRef`, here the state is the lock, that status, or what the manifests already pin. A field that
is pinned stays pinned: it gets the digest of its new tag under Never too, unless `keepPins: false` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from krmfn.access import Repository
from krmfn.errors import PASSING, RegistryError
from krmfn.model import (
    Choice,
    Chosen,
    Diagnostic,
    Field,
    Following,
    ImagePolicy,
    Location,
    PassedOver,
    PolicyKey,
    Severity,
)
from krmfn.plan.current import Deployed, place, recall
from krmfn.plan.records import Pin, Pins, Place

if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.config.settings import Settings
    from krmfn.plan.target import Target

Choices = Mapping[PolicyKey, Choice]
Question = tuple[Repository, str]
Answers = Mapping[Question, str | RegistryError]
Refused = Callable[[ImagePolicy, str, str], PassedOver | None]


def never(_policy: ImagePolicy, _tag: str, _digest: str) -> None:
    """Refuse no digest."""


def _wanted(choices: Choices, deployed: Deployed, settings: Settings) -> Iterable[tuple[Chosen, str | None]]:
    """Yield every choice whose policy reflects digests or has pins to keep, with the deployed tag that it is for.

    That is None where the policy has one choice for every field.
    """
    for choice in choices.values():
        if choice.policy.reflects or _has_pins(choice, deployed, settings):
            several = choice.choices.items() if isinstance(choice, Following) else [(None, choice)]
            yield from ((chosen, from_tag) for from_tag, chosen in several if isinstance(chosen, Chosen))


def _has_pins(choice: Choice, deployed: Deployed, settings: Settings) -> bool:
    return settings.keep_pins and any(True for _ in deployed.pins(choice.policy))


def _is_needed(chosen: Chosen, from_tag: str | None, deployed: Deployed) -> bool:
    """True if a field will hold the digest of the choice; under Never a pin of that very tag stays as it is."""
    return chosen.policy.reflects or any(True for _ in deployed.unsettled(chosen.policy, chosen.tag, from_tag))


def to_ask(
    choices: Choices, deployed: Deployed, lock: Lock | None, settings: Settings, *, every: bool = False
) -> list[Question]:
    """Return the (repository, tag) pairs whose digest has to be asked for: one per chosen tag, none that is known.

    With `every` also those that are kept or that no field takes. `immutableTags` wants to look at what is kept.
    """
    asked: list[Question] = []
    for chosen, from_tag in _wanted(choices, deployed, settings):
        tag = chosen.tag
        if chosen.record or chosen.policy.is_verified or chosen.policy.rules.followed or not (every or deployed.has(chosen.policy.key)):
            continue
        if not (every or _is_needed(chosen, from_tag, deployed)):
            continue
        if every or settings.immutable_tags or _kept(chosen, tag, deployed, lock, settings) is None:
            asked.append((chosen.policy.repository, tag))
    return list(dict.fromkeys(asked))


def _kept(chosen: Chosen, tag: str, deployed: Deployed, lock: Lock | None, settings: Settings) -> str | None:
    """Return the digest that stays without asking: a record's, or what is there already, unless the policy is Always.

    Under rules from outside what is there already proves nothing.
    """
    policy = chosen.policy
    if chosen.digest or chosen.record:
        return chosen.digest or _locked(chosen, tag, lock)
    if policy.digest_reflection == "Always" and not policy.rules.followed:
        return None
    if not policy.reflects:
        return _locked(chosen, tag, lock)
    manifests = set() if settings.is_floored else {digest for _, digest in deployed.pinned(policy, tag)}
    return _locked(chosen, tag, lock) or (manifests.pop() if len(manifests) == 1 else None)


def _locked(chosen: Chosen, tag: str, lock: Lock | None) -> str | None:
    policy = chosen.policy
    if policy.rules.follows_current:
        entries = lock.of(policy.key) if lock else ()
        return next((entry.digest for entry in entries if entry.tag == tag and entry.is_for(policy)), None)
    latest = recall(policy, lock)
    return latest.digest if latest and latest.tag == tag else None


def settle(
    choices: Choices, deployed: Deployed, lock: Lock | None, answers: Answers, settings: Settings, refused: Refused = never
) -> Pins:
    """Decide the digest of every wanted tag from what is kept and what was answered.

    `refused` says why a tag that stays may not take a digest yet; then the old one stays.
    """
    digests: dict[Pin, str | RegistryError] = {}
    results: list[Diagnostic] = []
    held: set[Place] = set()
    for chosen, from_tag in _wanted(choices, deployed, settings):
        tag = chosen.tag
        kept = _kept(chosen, tag, deployed, lock, settings)
        answer = None if chosen.record else answers.get((chosen.policy.repository, tag))
        known = kept or answer
        if isinstance(known, RegistryError) and known.failure in PASSING and (noted := _locked(chosen, tag, lock)):
            results.append(_stood_in(chosen, tag, known))
            known = noted
        waits = _waits(chosen, answer, deployed, lock, settings, refused) if known == answer else None
        if waits is not None:
            known = waits.old or known
            held |= set() if waits.old else {place(target) for target, old in deployed.pinned(chosen.policy, tag) if old != answer}
            results.append(waits.said)
        if known is not None:
            digests[chosen.policy.key, tag] = known
        if not isinstance(known, str) and not chosen.policy.reflects:
            results += _hold(chosen, known, deployed.unsettled(chosen.policy, tag, from_tag), held, settings)
        if isinstance(answer, str):
            results += _pushed_again(chosen, tag, answer, deployed, lock, settings, moves=waits is None)
    return Pins(digests, tuple(results), frozenset(held))


class _Wait(NamedTuple):
    """A tag stays on an old digest for now: that of the lock, or of all fields; None where fields pin several."""

    old: str | None
    said: Diagnostic


def _waits(
    chosen: Chosen, answer: str | RegistryError | None, deployed: Deployed, lock: Lock | None, settings: Settings, refused: Refused
) -> _Wait | None:
    """Return what stays where a new digest of a tag that runs has to wait."""
    policy, tag = chosen.policy, chosen.tag
    olds = {_locked(chosen, tag, lock) or "", *(old for _, old in deployed.pinned(policy, tag))} - {"", answer}
    if not isinstance(answer, str) or not olds or (passed := refused(policy, tag, answer)) is None:
        return None
    locked = _locked(chosen, tag, lock)
    old = locked if locked in olds else olds.pop() if len(olds) == 1 and not settings.is_floored else None
    message = f"{policy.repository.image.name}: {passed.tag}@{answer[:19]}: {passed.why}; the old digest stays (policy {policy.key})"
    return _Wait(old, Diagnostic("info", "passed-over", message, Location(policy.defined), policy=policy.key))


def _hold(
    chosen: Chosen, error: RegistryError | None, pinned: Iterable[Target], held: set[Place], settings: Settings
) -> list[Diagnostic]:
    """Hold the places whose pins cannot follow, as no digest can be had now; the policy itself asks for none.

    A refused login, a certificate and the like are errors all the same, and so is a lock that should know: see `rewrite`.
    """
    if settings.mode == "frozen" or (error and error.failure not in (*PASSING, "not-found")):
        return []
    image = chosen.policy.repository.image.name
    why = str(error) if error else f"{chosen.record} holds none"
    diagnostics = []
    for target in pinned:
        if place(target) not in held:
            held.add(place(target))
            message = (
                f"{image}: kept as it is: the field is pinned, and there is no digest of tag {chosen.tag} to pin: {why}"
            )
            where = Field(target.scalar.path, target.scalar.value)
            location = Location(target.resource.id, where, target.resource.place(target.scalar.start))
            diagnostics.append(Diagnostic("warning", "pin-kept", message, location, policy=chosen.policy.key, cause=error))
    return diagnostics


def _stood_in(chosen: Chosen, tag: str, error: RegistryError) -> Diagnostic:
    image = chosen.policy.repository.image.name
    return Diagnostic(
        "warning",
        "recorded-digest",
        f"{error}; the recorded digest of {image}:{tag} stays",
        Location(chosen.policy.defined),
        cause=error,
    )


def _pushed_again(
    chosen: Chosen, tag: str, answer: str, deployed: Deployed, lock: Lock | None, settings: Settings, *, moves: bool
) -> list[Diagnostic]:
    """Return that a tag is not what it was. A digest policy follows such moves, that is its purpose."""
    policy = chosen.policy
    if policy.rules.pins_current:
        return []
    severity: Severity = "error" if settings.immutable_tags else "warning"
    stays = not moves or (policy.digest_reflection != "Always" and not (settings.is_floored and policy.reflects))
    end = "; the digest that is pinned stays" if stays else "; the pin moves with it"
    if settings.immutable_tags:
        end = "; immutableTags forbids that: find out who pushed it, or run once without immutableTags to accept it"

    def say(holder: str, old: str) -> str:
        return f"{policy.repository.image.name}: tag {tag} was pushed again: {holder} {old}, the registry has {answer}{end}"

    locked = _locked(chosen, tag, lock)
    if locked and locked != answer:
        return [
            Diagnostic(
                severity, "digest-moved", say("recorded was", locked), Location(policy.defined), policy=policy.key
            )
        ]
    return [
        Diagnostic(
            severity, "digest-moved", say("the field pins", old),
            Location(
                target.resource.id,
                Field(target.scalar.path, target.scalar.value),
                target.resource.place(target.scalar.start),
            ),
            policy=policy.key,
        )
        for target, old in deployed.pinned(policy, tag)
        if old != answer
    ]  # fmt: skip
