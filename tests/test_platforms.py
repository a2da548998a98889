"""What an image has to hold before it may run: `platforms` and `pullable`, asked of registries and layouts.

Every request is counted: what a protocol needs is asked, once, and no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from krmfn import pipeline
from krmfn.config.settings import overridden
from krmfn.errors import RegistryError
from krmfn.plan.inspection import Inspection, Needs
from krmfn.sources.contents import lacking
from krmfn.sources.layout import LayoutSource
from krmfn.sources.manifest import DOCKER_LIST, DOCKER_MANIFEST
from krmfn.yamledit.text import Text
from tests.asking import asking, error_of, repository
from tests.image_store import CONFIG, INDEX, MANIFEST, Images
from tests.lists import images, lock, locked, messages, pod, policy, relocked, resource_list, run
from tests.registry_server import Registry, Request

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

BOTH = "platforms: [linux/amd64, linux/arm64]"
ARM64 = "platforms: [linux/arm64]"
WHOLE = "pullable: true"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        yield server


def require(what: str) -> str:
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: rules}}\nspec:\n  require:\n    - {what}\n"


def web(registry: Registry) -> str:
    return f"{registry.address}/acme/web"


def package(registry: Registry, what: str, *more: str, current: str = "1.0.0", reflection: str = "Never") -> bytes:
    rule = policy(image=web(registry), reflection=reflection).replace("interval: 5m}", "interval: 5m, insecure: true}")
    return resource_list(rule, pod(f"{web(registry)}:{current}"), require(what), *more)


def update(registry: Registry, what: str, *more: str, **given: Any) -> Outcome:
    with asking() as source:
        return run(package(registry, what, *more, **given), source)


def tag(outcome: Outcome) -> str:
    assert not outcome.is_error, outcome.results
    (image,) = images(outcome)
    return image.rpartition(":")[2].partition("@")[0]


def asked(registry: Registry) -> list[tuple[str, str]]:
    """Return the requests for images, as method and what was asked for."""
    kinds = {digest: kind.rpartition(".")[2] for digest, (kind, _) in registry.blobs.items()}
    found = [(one.method, one.path.rpartition("/")[2]) for one in registry.seen if one.endpoint not in ("ping", "tags")]
    return [(method, kinds.get(name, name)) for method, name in found]


def test_the_next_best_that_has_every_platform_is_taken(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"], platforms=["linux/amd64", "linux/arm64/v8"])
    registry.add("acme/web", ["1.2.0"], platforms=["linux/amd64"])
    registry.add("acme/web", ["1.3.0"])
    outcome = update(registry, BOTH, lock())
    assert tag(outcome) == "1.1.0"
    assert any("1.3.0: no linux/arm64; 1.1.0 may run" in one for one in messages(outcome, "info"))
    assert locked(outcome)[0]["passedOver"] == "1.3.0: no linux/arm64"
    # a config tells the platform of a lone manifest, an index tells those of all its images
    assert asked(registry) == [("GET", "1.3.0"), ("GET", "v1+json"), ("GET", "1.2.0"), ("GET", "1.1.0")]


def test_nothing_is_asked_of_what_runs_already(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"])
    assert tag(update(registry, f"{BOTH}\n      {WHOLE}", current="1.1.0")) == "1.1.0"
    assert asked(registry) == []


def test_a_platform_is_asked_for_once_however_many_policies_want_it(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"], platforms=["linux/amd64"])
    second = policy(name="api", image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
    outcome = update(registry, BOTH, second, pod(f"{web(registry)}:1.0.0", name="api", setter="flux:api"))
    assert [one.rpartition(":")[2] for one in images(outcome)] == ["1.0.0", "1.0.0"]
    assert asked(registry) == [("GET", "1.1.0")]


def test_the_digest_that_was_looked_at_is_the_one_that_is_written(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"], platforms=["linux/amd64"])
    outcome = update(registry, "platforms: [linux/amd64]", reflection="IfNotPresent")
    assert images(outcome) == [f"{web(registry)}:1.1.0@{registry.tags['acme/web']['1.1.0']}"]
    assert asked(registry) == [("GET", "1.1.0")]


def index(store: Images, *entries: Mapping[str, Any], kind: str = INDEX) -> str:
    return str(store.put(kind, {"schemaVersion": 2, "mediaType": kind, "manifests": list(entries)})["digest"])


def image(store: Images, platform: str | None, *, layers: int = 1, kind: str = MANIFEST, told: bool = True) -> dict[str, Any]:
    names = dict(zip(("os", "architecture", "variant"), (platform or "").split("/"), strict=False))
    config = store.put(CONFIG, {**names, "layers": layers})
    parts = [store.put("layer.tar", f"{platform}-{number}".encode()) for number in range(layers)]
    made = store.put(kind, {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": parts})
    return {**made, "platform": names} if told else made


ATTESTATION = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}


def with_attestations(store: Images) -> str:
    unknown = {"os": "unknown", "architecture": "unknown"}
    return index(
        store,
        image(store, "linux/amd64"),
        {**image(store, "linux/arm64"), **ATTESTATION},
        {**image(store, "linux/arm64", told=False), "platform": unknown},
        {**image(store, "linux/arm64"), "artifactType": "application/vnd.example"},
    )


KINDS = {
    "an index": (lambda store: index(store, image(store, "linux/amd64"), image(store, "linux/arm64")), True, 1),
    "a docker schema list": (
        lambda store: index(
            store, *(image(store, one, kind=DOCKER_MANIFEST) for one in ("linux/amd64", "linux/arm64")), kind=DOCKER_LIST
        ),
        True, 1,
    ),
    "a variant that is the default": (lambda store: index(store, image(store, "linux/arm64/v8")), True, 1),
    "an alias": (lambda store: index(store, image(store, "Linux/aarch64")), True, 1),
    "a variant that is another": (lambda store: index(store, image(store, "linux/arm64/v9")), False, 1),
    "a lone image": (lambda store: image(store, "linux/arm64")["digest"], True, 2),
    "a lone docker image": (lambda store: image(store, "linux/arm64", kind=DOCKER_MANIFEST)["digest"], True, 2),
    "a lone image of another platform": (lambda store: image(store, "linux/amd64")["digest"], False, 2),
    "attestations": (with_attestations, False, 1),
    "an index that tells nothing": (
        lambda store: index(store, image(store, "linux/amd64", told=False), image(store, "linux/arm64", told=False)), True, 5
    ),
    "an index inside an index": (
        lambda store: index(store, {"mediaType": INDEX, "digest": index(store, image(store, "linux/arm64"))}), True, 2
    ),
    "an empty index": (index, False, 1),
    "no image at all": (
        lambda store: store.put(
            MANIFEST,
            {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": store.put("application/vnd.cncf.helm.config.v1+json", {"name": "x"})},
        )["digest"],
        False, 1,
    ),
    "a slash that is none": (lambda store: index(store, {**image(store, None), "platform": {"os": "linux/arm64"}}), False, 3),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_platforms_are_read_from_every_kind_of_image(registry, tmp_path, kind):
    make, expected, requests = KINDS[kind]
    digest = make(registry)
    registry.tags["acme/web"] = {"1.0.0": digest, "1.1.0": digest}
    outcome = update(registry, ARM64)
    assert tag(outcome) == ("1.1.0" if expected else "1.0.0")
    assert [one for one in messages(outcome, "info") if "1.1.0: no linux/arm64" in one] == ([] if expected else messages(outcome, "info"))
    assert len(asked(registry)) == requests
    found = LayoutSource(in_layout(registry, tmp_path)).inspect(repository("r.example/acme/web"), "1.1.0", Needs(("linux/arm64",)))
    assert [str(lack) for lack in found.lacks] == ([] if expected else ["no linux/arm64"])


def in_layout(store: Images, folder: Path) -> Path:
    """Write what a registry holds as OCI layouts."""
    for path, tags in store.tags.items():
        place = folder / path
        (place / "blobs" / "sha256").mkdir(parents=True)
        entries = [
            {"mediaType": store.blobs[digest][0], "digest": digest, "annotations": {"org.opencontainers.image.ref.name": name}}
            for name, digest in tags.items()
        ]
        (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
        for digest, (_, data) in store.blobs.items():
            (place / "blobs" / "sha256" / digest.partition(":")[2]).write_bytes(data)
    return folder


def test_every_part_of_an_image_has_to_be_there_and_is_asked_for_once(registry):
    made = index(registry, image(registry, "linux/amd64", layers=3), image(registry, "linux/arm64", layers=2), image(registry, "windows/amd64"))
    registry.tags["acme/web"] = {"1.0.0": made, "1.1.0": made}
    assert tag(update(registry, f"{BOTH}\n      {WHOLE}")) == "1.1.0"
    heads = [one for one in registry.seen if one.method == "HEAD"]
    assert len(heads) == len({one.path for one in heads}) == 7  # two configs and five layers
    assert sorted(name for method, name in asked(registry) if method == "GET") == ["1.1.0", "v1+json", "v1+json"]
    registry.seen.clear()
    assert tag(update(registry, WHOLE)) == "1.1.0"
    assert len([one for one in registry.seen if one.method == "HEAD"]) == 9  # without platforms: of all


def parts(registry: Registry, made: dict[str, Any]) -> dict[str, str]:
    document = json.loads(registry.blobs[made["digest"]][1])
    return {"manifest": made["digest"], "config": document["config"]["digest"], "layer": document["layers"][1]["digest"]}


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
@pytest.mark.parametrize("is_lone", [False, True])
def test_what_is_listed_and_cannot_be_pulled_yet_is_passed_over(registry, tmp_path, part, is_lone):
    good, bad = image(registry, "linux/amd64"), image(registry, "linux/arm64", layers=2)
    gone = parts(registry, bad)[part]
    registry.tags["acme/web"] = {"1.0.0": good["digest"], "1.1.0": good["digest"], "1.2.0": bad["digest"] if is_lone else index(registry, bad)}
    del registry.blobs[gone]
    outcome = update(registry, WHOLE)
    assert tag(outcome) == "1.1.0"
    name = "1.2.0" if is_lone and part == "manifest" else gone[:19]
    assert any(f"1.2.0: {part} {name} not there; 1.1.0 may run" in one for one in messages(outcome, "info")), outcome.results
    if not (is_lone and part == "manifest"):
        found = LayoutSource(in_layout(registry, tmp_path)).inspect(repository("r.example/acme/web"), "1.2.0", Needs(pullable=True))
        assert [str(one) for one in found.lacks] == [f"{part} {gone[:19]} not there"]


def test_layers_that_are_kept_elsewhere_are_not_asked_for(registry):
    made = image(registry, "windows/amd64")
    document = json.loads(registry.blobs[made["digest"]][1])
    away = {"digest": f"sha256:{'0' * 64}", "size": 1}
    document["layers"] += [
        {**away, "urls": ["https://mcr.example/layer"]},
        {**away, "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
        {**away, "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar"},
    ]
    registry.tags["acme/web"] = dict.fromkeys(("1.0.0", "1.1.0"), registry.put(MANIFEST, document)["digest"])
    assert tag(update(registry, WHOLE)) == "1.1.0"


def test_a_registry_that_leads_elsewhere_for_a_blob_has_it(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"])
    registry.misbehave("blob", lambda request: request.plain(307, b"", {"Location": "http://127.0.0.1:9/signed-for-get"}))
    assert tag(update(registry, WHOLE)) == "1.1.0"


@pytest.mark.parametrize("endpoint", ["manifest", "blob"])
def test_a_registry_that_is_away_keeps_what_runs_and_nothing_else_is_tried(registry, endpoint):
    registry.add("acme/web", ["1.0.0", "1.1.0", "1.2.0"])
    registry.misbehave(endpoint, lambda request: request.plain(503))
    outcome = update(registry, f"{BOTH}\n      {WHOLE}", lock())
    assert tag(outcome) == "1.0.0"
    (said,) = messages(outcome, "warning")
    assert "kept as it is: what is required of tag 1.2.0 cannot be judged" in said
    assert not any("1.1.0" in one.path for one in registry.seen)
    assert locked(outcome) == []


def test_a_refused_login_is_an_error_and_so_are_forged_parts(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"])
    registry.misbehave("blob", lambda request: request.error(403, "DENIED", "no"), times=1)
    assert ["cannot be judged" in one for one in messages(update(registry, BOTH), "error")] == [True]
    registry.reset(None)
    registry.misbehave("blob", lambda request: request.plain(200, b"{}"), times=1)
    (said,) = messages(update(registry, BOTH), "error")
    assert "has another digest" in said
    with asking() as source:
        registry.misbehave("blob", lambda request: request.plain(200, b"{}"), times=1)
        again = run(package(registry, f"{BOTH}\n      {WHOLE}").replace(b"  require:", b"  onError: keep\n  require:"), source)
    assert again.is_error  # integrity fails whatever onError says


def test_no_more_than_twenty_tags_are_looked_at(registry):
    registry.add("acme/web", [f"1.{minor}.0" for minor in range(40)], platforms=["linux/amd64"])
    outcome = update(registry, BOTH)
    assert tag(outcome) == "1.0.0"
    assert len(asked(registry)) == 20
    assert any("none of the best 20 tags may run" in one for one in messages(outcome, "warning"))
    registry.add("acme/web", ["1.20.0"], platforms=["linux/amd64", "linux/arm64"])
    assert tag(update(registry, BOTH)) == "1.20.0"


def flood(request: Request) -> None:
    request.plain(200, b"[" + b" " * (100 << 20))


def test_huge_and_endless_images_are_refused_within_bounds(registry):
    entries = [{"mediaType": MANIFEST, "digest": f"sha256:{number:064x}", "platform": {"os": "linux", "architecture": "amd64"}} for number in range(1_000)]
    registry.tags["acme/web"] = {"1.0.0": index(registry, *entries), "1.1.0": index(registry, *entries)}
    assert tag(update(registry, ARM64)) == "1.0.0"
    assert tag(update(registry, "platforms: [linux/amd64]")) == "1.1.0"
    assert len(asked(registry)) == 2
    registry.tags["acme/web"]["1.1.0"] = index(registry, *entries * 10)
    assert ["values" in one for one in messages(update(registry, ARM64), "error")] == [True]
    for entry in entries[:200]:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "annotations": {"is": entry["digest"]}, "layers": [], "config": registry.put(CONFIG, {})}
        entry["digest"] = registry.put(MANIFEST, document)["digest"]
    registry.tags["acme/web"]["1.1.0"] = index(registry, *entries)
    assert ["has more than 100 manifests to look at" in one for one in messages(update(registry, WHOLE), "error")] == [True]
    with asking() as source:
        error = error_of(lambda: source.inspect(repository(web(registry)), "1.1.0", Needs(pullable=True)))
    assert error.failure == "limit"
    registry.add("acme/web", ["1.1.0"])
    registry.misbehave("blob", flood)
    assert ["more than 4096 KiB" in one for one in messages(update(registry, ARM64), "error")] == [True]


def test_an_image_of_too_many_layers_is_refused():
    store = Images()
    made = image(store, "linux/amd64", layers=600)

    class All:
        def read(self, _kind: str, digest: str) -> bytes:
            return store.blobs[digest][1]

        def has(self, _digest: str) -> bool:
            return True

    with pytest.raises(ValueError, match="more than 500 layers and configs"):
        lacking(store.blobs[made["digest"]][1], MANIFEST, Needs(pullable=True), All())


def deep(store: Images, levels: int) -> str:
    digest = str(image(store, "linux/arm64")["digest"])
    kind = MANIFEST
    for _ in range(levels):
        digest, kind = index(store, {"mediaType": kind, "digest": digest}), INDEX
    return digest


def circle(registry: Registry) -> str:
    """Make an index that names itself: its digest cannot be right."""
    own = f"sha256:{'c' * 64}"
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": INDEX, "digest": own}]}).encode()
    registry.blobs[own] = (INDEX, data)
    return str(registry.put(INDEX, data)["digest"])


def lying(registry: Registry) -> str:
    return index(registry, {"mediaType": MANIFEST, "digest": index(registry, image(registry, "linux/arm64"))})


HOSTILE = [
    (lambda store: deep(store, 5), "nested more than 3 deep"),
    (circle, "has another digest"),
    (lying, "was told to be something else"),
    (lambda store: index(store, {"mediaType": MANIFEST, "digest": "sha256:short"}), "without a valid digest"),
    (lambda store: store.put(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": []})["digest"], "without a valid digest"),
    (lambda store: store.put(INDEX, {"mediaType": INDEX, "manifests": [], "layers": []})["digest"], "an index and an image at once"),
    (lambda store: store.put(MANIFEST, b"[" * 10_000)["digest"], "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), HOSTILE, ids=[row[1] for row in HOSTILE])
def test_hostile_images_are_errors_that_say_what_is_wrong(registry, make, expected):
    registry.tags["acme/web"] = dict.fromkeys(("1.0.0", "1.1.0"), make(registry))
    (said,) = messages(update(registry, ARM64), "error")
    assert expected in said
    assert "1.1.0" in said


def test_a_frozen_run_takes_what_was_judged_from_the_lock_and_asks_nobody(registry):
    registry.add("acme/web", ["1.0.0", "1.1.0"], platforms=["linux/amd64", "linux/arm64"])
    with asking() as source:
        rule = policy(image=web(registry)).replace("interval: 5m}", "interval: 5m, insecure: true}")
        record = relocked(rule, pod(f"{web(registry)}:1.0.0"), require(BOTH), tags=source)
    registry.seen.clear()
    with asking() as source:
        outcome = pipeline.run(
            Text(package(registry, BOTH, record)), lambda _: source, lambda settings: overridden(settings, {"KRMFN_MODE": "frozen"})
        )
    assert tag(outcome) == "1.1.0"
    assert registry.seen == []
    with asking() as source:
        other = pipeline.run(
            Text(package(registry, ARM64, record)), lambda _: source, lambda settings: overridden(settings, {"KRMFN_MODE": "frozen"})
        )
    assert ["made under other requirements" in one for one in messages(other, "error")] == [True]


MISTAKES = [
    ("platforms: [linux]", "spec.require[0].platforms[0]: expected os/architecture such as linux/arm64"),
    ("platforms: [linux/amd64/v2/x]", "found 'linux/amd64/v2/x'"),
    ("platforms: linux/amd64", "expected a list"),
    ("pullable: maybe", "expected true or false"),
    ("pullable: false", "nothing is required"),
    ("platform: [linux/amd64]", "did you mean platforms?"),
]


@pytest.mark.parametrize(("what", "expected"), MISTAKES)
def test_mistakes_are_told_with_what_to_write(registry, what, expected):
    registry.add("acme/web", ["1.0.0"])
    assert any(expected in one for one in messages(update(registry, what), "error"))


def test_a_layout_whose_part_was_changed_is_an_error(tmp_path):
    store = Images()
    store.add("acme/web", ["1.1.0"], platforms=["linux/amd64"])
    (manifest,) = (digest for digest, (kind, _) in store.blobs.items() if kind == MANIFEST)
    store.blobs[manifest] = (MANIFEST, b"{}")
    source = LayoutSource(in_layout(store, tmp_path))
    error = error_of(lambda: source.inspect(repository("r.example/acme/web"), "1.1.0", Needs(pullable=True)))
    assert error.failure == "integrity"
    assert hashlib.sha256(b"{}").hexdigest() not in str(error)
    assert isinstance(error, RegistryError)
    good = source.inspect(repository("r.example/acme/web"), "1.1.0", Needs(("linux/amd64",)))
    assert good == Inspection(store.tags["acme/web"]["1.1.0"])
