"""*resolve*: ask each repository once, several at a time; a failure of one is an answer, not an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from krmfn.errors import RegistryError
from krmfn.model import Listing, Repository

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class TagSource(Protocol):
    """Where tags come from. Every method raises RegistryError and nothing else; all may be called from threads."""

    def tags(self, repository: Repository) -> Listing:
        """List every tag of the repository, valid by the OCI grammar, sorted and without repeats."""
        ...

    def digest(self, repository: Repository, tag: str) -> str:
        """Return the digest that the tag points to; for a multi-platform image that of the index."""
        ...

    def created(self, repository: Repository, tag: str) -> str:
        """Return when the image was built, as RFC 3339 text in UTC."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return what deserves a warning although the answers came: a credential helper that broke, a bad docker config."""
        ...


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

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return ()


def ask(questions: Iterable[Key], question: Callable[[Key], Answer], workers: int) -> dict[Key, Answer | RegistryError]:
    """Ask every distinct question once, at most `workers` at a time, and keep the order of first mention."""
    todo = list(dict.fromkeys(questions))

    def one(key: Key) -> Answer | RegistryError:
        try:
            return question(key)
        except RegistryError as error:
            return error

    if len(todo) < 2 or workers < 2:
        return {key: one(key) for key in todo}
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(workers, len(todo)))
    try:
        return dict(zip(todo, pool.map(one, todo), strict=True))
    finally:  # answers are all in, or somebody pressed Ctrl-C and will not wait for a silent registry
        pool.shutdown(wait=False, cancel_futures=True)
