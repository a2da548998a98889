"""Where tags come from, wired: snapshots that travel as items first, then a layout tree or the registries."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from krmfn.config.loading import Config
from krmfn.config.lock import Snapshot
from krmfn.errors import PASSING, RegistryError
from krmfn.model import Listing, Repository
from krmfn.plan.resolve import Inspection, Needs, StaticTags, TagSource
from krmfn.sources.registry.limits import Settings

if TYPE_CHECKING:
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted

Progress = Callable[[str, str, int], None]
_LACKS = {"digest": "digest", "created": "creation time"}


class Sources:
    """The source of one run. What stands behind the snapshots is opened when it is first asked, imports included.

    Raises ConfigError for variables that are wrong, whether anybody is going to be asked or not.
    """

    def __init__(self, config: Config, environment: Mapping[str, str], progress: Progress | None = None) -> None:
        self._config = config
        self._registries = Settings.of(environment, mirrors=config.settings.mirrors, progress=progress)
        self._snapshots = static(config.snapshots)
        self._lock = allocate_lock()
        self._opened: TagSource | None = None

    @property
    def _behind(self) -> TagSource:
        """The one source that all threads ask."""
        with self._lock:
            self._opened = self._opened or self._open()
            return self._opened

    def _open(self) -> TagSource:
        settings = self._config.settings
        if settings.layout is not None:
            from pathlib import Path

            from krmfn.sources.layout import LayoutSource

            within = None if settings.layout_provenance.is_machine else Path.cwd()
            return LayoutSource(Path(settings.layout), within)
        from krmfn.sources.registry_source import RegistrySource

        return RegistrySource(self._registries)

    def _snapshot(self, repository: Repository) -> Snapshot | None:
        return self._config.snapshots.get(repository.image.canonical)

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        snapshot = self._snapshot(repository)
        if snapshot is None:
            return self._behind.tags(repository)
        return self._snapshots.tags(repository)._replace(left_out=snapshot.listed - len(snapshot.tags))

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest. A snapshot without this digest asks what stands behind it."""
        snapshot = self._snapshot(repository)
        if snapshot and snapshot.tags.get(tag):
            return self._snapshots.digest(repository, tag)
        return self._ask_behind(snapshot, "digest", repository, tag)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created. A snapshot without this time asks what stands behind it."""
        snapshot = self._snapshot(repository)
        if snapshot and tag in snapshot.created:
            return self._snapshots.created(repository, tag)
        return self._ask_behind(snapshot, "created", repository, tag)

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect. No snapshot tells what images hold."""
        try:
            return self._behind.inspect(repository, tag, needs)
        except RegistryError as error:
            if self._snapshot(repository) is None or error.failure not in (*PASSING, "not-found"):
                raise
            message = f"{error.message}; no TagSnapshot holds that: krmfn fetch writes what it decided into the lock, for mode frozen"
            raise RegistryError(error.failure, error.repository, message, status=error.status, code=error.code) from None

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify. No snapshot holds signatures."""
        return self._behind.verify(repository, digest, wanted)

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return self._opened.notes() if self._opened else ()

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """Return the image's labels; a repository that comes from a snapshot has none, as nobody is to be asked."""
        if self._snapshot(repository) is not None:
            return {}
        labels: Mapping[str, str] = self._behind.labels(repository, tag)  # type: ignore[attr-defined]
        return labels

    def _ask_behind(self, snapshot: Snapshot | None, what: str, repository: Repository, tag: str) -> str:
        """Ask the registry or layout for what a snapshot lacks; when that fails, say what the snapshot lacks too."""
        try:
            answer: str = getattr(self._behind, what)(repository, tag)
        except RegistryError as error:
            if snapshot is None:
                raise
            lacks = (
                f"{error.message}; the TagSnapshot holds no {_LACKS[what]} of tag {tag}: run krmfn fetch on the package"
            )
            raise RegistryError(error.failure, error.repository, lacks, status=error.status, code=error.code) from None
        return answer


def static(snapshots: Mapping[str, Snapshot]) -> StaticTags:
    """Make a source of snapshots."""
    tags = {image: snapshot.tags for image, snapshot in snapshots.items()}
    created = {(image, tag): when for image, one in snapshots.items() for tag, when in one.created.items()}
    return StaticTags(tags, created)
