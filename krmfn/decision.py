"""*decide*: for every policy one choice, or the reason why there is none. Pure: listings and locks in, choices out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from krmfn import selection
from krmfn.errors import RegistryError
from krmfn.lock import Lock
from krmfn.model import Choice, Chosen, ImagePolicy, LatestRef, Listing, NotChosen, PolicyKey, Repository

Listings = Mapping[Repository, Listing | RegistryError]
Moment = tuple[Repository, str]


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
    policies: Iterable[ImagePolicy], listings: Listings, dates: Mapping[Moment, str | RegistryError], lock: Lock | None
) -> dict[PolicyKey, Choice]:
    """Choose for every policy from what its repository listed; an unreachable registry gives way to a matching lock."""
    choices: dict[PolicyKey, Choice] = {}
    for policy in policies:
        if policy.rules.pins_current:
            choices[policy.key] = Chosen(policy, "", 0, 0)
            continue
        listing = listings[policy.repository]
        if isinstance(listing, RegistryError):
            choices[policy.key] = _without_registry(policy, listing, lock)
        else:
            choices[policy.key] = _from(policy, listing, dates)
    return choices


def _from(policy: ImagePolicy, listing: Listing, dates: Mapping[Moment, str | RegistryError]) -> Choice:
    failed = next(
        (found for tag in listing.tags if isinstance(found := dates.get((policy.repository, tag)), RegistryError)), None
    )
    if policy.rules.needs_created and failed is not None:
        return NotChosen(policy, failed.failure, str(failed))
    made = selection.select(policy.rules, listing.tags, created=lambda tag: str(dates[policy.repository, tag]))
    if made.tag is None:
        return NotChosen(policy, "no-match", made.message, made)
    return Chosen(policy, made.tag, made.listed, made.eligible, selection=made)


def _without_registry(policy: ImagePolicy, error: RegistryError, lock: Lock | None) -> Choice:
    found = recorded(policy, lock) if error.failure in ("unavailable", "rate-limited") else None
    if isinstance(found, Chosen):
        return replace(found, note=f"{error}; the lock decided instead")
    return NotChosen(policy, error.failure, str(error))


def frozen(policies: Iterable[ImagePolicy], lock: Lock | None) -> dict[PolicyKey, Choice]:
    """Take every choice from the lock, or from `status.latestRef`; what is missing or was made by other rules is an error."""
    return {policy.key: recorded(policy, lock) for policy in policies}


def recorded(policy: ImagePolicy, lock: Lock | None) -> Choice:
    """Answer what was decided earlier for this policy, if it was decided by the same rules."""
    entry = lock.entries.get(policy.key) if lock else None
    if entry is not None:
        if entry.policy_hash != policy.hash:
            message = f"the lock was made by other rules (policyHash {entry.policy_hash}, now {policy.hash}): run krmfn update to renew it"
            return NotChosen(policy, "lock", message)
        if policy.digest_reflection != "Never" and entry.digest is None:
            return NotChosen(
                policy, "lock", "the lock holds no digest, and the policy wants one: run krmfn update to renew it"
            )
        digest = entry.digest if policy.digest_reflection != "Never" else None
        return Chosen(policy, entry.tag, entry.listed, entry.eligible, digest)
    if policy.latest is not None:
        return _latest(policy, policy.latest)
    return NotChosen(policy, "lock", "the lock has no entry for this policy: run krmfn update to add it")


def _latest(policy: ImagePolicy, latest: LatestRef) -> Choice:
    if not selection.accepts(policy.rules, latest.tag):
        message = f"status.latestRef holds tag {latest.tag}, which the policy ({policy.described}) does not accept"
        return NotChosen(policy, "lock", message)
    if policy.digest_reflection != "Never" and latest.digest is None:
        return NotChosen(policy, "lock", "status.latestRef holds no digest, and the policy wants one")
    digest = latest.digest if policy.digest_reflection != "Never" else None
    return Chosen(policy, latest.tag, 0, 0, digest)
