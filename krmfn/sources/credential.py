"""A login to a registry, and what of it may never show."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from krmfn.access import MACHINE, Provenance

is_token = re.compile(r"[!-~]{1,65536}", re.ASCII).fullmatch
"""Matches what can stand in a header as a token: visible ASCII, no blank, no line end."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A login. An `identity_token` is exchanged for access, a `registry_token` is access; none ever shows."""

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

    @property
    def fault(self) -> str:
        """What keeps it from being sent, without showing it; empty when nothing does."""
        for name, token in (("identity token", self.identity_token), ("registry token", self.registry_token)):
            if token and not is_token(token):
                return f"{name} is none: only visible ASCII characters may stand in it, and no line end behind it"
        if any("\ud800" <= char <= "\udfff" or char == "\0" for char in self.username + self.password):
            return "user or password has a character that cannot be sent (NUL, or half of a surrogate pair)"
        return ""

    def secrets(self) -> Iterator[str]:
        """List the texts that must never be shown."""
        yield from filter(None, (self.password, self.identity_token, self.registry_token, self.basic[6:]))


@dataclass(frozen=True, slots=True)
class Unusable:
    """A place that should have a login and gives none: why, behind its name."""

    why: str
