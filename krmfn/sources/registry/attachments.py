"""What stands beside an image in its repository: referrers (OCI distribution spec 1.1), tags of signatures, their content."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from krmfn.sources.manifest import LIMIT, OCI_INDEX, OCI_MANIFEST
from krmfn.sources.registry.client import Client
from krmfn.strict_json import parse

_ACCEPT = f"{OCI_MANIFEST}, {OCI_INDEX}"

Ask = Callable[[str, Callable[[Client], Any]], Any]
"""Asks by a client that is bound to the repository; the text names for people what is asked for, or sent."""


class Attachments:
    """The artefacts of one repository. Content is checked against its digest. Raises RegistryError."""

    def __init__(self, ask: Ask, without_referrers: set[str]) -> None:
        """`without_referrers` remembers the servers that have no referrers API."""
        self._ask, self._without = ask, without_referrers

    def referrers(self, digest: str) -> Sequence[object]:
        """Return the descriptors of what refers to a digest: by the API, else by the tag that the specification falls back to."""

        def ask(client: Client) -> Sequence[object] | None:
            server = client.context.endpoint.server
            if server in self._without:
                return None
            reply = client.referrers(digest, LIMIT)
            if reply.status in (400, 404, 405):  # distribution answers 404, others do not know the path
                self._without.add(server)
                return None
            if "next" in client.good(reply).headers.get("Link", ""):
                raise client.context.error("limit", f"more than one page of artefacts refers to {digest}")
            return _manifests(client, reply.body)

        listed: Sequence[object] | None = self._ask(f"referrers of {digest}", ask)
        if listed is None:
            index = self.manifest(digest.replace(":", "-"))
            manifests = index.get("manifests") if index else None
            listed = manifests if isinstance(manifests, list) else []
        return listed

    def manifest(self, reference: str) -> Mapping[str, Any] | None:
        """Return a manifest or index by tag or digest; None when there is none."""

        def ask(client: Client) -> Mapping[str, Any] | None:
            reply = client.manifest(reference, "GET", _ACCEPT, LIMIT)
            if reply.status == 404:
                return None
            return parse(client.content(reference, reply) if ":" in reference else client.good(reply).body)

        manifest: Mapping[str, Any] | None = self._ask(reference, ask)
        return manifest

    def blob(self, digest: str, limit: int) -> bytes | bytearray:
        """Return content of at most `limit` bytes."""

        def ask(client: Client) -> bytes | bytearray:
            return client.content(digest, client.blob(digest, limit))

        content: bytes | bytearray = self._ask(f"content {digest}", ask)
        return content


def _manifests(client: Client, body: bytes | bytearray) -> Sequence[object]:
    try:
        manifests = parse(body).get("manifests")
    except ValueError as error:
        raise client.context.error("integrity", f"referrers {error}") from None
    if not isinstance(manifests, list):
        raise client.context.error("integrity", "the list of referrers has no manifests")
    return manifests
