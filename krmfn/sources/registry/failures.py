"""Why an exchange failed, in people's words, from what sockets, TLS and urllib3 raise.

No text of theirs is passed on, for it may quote what came or what was sent: only numbers of the system, and names of OpenSSL.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import urllib3.exceptions

from krmfn.sanitize import printable
from krmfn.sources.registry.budget import Budget, NotAdmittedError
from krmfn.sources.registry.connections import SetUpError
from krmfn.sources.registry.exchange import Call, NoReply
from krmfn.sources.registry.heads import BadHeaderError, EndlessHeadError
from krmfn.sources.registry.sockets import SlowLookupError

if TYPE_CHECKING:
    from krmfn.sources.registry.origin import Origin

Cause = TypeVar("Cause", bound=BaseException)
_tunnel = re.compile(r"Tunnel connection failed: ([0-9]{3})\b").match
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (http.client.RemoteDisconnected, "it closed the connection without an answer"),
    (http.client.IncompleteRead, "the answer ends before its length"),
    (urllib3.exceptions.InvalidChunkLength, "the length of a chunk is no number"),
    (http.client.LineTooLong, "a line of its head is too long"),
    (http.client.BadStatusLine, "the answer is not HTTP"),
    (http.client.UnknownProtocol, "the answer is not HTTP/1"),
    (http.client.HTTPException, "the head of the answer cannot be read"),
)


def too_large(cap: int) -> NoReply:
    """Return that an answer went past its cap, in bytes."""
    return NoReply("limit", "size", f"answered more than {cap >> 10} KiB, which is the limit for this kind of answer")


def refused(origin: Origin) -> NoReply:
    """Return that an origin lies at an address a public registry may not lead to."""
    text = f"points to {printable(str(origin))}, whose address is not public; a public registry may not lead there"
    return NoReply("integrity", "address", text)


def explain(error: BaseException, call: Call, budget: Budget, proxy: str) -> NoReply:
    """Return in people's words why an exchange failed; foreign text never gets through unescaped."""
    # urllib3 wraps what a socket raises, once or twice, so the whole chain counts, the most telling kind of it first.
    # The budget comes before all: an end of time shows as whatever was under way.
    chain = list(_causes(error))

    def among(*kinds: type[Cause]) -> Cause | None:
        return next((cause for cause in chain if isinstance(cause, kinds)), None)

    if budget.overspent == "time":
        return NoReply("unavailable", "time", "gave no complete answer in the time allowed", retry=True)
    if budget.overspent == "bytes":
        return too_large(call.cap)
    if among(NotAdmittedError):
        return refused(call.origin)
    if wrong := among(SetUpError):
        return NoReply("integrity", "setup", printable(str(wrong)))
    where = f"the proxy for {call.origin}" if proxy else str(call.origin)
    if broken := among(ssl.SSLError):
        if among(urllib3.exceptions.ProxyError):
            return NoReply("unavailable", "proxy", f"{where}: no TLS connection: {_tls_reason(broken)}")
        return _explain_tls(broken, call.origin)
    if head := among(BadHeaderError):
        is_endless = isinstance(head, EndlessHeadError)
        return NoReply("limit" if is_endless else "integrity", "head", f"{where} answered with {head}")
    if lookup := among(socket.gaierror):
        again = lookup.errno == socket.EAI_AGAIN
        return NoReply("unavailable", "name", f"{where}: the host name cannot be looked up", retry=again)
    if among(SlowLookupError):
        text = f"{where}: no name server told its address within {budget.connect:g} s"
        return NoReply("unavailable", "name", text, retry=True)
    tunnel = next(filter(None, (_tunnel(str(cause)) for cause in chain)), None)
    if tunnel:
        return NoReply("unavailable", "proxy", f"{where} answered {tunnel[1]} for CONNECT")
    if among(urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
        return NoReply("unavailable", "connect", f"{where} cannot be reached: {_reason(chain)}", retry=True)
    if among(TimeoutError, urllib3.exceptions.ReadTimeoutError):
        return NoReply("unavailable", "silence", f"{where} was silent for {budget.idle:g} s", retry=True)
    if among(urllib3.exceptions.LocationValueError, UnicodeError):
        return NoReply("integrity", "request", f"{printable(str(call.origin))} cannot be asked: it is no valid URL")
    return NoReply("unavailable", "broken", f"{where} broke off: {_reason(chain)}", retry=True)


def _explain_tls(error: BaseException, origin: Origin) -> NoReply:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{origin} has a certificate that cannot be trusted: {printable(error.verify_message)}"
        if not ssl.get_default_verify_paths().cafile:
            text += " (no CA certificates of the system were found; set SSL_CERT_FILE)"
        return NoReply("integrity", "certificate", text)
    ended = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    kind = "broken" if ended else "tls"
    return NoReply("unavailable", kind, f"{origin}: no TLS connection: {_tls_reason(error)}", retry=ended)


def _tls_reason(error: BaseException) -> str:
    """Return OpenSSL's word for what went wrong (`WRONG_VERSION_NUMBER`), or the certificate's fault."""
    word = getattr(error, "verify_message", "") or getattr(error, "reason", "") or "it was broken off"
    return printable(str(word))


def _reason(chain: list[BaseException]) -> str:
    """Return what went wrong: the system's word for an error number, else ours for the kind of exception."""
    number = next((cause.errno for cause in reversed(chain) if isinstance(cause, OSError) and cause.errno), None)
    if number:
        return os.strerror(number)
    return next((words for kind, words in _WORDS for cause in chain if isinstance(cause, kind)), "it cannot be read")


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
