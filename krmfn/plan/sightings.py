"""*record*: when tags and digests were seen for the first time, written down by `krmfn fetch`. Pure.

Asked are the digests of the best five tags of each policy under an age and of what is deployed, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from krmfn.access import Listing, Repository
from krmfn.config.first_seen import Seen, merge
from krmfn.config.snapshot import Snapshot
from krmfn.model import Choice, Chosen, ImagePolicy
from krmfn.policies import selection
from krmfn.policies.reason import ELIGIBLE

if TYPE_CHECKING:
    from krmfn.plan.current import Deployed
    from krmfn.plan.records import Answers, Dates, Listings
    from krmfn.policies.rules import Rules
    from krmfn.policies.selection import Selection

BEST = 5


def is_recorded(policy: ImagePolicy, before: Mapping[str, Snapshot], *, is_bootstrap: bool) -> bool:
    """True if first sightings of the policy's repository are written down: an age counts there, or they were before."""
    old = before.get(policy.repository.image.canonical)
    return bool(policy.rules_hash) or is_bootstrap or (old is not None and old.time is not None)


def to_look_at(
    choices: Iterable[Choice], deployed: Deployed, dates: Dates, before: Mapping[str, Snapshot], *, is_bootstrap: bool
) -> list[tuple[Repository, str]]:
    """Return the (repository, tag) pairs whose digests tell whether a tag was pushed again."""
    questions: list[tuple[Repository, str]] = []
    for one in choices:
        policy = one.policy
        if not isinstance(one, Chosen) or policy.rules.followed or not is_recorded(policy, before, is_bootstrap=is_bootstrap):
            continue
        if policy.rules.pins_current:
            questions.append((policy.repository, one.tag))
        elif one.selection is not None:
            running = set(deployed.tags(policy)).intersection(one.selection.tags)
            questions += [(policy.repository, tag) for tag in (*_best(one, one.selection, dates), *sorted(running))]
    return list(dict.fromkeys(questions))


def _best(chosen: Chosen, selected: Selection, dates: Dates) -> Iterator[str]:
    """Yield the best tags of a policy, best first."""
    rules, repository = chosen.policy.rules, chosen.policy.repository
    left = [tag for tag, reason in zip(selected.tags, selected.reasons, strict=True) if reason in ELIGIBLE]
    current = selected.tag if rules.follows_current else None
    return best(rules, left, BEST, lambda tag: str(dates.get((repository, tag), "")), current)


def best(
    rules: Rules, tags: Iterable[str], count: int, created: Callable[[str], str] | None = None, current: str | None = None
) -> Iterator[str]:
    """Yield the best tags by some rules, best first."""
    left = list(tags)
    # Policies choose one tag and order no others, so that the next best is the best of what is left.
    for _ in range(count):
        top = selection.select(rules, left, created=created, current=current).tag
        if top is None or top not in left:
            return
        yield top
        left.remove(top)


def record(
    policies: Iterable[ImagePolicy], listings: Listings, looked: Answers, before: Mapping[str, Snapshot], now: float,
    *, is_bootstrap: bool,
) -> dict[str, Snapshot]:  # fmt: skip
    """Return what is known of every repository, with all that was seen now added; by canonical name."""
    snapshots = dict(before)
    digests: dict[Repository, dict[str, str]] = {}
    for (repository, tag), answer in looked.items():
        digests.setdefault(repository, {}).update({tag: answer} if isinstance(answer, str) else {})
    for policy in (one for one in policies if is_recorded(one, before, is_bootstrap=is_bootstrap)):
        image, listing, mine = policy.repository.image.canonical, listings.get(policy.repository), digests.get(policy.repository, {})
        if listing is None and policy.rules.pins_current:  # nobody lists for it, so nothing vanishes
            listing = Listing(tuple(sorted({*mine, *(snapshots[image].tags if image in snapshots else ())})))
        if isinstance(listing, Listing):
            snapshots[image] = seen_now(snapshots.get(image), before.get(image), image, listing, mine, now, is_bootstrap=is_bootstrap)
    return snapshots


def seen_now(
    known: Snapshot | None, old: Snapshot | None, image: str, listing: Listing, digests: Mapping[str, str], now: float,
    *, is_bootstrap: bool,
) -> Snapshot:  # fmt: skip
    """Return what is known of a repository with what it offers now; `old` is what was written before."""
    # At a bootstrap everything that is there counts as seen long ago: nobody would wait for tags that run for years.
    is_old = is_bootstrap and old is None
    fresh = {tag: Seen(now, ((digests[tag], now),) if tag in digests else (), is_old) for tag in listing.tags}
    seen = merge(known.seen if known else {}, fresh)
    tags = {tag: digests.get(tag) or (known.tags.get(tag) if known else None) for tag in listing.tags}
    gone = frozenset(seen) - frozenset(tags)
    base = known or Snapshot(image, {}, {})
    return base._replace(tags=tags, seen=seen, gone=gone, time=now)


def written(fresh: Snapshot, recorded: Snapshot, old: Snapshot | None, *, is_decided_anew: bool) -> Snapshot:
    """Return what the TagSnapshot is to hold: the tags that policies can use and all that were recorded before.

    `spec.time` moves only when anything else does, or when a decision did.
    """
    kept = set(fresh.tags) | (set(old.seen) if old else set())
    tags = {tag: fresh.tags.get(tag) or digest for tag, digest in recorded.tags.items() if tag in kept}
    seen = {tag: one for tag, one in recorded.seen.items() if tag in tags or tag in recorded.gone}
    snapshot = fresh._replace(tags=tags, seen=seen, gone=recorded.gone, time=recorded.time, listed=max(fresh.listed, len(tags)))
    if old is None or old.time is None or is_decided_anew:
        return snapshot
    is_same = (old.tags, old.created, dict(old.seen), old.gone) == (snapshot.tags, snapshot.created, snapshot.seen, snapshot.gone)
    return snapshot._replace(time=old.time, listed=old.listed) if is_same else snapshot
