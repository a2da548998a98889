"""*decide*: for every policy one choice, or the reason why there is none. Pure: listings and locks in, choices out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from krmfn.access import Listing, Repository
from krmfn.config.locks import Locks
from krmfn.errors import PASSING, RegistryError
from krmfn.model import Choice, Chosen, Following, ImagePolicy, LatestRef, NotChosen, PolicyKey
from krmfn.plan.current import recall
from krmfn.plan.resolve import ask
from krmfn.policies import selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock, LockEntry
    from krmfn.plan.current import Deployed
    from krmfn.plan.records import Dates, Listings, Moment
    from krmfn.plan.tag_source import TagSource
    from krmfn.policies.follow import Follow

_MEND = "run krmfn fetch on the package"
NO_LOCKS = Locks()


def to_list(policies: Iterable[ImagePolicy]) -> list[Repository]:
    """Return the repositories whose tags have to be listed. A digest policy follows what is deployed: no list."""
    return list(dict.fromkeys(policy.repository for policy in policies if not (policy.rules.pins_current or policy.rules.followed)))


def to_date(policies: Iterable[ImagePolicy], listings: Listings) -> list[Moment]:
    """Return the (repository, tag) pairs whose creation time a policy needs, a bounded number each."""
    moments: list[Moment] = []
    for policy in policies:
        listing = listings.get(policy.repository)
        if policy.rules.needs_created and isinstance(listing, Listing):
            moments += [(policy.repository, tag) for tag in selection.candidates(policy.rules, listing.tags)]
    return list(dict.fromkeys(moments))


def listed(policies: Sequence[ImagePolicy], source: TagSource, *, is_frozen: bool) -> tuple[Listings, Dates]:
    """Ask for the tags that policies choose from, and for the times of those that need one; frozen, nobody is asked."""
    if is_frozen:
        return {}, {}
    listings = ask(to_list(policies), source.tags)
    return listings, ask(to_date(policies, listings), lambda moment: source.created(*moment))


def decide(
    policies: Iterable[ImagePolicy], listings: Listings, dates: Dates, lock: Lock | None, locks: Locks = NO_LOCKS, *, is_frozen: bool = False
) -> dict[PolicyKey, Choice]:
    """Choose for every policy from what its repository listed; an unreachable registry gives way to a matching record.

    A policy that follows another environment chooses from its lock, which is one of `locks`. Frozen, every choice is taken from
    the own lock, or from `status.latestRef`; what is missing there or was made by other rules is an error.
    """
    if is_frozen:
        return {policy.key: _recorded_or_following(policy, lock) for policy in policies}
    choices: dict[PolicyKey, Choice] = {}
    for policy in policies:
        if policy.rules.followed is not None:
            choices[policy.key] = _promoted(policy, policy.rules.followed, locks, lock)
            continue
        if policy.rules.follows_current:
            choices[policy.key] = Following(policy)
            continue
        listing = listings[policy.repository]
        if isinstance(listing, RegistryError):
            choices[policy.key] = _without_registry(policy, listing, lock)
        else:
            choices[policy.key] = _from(policy, listing, dates, lock)
    return choices


def _promoted(policy: ImagePolicy, followed: Follow, locks: Locks, own: Lock | None) -> Chosen | NotChosen:
    """Choose what another environment's lock holds now; whether it has soaked there is judged later.

    Where that lock holds nothing yet the own record stands in, else everything stays.
    """
    named = locks.named(followed.lock)
    if len(named) != 1:
        names = ", ".join(sorted({one.name for one in locks.every})) or "none"
        what = f"{len(named)} ImageLocks are" if named else "no ImageLock is"
        message = f"{what} named {followed.lock} here (found: {names}): metadata.name names a lock, and it has to be among what is read"
        return NotChosen(policy, "lock", message)
    entries = [one for one in named[0].all if str(one.policy) == followed.policy]
    tags = sorted({one.tag for one in entries})
    if len(tags) != 1:
        what = f"holds {', '.join(tags)}" if tags else "has no entry"
        message = f"lock {followed.lock} {what} for policy {followed.policy}: run krmfn fetch where it is decided"
        record = recorded(policy, own)
        if isinstance(record, Chosen):
            return record._replace(note=f"{message}; {record.record} decides: {record.tag}")
        return NotChosen(policy._replace(on_error="keep"), "no-match", message)
    entry = max(entries, key=lambda one: one.since)
    if entry.image.rpartition("/")[2] != policy.repository.image.path.rpartition("/")[2]:
        message = f"lock {followed.lock} names {entry.image} for policy {followed.policy}, which is no {policy.repository.image.name}"
        return NotChosen(policy, "lock", message)
    selected = selection.select(policy.rules, tags)
    if selected.tag is None:
        return NotChosen(policy, "no-match", selected.message, selected)
    return Chosen(policy, entry.tag, digest=entry.digest, selection=selected, origin=entry)


def follow(
    choices: Mapping[PolicyKey, Choice], deployed: Deployed, listings: Listings, *, is_frozen: bool
) -> dict[PolicyKey, Choice]:
    """Choose for every deployed tag of the policies that follow it; every other choice stays as it is."""

    def one(policy: ImagePolicy, tag: str) -> Chosen | NotChosen:
        if is_frozen:
            return _locked(policy, tag, deployed.lock)
        if policy.rules.pins_current:
            return Chosen(policy, tag)
        return _after(policy, tag, listings[policy.repository], deployed.lock)

    return {
        key: choice._replace(choices={tag: one(choice.policy, tag) for tag in deployed.tags(choice.policy)})
        if isinstance(choice, Following)
        else choice
        for key, choice in choices.items()
    }


def _after(policy: ImagePolicy, tag: str, listing: Listing | RegistryError, lock: Lock | None) -> Chosen | NotChosen:
    """Choose what may follow a deployed tag; an unreachable registry gives way to a matching lock entry."""
    if isinstance(listing, RegistryError):
        if listing.failure not in PASSING or lock is None or lock.following(policy.key, tag) is None:
            return NotChosen(policy, listing.failure, str(listing), cause=listing)
        entry = _locked(policy, tag, lock)
        if isinstance(entry, Chosen):
            return entry._replace(note=f"{listing}; the lock decided instead: {entry.tag}", cause=listing)
        return NotChosen(policy, listing.failure, f"{listing}; no record stands in: {entry.message}", cause=listing)
    selection_of = selection.select(policy.rules, listing.tags, current=tag)
    if selection_of.tag is None:
        return NotChosen(policy, "no-match", selection_of.message, selection_of)
    listed, eligible = selection_of.listed + listing.left_out, selection_of.eligible
    return Chosen(
        policy, selection_of.tag, listed, eligible, selection=selection_of, stays=selection_of.message
    )  # fmt: skip


def _locked(policy: ImagePolicy, tag: str, lock: Lock | None) -> Chosen | NotChosen:
    """Return what the lock holds for a deployed tag: the entry made from it, or the one that led to it."""
    entry = lock.following(policy.key, tag) if lock else None
    if policy.rules.pins_current:
        return Chosen(policy, tag, record="the lock")
    if entry is None:
        return NotChosen(policy, "lock", f"the lock has no entry of tag {tag} for this policy: {_MEND} to add it")
    if entry.policy_hash != policy.hash:
        return _mismatch(policy, entry)
    if (refused := _other_requirements(policy, entry)) is not None:
        return refused
    if not entry.is_for(policy):
        message = (
            f"the lock names {entry.image}, and the policy chooses {policy.repository.image.name}: {_MEND} to renew it"
        )
        return NotChosen(policy, "lock", message)
    if selection.select(policy.rules, (entry.tag,), current=entry.from_tag).tag != entry.tag:
        message = f"the lock moves {entry.from_tag} to {entry.tag}, which the policy ({policy.described}) does not do: {_MEND} to renew it"
        return NotChosen(policy, "lock", message)
    if policy.digest_reflection != "Never" and entry.digest is None:
        return NotChosen(policy, "lock", f"the lock holds no digest, and the policy wants one: {_MEND} to renew it")
    digest = entry.digest if policy.digest_reflection != "Never" else None
    return Chosen(policy, entry.tag, entry.listed, entry.eligible, digest, record="the lock")


def _from(policy: ImagePolicy, listing: Listing, dates: Dates, lock: Lock | None) -> Choice:
    if policy.rules.needs_created:
        asked = (dates.get((policy.repository, tag)) for tag in listing.tags)
        failed = next((answer for answer in asked if isinstance(answer, RegistryError)), None)
        if failed is not None:
            return _without_registry(policy, failed, lock)
    selected = selection.select(policy.rules, listing.tags, created=lambda tag: str(dates[policy.repository, tag]))
    if selected.tag is None:
        return NotChosen(policy, "no-match", selected.message, selected)
    return Chosen(policy, selected.tag, selected.listed + listing.left_out, selected.eligible, selection=selected)


def _without_registry(policy: ImagePolicy, error: RegistryError, lock: Lock | None) -> Choice:
    if error.failure not in PASSING:
        return NotChosen(policy, error.failure, str(error), cause=error)
    record = recorded(policy, lock)
    if isinstance(record, Chosen):
        return record._replace(note=f"{error}; {record.record} decided instead: {record.tag}", cause=error)
    has_record = recall(policy, lock) is not None
    message = f"{error}; no record stands in: {record.message}" if has_record else str(error)
    return NotChosen(policy, error.failure, message, cause=error)


def _recorded_or_following(policy: ImagePolicy, lock: Lock | None) -> Choice:
    if not policy.rules.follows_current:
        return recorded(policy, lock)
    entry = lock.entry(policy.key) if lock else None
    is_stale = policy.rules.pins_current and entry is not None and entry.policy_hash != policy.hash
    return _mismatch(policy, entry) if is_stale and entry else Following(policy)


def recorded(policy: ImagePolicy, lock: Lock | None) -> Chosen | NotChosen:
    """Return what was decided earlier for this policy, if it was decided by the same rules."""
    entry = lock.entry(policy.key) if lock else None
    if entry is not None:
        return _entry(policy, entry)
    if policy.latest is not None and policy.rules_hash:
        message = f"status.latestRef does not say whether it met what is required here: {_MEND} to write a lock"
        return NotChosen(policy, "lock", message)
    if policy.latest is not None:
        return _latest(policy, policy.latest)
    message = f"the lock has no entry for this policy: {_MEND} to add it"
    none = f"there is no lock (an item of kind ImageLock), and mode frozen takes every choice from one: {_MEND} to write it"
    return NotChosen(policy, "lock", message if lock else none)


def _other_requirements(policy: ImagePolicy, entry: LockEntry) -> NotChosen | None:
    """Return the refusal of an entry that was made under other requirements than those of today."""
    if entry.rules_hash == policy.rules_hash:
        return None
    hashes = f"rulesHash {entry.rules_hash or 'none'}, now {policy.rules_hash or 'none'}"
    return NotChosen(policy, "lock", f"the lock was made under other requirements ({hashes}): {_MEND} to renew it")


def _mismatch(policy: ImagePolicy, entry: LockEntry) -> NotChosen:
    rules = f"policyHash {entry.policy_hash}, now {policy.hash}"
    return NotChosen(policy, "lock", f"the lock was made by other rules ({rules}): {_MEND} to renew it")


def _entry(policy: ImagePolicy, entry: LockEntry) -> Chosen | NotChosen:
    if entry.policy_hash != policy.hash:
        return _mismatch(policy, entry)
    if (refused := _other_requirements(policy, entry)) is not None:
        return refused
    choice = _accepted(policy, LatestRef(entry.image, entry.tag, entry.digest), "the lock")
    return choice._replace(listed=entry.listed, eligible=entry.eligible) if isinstance(choice, Chosen) else choice


def _latest(policy: ImagePolicy, latest: LatestRef) -> Chosen | NotChosen:
    return _accepted(policy, latest, "status.latestRef")


def _accepted(policy: ImagePolicy, latest: LatestRef, record: str) -> Chosen | NotChosen:
    """Check that a record is one that the policy could have made; a hand-edited one is not."""
    message = ""
    if recall(policy._replace(latest=latest), None) is None:
        message = f"{record} names {latest.name}, and the policy chooses {policy.repository.image.name}"
    elif not selection.accepts(policy.rules, latest.tag):
        message = f"{record} holds tag {latest.tag}, which the policy ({policy.described}) does not accept"
    elif policy.digest_reflection != "Never" and latest.digest is None and policy.rules.followed is None:
        message = f"{record} holds no digest, and the policy wants one"
    if message:
        return NotChosen(policy, "lock", f"{message}: {_MEND} to renew it")
    return Chosen(
        policy, latest.tag, 0, 0, latest.digest if policy.digest_reflection != "Never" else None, record=record
    )
