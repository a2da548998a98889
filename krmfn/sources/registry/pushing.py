"""Pushing artifacts (OCI distribution spec 1.1, section Push): blobs and manifests, to the registry itself and nowhere else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from krmfn.sources.manifest import LIMIT
from krmfn.sources.registry.oras_import import oras
from krmfn.sources.registry.origin import Origin, joined

if TYPE_CHECKING:
    from krmfn.sources.registry.attachments import Ask
    from krmfn.sources.registry.client import Client
    from krmfn.sources.registry.exchange import Reply


class Pusher:
    """Pushes to one repository. Raises RegistryError."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def blob(self, data: bytes) -> bool:
        """Push content that is not there yet. Return whether it was sent."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

        def send(client: Client) -> bool:
            if client.has_blob(digest):
                return False
            start = f"{client.prefix}://{client.container.upload_blob_url()}"
            session = _expected(client, client.send(start, "POST", {}, b""), 202)
            place = oras.utils.append_url_params(_session(client, start, session), {"digest": digest})
            _expected(client, client.send(place, "PUT", {"Content-Type": "application/octet-stream"}, data), 201)
            return True

        return bool(self._ask(f"content {digest}", send))

    def manifest(self, data: bytes, media_type: str, tag: str = "") -> str:
        """Push a manifest or index by its digest, or by a tag. Return its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"

        def send(client: Client) -> str:
            url = f"{client.prefix}://{client.container.manifest_url(tag or digest)}"
            reply = _expected(client, client.send(url, "PUT", {"Content-Type": media_type}, data), 201)
            claimed = reply.headers.get("Docker-Content-Digest", digest).strip()
            if claimed != digest:
                message = f"the registry stored {tag or digest} as another digest than was sent"
                raise client.context.error("integrity", message)
            return digest

        if len(data) > LIMIT:
            raise ValueError(f"a manifest of {len(data)} bytes")
        return str(self._ask(f"manifest {tag or digest}", send))


def _expected(client: Client, reply: Reply, status: int) -> Reply:
    """Return the reply if it has the status of success, or another one that means it. Raises RegistryError."""
    if reply.status in (status, 200, 201, 204):
        return reply
    raise client.refusal(reply)


def _session(client: Client, start: str, reply: Reply) -> str:
    """Return where the content is to be sent: a place of the same origin."""
    location = reply.headers.get("Location", "")
    place = joined(start, location)
    if not location or Origin.of(place) is None or Origin.of(place) != Origin.of(start):
        raise client.context.error("integrity", "the registry names no place of its own where content could be sent")
    return place
