"""A log-in to a registry, and what of it may never show."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field

from krmfn.model import MACHINE, Provenance


@dataclass(frozen=True, slots=True)
class Credential:
    """A log-in. An `identity_token` is exchanged for access, a `registry_token` is access; none ever shows."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = ""
    """Where it was found, for messages."""
    provenance: Provenance = MACHINE

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617), or empty when there is no password."""
        if not self.username and not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def secrets(self) -> Iterator[str]:
        """List the texts that must never be shown."""
        yield from filter(None, (self.password, self.identity_token, self.registry_token, self.basic[6:]))
