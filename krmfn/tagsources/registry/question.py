"""What one call of the source wants to know: of which place, in which time, by which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import HUB
from krmfn.model import Repository
from krmfn.tagsources.registry.exchange import Lane
from krmfn.tagsources.registry.origin import is_loopback_name

_HUB_SERVER = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a repository is really asked for. `registry` is the key of its credentials.

    `insecure` allows plain text with credentials, `plain` allows plain text at all.
    """

    registry: str
    path: str
    insecure: bool = False

    @property
    def server(self) -> str:
        """Host and port on the network."""
        return _HUB_SERVER if self.registry == HUB else self.registry

    @property
    def plain(self) -> bool:
        """Plain text is allowed: it was asked for, or the registry is this machine."""
        host = self.server.rpartition(":")[0] if self.server.rpartition(":")[2].isdecimal() else self.server
        return self.insecure or is_loopback_name(host.strip("[]"))

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class Question:
    """A repository, where it is asked, until when (clock of the run, and in words), and the lane."""

    repository: Repository
    target: Target
    until: float
    allowed: str
    lane: Lane

    @property
    def name(self) -> str:
        """The repository as people know it."""
        return self.repository.image.canonical

    def error(
        self, failure: RegistryFailure, message: str, *, status: int | None = None, code: str | None = None
    ) -> RegistryError:
        """Make the error that answers this question; a mirror is named when it was asked instead."""
        if str(self.target) != self.name:
            message += f" (asked at mirror {self.target})"
        return RegistryError(failure, self.name, message, status=status, code=code)


def locate(repository: Repository, mirrors: Sequence[tuple[str, str]]) -> Target:
    """Apply the mirror with the longest matching prefix; prefixes end at a `/`.

    A mirror is asked in plain text only when it is written with `http://`, whatever the repository itself allows.
    """
    name = repository.image.canonical
    for start, to in sorted(mirrors, key=lambda mirror: -len(mirror[0])):
        prefix = start.rstrip("/")
        if name == prefix or name.startswith(prefix + "/"):
            insecure = to.startswith("http://")
            place = to.partition("://")[2] or to
            registry, _, path = (place.rstrip("/") + name[len(prefix) :]).partition("/")
            return Target(registry.lower(), path, insecure)
    return Target(repository.image.registry, repository.image.path, repository.access.insecure)


def is_allowed(target: Target, allowed: Sequence[str]) -> bool:
    """Tell whether a target is one of the allowed: `ghcr.io`, `ghcr.io/acme` (and below), `*.corp.example`."""
    for rule in allowed:
        host, _, path = rule.strip().rstrip("/").partition("/")
        host = host.lower()
        if host.startswith("*."):
            if not target.registry.endswith(host[1:]):
                continue
        elif host != target.registry:
            continue
        if not path or target.path == path or target.path.startswith(path + "/"):
            return True
    return False
