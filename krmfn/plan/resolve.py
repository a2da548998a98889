"""*resolve*: ask each repository once, several at a time; a failure of one is an answer, not an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from krmfn.access import Listing, Repository
from krmfn.errors import RegistryError
from krmfn.singleflight import Once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from krmfn.config.snapshot import Snapshot
    from krmfn.plan.inspection import Inspection, Needs
    from krmfn.plan.records import Scope
    from krmfn.plan.tag_source import TagSource
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

    Key = TypeVar("Key")
    Answer = TypeVar("Answer")

WORKERS = 8


class StaticTags:
    """A source that is plain data: repositories by canonical name, each a mapping of tag to digest or None.

    Serves tests and everything that must not touch a network. An absent repository is `not-found`.
    """

    def __init__(
        self,
        tags: Mapping[str, Mapping[str, str | None]],
        created: Mapping[tuple[str, str], str] | None = None,
        failures: Mapping[str, RegistryError] | None = None,
    ) -> None:
        self._tags, self._created, self._failures = tags, created or {}, failures or {}

    def _of(self, repository: Repository) -> Mapping[str, str | None]:
        name = repository.image.canonical
        if name in self._failures:
            raise self._failures[name]
        if name not in self._tags:
            raise RegistryError("not-found", name, "no tags are known for this repository")
        return self._tags[name]

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        return Listing(tuple(sorted(self._of(repository))))

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        known = self._of(repository).get(tag)
        if known is None:
            raise RegistryError("not-found", repository.image.canonical, f"no digest is known for tag {tag}")
        return known

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created."""
        time = self._created.get((repository.image.canonical, tag))
        if time is None:
            raise RegistryError("not-found", repository.image.canonical, f"no creation time is known for tag {tag}")
        return time

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect. Plain data says nothing of what images are made of."""
        message = f"nothing is known of what tag {tag} holds ({', '.join(needs.platforms) or 'layers'})"
        raise RegistryError("unavailable", repository.image.canonical, message)

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify. Plain data holds no signatures."""
        from krmfn.signatures.verifying import Verdict

        del wanted
        return Verdict("unavailable", f"nothing is known of the signatures of {repository.image.name}@{digest[:19]}")

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return ()


class Remembered:
    """A source that asks another one each question once, failures too, and repeats what it was told."""

    def __init__(self, source: TagSource) -> None:
        self._source = source
        self._told = Once()

    def _ask(self, question: Callable[..., Answer], *about: object) -> Answer:
        key = (question.__name__, *about)
        reply = self._told.get(key, lambda: answer(question, *about))
        if isinstance(reply, RegistryError):
            raise reply
        return reply

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        return self._ask(self._source.tags, repository)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        return self._ask(self._source.digest, repository, tag)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created."""
        return self._ask(self._source.created, repository, tag)

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect. The digest that was looked at is not asked for again."""
        inspection = self._ask(self._source.inspect, repository, tag, needs)
        if inspection.digest is not None:
            self._told.get(("digest", repository, tag), lambda: inspection.digest)
        return inspection

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify."""
        return self._ask(self._source.verify, repository, digest, wanted)

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return self._source.notes()

    def sighted(self, scope: Scope) -> Scope:
        """Add the first sightings that the source knows of besides the items; few sources do. Frozen, nobody is asked."""
        if scope.is_frozen:
            return scope
        seen = self.recorded(policy.repository for policy in scope.wanted)
        evidence = {**seen, **scope.rules.evidence}
        return scope._replace(rules=scope.rules._replace(evidence=evidence)) if seen else scope

    def recorded(self, repositories: Iterable[Repository]) -> Mapping[str, Snapshot]:
        """Return what the source knows of first sightings, which may be one that remembers, too."""
        recorded = getattr(self._source, "recorded", None)
        return recorded(repositories) if recorded else {}

    def digests(self, pins: Iterable[tuple[Repository, str]]) -> dict[tuple[Repository, str], str | RegistryError]:
        """Return the digests of several tags."""
        return ask(pins, lambda pin: self.digest(*pin))


def answer(question: Callable[..., Answer], *about: object) -> Answer | RegistryError:
    """Ask one question; a failure is an answer."""
    try:
        return question(*about)
    except RegistryError as error:
        return error


def ask(questions: Iterable[Key], question: Callable[[Key], Answer], workers: int = WORKERS) -> dict[Key, Answer | RegistryError]:
    """Ask every distinct question once, at most `workers` at a time, and keep the order of first mention."""
    todo = list(dict.fromkeys(questions))

    def asked(key: Key) -> Answer | RegistryError:
        return answer(question, key)

    if len(todo) < 2 or workers < 2:
        return {key: asked(key) for key in todo}
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(workers, len(todo)))
    try:
        return dict(zip(todo, pool.map(asked, todo), strict=True))
    finally:  # answers are all in, or somebody pressed Ctrl-C and will not wait for a silent registry
        pool.shutdown(wait=False, cancel_futures=True)
