"""One HTTP exchange: the call, what came back, and over which route it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from krmfn.errors import RegistryFailure
    from krmfn.sources.registry.origin import Origin


class Identity(NamedTuple):
    """CA certificates to trust besides the system's, client certificate, client key: PEM texts, never shown."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return "Identity(...)"


class Route(NamedTuple):
    """How exchanges of a repository travel: its TLS identity and its proxy (a URL with its log-in, or empty)."""

    identity: Identity = Identity()
    proxy: str = ""

    def with_own_trust(self) -> Route:
        """Return the route that trusts what this machine trusts, and nobody else."""
        return self._replace(identity=self.identity._replace(ca=None))

    def to_others(self) -> Route:
        """Return the route to origins that the registry leads to: the client certificate is not shown there."""
        return self._replace(identity=Identity(self.identity.ca))

    def __repr__(self) -> str:
        return "Route(...)"


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
    route: Route = Route()
    body: bytes | None = None
    guarded: bool = False
    by_digest: bool = False


class Reply(NamedTuple):
    """What came back, whole, and by which route. Header names compare without case.

    `is_private`: the address that answered is not a public one; False where a proxy stands in between.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    url: str
    route: Route = Route()
    is_private: bool = False


class NoReply(NamedTuple):
    """Why nothing usable came back. `kind` is a word for the machine, `text` is for people."""

    failure: RegistryFailure
    kind: str
    text: str
    retry: bool = False


class Trust:
    """Sends over what this machine trusts; over the CA of items only where that does not verify the server."""

    def __init__(self) -> None:
        self._unverified: set[tuple[Origin, Route]] = set()

    def send(
        self, origin: Origin, route: Route, call: Callable[[Route], Call], send: Callable[[Call], Reply | NoReply]
    ) -> Reply | NoReply:
        """Send the call that is made for a route. A proxy of an item is tried once: it sees nothing it should not."""
        own = route if route.proxy or origin.scheme == "http" else route.with_own_trust()
        is_own_first = own != route and (origin, route) not in self._unverified
        reply = send(call(own if is_own_first else route))
        if is_own_first and isinstance(reply, NoReply) and reply.kind == "certificate":
            self._unverified.add((origin, route))
            return send(call(route))
        return reply
