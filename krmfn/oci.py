"""The door to registries: cheap to import; requests, oras and ssl come in with the first question."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from krmfn.model import Listing, Repository

if TYPE_CHECKING:
    from krmfn.registry.source import Source
    from krmfn.registry.world import World

Progress = Callable[[str, str, int], None]
"""Called from threads with repository, state (`listing`, `listed`, `waiting`, `failed`) and tags so far."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run allows itself at registries. Seconds are wall-clock; `env` stands for the environment.

    `mirrors` maps a prefix of canonical names to another place (`docker.io` to `mirror.example/hub`); the longest
    prefix wins, and a target written `http://...` is asked in plain text. `allowed_registries` None means any, empty means none.
    A request is sent at most `tries` times. `workers` bounds what is under way at once, `per_host` that at one host.
    """

    mirrors: tuple[tuple[str, str], ...] = ()
    allowed_registries: tuple[str, ...] | None = None
    run_seconds: float = 240
    repository_seconds: float = 60
    request_seconds: float = 30
    connect_seconds: float = 5
    idle_seconds: float = 10
    helper_seconds: float = 30
    retry_after_seconds: float = 30
    workers: int = 8
    per_host: int = 4
    tries: int = 3
    page_size: int = 1000
    verify_digest: bool = False
    progress: Progress | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    world: World | None = field(default=None, repr=False)

    @classmethod
    def of(cls, env: Mapping[str, str], **changes: object) -> Settings:
        """Read what the environment says (`KRMFN_ALLOWED_REGISTRIES`, separated by commas) and apply `changes`.

        >>> Settings.of({"KRMFN_ALLOWED_REGISTRIES": "ghcr.io, docker.io/acme"}).allowed_registries
        ('ghcr.io', 'docker.io/acme')
        """
        allowed = env.get("KRMFN_ALLOWED_REGISTRIES")
        if allowed is not None:
            changes.setdefault("allowed_registries", tuple(filter(None, map(str.strip, allowed.split(",")))))
        return cls(env=env, **changes)  # type: ignore[arg-type]


class RegistrySource:
    """Tags straight from registries. A TagSource; raises RegistryError only; safe to call from threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._opened: Source | None = None

    def _source(self) -> Source:
        with self._lock:
            if self._opened is None:
                from krmfn.registry.source import Source

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

    def platforms(self, repository: Repository, tag: str) -> tuple[str, ...]:
        """List the platforms of the image, sorted: `linux/amd64`, `linux/arm/v7`."""
        return self._source().image(repository, tag).platforms

    def labels(self, repository: Repository, tag: str) -> Mapping[str, str]:
        """Answer the image's labels, and over them the annotations of its manifest and index."""
        return self._source().image(repository, tag).labels

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
