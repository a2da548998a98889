"""With networking really off: no socket is opened, and what comes out is what came out online, byte for byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import images, tools
from tests.lists import Tags, lock, pod, policy, relocked, resource_list
from tests.running import EXAMPLES, environment, files, run, succeed
from tests.waiting import ending

KRMFN = Path(sys.executable).with_name("krmfn")
OWN = ("krmfn-lock.yaml", "krmfn-tags.yaml")
HOW = {
    "from the snapshot": (("krmfn-tags.yaml",), {}),
    "from both": (OWN, {}),
    "frozen, from the lock": (("krmfn-lock.yaml",), {"KRMFN_MODE": "frozen"}),
    "frozen, from both": (OWN, {"KRMFN_MODE": "frozen"}),
    "from the lock, as the registry cannot be reached": (("krmfn-lock.yaml",), {}),
}


@pytest.fixture(scope="session")
def off() -> list[str]:
    """Return the words before a command that take every network away from it, loopback included."""
    words = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        message = "unshare --net does not work here: it needs Linux, and root or user namespaces"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return words


def test_the_network_really_is_off(off: list[str], example_registry: str):
    host, port = example_registry.split(":")
    probe = f"import socket; socket.create_connection(({host!r}, {port}), 2)"
    assert run([sys.executable, "-c", probe]).returncode == 0
    assert run([*off, sys.executable, "-c", probe]).returncode == 1


def at_registry(folder: Path, address: str) -> Path:
    """Point the files of an example at a registry, with digests for one policy, and without bundled snapshots."""
    for path in sorted(folder.rglob("*.yaml")):
        text = path.read_text()
        if path.name == "tags.yaml":
            path.unlink()
            continue
        text = (
            text.replace("ghcr.io/", f"{address}/")
            .replace("image: redis", f"image: {address}/library/redis")
            .replace("'redis:", f"'{address}/library/redis:")
        )
        text = re.sub(r".*\btags\.yaml.*\n", "", text)
        path.write_text(
            text.replace(
                "\n    semver: {range: 7.2.x}", "\n    semver: {range: 7.2.x}\n  digestReflectionPolicy: IfNotPresent"
            )
        )
    return folder


@pytest.fixture(scope="session")
def kpt_package(tmp_path_factory: pytest.TempPathFactory, example_registry: str) -> Path:
    folder = tmp_path_factory.mktemp("kpt") / "shop"
    return at_registry(Path(shutil.copytree(EXAMPLES / "kpt-package", folder)), example_registry)


def copy(package: Path, to: Path, own: tuple[str, ...]) -> Path:
    """Copy a package with some of what krmfn fetch wrote."""
    shutil.copytree(package, to)
    for path in sorted(to.rglob("krmfn-*.yaml")):
        if path.name not in own:
            path.unlink()
    return to


def rest(folder: Path) -> dict[str, str]:
    return {name: text for name, text in files(folder).items() if not name.endswith(OWN)}


@pytest.mark.parametrize("how", HOW)
def test_kpt_renders_without_a_network_what_it_renders_with_one(
    how: str, off: list[str], kpt_package: Path, tmp_path: Path
):
    own, env = HOW[how]
    kpt = tools.require("kpt")
    online = copy(kpt_package, tmp_path / "online" / "shop", ())
    succeed([kpt, "fn", "render", online, "--allow-exec"])
    assert "7.2.5@sha256:" in rest(online)["web.yaml"]
    fetched = copy(kpt_package, tmp_path / "fetched", ())
    succeed([KRMFN, "fetch", fetched])
    offline = copy(fetched, tmp_path / "offline" / "shop", own)
    before = {name: text for name, text in files(offline).items() if name in own}
    with ending():
        succeed([*off, kpt, "fn", "render", offline, "--allow-exec"], env=environment(**env))
    assert rest(offline) == rest(online)
    assert {name: text for name, text in files(offline).items() if name in own} == before


def kustomization(folder: Path, address: str, own: tuple[str, ...]) -> Path:
    """Write a base whose policies reach their fields by image."""
    example = at_registry(Path(shutil.copytree(EXAMPLES / "kustomize", folder)), address)
    base = example / "base" / "kustomization.yaml"
    base.write_text(base.read_text() + "".join(f"  - {name}\n" for name in own))
    config = example / "images" / "images.yaml"
    config.write_text(
        config.read_text().replace("    - name: web\n", "    - name: web\n      digestReflectionPolicy: Always\n")
    )
    return example


@pytest.mark.parametrize("how", HOW)
def test_kustomize_builds_without_a_network_what_it_builds_with_one(
    how: str, off: list[str], example_registry: str, tmp_path: Path
):
    own, env = HOW[how]
    build = [tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec"]
    online = succeed([*build, kustomization(tmp_path / "online", example_registry, ()) / "overlays" / "staging"])
    assert re.search("acme/web:2.0.0@sha256:", online)
    example = kustomization(tmp_path / "offline", example_registry, own)
    succeed([KRMFN, "fetch", example, "--to", example / "base"])
    for name in set(OWN) - set(own):
        (example / "base" / name).unlink()
    done = run([*off, *build, example / "overlays" / "staging"], env=environment(**env))
    assert done.returncode == 0, done.stderr
    assert done.stdout == online
    assert (done.stderr == "") == (how != "from the lock, as the registry cannot be reached")


NUMBERS = (
    "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata:\n  name: images\n  annotations:\n"
    "    config.kubernetes.io/function: |\n      exec: {path: krmfn}\nspec:\n  policies:\n  - name: web\n    image: ghcr.io/acme/web\n"
    "    filterTags: {pattern: '^1[.](?P<n>[0-9]+)$', extract: $n}\n    policy: {numerical: {}}\n"
)


def test_tags_that_look_like_numbers_come_through_kustomize(off: list[str], tmp_path: Path):
    """kustomize sends items through JSON, where a plain 1.10 is 1.1."""
    images.write(tmp_path / "layouts", {"ghcr.io/acme/web": dict.fromkeys(("1.9", "1.10"), "2026-01-01T00:00:00Z")})
    package = tmp_path / "package"
    package.mkdir()
    (package / "pod.yaml").write_text(pod("ghcr.io/acme/web:1.9"))
    (package / "images.yaml").write_text(NUMBERS)
    succeed([KRMFN, "fetch", package, "--source", f"layout:{tmp_path / 'layouts'}"])
    (package / "kustomization.yaml").write_text(
        "resources: [pod.yaml, krmfn-lock.yaml, krmfn-tags.yaml]\ntransformers: [images.yaml]\n"
    )
    build = [*off, tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", package]
    for mode in ("update", "frozen"):
        assert "image: ghcr.io/acme/web:1.10\n" in succeed(build, env=environment(KRMFN_MODE=mode))
    for name in OWN:
        text = (package / name).read_text()
        (package / name).write_text(text.replace('"1.10"', "1.10"))
        done = run(build)
        assert done.returncode == 1
        assert "1.1 came as a number, which kustomize rounds: quote it in the file" in done.stderr
        succeed([KRMFN, "fetch", package, "--source", f"layout:{tmp_path / 'layouts'}"])
        assert (package / name).read_text() == text


def test_without_lock_or_snapshot_the_render_fails_quickly_and_changes_nothing(
    off: list[str], kpt_package: Path, tmp_path: Path
):
    package = copy(kpt_package, tmp_path / "shop", ())
    before = files(package)
    with ending():
        done = run([*off, tools.require("kpt"), "fn", "render", package, "--allow-exec"])
    assert done.returncode == 1
    assert files(package) == before
    frozen = run(
        [*off, tools.require("kpt"), "fn", "render", package, "--allow-exec"], env=environment(KRMFN_MODE="frozen")
    )
    assert frozen.returncode == 1
    assert "run krmfn fetch" in frozen.stdout + frozen.stderr


def test_update_writes_files_without_a_network(off: list[str], kpt_package: Path, tmp_path: Path):
    online, offline = copy(kpt_package, tmp_path / "online", ()), copy(kpt_package, tmp_path / "offline", ())
    succeed([KRMFN, "update", online])
    succeed([KRMFN, "fetch", offline])
    succeed([*off, KRMFN, "update", offline, "--mode", "frozen"])
    assert rest(offline) == rest(online)


def test_a_hundred_policies_without_a_network_wait_once_not_one_by_one(off: list[str], tmp_path: Path):
    names = [f"p{number}" for number in range(100)]
    rules = [policy(name=name, image=f"{ADDRESS}/acme/{name}") for name in names]
    pods = [pod(f"{ADDRESS}/acme/{name}:1.0.0", name=name, setter=f"flux:{name}") for name in names]
    offered = Tags({f"{ADDRESS}/acme/{name}": ["1.2.0"] for name in names})
    (tmp_path / "all.yaml").write_text("---\n".join([*rules, *pods, relocked(*rules, *pods, tags=offered)]))
    with ending():
        succeed([*off, KRMFN, "update", tmp_path])
    assert (tmp_path / "all.yaml").read_text().count(":1.2.0 #") == 100


WATCH = """
import json, sys
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("socket.") else None)
from krmfn import function
code = function.main([])
heavy = [name for name in ("oras", "requests", "urllib3", "ssl", "socket", "click", "rich") if name in sys.modules]
print(json.dumps([code, sorted(set(seen)), heavy]), file=sys.stderr)
"""


def watched(data: bytes, **env: str) -> tuple[int, list[str], list[str]]:
    """Run the function; answer its exit code, the socket events that the interpreter saw, and what was imported."""
    done = run([sys.executable, "-c", WATCH], text=data.decode(), env=environment(**env))
    code, events, heavy = json.loads(done.stderr.splitlines()[-1])
    return code, events, heavy


Documents = Callable[[str], bytes]
ADDRESS = "127.0.0.1:9"


def documents(*more: str) -> bytes:
    rule = policy('semver: {range: ">=1.0.0"}', image=f"{ADDRESS}/acme/web")
    return resource_list(rule, pod(f"{ADDRESS}/acme/web:1.2.0"), *more)


def locked_documents() -> bytes:
    probe = run(
        [KRMFN],
        text=documents(lock('{policy: "flux:web", image: x/y, policyHash: "0", tag: "1"}')).decode(),
        env=environment(KRMFN_MODE="frozen"),
    )
    found = re.search("now ([0-9a-f]{16})", probe.stderr)
    assert found, probe.stderr
    return documents(
        lock(f'{{policy: "flux:web", image: "{ADDRESS}/acme/web", policyHash: "{found[1]}", tag: "1.3.1"}}')
    )


def test_frozen_opens_no_socket_and_imports_no_client():
    assert watched(locked_documents(), KRMFN_MODE="frozen") == (0, [], [])


def test_frozen_with_a_missing_entry_opens_no_socket_either():
    assert watched(documents(), KRMFN_MODE="frozen") == (1, [], [])


def test_a_snapshot_opens_no_socket_and_imports_no_client():
    snapshot = f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: {ADDRESS}/acme/web\n  tags: ['1.3.1']\n"
    assert watched(documents(snapshot)) == (0, [], [])


def test_the_watch_sees_sockets_when_there_are_any():
    code, events, heavy = watched(locked_documents())
    assert code == 0
    assert "socket.connect" in events
    assert "requests" in heavy
