"""Cases for the registry client, by the product of what can go wrong: page, body, Link, proxy, TLS, origin, login, helper.

A case is a name for each dimension. It must end well only if all of them are harmless, and then with the whole list.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.registry_server import Request

WHOLE = ("1.0.0", "1.1.0", "2.0.0")
SECRET = "canary-pass/6c+1"
_FIRST = ["1.0.0", "1.1.0"]

PAGES: dict[str, bytes] = {
    "tags": json.dumps({"name": "acme/web", "tags": _FIRST}).encode(),
    "tags of GCR": json.dumps({"child": [], "manifest": {"sha256:0": {"tag": ["1"]}}, "name": "acme/web", "tags": _FIRST}).encode(),
    "tags and things": json.dumps({"name": "acme/web", "tags": [*_FIRST, None, 7, {}, "a b", "\ud800", "\u202e"]}).encode(),
    "no tags": b'{"name": "acme/web"}',
    "null for tags": b'{"name": "acme/web", "tags": "1.0.0"}',
    "empty object": b"{}",
    "errors": b'{"name": "acme/web", "tags": [], "errors": [{"code": "DENIED", "message": "no"}]}',
    "another name": b'{"name": "acme/api", "tags": ["9.9.9"]}',
    "the secret as name": json.dumps({"name": SECRET, "tags": []}).encode(),
    "a key twice": b'{"name": "acme/web", "tags": [], "tags": ["9.9.9"]}',
    "half": b'{"name": "acme/web", "tags": ["9.9.9"',
    "not UTF-8": b'{"name": "acme/web", "tags": ["\xff"]}',
    "deep": b'{"name": "acme/web", "tags": ' + b"[" * 50_000,
    "many values": b'{"name": "acme/web", "tags": [' + b"{}," * 610_000 + b"{}]}",
    "a long number": b'{"name": "acme/web", "tags": [' + b"9" * 5000 + b"]}",
    "NaN": b'{"name": "acme/web", "tags": [NaN]}',
    "a list": b'["1.0.0"]',
    "HTML": b"<html><form action=/login>",
    "nothing": b"",
}  # fmt: skip
GOOD_PAGES = {"tags", "tags of GCR", "tags and things"}

LINKS = {
    "next": '</v2/acme/web/tags/list?last=1.1.0>; rel="next"',
    "next, bare": "<?last=1.1.0>",
    "next, a token": "<?last=1.1.0>;rel=next",
    "next, empty elements": ', ,</v2/acme/web/tags/list?last=1.1.0>; rel="next",\t,',
    "next, second": '</x>; rel="prev", <?last=1.1.0>; rel="next"',
    "next, by http": '<http://{address}/v2/acme/web/tags/list?last=1.1.0>; rel="next"',
    "next, commas": '<?x=1,2;3&last=1.1.0>; title="a,b;\\"c"; rel="prev next"',
    "junk behind": '<?last=1.1.0>; rel="next" junk',
    "cut off": '<?last=1.1.0>; rel="nex',
    "no bracket": '?last=1.1.0>; rel="next"',
    "two rel": '<?last=1.1.0>; rel="prev"; rel="next"',
    "two next": '<?last=1.1.0>; rel="next", <?last=1.0.0>; rel="next"',
    "another host": '<http://127.0.0.2:1/v2/acme/web/tags/list?last=1.1.0>; rel="next"',
    "another repository": '</v2/acme/api/tags/list?last=1.1.0>; rel="next"',
    "a user": '<http://me:{secret}@{address}/v2/acme/web/tags/list?last=1.1.0>; rel="next"',
    "a circle": '</v2/acme/web/tags/list?n=1000>; rel="next"',
    "the secret": '<{secret}>; rel="next" {secret}',
    "too long": '<?last=1.1.0&x={long}>; rel="next"',
}
GOOD_LINKS = {name for name in LINKS if name.startswith("next")}


def with_length(request: Request, body: bytes, headers: dict[str, str]) -> None:
    """Reply as it should be."""
    request.plain(200, body, headers)


def chunked(request: Request, body: bytes, headers: dict[str, str]) -> None:
    """Reply in chunks, and with a trailer."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Transfer-Encoding": "chunked"}.items())
    size = 4096 if len(body) < 1 << 16 else 1 << 20
    chunks = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in parts(body, size))
    request.raw(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + chunks + b"0\r\nX-Trailer: x\r\n\r\n")


def parts(body: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces."""
    return (body[start : start + size] for start in range(0, len(body), size))


def raw(request: Request, head: str, body: bytes, headers: dict[str, str]) -> None:
    """Reply with a head of one's own."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request.raw(f"HTTP/1.1 200 OK\r\n{lines}{head}\r\n".encode() + body)


def sent(request: Request) -> str:
    """Return what a request carried, as it came and in plain words."""
    header = request.headers.get("Authorization", "")
    return f"you sent {header} {SECRET if header else ''}"


def dripping(request: Request, body: bytes, headers: dict[str, str]) -> None:
    """Reply, and never come to an end."""
    raw(request, f"Content-Length: {len(body) + 9999}\r\n", body, headers)
    request.drip(b" ", 0.1)


BODIES = {
    "length": with_length,
    "chunks": chunked,
    "to the end": lambda r, b, h: raw(r, "Connection: close\r\n", b, h),
    "interim first": lambda r, b, h: (r.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"), r.plain(200, b, h)),
    "too short": lambda r, b, h: raw(r, f"Content-Length: {len(b) + 10}\r\n", b, h),
    "too long": lambda r, b, h: raw(r, f"Content-Length: {1 << 40}\r\n", b, h),
    "cut off": lambda r, b, h: raw(r, f"Content-Length: {len(b)}\r\n", b[: len(b) // 2], h),
    "bad chunk": lambda r, b, h: raw(r, "Transfer-Encoding: chunked\r\n", f"{SECRET}\r\n".encode() + b, h),
    "half a chunk": lambda r, b, h: raw(r, "Transfer-Encoding: chunked\r\n", b"ffff\r\n" + b, h),
    "zipped": lambda r, b, h: r.plain(200, b, {**h, "Content-Encoding": SECRET if "Authorization" in r.headers else "x"}),
    "bad header": lambda r, b, h: raw(r, f"X {SECRET}\r\nContent-Length: {len(b)}\r\n", b, h),
    "bare CR": lambda r, b, h: raw(r, f"X: a\rb\r\nContent-Length: {len(b)}\r\n", b, h),
    "many headers": lambda r, b, h: raw(r, "X: y\r\n" * 200 + f"Content-Length: {len(b)}\r\n", b, h),
    "status": lambda r, _b, _h: r.raw(f"HTTP/1.1 {SECRET}\r\n\r\n".encode()),
    "reset": lambda r, _b, _h: r.raw(b""),
    "refused": lambda r, _b, _h: r.error(403, SECRET, sent(r)),
    "drips": dripping,
    "silent": lambda r, _b, _h: r.hang(3),
    "broken": lambda r, _b, _h: r.error(500, "UNKNOWN", sent(r), {"Retry-After": SECRET}),
}  # fmt: skip
SLOW_BODIES = {"drips", "silent"}
GOOD_BODIES = {"length", "chunks", "to the end", "interim first"}

ORIGINS = {
    "here": "",
    "here, by redirect": "{own}{path}&again=1",
    "another": "{other}{path}",
    "another, twice": "{other}{path}&twice",
    "private": "{private}{path}",
    "private, by name": "{private_name}{path}",
    "metadata": "http://169.254.169.254/latest",
    "a file": "file:///etc/passwd",
    "the secret": "http://me:{secret}@127.0.0.2/x",
    "itself": "{own}{path}",
}
GOOD_ORIGINS = {"here", "here, by redirect"}
TLS = ("plain", "trusted", "unknown CA")
PROXIES = ("none", "http", "https", "breaks off", "refuses")
GOOD_PROXIES = {"none", "http", "https"}
LOGINS = ("none", "basic", "bearer")
OWNERS = ("item", "machine")
TOKENS: dict[str, tuple[str, bool]] = {
    "token": ('{"token": "%s"}', True),
    "access_token": ('{"access_token": "%s", "expires_in": 300}', True),
    "both": ('{"token": "%s", "access_token": "canary-other", "issued_at": "x"}', True),
    "a long life": ('{"token": "%s", "expires_in": 1e999}', True),
    "null": ('{"token": null}', False),
    "a number": ('{"token": 7}', False),
    "a line end": ('{"token": "%s\\r\\nX: y"}', False),
    "half": ('{"token": "%s"', False),
    "twice": ('{"token": "%s", "token": "%s"}', False),
    "HTML": ("<html>%s", False),
    "large": ('{"token": "%s", "x": "' + "y" * 70_000 + '"}', False),
}
"""What a token server answers, `%s` for a token that is good, and whether that is one."""
CHALLENGES: dict[str, tuple[str, bool]] = {
    "plain": ('Bearer realm="{realm}",service="r",scope="x"', True),
    "several": ('Negotiate, Bearer realm="{realm}" , service = r, Basic realm="x, y"', True),
    "escaped": ('bearer  realm="{escaped}"', True),
    "another host": ('Bearer realm="{other}/token"', False),
    "private": ('Bearer realm="{private}/token"', False),
    "metadata": ('Bearer realm="http://169.254.169.254/token"', False),
    "a user": ('Bearer realm="http://me:{secret}@{address}/token"', False),
    "no URL": ('Bearer realm="{secret}"', False),
    "no realm": ('Bearer service="{secret}"', False),
    "unknown": ("Negotiate {secret}", False),
    "cut off": ('Bearer realm="{realm}', False),
    "garbage": ('"""=, ,=,,, Bearer Bearer realm=, ="{secret}', False),
}
"""What a registry asks for, and whether it can be answered with a login."""
WAYS = tuple(
    (tls, proxy)
    for tls in TLS
    for proxy in PROXIES
    if tls != "plain" or proxy != "https"  # urllib3 asks http through an https proxy by its own rules
)


class Case(NamedTuple):
    """One case, by the name of each dimension."""

    page: str
    body: str
    link: str
    tls: str
    proxy: str
    origin: str
    login: str
    challenge: str
    token: str
    owner: str

    @property
    def is_login_sent(self) -> bool:
        """True if the login may travel: one of this machine goes over nothing that items have a say in."""
        return self.owner == "item" or (self.tls == "trusted" and self.proxy == "none")

    @property
    def is_harmless(self) -> bool:
        """True if the whole list must come back."""
        is_let_in = self.login == "none" or (
            self.is_login_sent
            and (self.login == "basic" or (CHALLENGES[self.challenge][1] and TOKENS[self.token][1]))
        )
        return (
            is_let_in
            and self.page in GOOD_PAGES
            and self.body in GOOD_BODIES
            and self.link in GOOD_LINKS
            and self.tls != "unknown CA"
            and self.proxy in GOOD_PROXIES
            and self.origin in GOOD_ORIGINS
        )


HARMLESS = Case("tags", "length", "next", "trusted", "none", "here", "bearer", "plain", "token", "item")


def alone() -> Iterator[Case]:
    """Yield every value of every dimension beside harmless ones."""
    for tls, proxy in WAYS:
        yield HARMLESS._replace(tls=tls, proxy=proxy)
    dimensions: dict[str, Iterable[str]] = {
        "page": PAGES, "body": BODIES, "link": LINKS, "origin": ORIGINS, "login": LOGINS, "challenge": CHALLENGES, "token": TOKENS, "owner": OWNERS,
    }  # fmt: skip
    for name, values in dimensions.items():
        for value in values:
            yield HARMLESS._replace(**{name: value})


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield so many cases: each value alone, then by chance, most of each dimension harmless, so that the harmful ones are reached."""
    chance = random.Random(seed)

    def pick(every: Iterable[str], good: Iterable[str]) -> str:
        return chance.choice(sorted(good if chance.random() < 0.85 else every))

    first = [*alone()][:count]
    yield from first
    for _ in range(count - len(first)):
        tls, proxy = chance.choice(
            [way for way in WAYS if way[1] in GOOD_PROXIES and way[0] != "unknown CA"]
            if chance.random() < 0.8
            else WAYS
        )
        yield Case(
            pick(PAGES, GOOD_PAGES),
            pick(BODIES, GOOD_BODIES),
            pick(LINKS, GOOD_LINKS),
            tls,
            proxy,
            pick(ORIGINS, GOOD_ORIGINS),
            chance.choice(LOGINS),
            pick(CHALLENGES, [name for name, (_, good) in CHALLENGES.items() if good]),
            pick(TOKENS, [name for name, (_, good) in TOKENS.items() if good]),
            chance.choice(OWNERS) if chance.random() < 0.3 else "item",
        )


ANSWERS: dict[str, tuple[str, bool]] = {
    "a login": ('{"Username": "me", "Secret": "%s"}', True),
    "more keys": ('{"ServerURL": "x", "Username": "me", "Secret": "%s", "X": []}', True),
    "blanks around": ('\n {"Username": "me", "Secret": "%s"} \n', True),
    "half": ('{"Username": "me", "Secret": "%s"', False),
    "no user": ('{"Secret": "%s"}', False),
    "a number": ('{"Username": "%s", "Secret": 7}', False),
    "a list": ('["%s"]', False),
    "words": ("the password is %s", False),
    "nothing": ("", False),
    "deep": ("[" * 60_000, False),
    "a surrogate": ('{"Username": "me", "Secret": "%s\\ud800"}', False),
    "NUL": ('{"Username": "me", "Secret": "%s\\u0000"}', False),
    "a token with a line end": ('{"Username": "<token>", "Secret": "%s\\n"}', False),
    "not found": ("credentials not found in native keychain", False),
    "not UTF-8": ("\udcff", False),
    "too much": ("x" * 70_000, False),
}
"""What a helper prints, `%s` for the secret, and whether that is a login."""
PLACES = ("credsStore", "credHelpers", "both")
EXITS = (0, 0, 0, 1, 3)


class HelperCase(NamedTuple):
    """One answer of a credential helper."""

    answer: str
    place: str
    code: int
    to_stderr: bool

    @property
    def is_login(self) -> bool:
        """True if a login must come of it."""
        return ANSWERS[self.answer][1] and not self.code and not self.to_stderr


def helper_cases(seed: int, count: int) -> Iterator[HelperCase]:
    """Yield so many answers of helpers: each in every place, then by chance."""
    chance = random.Random(seed)
    every = [HelperCase(answer, place, 0, to_stderr=False) for answer in ANSWERS for place in PLACES]
    yield from every[:count]
    for _ in range(count - len(every)):
        yield HelperCase(
            chance.choice(sorted(ANSWERS)), chance.choice(PLACES), chance.choice(EXITS), chance.random() < 0.2
        )
