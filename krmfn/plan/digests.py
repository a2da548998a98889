"""Digest reflection: which digests are asked for, which are kept, and which tags were pushed again. Pure.

Never, IfNotPresent and Always mean what they mean in Flux (image-reflector-controller, `updateImageRefs`); Flux keeps
its state in `status.latestRef`, here the state is the lock, that status, or what the manifests already pin. A field that
is pinned stays pinned: it gets the digest of its new tag under Never too, unless `keepPins: false` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from krmfn.errors import PASSING, RegistryError
from krmfn.model import Chosen, Diagnostic, Location, Severity
from krmfn.namedtuple import NamedTuple
from krmfn.plan.current import Deployed, place, recall
from krmfn.plan.records import Answers, Judged, Moment, Pin, Pins, Place, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock
    from krmfn.config.settings import Settings
    from krmfn.plan.records import Scope
    from krmfn.plan.target import Target


def _wanted(judged: Judged, deployed: Deployed, settings: Settings) -> Iterator[tuple[Chosen, str | None]]:
    """Yield every choice whose policy reflects digests or has pins to keep, with the deployed tag that it is for.

    That is None where the policy has one choice for every field.
    """
    for (_, from_tag), chosen in judged.choices.items():
        if isinstance(chosen, Chosen) and (chosen.policy.reflects or (settings.keep_pins and any(True for _ in deployed.pins(chosen.policy)))):
            yield chosen, from_tag or None


def to_ask(judged: Judged, scope: Scope, deployed: Deployed) -> list[Moment]:
    """Return the (repository, tag) pairs whose digest has to be asked for: one per chosen tag, none that is known.

    With `every` also those that are kept or that no field takes. `immutableTags` wants to look at what is kept.
    """
    asked: list[Moment] = []
    every, settings = scope.every, scope.rules.settings
    for chosen, from_tag in _wanted(judged, deployed, settings):
        policy = chosen.policy
        if chosen.record or policy.is_verified or policy.rules.followed or not (every or deployed.has(policy.key)):
            continue
        # Under Never a pin of that very tag stays as it is: only fields that move to it need its digest.
        if not (every or policy.reflects or any(True for _ in deployed.unsettled(policy, chosen.tag, from_tag))):
            continue
        if every or settings.immutable_tags or _kept(chosen, deployed, settings) is None:
            asked.append((policy.repository, chosen.tag))
    return list(dict.fromkeys(asked))


def _kept(chosen: Chosen, deployed: Deployed, settings: Settings) -> str | None:
    """Return the digest that stays without asking: a record's, or what is there already, unless the policy is Always.

    Under rules from outside what is there already proves nothing.
    """
    policy, locked = chosen.policy, _locked(chosen, deployed.lock)
    if chosen.digest or chosen.record:
        return chosen.digest or locked
    if policy.digest_reflection == "Always" and not policy.rules.followed:
        return None
    if locked or not policy.reflects or settings.is_floored:
        return locked
    # Flux keeps the digest of a tag in status.latestRef; without a lock the manifests are the only memory there is.
    manifests = {digest for _, digest in deployed.pinned(policy, chosen.tag)}
    return manifests.pop() if len(manifests) == 1 else None


def _locked(chosen: Chosen, lock: Lock | None) -> str | None:
    """Return the digest that is recorded of the chosen tag."""
    policy, tag = chosen.policy, chosen.tag
    if policy.rules.follows_current:
        entries = lock.of(policy.key) if lock else ()
        return next((entry.digest for entry in entries if entry.tag == tag and entry.is_for(policy)), None)
    latest = recall(policy, lock)
    return latest.digest if latest and latest.tag == tag else None


def settle(judged: Judged, deployed: Deployed, answers: Answers, settings: Settings) -> Pins:
    """Decide the digest of every wanted tag from what is kept and what was answered.

    Where a tag that stays may not take a new digest yet, the old one stays.
    """
    digests: dict[Pin, str | RegistryError] = {}
    results: list[Diagnostic] = []
    held: set[Place] = set()
    for chosen, from_tag in _wanted(judged, deployed, settings):
        policy, tag, locked = chosen.policy, chosen.tag, _locked(chosen, deployed.lock)
        answer = None if chosen.record else answers.get((policy.repository, tag))
        known = _kept(chosen, deployed, settings) or answer
        if isinstance(known, RegistryError) and known.failure in PASSING and locked:
            message = f"{known}; the recorded digest of {policy.repository.image.name}:{tag} stays"
            results.append(Diagnostic("warning", "recorded-digest", message, Location(policy.defined), cause=known))
            known = locked
        # Only a digest that was answered now may have to wait; one that is kept runs already.
        waits = _waits(chosen, answer, deployed, settings, judged.refused) if known == answer else None
        if waits is not None:
            known = waits.old or known
            held |= set() if waits.old else {place(target) for target, old in deployed.pinned(policy, tag) if old != answer}
            results.append(waits.said)
        if known is not None:
            digests[policy.key, tag] = known
        if not isinstance(known, str) and not policy.reflects:
            results += _hold(chosen, known, deployed.unsettled(policy, tag, from_tag), held, settings)
        if isinstance(answer, str):
            results += _pushed_again(chosen, answer, deployed, settings, moves=waits is None)
    return Pins(digests, tuple(results), frozenset(held))


class _Wait(NamedTuple):
    """A tag stays on an old digest for now: that of the lock, or of all fields; None where fields pin several."""

    old: str | None
    said: Diagnostic


def _waits(
    chosen: Chosen, answer: str | RegistryError | None, deployed: Deployed, settings: Settings, refused: Refused
) -> _Wait | None:
    """Return what stays where a new digest of a tag that runs has to wait."""
    policy, tag, locked = chosen.policy, chosen.tag, _locked(chosen, deployed.lock)
    olds = {locked or "", *(old for _, old in deployed.pinned(policy, tag))} - {"", answer}
    if not isinstance(answer, str) or not olds or (passed := refused(policy, tag, answer)) is None:
        return None
    # The lock knows which digest ran; fields that pin several tell nothing, and stay each as it is.
    old = locked if locked in olds else olds.pop() if len(olds) == 1 and not settings.is_floored else None
    message = f"{policy.repository.image.name}: {passed.tag}@{answer[:19]}: {passed.why}; the old digest stays (policy {policy.key})"
    return _Wait(old, Diagnostic("info", "passed-over", message, Location(policy.defined), policy=policy.key))


def _hold(
    chosen: Chosen, error: RegistryError | None, pinned: Iterable[Target], held: set[Place], settings: Settings
) -> Iterator[Diagnostic]:
    """Hold the places whose pins cannot follow, as no digest can be had now; the policy itself asks for none.

    A refused login, a certificate and the like are errors all the same, and so is a lock that should know: see `rewrite`.
    """
    if settings.mode == "frozen" or (error and error.failure not in (*PASSING, "not-found")):
        return
    why = str(error) if error else f"{chosen.record} holds none"
    message = (
        f"{chosen.policy.repository.image.name}: kept as it is: the field is pinned, "
        f"and there is no digest of tag {chosen.tag} to pin: {why}"
    )
    for target in pinned:
        if place(target) not in held:
            held.add(place(target))
            yield Diagnostic("warning", "pin-kept", message, target.location, policy=chosen.policy.key, cause=error)


def _pushed_again(chosen: Chosen, answer: str, deployed: Deployed, settings: Settings, *, moves: bool) -> list[Diagnostic]:
    """Return that a tag is not what it was. A digest policy follows such moves, that is its purpose."""
    policy, tag = chosen.policy, chosen.tag
    if policy.rules.pins_current:
        return []
    severity: Severity = "error" if settings.immutable_tags else "warning"
    stays = not moves or (policy.digest_reflection != "Always" and not (settings.is_floored and policy.reflects))
    end = "; the digest that is pinned stays" if stays else "; the pin moves with it"
    if settings.immutable_tags:
        end = "; immutableTags forbids that: find out who pushed it, or run once without immutableTags to accept it"

    def moved(holder: str, old: str, location: Location) -> Diagnostic:
        message = f"{policy.repository.image.name}: tag {tag} was pushed again: {holder} {old}, the registry has {answer}{end}"
        return Diagnostic(severity, "digest-moved", message, location, policy=policy.key)

    locked = _locked(chosen, deployed.lock)
    if locked and locked != answer:
        return [moved("recorded was", locked, Location(policy.defined))]
    return [moved("the field pins", old, target.location) for target, old in deployed.pinned(policy, tag) if old != answer]
