"""Sockets that hold their budget, and the requests session that uses them.

A timeout of requests or urllib3 bounds one read, never an answer: a peer that drips a byte now and then keeps a client
for ever. Here the socket itself looks at the clock before each read, under TLS too.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from krmfn import __version__
from krmfn.registry.budget import Budget, Gatekeeper, NotAdmittedError, OutOfTimeError, current
from krmfn.registry.origin import literal

_Address = tuple[Any, ...]
_SLICE = 0.25
"""Seconds after which a silent read looks whether the run is over."""


class _Reads:
    """Gives a socket class reads that look at the budget of the exchange under way."""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        budget = current()
        if budget is None:
            return int(super().recv_into(buffer, nbytes, flags))  # type: ignore[misc]
        silent_until = budget.clock() + budget.idle
        while True:
            self.settimeout(budget.seconds(min(_SLICE, budget.idle)))  # type: ignore[attr-defined]
            try:
                received = int(super().recv_into(buffer, nbytes, flags))  # type: ignore[misc]
            except TimeoutError:
                if budget.clock() >= silent_until:
                    raise
            else:
                budget.count(received)
                return received


class _Plain(_Reads, socket.socket):
    pass


class _Secure(_Reads, ssl.SSLSocket):  # type: ignore[misc]
    pass


def resolve(host: str, port: int, seconds: float) -> list[_Address]:
    """Look a name up, for at most `seconds`: getaddrinfo itself knows no end."""
    if literal(host):
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    found: list[list[_Address] | OSError] = []

    def look() -> None:
        try:
            found.append(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            found.append(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error)))

    thread = threading.Thread(target=look, daemon=True, name="krmfn-resolve")
    thread.start()
    thread.join(seconds)
    if not found:
        raise TimeoutError(f"looking up {host} took more than {seconds:.0f} s")
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def connect(host: str, port: int, budget: Budget, gatekeeper: Gatekeeper | None) -> socket.socket:
    """Open a socket within the budget; each address of a name gets its share of the time, so one dead one cannot eat all."""
    end = budget.clock() + budget.seconds(budget.connect)
    addresses = resolve(host, port, budget.seconds(budget.connect))
    error: OSError = OSError(f"{host} has no address")
    for position, address in enumerate(addresses):
        share = max(0.05, (end - budget.clock()) / (len(addresses) - position))
        try:
            return _open(address, share, gatekeeper)
        except NotAdmittedError:
            raise
        except OSError as failed:
            error = failed
    raise error


def _open(address: _Address, seconds: float, gatekeeper: Gatekeeper | None) -> socket.socket:
    family, kind, proto, _, where = address
    if gatekeeper:
        gatekeeper.admit(str(where[0]))
    sock = _Plain(family, kind, proto)
    try:
        sock.settimeout(seconds)
        sock.connect(where)
        if gatekeeper:
            gatekeeper.reached(str(sock.getpeername()[0]))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    return sock


class _Connects:
    """Gives a urllib3 connection our sockets."""

    def _new_conn(self: Any) -> socket.socket:
        budget = current()
        if budget is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        try:
            sock = connect(self._dns_host, self.port, budget, None if self.proxy else budget.gatekeeper)
            sock.settimeout(budget.seconds(budget.idle))
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except (NotAdmittedError, OutOfTimeError):
            raise
        except TimeoutError as error:
            raise ConnectTimeoutError(self, str(error)) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error
        sys.audit("http.client.connect", self, self.host, self.port)
        return sock


class _PlainConnection(_Connects, HTTPConnection):
    pass


class _SecureConnection(_Connects, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Connects through our pools, with one SSLContext that is made when TLS is first needed.

    requests would read the file of CA certificates again for every connection (16 ms each).
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], size: int) -> None:
        self._context, self._lock = context, threading.Lock()
        self._made: ssl.SSLContext | None = None
        super().__init__(pool_connections=64, pool_maxsize=size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._tls(), **kwargs)
        if proxy.lower().startswith("http"):
            manager.pool_classes_by_scheme = _POOLS
            manager.proxy_config = manager.proxy_config._replace(ssl_context=self._tls())
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:  # noqa: ARG002
        host, _ = super().build_connection_pool_key_attributes(request, verify=False)
        return host, {"ssl_context": self._tls()} if host["scheme"] == "https" else {}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Leave everything to the context, which verifies always."""

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._made is None:
                self._made = self._context()
            return self._made


class _Session(requests.Session):
    """Follows nothing and reads no environment: requests would consult ~/.netrc and read redirect bodies whole."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        return None


def open_session(context: Callable[[], ssl.SSLContext], size: int) -> requests.Session:
    """Make a session that sends nothing of its own accord: no cookies, no netrc, no compression."""
    from http.cookiejar import DefaultCookiePolicy

    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.clear()
    session.headers.update({"User-Agent": f"krmfn/{__version__}", "Accept-Encoding": "identity"})
    adapter = _Adapter(context, size)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class Identity(tuple[str | None, str | None, str | None]):
    """CA certificates to trust besides the system's, client certificate, client key: PEM texts, never shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Identity(...)"


class SetUpError(ValueError):
    """TLS cannot even be tried: a file or a PEM text that was handed over is no good."""


def tls_context(identity: Identity, env: Mapping[str, str]) -> ssl.SSLContext:
    """Trust the system's CA certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), certifi's when there are none.

    Raises SetUpError, which names the setting.
    """
    ca, certificate, key = identity
    context = _trusting(env.get("SSL_CERT_FILE") or None, env.get("SSL_CERT_DIR") or None)
    context.sslsocket_class = _Secure
    try:
        if ca:
            context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise SetUpError(f"the CA certificate given for this repository cannot be used ({_short(error)})") from None
    try:
        if certificate:
            _load_pair(context, certificate, key or certificate)
    except (OSError, ValueError) as error:
        text = f"the client certificate or key given for this repository cannot be used ({_short(error)})"
        raise SetUpError(text) from None
    return context


def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:
        raise SetUpError(f"SSL_CERT_FILE {file} holds no CA certificates ({_short(error)})") from None
    if not (file or folder or _system_has_certificates(context)):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    return str(reason).replace("_", " ").lower()


def _system_has_certificates(context: ssl.SSLContext) -> bool:
    if context.cert_store_stats()["x509_ca"]:
        return True
    folder = ssl.get_default_verify_paths().capath
    return bool(folder and Path(folder).is_dir() and any(Path(folder).iterdir()))


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a client certificate without leaving the key on a disk: the library wants files, memory will do."""
    handle = os.memfd_create("krmfn-client-certificate") if hasattr(os, "memfd_create") else -1
    if handle < 0:
        import tempfile

        handle, name = tempfile.mkstemp()
        Path(name).unlink()
    try:
        os.write(handle, f"{certificate}\n{key}\n".encode())
        context.load_cert_chain(f"/dev/fd/{handle}")
    finally:
        os.close(handle)
