"""One HTTP exchange: a call goes out, a reply or the reason for none comes back. No retries, no redirects, no log-ins."""

from __future__ import annotations

import functools
import http.client
import threading
from typing import TYPE_CHECKING

import urllib3.exceptions
from urllib3 import BaseHTTPResponse
from urllib3.util import Timeout

from krmfn import __version__
from krmfn.sources.manifest import shown
from krmfn.sources.registry import proxies
from krmfn.sources.registry.budget import Budget, spending
from krmfn.sources.registry.connections import Pools, tls_context
from krmfn.sources.registry.exchange import Call, Identity, NoReply, Reply, Route
from krmfn.sources.registry.failures import explain, refused, too_large
from krmfn.sources.registry.origin import Origin, is_loopback_name, literal

if TYPE_CHECKING:
    from krmfn.sources.registry.clock import World
    from krmfn.sources.registry.limits import Settings

_CHUNK = 1 << 16
_ERROR_BODY = 16 << 10
_ROUTES = 32
"""Sets of connections that are kept; each takes a MiB for what its TLS trusts."""
_HEADERS = {"User-Agent": f"krmfn/{__version__}", "Accept-Encoding": "identity"}


class Transport:
    """The only sender of bytes. Keeps one set of connections per route, and a second one for guarded calls."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        self._pools: dict[tuple[Route, bool], Pools] = {}
        self._lock = threading.Lock()
        self.sent = 0
        """The number of requests sent."""
        self._closed = False

    def proxy(self, call: Call) -> str:
        """Return the URL of the proxy between here and the origin of a call, empty when there is none."""
        return call.route.proxy or proxies.proxy_for(call.origin, self._settings.env)

    def _connections(self, route: Route, *, guarded: bool) -> Pools:
        with self._lock:
            # Taken out and put in again, what was used last stands last.
            pools = self._pools.pop((route, guarded), None)
            if pools is None:
                context = functools.partial(tls_context, route.identity, self._settings.env)
                own = functools.partial(tls_context, Identity(), self._settings.env)
                # a proxy of this machine gets its log-in over what this machine trusts, whatever items bring
                pools = Pools(context, context if route.proxy else own, self._settings.workers)
            self._pools[route, guarded] = pools
            if len(self._pools) > _ROUTES:
                del self._pools[next(iter(self._pools))]  # that of the longest ago; who uses it goes on
            return pools

    def close(self) -> None:
        """Send nothing any more and close every connection."""
        self._closed = True
        with self._lock:
            for pools in self._pools.values():
                pools.close()
            self._pools.clear()

    def send(self, call: Call) -> Reply | NoReply:
        """Carry out one exchange within the call's time."""
        if self._closed:
            return NoReply("unavailable", "closed", "the run ended before the answer came")
        if call.guarded and not self._may_name(call.origin):
            return refused(call.origin)
        settings, world, proxy = self._settings, self._world, self.proxy(call)
        budget = Budget(
            min(call.until, world.clock() + settings.request_seconds),
            call.cap,
            idle=settings.idle_seconds,
            connect=settings.connect_seconds,
            clock=world.clock,
            is_over=lambda: self._closed,
            admits=lambda address: not call.guarded or world.is_public(address),
        )
        try:
            pools = self._connections(call.route, guarded=call.guarded)
            with self._lock:
                self.sent += 1
            with spending(budget):
                return _exchange(pools, call, budget, proxy, world)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return explain(error, call, budget, proxy)

    def _may_name(self, origin: Origin) -> bool:
        address = literal(origin.host)
        return self._world.is_public(address) if address else not is_loopback_name(origin.host)


def _exchange(pools: Pools, call: Call, budget: Budget, proxy: str, world: World) -> Reply | NoReply:
    timeout = Timeout(connect=budget.seconds(budget.connect), read=budget.idle)
    response = pools.manager(call.origin.scheme, proxy).urlopen(
        call.method,
        call.url,
        body=call.body,
        headers={**_HEADERS, **call.headers},
        redirect=False,
        retries=False,
        timeout=timeout,
        preload_content=False,
        decode_content=False,
    )
    try:
        peer = getattr(response.connection, "peer", "")
        return _receive(response, call, is_private=bool(peer) and not world.is_public(peer))
    finally:
        response.close()  # a connection whose answer was read to its end is back in the pool by now


def _receive(response: BaseHTTPResponse, call: Call, *, is_private: bool) -> Reply | NoReply:
    status, headers = response.status, response.headers
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    wanted = status < 300
    if coding not in {"identity", ""} and wanted:
        text = f"answered with Content-Encoding {shown(coding, 40)!r} although identity was asked for"
        return NoReply("integrity", "encoding", text)
    cap = call.cap if wanted else _ERROR_BODY
    declared, transfer = headers.get("Content-Length", ""), headers.get("Transfer-Encoding", "").strip().lower()
    # Two lengths, or one that is none, end an answer where somebody else likes: what follows would be read as the next.
    if wanted and (transfer not in {"", "chunked"} or (declared and (transfer or not (declared.isascii() and declared.isdecimal())))):
        return NoReply("integrity", "length", "answered with a length that cannot be relied on (RFC 9112 section 6)")
    if wanted and call.method != "HEAD" and declared.isdecimal() and len(declared) < 20 and int(declared) > cap:
        return too_large(cap)
    body = bytearray()
    while len(body) <= cap:
        chunk = response.read(_CHUNK, decode_content=False)
        if not chunk:
            return Reply(status, headers, body, call.url, call.route, is_private)
        body += chunk
    return too_large(cap) if wanted else Reply(status, headers, body[:cap], call.url, call.route, is_private)
