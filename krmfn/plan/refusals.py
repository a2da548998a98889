"""Why a tag may not run now: held, too young, not whole. What is known is judged first; the source is asked about one tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config.first_seen import latest
from krmfn.config.require import DIGEST, needed_platforms, step
from krmfn.errors import RegistryError, RegistryFailure
from krmfn.model import Choice, Chosen, ImagePolicy, PassedOver
from krmfn.plan.current import Deployed
from krmfn.plan.inspection import Lack, Needs
from krmfn.plan.resolve import answer
from krmfn.policies.number import moment, read_time

if TYPE_CHECKING:
    from krmfn.config.first_seen import Seen
    from krmfn.config.lock import LockEntry
    from krmfn.config.require import Age
    from krmfn.config.settings import Settings
    from krmfn.config.snapshot import Snapshot
    from krmfn.plan.records import Dates
    from krmfn.plan.tag_source import TagSource
    from krmfn.policies.protocol import Followed

_FETCH = "run krmfn fetch on the package"
_WAITS = "waits for krmfn fetch"
_EPOCH = 1356998400.0
"""The year 2013, before which there were no such images: an earlier `created` only says that the build is reproducible."""


class Facts(NamedTuple):
    """What the judgement of a run rests on."""

    settings: Settings
    evidence: Mapping[str, Snapshot]
    source: TagSource
    dates: Dates = MappingProxyType({})
    deployed: Deployed = Deployed((), {})
    is_limited: bool = False
    """Only so many policies may change at a time."""
    in_build: bool = False
    """Results reach no file, so that what runs is known from the lock alone: kustomize called."""
    is_fetch: bool = False

    def running(self, policy: ImagePolicy) -> tuple[str, ...]:
        """Return the tags of a policy that run; where what is written reaches no field, the lock says it."""
        return self.deployed.running(policy, in_build=self.in_build or self.is_fetch)

    def now(self, image: str | None = None) -> float | None:
        """Return the time: what was set, else that of the repository's own snapshot, or of the newest one."""
        if self.settings.now is not None:
            return self.settings.now
        if image is not None:
            return self.evidence[image].time if image in self.evidence else None
        return latest(one.time for one in self.evidence.values())


def shut(policy: ImagePolicy, facts: Facts) -> PassedOver | None:
    """Return that the windows of a policy are closed now, about no tag; None when they are open. Frozen, the lock decides."""
    now = facts.now()
    if not policy.windows or now is None or facts.settings.ignore_windows or facts.settings.mode == "frozen":
        return None
    from krmfn.config.windows import opening

    opens = opening(policy.windows, now)
    if opens == now:
        return None
    if opens is None:
        return PassedOver("", "its window is closed, and will not open in sight", "window", None, "window closed")
    return PassedOver("", f"its window is closed, opens {moment(opens)}", "window", opens, f"waits until {moment(opens)}")


def waits(choice: Choice) -> bool:
    """True if a policy that follows another environment has to wait for what that holds: then no field of it is written."""
    return choice.policy.rules.followed is not None and isinstance(choice, Chosen) and bool(choice.passed_over)


class Unjudged(NamedTuple):
    """A tag about which the source could not answer."""

    tag: str
    error: RegistryError


class Refusals:
    """Judges single tags of one policy. `deployed` are the tags that run, which tell how large a step is."""

    def __init__(self, policy: ImagePolicy, facts: Facts, deployed: Sequence[str] = ()) -> None:
        self.policy, self.facts, self.deployed = policy, facts, deployed
        image = policy.repository.image.canonical
        self.snapshot, self.now = facts.evidence.get(image), facts.now(image)
        self.holds = [one for one in policy.holds if one.is_in_force(facts.now())]
        self.skipped = {one.skip: one for one in self.holds if one.skip}
        self.no_wait = {one.no_wait for one in self.holds if one.no_wait}
        self.signed = tuple(one for one in policy.requirements if one.verify)
        self.verified: dict[str, tuple[str, str]] = {}
        """The digest of every tag that was verified, and who signed it, for people."""
        self.origin: LockEntry | None = None
        """The record of another environment whose tag and digest are to run here."""
        self.is_dated = any(one.verify.identities for one in self.signed if one.verify and one.tells_time)
        """A signature may tell since when a digest is there."""
        self.signed_since: dict[str, float] = {}
        """The earliest signed time of every digest that was verified."""
        self.needs = Needs(needed_platforms(policy.requirements), any(one.pullable for one in policy.requirements))

    def known(self, tag: str) -> PassedOver | None:
        """Return why a tag may not run now, as far as that is known without asking anybody; None when nothing is known."""
        young = self._too_young(tag)
        hold = self.skipped.get(tag)
        if hold is None:
            return young
        times = [time for time in (hold.until, young.eligible_at if young else None) if time is not None]
        is_timed = hold.until is not None and (young is None or young.eligible_at is not None)
        return PassedOver(tag, hold.described, "hold", max(times) if is_timed else None, hold.state)

    def _ages(self, tag: str) -> list[Age]:
        """Return the age rules that count for a tag: none where a hold says not to wait."""
        return [] if tag in self.no_wait else [one.age for one in self.policy.requirements if one.age]

    def _wait(self, tag: str) -> tuple[int, bool]:
        """Return the seconds that a tag has to wait, and whether all rules that want it to take `created` for evidence."""
        # Of several tags that run the largest step counts: what is a patch for one field is a minor version for the next.
        steps = {step(other, tag) for other in self.deployed if other != tag} or {""}
        waits = [(max(age.of(name) for name in steps), age.by_created) for age in self._ages(tag)]
        return max((wait for wait, _ in waits), default=0), all(by_created for wait, by_created in waits if wait)

    def _seen(self, tag: str) -> Seen | None:
        return self.snapshot.seen.get(tag) if self.snapshot else None

    def _too_young(self, tag: str, digest: str | None = None) -> PassedOver | None:
        """Return why a tag is too young by what is recorded of it; `digest` is what it is now, if that was asked."""
        (wait, is_by_created), seen = self._wait(tag), self._seen(tag)
        if not wait:
            return None
        recorded = self.snapshot.tags.get(tag) if self.snapshot else None
        if seen and digest and not seen.has(digest):
            # A tag that was pushed again is a new image under an old name: what was seen of the name says nothing of it.
            if digest in self.signed_since:
                return self._until(tag, self.signed_since[digest] + wait)
            why = f"too young: it was pushed again since it was seen, as {digest[:19]}: {_FETCH}"
            return PassedOver(tag, why, "age", None, _WAITS)
        if seen and seen.is_old(digest or recorded):
            return None
        since = seen.since(digest or recorded) if seen else None
        if since is None and self.origin is not None:
            since = read_time(self.origin.since)  # there it was recorded, so somebody saw it
        if since is not None:
            return self._until(tag, since + wait)
        if self.is_dated or is_by_created:
            return None  # `looked` asks for that
        return self._untold(tag, "nothing tells since when it is there")

    @staticmethod
    def _untold(tag: str, why: str) -> PassedOver:
        return PassedOver(tag, f"too young for all that is known: {why}: {_FETCH}", "age", None, _WAITS)

    def soaking(self, followed: Followed) -> PassedOver | None:
        """Return why what another environment recorded may not run here yet; None once it is recorded for as long as it has to be."""
        origin, now = self.origin, self.facts.now()
        assert origin is not None  # noqa: S101 - set before
        since, tag = read_time(origin.since) if origin.since else None, origin.tag
        if since is None:
            why = f"lock {followed.lock} does not tell since when it holds it: {_FETCH} where it is decided"
            return PassedOver(tag, why, "soak", None, _WAITS)
        if now is not None and now >= since + followed.soak:
            return None
        end = moment(since + followed.soak)
        return PassedOver(tag, f"soaks in lock {followed.lock} since {moment(since)}, eligible {end}", "soak", since + followed.soak, f"soaks until {end}")

    def _until(self, tag: str, eligible: float) -> PassedOver | None:
        if self.now is not None and self.now >= eligible:
            return None
        time = moment(eligible)
        return PassedOver(tag, f"too young, eligible {time}", "age", eligible, f"waits until {time}")

    def looked(self, tag: str) -> PassedOver | Unjudged | None:
        """Ask the source for what is not known yet, no more than is needed: age, parts, then who signed it."""
        return self._inspected(tag) or self._unsigned(tag)

    def of_record(self, tag: str, record: str) -> tuple[str, str]:
        """Return code and reason why a record may not decide; empty when it may. Whoever may change a lock writes what he likes."""
        if self.policy.is_verified and self.facts.settings.mode != "frozen":
            why = f"{record} stands in for the registry, and proves no signature of tag {tag} outside of mode frozen"
            return "not-judged", why
        skipped = self.skipped.get(tag)
        return ("held", f"{record} holds tag {tag}, which is {skipped.described}: {_FETCH} to renew it") if skipped else ("", "")

    def _unsigned(self, tag: str) -> PassedOver | Unjudged | None:
        """Return what of its digest is not signed as it must be; None, and the digest in `verified`, when all is."""
        if not self.signed or tag in self.verified:
            return None
        digest = self._digest(tag)
        if not isinstance(digest, str):
            return digest
        signers: list[str] = []
        for one in self.signed:
            assert one.verify is not None  # noqa: S101 - `signed` holds no other
            verdict = self.facts.source.verify(self.policy.repository, digest, one.verify)
            if verdict.state == "unavailable":
                return Unjudged(tag, RegistryError("unavailable", self.policy.repository.image.canonical, verdict.why))
            if verdict.state != "passed" and one.on_unverified != "next":
                failure: RegistryFailure = "integrity" if one.on_unverified == "fail" else "unavailable"
                return Unjudged(tag, RegistryError(failure, self.policy.repository.image.canonical, verdict.why))
            if verdict.state != "passed":
                return PassedOver(tag, verdict.why, "verify", None, "not signed" if verdict.state == "missing" else "bad signature")
            if verdict.signature is not None and one.tells_time:
                self.signed_since[digest] = min(verdict.signature.time, self.signed_since.get(digest, verdict.signature.time))
            signers.append(verdict.signer)
        self.verified[tag] = digest, ", ".join(dict.fromkeys(signers))
        return None

    def _digest(self, tag: str) -> str | PassedOver | Unjudged:
        """Return the digest that a tag has now, or why it may not run without one."""
        if self.origin is not None and self.origin.digest:
            return self.origin.digest
        digest = answer(self.facts.source.digest, self.policy.repository, tag)
        if not isinstance(digest, RegistryError):
            return digest
        return self._incomplete(tag, (Lack("manifest", tag),)) if digest.failure == "not-found" else Unjudged(tag, digest)

    def _inspected(self, tag: str) -> PassedOver | Unjudged | None:
        """Return why a tag may not run by what the source tells of it: its parts, and whether it is still what was seen."""
        digest = None
        if self.needs != Needs():
            inspection = answer(self.facts.source.inspect, self.policy.repository, tag, self.needs)
            if isinstance(inspection, RegistryError):
                return Unjudged(tag, inspection)
            if inspection.lacks:
                return self._incomplete(tag, inspection.lacks)
            digest = inspection.digest
        (wait, is_by_created), seen = self._wait(tag), self._seen(tag)
        if not wait:
            return None
        if seen is None or seen.first is None:
            return self._by_signature(tag, wait, is_by_created=is_by_created)
        if not seen.digests:
            return None
        if digest is None:
            now = self._digest(tag)
            if not isinstance(now, str):
                return now
            digest = now
        refusal = None if seen.has(digest) or not self.is_dated else self._unsigned(tag)
        return refusal or self._too_young(tag, digest)

    def _by_signature(self, tag: str, wait: int, *, is_by_created: bool) -> PassedOver | Unjudged | None:
        """Judge a tag that nobody saw for the first time by the time of a signature that passed, else by `created` where that counts."""
        refusal = self._unsigned(tag) if self.is_dated else None
        if refusal is not None:
            return refusal
        digest, _ = self.verified.get(tag, ("", ""))
        since = self.signed_since.get(digest) or (read_time(self.origin.since) if self.origin else None)
        if since is not None:
            return self._until(tag, since + wait)
        return self._by_created(tag, wait) if is_by_created else self._untold(tag, "nothing tells since when it is there")

    def _by_created(self, tag: str, wait: int) -> PassedOver | Unjudged | None:
        time = answer(self.facts.source.created, self.policy.repository, tag)
        if isinstance(time, RegistryError):
            return self._untold(tag, "its image tells no time") if time.failure == "not-found" else Unjudged(tag, time)
        created = read_time(time)
        if created is None or created < _EPOCH:
            return self._untold(tag, f"its image tells {time}, which is no time of a build")
        return self._until(tag, created + wait)

    def moved(self, tag: str, digest: str) -> PassedOver | None:
        """Return why a tag that stays may not take this digest yet; None when it may."""
        if (closed := shut(self.policy, self.facts)) is not None:
            return closed._replace(tag=tag)
        ages, seen = self._ages(tag), self._seen(tag)
        wait = max((age.of(DIGEST) for age in ages), default=0)
        if not wait or (seen and seen.digests and seen.is_old(digest)):
            return None
        since = dict(seen.digests).get(digest) if seen else None
        if since is None and self.is_dated and self._unsigned(tag) is None and self.verified.get(tag, ("",))[0] == digest:
            since = self.signed_since.get(digest)
        if since is not None:
            return self._until(tag, since + wait)
        if not all(age.by_created for age in ages):
            return self._untold(tag, "nobody saw its new digest yet")
        refusal = self._by_created(tag, wait)
        return PassedOver(tag, f"not judged: {refusal.error}", "age", None, "not judged") if isinstance(refusal, Unjudged) else refusal

    def _incomplete(self, tag: str, lacks: Sequence[Lack]) -> PassedOver:
        why = ", ".join(map(str, lacks))
        is_platform = lacks[0].kind == "platform"
        return PassedOver(tag, why, "platforms" if is_platform else "pullable", None, why if is_platform else "not pullable")
