"""Rounds of cases: one run of `krmfn get image policy` over many registries that misbehave, each a case of its own.

All cases share a few servers, which tell them apart by the host that is asked: `127.0.1.N` directly, `rN.example` by proxy.
"""

from __future__ import annotations

import base64
import gc
import io
import json
import re
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch
from urllib.parse import quote

from krmfn import cli
from krmfn.sources.registry.clock import World
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy
from tests.registry_cases import (
    BODIES,
    CHALLENGES,
    LINKS,
    ORIGINS,
    PAGES,
    SECRET,
    SLOW_BODIES,
    TOKENS,
    WAYS,
    WHOLE,
    Case,
)
from tests.registry_server import Login, Registry, Request
from tests.running import environment
from tests.waiting import HANGS

SIZE = 16
"""Cases of one round; at most eight of them are under way at once."""
SECONDS = 20
"""Of one repository; of a slow one two."""
MEMORY = 250
"""MiB by which the process, servers included, may grow at the peak of a round."""
OTHER, PRIVATE = "127.0.1.200", "127.0.0.3"
BASIC = base64.b64encode(f"me:{SECRET}".encode()).decode()
SHOWN = (SECRET, quote(SECRET, safe=""), BASIC, quote(BASIC, safe=""), "canary")
WORLD = World(sleep=lambda _: None, chance=lambda: 0.0, is_public=lambda address: address.startswith("127.0.1."))
"""Retries do not wait; 127.0.1.0/24 plays the internet, and the rest of loopback a private network."""


class Seat(NamedTuple):
    """Where a case is asked, and what it expects to be given."""

    case: Case
    host: str
    words: dict[str, str]
    login: Login | None


class Misbehaving(Registry):
    """A registry that behaves by the case whose host is asked."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__(host="0.0.0.0", tls=tls)
        self.seats: dict[str, Seat] = {}
        self.add("acme/web", WHOLE)
        self.misbehave("tags", self._list)
        self.misbehave("token", self._issue)

    def login_of(self, host: str) -> Login | None:
        """See Registry.login_of."""
        return self.seats[host].login if host in self.seats else None

    def _list(self, request: Request) -> None:
        case, _, words, login = self.seats[request.host]
        if not request.is_let_in():
            if login is None or login.scheme == "basic":
                request.challenge('Basic realm="Registry Realm"')
            else:
                request.challenge(CHALLENGES[case.challenge][0].format(**words))
        elif case.origin != "here" and "again=1" not in request.path:
            request.plain(307, b"", {"Location": ORIGINS[case.origin].format(path=request.path, **words)})
        else:
            headers = {"Content-Type": "application/json", "Link": LINKS[case.link].format(**words)}
            BODIES[case.body](request, PAGES[case.page].replace(SECRET.encode(), words["secret"].encode()), headers)

    def _issue(self, request: Request) -> None:
        case, _, _, login = self.seats[request.host]
        if login is None or request.headers.get("Authorization") != login.basic:
            request.error(401, "UNAUTHORIZED", f"not {request.headers.get('Authorization')}")
            return
        token = f"canary-token-{len(login.issued)}"
        login.issued[token] = "repository:acme/web:pull"
        request.plain(200, TOKENS[case.token][0].replace("%s", token).encode(), {"Content-Type": "application/json"})


class House(NamedTuple):
    """The servers that all rounds share; `folder` holds the certificates of the authority."""

    registries: dict[str, Misbehaving]
    proxies: dict[tuple[str, str], Proxy]
    other: Registry
    private: Registry
    authority: Authority
    folder: Path


@contextmanager
def open_house(folder: Path) -> Iterator[House]:
    """Start the servers."""
    authority = Authority()
    names = [name for number in range(SIZE) for name in (f"127.0.1.{number + 1}", f"r{number + 1}.example")]

    def context(issuer: Authority) -> ssl.SSLContext:
        return server_context(issuer.issue(*names, "127.0.0.1"), folder)

    (folder / "ca.pem").write_text(authority.pem)
    (folder / "nobody.pem").write_text(Authority("nobody").pem)
    tls = {"plain": None, "trusted": context(authority), "unknown CA": context(Authority("unknown"))}
    with ExitStack() as stack:
        registries = {name: stack.enter_context(Misbehaving(one)) for name, one in tls.items()}
        proxies = {
            (name, proxy): stack.enter_context(
                Proxy(
                    registries[name].address,
                    "Basic nobody" if proxy == "refuses" else "",
                    breaks_off=proxy == "breaks off",
                    tls=tls["trusted"] if proxy == "https" else None,
                )
            )
            for name, proxy in WAYS
            if proxy != "none"
        }
        other, private = (stack.enter_context(Registry(host=host)) for host in (OTHER, PRIVATE))
        yield House(registries, proxies, other, private, authority, folder)


def seat(case: Case, number: int, house: House) -> Seat:
    """Make a place for a case."""
    registry = house.registries[case.tls]
    port = registry.address.rpartition(":")[2]
    host = f"127.0.1.{number}:{port}" if case.proxy == "none" else f"r{number}.example"
    own = f"{'http' if case.tls == 'plain' else 'https'}://{host}"
    words = {
        "own": own,
        "address": host,
        "realm": f"{own}/token",
        "escaped": f"{own}/token".replace("/", "\\/"),
        "other": house.other.url,
        "private": house.private.url,
        "private_name": house.private.url.replace(PRIVATE, "localhost"),
        "secret": "unknown" if case.login == "none" else SECRET,  # what no login holds is no secret
        "long": "x" * 70_000,
    }
    login = None if case.login == "none" else Login(case.login, "me", SECRET)
    found = Seat(case, host, words, login)
    registry.seats[host.partition(":")[0]] = found
    return found


def documents(seats: Sequence[Seat], house: House) -> str:
    """Make the objects of a round: for each case a repository, its policy, and the Secrets that it names."""
    objects: list[dict[str, object]] = []
    for number, (case, host, _, login) in enumerate(seats):
        spec: dict[str, object] = {
            "image": f"{host}/acme/web",
            "insecure": True,
            "interval": "5m",
            "timeout": "2s" if case.body in SLOW_BODIES else f"{SECONDS}s",
        }
        secrets: dict[str, dict[str, str]] = {}
        if case.owner == "item":
            secrets["certSecretRef"] = {"ca.crt": house.authority.pem}
        if case.owner == "item" and login:
            secrets["secretRef"] = {".dockerconfigjson": json.dumps({"auths": {host: {"auth": BASIC}}})}
        if case.proxy != "none":
            url = house.proxies[case.tls, case.proxy].url
            secrets["proxySecretRef"] = {"address": url, "username": "me", "password": "canary-proxy"}
        for reference, data in secrets.items():
            name = f"{reference}-{number}".lower()
            spec[reference] = {"name": name}
            kind = {"type": "kubernetes.io/dockerconfigjson"} if reference == "secretRef" else {}
            objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **kind, "stringData": data})
        api, metadata = "image.toolkit.fluxcd.io/v1", {"name": f"case-{number}"}
        policy = {"imageRepositoryRef": metadata, "policy": {"semver": {"range": ">=0.0.0"}}}
        objects.append({"apiVersion": api, "kind": "ImageRepository", "metadata": metadata, "spec": spec})
        objects.append({"apiVersion": api, "kind": "ImagePolicy", "metadata": metadata, "spec": policy})
    return "".join(f"---\n{json.dumps(one)}\n" for one in objects)


class Round(NamedTuple):
    """What came of a round."""

    code: int
    rows: dict[str, list[str]]
    told: str
    seconds: float
    peak: int
    """MiB by which memory grew."""


def play(seats: Sequence[Seat], house: House) -> Round:
    """Run the command line in this process over the objects of a round."""
    is_trusted = any(one.case.owner == "machine" for one in seats)
    machine = {host: {"auth": BASIC} for case, host, _, login in seats if login and case.owner == "machine"}
    variables = {
        "SSL_CERT_FILE": str(house.folder / ("ca.pem" if is_trusted else "nobody.pem")),
        "DOCKER_AUTH_CONFIG": json.dumps({"auths": machine}),
        "NO_PROXY": "",
    }
    out, told, before = io.StringIO(), io.StringIO(), time.monotonic()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    held = _kib("VmRSS")
    with (
        patch("krmfn.sources.registry.source.World", lambda: WORLD),
        patch("os.environ", environment(**variables)),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(documents(seats, house).encode()))),
        redirect_stdout(out),
        redirect_stderr(told),
    ):
        code = cli.main(["get", "image", "policy", "-", "--no-header"])
    seconds = time.monotonic() - before
    peak = _kib("VmHWM") - held
    gc.enable()
    rows = [[cell.strip() for cell in line.split("\t")] for line in out.getvalue().splitlines()]
    return Round(code, {row[0]: row for row in rows}, told.getvalue(), seconds, peak >> 10)


def _kib(name: str) -> int:
    """Return a figure of this process, as Linux tells it."""
    told = re.search(rf"{name}:\s+([0-9]+)", Path("/proc/self/status").read_text())
    assert told
    return int(told[1])


def judge(cases: Sequence[Case], house: House) -> list[str]:
    """Run one round; return what is wrong with its cases, or nothing."""
    for registry in (*house.registries.values(), house.other, house.private):
        registry.seen.clear()
    for proxy in house.proxies.values():
        proxy.text = ""
    seats = [seat(case, number + 1, house) for number, case in enumerate(cases)]
    run = play(seats, house)
    faults = [f"{case}: {fault}" for number, (case, *_) in enumerate(seats) if (fault := _fault(case, run.rows.get(f"case-{number}")))]
    whole = _fault_of_all(seats, run, house)
    return faults + ([f"{whole}: {[*cases]}"] if whole else [])


def _fault(case: Case, row: list[str] | None) -> str:
    """Return what is wrong with the row of a case: the choice, or one clear line that says why there is none."""
    if row is None or len(row) < 5:
        return f"no row: {row}"
    _, image, tag, ready, message = row[:5]
    if case.is_harmless and (tag, ready) != (WHOLE[-1], "True"):
        return f"the whole list should have come: {row}"
    if not case.is_harmless and (image or tag or ready != "False" or len(message) < 20):
        return f"an error should have come: {row}"
    if any(secret in " ".join(row) for secret in SHOWN) or not "".join(row).isprintable() or len(message) > 1200:
        return f"shown: {row}"
    return ""


def _fault_of_all(seats: Sequence[Seat], run: Round, house: House) -> str:
    """Return what is wrong with a round as a whole: its exit, its time, its memory, what it said and what went where."""
    if run.code != int(any(not one.case.is_harmless for one in seats)):
        return f"exit {run.code}"
    if run.seconds > SECONDS + HANGS:
        return f"it took {run.seconds:.1f} s"
    if run.peak > MEMORY:
        return f"it took {run.peak} MiB"
    if "Traceback" in run.told or any(secret in run.told for secret in SHOWN):
        return f"told: {run.told}"
    if any(secret in house.other.text() for secret in SHOWN) or "Authorization" in house.other.text():
        return "a login went to another host"
    if house.private.seen:
        return f"a private host was asked: {house.private.seen}"
    kept = {one.host.partition(":")[0] for one in seats if not one.case.is_login_sent}
    for registry in house.registries.values():
        if any(one.headers.get("Host", "").partition(":")[0] in kept and "Authorization" in one.headers for one in registry.seen):
            return "a login of this machine went over what items ask for"
        if len(registry.seen) > 40 * len(seats):
            return f"{len(registry.seen)} requests"
    return ""
