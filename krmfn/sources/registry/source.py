"""The source behind `krmfn.sources.registry_source`: turns questions about repositories into requests and their replies into answers."""

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
from krmfn.sources.contents import TooManyError, lacking
from krmfn.sources.keychain import Keychain
from krmfn.sources.manifest import LIMIT, MEDIA_TYPES, Image, describe, media_type, shown
from krmfn.sources.registry.attachments import Attachments
from krmfn.sources.registry.auth import Authorizer
from krmfn.sources.registry.client import Client
from krmfn.sources.registry.clock import World
from krmfn.sources.registry.connections import SetUpError, proxy_address
from krmfn.sources.registry.endpoints import Question, is_allowed, locate
from krmfn.sources.registry.exchange import Identity, Lane, Reply
from krmfn.sources.registry.host_limiter import Gate
from krmfn.sources.registry.proxies import proxy_url
from krmfn.sources.registry.pushing import Pusher
from krmfn.sources.registry.retries import Attempts
from krmfn.sources.registry.secrets import Secrets
from krmfn.sources.registry.transport import Transport
from krmfn.sources.registry.travel import Trust
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.access import Access, Listing, Repository
    from krmfn.sources.registry.limits import Settings

_ACCEPT = ", ".join(MEDIA_TYPES)
Answer = TypeVar("Answer")


class _Pieces:
    """The parts of images in a registry, as `contents` wants them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def manifest(self, digest: str) -> bytes | bytearray | None:
        reply = self._client.manifest(digest, "GET", _ACCEPT, LIMIT)
        return None if reply.status == 404 else _verified(self._client, digest, reply)

    def config(self, digest: str) -> bytes | bytearray | None:
        reply = self._client.blob(digest, LIMIT)
        return None if reply.status == 404 else _verified(self._client, digest, reply)

    def has(self, digest: str) -> bool:
        return self._client.has_blob(digest)


def _verified(client: Client, digest: str, reply: Reply) -> bytes | bytearray:
    """Return content that hashes to its name. Raises RegistryError."""
    body = client.good(reply).body
    algorithm, _, expected = digest.partition(":")
    if hashlib.new(algorithm, body).hexdigest() != expected:
        raise client.question.error("integrity", f"content of {digest} has another digest")
    return body


class Source:
    """Answers questions. One client, one gate, one set of tokens for a whole run."""

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
        gate = Gate(self._world, per_host=settings.per_host, total=settings.workers)
        attempts = Attempts(settings, self._world, self._transport, gate)
        trust = Trust()
        self._auth = Authorizer(
            attempts.send,
            Keychain(settings.env, settings.helper_seconds, self._world.clock),
            self._secrets,
            self._world,
            trust,
        )
        self._client = Client(self._transport, attempts, self._auth, self._secrets, trust)
        self._images = Once()
        self._without_referrers: set[str] = set()

    @property
    def requests(self) -> int:
        """Count the requests sent."""
        return self._transport.sent

    def notes(self) -> tuple[str, ...]:
        """List what went wrong with credentials on the side."""
        return tuple(map(self._secrets.scrub, self._auth.problems))

    def close(self) -> None:
        """Close everything."""
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
                    return self._checked_type(client, reply, tag, digest)
                if reply.status not in {200, 400, 405, 501}:
                    raise client.refusal(reply)
            return self._fetch(client, tag)[0]

        return self._answer(repository, f"tag {tag}", ask)

    def image(self, repository: Repository, tag: str) -> Image:
        """Return what the image says about itself; read once per tag."""
        return self._images.get((repository, tag), lambda: self._image(repository, tag))

    def attachments(self, repository: Repository) -> Attachments:
        """Return what reads the artefacts beside the images of a repository."""
        return Attachments(partial(self._answer, repository), self._without_referrers)

    def pusher(self, repository: Repository) -> Pusher:
        """Return what pushes to a repository."""
        return Pusher(partial(self._answer, repository, actions="pull,push"))

    def _image(self, repository: Repository, tag: str) -> Image:
        name = f"{repository.image.canonical}:{tag}"

        def ask(client: Client) -> Image:
            _, reply = self._fetch(client, tag)
            declared = self._type(reply)
            try:
                return describe(name, reply.body, declared, lambda digest: self._read(client, digest, reply))
            except ValueError as error:
                raise client.question.error("integrity", f"tag {tag} {error}") from None

        return self._answer(repository, f"tag {tag}", ask)

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        """See TagSource.inspect."""

        def ask(client: Client) -> Inspection:
            try:
                digest, reply = self._fetch(client, tag)
            except RegistryError as error:
                if error.failure == "not-found":
                    return Inspection(None, (Lack("manifest", tag),))
                raise
            try:
                return Inspection(digest, lacking(reply.body, self._type(reply), needs, _Pieces(client)))
            except ValueError as error:
                failure: RegistryFailure = "limit" if isinstance(error, TooManyError) else "integrity"
                raise client.question.error(failure, f"tag {tag} {error}") from None

        return self._answer(repository, f"tag {tag}", ask)

    def _type(self, reply: Reply) -> str:
        return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def _checked_type(self, client: Client, reply: Reply, tag: str, digest: str) -> str:
        declared = self._type(reply)
        if declared and declared not in MEDIA_TYPES:
            message = f"tag {tag} is of type {shown(declared)}, which is no image manifest of OCI or docker schema 2"
            raise client.question.error("integrity", message)
        return digest

    def _fetch(self, client: Client, tag: str) -> tuple[str, Reply]:
        """Fetch a manifest and hash it; the digest the registry claims must be the same."""
        reply = client.good(client.manifest(tag, "GET", _ACCEPT, LIMIT))
        claimed = reply.headers.get("Docker-Content-Digest", "").strip()
        algorithm = claimed.partition(":")[0] if is_digest(claimed) else "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, reply.body).hexdigest()}"
        if claimed and is_digest(claimed) and claimed != digest:
            message = f"tag {tag} came with digest {claimed} but its content has {digest}"
            raise client.question.error("integrity", message)
        try:
            media_type(parse(reply.body), self._type(reply))
        except ValueError as error:
            raise client.question.error("integrity", f"tag {tag} {error}") from None
        return digest, reply

    def _read(self, client: Client, digest: str, top: Reply) -> bytes | bytearray:
        """Read a document below a manifest: manifests of an index first, then blobs; its content must hash to its name."""
        is_index = b'"manifests"' in top.body and digest.encode() in top.body
        reply = client.manifest(digest, "GET", _ACCEPT, LIMIT) if is_index else client.blob(digest, LIMIT)
        return _verified(client, digest, reply)

    def _answer(self, repository: Repository, what: str, ask: Callable[[Client], Answer], *, actions: str = "pull") -> Answer:
        """Ask within the repository's time; every error leaves without a secret in it."""
        try:
            question = replace(self._question(repository), actions=actions)
            return ask(
                self._client.about(
                    question, what, lambda state, tags: self._report(repository, state, tags), self._settings.page_size
                )
            )
        except RegistryError as error:
            self._report(repository, "failed", 0)
            message = self._secrets.scrub(error.message)
            failed = RegistryError(error.failure, error.repository, message, status=error.status, code=error.code)
        raise failed  # outside, so that it does not hold what was read as long as it lives

    def _question(self, repository: Repository) -> Question:
        access = repository.access
        self._secrets.learn(filter(None, (access.proxy_password,)))
        self._secrets.learn_login(access.proxy_address or "")
        target = locate(repository, self._settings.mirrors)
        allowed = self._settings.allowed_registries
        seconds = access.timeout_seconds or self._settings.repository_seconds
        until = min(self._until, self._world.clock() + seconds)
        whole = f"{self._settings.run_seconds:g} s for the whole run"
        within = f"{seconds:g} s for this repository" if until < self._until else whole
        identity = Identity((access.ca_pem, access.client_cert_pem, access.client_key_pem))
        question = Question(repository, target, until, within, Lane(identity), allowed, self._settings.trust_config)
        if allowed is not None and not is_allowed(target, allowed):
            raise question.not_allowed(str(target), "")
        return (
            replace(question, lane=Lane(identity, self._proxy(question, access))) if access.proxy_address else question
        )

    def _proxy(self, question: Question, access: Access) -> str:
        """Return the URL of the proxy that an item names, with its login, if it may be asked."""
        try:
            proxy = proxy_url(access.proxy_address or "", access.proxy_username, access.proxy_password)
            authority = proxy_address(proxy).netloc or ""
        except (SetUpError, UnicodeError) as error:
            text = str(error) if isinstance(error, SetUpError) else "the login of the proxy is no Unicode text"
            raise question.error("integrity", text) from None
        if not question.may_connect(authority):
            name = printable(self._secrets.scrub(authority))
            raise question.not_allowed(f"the proxy {name} that an item names for {question.target}", name)
        return proxy

    def _report(self, repository: Repository, state: str, tags: int) -> None:
        if self._settings.progress:
            self._settings.progress(repository.image.canonical, state, tags)
