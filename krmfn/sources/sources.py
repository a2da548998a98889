"""Where tags come from, wired: snapshots that travel as items first, then a layout tree or the registries."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from krmfn.access import Listing, Repository
from krmfn.diagnostics import misconfigured
from krmfn.errors import PASSING, RegistryError, RegistryFailure
from krmfn.globs import is_about_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.config.snapshot import Snapshot
    from krmfn.image import ImageRef
    from krmfn.plan.inspection import Inspection, Needs
    from krmfn.plan.tag_source import TagSource
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted
    from krmfn.sources.artifact import Artifact
    from krmfn.sources.manifest import Image
    from krmfn.sources.registry.limits import Progress, Settings
    from krmfn.sources.registry.source import RegistrySource

_Ask = Callable[[Repository, str], str]
_RESTRICTIONS = ("KRMFN_ALLOWED_REGISTRIES", "KRMFN_TRUST_CONFIG")
"""The variables of which an entry may be wrong."""


class Sources:
    """The source of one run. What stands behind the snapshots is opened when it is first asked, imports included.

    Raises ConfigError for variables that are wrong, whether anybody is going to be asked or not.
    """

    def __init__(self, config: Config, environment: Mapping[str, str], progress: Progress | None = None) -> None:
        self._config = config
        self._environment, self._progress = environment, progress
        if any(environment.get(name) for name in _RESTRICTIONS):
            self._limits()
        self._scan = scan_of(config)
        self._artifact: Artifact | None = None
        self._lock = allocate_lock()
        self._opened: TagSource | None = None

    def _limits(self) -> Settings:
        """Return what the run allows itself at registries."""
        from krmfn.sources.registry.limits import Settings

        return Settings.of(self._environment, mirrors=self._config.settings.mirrors, progress=self._progress)

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
        from krmfn.sources.registry.source import RegistrySource

        return RegistrySource(self._limits())

    def _snapshot(self, repository: Repository) -> Snapshot | None:
        """Return what travels among the items, else what the scan of the fleet knows. Raises RegistryError."""
        snapshot = self._config.snapshots.get(repository.image.canonical)
        return self.scan.known(repository) if snapshot is None and self._scan is not None else snapshot

    @property
    def scan(self) -> Artifact:
        """The scan of the fleet, of which nothing is fetched before it is needed."""
        with self._lock:
            if self._artifact is None and self._scan is not None:
                self._artifact = self._open_artifact(self._scan)
        if self._artifact is None:
            raise TypeError("no scan is configured")
        return self._artifact

    def _open_artifact(self, image: ImageRef) -> Artifact:
        from krmfn.sources.artifact import Artifact
        from krmfn.sources.registry.source import RegistrySource

        registries = RegistrySource(self._limits())
        bare = self._config.repository(image)
        attachments = registries.attachments(bare)
        return Artifact(image, partial(self._verified, image, bare, registries), attachments.manifest, attachments.blob)

    def _verified(self, image: ImageRef, bare: Repository, registries: RegistrySource) -> str:
        """Return the digest of the scan: its own, or that of its tag if it is signed as the rules from outside want it."""
        if image.digest:
            return image.digest
        digest = registries.digest(bare, image.tag or "")
        for wanted in _wanted_outside(self._config, image):
            verdict = registries.verify(bare, digest, wanted)
            if verdict.state != "passed":
                wrong = f"not signed as the rules from outside (--rules) want it: {verdict.why}"
                failure: RegistryFailure = "unavailable" if verdict.state == "unavailable" else "denied"
                raise RegistryError(failure, image.canonical, f"the scan oci://{image} is {digest}, and {wrong}")
        return digest

    def recorded(self, repositories: Iterable[Repository]) -> dict[str, Snapshot]:
        """Return what the scan of the fleet, if there is one, knows of first sightings; what it cannot tell is told with the tags."""
        known: dict[str, Snapshot] = {}
        for repository in repositories if self._scan is not None else ():
            try:
                known[repository.image.canonical] = self.scan.known(repository)
            except RegistryError:
                continue
        return known

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""
        snapshot = self._snapshot(repository)
        if snapshot is None:
            return self._behind.tags(repository)
        return Listing(tuple(sorted(snapshot.tags)), left_out=snapshot.listed - len(snapshot.tags))

    def _may_tell_digests(self, repository: Repository) -> bool:
        """True unless it comes from a scan that is named by its tag: what that says of digests is asked again."""
        return repository.image.canonical in self._config.snapshots or self._scan is None or self._scan.digest is not None

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest. A snapshot without this digest asks what stands behind it."""
        snapshot = self._snapshot(repository)
        # Whoever may push the tag of a scan could name other content by a digest of its own.
        known = snapshot.tags.get(tag) if snapshot and self._may_tell_digests(repository) else None
        return known or self._ask_behind(snapshot, "digest", self._behind.digest, repository, tag)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created. A snapshot without this time asks what stands behind it."""
        snapshot = self._snapshot(repository)
        if snapshot and tag in snapshot.created:
            return snapshot.created[tag]
        return self._ask_behind(snapshot, "creation time", self._behind.created, repository, tag)

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect. No snapshot tells what images hold."""
        try:
            return self._behind.inspect(repository, tag, needs)
        except RegistryError as error:
            if self._snapshot(repository) is None or error.failure not in (*PASSING, "not-found"):
                raise
            message = f"{error.message}; no TagSnapshot holds that: krmfn fetch writes what it decided into the lock, for mode frozen"
            raise error.reworded(message, error.common) from None

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify. No snapshot holds signatures."""
        return self._behind.verify(repository, digest, wanted)

    def describe(self, repository: Repository, digest: str) -> tuple[tuple[str, ...], str]:
        """Return the platforms of an image, and when it says that it was created; empty where it does not."""
        image = self._image(repository, digest)
        return image.platforms, image.created

    def notes(self) -> tuple[str, ...]:
        """See TagSource.notes."""
        return self._opened.notes() if self._opened else ()

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """Return the image's labels; a repository that comes from a snapshot has none, as nobody is to be asked."""
        return {} if self._snapshot(repository) is not None else self._image(repository, tag).labels

    def _image(self, repository: Repository, tag: str) -> Image:
        image: Image = self._behind.image(repository, tag)  # type: ignore[attr-defined]
        return image

    def _ask_behind(self, snapshot: Snapshot | None, lack: str, ask: _Ask, repository: Repository, tag: str) -> str:
        """Ask the registry or layout for what a snapshot lacks; when that fails, say what the snapshot lacks too."""
        try:
            return ask(repository, tag)
        except RegistryError as error:
            if snapshot is None:
                raise
            advice = "run krmfn fetch on the package"
            message = f"{error.message}; the TagSnapshot holds no {lack} of tag {tag}: {advice}"
            common = error.common and f"{error.common}; the TagSnapshots hold no {lack} of their tags: {advice}"
            raise error.reworded(message, common) from None


def _wanted_outside(config: Config, image: ImageRef) -> list[Wanted]:
    """Return what the rules from outside want of the signatures of an image."""
    requirements = config.rulebook.floor.requirements if config.rulebook.floor else ()
    return [one.verify for one in requirements if one.verify and is_about_image(one, image.canonical, image.name)]


def scan_of(config: Config) -> ImageRef | None:
    """Return the scan of a fleet that is configured. Raise ConfigError for one that nobody vouches for."""
    if config.settings.artifact is None:
        return None
    from krmfn.sources.artifact import reference

    image = reference(config.settings.artifact)
    if image.digest is None and not _wanted_outside(config, image):
        raise misconfigured(
            f"{config.settings.artifact} can be moved by whoever may push there: name the scan by its digest "
            f"(oci://{image.name}@sha256:..., as krmfn fleet publish prints it), or let rules from outside (--rules) have a require "
            f"entry with verify for {image.canonical}"
        )
    return image
