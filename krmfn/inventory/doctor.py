"""What krmfn works with and finds on this machine: programs, logins, certificates. Looks only; asks no registry."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from krmfn.disk.reading import NotReadError, read_file
from krmfn.sanitize import without_login
from krmfn.sources.credential import Unusable
from krmfn.sources.keychain import login_files, named, read_configuration
from krmfn.sources.registry.proxies import NAMES

State = Literal["ok", "missing", "wrong", "info"]
_SECONDS = 20


class Finding(NamedTuple):
    """One thing that was looked for. Only `wrong` needs an action; `missing` names what does not work without it."""

    name: str
    state: State
    found: str
    advice: str = ""


_TOOLS = (
    ("kustomize", ("version",), "krmfn as a transformer of kustomize build"),
    ("kpt", ("version",), "krmfn in kpt fn render and kpt fn eval"),
    ("git", ("--version",), "krmfn update --commit and --push"),
    ("kubectl", ("version", "--client"), "kubectl kustomize"),
)
"""Programs, what makes them say their version, and what they are needed for."""


def look(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look for everything, in the order in which people miss it."""
    yield Finding("python", "ok", f"{sys.version.split()[0]}, {sys.executable}")
    own = _program("krmfn", environment)
    advice = "exec: krmfn of kustomize and kpt needs it there: pip install krmfn, or extend PATH"
    yield Finding("krmfn", "ok", own) if own else Finding("krmfn", "wrong", "not on PATH", advice)
    for name, question, purpose in _TOOLS:
        yield _tool(name, question, purpose, environment)
    yield from _libraries()
    yield from _logins(environment)
    yield from _network(environment)


def _program(name: str, environment: Mapping[str, str]) -> str | None:
    return shutil.which(name, path=environment.get("PATH"))


def _tool(name: str, question: tuple[str, ...], purpose: str, environment: Mapping[str, str]) -> Finding:
    program = _program(name, environment)
    if not program:
        return Finding(name, "missing", "not on PATH", f"only needed for {purpose}")
    try:
        answer = subprocess.run(
            [program, *question], capture_output=True, text=True, timeout=_SECONDS, check=False, env=dict(environment)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "wrong", f"{program} does not run: {str(error).splitlines()[0]}", "install it anew")
    version = re.search(r"v?\d+\.\d+(\.\d+)?\S*", answer.stdout + answer.stderr)
    return Finding(name, "ok", f"{version[0] if version else 'of unknown version'}, {program}")


def _libraries() -> Iterator[Finding]:
    import yaml

    if yaml.__with_libyaml__:
        yield Finding("libyaml", "ok", f"PyYAML {yaml.__version__}")
    else:
        advice = "install the wheel: pip install --force-reinstall pyyaml"
        yield Finding("libyaml", "wrong", "PyYAML was built without it", advice)
    for name in ("re2", "semver", "oras", "requests", "ruamel.yaml"):
        try:
            __import__(name)
        except ImportError as error:
            yield Finding(name, "wrong", f"cannot be imported: {error}", "pip install --force-reinstall krmfn")


def _logins(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield where credentials come from: names of registries and helpers, never a secret."""
    places = tuple(login_files(environment))
    configurations = [(path, config) for path in places if (config := read_configuration(path)) is not None]
    if environment.get("DOCKER_AUTH_CONFIG"):
        yield Finding("login", "ok", "DOCKER_AUTH_CONFIG is set")
    elif not configurations:
        tried = ", ".join(map(str, places)) or "no HOME to look in"
        advice = "only needed for private registries: docker login, or podman login"
        yield Finding("login", "missing", f"none of {tried}", advice)
    for path, config in configurations:
        yield from _login(path, config, environment)


def _login(path: Path, config: Mapping[str, Any] | Unusable, environment: Mapping[str, str]) -> Iterator[Finding]:
    if isinstance(config, Unusable):
        yield Finding("login", "wrong", f"{path} {config.why}", "log in again: docker login REGISTRY")
        return
    hosts, helpers = named(config)
    programs = f", helpers {', '.join(helpers)}" if helpers else ""
    yield Finding("login", "ok", f"{path}: {', '.join(hosts) or 'no registry'}{programs}")
    for helper in helpers:
        program = f"docker-credential-{helper}"
        if not _program(program, environment):
            advice = f"install {program}, or take it out of the file"
            yield Finding(program, "wrong", f"not on PATH, and {path} names it", advice)


def _network(environment: Mapping[str, str]) -> Iterator[Finding]:
    import ssl

    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environment.get(name):
            yield Finding(name, "info", "not read by krmfn: set SSL_CERT_FILE")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if environment.get(name):
            yield _certificates(name, Path(environment[name]))
    paths = ssl.get_default_verify_paths()
    candidates = (paths.cafile, paths.openssl_cafile, paths.capath)
    bundle = next((path for path in candidates if path and Path(path).exists()), None)
    missing = Finding("CA bundle", "missing", "the system has none", "install ca-certificates")
    yield Finding("CA bundle", "ok", bundle) if bundle else missing
    for name in sorted(environment):
        if name.lower() in NAMES and environment[name]:
            yield _proxy(name, environment[name])
    for name in ("NO_PROXY", "no_proxy", *sorted(name for name in environment if name.startswith("KRMFN_"))):
        if environment.get(name):
            shown = ",".join(map(without_login, environment[name].split(",")))
            yield Finding(name, "info", shown)


def _certificates(name: str, path: Path) -> Finding:
    """Look at a file of certificates without waiting for a FIFO or reading a device; a folder is taken as it is."""
    from krmfn.sources.registry.connections import CA_LIMIT

    if not path.is_dir():
        try:
            read_file(path, CA_LIMIT)
        except (NotReadError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            return Finding(name, "wrong", f"{path} cannot be read: {why}", "name a file with certificates in PEM, or unset it")
    return Finding(name, "ok", str(path))


def _proxy(name: str, value: str) -> Finding:
    from krmfn.sources.registry.connections import SetUpError, proxy_address

    try:
        address = proxy_address(value)
    except SetUpError as error:
        return Finding(name, "wrong", str(error), "write it as http://host:port")
    return Finding(name, "info", f"{address.scheme}://{'***@' if address.auth else ''}{address.netloc}")
