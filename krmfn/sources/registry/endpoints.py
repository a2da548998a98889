"""What holds for all requests of one question: which endpoint, how long, by which route, and with which login.

A connection that items have a say in carries no login of this machine: plain http, a CA certificate or a proxy from an
item would let whoever writes manifests read what is sent. Exceptions are for the environment: `KRMFN_TRUST_CONFIG`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from krmfn.access import ITEM, Mirror, Provenance
from krmfn.errors import RegistryError, RegistryFailure
from krmfn.image import HUB
from krmfn.sanitize import printable, without_login
from krmfn.sources.keychain import normal_key
from krmfn.sources.registry.limits import without_port
from krmfn.sources.registry.origin import Origin, is_loopback_name, joined

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.sources.registry.exchange import Call, Route
    from krmfn.sources.registry.secrets import Secrets

_HUB_SERVER = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a repository is really asked for. `registry` is the key of its credentials.

    `insecure` allows plain text with credentials, and `provenance` says who does; `plain` allows plain text at all.
    """

    registry: str
    path: str
    insecure: bool = False
    provenance: Provenance = ITEM

    @property
    def server(self) -> str:
        """Host and port on the network."""
        return _HUB_SERVER if self.registry == HUB else self.registry

    @property
    def plain(self) -> bool:
        """Plain text is allowed: it was asked for, or the registry is this machine."""
        host = self.server.rpartition(":")[0] if self.server.rpartition(":")[2].isdecimal() else self.server
        return self.insecure or is_loopback_name(host.strip("[]"))

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """A repository, where it is asked, until when (clock of the run, and in words), and the route.

    `allow_list` and `trust_config` are what the environment says, `actions` what a token is asked for; `withheld`
    collects what kept a login from being sent.
    """

    repository: Repository
    endpoint: Endpoint
    until: float
    time_allowed: str
    route: Route
    allow_list: tuple[str, ...] | None = None
    trust_config: tuple[str, ...] = ()
    actions: str = "pull"
    withheld: dict[str, None] = field(default_factory=dict, compare=False)

    @property
    def is_trusted(self) -> bool:
        """True when logins for this registry may travel over whatever items ask for."""
        return without_port(self.endpoint.registry) in map(normal_key, self.trust_config)

    def obstacles(self, login: Provenance, origin: Origin, route: Route) -> tuple[str, ...]:
        """Name what keeps a login off a connection, and remember it; nothing does for a registry that is trusted.

        Each part of the connection must be of the machine, or of the login's own item. A login of an item and the parts
        of an item are of one ImageRepository, which names them all in its namespace; only a mirror's `http://` may be
        of another.
        """
        if self.is_trusted:
            return ()
        items = self.repository.access.provenance
        # nobody asks for the plain http of loopback, so no login goes there
        asked = self.endpoint.provenance if self.endpoint.insecure else None
        parts = (
            ("plain http", origin.scheme == "http", asked),
            ("a CA certificate", bool(route.identity.ca), items),
            ("a proxy", bool(route.proxy), items),
        )
        names = tuple(name for name, is_there, who in parts if is_there and not (who and who.may_see(login)))
        self.withheld.update(dict.fromkeys(names))
        return names

    def may_connect(self, authority: str) -> bool:
        """Return True if the allow list lets this host be connected to; the registry itself was looked at before."""
        if self.allow_list is None or without_port(authority) == without_port(self.endpoint.server):
            return True
        hosts = [rule for rule in self.allow_list if "/" not in rule.rstrip("/")]
        return is_allowed(Endpoint(normal_key(authority), ""), hosts)

    def redirected(self, call: Call, location: str, secrets: Secrets) -> Call:
        """Return the call that a redirect asks for. Raise RegistryError for one that nobody may follow.

        Nothing leaves https, and hosts that are not allowed may hold nothing but content that is known by its digest.
        """
        url = joined(call.url, location)
        origin = Origin.of(url)
        shown = printable(without_login(secrets.scrub(location)))
        if origin is None:
            raise self.misbehaved(f"redirects to {shown!r}, which is no http(s) URL")
        if origin.scheme == "http" and call.origin.scheme == "https":
            raise self.misbehaved(f"redirects from https to {shown!r}")
        if not (call.method == "GET" and call.by_digest) and not self.may_connect(origin.authority):
            raise self.not_allowed(f"{shown}, where {self.endpoint.registry} redirects to,", origin.authority)
        route = call.route if origin == call.origin else call.route.to_others()
        return call._replace(url=url, origin=origin, route=route)

    def not_allowed(self, what: str, authority: str) -> RegistryError:
        """Return the error for a host that the allow list leaves out."""
        names = ", ".join(self.allow_list or ()) or "nothing"
        more = f"; add {authority} to allow it" if authority else ""
        return self.error("denied", f"{what} may not be asked: KRMFN_ALLOWED_REGISTRIES allows {names}{more}")

    def misbehaved(self, text: str) -> RegistryError:
        """Return the error for a registry that does what it must not; `text` goes on from its name."""
        return self.error("integrity", f"{self.endpoint.registry} {text}")

    def error(
        self, failure: RegistryFailure, message: str, *, status: int | None = None, code: str | None = None
    ) -> RegistryError:
        """Return the error that the request ends with; a mirror is named when it was asked instead."""
        name = self.repository.image.canonical
        if str(self.endpoint) != name:
            message += f" (asked at mirror {self.endpoint})"
        return RegistryError(failure, name, message, status=status, code=code)


def locate(repository: Repository, mirrors: Sequence[Mirror]) -> Endpoint:
    """Apply the mirror with the longest matching prefix; prefixes end at a `/`.

    A mirror is asked in plain text only when it is written with `http://`, whatever the repository itself allows.
    """
    name = repository.image.canonical
    for start, to, provenance in sorted(mirrors, key=lambda mirror: -len(mirror.prefix)):
        prefix = start.rstrip("/")
        if name == prefix or name.startswith(prefix + "/"):
            insecure = to.startswith("http://")
            place = to.partition("://")[2] or to
            registry, _, path = (place.rstrip("/") + name[len(prefix) :]).partition("/")
            return Endpoint(registry.lower(), path, insecure, provenance)
    access = repository.access
    return Endpoint(repository.image.registry, repository.image.path, access.insecure, access.provenance)


def is_allowed(endpoint: Endpoint, allowed: Sequence[str]) -> bool:
    """True if an endpoint is one of the allowed: `ghcr.io`, `ghcr.io/acme` (and below), `*.corp.example`."""
    registry = without_port(endpoint.registry)
    for rule in allowed:
        host, _, path = rule.rstrip("/").partition("/")
        if not (registry.endswith(host[1:]) if host.startswith("*.") else registry == normal_key(host)):
            continue
        if not path or endpoint.path == path or endpoint.path.startswith(path + "/"):
            return True
    return False
