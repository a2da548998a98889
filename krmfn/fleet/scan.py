"""Scanning a lane: every repository is listed, digests are asked where they tell something, and shards are written.

Tags count as first seen at the plan's time, so that equal answers give equal bytes whenever they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, TypeVar

from krmfn.access import Listing, Repository
from krmfn.config.snapshot import Snapshot
from krmfn.diagnostics import misconfigured
from krmfn.errors import PASSING, RegistryError, RulesError
from krmfn.fleet.journal import Journal
from krmfn.image import parse_repository
from krmfn.plan.resolve import ask
from krmfn.plan.sightings import BEST, best, seen_now
from krmfn.policies.newer import newer
from krmfn.policies.number import moment
from krmfn.policies.rules import parse_rules

if TYPE_CHECKING:
    from krmfn.fleet.plan import Lane, Plan, Shard, Use
    from krmfn.fleet.store import Store
    from krmfn.plan.tag_source import TagSource

BATCH = 250
"""Repositories of one run of the client, whose limits on tags and bytes are those of a run."""
_ROUNDS = 100
"""How often repositories are asked that a rate limit kept out, while any of them still gets an answer."""
DAY = 86400.0
"""Seconds that a plan may be old when its scan begins: what is new by then counts as seen at the plan's time."""

Earlier = Callable[[Iterable[str]], Mapping[str, Snapshot]]
"""Returns what the last scan knew of repositories."""
Open: TypeAlias = "Callable[[], TagSource]"
Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Progress(NamedTuple):
    """How far a lane is, in repositories."""

    host: str
    done: int
    whole: int
    failed: int


Failures = Mapping[str, RegistryError]
Tell = Callable[[Progress], None]


def passing(failures: Failures) -> tuple[str, ...]:
    """Return the repositories whose failure may pass by itself: they are worth asking again."""
    return tuple(image for image, error in failures.items() if error.failure in PASSING)


def check_age(plan: Plan, store: Store, lane: Lane, now: float) -> None:
    """Refuse to begin with a plan of long ago, or of the future. Raise ConfigError."""
    if (store.folder / lane.folder).is_dir() or plan.now <= now <= plan.now + DAY:
        return
    why = "in the future" if now < plan.now else "more than a day old"
    raise misconfigured(
        f"the plan of {moment(plan.now)} is {why} (now is {moment(now)}): tags would count as first seen at a wrong time; "
        "make a new plan, or set KRMFN_NOW"
    )


def scan(plan: Plan, lane: Lane, store: Store, open_source: Open, earlier: Earlier, tell: Tell, *, is_bootstrap: bool = False) -> Failures:
    """Do what is left of a lane, and return why repositories could not be asked. Raise InputError, ConfigError.

    A host that answers for nothing in a shard is left alone: the next run begins with the shards that are not there.
    """
    whole, done = sum(len(one.images) for one in lane.shards), 0
    failures: dict[str, RegistryError] = {}
    for shard in lane.shards:
        work = _Work(plan.now, shard, store.read(lane, shard), is_bootstrap=is_bootstrap)
        left = work.todo
        for start in range(0, len(left), BATCH):
            source = open_source()
            journal = Journal(store.path(lane, shard, "journal"), source, store.plan_digest)
            try:
                at = Progress(lane.host, done + len(shard.images) - len(left) + start, whole, len(failures))
                work.do(left[start : start + BATCH], journal, earlier, at, tell)
            finally:
                journal.close()
                getattr(source, "close", lambda: None)()
        if left:
            store.write(lane, shard, work.snapshots.values(), work.failed)
        done += len(shard.images)
        failures |= work.failed
        tell(Progress(lane.host, done, whole, len(failures)))
        if left and passing(work.failed) == left:  # nothing of the shard was answered: the host is down
            break
    return failures


class _Work:
    """What is left to do of one shard, and what came out of it."""

    def __init__(self, now: float, shard: Shard, there: tuple[dict[str, Snapshot], dict[str, RegistryError]] | None, *, is_bootstrap: bool) -> None:
        """`there` is what an earlier run of this plan wrote: only what may pass by itself is asked again."""
        self.now, self.shard, self.is_bootstrap = now, shard, is_bootstrap
        self.snapshots, self.failed = there or ({}, {})
        self.todo = tuple(shard.images) if there is None else passing(self.failed)

    def do(self, images: Sequence[str], journal: Journal, earlier: Earlier, at: Progress, tell: Tell) -> None:
        """Ask about some repositories. Raise ConfigError."""
        before = earlier(images)
        _refuse_the_past(self.now, before)
        repositories = {image: Repository(parse_repository(image)) for image in images}
        counted = count(1)

        def listed(image: str) -> Listing:
            listing = journal.tags(repositories[image])
            tell(at._replace(done=at.done + next(counted)))
            return listing

        listings = _patiently(images, listed)
        questions = [
            (image, tag)
            for image, listing in listings.items()
            if isinstance(listing, Listing)
            for tag in _telling(self.shard.images[image], listing.tags)
        ]
        answers = _patiently(questions, lambda question: journal.digest(repositories[question[0]], question[1]))
        digests: dict[str, dict[str, str | RegistryError]] = {image: {} for image in images}
        for (image, tag), answer in answers.items():
            digests[image][tag] = answer
        for image in images:
            self._take(image, listings[image], digests[image], before.get(image))

    def _take(self, image: str, listing: Listing | RegistryError, digests: Mapping[str, str | RegistryError], old: Snapshot | None) -> None:
        """Note what is known of a repository now; one that could not be asked is as it was."""
        # A digest that is gone or denied is left out; a failure that may pass leaves the whole repository to do.
        errors = (one for one in (listing, *digests.values()) if isinstance(one, RegistryError))
        failure = next((one for one in errors if one is listing or one.failure in PASSING), None)
        self.failed.pop(image, None)
        if failure is not None:
            self.failed[image] = failure
            self.snapshots |= {image: old} if old else {}
        elif isinstance(listing, Listing):
            known = {tag: digest for tag, digest in digests.items() if isinstance(digest, str)}
            self.snapshots[image] = seen_now(old, old, image, listing, known, self.now, is_bootstrap=self.is_bootstrap)


def _refuse_the_past(now: float, earlier: Mapping[str, Snapshot]) -> None:
    late = next((one for one in earlier.values() if one.time is not None and one.time > now), None)
    if late is not None and late.time is not None:
        raise misconfigured(f"the scan that this one is to go on from saw {late.image} at {moment(late.time)}, and the plan is of {moment(now)}: make a new plan")


def _telling(use: Use, tags: Sequence[str]) -> list[str]:
    """Return the tags whose digests are asked: what is deployed, what it could become, and the best of each policy."""
    telling = [one for tag in use.tags for one in (tag, *newer(tag, tags))]
    for text in use.rules:
        telling += _best(text, use.tags, tags)
    there = set(tags)
    return [tag for tag in dict.fromkeys(telling) if tag in there]


def _best(text: str, deployed: Sequence[str], tags: Sequence[str]) -> Iterator[str]:
    """Yield the best tags by the rules of a policy; rules that this krmfn does not know have none."""
    data = json.loads(text)
    try:
        rules = parse_rules(
            data.get("policy"), filter_tags=data.get("filterTags"), exclusion_list=data.get("exclusionList"),
            allow_tags=data.get("allowTags", ()), ignore_tags=data.get("ignoreTags", ()),
        )  # fmt: skip
    except (RulesError, AttributeError):
        return
    if not (rules.needs_created or rules.pins_current or rules.followed):
        for current in deployed if rules.follows_current else (None,):
            yield from best(rules, tags, BEST, current=current)


def _patiently(questions: Sequence[Key], question: Callable[[Key], Answer]) -> dict[Key, Answer | RegistryError]:
    """Ask, and ask again who was kept out by a rate limit, as long as anybody is let in."""
    answers = ask(questions, question)
    # The client waits as Retry-After says, and gives up in the end; a round in which any got an answer was worth it.
    for _ in range(_ROUNDS):
        again = ask([key for key, one in answers.items() if _is_kept_out(one)], question)
        answers |= again
        if all(map(_is_kept_out, again.values())):
            break
    return answers


def _is_kept_out(answer: object) -> bool:
    return isinstance(answer, RegistryError) and answer.failure == "rate-limited"
