"""Credentials: docker's config.json, podman's auth.json, their helpers, and dockerconfigjson Secrets.

Places, first match wins: Secrets of the repository, `DOCKER_AUTH_CONFIG`, `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG` (a folder)
or else `~/.docker/config.json`, then podman's `$XDG_RUNTIME_DIR/containers/auth.json` and
`~/.config/containers/auth.json` unless `REGISTRY_AUTH_FILE` is set. In one file: `credHelpers`, `credsStore`, `auths`,
as docker does; the longest path-scoped key of `auths` wins (containers-auth.json(5)). Hosts match exactly.
"""

from __future__ import annotations

import base64
import binascii
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from krmfn.access import ITEM, MACHINE, Provenance
from krmfn.disk.reading import NotReadError, read_file
from krmfn.image import HUB
from krmfn.sanitize import printable
from krmfn.singleflight import Once
from krmfn.sources.credential import Credential, Unusable
from krmfn.sources.credential_helper import Helpers
from krmfn.strict_json import parse

_HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_HUB_KEY = "https://index.docker.io/v1/"
FILE_LIMIT = 4 << 20
"""Bytes of a file of logins."""


class Lookup(NamedTuple):
    """What the keychain knows of a registry: a credential or None, the places it looked at, and what went wrong there."""

    credential: Credential | None
    searched: tuple[str, ...]
    problems: tuple[str, ...]


class _Config(NamedTuple):
    """A configuration, and the keys of its `auths` by host and path: a Secret of 6,000 keys may be that of many repositories."""

    document: Mapping[str, Any]
    keys: Mapping[str, Sequence[str]]


class _Place(NamedTuple):
    name: str
    config: _Config | Unusable
    provenance: Provenance = MACHINE
    """Helpers are run for configurations of this machine only, never for Secrets that came with the manifests."""


class Keychain:
    """Finds credentials. Reads each file once; safe to call from threads. `clock` gives what `until` is compared with."""

    def __init__(
        self, env: Mapping[str, str], helper_seconds: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._env = env
        self._helpers = Helpers(env, helper_seconds, clock)
        self._machine = Once()
        self._parsed = Once()

    def find(
        self,
        registry: str,
        path: str,
        secrets: tuple[str, ...] = (),
        provenance: Provenance = ITEM,
        until: float = math.inf,
    ) -> Lookup:
        """Look for the credential of `registry` (as in image names, `docker.io` for the Hub) and repository `path`.

        `secrets` are texts of Secrets, which are of `provenance`; what the machine has comes after them. Helpers get
        time `until` then.
        """
        own = (_Place("the secret of the repository", self._parse(text), provenance) for text in secrets)
        machine = self._machine.get(None, lambda: tuple(_machine(self._env)))
        searched: list[str] = []
        problems: list[str] = []
        for place in (*own, *machine):
            searched.append(place.name)
            for answer in self._answers(place, registry, path, until):
                if isinstance(answer, Credential):
                    return Lookup(answer, tuple(searched), tuple(problems))
                problems.append(answer.why)
        return Lookup(None, tuple(searched), tuple(problems))

    def _parse(self, text: str) -> _Config | Unusable:
        return self._parsed.get(text, lambda: _indexed(_parse(text)))

    def _answers(self, place: _Place, registry: str, path: str, until: float) -> Iterator[Credential | Unusable]:
        """Yield what a place has for a repository, best first: credentials, and why there are none."""
        config = place.config
        if isinstance(config, Unusable):
            yield Unusable(f"{place.name} {config.why}")
            return
        if place.provenance.is_machine:
            for name, server in _helpers(config.document, registry):
                answer = self._helpers.ask(name, server, until)
                if answer is not None:
                    yield answer
        yield from _from_auths(config, registry, path, place)


def _machine(env: Mapping[str, str]) -> Iterator[_Place]:
    """Yield the configurations of this machine; a file that is not there is left out."""
    if env.get("DOCKER_AUTH_CONFIG"):
        yield _Place("DOCKER_AUTH_CONFIG", _indexed(_parse(env["DOCKER_AUTH_CONFIG"])))
    home = _home(env)
    for file in login_files(env):
        config = read_configuration(file)
        if config is not None:
            shown = f"~/{file.relative_to(home)}" if file.is_relative_to(home) else str(file)
            yield _Place(printable(shown), _indexed(config))


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or ".")


def login_files(env: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files where logins of this machine are looked for, there or not, in order.

    A HOME that is no absolute path (a bare UID in a container) counts as none.
    """
    home = _home(env) if _home(env).is_absolute() else None
    if env.get("REGISTRY_AUTH_FILE"):
        yield Path(env["REGISTRY_AUTH_FILE"])
    if env.get("DOCKER_CONFIG"):
        yield Path(env["DOCKER_CONFIG"], "config.json")
    elif home:
        yield home / ".docker" / "config.json"
    if env.get("REGISTRY_AUTH_FILE"):
        return
    if env.get("XDG_RUNTIME_DIR"):
        yield Path(env["XDG_RUNTIME_DIR"], "containers", "auth.json")
    if env.get("XDG_CONFIG_HOME"):
        yield Path(env["XDG_CONFIG_HOME"], "containers", "auth.json")
    elif home:
        yield home / ".config" / "containers" / "auth.json"


def read_configuration(file: Path) -> dict[str, Any] | Unusable | None:
    """Read a file of logins; None when it is not there."""
    try:
        return _parse(read_file(file, FILE_LIMIT).decode())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotReadError as error:
        return Unusable(f"cannot be read ({error})")
    except UnicodeDecodeError:
        return Unusable("cannot be read (it is not UTF-8)")


def _parse(text: str) -> dict[str, Any] | Unusable:
    if not text.strip():
        return {}
    try:
        return parse(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        return Unusable(str(error))


def named(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """List the keys of registries, without what somebody wrote before an `@`, and the names of helpers in a configuration, sorted."""
    helpers = _mapping(config, "credHelpers")
    names = {name for name in (*helpers.values(), config.get("credsStore")) if isinstance(name, str) and name}
    keys = {f"***@{key.rpartition('@')[2]}" if "@" in key else key for key in (*_mapping(config, "auths"), *helpers)}
    return sorted(keys), sorted(names)


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def normal_key(key: str) -> str:
    """Write a key of `auths` or `credHelpers` as `host[:port][/path]`.

    >>> [normal_key(key) for key in ("https://index.docker.io/v1/", "https://R.io/v2/", "r.io/team/", "index.docker.io")]
    ['docker.io', 'r.io', 'r.io/team', 'docker.io']
    """
    rest = key.partition("://")[2] or key
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if path in {"v1", "v2"}:
        path = ""
    host = host.lower()
    host = HUB if host in _HUB_HOSTS else host
    return f"{host}/{path}" if path else host


def _helpers(config: Mapping[str, Any], registry: str) -> Iterator[tuple[str, str]]:
    """List helper names with the server to ask them for; a helper for this registry comes before the general store."""
    # Helpers are asked for the key as it is written, as docker does; for the Hub its stores know the URL of version 1.
    for key, name in _mapping(config, "credHelpers").items():
        if normal_key(key) == registry and isinstance(name, str) and name:
            yield name, key
    store = config.get("credsStore")
    if isinstance(store, str) and store:
        yield store, _HUB_KEY if registry == HUB else registry


def _indexed(config: dict[str, Any] | Unusable) -> _Config | Unusable:
    if isinstance(config, Unusable):
        return config
    keys: dict[str, list[str]] = {}
    for key in _mapping(config, "auths"):
        keys.setdefault(normal_key(key), []).append(key)
    return _Config(config, keys)


def _from_auths(config: _Config, registry: str, path: str, place: _Place) -> Iterator[Credential | Unusable]:
    auths = _mapping(config.document, "auths")
    # From the whole path up to the registry alone: the longest key wins (containers-auth.json(5)).
    scope = f"{registry}/{path}"
    while scope:
        # of several spellings of one key the plain one comes first
        for key in sorted(config.keys.get(scope, ()), key=lambda key: (key != scope, key)):
            entry = auths[key]
            answer = _entry(entry, place) if isinstance(entry, dict) else Unusable("is not an object")
            if isinstance(answer, Unusable):
                yield Unusable(f"{place.name}: auths {printable(key)!r} {answer.why}")
            elif answer is not None:
                yield answer
        scope = scope.rpartition("/")[0]


def _entry(entry: Mapping[str, Any], place: _Place) -> Credential | Unusable | None:
    """Read an entry of `auths`; None when it holds no credential."""

    def text(key: str) -> str:
        value = entry.get(key)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if text("auth"):
        try:
            login = base64.b64decode("".join(text("auth").split()), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return Unusable("has an auth that is not base64 of user:password")
        username, colon, password = login.partition(":")
        if not colon:
            return Unusable("has an auth without a colon between user and password")
        # as docker does (decodeAuth of its cli)
        password = password.rstrip("\0")
    identity = text("identitytoken")
    # docker stores an identity token under this user name, as the password
    if username == "<token>":
        identity, username, password = identity or password, "", ""
    if not (username or password or identity or text("registrytoken")):
        return None
    credential = Credential(username, password, identity, text("registrytoken"), place.name, place.provenance)
    return Unusable(f"cannot be used: its {credential.fault}") if credential.fault else credential
