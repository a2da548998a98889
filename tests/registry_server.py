"""An OCI registry in this process: pages, log-ins, latency, and any misbehaviour a test wants.

    with Registry() as registry:
        registry.add("acme/web", ["1.0.0", "1.1.0"])
        registry.misbehave("tags", lambda request: request.plain(503), times=2)
        ...
        assert [seen.endpoint for seen in registry.seen] == ["tags", "tags", "tags"]

It answers what the distribution specification says; `skopeo` reads from it (test_registry_real proves that).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.answering import Answering
from tests.image_store import Images

Fault = Callable[["Request"], None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came in."""

    endpoint: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    at: float


@dataclass(slots=True)
class _Fault:
    endpoint: str
    act: Fault
    left: int | None


@dataclass(slots=True)
class Login:
    """How the registry wants to be logged in to. `realm` None means its own `/token`."""

    scheme: str
    username: str = ""
    password: str = ""
    realm: str | None = None
    identity_token: str = ""
    oauth: bool = True
    """Whether the token server knows POST."""
    parameters: str = ""
    """More parameters for the challenge, as text."""
    anonymous: bool = False
    life: int | None = 300
    issued: dict[str, str] = field(default_factory=dict)
    """Token to scope."""

    @property
    def basic(self) -> str:
        """The header that logs in."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Registry(Images):
    """The server; before it is started, a store of images. `host` may be any loopback address, for a second origin."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        latency: float = 0.0,
        page: int | None = None,
        login: Login | None = None,
    ) -> None:
        self.latency, self.page, self.login, self.tls = latency, page, login, tls
        super().__init__()
        self.seen: list[Seen] = []
        self.connections = self.tokens = 0
        self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._host = host

    @property
    def address(self) -> str:
        """`host:port`."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    @property
    def url(self) -> str:
        """The origin."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        self._server = _Server((self._host, 0), Request, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def misbehave(self, endpoint: str, act: Fault, times: int | None = None) -> None:
        """Do `act` instead of answering at `endpoint`, for ever or so many times."""
        with self.lock:
            self._faults.append(_Fault(endpoint, act, times))

    def reset(self, login: Login | None) -> None:
        """Forget what was seen, and behave well again, with another way to log in."""
        with self.lock:
            self.login, self.seen, self._faults = login, [], []

    def login_of(self, host: str) -> Login | None:
        """Return how a host wants to be logged in to: all alike, but for who says otherwise."""
        del host
        return self.login

    def fault(self, endpoint: str) -> Fault | None:
        """Return what to do instead at this endpoint, if anything."""
        with self.lock:
            for one in self._faults:
                if one.endpoint == endpoint and one.left != 0:
                    one.left = one.left if one.left is None else one.left - 1
                    return one.act
        return None

    def count(self, endpoint: str) -> int:
        """Count the requests to an endpoint."""
        return sum(seen.endpoint == endpoint for seen in self.seen)

    def text(self) -> str:
        """Everything anybody sent, for the search for secrets."""
        return "\n".join(f"{seen.path} {dict(seen.query)} {dict(seen.headers)} {seen.body}" for seen in self.seen)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Request], registry: Registry) -> None:
        self.registry = registry
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.stopping = threading.Event()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind without asking DNS for the machine's name, as http.server does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, so that a client that does not can stop nobody."""
        with self.registry.lock:
            self.registry.connections += 1
        try:
            if self.registry.tls:
                request.settimeout(5)
                request = self.registry.tls.wrap_socket(request, server_side=True)
            elif request.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS: said at once, as Go's net/http does
                request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent TLS to an HTTP server.\n")
                return
            super().finish_request(request, client_address)
        except OSError:
            pass
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that go away are what the tests are about."""


class Request(Answering):
    """One connection's requests, with the tools faults are made of."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    @property
    def registry(self) -> Registry:
        """The registry this request came to."""
        return self.server.registry

    @property
    def login(self) -> Login | None:
        """How this registry wants to be logged in to."""
        return self.registry.login_of(self.host)

    @property
    def host(self) -> str:
        """The host that was asked, without its port."""
        return str(self.headers.get("Host", "")).rpartition(":")[0] or str(self.headers.get("Host", ""))

    @property
    def stopping(self) -> threading.Event:
        """Set when the registry goes down; faults that last for ever look at it."""
        return self.server.stopping

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Print nothing."""

    def do_GET(self) -> None:
        """Return , or misbehave."""
        parts = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        self.endpoint = self._endpoint(parts.path)
        registry = self.registry
        with registry.lock:
            registry.busy += 1
            registry.busiest = max(registry.busiest, registry.busy)
            headers = {key.title(): value for key, value in self.headers.items()}
            registry.seen.append(
                Seen(self.endpoint, self.command, parts.path, self.query, headers, self.body, time.monotonic())
            )
        try:
            if registry.latency:
                time.sleep(registry.latency)
            (registry.fault(self.endpoint) or Request.answer)(self)
            self.wfile.flush()
        finally:
            with registry.lock:
                registry.busy -= 1

    def do_HEAD(self) -> None:
        """As above."""
        self.do_GET()

    def do_POST(self) -> None:
        """As above."""
        self.do_GET()

    def _endpoint(self, path: str) -> str:
        if path == "/token":
            return "token"
        if path.endswith("/tags/list"):
            return "tags-next" if "last" in self.query else "tags"
        if "/manifests/sha256:" in path:
            return "child"
        if "/manifests/" in path:
            return "head" if self.command == "HEAD" else "manifest"
        if "/blobs/" in path:
            return "blob"
        return "ping" if path == "/v2/" else "other"

    def answer(self) -> None:
        """Return as a registry should."""
        if self.endpoint == "token":
            self._token()
        elif self.endpoint == "other":
            self._other()
        elif self._let_in():
            getattr(self, f"_{self.endpoint.replace('-', '_')}", self._other)()

    def _other(self) -> None:
        self.error(404, "UNSUPPORTED", "no such page")

    def _ping(self) -> None:
        self.plain(200, b"{}", {"Content-Type": "application/json"})

    @property
    def repository(self) -> str:
        """The repository's path in this request."""
        found = re.match(r"/v2/(.*)/(?:tags|manifests|blobs)/", urlsplit(self.path).path)
        return found[1] if found else ""

    def is_let_in(self) -> bool:
        """True if this request carries what the registry wants."""
        login, given = self.login, self.headers.get("Authorization", "")
        if login is None:
            return True
        if login.scheme == "basic":
            return given == login.basic
        return login.issued.get(given.removeprefix("Bearer ")) == f"repository:{self.repository}:pull"

    def _let_in(self) -> bool:
        login = self.login
        if login is None or self.is_let_in():
            return True
        realm = login.realm or f"{self.registry.url}/token"
        scope = f"repository:{self.repository}:pull"
        if login.scheme == "basic":
            self.challenge('Basic realm="Registry Realm"')
        else:
            self.challenge(f'Bearer realm="{realm}",service="registry",scope="{scope}"{login.parameters}')
        return False

    def challenge(self, value: str) -> None:
        """Ask for a log-in."""
        self.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": value})

    def _token(self) -> None:
        login = self.login
        assert login is not None
        form = {key: values[-1] for key, values in parse_qs(self.body).items()}
        asked = form if self.command == "POST" else self.query
        if self.command == "POST" and not login.oauth:
            self.error(404, "UNSUPPORTED", "no oauth here")
        elif self.command == "POST" and form.get("refresh_token") != login.identity_token:
            self.error(401, "UNAUTHORIZED", "bad refresh token")
        elif self.command == "GET" and not login.anonymous and self.headers.get("Authorization") != login.basic:
            self.error(401, "UNAUTHORIZED", "bad credentials")
        else:
            self.issue(asked.get("scope", ""), "access_token" if self.command == "POST" else "token")

    def issue(self, scope: str, key: str = "token") -> None:
        """Hand out a new token for a scope."""
        login = self.login
        assert login is not None
        with self.registry.lock:
            self.registry.tokens += 1
            token = f"canary-token-{self.registry.tokens}-{hashlib.sha256(scope.encode()).hexdigest()[:8]}"
            login.issued[token] = scope
        document = {key: token} | ({} if login.life is None else {"expires_in": login.life})
        self.plain(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _tags(self) -> None:
        known = self.registry.tags.get(self.repository)
        if known is None:
            self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return
        names, last = sorted(known), self.query.get("last", "")
        names = [name for name in names if name > last]
        size = min(int(self.query.get("n") or 10**9), self.registry.page or 10**9)
        headers = {"Content-Type": "application/json"}
        if len(names) > size:
            names = names[:size]
            query = urlencode({"n": size, "last": names[-1]})
            headers["Link"] = f'</v2/{self.repository}/tags/list?{query}>; rel="next"'
        self.plain(200, json.dumps({"name": self.repository, "tags": names}).encode(), headers)

    _tags_next = _tags

    def _manifest(self) -> None:
        reference = urlsplit(self.path).path.rpartition("/")[2]
        digest = self.registry.tags.get(self.repository, {}).get(reference, reference)
        if digest not in self.registry.blobs:
            self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        media_type, data = self.registry.blobs[digest]
        self.plain(200, data, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    _head = _child = _manifest

    def _blob(self) -> None:
        _, data = self.registry.blobs.get(urlsplit(self.path).path.rpartition("/")[2], ("", b""))
        if data:
            self.plain(200, data, {"Content-Type": "application/octet-stream"})
        else:
            self.error(404, "BLOB_UNKNOWN", "blob unknown")


def serving(context: ssl.SSLContext | None = None, **settings: Any) -> Registry:
    """Make a registry with one image."""
    registry = Registry(tls=context, **settings)
    registry.add("acme/web", ["1.0.0"])
    return registry
