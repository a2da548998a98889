"""Settings hold for every verb that asks a registry: one walk over verbs and settings, against real servers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority, server_context
from tests.registry_server import Login, Registry, serving
from tests.running import call

VERBS = {
    "check": ("check", "."),
    "update": ("update", ".", "--check"),
    "get": ("get", "image", "policy", "."),
    "get repository": ("get", "image", "repository", "."),
    "explain": ("explain", "web", "."),
    "fetch": ("fetch", ".", "--check"),
}
SEEN = {"get repository": "found 2 tags"}
"""What shows that a verb saw the registry's tags; of the others it is the newest."""

POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {{name: web, namespace: apps}}
spec: {{image: {image}, interval: 5m, {more}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {{name: web, namespace: apps}}
spec: {{imageRepositoryRef: {{name: web}}, policy: {{semver: {{range: 1.x}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: apps}}
spec:
  containers:
  - name: web
    image: {image}:1.0.0 # {{"$imagepolicy": "apps:web"}}
---
{settings}
"""
SETTINGS = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: all, namespace: apps}}\nspec: {0}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {{name: access, namespace: apps}}\n{0}\n"


def write(folder: Path, image: str, more: str = "", settings: str = "") -> dict[str, str]:
    (folder / "web.yaml").write_text(POLICY.format(image=image, more=more, settings=settings))
    return {}


def offering(registry: Registry) -> Registry:
    registry.add("acme/web", ["1.0.0", "1.7.3"])
    return registry


def mirrors(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    mirror = started(offering(Registry()))
    to = json.dumps([{"from": "registry.invalid", "to": f"http://{mirror.address}"}])
    return write(folder, "registry.invalid/acme/web", settings=SETTINGS.format(f"{{mirrors: {to}}}"))


def insecure(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    # not a loopback address, which is asked over plain HTTP anyway
    registry = started(offering(Registry()))
    return write(folder, f"{registry.address}/acme/web", "insecure: true")


def layout(folder: Path, _started: Callable[[Registry], Registry]) -> dict[str, str]:
    from tests import images

    images.write(folder / "tree", {"registry.invalid/acme/web": dict.fromkeys(["1.0.0", "1.7.3"], "2026-01-01T00:00:00Z")})
    return write(folder, "registry.invalid/acme/web", settings=SETTINGS.format("{source: {layout: {path: ./tree}}}"))


def layout_of_the_environment(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    layout(folder, started)
    write(folder, "registry.invalid/acme/web")
    return {"KRMFN_LAYOUT": str(folder / "tree")}


def snapshot(folder: Path, _started: Callable[[Registry], Registry]) -> dict[str, str]:
    spec = "spec: {image: registry.invalid/acme/web, tags: [1.0.0, 1.7.3]}"
    tags = f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web, namespace: apps}}\n{spec}\n"
    return write(folder, "registry.invalid/acme/web", settings=tags)


def login(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    registry = started(offering(Registry(login=Login("basic", "me", "word"))))
    auth = base64.b64encode(b"me:word").decode()
    config = base64.b64encode(json.dumps({"auths": {registry.address: {"auth": auth}}}).encode()).decode()
    data = f"type: kubernetes.io/dockerconfigjson\ndata: {{.dockerconfigjson: {config}}}"
    return write(folder, f"{registry.address}/acme/web", "insecure: true, secretRef: {name: access}", SECRET.format(data))


def certificate(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    authority = Authority()
    registry = started(offering(serving(server_context(authority.issue("127.0.0.1"), folder))))
    data = f"data: {{ca.crt: {base64.b64encode(authority.pem.encode()).decode()}}}"
    return write(folder, f"{registry.address}/acme/web", "certSecretRef: {name: access}", SECRET.format(data))


WAYS = (mirrors, insecure, layout, layout_of_the_environment, snapshot, login, certificate)


@pytest.fixture
def started() -> Iterator[Callable[[Registry], Registry]]:
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.mark.parametrize(
    ("verb", "way"),
    # fetch asks anew, whatever was recorded
    [pytest.param(verb, way, id=f"{verb} {way.__name__}") for verb in VERBS for way in WAYS
     if (verb, way) != ("fetch", snapshot)],
)
def test_a_setting_holds_for_every_verb(
    verb: str,
    way: Callable[[Path, Callable[[Registry], Registry]], dict[str, str]],
    tmp_path: Path,
    started: Callable[[Registry], Registry],
):
    more = way(tmp_path, started)
    done = call(*VERBS[verb], cwd=tmp_path, **more)
    assert done.returncode in (0, 10), done.stdout + done.stderr
    assert SEEN.get(verb, "1.7.3") in done.stdout, done.stdout + done.stderr
