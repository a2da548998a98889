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
from krmfn.sources.registry.exchange import Call, Lane, NoReply, Reply, Trust
from krmfn.sources.registry.listing import (
    BYTES_LIMIT,
    PAGE_LIMIT,
    PAGES_LIMIT,
    RUN_BYTES_LIMIT,
    RUN_TAGS_LIMIT,
    TAGS_LIMIT,
    Page,
    listing,
    next_page,
)
from krmfn.sources.registry.oras_import import oras
from krmfn.sources.registry.origin import Origin

if TYPE_CHECKING:
    from krmfn.access import Listing
    from krmfn.errors import RegistryError
    from krmfn.sources.registry.auth import Authorizer
    from krmfn.sources.registry.endpoints import Question
    from krmfn.sources.registry.retries import Attempts
    from krmfn.sources.registry.secrets import Secrets
    from krmfn.sources.registry.transport import Transport

_HOPS = 5
_RECEIPT = 64 << 10
"""Bytes of the answer to content that was sent."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client(oras.provider.Registry):  # type: ignore[misc]
    """One client for all registries; `about` binds it to a question."""

    prefix: str
    question: Question
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

    def about(self, question: Question, what: str, progress: Callable[[str, int], None]) -> Client:
        """Return this same client, bound to a question."""
        bound = copy.copy(self)
        bound.question, bound.what, bound.progress = question, what, progress
        bound.prefix = self._scheme(question)
        return bound

    @property
    def container(self) -> oras.container.Container:
        """The target for oras. Built by attributes: its own parser takes `ghcr.io//x` for a name on Docker Hub."""
        target = self.question.target
        container = oras.container.Container.__new__(oras.container.Container)
        container.registry = target.server
        container.namespace, _, container.repository = target.path.rpartition("/")
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
            raise self.question.error("integrity", f"content of {digest} has another digest")
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
        path = f"{self.question.target.server}/v2/{self.question.target.path}/referrers/{digest}"
        return self._ask(f"{self.prefix}://{path}", "GET", {"Accept": OCI_INDEX}, cap)

    def send(self, url: str, method: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send content; nobody is followed with it to another place."""
        if "push" not in self.question.actions:
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
        raise self.question.misbehaved("lists pages of tags in a circle")

    def _check_limits(self, pages: int, size: int, count: int) -> None:
        for is_over, text in (
            (pages > PAGES_LIMIT, f"{PAGES_LIMIT} pages"),
            (size > BYTES_LIMIT, f"{BYTES_LIMIT >> 20} MiB"),
            (count > TAGS_LIMIT, f"{TAGS_LIMIT} tags"),
        ):
            if is_over:
                message = f"{self.question.target.registry} lists more than {text} for one repository, which is the limit"
                raise self.question.error("limit", message)
        if self._run["bytes"] > RUN_BYTES_LIMIT or self._run["tags"] > RUN_TAGS_LIMIT:
            text = f"{RUN_BYTES_LIMIT >> 20} MiB or {RUN_TAGS_LIMIT} tags"
            raise self.question.error("limit", f"the lists of all repositories have more than {text}, which is the limit")

    def _page(self, reply: Reply) -> Page:
        self.good(reply)
        with self._reading:
            try:
                page = Page(reply.body, self.question.target.path)
            except ValueError as error:  # it holds the page as long as it lives
                fault = str(error)
            else:
                self._run.update({"bytes": len(reply.body), "tags": len(page.tags)})
                return page
        kind = shown(self._secrets.scrub(reply.headers.get("Content-Type", "no content type")), 60)
        hint = "; is a proxy or a log-in page in between?" if "html" in kind.lower() else ""
        raise self.question.misbehaved(f"answered {kind} for tags, which {fault}{hint}")

    def _next(self, reply: Reply, url: str) -> str | None:
        try:
            return next_page(reply.headers.get("Link", ""), url)
        except ValueError as error:
            link = printable(without_login(self._secrets.scrub(reply.headers.get("Link", ""))))
            raise self.question.misbehaved(f"names as next page of tags {link}, which {error}") from None

    def good(self, reply: Reply) -> Reply:
        """Return the reply if it is a success; raises RegistryError otherwise."""
        if reply.status == 200:
            return reply
        raise self.refusal(reply)

    def refusal(self, reply: Reply) -> RegistryError:
        """Return what a reply that is no success means."""
        return messages.refusal(self.question, reply, self.what, self._auth.look_up(self.question), self._secrets)

    def _scheme(self, question: Question) -> str:
        """Choose https, or where plain text is allowed what the server speaks; https is tried first."""
        if not question.target.plain:
            return "https"
        return self._schemes.get((question.target.server, question.lane), lambda: self._probe(question))

    def _probe(self, question: Question) -> str:
        url = f"https://{question.target.server}/v2/"
        probe = Call("GET", self._origin(url, question), url, {}, 1 << 16, question.until, question.lane)
        answer = self._transport.send(probe)
        if isinstance(answer, NoReply) and answer.kind in {"time", "closed"}:
            raise messages.no_answer(question, answer)
        # what a proxy does instead of reaching the server says nothing about the server
        plain = {"tls"} if self._transport.proxy(probe) else {"tls", "connect", "silence", "broken"}
        return "http" if isinstance(answer, NoReply) and answer.kind in plain else "https"

    def _origin(self, url: str, question: Question) -> Origin:
        origin = Origin.of(url)
        if origin is None:
            raise question.error("integrity", f"{printable(url)} is no URL of a registry")
        return origin

    def _ask(
        self, url: str, method: str, headers: Mapping[str, str], cap: int, *, by_digest: bool = False, hops: int = _HOPS,
        body: bytes | None = None,
    ) -> Reply:  # fmt: skip
        """Ask the registry, log in if it wants that, and follow redirects; raises RegistryError when nothing comes back."""
        question, auth = self.question, self._auth
        origin = self._origin(url, question)
        call = Call(method, origin, url, headers, cap, question.until, question.lane, body, by_digest=by_digest)
        used: dict[Lane, str] = {}

        def known(lane: Lane) -> str:
            used[lane] = auth.header(question, origin, lane)
            return used[lane]

        reply = self._follow(call, known, hops)
        if reply.status == 401 and Origin.of(reply.url) == origin:
            header = auth.answer(question, origin, reply, used.get(reply.lane, ""))
            if header:
                reply = self._follow(call, lambda lane: header if lane == reply.lane else "", hops)
        return reply

    def _follow(self, call: Call, authorization: Callable[[Lane], str], hops: int) -> Reply:
        """Send a call and follow where it leads. What `authorization` gives for a lane goes to the first origin only."""
        home = call.origin
        for _ in range(hops + 1):
            reply = self._send(call, authorization if call.origin == home else lambda _lane: "")
            location = reply.headers.get("Location", "")
            if reply.status not in _REDIRECTS or not location or not hops:
                return reply
            call = self.question.redirected(call, location, self._secrets)
            # a registry in a private network may lead to its neighbours, a public one to public places alone
            call = call._replace(guarded=call.origin != home and not reply.is_private)
        raise self.question.misbehaved(f"redirects more than {_HOPS} times")

    def _send(self, call: Call, authorization: Callable[[Lane], str]) -> Reply:
        def over(lane: Lane) -> Call:
            header = authorization(lane)
            headers = {**call.headers, "Authorization": header} if header else call.headers
            return call._replace(headers=headers, lane=lane)

        reply = self._trust.send(call.origin, call.lane, over, lambda one: self._attempts.send(one, self._wait))
        if isinstance(reply, NoReply):
            raise messages.no_answer(self.question, reply)
        return reply

    def _wait(self) -> None:
        self.progress("waiting", 0)
