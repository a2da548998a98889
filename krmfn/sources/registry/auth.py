"""Log in to registries: Basic, and Bearer by the Docker token protocol (https://distribution.github.io/distribution/spec/auth/).

A credential goes to the registry's own origin and to the token server that belongs to it, nowhere else. Tokens are
kept per origin, scope and credential, fetched once however many threads want one, and renewed once after a 401.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from krmfn.sanitize import printable, without_login
from krmfn.sources.credential import Credential, is_token
from krmfn.sources.registry import messages
from krmfn.sources.registry.challenge import parse as parse_challenges
from krmfn.sources.registry.exchange import Call, NoReply, Reply, Route, Trust
from krmfn.sources.registry.origin import Origin
from krmfn.strict_json import parse as parse_json

if TYPE_CHECKING:
    from krmfn.sources.keychain import Keychain, Lookup
    from krmfn.sources.registry.clock import World
    from krmfn.sources.registry.endpoints import RequestContext
    from krmfn.sources.registry.secrets import Secrets

TOKEN_LIMIT = 64 << 10
_SHORTEST_LIFE = 60.0
"""Seconds a token is good for at least; also when the server does not say (token specification)."""
_LONGEST_LIFE = 86400.0
_EARLY = 5.0
"""Seconds before its end from which on a token is not used: it has to hold until the request arrives."""
_CLIENT = "krmfn"

_TOKEN_SERVERS = {
    "registry-1.docker.io": "auth.docker.io",
    "registry.gitlab.com": "gitlab.com",
    "nvcr.io": "authn.nvidia.com",
    "docker.elastic.co": "docker-auth.elastic.co",
    "registry.digitalocean.com": "api.digitalocean.com",
}
"""Registries whose token server is known to be another host. One entry is one pair: no rule about similar names."""

Send = Callable[[Call], "Reply | NoReply"]


class _Way(NamedTuple):
    """How an origin wants to be logged in to: `basic`, or `bearer` with realm and service.

    `is_private`: it said so from an address that is not public.
    """

    scheme: str
    realm: str = ""
    service: str = ""
    is_private: bool = False


class _Key(NamedTuple):
    """What a token is good for. `route` leads to the registry, `base`, as it was asked for, to its token server."""

    origin: Origin
    route: Route
    base: Route
    way: _Way
    scope: str
    credential: Credential | None


class _Token(NamedTuple):
    """A token; `withheld` names what kept a login from being sent for it."""

    text: str
    until: float
    withheld: tuple[str, ...] = ()


class Authorizer:
    """Makes Authorization headers. Safe to call from threads."""

    def __init__(self, send: Send, keychain: Keychain, secrets: Secrets, world: World, trust: Trust) -> None:
        self._send, self._keychain, self._secrets, self._world = send, keychain, secrets, world
        self._trust = trust
        self._ways: dict[tuple[Origin, Route], _Way] = {}
        self._tokens: dict[_Key, _Token] = {}
        self._locks: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()
        self.problems: dict[str, None] = {}

    def look_up(self, context: RequestContext) -> Lookup:
        """Look up what is known of the registry; its secrets are learnt at once."""
        endpoint, access = context.endpoint, context.repository.access
        secrets, until = access.docker_configs, context.until
        lookup = self._keychain.find(endpoint.registry, endpoint.path, secrets, access.provenance, until)
        if lookup.credential:
            self._secrets.learn(lookup.credential.secrets())
        with self._lock:
            self.problems.update(dict.fromkeys(lookup.problems))
        return lookup

    def header(self, context: RequestContext, origin: Origin, route: Route) -> str:
        """Return the header to start with by a route: what this origin wanted last time there, or none."""
        way = self._ways.get((origin, route))
        credential = self._credential(context, origin, route)
        if credential and credential.registry_token:
            return f"Bearer {credential.registry_token}"
        if way is None:
            return ""
        if way.scheme == "basic":
            return credential.basic if credential else ""
        return self._bearer(context, _Key(origin, route, context.route, way, _scope(context), credential), stale="")

    def answer(self, context: RequestContext, origin: Origin, reply: Reply, used: str) -> str:
        """Return the header for a second try by the same route after a 401, empty for none; raises RegistryError."""
        challenges = parse_challenges(reply.headers.get("WWW-Authenticate", ""))
        bearer = next((c.parameters for c in challenges if c.scheme == "bearer" and c.parameters.get("realm")), None)
        credential = self._credential(context, origin, reply.route)
        if bearer:
            way, scope = self._way(origin, reply, bearer, used), _scope(context)
            # a server that wants more than the usual says what (RFC 6750 section 3.1)
            if bearer.get("error") == "insufficient_scope":
                scope = bearer.get("scope") or scope
            if credential and credential.registry_token:
                return ""
            return self._bearer(context, _Key(origin, reply.route, context.route, way, scope, credential), stale=used)
        if credential and any(challenge.scheme == "basic" for challenge in challenges):
            self._ways[origin, reply.route] = _Way("basic")
            return credential.basic if credential.basic != used else ""
        return ""

    def _way(self, origin: Origin, reply: Reply, parameters: Mapping[str, str], used: str) -> _Way:
        way = self._ways.get((origin, reply.route))
        if way is None or way.scheme != "bearer" or not used:
            # nvcr.io names another token server to a token that ran out; the first one renews it
            way = _Way("bearer", parameters["realm"], parameters.get("service", ""), reply.is_private)
            self._ways[origin, reply.route] = way
        return way

    def _credential(self, context: RequestContext, origin: Origin, route: Route) -> Credential | None:
        """Return the credential that may travel to an origin by a route, if there is any."""
        credential = self.look_up(context).credential
        if credential and context.obstacles(credential.provenance, origin, route):
            return None
        return credential

    def _bearer(self, context: RequestContext, key: _Key, stale: str) -> str:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=max(0.0, context.until - self._world.clock())):
            raise context.error("unavailable", f"{key.origin}: no token came in the time allowed")
        try:
            # Who waited while another thread fetched it finds a token that is not the stale one of its own 401.
            token = self._tokens.get(key)
            if token is None or token.until <= self._world.clock() or f"Bearer {token.text}" == stale:
                token = self._fetch(context, key)._replace(withheld=tuple(context.withheld))
                self._tokens[key] = token
            context.withheld.update(dict.fromkeys(token.withheld))
            return f"Bearer {token.text}"
        finally:
            lock.release()

    def _fetch(self, context: RequestContext, key: _Key) -> _Token:
        realm = self._realm(context, key)
        reply = self._request(context, key, realm)
        if isinstance(reply, NoReply):
            raise context.error(reply.failure, f"the token server of {context.endpoint.registry}: {reply.text}")
        if reply.status != 200:
            is_sent = key.credential is not None and not context.withheld
            raise messages.token_refusal(context, realm, reply, self.look_up(context), is_sent=is_sent)
        try:
            return self._read(reply)
        except ValueError as error:
            text = f"the token server {realm} of {context.endpoint.registry} {error}"
            raise context.error("integrity", text) from None

    def _realm(self, context: RequestContext, key: _Key) -> Origin:
        """Check the token server's address before anything goes there."""
        shown = printable(without_login(self._secrets.scrub(key.way.realm)))
        realm = Origin.of(key.way.realm)
        if realm is None:
            raise context.misbehaved(f"names {shown!r} as its token server, which is no http(s) URL")
        if realm.scheme == "http" and key.origin.scheme == "https":
            raise context.misbehaved(f"names {shown!r} as its token server, which is not https")
        if realm != key.origin and not (_is_known(key.origin, realm) or context.may_connect(realm.authority)):
            what = f"{realm}, the token server of {context.endpoint.registry},"
            raise context.not_allowed(what, realm.authority)
        if key.credential and not _belongs(context, key.origin, realm):
            raise context.misbehaved(
                f"wants credentials sent to {realm}, which is not known to belong to it;"
                f" if it does, add {realm.authority} to realmHosts of an ImageAutomation"
            )
        return realm

    def _request(self, context: RequestContext, key: _Key, realm: Origin) -> Reply | NoReply:
        """Ask for a token: with the identity token, else with the password, and without a login where none may travel."""
        base = context.route if _belongs(context, key.origin, realm) else context.route.to_others()

        def call(route: Route, *, is_exchange: bool = True) -> Call:
            return _call(context, key, realm, route, is_exchange=is_exchange)

        reply, login = self._trust.send(realm, base, call, self._send), key.credential
        has_both = login and login.identity_token and login.basic
        if has_both and isinstance(reply, Reply) and reply.status in {404, 405}:
            # a server that exchanges no tokens; the older GET takes the password
            return self._trust.send(realm, base, partial(call, is_exchange=False), self._send)
        return reply

    def _read(self, reply: Reply) -> _Token:
        answer = parse_json(reply.body)
        text = answer.get("token") or answer.get("access_token")
        if not isinstance(text, str) or not is_token(text):
            raise ValueError("answered without a usable token")
        self._secrets.learn([text])
        life = answer.get("expires_in")
        seconds = life if isinstance(life, int | float) else 0
        return _Token(text, self._world.clock() + max(_SHORTEST_LIFE, min(seconds, _LONGEST_LIFE)) - _EARLY)


def _scope(context: RequestContext) -> str:
    return f"repository:{context.endpoint.path}:{context.actions}"


def _belongs(context: RequestContext, origin: Origin, realm: Origin) -> bool:
    is_listed = realm.authority in map(str.lower, context.repository.access.realm_hosts)
    return realm == origin or is_listed or _is_known(origin, realm)


def _is_known(origin: Origin, realm: Origin) -> bool:
    return realm.scheme == "https" and realm.port == 443 and _TOKEN_SERVERS.get(origin.host) == realm.host


def _call(context: RequestContext, key: _Key, realm: Origin, route: Route, *, is_exchange: bool) -> Call:
    """Return the request for a token: POST to exchange an identity token (OAuth 2.0), else docker's GET."""
    credential = key.credential
    if credential and not _may_travel(credential, context, key.origin, realm, route):
        credential = None
    url, headers, body = key.way.realm.partition("#")[0], {}, None
    if credential and credential.identity_token and is_exchange:
        form = {
            "grant_type": "refresh_token",
            "service": key.way.service,
            "client_id": _CLIENT,
            "scope": key.scope,
            "refresh_token": credential.identity_token,
        }
        body = urlencode(form).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    else:
        query = {"service": key.way.service, "scope": key.scope}
        url += ("&" if "?" in url else "?") + urlencode({k: v for k, v in query.items() if v})
        if credential and credential.basic:
            headers["Authorization"] = credential.basic
    is_guarded = realm != key.origin and not key.way.is_private
    method = "GET" if body is None else "POST"
    return Call(method, realm, url, headers, TOKEN_LIMIT, context.until, route, body, is_guarded)


def _may_travel(login: Credential, context: RequestContext, origin: Origin, realm: Origin, route: Route) -> bool:
    """True if nothing keeps a login from a token server: its own connection, or one in plain text that named it."""
    obstacles = context.obstacles(login.provenance, realm, route)
    if realm != origin and origin.scheme == "http" and not context.is_trusted:
        context.withheld["plain http"] = None
        return False
    return not obstacles
