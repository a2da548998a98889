"""*decide*: for every policy one choice, or the reason why there is none. Pure: listings and locks in, choices out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from krmfn.access import Listing, Repository
from krmfn.config.locks import Locks
from krmfn.errors import PASSING, RegistryError
from krmfn.model import Choice, ChoiceKey, Choices, Chosen, ImagePolicy, LatestRef, NotChosen
from krmfn.plan.current import recall
from krmfn.plan.resolve import ask
from krmfn.policies import selection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock, LockEntry
    from krmfn.plan.current import Deployed
    from krmfn.plan.records import Dates, Listings, Moment, Scope
    from krmfn.plan.tag_source import TagSource
    from krmfn.policies.protocol import Followed

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


def listed(scope: Scope, source: TagSource) -> tuple[Listings, Dates]:
    """Ask for the tags that policies choose from, and for the times of those that need one; frozen, nobody is asked."""
    if scope.is_frozen:
        return {}, {}
    listings = ask(to_list(scope.wanted), source.tags)
    return listings, ask(to_date(scope.wanted, listings), lambda moment: source.created(*moment))


def decide(
    policies: Iterable[ImagePolicy], listings: Listings, dates: Dates, lock: Lock | None, locks: Locks = NO_LOCKS, *, is_frozen: bool = False
) -> dict[ChoiceKey, Choice]:
    """Choose for every policy from what its repository listed; an unreachable registry gives way to a matching record.

    A policy that follows another environment chooses from its lock, which is one of `locks`. Frozen, every choice is taken from
    the own lock, or from `status.latestRef`; what is missing there or was made by other rules is an error. Policies that follow what
    is deployed have no choice before that is known: see `follow`.
    """
    if is_frozen:
        recorded_choices = ((policy.key, _recorded_or_following(policy, lock)) for policy in policies)
        return {(key, ""): choice for key, choice in recorded_choices if choice is not None}
    choices: dict[ChoiceKey, Choice] = {}
    for policy in policies:
        choice = _choice(policy, listings, dates, lock, locks)
        if choice is not None:
            choices[policy.key, ""] = choice
    return choices


def _choice(policy: ImagePolicy, listings: Listings, dates: Dates, lock: Lock | None, locks: Locks) -> Choice | None:
    """Return the choice of a policy; None for one that follows what is deployed."""
    if policy.rules.followed is not None:
        return _promoted(policy, policy.rules.followed, locks, lock)
    if policy.rules.follows_current:
        return None
    listing = listings[policy.repository]
    if isinstance(listing, Listing) and policy.rules.needs_created:
        asked = (dates.get((policy.repository, tag)) for tag in listing.tags)
        listing = next((answer for answer in asked if isinstance(answer, RegistryError)), listing)
    if isinstance(listing, RegistryError):
        record = recorded(policy, lock)
        has_record = isinstance(record, Chosen) or recall(policy, lock) is not None
        return _without_registry(policy, listing, record if has_record else None)
    return _selected(policy, listing, created=lambda tag: str(dates[policy.repository, tag]))


def _selected(
    policy: ImagePolicy, listing: Listing, *, created: Callable[[str], str] | None = None, current: str | None = None
) -> Choice:
    selected = selection.select(policy.rules, listing.tags, created=created, current=current)
    if selected.tag is None:
        return NotChosen(policy, "no-match", selected.message, selected)
    listed, eligible = selected.listed + listing.left_out, selected.eligible
    return Chosen(policy, selected.tag, listed, eligible, selection=selected, stays=selected.message)


def _without_registry(policy: ImagePolicy, error: RegistryError, record: Choice | None) -> Choice:
    """Let a record stand in for a registry whose failure passes; None where there is no record."""
    if record is None or error.failure not in PASSING:
        return NotChosen(policy, error.failure, str(error), cause=error)
    if isinstance(record, Chosen):
        return record._replace(note=f"{error}; {record.record} decided instead: {record.tag}", cause=error)
    return NotChosen(policy, error.failure, f"{error}; no record stands in: {record.message}", cause=error)


def _promoted(policy: ImagePolicy, followed: Followed, locks: Locks, own: Lock | None) -> Choice:
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
    # Several locks of that name are one here: it soaks from the last place that moved. Between environments an image may be
    # mirrored, so that only the last part of its name has to be the same.
    entry = max(entries, key=lambda one: one.since)
    if entry.image.rpartition("/")[2] != policy.repository.image.path.rpartition("/")[2]:
        message = f"lock {followed.lock} names {entry.image} for policy {followed.policy}, which is no {policy.repository.image.name}"
        return NotChosen(policy, "lock", message)
    selected = selection.select(policy.rules, tags)
    if selected.tag is None:
        return NotChosen(policy, "no-match", selected.message, selected)
    return Chosen(policy, entry.tag, digest=entry.digest, selection=selected, origin=entry)


def follow(choices: Choices, scope: Scope, deployed: Deployed, listings: Listings) -> dict[ChoiceKey, Choice]:
    """Choose for every deployed tag of the policies that follow it; every other choice stays as it is."""
    lock = scope.lock

    def after(policy: ImagePolicy, tag: str) -> Choice:
        if scope.is_frozen:
            return _locked(policy, tag, lock)
        if policy.rules.pins_current:
            return Chosen(policy, tag)
        listing = listings[policy.repository]
        if isinstance(listing, RegistryError):
            return _without_registry(policy, listing, _locked(policy, tag, lock) if lock and lock.following(policy.key, tag) else None)
        return _selected(policy, listing, current=tag)

    every: dict[ChoiceKey, Choice] = {}
    for policy in scope.wanted:
        if (policy.key, "") in choices:  # not only of other policies: frozen, a stale entry of a digest policy is refused for all fields
            every[policy.key, ""] = choices[policy.key, ""]
        elif policy.rules.follows_current:
            every |= {(policy.key, tag): after(policy, tag) for tag in deployed.tags(policy)}
    return every


def _locked(policy: ImagePolicy, tag: str, lock: Lock | None) -> Choice:
    """Return what the lock holds for a deployed tag: the entry made from it, or the one that led to it."""
    entry = lock.following(policy.key, tag) if lock else None
    if policy.rules.pins_current:
        return Chosen(policy, tag, record="the lock")
    if entry is None:
        return NotChosen(policy, "lock", f"the lock has no entry of tag {tag} for this policy: {_MEND} to add it")
    if (refused := _stale(policy, entry)) is not None:
        return refused
    wants_digest = policy.digest_reflection != "Never"
    message = ""
    if not entry.is_for(policy):
        message = f"the lock names {entry.image}, and the policy chooses {policy.repository.image.name}"
    elif selection.select(policy.rules, (entry.tag,), current=entry.from_tag).tag != entry.tag:
        message = f"the lock moves {entry.from_tag} to {entry.tag}, which the policy ({policy.rules.described}) does not do"
    elif wants_digest and entry.digest is None:
        message = "the lock holds no digest, and the policy wants one"
    if message:
        return NotChosen(policy, "lock", f"{message}: {_MEND} to renew it")
    return Chosen(policy, entry.tag, entry.listed, entry.eligible, entry.digest if wants_digest else None, record="the lock")


def _recorded_or_following(policy: ImagePolicy, lock: Lock | None) -> Choice | None:
    if not policy.rules.follows_current:
        return recorded(policy, lock)
    entry = lock.entry(policy.key) if lock and policy.rules.pins_current else None
    return _stale(policy, entry) if entry and entry.policy_hash != policy.hash else None


def recorded(policy: ImagePolicy, lock: Lock | None) -> Choice:
    """Return what was decided earlier for this policy, if it was decided by the same rules."""
    entry = lock.entry(policy.key) if lock else None
    if entry is not None:
        return _stale(policy, entry) or _accepted(policy, LatestRef(entry.image, entry.tag, entry.digest), "the lock", entry)
    if policy.latest is not None and policy.rules_hash:
        message = "status.latestRef does not say whether it met what is required here"
        return NotChosen(policy, "lock", f"{message}: {_MEND} to write a lock")
    if policy.latest is not None:
        return _accepted(policy, policy.latest, "status.latestRef")
    message = f"the lock has no entry for this policy: {_MEND} to add it"
    none = f"there is no lock (an item of kind ImageLock), and mode frozen takes every choice from one: {_MEND} to write it"
    return NotChosen(policy, "lock", message if lock else none)


def _stale(policy: ImagePolicy, entry: LockEntry) -> NotChosen | None:
    """Return the refusal of an entry that was made by other rules, or under other requirements, than those of today."""
    message = ""
    if entry.policy_hash != policy.hash:
        message = f"the lock was made by other rules (policyHash {entry.policy_hash}, now {policy.hash})"
    elif entry.rules_hash != policy.rules_hash:
        hashes = f"rulesHash {entry.rules_hash or 'none'}, now {policy.rules_hash or 'none'}"
        message = f"the lock was made under other requirements ({hashes})"
    return NotChosen(policy, "lock", f"{message}: {_MEND} to renew it") if message else None


def _accepted(policy: ImagePolicy, latest: LatestRef, record: str, entry: LockEntry | None = None) -> Choice:
    """Check that a record is one that the policy could have made; a hand-edited one is not."""
    wants_digest = policy.digest_reflection != "Never"
    message = ""
    if not policy.is_for(latest.name):
        message = f"{record} names {latest.name}, and the policy chooses {policy.repository.image.name}"
    elif not selection.accepts(policy.rules, latest.tag):
        message = f"{record} holds tag {latest.tag}, which the policy ({policy.rules.described}) does not accept"
    elif wants_digest and latest.digest is None and policy.rules.followed is None:
        message = f"{record} holds no digest, and the policy wants one"
    if message:
        return NotChosen(policy, "lock", f"{message}: {_MEND} to renew it")
    listed, eligible = (entry.listed, entry.eligible) if entry else (0, 0)
    return Chosen(policy, latest.tag, listed, eligible, latest.digest if wants_digest else None, record=record)
