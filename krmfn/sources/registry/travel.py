"""Which login may travel over which connection: a connection that items have a say in carries no login of this machine.

Plain http, a CA certificate or a proxy from an item would let whoever writes manifests read what is sent. Exceptions are
for the environment alone: `KRMFN_TRUST_CONFIG`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from krmfn.access import MACHINE, Provenance
from krmfn.sources.registry.exchange import Call, Lane, NoReply, Reply

if TYPE_CHECKING:
    from krmfn.sources.registry.origin import Origin


class Connection(NamedTuple):
    """Who decided about the parts of one connection. `scheme` is None for plain http that nobody asked for (loopback)."""

    scheme: Provenance | None = MACHINE
    ca: Provenance = MACHINE
    proxy: Provenance = MACHINE

    def obstacles(self, login: Provenance) -> tuple[str, ...]:
        """Name what keeps a login off this connection: each part must be of the machine, or of the login's own item.

        A login of an item and the parts of an item are of one ImageRepository, which names them all in its namespace;
        only a mirror's `http://` may be of another.

        >>> shop = Provenance(namespace="shop")
        >>> Connection(ca=shop).obstacles(MACHINE), Connection(ca=shop).obstacles(shop)
        (('a CA certificate',), ())
        """
        parts = (("plain http", self.scheme), ("a CA certificate", self.ca), ("a proxy", self.proxy))
        return tuple(name for name, by in parts if by is None or not (by.is_machine or by == login))


class Trust:
    """Sends over what this machine trusts; over the CA of items only where that does not verify the server."""

    def __init__(self) -> None:
        self._unverified: set[tuple[Origin, Lane]] = set()

    def send(
        self, origin: Origin, lane: Lane, call: Callable[[Lane], Call], send: Callable[[Call], Reply | NoReply]
    ) -> Reply | NoReply:
        """Send the call that is made for the lane. A proxy of an item sees nothing it should not: there is one try alone."""
        own = lane if lane.proxy or origin.scheme == "http" else lane.with_own_trust()
        if own != lane and (origin, lane) not in self._unverified:
            reply = send(call(own))
            if not isinstance(reply, NoReply) or reply.kind != "certificate":
                return reply
            self._unverified.add((origin, lane))
        return send(call(lane))
