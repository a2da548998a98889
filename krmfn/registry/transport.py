"""One HTTP exchange: a call goes out, a reply or the reason for none comes back. No retries, no redirects, no log-ins."""

from __future__ import annotations

import functools
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import urllib3.exceptions
from urllib3 import BaseHTTPResponse
from urllib3.util import Timeout

from krmfn import __version__
from krmfn.errors import RegistryFailure
from krmfn.foreign import printable
from krmfn.oci import Settings
from krmfn.registry import proxies
from krmfn.registry.budget import Budget, NotAdmittedError, spending
from krmfn.registry.origin import Origin, is_loopback_name, literal
from krmfn.registry.wire import Identity, Pools, SetUpError, tls_context
from krmfn.registry.world import World

_CHUNK = 1 << 16
_ERROR_BODY = 16 << 10
_HEADERS = {"User-Agent": f"krmfn/{__version__}", "Accept-Encoding": "identity"}


class Lane(NamedTuple):
    """How exchanges of a repository travel: its TLS identity and its proxy (a URL with its log-in, or empty)."""

    identity: Identity = Identity((None, None, None))
    proxy: str = ""

    def __repr__(self) -> str:
        return "Lane(...)"


class Call(NamedTuple):
    """One request to send. `cap` bounds the body of a good answer in bytes.

    `guarded` calls left the registry's own origin: they reach public addresses only.
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


class Reply(NamedTuple):
    """What came back, whole. Header names compare without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def status_code(self) -> int:
        """The name oras knows `status` by."""
        return self.status

    def json(self) -> Any:
        """Read the body as oras does."""
        return json.loads(self.body)


class NoReply(NamedTuple):
    """Why nothing usable came back. `kind` is a word for the machine, `text` is for people."""

    failure: RegistryFailure
    kind: str
    text: str
    retry: bool = False


class _Gatekeeper:
    """Keeps guarded calls on public addresses, and notes which origins are private themselves."""

    def __init__(self, call: Call, world: World, private: set[Origin]) -> None:
        self._call, self._world, self._private = call, world, private

    def admit(self, address: str) -> None:
        """See Gatekeeper.admit."""
        if self._call.guarded and not self._world.is_public(address):
            raise NotAdmittedError(address)

    def reached(self, address: str) -> None:
        """See Gatekeeper.reached."""
        if not self._world.is_public(address):
            self._private.add(self._call.origin)


class Transport:
    """The only sender of bytes. Keeps one set of connections per lane, and a second one for guarded calls."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        self._pools: dict[tuple[Lane, bool], Pools] = {}
        self._private: set[Origin] = set()
        self._lock = threading.Lock()
        self._sent = 0
        self._closed = False

    @property
    def sent(self) -> int:
        """Count the requests sent."""
        return self._sent

    def is_private(self, origin: Origin) -> bool:
        """Tell whether this origin was reached at an address that is not public."""
        return origin in self._private

    def _connections(self, lane: Lane, *, guarded: bool) -> Pools:
        with self._lock:
            if (lane, guarded) not in self._pools:
                context = functools.partial(tls_context, lane.identity, self._settings.env)
                self._pools[lane, guarded] = Pools(context, self._settings.workers)
            return self._pools[lane, guarded]

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
        proxy = call.lane.proxy or proxies.proxy_for(call.origin, self._settings.env)
        if call.guarded and not self._may_name(call.origin):
            return _refused(call.origin)
        budget = self._budget(call)
        try:
            pools = self._connections(call.lane, guarded=call.guarded)
            with self._lock:
                self._sent += 1
            with spending(budget):
                return _exchange(pools, call, budget, proxy)
        except (
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            return _explain(error, call, budget, proxy)

    def _budget(self, call: Call) -> Budget:
        settings, clock = self._settings, self._world.clock
        until = min(call.until, clock() + settings.request_seconds)
        return Budget(
            until,
            call.cap,
            idle=settings.idle_seconds,
            connect=settings.connect_seconds,
            clock=clock,
            is_over=lambda: self._closed,
            gatekeeper=_Gatekeeper(call, self._world, self._private),
        )

    def _may_name(self, origin: Origin) -> bool:
        address = literal(origin.host)
        if address:
            return self._world.is_public(address)
        return not is_loopback_name(origin.host)


def _exchange(pools: Pools, call: Call, budget: Budget, proxy: str) -> Reply | NoReply:
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
        return _receive(response, call)
    finally:
        response.close()  # a connection whose answer was read to its end is back in the pool by now


def _receive(response: BaseHTTPResponse, call: Call) -> Reply | NoReply:
    status, headers = response.status, response.headers
    coding = headers.get("Content-Encoding", "identity").strip().lower()
    wanted = status < 300
    if coding not in {"identity", ""} and wanted:
        text = f"answered with Content-Encoding {printable(coding, 40)!r} although identity was asked for"
        return NoReply("integrity", "encoding", text)
    cap = call.cap if wanted else _ERROR_BODY
    declared = headers.get("Content-Length", "")
    if wanted and call.method != "HEAD" and declared.isdecimal() and len(declared) < 20 and int(declared) > cap:
        return _too_large(cap)
    body = bytearray()
    while len(body) <= cap:
        chunk = response.read(_CHUNK, decode_content=False)
        if not chunk:
            return Reply(status, headers, bytes(body), call.url)
        body += chunk
    return _too_large(cap) if wanted else Reply(status, headers, bytes(body[:cap]), call.url)


def _too_large(cap: int) -> NoReply:
    return NoReply("limit", "size", f"answered more than {cap >> 10} KiB, which is the limit for this kind of answer")


def _refused(origin: Origin) -> NoReply:
    text = f"points to {printable(str(origin))}, whose address is not public; a public registry may not lead there"
    return NoReply("integrity", "address", text)


def _explain(error: BaseException, call: Call, budget: Budget, proxy: str) -> NoReply:
    """Say in people's words why an exchange failed; foreign text never gets through unescaped."""
    chain = list(_causes(error))

    def among(*kinds: type[BaseException]) -> BaseException | None:
        return next((cause for cause in chain if isinstance(cause, kinds)), None)

    if budget.overspent == "time":
        return NoReply("unavailable", "time", "gave no complete answer in the time allowed", retry=True)
    if budget.overspent == "bytes":
        return _too_large(call.cap)
    if among(NotAdmittedError):
        return _refused(call.origin)
    wrong = among(SetUpError)
    if wrong:
        return NoReply("integrity", "setup", printable(str(wrong)))
    where = f"the proxy for {call.origin}" if proxy else str(call.origin)
    broken = among(ssl.SSLError)
    if broken:
        return _explain_tls(broken, call.origin)
    name = among(socket.gaierror)
    if isinstance(name, socket.gaierror):
        again = name.errno == socket.EAI_AGAIN
        return NoReply("unavailable", "name", f"{where}: the host name cannot be looked up", retry=again)
    tunnel = next((str(cause) for cause in chain if "Tunnel connection failed" in str(cause)), "")
    if tunnel:
        return NoReply("unavailable", "proxy", f"{where} refused: {printable(tunnel)}")
    if among(urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
        return NoReply("unavailable", "connect", f"{where} cannot be reached: {_reason(chain)}", retry=True)
    if among(TimeoutError, urllib3.exceptions.ReadTimeoutError):
        return NoReply("unavailable", "silence", f"{where} was silent for {budget.idle:g} s", retry=True)
    if among(urllib3.exceptions.LocationValueError, UnicodeError):
        return NoReply("integrity", "request", f"{printable(call.url)} cannot be asked for: {_reason(chain)}")
    return NoReply("unavailable", "broken", f"{where} broke off: {_reason(chain)}", retry=True)


def _explain_tls(error: BaseException, origin: Origin) -> NoReply:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{origin} has a certificate that cannot be trusted: {printable(error.verify_message)}"
        if not ssl.get_default_verify_paths().cafile:
            text += " (no CA certificates of the system were found; set SSL_CERT_FILE)"
        return NoReply("integrity", "certificate", text)
    reason = getattr(error, "reason", None) or str(error)
    ended = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return NoReply("unavailable", "tls", f"{origin}: no TLS connection: {printable(str(reason))}", retry=ended)


def _reason(chain: list[BaseException]) -> str:
    """Answer the words of the innermost cause, without the object addresses that libraries print."""
    inner = chain[-1]
    words = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return printable(str(words))


def _causes(error: BaseException) -> Iterator[BaseException]:
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        cause = todo.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        todo += [cause.__context__, cause.__cause__, getattr(cause, "reason", None), *cause.args]


def proxy_url(address: str, username: str | None, password: str | None) -> str:
    """Put the log-in of a proxy into its URL, which is how requests wants it.

    >>> proxy_url("http://proxy:3128", "me", "p@ss")
    'http://me:p%40ss@proxy:3128'
    """
    if not username:
        return address
    scheme, slashes, rest = address.rpartition("://")
    login = quote(username, safe="") + (":" + quote(password, safe="") if password else "")
    return f"{scheme or 'http'}{slashes or '://'}{login}@{rest}"
