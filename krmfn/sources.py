"""Where tags come from, wired: snapshots that travel as items first, then a layout tree or the registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from krmfn.config import Config
from krmfn.lock import Snapshot
from krmfn.model import Listing, Repository
from krmfn.resolve import StaticTags, TagSource

Progress = Callable[[str, str, int], None]


class Sources:
    """The source of one run. What stands behind the snapshots is opened when it is first asked, imports included."""

    def __init__(self, config: Config, environment: Mapping[str, str], progress: Progress | None = None) -> None:
        self._config, self._environment, self._progress = config, environment, progress
        self._snapshots = static(config.snapshots)

    @cached_property
    def _behind(self) -> TagSource:
        settings = self._config.settings
        if settings.layout is not None:
            from krmfn.layout import LayoutSource

            return LayoutSource(Path(settings.layout))
        from krmfn.oci import RegistrySource, Settings

        return RegistrySource(Settings.of(self._environment, mirrors=settings.mirrors, progress=self._progress))

    def _snapshot(self, repository: Repository) -> Snapshot | None:
        return self._config.snapshots.get(repository.image.canonical)

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        return (self._snapshots if self._snapshot(repository) else self._behind).tags(repository)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest. A snapshot without this digest asks what stands behind it."""
        snapshot = self._snapshot(repository)
        return (self._snapshots if snapshot and snapshot.tags.get(tag) else self._behind).digest(repository, tag)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created. A snapshot without this time asks what stands behind it."""
        snapshot = self._snapshot(repository)
        return (self._snapshots if snapshot and tag in snapshot.created else self._behind).created(repository, tag)


def static(snapshots: Mapping[str, Snapshot]) -> StaticTags:
    """Make a source of snapshots."""
    tags = {image: snapshot.tags for image, snapshot in snapshots.items()}
    created = {(image, tag): when for image, one in snapshots.items() for tag, when in one.created.items()}
    return StaticTags(tags, created)
