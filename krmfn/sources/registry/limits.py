"""What a run allows itself at registries: deadlines, tries, who may be asked, what else is known of the surroundings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from krmfn.model import Mirror
    from krmfn.sources.registry.clock import World

Progress = Callable[[str, str, int], None]
"""Called from threads with repository, state (`listing`, `listed`, `waiting`, `failed`) and tags so far."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run allows itself at registries. Seconds are wall-clock; `env` stands for the environment.

    `mirrors` maps a prefix of canonical names to another place (`docker.io` to `mirror.example/hub`); the longest
    prefix wins, and a target written `http://...` is asked in plain text. `allowed_registries` None means any, empty means none.
    `trust_config` names registries that logins go to over the CA, the proxy and the plain http that items ask for.
    A request is sent at most `tries` times. `workers` bounds what is under way at once, `per_host` that at one host.
    """

    mirrors: tuple[Mirror, ...] = ()
    allowed_registries: tuple[str, ...] | None = None
    trust_config: tuple[str, ...] = ()
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
        """Read what the environment says (`KRMFN_ALLOWED_REGISTRIES`, `KRMFN_TRUST_CONFIG`: commas) and apply `changes`.

        >>> Settings.of({"KRMFN_ALLOWED_REGISTRIES": "ghcr.io, docker.io/acme"}).allowed_registries
        ('ghcr.io', 'docker.io/acme')
        """
        allowed = env.get("KRMFN_ALLOWED_REGISTRIES")
        if allowed is not None:
            changes.setdefault("allowed_registries", _listed(allowed))
        changes.setdefault("trust_config", _listed(env.get("KRMFN_TRUST_CONFIG", "").lower()))
        return cls(env=env, **changes)  # type: ignore[arg-type]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))
