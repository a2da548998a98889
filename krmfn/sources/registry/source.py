"""The registries as a TagSource: questions about repositories become requests, and their replies answers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import is_digest
from krmfn.plan.inspection import Inspection, Lack, Needs
from krmfn.sanitize import printable
from krmfn.singleflight import Once
from krmfn.sources.contents import Part, TooManyError, lacking
from krmfn.sources.keychain import Keychain
from krmfn.sources.manifest import LIMIT, MEDIA_TYPES, Image, describe, known_type, media_type
from krmfn.sources.registry.attachments import Attachments
from krmfn.sources.registry.auth import Authorizer
from krmfn.sources.registry.client import Client
from krmfn.sources.registry.clock import World
from krmfn.sources.registry.connections import SetUpError, proxy_address
from krmfn.sources.registry.endpoints import RequestContext, is_allowed, locate
from krmfn.sources.registry.exchange import Identity, Reply, Route, Trust
from krmfn.sources.registry.host_limiter import HostLimiter
from krmfn.sources.registry.proxies import proxy_url
from krmfn.sources.registry.pushing import Pusher
from krmfn.sources.registry.retries import Attempts
from krmfn.sources.registry.secrets import Secrets
from krmfn.sources.registry.transport import Transport
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.access import Listing, Repository
    from krmfn.signatures.verifying import Verdict
    from krmfn.signatures.wanted import Wanted
    from krmfn.sources.registry.limits import Settings

_ACCEPT = ", ".join(MEDIA_TYPES)
Answer = TypeVar("Answer")


class _Pieces:
    """The parts of images in a registry, as `contents` wants them."""

    def __init__(self, client: Client) -> None:
        self._client, self.has = client, client.has_blob

    def read(self, kind: Part, digest: str) -> bytes | bytearray | None:
        is_blob = kind == "config"
        reply = self._client.blob(digest, LIMIT) if is_blob else self._client.manifest(digest, "GET", _ACCEPT, LIMIT)
        return None if reply.status == 404 else self._client.content(digest, reply)


class RegistrySource:
    """Tags straight from registries, with one client, one limiter and one set of tokens for a whole run.

    A TagSource; raises RegistryError only; safe to call from threads.
    """

    def __init__(self, settings: Settings) -> None:
        logging.getLogger("oras.logger").addHandler(logging.NullHandler())
        self._settings = settings
        self._world = settings.world or World()
        self._secrets = Secrets()
        self._secrets.learn_proxies(settings.env)
        for mirror in settings.mirrors:
            self._secrets.learn_login(mirror.place)
        self._until = self._world.clock() + settings.run_seconds
        self._transport = Transport(settings, self._world)
        limiter = HostLimiter(self._world, per_host=settings.per_host, total=settings.workers)
        attempts, trust = Attempts(settings, self._world, self._transport, limiter), Trust()
        keychain = Keychain(settings.env, settings.helper_seconds, self._world.clock)
        self._auth = Authorizer(attempts.send, keychain, self._secrets, self._world, trust)
        self._client = Client(self._transport, attempts, self._auth, self._secrets, trust, settings.page_size)
        self._images = Once()
        self._without_referrers: set[str] = set()

    @property
    def requests(self) -> int:
        """The number of HTTP requests sent so far, retries and token requests included."""
        return self._transport.sent

    def notes(self) -> tuple[str, ...]:
        """List what went wrong on the side without failing anything: a helper that broke, a bad docker config."""
        return tuple(map(self._secrets.scrub, self._auth.problems))

    def close(self) -> None:
        """End everything under way and close all connections."""
        self._transport.close()

    def tags(self, repository: Repository) -> Listing:
        """See TagSource.tags."""

        def ask(client: Client) -> Listing:
            self._report(repository, "listing", 0)
            listed = client.tags()
            self._report(repository, "listed", len(listed.tags))
            return listed

        return self._answer(repository, "tags", ask)

    def digest(self, repository: Repository, tag: str) -> str:
        """See TagSource.digest. HEAD, which Docker Hub does not count as a pull; GET and sha256 where that is not enough."""

        def ask(client: Client) -> str:
            if not self._settings.verify_digest:
                reply = client.manifest(tag, "HEAD", _ACCEPT, 0)
                digest = reply.headers.get("Docker-Content-Digest", "").strip()
                if reply.status == 200 and is_digest(digest):
                    if declared := _declared_type(reply):
                        known_type(declared)
                    return digest
                if reply.status not in {200, 400, 405, 501}:
                    raise client.refusal(reply)
            return _fetch(client, tag)[0]

        return self._answer(repository, f"tag {tag}", ask)

    def created(self, repository: Repository, tag: str) -> str:
        """See TagSource.created; `YYYY-MM-DDTHH:MM:SSZ`, so that the texts sort by time."""
        return self.image(repository, tag).created_or_error()

    def image(self, repository: Repository, tag: str) -> Image:
        """Return what the image of a tag or digest says about itself; read once per tag."""
        return self._images.get((repository, tag), lambda: self._image(repository, tag))

    def _image(self, repository: Repository, tag: str) -> Image:
        def ask(client: Client) -> Image:
            _, top = _fetch(client, tag)

            def read(digest: str) -> bytes | bytearray:
                # below an index stand manifests, below a manifest blobs: they are asked for at different places
                is_manifest = b'"manifests"' in top.body and digest.encode() in top.body
                reply = client.manifest(digest, "GET", _ACCEPT, LIMIT) if is_manifest else client.blob(digest, LIMIT)
                return client.content(digest, reply)

            return describe(f"{repository.image.canonical}:{tag}", top.body, _declared_type(top), read)

        return self._answer(repository, f"tag {tag}", ask)

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect."""

        def ask(client: Client) -> Inspection:
            try:
                digest, reply = _fetch(client, tag)
            except RegistryError as error:
                if error.failure == "not-found":
                    return Inspection(None, (Lack("manifest", tag),))
                raise
            return Inspection(digest, lacking(reply.body, _declared_type(reply), needs, _Pieces(client)))

        return self._answer(repository, f"tag {tag}", ask)

    def verify(self, repository: Repository, digest: str, wanted: Wanted) -> Verdict:
        """See TagSource.verify."""
        from krmfn.signatures.verifying import verify

        return verify(digest, self.attachments(repository), wanted)

    def attachments(self, repository: Repository) -> Attachments:
        """Return what reads the artefacts beside the images of a repository."""
        return Attachments(partial(self._answer, repository), self._without_referrers)

    def pusher(self, repository: Repository) -> Pusher:
        """Return what pushes to a repository."""
        return Pusher(partial(self._answer, repository, actions="pull,push"))

    def _answer(self, repository: Repository, what: str, ask: Callable[[Client], Answer], *, actions: str = "pull") -> Answer:
        """Ask within the repository's time, for `what` in people's words; every error leaves without a secret in it.

        A ValueError of `ask` says what is wrong with the content that came.
        """
        try:
            context = self._context(repository, actions)
            client = self._client.about(context, what, partial(self._report, repository))
            try:
                return ask(client)
            except ValueError as error:
                failure: RegistryFailure = "limit" if isinstance(error, TooManyError) else "integrity"
                raise context.error(failure, f"{what} {error}") from None
        except RegistryError as error:
            self._report(repository, "failed", 0)
            failed = error.reworded(self._secrets.scrub(error.message))
        raise failed  # outside, so that it does not hold what was read as long as it lives

    def _context(self, repository: Repository, actions: str) -> RequestContext:
        access, settings = repository.access, self._settings
        self._secrets.learn(filter(None, (access.proxy_password,)))
        self._secrets.learn_login(access.proxy_address or "")
        endpoint = locate(repository, settings.mirrors)
        seconds = access.timeout_seconds or settings.repository_seconds
        until = min(self._until, self._world.clock() + seconds)
        whole = f"{settings.run_seconds:g} s for the whole run"
        time_allowed = f"{seconds:g} s for this repository" if until < self._until else whole
        route = Route(Identity(access.ca_pem, access.client_cert_pem, access.client_key_pem))
        allowed, trusted = settings.allowed_registries, settings.trust_config
        context = RequestContext(repository, endpoint, until, time_allowed, route, allowed, trusted, actions)
        if allowed is not None and not is_allowed(endpoint, allowed):
            raise context.not_allowed(str(endpoint), "")
        if not access.proxy_address:
            return context
        return replace(context, route=route._replace(proxy=self._proxy(context)))

    def _proxy(self, context: RequestContext) -> str:
        """Return the URL of the proxy that an item names, with its login, if it may be asked."""
        access = context.repository.access
        try:
            proxy = proxy_url(access.proxy_address or "", access.proxy_username, access.proxy_password)
            authority = proxy_address(proxy).netloc or ""
        except SetUpError as error:
            raise context.error("integrity", str(error)) from None
        except UnicodeError:
            raise context.error("integrity", "the login of the proxy is no Unicode text") from None
        if not context.may_connect(authority):
            name = printable(self._secrets.scrub(authority))
            raise context.not_allowed(f"the proxy {name} that an item names for {context.endpoint}", name)
        return proxy

    def _report(self, repository: Repository, state: str, tags: int) -> None:
        if self._settings.progress:
            self._settings.progress(repository.image.canonical, state, tags)


def _declared_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _fetch(client: Client, tag: str) -> tuple[str, Reply]:
    """Fetch a manifest and return it with its digest. Raise RegistryError, ValueError for what is no manifest.

    The digest that the registry claims must be that of the content, by whatever algorithm it claims one.
    """
    reply = client.good(client.manifest(tag, "GET", _ACCEPT, LIMIT))
    claimed = reply.headers.get("Docker-Content-Digest", "").strip()
    algorithm = claimed.partition(":")[0] if is_digest(claimed) else "sha256"
    digest = f"{algorithm}:{hashlib.new(algorithm, reply.body).hexdigest()}"
    if is_digest(claimed) and claimed != digest:
        message = f"tag {tag} came with digest {claimed} but its content has {digest}"
        raise client.context.error("integrity", message)
    media_type(parse(reply.body), _declared_type(reply))
    return digest, reply
