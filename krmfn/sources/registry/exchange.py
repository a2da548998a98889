"""The records of one HTTP exchange: the call, and what came back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.strict_json import read

if TYPE_CHECKING:
    from krmfn.errors import RegistryFailure
    from krmfn.sources.registry.origin import Origin


class Identity(tuple[str | None, str | None, str | None]):
    """CA certificates to trust besides the system's, client certificate, client key: PEM texts, never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Identity(...)"


class Lane(NamedTuple):
    """How exchanges of a repository travel: its TLS identity and its proxy (a URL with its log-in, or empty)."""

    identity: Identity = Identity((None, None, None))
    proxy: str = ""

    def with_own_trust(self) -> Lane:
        """Return the lane that trusts what this machine trusts, and nobody else."""
        return self._replace(identity=Identity((None, *self.identity[1:])))

    def to_others(self) -> Lane:
        """Return the lane to origins that the registry leads to: the client certificate is not shown there."""
        return self._replace(identity=Identity((self.identity[0], None, None)))

    def __repr__(self) -> str:
        return "Lane(...)"


class Call(NamedTuple):
    """One request to send. `cap` bounds the body of a good answer in bytes.

    `guarded` calls left the registry's own origin: they reach public addresses only. `by_digest` ones ask for content that
    is known by its digest.
    """

    method: str
    origin: Origin
    url: str
    headers: Mapping[str, str]
    cap: int
    until: float
    lane: Lane = Lane()
    body: bytes | None = None
    guarded: bool = False
    by_digest: bool = False


class Reply(NamedTuple):
    """What came back, whole, and by which lane. Header names compare without case.

    `is_private`: the address that answered is not a public one; False where a proxy stands in between.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    url: str
    lane: Lane = Lane()
    is_private: bool = False

    @property
    def status_code(self) -> int:
        """The name oras knows `status` by."""
        return self.status

    def json(self) -> Any:
        """Read the body as oras does."""
        return read(self.body)


class NoReply(NamedTuple):
    """Why nothing usable came back. `kind` is a word for the machine, `text` is for people."""

    failure: RegistryFailure
    kind: str
    text: str
    retry: bool = False
