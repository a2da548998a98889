"""*decide*: for every policy one choice, or the reason why there is none. Pure: listings and locks in, choices out."""

from __future__ import annotations

from collections.abc import Iterable

from krmfn.choosing import selection
from krmfn.configuration.lock import Lock, LockEntry, recall
from krmfn.errors import PASSING, RegistryError
from krmfn.frozen import replace
from krmfn.model import Choice, Chosen, ImagePolicy, LatestRef, Listing, NotChosen, PolicyKey, Repository
from krmfn.steps.verdict import Dates, Listings, Moment

_MEND = "run krmfn fetch on the package"


def to_list(policies: Iterable[ImagePolicy]) -> list[Repository]:
    """Answer the repositories whose tags have to be listed. A digest policy follows what is deployed: no list."""
    return list(dict.fromkeys(policy.repository for policy in policies if not policy.rules.pins_current))


def to_date(policies: Iterable[ImagePolicy], listings: Listings) -> list[Moment]:
    """Answer the (repository, tag) pairs whose creation time a policy needs, a bounded number each."""
    found: list[Moment] = []
    for policy in policies:
        listing = listings.get(policy.repository)
        if policy.rules.needs_created and isinstance(listing, Listing):
            found += [(policy.repository, tag) for tag in selection.candidates(policy.rules, listing.tags)]
    return list(dict.fromkeys(found))


def decide(
    policies: Iterable[ImagePolicy], listings: Listings, dates: Dates, lock: Lock | None
) -> dict[PolicyKey, Choice]:
    """Choose for every policy from what its repository listed; an unreachable registry gives way to a matching record."""
    choices: dict[PolicyKey, Choice] = {}
    for policy in policies:
        if policy.rules.pins_current:
            choices[policy.key] = Chosen(policy, "", 0, 0)
            continue
        listing = listings[policy.repository]
        if isinstance(listing, RegistryError):
            choices[policy.key] = _without_registry(policy, listing, lock)
        else:
            choices[policy.key] = _from(policy, listing, dates, lock)
    return choices


def _from(policy: ImagePolicy, listing: Listing, dates: Dates, lock: Lock | None) -> Choice:
    if policy.rules.needs_created:
        asked = (dates.get((policy.repository, tag)) for tag in listing.tags)
        failed = next((answer for answer in asked if isinstance(answer, RegistryError)), None)
        if failed is not None:
            return _without_registry(policy, failed, lock)
    made = selection.select(policy.rules, listing.tags, created=lambda tag: str(dates[policy.repository, tag]))
    if made.tag is None:
        return NotChosen(policy, "no-match", made.message, made)
    return Chosen(policy, made.tag, made.listed + listing.left_out, made.eligible, selection=made)


def _without_registry(policy: ImagePolicy, error: RegistryError, lock: Lock | None) -> Choice:
    if error.failure not in PASSING:
        return NotChosen(policy, error.failure, str(error))
    found = recorded(policy, lock)
    if isinstance(found, Chosen):
        return replace(found, note=f"{error}; {found.record} decided instead: {found.tag}")
    has_record = recall(policy, lock) is not None
    return NotChosen(
        policy, error.failure, f"{error}; no record stands in: {found.message}" if has_record else str(error)
    )


def frozen(policies: Iterable[ImagePolicy], lock: Lock | None) -> dict[PolicyKey, Choice]:
    """Take every choice from the lock, or from `status.latestRef`; what is missing or was made by other rules is an error."""
    return {policy.key: recorded(policy, lock) for policy in policies}


def recorded(policy: ImagePolicy, lock: Lock | None) -> Choice:
    """Answer what was decided earlier for this policy, if it was decided by the same rules."""
    entry = lock.entry(policy.key) if lock else None
    if policy.rules.pins_current:
        return (
            _mismatch(policy, entry)
            if entry and entry.policy_hash != policy.hash
            else Chosen(policy, "", 0, 0, record="the lock")
        )
    if entry is not None:
        return _entry(policy, entry)
    if policy.latest is not None:
        return _latest(policy, policy.latest)
    message = f"the lock has no entry for this policy: {_MEND} to add it"
    none = f"there is no lock (an item of kind ImageLock), and mode frozen takes every choice from one: {_MEND} to write it"
    return NotChosen(policy, "lock", message if lock else none)


def _mismatch(policy: ImagePolicy, entry: LockEntry) -> NotChosen:
    rules = f"policyHash {entry.policy_hash}, now {policy.hash}"
    return NotChosen(policy, "lock", f"the lock was made by other rules ({rules}): {_MEND} to renew it")


def _entry(policy: ImagePolicy, entry: LockEntry) -> Choice:
    if entry.policy_hash != policy.hash:
        return _mismatch(policy, entry)
    made = _accepted(policy, LatestRef(entry.image, entry.tag, entry.digest), "the lock")
    return replace(made, listed=entry.listed, eligible=entry.eligible) if isinstance(made, Chosen) else made


def _latest(policy: ImagePolicy, latest: LatestRef) -> Choice:
    return _accepted(policy, latest, "status.latestRef")


def _accepted(policy: ImagePolicy, found: LatestRef, record: str) -> Choice:
    """Check that a record is one that the policy could have made; a hand-edited one is not."""
    message = ""
    if recall(replace(policy, latest=found), None) is None:
        message = f"{record} names {found.name}, and the policy chooses {policy.repository.image.name}"
    elif not selection.accepts(policy.rules, found.tag):
        message = f"{record} holds tag {found.tag}, which the policy ({policy.described}) does not accept"
    elif policy.digest_reflection != "Never" and found.digest is None:
        message = f"{record} holds no digest, and the policy wants one"
    if message:
        return NotChosen(policy, "lock", f"{message}: {_MEND} to renew it")
    return Chosen(policy, found.tag, 0, 0, found.digest if policy.digest_reflection != "Never" else None, record=record)
