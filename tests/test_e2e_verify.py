"""Signatures that cosign made, in real registries: with the referrers API, and without; no request more than the protocol needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
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
from tests.signing import BUILDER, SIGN, SLSA_1, SOURCE

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
