"""What registries and whatever stands before them do wrong, as a table: each row a fault and how it must end."""

from __future__ import annotations

import email.utils
import gzip
import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.image_store import MANIFEST
from tests.registry_server import Fault, Registry, Request

JSON = {"Content-Type": "application/json"}
READS = ("token", "tags", "tags-next", "manifest", "child", "blob")
EVERYWHERE = (*READS, "head")
LISTS = ("tags", "tags-next")
AFTER_LOGIN = ("tags", "tags-next", "manifest", "child", "blob", "head")


@dataclass(frozen=True, slots=True)
class Row:
    """A fault: what the server does, how the client must end (`ok` or a class of failure), and where it applies.

    `where` overrides the end at single endpoints. A `slow` fault lasts as long as the client lets it.
    """

    name: str
    act: Callable[[Request, Registry], None]
    ends: str
    endpoints: tuple[str, ...] = EVERYWHERE
    where: tuple[tuple[str, str], ...] = ()
    slow: bool = False
    times: int | None = None

    def end(self, endpoint: str) -> str:
        """Return how the client must end at this endpoint."""
        return dict(self.where).get(endpoint, self.ends)


def simple(act: Fault) -> Callable[[Request, Registry], None]:
    """Make a fault that needs no second server."""
    return lambda request, _attacker: act(request)


def reset(request: Request) -> None:
    """Break the connection hard."""
    request.wfile.flush()
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()
    request.close_connection = True


def start(request: Request, headers: str, body: bytes = b"") -> None:
    """Send the head of an answer as text, and the beginning of a body."""
    request.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + headers.encode() + b"\r\n" + body)


def reset_mid_body(request: Request) -> None:
    """Announce a body and break off in it."""
    start(request, "Content-Length: 5000\r\n", b'{"tags": [')
    reset(request)


def hang_after_headers(request: Request) -> None:
    """Announce a body and never send it."""
    start(request, "Content-Length: 5000\r\n")
    request.hang()


def drip_body(request: Request) -> None:
    """Send a body without end, a byte now and then."""
    start(request, "Content-Length: 5000\r\n" if request.command != "HEAD" else "X: y")
    request.drip(b" ")


def drip_headers(request: Request) -> None:
    """Send headers without end, a byte now and then."""
    request.raw(b"HTTP/1.1 200 OK\r\n")
    request.drip(b"X-Header: x\r\n")


def drip_chunk_sizes(request: Request) -> None:
    """Send the size of a chunk, digit by digit."""
    start(request, "Transfer-Encoding: chunked\r\n" if request.command != "HEAD" else "X: y")
    request.drip(b"0")


def many_headers(request: Request) -> None:
    """Send five thousand headers."""
    start(request, "".join(f"X-{number}: x\r\n" for number in range(5000)) + "Content-Length: 2\r\n", b"{}")


def interim(request: Request) -> None:
    """Send interim answers before the right one."""
    request.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
    request.answer()


def endless_body(request: Request) -> None:
    """Send a body without a length and without an end."""
    start(request, "Connection: close\r\n")
    request.flood(b" " * 65536)


def endless_chunks(request: Request) -> None:
    """Send chunks without an end."""
    start(request, "Transfer-Encoding: chunked\r\n")
    request.flood(b"8000\r\n" + b" " * 0x8000 + b"\r\n")


def endless_trailers(request: Request) -> None:
    """End the chunks and send trailers for ever."""
    start(request, "Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n")
    request.flood(b"X-Trailer: x\r\n" * 1000)


def endless_continue(request: Request) -> None:
    """Promise an answer for ever."""
    request.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def zipped(times: int) -> Fault:
    """Return with a body that unpacks to far more."""
    data = b" " * (32 << 20)
    for _ in range(times):
        data = gzip.compress(data, 6)
    return lambda request: request.plain(200, data, {**JSON, "Content-Encoding": ", ".join(["gzip"] * times)})


def body(text: str | bytes, kind: str = "application/json") -> Fault:
    """Return 200 with this body."""
    data = text.encode() if isinstance(text, str) else text
    return lambda request: request.plain(200, data, {"Content-Type": kind})


def status(code: int, **headers: str) -> Fault:
    """Return with a status and no words."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda request: request.plain(code, b"", named)


def challenge(value: str) -> Callable[[Request, Registry], None]:
    """Return 401 with this challenge; `{attacker}` is another server."""
    return lambda request, attacker: request.challenge(
        value.format(attacker=attacker.url, port=attacker.url.rpartition(":")[2], own=request.registry.url)
    )


def redirect(location: str, code: int = 307) -> Callable[[Request, Registry], None]:
    """Return with a redirect; `{attacker}` is another server, `{own}` this one, `{path}` what was asked for."""
    return lambda request, attacker: request.plain(
        code, b"", {"Location": location.format(attacker=attacker.url, own=request.registry.url, path=request.path)}
    )


def link(value: str) -> Callable[[Request, Registry], None]:
    """Return a page of tags with this link to the next."""

    def act(request: Request, attacker: Registry) -> None:
        count = request.registry.count("tags") + request.registry.count("tags-next")
        where = value.format(attacker=attacker.address, own=request.registry.address, path=request.path, count=count)
        request.plain(200, b'{"name": "acme/web", "tags": ["0.1.0"]}', {**JSON, "Link": where})

    return act


def echo(code: int) -> Fault:
    """Return with everything that was sent, secrets included."""

    def act(request: Request) -> None:
        sent = request.headers.get("Authorization", "") + " " + request.body
        request.error(code, "DENIED", f"you sent {sent} \x1b[31m\n::error::{sent}")

    return act


def later(seconds: float) -> str:
    """Write a time in the form of HTTP."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


_TOKEN_DENIED = (("token", "denied"),)
_REALM_IS_KNOWN = tuple((endpoint, "denied") for endpoint in ("tags-next", "child", "blob"))
_BIG = "9" * 12

ROWS: tuple[Row, ...] = (
    Row("reset before the answer", simple(reset), "unavailable"),
    Row("end before the answer", simple(lambda r: r.raw(b"")), "unavailable"),
    Row("reset in the body", simple(reset_mid_body), "unavailable", READS),
    Row("end in the body", simple(lambda r: start(r, "Content-Length: 5000\r\n", b'{"tags": [')), "unavailable", READS),
    Row(
        "end in a chunk",
        simple(lambda r: start(r, "Transfer-Encoding: chunked\r\n", b"100\r\n{")),
        "unavailable",
        READS,
    ),
    Row(
        "bad chunk size",
        simple(lambda r: start(r, "Transfer-Encoding: chunked\r\n", b"zz\r\n{}")),
        "unavailable",
        READS,
    ),
    Row("silence before the answer", simple(Request.hang), "unavailable", slow=True),
    Row("silence after the headers", simple(hang_after_headers), "unavailable", READS, slow=True),
    Row("dripping body", simple(drip_body), "unavailable", READS, slow=True),
    Row("dripping headers", simple(drip_headers), "unavailable", slow=True),
    Row("dripping chunk size", simple(drip_chunk_sizes), "unavailable", READS, slow=True),
    Row("dripping 100 Continue", simple(lambda r: r.drip(b"HTTP/1.1 100 Continue\r\n\r\n")), "unavailable", slow=True),
    Row("endless 100 Continue", simple(endless_continue), "limit"),
    Row("endless trailers", simple(endless_trailers), "limit", READS),
    Row("endless chunks", simple(endless_chunks), "limit", READS),
    Row("endless body", simple(endless_body), "limit", READS),
    Row("five thousand headers", simple(many_headers), "unavailable"),
    Row("header line of 70 KiB", simple(lambda r: start(r, f"X: {'x' * 70000}\r\n")), "unavailable"),
    Row("a bare CR in a header", simple(lambda r: start(r, "X: a\rb\r\nContent-Length: 2\r\n", b"{}")), "integrity"),
    Row("a line that is no header", simple(lambda r: start(r, "x\r\nContent-Length: 2\r\n", b"{}")), "integrity"),
    Row(
        "a space before the colon",
        simple(lambda r: start(r, "Link : <x>\r\nContent-Length: 2\r\n", b"{}")),
        "integrity",
    ),
    Row("end in the headers", simple(lambda r: r.raw(b"HTTP/1.1 200 OK\r\nX: ")), "integrity"),
    Row("102 and 103 first", simple(interim), "ok"),
    Row("garbage", simple(lambda r: r.raw(bytes(range(256)) * 4)), "unavailable"),
    Row("HTTP/0.9", simple(lambda r: r.raw(b'{"tags": ["1.0.0"]}')), "unavailable"),
    Row("status that is no number", simple(lambda r: r.raw(b"HTTP/1.1 abc OK\r\n\r\n")), "unavailable"),
    Row(
        "length that is no number", simple(lambda r: start(r, "Content-Length: ten\r\n", b"{")), "integrity", ("tags",)
    ),
    Row("a length with a sign", simple(lambda r: start(r, "Content-Length: +2\r\n", b"{}")), "integrity", READS),
    Row("a length below zero", simple(lambda r: start(r, "Content-Length: -5\r\n", b"{}")), "integrity", READS),
    Row("a transfer coding nobody knows", simple(lambda r: start(r, "Transfer-Encoding: xchunked\r\n", b"{}")), "integrity", READS),
    Row(
        "a length beside chunks",
        simple(lambda r: start(r, "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n")),
        "integrity",
        READS,
    ),
    Row("huge announced length", simple(lambda r: start(r, f"Content-Length: {_BIG}\r\n", b"{")), "limit", READS),
    Row(
        "too small announced length",
        simple(lambda r: start(r, "Content-Length: 3\r\n", b'{"tags":[]}')),
        "integrity",
        READS,
    ),
    Row("truncated JSON", simple(body('{"tags": ["1.0.0"')), "integrity", READS),
    Row("captive portal", simple(body("<html>log in</html>", "text/html")), "integrity", READS),
    Row("captive portal for HEAD", simple(body("<html>log in</html>", "text/html")), "ok", ("head",)),
    Row("gzip bomb", simple(zipped(1)), "integrity", READS),
    Row("gzip in gzip", simple(zipped(2)), "integrity", READS),
    Row(
        "brotli", simple(lambda r: r.plain(200, b"\x8b\x02\x80{}\x03", {"Content-Encoding": "br"})), "integrity", READS
    ),
    Row("deep JSON", simple(body("[" * 60_000)), "integrity", READS),
    Row("deep JSON in a key", simple(body('{"tags":' * 8_000)), "integrity", READS),
    Row("NaN", simple(body('{"tags": [], "token": "x", "n": NaN}')), "integrity", READS),
    Row("a key twice", simple(body('{"tags": [], "tags": [], "token": "a", "token": "b"}')), "integrity", READS),
    Row("huge number", simple(body('{"tags": [%s]}' % ("9" * 5000))), "integrity", READS),
    Row("not UTF-8", simple(body(b'{"tags": ["\xff\xfe"], "token": "\xff"}')), "integrity", READS),
    Row("a JSON list", simple(body('["1.0.0"]')), "integrity", READS),
    Row("a JSON string", simple(body('"1.0.0"')), "integrity", READS),
    Row("empty body", simple(body("")), "integrity", READS),
    Row("null tags", simple(body('{"name": "acme/web", "tags": null}')), "ok", LISTS),
    Row("no tags at all", simple(body('{"name": "acme/web"}')), "integrity", LISTS),
    Row("an empty object", simple(body("{}")), "integrity", LISTS),
    Row("no name", simple(body('{"tags": []}')), "integrity", LISTS),
    Row("the name of another repository", simple(body('{"name": "acme/api", "tags": []}')), "integrity", LISTS),
    Row("a name that only ends alike", simple(body('{"name": "me/web", "tags": []}')), "integrity", LISTS),
    Row("errors with 200", simple(body('{"errors": [{"code": "UNKNOWN"}]}')), "integrity", LISTS),
    Row(
        "tags and errors",
        simple(body('{"name": "acme/web", "tags": [], "errors": [{"code": "UNKNOWN"}]}')),
        "integrity",
        LISTS,
    ),
    Row("tags that are no texts", simple(body('{"name": "acme/web", "tags": [1, null, {}, [], true]}')), "ok", LISTS),
    Row(
        "lying tags",
        simple(
            body(
                json.dumps({"name": "acme/web", "tags": ["1.0\n9.9.9", "1.0 # {}", "\u202e", "\ud800", "1.0\x1b[31m"]})
            )
        ),
        "ok",
        LISTS,
    ),
    Row("tags that are a text", simple(body('{"tags": "1.0.0"}')), "integrity", LISTS),
    Row("tags that are an object", simple(body('{"tags": {"1.0.0": 1}}')), "integrity", LISTS),
    Row("token that is null", simple(body('{"token": null}')), "integrity", ("token",)),
    Row("token with a line break", simple(body('{"token": "a\\r\\nX-Evil: 1"}')), "integrity", ("token",)),
    Row("token of 100 KiB", simple(body(json.dumps({"token": "x" * 100_000}))), "limit", ("token",)),
    Row(
        "manifest of another type",
        simple(body('{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws")),
        "integrity",
        ("manifest",),
    ),
    Row(
        "index that says it is an image",
        simple(body('{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}', MANIFEST)),
        "integrity",
        ("manifest",),
    ),
    Row(
        "index and image at once", simple(body('{"manifests": [], "layers": []}', MANIFEST)), "integrity", ("manifest",)
    ),
    Row(
        "HEAD of schema 1",
        simple(
            lambda r: r.plain(
                200,
                b"",
                {
                    "Content-Type": "application/vnd.docker.distribution.manifest.v1+json",
                    "Docker-Content-Digest": "sha256:" + "0" * 64,
                },
            )
        ),
        "integrity",
        ("head",),
    ),
    Row("401 for ever", challenge('Bearer realm="{own}/token",service="registry"'), "denied", AFTER_LOGIN),
    Row("401 without a challenge", simple(lambda r: r.error(401, "UNAUTHORIZED", "no")), "denied"),
    Row("401 with a challenge nobody knows", challenge("Negotiate, NTLM abc=="), "denied"),
    Row("401 that is garbage", challenge('"""=, ,=,,, Bearer Bearer realm=, ="'), "denied"),
    Row("challenge of 60 KiB", challenge("Bearer " + ",".join(f'x{number}="y"' for number in range(5500))), "denied"),
    Row(
        "realm on another host",
        challenge('Bearer realm="{attacker}/token",service="registry"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row(
        "realm on another port",
        challenge('Bearer realm="http://127.0.0.1:{port}/token"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row(
        "realm of the metadata service",
        challenge('Bearer realm="http://169.254.169.254/latest"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row(
        "realm with a user",
        challenge('Bearer realm="http://a:b@127.0.0.1/token"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row(
        "realm that is a file",
        challenge('Bearer realm="file:///etc/passwd"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row(
        "realm that is no URL",
        challenge('Bearer realm="Registry Realm"'),
        "integrity",
        AFTER_LOGIN,
        where=_REALM_IS_KNOWN,
    ),
    Row("Basic after Bearer", challenge('Basic realm="x"'), "denied", AFTER_LOGIN),
    Row("403 that echoes", simple(echo(403)), "denied"),
    Row("400 that echoes", simple(echo(400)), "unavailable", where=(*_TOKEN_DENIED, ("head", "ok"))),
    Row("500 that echoes", simple(echo(500)), "unavailable"),
    Row("404", simple(status(404)), "not-found", where=_TOKEN_DENIED),
    Row("410", simple(status(410)), "unavailable", where=_TOKEN_DENIED),
    Row("204", simple(status(204)), "unavailable", where=_TOKEN_DENIED),
    Row("304", simple(status(304)), "integrity"),
    Row("429", simple(status(429)), "rate-limited"),
    Row("429 once", simple(status(429)), "ok", times=1),
    Row("429 for two seconds", simple(status(429, Retry_After="2")), "ok", times=2),
    Row("429 until a date", simple(lambda r: r.plain(429, b"", {"Retry-After": later(2)})), "ok", times=1),
    Row("429 until a date that passed", simple(lambda r: r.plain(429, b"", {"Retry-After": later(-2)})), "ok", times=1),
    Row("429 for an hour", simple(status(429, Retry_After="3600")), "rate-limited"),
    Row("429 for less than nothing", simple(status(429, Retry_After="-5")), "ok", times=1),
    Row("429 for soon", simple(status(429, Retry_After="soon")), "ok", times=1),
    Row("429 for a very long number", simple(status(429, Retry_After="9" * 5000)), "rate-limited"),
    Row("408 once", simple(status(408)), "ok", times=1),
    Row("500 twice", simple(status(500)), "ok", times=2),
    Row("502, 503, 504: a gateway", simple(status(502)), "ok", times=2),
    Row("503 for ever", simple(status(503)), "unavailable"),
    Row("reset twice", simple(reset), "ok", times=2),
    Row("redirect to itself", redirect("{own}{path}"), "integrity"),
    Row("redirect to another page", redirect("/elsewhere"), "not-found", AFTER_LOGIN),
    Row("redirect to another host", redirect("{attacker}{path}"), "not-found", AFTER_LOGIN),
    Row("redirect of a token", redirect("{attacker}{path}"), "integrity", ("token",)),
    Row("redirect to a file", redirect("file:///etc/passwd"), "integrity"),
    Row("redirect to ftp", redirect("ftp://127.0.0.1/x"), "integrity"),
    Row("redirect with a user", redirect("http://a:b@127.0.0.1/x"), "integrity"),
    Row("redirect to garbage", redirect("http://[::1/\x7f"), "integrity"),
    Row("redirect to nowhere", simple(status(307)), "integrity"),
    Row("301 to another host", redirect("{attacker}{path}", 301), "not-found", AFTER_LOGIN),
    Row("Link to itself", link('<{path}>; rel="next"'), "integrity", LISTS),
    Row("Link without end", link('<{path}0>; rel="next"'), "limit", ("tags",)),
    Row(
        "Link to another host", link('<http://{attacker}/v2/acme/web/tags/list?last=1>; rel="next"'), "integrity", LISTS
    ),
    Row(
        "Link to the metadata service",
        link('<http://169.254.169.254/v2/acme/web/tags/list?last=1>; rel="next"'),
        "integrity",
        LISTS,
    ),
    Row(
        "Link to another port",
        link('<http://127.0.0.1:1/v2/acme/web/tags/list?last=1>; rel="next"'),
        "integrity",
        LISTS,
    ),
    Row("Link with a user", link('<http://a:b@{own}/v2/acme/web/tags/list?last=1>; rel="next"'), "integrity", LISTS),
    Row("Link to another repository", link('</v2/acme/secret/tags/list?last=1>; rel="next"'), "integrity", LISTS),
    Row("Link that is a file", link('<file:///v2/acme/web/tags/list>; rel="next"'), "integrity", LISTS),
    Row("Link that is garbage", link("<<<>>>;;;,,,rel"), "integrity", LISTS),
)
"""Every fault, with its end."""
