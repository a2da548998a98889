"""Where a registry may lead a request: blobs may lie elsewhere, and nothing leaves https."""

from __future__ import annotations

from typing import TYPE_CHECKING

from krmfn.sanitize import printable, without_login
from krmfn.sources.registry.origin import Origin, joined

if TYPE_CHECKING:
    from krmfn.sources.registry.endpoints import Question
    from krmfn.sources.registry.exchange import Call
    from krmfn.sources.registry.secrets import Secrets


def redirected(call: Call, question: Question, location: str, secrets: Secrets) -> Call:
    """Return the call that a redirect asks for. Raise RegistryError for one that nobody may follow."""
    url = joined(call.url, location)
    origin = Origin.of(url)
    shown = printable(without_login(secrets.scrub(location)))
    if origin is None:
        raise question.misbehaved(f"redirects to {shown!r}, which is no http(s) URL")
    if origin.scheme == "http" and call.origin.scheme == "https":
        raise question.misbehaved(f"redirects from https to {shown!r}")
    if not (call.method == "GET" and call.by_digest) and not question.may_connect(origin.authority):
        what = f"{shown}, where {question.target.registry} redirects to,"
        raise question.not_allowed(what, origin.authority)
    lane = call.lane if origin == call.origin else call.lane.to_others()
    return call._replace(url=url, origin=origin, lane=lane)
