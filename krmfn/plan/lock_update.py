"""*renew*: what the lock is to hold after a run. Pure; entries change only when a decision does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from krmfn.config.lock import Lock, LockEntry
from krmfn.model import Choice, Chosen, PolicyKey
from krmfn.plan.records import Pins, Renewal, Written
from krmfn.policies.number import moment


def renew(
    lock: Lock | None,
    choices: Mapping[PolicyKey, Mapping[str, Choice]],
    pins: Pins,
    held: Collection[PolicyKey],
    declared: Collection[PolicyKey],
    now: float | None = None,
    written: Written | None = None,
) -> Renewal:
    """Compute the new lock. What was not decided anew keeps its entries, policies that exist no more lose theirs.

    Nobody knows which policies exist when `declared` is empty; then none loses anything. `now` is since when a new tag or
    digest is recorded, `written` the fields that get their tags in this run.
    """
    old = lock.all if lock else ()
    fresh: dict[PolicyKey, list[LockEntry]] = {}
    for key, by_tag in choices.items():
        # What stood in for a registry, failed or is guarded was not decided anew, so that the entry of before says more.
        if key in held or any(not isinstance(one, Chosen) or one.record for one in by_tag.values()):
            continue
        decided = list(dict.fromkeys(_entries(by_tag, lock, pins)))
        if None not in decided:
            fresh[key] = [entry for entry in decided if entry]
    before = {entry.place: entry for entry in old}
    entries = [entry for entry in old if entry.policy not in fresh and (entry.policy.plain in declared or not declared)]
    for new in fresh.values():
        entries += (_dated(entry, before.get(entry.place), lock, now, written or {}) for entry in new)
    return _compared(old, tuple(sorted(entries, key=lambda entry: entry.place)))


def _entries(choices: Mapping[str, Choice], lock: Lock | None, pins: Pins) -> Iterator[LockEntry | None]:
    """Yield the entries of one policy; None where the digest that it wants is not known."""
    for from_tag, chosen in choices.items():
        if not isinstance(chosen, Chosen):
            continue
        policy = chosen.policy
        moves_on = policy.rules.follows_current and not policy.rules.pins_current
        digest = pins.digests.get((policy.key, chosen.tag))
        if not isinstance(digest, str) and ((policy.reflects and not policy.rules.followed) or digest is not None):
            yield None
            continue
        known = digest if isinstance(digest, str) else None
        entry = LockEntry(
            policy.key, policy.repository.image.name, chosen.tag, policy.hash, known, chosen.listed, chosen.eligible,
            from_tag if moves_on else "", policy.rules_hash, str(chosen.passed_over[0]) if chosen.passed_over else "",
            verified_by=chosen.verified_by,
        )  # fmt: skip
        led_here = [one for one in lock.of(policy.key) if one.tag == from_tag] if lock and moves_on else []
        if led_here and chosen.tag == from_tag:
            # The field already holds what was chosen: the entries that led to it stay, by today's rules.
            yield from (entry._replace(from_tag=one.from_tag) for one in led_here)
        else:
            yield entry


def _dated(entry: LockEntry, old: LockEntry | None, lock: Lock | None, now: float | None, written: Written) -> LockEntry:
    """Keep an entry whose decision is the same, its time as long as tag and digest stay, and the fields that it was written into."""
    entry = old if old and _decided(old) == _decided(entry) else entry  # other counts alone are no change
    before = [one for one in lock.of(entry.policy) if (one.from_tag, one.tag) == (entry.from_tag, entry.tag)] if lock else []
    places = {*written.get((entry.policy, entry.tag), ()), *(place for one in before for place in one.written)}
    is_same = bool(before) and before[0].digest == entry.digest
    since = before[0].since if is_same else moment(now) if now is not None else ""
    by, at = (before[0].verified_by, before[0].verified_at) if is_same else ("", "")
    if entry.verified_by and entry.verified_by != by:
        by, at = entry.verified_by, moment(now) if now is not None else ""
    return entry._replace(since=since, written=tuple(sorted(places)), verified_by=by, verified_at=at)


def _decided(entry: LockEntry) -> tuple[str | None, ...]:
    return entry.image, entry.tag, entry.policy_hash, entry.digest, entry.rules_hash, entry.passed_over


def _compared(old: tuple[LockEntry, ...], new: tuple[LockEntry, ...]) -> Renewal:
    """Pair entries of one policy: a policy that had one and has one changed, whatever its tag."""
    there, stays = set(new), set(old)
    gone: dict[PolicyKey, list[LockEntry]] = {}
    for entry in old:
        if entry not in there:
            gone.setdefault(entry.policy, []).append(entry)
    changed: list[tuple[LockEntry, LockEntry]] = []
    added: list[LockEntry] = []
    for entry in new:
        if entry in stays:
            continue
        if gone.get(entry.policy):
            changed.append((gone[entry.policy].pop(0), entry))
        else:
            added.append(entry)
    return Renewal(new, tuple(changed), tuple(added), tuple(entry for left in gone.values() for entry in left))
