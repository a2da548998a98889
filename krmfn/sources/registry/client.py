"""The oras client, with the parts replaced that cannot be trusted with credentials or time.

Kept from oras: `Registry.get_tags` and the URLs of `Container`. Replaced: paging, requests, log-in, reference grammar.
`tests/test_registry_contract.py` fails when oras changes what is leaned on here.
"""

from __future__ import annotations

import copy
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from krmfn.image import is_digest
from krmfn.sanitize import printable, without_login
from krmfn.singleflight import Once
from krmfn.sources.manifest import OCI_INDEX, shown
from krmfn.sources.registry import messages
from krmfn.sources.registry.exchange import Call, NoReply, Reply, Route, Trust
from krmfn.sources.registry.listing import PAGE_LIMIT, Page, excess, listing, next_page
from krmfn.sources.registry.oras_import import oras
from krmfn.sources.registry.origin import Origin

if TYPE_CHECKING:
    from krmfn.access import Listing
    from krmfn.errors import RegistryError
    from krmfn.sources.registry.auth import Authorizer
    from krmfn.sources.registry.endpoints import RequestContext
    from krmfn.sources.registry.retries import Attempts
    from krmfn.sources.registry.secrets import Secrets
    from krmfn.sources.registry.transport import Transport

_HOPS = 5
_RECEIPT = 64 << 10
"""Bytes of the answer to content that was sent."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client(oras.provider.Registry):  # type: ignore[misc]
    """One client for all registries; `about` binds it to one request."""

    prefix: str
    context: RequestContext
    what: str
    """What is asked for, for people."""
    progress: Callable[[str, int], None]
    """Takes a state (see `limits.Progress`), and how many tags there are so far."""

    def __init__(
        self, transport: Transport, attempts: Attempts, auth: Authorizer, secrets: Secrets, trust: Trust, page_size: int
    ) -> None:
        super().__init__()
        self.session.close()
        self._transport, self._attempts, self._auth, self._secrets = transport, attempts, auth, secrets
        self._trust, self._page_size = trust, page_size
        self._schemes = Once()
        self._reading = threading.Lock()
        """Pages are read one after the other, as each may take a hundred bytes of memory for one of its own."""
        self._run = Counter[str]()

    def about(self, context: RequestContext, what: str, progress: Callable[[str, int], None]) -> Client:
        """Return this same client, bound to a request."""
        bound = copy.copy(self)
        bound.context, bound.what, bound.progress = context, what, progress
        bound.prefix = self._scheme(context)
        return bound

    @property
    def container(self) -> oras.container.Container:
        """The endpoint for oras. Built by attributes: its own parser takes `ghcr.io//x` for a name on Docker Hub."""
        endpoint = self.context.endpoint
        container = oras.container.Container.__new__(oras.container.Container)
        container.registry = endpoint.server
        container.namespace, _, container.repository = endpoint.path.rpartition("/")
        container.tag, container.digest = "latest", None
        return container

    def tags(self) -> Listing:
        """List the tags."""
        tags = self.get_tags(self.container)
        with self._reading:
            return listing(tags)

    def manifest(self, reference: str, method: str, accept: str, cap: int) -> Reply:
        """Ask for a manifest by tag or digest."""
        url = f"{self.prefix}://{self.container.manifest_url(reference)}"
        return self._ask(url, method, {"Accept": accept}, cap, by_digest=is_digest(reference))

    def blob(self, digest: str, cap: int) -> Reply:
        """Fetch a blob."""
        return self._ask(f"{self.prefix}://{self.container.get_blob_url(digest)}", "GET", {}, cap, by_digest=True)

    def content(self, digest: str, reply: Reply) -> bytes | bytearray:
        """Return what came under a digest; raises RegistryError unless it has that digest."""
        body = self.good(reply).body
        algorithm, _, expected = digest.partition(":")
        if hashlib.new(algorithm, body).hexdigest() != expected:
            raise self.context.error("integrity", f"content of {digest} has another digest")
        return body

    def has_blob(self, digest: str) -> bool:
        """True if the registry has a blob. Where it leads elsewhere for the content, it has it: nobody follows.

        A URL that is signed for GET refuses HEAD.
        """
        url = f"{self.prefix}://{self.container.get_blob_url(digest)}"
        reply = self._ask(url, "HEAD", {}, 0, by_digest=True, hops=0)
        if reply.status == 404:
            return False
        return reply.status in _REDIRECTS or bool(self.good(reply))

    def referrers(self, digest: str, cap: int) -> Reply:
        """Ask what refers to a digest (OCI distribution spec 1.1)."""
        path = f"{self.context.endpoint.server}/v2/{self.context.endpoint.path}/referrers/{digest}"
        return self._ask(f"{self.prefix}://{path}", "GET", {"Accept": OCI_INDEX}, cap)

    def send(self, url: str, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send content; nobody is followed with it to another place."""
        if "push" not in self.context.actions:
            raise TypeError("this client only reads")
        return self._ask(url, method, headers, _RECEIPT, body=body, hops=0)

    def do_request(self, *_: object, **_options: object) -> NoReturn:
        """Keep oras from sending anything itself."""
        raise TypeError("oras only makes URLs and gathers tags")

    def _do_paginated_request(self, url: str, callable: Callable[[Any], Any]) -> None:  # noqa: A002 - as oras names it
        """Walk the pages, empty ones too, each URL once, within the limits."""
        plain, page_url = url, f"{url}?n={self._page_size}"
        seen: set[str] = set()
        size = count = 0
        while page_url not in seen:
            seen.add(page_url)
            reply = self._ask(page_url, "GET", {}, PAGE_LIMIT)
            if reply.status == 400 and len(seen) == 1:  # a registry that does not know `n`, or allows less
                page_url = plain
                continue
            page = self._page(reply)
            size, count = size + len(reply.body), count + len(page.tags)
            reply = reply._replace(body=b"")  # a page is large, and other threads wait with theirs
            callable(page)
            self.progress("listing", count)
            following = self._next(reply, page_url)
            self._check_limits(len(seen) + (following is not None), size, count)
            if following is None:
                return
            page_url = following
        raise self.context.misbehaved("lists pages of tags in a circle")

    def _check_limits(self, pages: int, size: int, count: int) -> None:
        if text := excess(self.context.endpoint.registry, pages, size, count, self._run):
            raise self.context.error("limit", text)

    def _page(self, reply: Reply) -> Page:
        self.good(reply)
        with self._reading:
            try:
                page = Page(reply.body, self.context.endpoint.path)
            except ValueError as error:  # it holds the page as long as it lives
                fault = str(error)
            else:
                self._run.update({"bytes": len(reply.body), "tags": len(page.tags)})
                return page
        kind = shown(self._secrets.scrub(reply.headers.get("Content-Type", "no content type")), 60)
        hint = "; is a proxy or a log-in page in between?" if "html" in kind.lower() else ""
        raise self.context.misbehaved(f"answered {kind} for tags, which {fault}{hint}")

    def _next(self, reply: Reply, url: str) -> str | None:
        try:
            return next_page(reply.headers.get("Link", ""), url)
        except ValueError as error:
            link = printable(without_login(self._secrets.scrub(reply.headers.get("Link", ""))))
            raise self.context.misbehaved(f"names as next page of tags {link}, which {error}") from None

    def good(self, reply: Reply) -> Reply:
        """Return the reply if it is a success; raises RegistryError otherwise."""
        if reply.status == 200:
            return reply
        raise self.refusal(reply)

    def refusal(self, reply: Reply) -> RegistryError:
        """Return what a reply that is no success means."""
        return messages.refusal(self.context, reply, self.what, self._auth.look_up(self.context), self._secrets)

    def _scheme(self, context: RequestContext) -> str:
        """Choose https, or where plain text is allowed what the server speaks; https is tried first."""
        if not context.endpoint.plain:
            return "https"
        return self._schemes.get((context.endpoint.server, context.route), lambda: self._probe(context))

    def _probe(self, context: RequestContext) -> str:
        url = f"https://{context.endpoint.server}/v2/"
        probe = Call("GET", self._origin(url, context), url, {}, 1 << 16, context.until, context.route)
        answer = self._transport.send(probe)
        if isinstance(answer, NoReply) and answer.kind in {"time", "closed"}:
            raise messages.no_answer(context, answer)
        # what a proxy does instead of reaching the server says nothing about the server
        plain = {"tls"} if self._transport.proxy(probe) else {"tls", "connect", "silence", "broken"}
        return "http" if isinstance(answer, NoReply) and answer.kind in plain else "https"

    def _origin(self, url: str, context: RequestContext) -> Origin:
        origin = Origin.of(url)
        if origin is None:
            raise context.error("integrity", f"{printable(url)} is no URL of a registry")
        return origin

    def _ask(
        self, url: str, method: str, headers: Mapping[str, str], cap: int, *, by_digest: bool = False, hops: int = _HOPS,
        body: bytes | None = None,
    ) -> Reply:  # fmt: skip
        """Ask the registry, log in if it wants that, and follow redirects; raises RegistryError when nothing comes back."""
        context, auth = self.context, self._auth
        origin = self._origin(url, context)
        call = Call(method, origin, url, headers, cap, context.until, context.route, body, by_digest=by_digest)
        # Which header went by which route: Trust may take two, each with a login of its own, and one of them answers.
        used: dict[Route, str] = {}

        def known(route: Route) -> str:
            used[route] = auth.header(context, origin, route)
            return used[route]

        reply = self._follow(call, known, hops)
        if reply.status == 401 and Origin.of(reply.url) == origin:
            header = auth.answer(context, origin, reply, used.get(reply.route, ""))
            if header:
                reply = self._follow(call, lambda route: header if route == reply.route else "", hops)
        return reply

    def _follow(self, call: Call, authorization: Callable[[Route], str], hops: int) -> Reply:
        """Send a call and follow where it leads. What `authorization` gives for a route is for the first origin."""
        home = call.origin
        for _ in range(hops + 1):
            reply = self._send(call, authorization if call.origin == home else lambda _lane: "")
            location = reply.headers.get("Location", "")
            if reply.status not in _REDIRECTS or not location or not hops:
                return reply
            call = self.context.redirected(call, location, self._secrets)
            # a registry in a private network may lead to its neighbours, a public one to public places alone
            call = call._replace(guarded=call.origin != home and not reply.is_private)
        raise self.context.misbehaved(f"redirects more than {_HOPS} times")

    def _send(self, call: Call, authorization: Callable[[Route], str]) -> Reply:
        def over(route: Route) -> Call:
            header = authorization(route)
            headers = {**call.headers, "Authorization": header} if header else call.headers
            return call._replace(headers=headers, route=route)

        reply = self._trust.send(call.origin, call.route, over, lambda one: self._attempts.send(one, self._wait))
        if isinstance(reply, NoReply):
            raise messages.no_answer(self.context, reply)
        return reply

    def _wait(self) -> None:
        self.progress("waiting", 0)
