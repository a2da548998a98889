"""The door to registries: cheap to import; requests, oras and ssl come in with the first question."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from krmfn.sources.registry.limits import Progress, Settings

if TYPE_CHECKING:
    from krmfn.access import Listing, Repository
    from krmfn.plan.inspection import Inspection, Needs
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted
    from krmfn.sources.manifest import Image
    from krmfn.sources.registry.attachments import Attachments
    from krmfn.sources.registry.pushing import Pusher
    from krmfn.sources.registry.source import Source

__all__ = ["Progress", "RegistrySource", "Settings"]


class RegistrySource:
    """Tags straight from registries. A TagSource; raises RegistryError only; safe to call from threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: Source | None = None

    def _source(self) -> Source:
        with self._lock:
            if self._opened is None:
                from krmfn.sources.registry.source import Source

                self._opened = Source(self._settings)
            return self._opened

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        return self._source().tags(repository)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest."""
        return self._source().digest(repository, tag)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created; `YYYY-MM-DDTHH:MM:SSZ`, so that the texts sort by time."""
        return self._source().image(repository, tag).created_or_error()

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect."""
        return self._source().inspect(repository, tag, needs)

    def image(self, repository: Repository, reference: str) -> Image:
        """Return what a tag or digest offers."""
        return self._source().image(repository, reference)

    def platforms(self, repository: Repository, tag: str) -> tuple[str, ...]:
        """List the platforms of the image, sorted: `linux/amd64`, `linux/arm/v7`."""
        return self._source().image(repository, tag).platforms

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """Return the image's labels, and over them the annotations of its manifest and index."""
        return self._source().image(repository, tag).labels

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """Return whether a digest is signed as it must be."""
        from krmfn.signatures.verifying import verify

        return verify(digest, self._source().attachments(repository), wanted)

    def attachments(self, repository: Repository) -> Attachments:
        """Return what reads the artefacts of a repository."""
        return self._source().attachments(repository)

    def pusher(self, repository: Repository) -> Pusher:
        """Return what pushes to a repository."""
        return self._source().pusher(repository)

    @property
    def requests(self) -> int:
        """Count the HTTP requests sent so far, retries and token requests included."""
        return self._opened.requests if self._opened else 0

    def notes(self) -> tuple[str, ...]:
        """List what went wrong on the side without failing anything: a helper that broke, a bad docker config."""
        return self._opened.notes() if self._opened else ()

    def close(self) -> None:
        """End everything under way and close all connections."""
        with self._lock:
            if self._opened:
                self._opened.close()
