"""Signatures that cosign made, in real registries: with the referrers API, and without; no request more than the protocol needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from krmfn.signatures.keys import read_keys
from krmfn.signatures.wanted import Wanted
from tests import registries, tools
from tests.asking import asking, repository
from tests.image_store import INDEX, MANIFEST, Images
from tests.proxy_server import Proxy
from tests.record_cosign import FOLDER, PLACE
from tests.running import environment, run
from tests.signing import BUILDER, SIGN, SLSA_1, SOURCE
from tests.test_verify import git

KIND = "p256"
SIGNATURE = Wanted(read_keys("cosign.pub", (FOLDER / f"{KIND}.pub").read_bytes()))
PROVENANCE = SIGNATURE._replace(builder=BUILDER, source=f"{SOURCE}*")
WANTED = {"signature": SIGNATURE, "provenance": PROVENANCE}
STRANGER = Wanted(read_keys("other.pub", (FOLDER / "rsa.pub").read_bytes()))


def recorded(form: str, what: str) -> Images:
    """Return an image with what cosign made in one form alone, or with nothing.

    `tag` is a `.sig` or `.att` tag, `bundle` one bundle, `bundles` all that there are.
    """
    every = Images()
    for path in sorted((PLACE / "blobs" / "sha256").iterdir()):
        content = path.read_bytes()
        kind = json.loads(content).get("mediaType") if content.startswith(b"{") else None
        every.blobs[f"sha256:{path.name}"] = (kind if kind in (MANIFEST, INDEX) else "application/octet-stream", content)
    index = json.loads((PLACE / "index.json").read_text())["manifests"]
    there = {one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in index}
    name = there[KIND].replace(":", "-")
    tags = {KIND: there[KIND]}
    if form == "tag":
        tag = name + (".sig" if what == "signature" else ".att")
        tags[tag] = there[tag]
    elif form != "neither":
        manifests = json.loads(every.blobs[there[name]][1])["manifests"]
        kept = [one for one in manifests if form == "bundles" or _kind(every, one["digest"]) == {"signature": SIGN, "provenance": SLSA_1}[what]]
        tags[name] = every.put(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": kept})["digest"]
    whole = Images()
    whole.tags["acme/web"] = tags
    reach(every, whole, tags.values())
    return whole


def _kind(store: Images, digest: str) -> str:
    return str(json.loads(store.blobs[digest][1])["annotations"]["dev.sigstore.bundle.predicateType"])


def reach(store: Images, whole: Images, digests: Iterable[str]) -> None:
    """Copy what is reached from digests, as nothing else is to be pushed."""
    for digest in digests:
        kind, content = whole.blobs[digest] = store.blobs[digest]
        if kind in (MANIFEST, INDEX):
            document = json.loads(content)
            config = [document["config"]] if "config" in document else []
            reach(store, whole, [one["digest"] for one in [*document.get("manifests", ()), *document.get("layers", ()), *config]])


@pytest.fixture(params=["docker-registry", "referrers"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A registry that runs, and its name: Debian's, which has no referrers API, and go-containerregistry's, which has it."""
    program = tools.require(request.param)
    serve: Any = registries.distribution(program, tmp_path / "data", tmp_path) if request.param == "docker-registry" else registries.referrers(program, tmp_path)
    with serve as address:
        yield request.param, address


def requests(seen: list[tuple[str, str, str]]) -> list[str]:
    """Return requests in short: `referrers`, `sha256-` (the tag that stands in for the API), `.sig`, `.att`, `manifest`, `blob`."""
    short = []
    for command, path, _ in seen:
        if command == "CONNECT":
            continue  # whether the registry speaks TLS
        kind, name = path.rsplit("/", 2)[-2:]
        if kind == "manifests":
            kind = "manifest" if ":" in name else name[-4:] if "." in name else "sha256-"
        short.append({"blobs": "blob"}.get(kind, kind))
    return short


REQUESTS = {
    ("docker-registry", "bundle"): ["referrers", "sha256-", "manifest", "blob"],
    ("docker-registry", "tag"): ["referrers", "sha256-", "TAG", "blob"],
    ("docker-registry", "neither"): ["referrers", "sha256-", "TAG"],
    ("referrers", "bundle"): ["referrers", "manifest", "blob"],
    ("referrers", "tag"): ["referrers", "TAG", "blob"],
    ("referrers", "neither"): ["referrers", "TAG"],
}
"""The least that finds each form: nothing tells which forms there are before they are asked for, nor what a manifest holds."""


@pytest.mark.parametrize("what", WANTED)
@pytest.mark.parametrize("form", ["bundle", "tag", "neither"])
def test_what_cosign_signed_is_found_in_real_registries_with_the_fewest_requests(place: tuple[str, str], form: str, what: str):
    name, address = place
    images = recorded(form, what)
    registries.push(address, images)
    digest = images.tags["acme/web"][KIND]
    tag = ".sig" if what == "signature" else ".att"
    with Proxy(address) as proxy:
        assert judged(proxy, digest, WANTED[what]) == ("missing" if form == "neither" else "passed")
        assert requests(proxy.seen) == [{"TAG": tag}.get(one, one) for one in REQUESTS[name, form]]
        assert judged(proxy, digest, STRANGER if what == "signature" else STRANGER._replace(builder="**")) == ("missing" if form == "neither" else "invalid")


@pytest.mark.parametrize("what", WANTED)
def test_of_several_bundles_those_of_another_type_are_not_fetched(place: tuple[str, str], what: str):
    """Their manifests tell the type; the list of neither registry does."""
    images = recorded("bundles", what)
    registries.push(place[1], images)
    with Proxy(place[1]) as proxy:
        assert judged(proxy, images.tags["acme/web"][KIND], WANTED[what]) == "passed"
        asked = requests(proxy.seen)
    assert asked.count("blob") == 1
    assert 1 <= asked.count("manifest") <= 3
    assert len(asked) == asked.count("manifest") + (3 if place[0] == "docker-registry" else 2)


def judged(proxy: Proxy, digest: str, wanted: Wanted) -> str:
    """Judge a digest in a run of its own, whose requests the proxy counts."""
    proxy.seen.clear()
    with asking(env={"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url}) as source:
        return source.verify(repository("registry.example/acme/web"), digest, wanted).state


@pytest.fixture
def change(tmp_path: Path) -> Path:
    """A clone on a branch of its own, as a pipeline of a pull request has it, with what cosign signed beside it."""
    base = tmp_path / "base"
    (base / "keys").mkdir(parents=True)
    (base / "keys" / "p256.pub").write_bytes((FOLDER / "p256.pub").read_bytes())
    (base / "rules.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\n"
        "spec: {require: [{verify: [{keyFiles: [keys/p256.pub]}]}]}\n"
    )
    (base / "web.yaml").write_text(WEB.format("p256"))
    git(base, "init", "-q", "-b", "main")
    git(base, "add", ".")
    git(base, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "rules")
    git(tmp_path, "clone", "-q", str(base), "change")
    git(tmp_path / "change", "checkout", "-qb", "change")
    return tmp_path / "change"


WEB = "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{containers: [{{name: web, image: 'r.example/acme/web:{}'}}]}}\n"
CHANGES: dict[str, tuple[int, Callable[[Path], object]]] = {
    "nothing": (0, lambda _folder: None),
    "an image of another signer": (1, lambda folder: (folder / "web.yaml").write_text(WEB.format("rsa"))),
    "an image and the key that fits": (1, lambda folder: [
        (folder / "web.yaml").write_text(WEB.format("rsa")), (folder / "keys" / "p256.pub").write_bytes((FOLDER / "rsa.pub").read_bytes()),
    ]),
    "an image, and rules that ask for nothing": (1, lambda folder: [
        (folder / "web.yaml").write_text(WEB.format("rsa")), (folder / "rules.yaml").write_text("a: b\n"),
    ]),
    "another image under an old name": (1, lambda folder: (folder / "web.yaml").write_text(WEB.format("p256@sha256:" + "0" * 64))),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_the_job_of_the_page_fails_for_a_change_that_runs_what_is_not_signed(change: Path, name: str):
    """The very line of docs/verify.md, run by a shell as a workflow runs it."""
    (line,) = re.findall(r"^- run: (krmfn .*)$", (tools.ROOT / "docs" / "verify.md").read_text(), re.MULTILINE)
    code, act = CHANGES[name]
    act(change)
    images = FOLDER / "images"
    done = run(["bash", "-ec", line.replace("krmfn verify", f"krmfn verify --source layout:{images}")], cwd=change, env=environment(BASE="main"))
    assert done.returncode == code, done.stderr
    results = json.loads((change / "verify.sarif").read_text())["runs"][0]["results"]
    assert bool(results) is bool(code)
    assert all(one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "web.yaml" for one in results)
