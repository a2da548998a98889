"""What a run allows itself at registries: deadlines, tries, who may be asked, what else is known of the surroundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from krmfn.tagsources.registry.world import World

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
