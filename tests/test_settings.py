"""Settings hold for every verb that asks a registry: one walk over verbs and settings, against real servers."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests import images
from tests.certificates import Authority, server_context
from tests.proxy_server import Proxy
from tests.registry_server import Login, Registry, serving
from tests.running import call, environment, succeed

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


def proxy(folder: Path, started: Callable[[Any], Any]) -> dict[str, str]:
    through = started(Proxy(started(offering(Registry())).address))
    secret = SECRET.format(f"stringData: {{address: '{through.url}'}}")
    return write(folder, "registry.invalid/acme/web", "insecure: true, proxySecretRef: {name: access}", secret)


def proxy_of_the_environment(folder: Path, started: Callable[[Any], Any]) -> dict[str, str]:
    through = started(Proxy(started(offering(Registry())).address))
    write(folder, "registry.invalid/acme/web", "insecure: true")
    return {"HTTP_PROXY": through.url, "HTTPS_PROXY": through.url}


def exclusion(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    registry = started(Registry())
    registry.add("acme/web", ["1.0.0", "1.7.3", "1.9.0"])
    return write(folder, f"{registry.address}/acme/web", "insecure: true, exclusionList: ['^1[.]9']")


def allowed(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    registry = started(offering(Registry()))
    write(folder, f"{registry.address}/acme/web", "insecure: true")
    return {"KRMFN_ALLOWED_REGISTRIES": registry.address}


WAYS = (
    mirrors, insecure, layout, layout_of_the_environment, snapshot, login, certificate, proxy, proxy_of_the_environment, exclusion, allowed,
)  # fmt: skip


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
    assert "1.9.0" not in done.stdout or verb == "explain"  # which says that it is excluded


def not_allowed(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    return allowed(folder, started) | {"KRMFN_ALLOWED_REGISTRIES": "ghcr.io"}


def silent(folder: Path, started: Callable[[Any], Any]) -> dict[str, str]:
    listener = started(closing(socket.create_server(("127.0.0.1", 0))))
    return write(folder, f"127.0.0.1:{listener.getsockname()[1]}/acme/web", "insecure: true, timeout: 100ms")


def suspended(folder: Path, started: Callable[[Registry], Registry]) -> dict[str, str]:
    write(folder, f"{started(offering(Registry())).address}/acme/web", "insecure: true")
    path = folder / "web.yaml"
    path.write_text(path.read_text().replace("imageRepositoryRef", "suspend: true, imageRepositoryRef"))
    return {}


Way = Callable[[Path, Callable[[Any], Any]], dict[str, str]]
STOPS: dict[Way, str] = {not_allowed: "KRMFN_ALLOWED_REGISTRIES", silent: "0.1", suspended: "suspended"}
"""A setting that keeps a verb from moving anything, and the word that says so."""
SILENT: dict[tuple[str, Way], str] = {("explain", suspended): "is suspended", ("fetch", suspended): "nothing to fetch", ("get repository", suspended): "found 2 tags"}
"""What some say instead: a policy that is suspended keeps its repository scanned."""


@pytest.mark.parametrize(("verb", "way"), [pytest.param(verb, way, id=f"{verb} {way.__name__}") for verb in VERBS for way in STOPS])
def test_a_setting_that_stops_a_verb_is_named(
    verb: str, way: Way, tmp_path: Path, started: Callable[[Any], Any]
):
    more = way(tmp_path, started)
    done = call(*VERBS[verb], cwd=tmp_path, **more)
    assert "1.7.3" not in done.stdout.replace("BEYOND", "") or verb == "check", done.stdout
    assert SILENT.get((verb, way), STOPS[way]) in done.stdout + done.stderr
    shown = call("check", ".", "-o", "json", cwd=tmp_path, **more)
    assert [one["inside"] for one in json.loads(shown.stdout)["images"]] == [None]


KEPT, MOVED, PINNED = "1.0.0", "1.7.3", f"1.0.0@sha256:{'0' * 64}"
TREE = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {{name: images}}
spec:
  {setting}
  policies:
  - {{name: web, image: ghcr.io/acme/web, policy: {{semver: {{range: 1.x}}}}}}
  - {{name: api, image: {other}, policy: {{semver: {{range: 1.x}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: web}}
spec:
  containers:
  - name: web
    image: ghcr.io/acme/web:{current}
  - name: api
    image: {other}:1.0.0
"""
HERE, LOST = "ghcr.io/acme/api", "ghcr.io/acme/lost"
BEHAVIOUR = [
    ("onDowngrade", "keep", "1.9.9", HERE, "1.9.9"), ("onDowngrade", "allow", "1.9.9", HERE, MOVED), ("onDowngrade", "fail", "1.9.9", HERE, "1.9.9"),
    ("keepPins", "true", PINNED, HERE, f"{MOVED}@sha256:"), ("keepPins", "false", PINNED, HERE, f"{MOVED}\n"),
    ("onError", "keep", KEPT, LOST, MOVED), ("onError", "fail", KEPT, LOST, KEPT),
    ("mode", "update", KEPT, HERE, MOVED), ("mode", "check", KEPT, HERE, KEPT), ("mode", "frozen", KEPT, HERE, KEPT),
]  # fmt: skip
"""A setting, its value, what is deployed, the other image, and what the field holds in the end."""
SAID = {"spec": "{name}: {value}", "environment": "", "option": ""}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize(("name", "value", "current", "other", "expected"), BEHAVIOUR, ids=[f"{row[0]} {row[1]}" for row in BEHAVIOUR])
def test_a_setting_holds_wherever_it_is_said(name: str, value: str, current: str, other: str, expected: str, said: str, tmp_path: Path):
    """In the configuration, in the environment and on the command line, for `update`, for its commits and for `check`."""
    tags = dict.fromkeys(("1.0.0", "1.7.3"), "2026-01-01T00:00:00Z")
    images.write(tmp_path / "images", {"ghcr.io/acme/web": tags, HERE: tags})
    shop = tmp_path / "shop"
    shop.mkdir()
    text = TREE.format(setting=SAID[said].format(name=name, value=value) or "# nothing is set", current=current, other=other)
    (shop / "all.yaml").write_text(text)
    kebab = re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", name)
    env = {f"KRMFN_{kebab.upper().replace('-', '_')}": value} if said == "environment" else {}
    flags = {"true": [f"--{kebab}"], "false": [f"--no-{kebab}"]}.get(value, [f"--{kebab}", value])
    options = ["--source", f"layout:{tmp_path / 'images'}"]
    if said != "option":
        inside = [one["inside"] for one in json.loads(call("check", ".", *options, "-o", "json", cwd=shop, **env).stdout)["images"] if one["image"].endswith("web")]
        moves = MOVED in expected or name == "mode" or value == "fail"
        assert (inside == [MOVED]) is (moves and (name, value) != ("onDowngrade", "fail"))
    commit = [("init", "-q", "-b", "main"), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@a.example", "commit", "-q", "-m", "a")]
    for words in commit:
        succeed(["git", *words], cwd=shop, env=environment(HOME=str(tmp_path)))
    for more in ([], ["--commit"]):
        (shop / "all.yaml").write_text(text)
        env_of_git = {"HOME": str(tmp_path), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a.example", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a.example"}
        done = call("update", ".", *options, *(flags if said == "option" else []), *more, cwd=shop, **env, **env_of_git)
        assert f"ghcr.io/acme/web:{expected}" in (shop / "all.yaml").read_text(), done.stdout + done.stderr
