"""The connections of urllib3 over sockets that hold their budget, and what TLS trusts."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager, ProxyManager
from urllib3.util import Url, parse_url
from urllib3.util.ssl_ import ALPN_PROTOCOLS
from urllib3.util.ssltransport import SSLTransport

from krmfn.disk.reading import NotReadError, read_file
from krmfn.sources.registry.budget import NotAdmittedError, OutOfTimeError, current
from krmfn.sources.registry.heads import StrictResponse, TunnelResponse
from krmfn.sources.registry.sockets import connect

if TYPE_CHECKING:
    from krmfn.sources.registry.exchange import Identity

CA_LIMIT = 16 << 20
"""Bytes of a file of CA certificates; the largest bundles have less than one MiB."""


class _Connects:
    """Gives a urllib3 connection our sockets, and heads that are read strictly."""

    response_class: type[http.client.HTTPResponse] = StrictResponse

    def _new_conn(self: Any) -> socket.socket:
        budget = current()
        try:
            sock = connect(self._dns_host, self.port, budget, is_proxy=bool(self.proxy))
            sock.settimeout(budget.seconds(budget.idle))
            self.peer = "" if self.proxy else str(sock.getpeername()[0])
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

    def _tunnel(self: Any) -> None:
        # http.client reads the head of the answer to CONNECT by itself, past what begin() would look at
        self.response_class = TunnelResponse
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self.response_class = StrictResponse


class _PlainConnection(_Connects, HTTPConnection):
    pass


class _SecureConnection(_Connects, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class Pools:
    """Connections to every host, kept for reuse. Each SSLContext is made once, when TLS is first needed.

    urllib3 is used as it is, below requests: no cookies, no netrc, no redirects, no environment. Besides, requests
    reads the file of CA certificates again for every connection (16 ms each).
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], proxy_context: Callable[[], ssl.SSLContext], size: int
    ) -> None:
        self._context, self._proxy_context, self._size = cache(context), cache(proxy_context), size
        self._managers: dict[tuple[bool, str], PoolManager] = {}
        self._lock = threading.Lock()

    def manager(self, scheme: str, proxy: str) -> PoolManager:
        """Return the connections for a scheme, through a proxy if one is named (a URL with its log-in)."""
        with self._lock:
            # Apart by scheme, as the context of TLS is dear: a run over plain http never makes one.
            key = (scheme == "https", proxy)
            if key not in self._managers:
                self._managers[key] = self._open(proxy, secure=key[0])
            return self._managers[key]

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()

    def _open(self, proxy: str, *, secure: bool) -> PoolManager:
        options: dict[str, Any] = {"num_pools": 64, "maxsize": self._size}
        if secure:
            options["ssl_context"] = self._context()
        if proxy:
            address = proxy_address(proxy)
            if address.auth:
                login = base64.b64encode(unquote(address.auth).encode()).decode()
                options["proxy_headers"] = {"proxy-authorization": f"Basic {login}"}
            if address.scheme == "https":
                options["proxy_ssl_context"] = self._proxy_context()
        manager = ProxyManager(address._replace(auth=None).url, **options) if proxy else PoolManager(**options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


def proxy_address(proxy: str) -> Url:
    """Read the URL of a proxy; raises SetUpError, which does not show it, for it may hold a password."""
    try:
        address = parse_url(proxy if "://" in proxy else f"http://{proxy}")
    except (LocationParseError, UnicodeError):
        raise SetUpError("the proxy is no http or https URL") from None
    if address.scheme not in {"http", "https"} or not address.host:
        raise SetUpError("the proxy is no http or https URL")
    return address


class _Secure(SSLTransport):
    """TLS over a socket of ours, which reads every byte of it within the budget; TLS of a registry may run inside it."""

    @property
    def _io_refs(self) -> int:
        """The files open on the socket, which urllib3 counts on whatever is below TLS."""
        return int(self.socket._io_refs)  # type: ignore[attr-defined]  # noqa: SLF001

    @_io_refs.setter
    def _io_refs(self, count: int) -> None:
        self.socket._io_refs = count  # type: ignore[attr-defined]  # noqa: SLF001


class _Context(ssl.SSLContext):
    """What TLS trusts, for many threads."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Keep those there are: urllib3 sets them for each connection, which frees what the hello of another thread is made of."""

    def wrap_socket(self, sock: socket.socket, *_: object, server_hostname: str | bytes | None = None, **__: object) -> _Secure:  # type: ignore[override]
        """Give OpenSSL what a socket of ours has read: on a socket it reads on while messages of TLS itself come, whatever the time."""
        try:
            return _Secure(sock, self, server_hostname)  # type: ignore[arg-type]
        except BaseException:
            sock.close()  # as OpenSSL's own sockets do when the handshake fails
            raise


class SetUpError(ValueError):
    """TLS cannot even be tried: a file or a PEM text that was handed over is no good."""


def tls_context(identity: Identity, env: Mapping[str, str]) -> ssl.SSLContext:
    """Trust the system's CA certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` count), certifi's when there are none.

    Raises SetUpError, which names the setting.
    """
    ca, certificate, key = identity
    context = _trusting(env.get("SSL_CERT_FILE") or None, env.get("SSL_CERT_DIR") or None)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # create_default_context makes no other class; ours adds behaviour and no state
    context.__class__ = _Context
    try:
        if ca:
            # a comment between certificates may be in any script
            context.load_verify_locations(cadata=ca.encode("ascii", "replace").decode())
    except (ssl.SSLError, ValueError) as error:
        raise SetUpError(f"the CA certificate given for this repository cannot be used ({_short(error)})") from None
    try:
        if certificate:
            _load_pair(context, certificate, key or certificate)
    except SetUpError:
        raise
    except (OSError, ValueError) as error:
        text = f"the client certificate or key given for this repository cannot be used ({_short(error)})"
        raise SetUpError(text) from None
    return context


def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    try:
        if file:
            read_file(file, CA_LIMIT)  # OpenSSL would wait for a FIFO, and read a device for ever
        context = ssl.create_default_context(cafile=file, capath=folder)
    except (NotReadError, OSError) as error:
        text = str(error) if isinstance(error, NotReadError) else _short(error)
        raise SetUpError(f"SSL_CERT_FILE {file} holds no CA certificates ({text})") from None
    if not (file or folder or _system_has_certificates(context)):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _short(error: Exception) -> str:
    """Return OpenSSL's word or the system's for what is wrong; never the text of an exception, which may quote what it read."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").replace("_", " ").lower()
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else "no PEM"


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
        context.load_cert_chain(f"/dev/fd/{handle}", password=_no_pass_phrase)
    finally:
        os.close(handle)


def _no_pass_phrase() -> NoReturn:
    """Refuse an encrypted key: OpenSSL would ask for its pass phrase on the terminal, and wait."""
    raise SetUpError(
        "the client key given for this repository is encrypted: decrypt it (`openssl pkey -in tls.key`), there is nobody"
        " to ask for its pass phrase"
    )
