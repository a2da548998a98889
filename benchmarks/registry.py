"""Measure the registry client beside go-containerregistry (which Flux uses), crane and skopeo, in one run.

    python -m benchmarks.registry [rounds]

A Go program answers from memory on two loopback addresses, so that the default limits (8 at once, 4 per host) apply.
The limit is what the network alone costs: rounds trips x latency / 8. Rows are measured in turn, the least time counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import tools

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "benchmarks" / "peer" / "registry"
BIN = ROOT / ".cache" / "benchmarks"
HOSTS = ("127.0.0.1", "127.0.0.2")
WORKERS = 8

KRMFN = """
import json, sys, time
from krmfn.image import ImageRef
from krmfn.access import Repository
from krmfn.access import Access
from krmfn.sources.registry.limits import Settings
from krmfn.sources.registry.source import RegistrySource
from krmfn.plan.resolve import ask
names, insecure, env, digests = json.loads(sys.argv[1])
start = time.perf_counter()
source = RegistrySource(Settings.of(env))
repositories = [Repository(ImageRef.parse(name), Access(insecure=insecure)) for name in names]
listed = ask(repositories, source.tags, 8)
if digests:
    chosen = [(repository, listed[repository].tags[-1]) for repository in repositories]
    found = ask(chosen, lambda pair: source.digest(*pair), 8)
    assert all(isinstance(digest, str) for digest in found.values()), found
print(json.dumps([time.perf_counter() - start, source.requests]))
"""


@dataclass(frozen=True, slots=True)
class Server:
    """The registry under a run: its repositories' names, and how to reach it."""

    port: str
    ca: str

    def names(self, count: int) -> list[str]:
        """Name so many repositories, in turn on every host."""
        return [f"{HOSTS[number % len(HOSTS)]}:{self.port}/acme/app{number}" for number in range(count)]

    def requests(self) -> int:
        """Count the requests since the last call."""
        import ssl

        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        url = f"{'https' if self.ca else 'http'}://{HOSTS[0]}:{self.port}/requests"
        with urllib.request.urlopen(url, context=context) as answer:
            return int(answer.read())


@contextlib.contextmanager
def serving(latency: int = 0, tags: int = 50, *, tls: bool = False) -> Iterator[Server]:
    """Run the registry; latency in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        ca = str(Path(folder, "ca.pem")) if tls else ""
        command = [str(BIN / "server"), "-latency", f"{latency}ms", "-tags", str(tags), "-hosts", ",".join(HOSTS)]
        command += ["-tls", ca] if tls else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            try:
                yield Server(server.stdout.readline().strip(), ca)
            finally:
                server.terminate()


def krmfn(server: Server, names: list[str], *, digests: bool = True) -> float:
    """Run krmfn's client in a process of its own; answer the seconds inside, imports of the client included."""
    env = {"SSL_CERT_FILE": server.ca} if server.ca else {}
    argument = json.dumps([names, not server.ca, env, digests])
    command = [sys.executable, "-c", KRMFN, argument]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout)[0])


def go_client(names: list[str], *, digests: bool = True) -> float:
    """Run go-containerregistry with as many workers."""
    return timed([str(BIN / "client"), "-workers", str(WORKERS), *([] if digests else ["-list"]), *names])


def each(command: Callable[[str], list[str]], names: list[str]) -> float:
    """Run a program for every repository, as many at once."""
    from concurrent.futures import ThreadPoolExecutor

    before = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda name: timed(command(name)), names))
    return time.perf_counter() - before


def timed(command: list[str]) -> float:
    """Run a program to its end and answer the seconds."""
    before = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return time.perf_counter() - before


def build() -> None:
    """Build the Go programs."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("server", "client"):
        subprocess.run(
            ["go", "build", "-o", str(BIN / name), f"./{name}"],
            cwd=PEER,
            check=True,
            env={**os.environ, "GOFLAGS": "-mod=mod"},
        )


def best(rounds: int, rows: dict[str, Callable[[], float]], server: Server) -> dict[str, tuple[float, int]]:
    """Measure every row in turn; answer the least seconds and the requests of one run."""
    found: dict[str, tuple[float, int]] = {}
    for _ in range(rounds):
        for name, run in rows.items():
            server.requests()
            seconds = run()
            found[name] = (min(seconds, found.get(name, (seconds, 0))[0]), server.requests())
    return found


def many(rounds: int, latency: int, *, tls: bool = False, count: int = 200) -> None:
    """200 repositories: list each and ask for one digest."""
    with serving(latency, tls=tls) as server:
        names = server.names(count)
        rows: dict[str, Callable[[], float]] = {"krmfn": lambda: krmfn(server, names)}
        if not tls:
            rows["go-containerregistry"] = lambda: go_client(names)
            crane, skopeo = tools.find("crane"), tools.find("skopeo")
            if crane:
                rows["crane ls, one process each"] = lambda: each(
                    lambda name: [str(crane), "ls", "--insecure", name], names
                )
            if skopeo:
                rows["skopeo list-tags, one process each"] = lambda: each(
                    lambda name: [str(skopeo), "list-tags", "--tls-verify=false", f"docker://{name}"], names
                )
        limit = 2 * count * latency / 1000 / WORKERS
        show(
            f"{count} repositories, list + digest, {latency} ms, {'TLS' if tls else 'plain'}",
            best(rounds, rows, server),
            limit,
        )


def large(rounds: int, latency: int, count: int = 50_000) -> None:
    """One repository with 50,000 tags, in pages of 1000."""
    with serving(latency, tags=count) as server:
        names = server.names(1)
        rows: dict[str, Callable[[], float]] = {
            "krmfn": lambda: krmfn(server, names, digests=False),
            "go-containerregistry": lambda: go_client(names, digests=False),
        }
        crane, skopeo = tools.find("crane"), tools.find("skopeo")
        if crane:
            rows["crane ls"] = lambda: timed([str(crane), "ls", "--insecure", names[0]])
        if skopeo:
            rows["skopeo list-tags"] = lambda: timed(
                [str(skopeo), "list-tags", "--tls-verify=false", f"docker://{names[0]}"]
            )
        show(f"{count} tags in one repository, {latency} ms", best(rounds, rows, server), count / 1000 * latency / 1000)


def show(title: str, found: dict[str, tuple[float, int]], limit: float) -> None:
    """Print a table."""
    print(f"\n{title}" + (f" (limit of the network: {limit * 1000:.0f} ms)" if limit else ""))
    own = found["krmfn"][0]
    for name, (seconds, requests) in found.items():
        ratio = f"{seconds / limit:6.2f} x limit" if limit else ""
        print(f"  {name:38}{seconds * 1000:9.0f} ms{seconds / own:8.2f} x krmfn {ratio:16}{requests:6} requests")


def main() -> None:
    """Measure everything."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    try:
        build()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"benchmarks.registry needs Go to build its server: {error}")
    for latency in (0, 50):
        many(rounds, latency)
    many(rounds, 0, tls=True)
    many(rounds, 50, tls=True)
    for latency in (0, 50):
        large(rounds, latency)


if __name__ == "__main__":
    main()
