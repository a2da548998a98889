"""What `check` finds out about every image: what `update --within` would write, what lies beyond, and what keeps a field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.access import Listing
from krmfn.commands.remembering import plan
from krmfn.errors import RegistryError
from krmfn.inventory import files, signed
from krmfn.inventory.signed import UNJUDGED as OF_THE_CLUSTER
from krmfn.inventory.signed import Subject
from krmfn.kubernetes.places import COUNTS, OVERRIDDEN, UNJUDGED, Place, Slot
from krmfn.model import Chosen, ImagePolicy, PassedOver, PolicyKey
from krmfn.plan.current import current_tag
from krmfn.plan.records import by_policy
from krmfn.plan.resolve import ask
from krmfn.plan.unnamed import named_images, with_unnamed
from krmfn.policies.newer import Newer, newer, state
from krmfn.policies.selection import left_over

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.image import ImageRef
    from krmfn.outcome import Run
    from krmfn.plan.tag_source import TagSource


class Fate(NamedTuple):
    """What an update does with a place: the tag that it writes, and whether it only pins; whose policy it is, what keeps it.

    `passed_over` are better tags that may not run now, best first.
    """

    tag: str | None = None
    pins: bool = False
    policy: PolicyKey | None = None
    kept: str = ""
    passed_over: tuple[PassedOver, ...] = ()


class Verdict(NamedTuple):
    """What was found out about one image and all places that name it and fare alike. `now` is the digest of the tag today."""

    ref: ImageRef
    places: tuple[Place, ...]
    newer: Newer
    listed: int = 0
    is_gone: bool = False
    is_digest_gone: bool = False
    now: str | None = None
    error: RegistryError | None = None
    fate: Fate = Fate()
    signed: Subject | None = None
    """The judgement of its digest, where a signature is required; None where none is, or where the cluster chooses."""
    is_unjudged: bool = False
    """True if a signature is required, and the cluster chooses the version."""

    @property
    def is_asked(self) -> bool:
        """True when the version of any place is a tag or digest that decides about what runs."""
        return any(place.state == COUNTS for place in self.places)

    @property
    def has_drifted(self) -> bool:
        """True when the tag points to another digest than the pinned one."""
        return self.now is not None and self.now != self.ref.digest

    @property
    def has_update(self) -> bool:
        """True when an update inside the bound writes something."""
        return self.fate.tag is not None

    @property
    def beyond(self) -> str | None:
        """The newest tag, when an update does not write it."""
        return self.newer.newest if self.newer.newest != self.fate.tag else None

    @property
    def states(self) -> tuple[str, ...]:
        """The words of the STATE column."""
        if not self.is_asked:
            return (shown(self.places[0]), *((OF_THE_CLUSTER,) if self.is_unjudged else ()))
        signed = self.signed.word if self.signed else ""
        kept = filter(None, (signed, self.fate.kept, *(one.state for one in self.fate.passed_over[:1])))
        if self.error:
            return (state(self.ref), "unknown", *kept)
        more = (("drifted", self.has_drifted), ("not listed", self.is_gone), ("digest gone", self.is_digest_gone))
        return (state(self.ref), *(word for word, holds in more if holds), *kept)


def shown(place: Place) -> str:
    """Return why an image is shown and not asked about."""
    return f"overridden by {place.by}" if place.state == OVERRIDDEN else place.state


def judge(
    tree: files.Tree, places: Sequence[Place], config: Config, source: TagSource
) -> tuple[list[Verdict], Run]:
    """Ask about every image once, and say what an update with this configuration would write.

    Ranges, variables, ignored and overridden fields are shown and not asked about.
    """
    rules = with_unnamed(config, places, config.settings.unnamed) if config.settings.unnamed else config
    run = plan(tree, rules, source)
    rows = _rows(places, _Fates(config, run))
    known = {repository.image.canonical: listing for repository, listing in run.listings.items()}
    repositories = {one.ref: config.repository(one.ref) for one in rows if one.is_asked}
    missing = [repository for repository in repositories.values() if repository.image.canonical not in known]
    asked = ask(missing, source.tags)
    listings = known | {repository.image.canonical: listing for repository, listing in asked.items()}
    pins = {(repositories[ref], ref.tag) for ref in repositories if ref.digest and ref.tag}
    digests = ask([pin for pin in sorted(pins, key=str) if pin not in run.answers], lambda pin: source.digest(*pin))
    answers = {**run.answers, **digests}
    # What a pin holds is asked for only where its tag points elsewhere: a digest that is still a tag's is surely there.
    moved = {
        (repositories[ref], ref.digest)
        for ref in repositories
        if ref.digest
        and isinstance(listings[ref.canonical], Listing)  # a repository that could not be listed says nothing of digests
        and answers.get((repositories[ref], ref.tag or "")) != ref.digest
    }
    held = ask(sorted(moved, key=str), lambda pin: source.digest(*pin))
    gone = {pin for pin, answer in held.items() if isinstance(answer, RegistryError) and answer.failure == "not-found"}

    def judged(row: Verdict) -> Verdict:
        ref, repository = row.ref, repositories[row.ref]
        policy = config.policies.get(row.fate.policy) if row.fate.policy else None
        digest = answers.get((repository, ref.tag or "")) if ref.digest else None
        verdict = _verdict(row, listings[ref.canonical], policy, digest)
        return verdict._replace(is_digest_gone=(repository, ref.digest) in gone)

    verdicts = [judged(row) if row.is_asked else row for row in rows]
    return sorted(_with_signatures(verdicts, config, run.source), key=lambda one: one.ref.name), run


def _rows(places: Sequence[Place], fates: _Fates) -> list[Verdict]:
    """Return a row for each image and fate, with all places that share them; nothing is known of it yet.

    An overridden place fares as what overrides it: it joins the row of its image, also one that comes later.
    """
    alike: dict[tuple[ImageRef, str, str, Fate], list[Place]] = {}
    for place in (*places, *fates.beside(places)):
        if place.ref is not None and place.state != UNJUDGED:
            standing = "" if place.state in (COUNTS, OVERRIDDEN) else place.state
            fate = fates.of(place) if place.state == COUNTS else Fate()
            key = (place.ref, standing, place.constraint, fate)
            lone = (*key[:3], Fate())
            if place.state == OVERRIDDEN:
                key = next((one for one in alike if one[:3] == key[:3]), key)
            elif fate != Fate() and all(one.state == OVERRIDDEN for one in alike.get(lone, [place])):
                alike[key] = alike.pop(lone)
            alike.setdefault(key, []).append(place)
    return [Verdict(ref, tuple(some), Newer(), fate=fate) for (ref, _, _, fate), some in alike.items()]


def _with_signatures(rows: Sequence[Verdict], config: Config, source: TagSource) -> list[Verdict]:
    """Return the rows with who signed what runs, where that is required."""
    if not signed.wants_signatures(config):
        return list(rows)
    asked = signed.judged([signed.Subject(one.ref, one.places) for one in rows if one.is_asked], config, None, source)
    subjects = {one.ref: one for one in asked}
    unjudged = signed.of_the_cluster((place for one in rows for place in one.places), config)
    return [one._replace(signed=subjects.get(one.ref), is_unjudged=one.ref in unjudged) for one in rows]


def _verdict(
    row: Verdict, listing: Listing | RegistryError, policy: ImagePolicy | None, digest: str | RegistryError | None
) -> Verdict:
    if isinstance(listing, RegistryError):
        return row._replace(error=listing)
    current = row.ref.tag or ("" if row.ref.digest else "latest")
    is_gone = bool(current) and current not in listing.tags
    failed = digest if isinstance(digest, RegistryError) and not is_gone else None
    return row._replace(
        newer=newer(current, left_over(policy.rules, listing.tags) if policy else listing.tags), listed=len(listing.tags), is_gone=is_gone,
        now=digest if isinstance(digest, str) else None, error=failed,
    )  # fmt: skip


class _Fates:
    """Looks up what a run does with a place."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config, self.run, self.named = config, run, named_images(config)
        self.choices = by_policy(run.choices, run.wanted)
        self.changes = {(id(one.target.resource.block.text), one.target.scalar.start): one for one in run.changes}
        self.targets = {(id(one.resource.block.text), one.scalar.start): one for one in run.bound.targets}
        self.kept = {
            (one.file.path, one.file.line, one.file.column)
            for one in run.results
            if one.file and one.code in ("downgrade", "pin-kept")
        }

    def beside(self, places: Sequence[Place]) -> list[Place]:
        """Return the fields that an update writes and that are no image by themselves, such as a lone tag with a marker."""
        counting = (place for place in places if place.ref is not None and place.state == COUNTS)
        seen = {key for place in counting for key in _keys(place)}
        written = []
        for key, change in self.changes.items():
            if key not in seen:
                target, scalar = change.target, change.target.scalar
                ref = change.policy.repository.image._replace(tag=current_tag(target, change.policy), digest=None)
                slots = (Slot(target.setter.part, scalar),)
                written.append(Place("bound", target.resource, scalar.path, scalar.start, scalar.value, ref, slots))
        return written

    def of(self, place: Place) -> Fate:
        """Return what becomes of a place."""
        fate = self._fate(place)
        tag = place.ref.tag if place.ref else None
        judged = self.run.judgement(fate.policy, tag or "") if fate.policy else None
        passed = judged.passed_over if judged and tag not in judged.refused else ()
        return fate._replace(passed_over=passed) if passed else fate

    def _fate(self, place: Place) -> Fate:
        keys = _keys(place)
        change = next((self.changes[key] for key in keys if key in self.changes), None)
        target = next((self.targets[key] for key in keys if key in self.targets), None)
        policy = self._policy(place, target.setter.policy.plain if target else None)
        if change is not None:
            current = place.ref.tag if place.ref else None
            tag = change.chosen.tag if change.chosen else current or "latest"
            return Fate(tag, tag == (current or "latest"), policy)
        text = place.resource.block.text
        if any((text.name, *text.locate(start)) in self.kept for _, start in keys):
            return Fate(policy=policy, kept="kept")
        if policy is None:
            return Fate(kept="" if place.is_written else "not sure")
        if policy not in self.config.policies:
            return Fate(policy=policy, kept="suspended")
        return Fate(policy=policy, kept="" if target or not self._differs(place, policy) else "not bound")

    def _policy(self, place: Place, bound: PolicyKey | None) -> PolicyKey | None:
        if bound is not None:
            return bound if bound in self.config.policies else None
        return self.named.get(place.ref.canonical) if place.ref else None

    def _differs(self, place: Place, policy: PolicyKey) -> bool:
        choices = self.choices.get(policy)
        tag = place.ref.tag if place.ref else None
        return choices is None or any(not isinstance(one, Chosen) or one.tag != tag for one in choices.values())


def _keys(place: Place) -> list[tuple[int, int]]:
    """Return what identifies the scalars of a place: their text, and where they start in it."""
    starts = (place.start, *(slot.scalar.start for slot in place.slots))
    return [(id(place.resource.block.text), start) for start in starts]
