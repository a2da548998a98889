"""What a run allows itself at registries: deadlines, tries, who may be asked, what else is known of the surroundings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from krmfn.diagnostics import misconfigured
from krmfn.sanitize import printable, without_login

if TYPE_CHECKING:
    from krmfn.access import Mirror
    from krmfn.sources.registry.clock import World

_HOST = r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
_trusted = re.compile(_HOST, re.ASCII).fullmatch
_allowed = re.compile(rf"(?:\*\.)?{_HOST}(?:/[a-z0-9._/-]*)?", re.ASCII).fullmatch
_TRUSTED = "host[:port], as in ghcr.io or r.example:5000"
_ALLOWED = "host[:port][/path] or *.domain, as in ghcr.io, ghcr.io/acme or *.corp.example"

Progress = Callable[[str, str, int], None]
"""Called from threads with repository, state (`listing`, `listed`, `waiting`, `failed`) and tags so far."""


class Settings(NamedTuple):
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
    env: Mapping[str, str] = MappingProxyType({})
    world: World | None = None

    def __repr__(self) -> str:
        """Return it without the environment, which holds secrets."""
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self._asdict().items() if name not in ('env', 'world'))})"

    @classmethod
    def of(cls, env: Mapping[str, str], **changes: object) -> Settings:
        """Read what the environment says (`KRMFN_ALLOWED_REGISTRIES`, `KRMFN_TRUST_CONFIG`: commas) and apply `changes`.

        Raises ConfigError for an entry that could never match.

        >>> Settings.of({"KRMFN_ALLOWED_REGISTRIES": "GHCR.io:443, docker.io/acme"}).allowed_registries
        ('ghcr.io', 'docker.io/acme')
        """
        if "KRMFN_ALLOWED_REGISTRIES" in env:
            changes.setdefault("allowed_registries", _listed(env, "KRMFN_ALLOWED_REGISTRIES", _allowed, _ALLOWED))
        changes.setdefault("trust_config", _listed(env, "KRMFN_TRUST_CONFIG", _trusted, _TRUSTED))
        return cls(env=env, **changes)  # type: ignore[arg-type]


def _listed(env: Mapping[str, str], name: str, grammar: Callable[[str], object], expected: str) -> tuple[str, ...]:
    """Return the entries of a variable, hosts in lower case and without the port of https; raises ConfigError."""
    entries = tuple(filter(None, map(str.strip, env.get(name, "").split(","))))
    wrong = [entry for entry in entries if not grammar(entry.lower())]
    if wrong:
        raise misconfigured(
            *(f"{name}: {printable(without_login(entry))!r} can match nothing; expected {expected}" for entry in wrong)
        )
    return tuple(without_port(host.lower()) + slash + path for host, slash, path in (e.partition("/") for e in entries))


def without_port(authority: str) -> str:
    """Return a host without the port that https has anyway: `ghcr.io:443` is `ghcr.io`."""
    return authority.removesuffix(":443")
