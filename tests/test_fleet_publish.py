"""Publishing a scan and using it: real registries for the push, a registry of the test for everything that is poisoned."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from krmfn.config.first_seen import Seen
from krmfn.config.snapshot import Snapshot
from krmfn.errors import RegistryError
from krmfn.fleet import plan as plans
from krmfn.fleet import publishing
from krmfn.fleet import store as stores
from krmfn.fleet.plan import PlannedTree, Use
from krmfn.fleet.store import Store
from krmfn.sources import artifact
from tests import registries, tools
from tests.certificates import Authority
from tests.registry_server import Login, Registry
from tests.running import call, files, run
from tests.signing import INDEX, MANIFEST, Signer
from tests.test_verify import VERIFY, attach, require, secret

NOW = "2026-11-20T10:00:00Z"
MOMENT = 1795168800.0
DIGEST = f"sha256:{'a' * 64}"
PATH = "acme/web"


def scanned(folder: Path, host: str, *, failed: Mapping[str, RegistryError] | None = None, digest: str = DIGEST, more: int = 0) -> Store:
    """Write the scan of one host with the tags of `acme/web`, and of `more` repositories."""
    names = [f"{host}/{PATH}", *(f"{host}/acme/x{number:05}" for number in range(more))]
    plan = plans.make(MOMENT, [PlannedTree("shop", "", dict.fromkeys(names, Use(("1.0.0",))))])
    store = Store(folder)
    store.begin(plan)
    for shard in plan.lanes[0].shards:
        snapshots = [_snapshot(name, digest) for name in shard.images if name not in (failed or {})]
        store.write(plan.lanes[0], shard, snapshots, {name: one for name, one in (failed or {}).items() if name in shard.images})
    return store


def _snapshot(name: str, digest: str) -> Snapshot:
    tags = dict.fromkeys(("1.0.0", "1.1.0", "1.2.0"), digest)
    return Snapshot(name, tags, {}, 3, None, MOMENT, {tag: Seen(MOMENT, ((digest, MOMENT),)) for tag in tags})


class Memory:
    """A registry for `publish` that is a folder of content in a server of the test."""

    def __init__(self, registry: Registry, path: str = "acme/scan") -> None:
        self.registry, self.path = registry, path

    def blob(self, data: bytes) -> bool:
        self.registry.put("application/octet-stream", data)
        return True

    def manifest(self, data: bytes, media_type: str, tag: str = "") -> str:
        digest = str(self.registry.put(media_type, data)["digest"])
        self.registry.tags.setdefault(self.path, {}).update({tag: digest} if tag else {})
        return digest


@pytest.fixture(params=["docker-registry", "registry", "crane", "referrers"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Debian's docker-registry, distribution 3, the registry of crane, and one with the referrers API."""
    program, data, logs = tools.require(request.param), tmp_path / "data", tmp_path / "logs"
    logs.mkdir()
    starts = {"crane": registries.crane, "referrers": lambda program, _, logs: registries.referrers(program, logs)}
    with starts.get(request.param, registries.distribution)(program, data, logs) as there:
        yield there


def test_what_is_published_is_pulled_and_sent_once(tmp_path, address):
    failed = {"127.0.0.9:1/acme/x00001": RegistryError("denied", "127.0.0.9:1/acme/x00001", "no login")}
    scanned(tmp_path / "scan", "127.0.0.9:1", failed=failed, more=1200)
    place = f"oci://{address}/fleet/scan"
    first = call("fleet", "publish", "scan", f"{place}:latest", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{place}@sha256:")
    assert "2 shards, 2 of them new" in first.stderr
    again = call("fleet", "publish", "scan", f"{place}:latest", cwd=tmp_path)
    assert (again.stdout, "2 shards, 0 of them new" in again.stderr) == (first.stdout, True)
    pulled = call("fleet", "pull", first.stdout.strip(), "--to", "pulled", cwd=tmp_path)
    assert pulled.returncode == 0, pulled.stderr
    assert files(tmp_path / "pulled") == files(tmp_path / "scan")


def test_a_login_goes_where_it_may_when_it_pushes_too(tmp_path):
    (tmp_path / "htpasswd").write_text(registries.HTPASSWD)
    auth = {"htpasswd": {"realm": "Registry Realm", "path": str(tmp_path / "htpasswd")}}
    login = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
    scanned(tmp_path / "scan", "r.example")
    with registries.distribution(tools.require("docker-registry"), tmp_path / "data", tmp_path, auth=auth) as address:
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        told = {"DOCKER_CONFIG": str(tmp_path)}
        refused = call("fleet", "publish", "scan", f"oci://{address}/fleet/scan:1", cwd=tmp_path, **told)
        let_in = call("fleet", "publish", "scan", f"oci://{address}/fleet/scan:1", cwd=tmp_path, KRMFN_TRUST_CONFIG=address, **told)
    assert refused.returncode == 1
    assert f"were not sent over plain http: set insecure: true, or KRMFN_TRUST_CONFIG={address}" in refused.stderr or "KRMFN_TRUST_CONFIG" in refused.stderr
    assert let_in.returncode == 0, let_in.stderr
    assert registries.PASSWORD not in refused.stderr + let_in.stderr + let_in.stdout


def test_a_token_server_of_another_host_gets_no_login_for_a_push(tmp_path):
    pair = Authority().issue("tokens", use_rsa=True)
    login = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
    scanned(tmp_path / "scan", "r.example")
    with (
        registries.TokenServer(pair) as tokens,
        registries.distribution(tools.require("docker-registry"), tmp_path / "data", tmp_path, auth=tokens.config(tmp_path)) as address,
    ):
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))
        told = {"DOCKER_CONFIG": str(tmp_path), "KRMFN_TRUST_CONFIG": address}
        done = call("fleet", "publish", "scan", f"oci://{address}/fleet/scan:1", cwd=tmp_path, **told)
    assert done.returncode == 1, "the token server is another host, and nothing says that it belongs to the registry"
    assert "is not known to belong to it" in done.stderr
    assert tokens.requests == []


def package(folder: Path, image: str, *, more: str = "", pinned: str = "", reflection: str = "Never") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "web.yaml").write_text(
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images}\nspec:\n"
        f"  policies: [{{name: web, image: {image}, digestReflectionPolicy: {reflection}, policy: {{semver: {{range: '<1.2'}}}}}}]\n{more}"
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{containers: [{{name: web, image: '{image}:1.0.0{pinned}'}}]}}\n"
    )


@pytest.fixture
def away() -> Iterator[tuple[Registry, str]]:
    """A registry that holds a scan, and the address of one that nobody listens at."""
    with ExitStack() as stack:
        closed = Registry()
        with closed:
            host = closed.address
        yield stack.enter_context(Registry()), host


@pytest.fixture
def apart(tmp_path: Path) -> str:
    """An image of a registry that is gone by now: `live` was updated from it, `scanned` was not, and `scan` holds what it said."""
    with Registry() as web:
        web.add(PATH, ["1.0.0", "1.1.0", "1.2.0"])
        image = f"{web.address}/{PATH}"
        for name in ("live", "scanned"):
            package(tmp_path / name, image, pinned="@" + web.tags[PATH]["1.0.0"])
        assert call("update", "live", cwd=tmp_path, KRMFN_NOW=NOW).returncode == 0
        plan = call("fleet", "plan", "scanned", cwd=tmp_path, KRMFN_NOW=NOW)
        (tmp_path / "plan.json").write_text(plan.stdout)
        assert call("fleet", "scan", "plan.json", "--lane", 0, "--to", "scan", cwd=tmp_path, KRMFN_NOW=NOW).returncode == 0
    return image


def test_an_update_from_a_scan_writes_what_the_registries_would(tmp_path, apart, away):
    store, _ = away
    published = publishing.publish(Store(tmp_path / "scan"), Memory(store), "latest")
    store.seen.clear()
    done = call("update", "scanned", "--source", f"oci://{store.address}/acme/scan@{published.digest}", cwd=tmp_path, KRMFN_NOW=NOW)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "scanned") == files(tmp_path / "live")
    assert f"{apart}:1.1.0@sha256:" in (tmp_path / "scanned/web.yaml").read_text()
    kinds = [seen.endpoint for seen in store.seen if seen.endpoint != "ping"]
    assert kinds == ["child", "child", "blob"], "an index, a lane, a shard"


def test_a_scan_in_a_real_registry_is_enough_when_every_other_host_is_away(tmp_path, apart, address):
    published = call("fleet", "publish", "scan", f"oci://{address}/fleet/scan:latest", cwd=tmp_path)
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    done = call("update", "scanned", "--source", published.stdout.strip(), cwd=tmp_path, KRMFN_NOW=NOW, **nowhere)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "scanned") == files(tmp_path / "live")
    assert f"{apart}:1.1.0@sha256:" in (tmp_path / "scanned/web.yaml").read_text()


def test_files_name_a_scan_by_its_digest(tmp_path, away):
    store, host = away
    published = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    source = f"oci://{store.address}/acme/scan@{published.digest}"
    package(tmp_path / "tree", f"{host}/{PATH}", more=f"  source: {{artifact: '{source}'}}\n")
    done = call("update", "tree", cwd=tmp_path, KRMFN_NOW=NOW)
    assert done.returncode == 0, done.stderr
    assert f"{host}/{PATH}:1.1.0'" in (tmp_path / "tree/web.yaml").read_text()
    (tmp_path / "rules.yaml").write_text(require("minimumReleaseAge: 1 day"))
    under = call("update", "tree", "--rules", "rules.yaml", cwd=tmp_path, KRMFN_NOW=NOW)
    assert under.returncode == 1
    assert "stands among the resources, and rules come from outside" in under.stderr


def test_first_sightings_of_a_scan_count_for_ages(tmp_path, away):
    store, host = away
    published = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    package(tmp_path / "tree", f"{host}/{PATH}", more="  require: [{minimumReleaseAge: 3 days}]\n")
    source = f"oci://{store.address}/acme/scan@{published.digest}"
    young = call("update", "tree", "--source", source, cwd=tmp_path, KRMFN_NOW="2026-11-22T10:00:00Z")
    assert ":1.0.0'" in (tmp_path / "tree/web.yaml").read_text(), young.stderr
    assert "too young" in young.stdout + young.stderr
    old = call("update", "tree", "--source", source, cwd=tmp_path, KRMFN_NOW="2026-11-23T11:00:00Z")
    assert ":1.1.0'" in (tmp_path / "tree/web.yaml").read_text(), old.stderr


def test_a_repository_that_was_not_scanned_is_told(tmp_path, away):
    store, host = away
    published = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    package(tmp_path / "tree", f"{host}/acme/other")
    done = call("update", "tree", "--source", f"oci://{store.address}/acme/scan@{published.digest}", cwd=tmp_path)
    assert done.returncode == 1
    assert "does not have it: plan its tree too" in done.stderr
    (tmp_path / "tree/pods.yaml").write_text(
        "".join(f"---\nkind: Pod\nspec:\n  containers:\n  - image: {host}/acme/more-{index}:1.0.0\n" for index in range(5))
    )
    checked = call("check", "tree", "--source", f"oci://{store.address}/acme/scan@{published.digest}", cwd=tmp_path)
    told = [line for line in checked.stderr.splitlines() if "does not have" in line]
    assert len(told) == 1, checked.stderr
    assert f"(6 repositories: {host}/acme/more-0, {host}/acme/more-1, {host}/acme/more-2, ...); nothing is known about 6 fields" in told[0]


def test_a_tag_of_a_scan_is_refused_without_rules_from_outside(tmp_path, away):
    store, host = away
    publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    package(tmp_path / "tree", f"{host}/{PATH}")
    done = call("update", "tree", "--source", f"oci://{store.address}/acme/scan:latest", cwd=tmp_path)
    assert done.returncode == 1
    assert "can be moved by whoever may push there: name the scan by its digest" in done.stderr
    assert store.seen == []


@pytest.mark.parametrize("form", ["tag", "api"])
@pytest.mark.parametrize(("signer", "code"), [("own", 0), ("stranger", 1), ("nobody", 1)])
def test_a_tag_of_a_scan_has_to_be_signed_as_the_floor_wants(tmp_path, signer, code, form):
    own, stranger = Signer(), Signer()
    with Registry() as store, Registry() as web:
        web.add(PATH, ["1.0.0", "1.1.0", "1.2.0"])
        published = publishing.publish(scanned(tmp_path / "scan", web.address), Memory(store, PATH), "latest")
        if signer != "nobody":
            attach(store, "latest", form, signer=own if signer == "own" else stranger, of=published.digest)
        package(tmp_path / "tree", f"{web.address}/{PATH}", reflection="Always")
        (tmp_path / "rules.yaml").write_text(require(f'images: ["{store.address}/acme/*"]', VERIFY) + "---\n" + secret(own))
        done = call("update", "tree", "--rules", "rules.yaml", "--source", f"oci://{store.address}/{PATH}:latest", cwd=tmp_path, KRMFN_NOW=NOW)
        assert done.returncode == code, done.stderr
        text = (tmp_path / "tree/web.yaml").read_text()
        asked = [seen.path for seen in web.seen if seen.method == "HEAD"]
    assert (f":1.1.0@{web.tags[PATH]['1.1.0']}" in text) == (code == 0), "the digest was asked again, and is not that of the scan"
    assert bool(asked) == (code == 0)
    assert DIGEST not in text


Document = dict[str, Any]


def _lines(change: Callable[[list[Document]], object]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        documents = [json.loads(line) for line in data.splitlines()]
        change(documents)
        return b"".join(json.dumps(one).encode() + b"\n" for one in documents)

    return changed


SHARDS: Mapping[str, tuple[Callable[[bytes], bytes], str]] = {
    "a policy among the snapshots": (_lines(lambda found: found.append({**found[0], "kind": "ImageAutomation"})), "is no TagSnapshot"),
    "a Secret alone": (lambda _: b'{"apiVersion":"v1","kind":"Secret","data":{}}\n', "is no TagSnapshot"),
    "a repository of another host": (_lines(lambda found: found[0]["spec"].update(image="ghcr.io/acme/web")), "has no place there"),
    "a repository twice": (_lines(lambda found: found.append(found[0])), "has no place there"),
    "no full name": (_lines(lambda found: found[0]["spec"].update(image=found[0]["spec"]["image"] + ":x")), "has no place there"),
    "a tag that breaks out": (_lines(lambda found: found[0]["spec"]["tags"].append("1.1.1\n# x")), "is not a tag"),
    "a digest that is none": (_lines(lambda found: found[0]["spec"]["tags"].append({"name": "1.1.9", "digest": "x"})), "is not a digest"),
    "seen after it was written": (_lines(lambda found: found[0]["spec"]["tags"].append({"name": "1.1.9", "firstSeen": "2030-01-01T00:00:00Z"})), "is after spec.time"),
    "a disguise as sent by kustomize": (
        _lines(lambda found: found[0]["metadata"].update(annotations={"kustomize.config.k8s.io/id": "1"}, x={str(number): {} for number in range(400_000)})), "is no good TagSnapshot",
    ),
    "an unknown field": (_lines(lambda found: found[0]["spec"].update(policy="x")), "policy"),
    "YAML": (lambda _: b"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\n", "is not JSON"),
    "deep": (lambda _: b'{"a":' * 100_000, "is nested too deeply"),
    "many values": (lambda _: b'{"a":[' + b"0," * 4_000_001 + b"0]}\n", "more than 4000000 values"),
    "a key twice": (lambda data: data.replace(b'{"apiVersion"', b'{"kind":"TagSnapshot","apiVersion"', 1), "has a key twice"),
}


@pytest.mark.slow
@pytest.mark.parametrize("poison", SHARDS)
def test_a_poisoned_shard_is_refused(tmp_path, away, poison):
    change, message = SHARDS[poison]
    store, host = away
    scan = scanned(tmp_path / "scan", host)
    lane = scan.plan.lanes[0]
    path = scan.path(lane, lane.shards[0], "jsonl")
    bad = change(path.read_bytes())

    class Poisoned(Memory):
        def blob(self, data: bytes) -> bool:
            return super().blob(bad if data == path.read_bytes() else data)

        def manifest(self, data: bytes, media_type: str, tag: str = "") -> str:
            good = path.read_bytes()
            for old, new in ((_digest(good), _digest(bad)), (f'"size":{len(good)}}}', f'"size":{len(bad)}}}')):
                data = data.replace(old.encode(), new.encode())
            return super().manifest(data, media_type, tag)

    digest = _relinked(store, publishing.publish(scan, Poisoned(store), "latest").digest)
    check_refused(tmp_path, store, host, digest, message)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _relinked(store: Registry, digest: str) -> str:
    """Let the index name the lane as it was changed."""
    index = json.loads(store.blobs[digest][1])
    lane = next(one for kind, one in store.blobs.values() if b'"artifactType":"' + artifact.LANE.encode() in one and b'"layers"' in one)
    for one in index["manifests"]:
        if one["artifactType"] == artifact.LANE:
            one |= {"digest": _digest(lane), "size": len(lane)}
    return str(store.put(INDEX, index)["digest"])


def check_refused(folder: Path, store: Registry, host: str, digest: str, message: str) -> None:
    package(folder / "tree", f"{host}/{PATH}")
    before = files(folder / "tree")
    done = call("update", "tree", "--on-error", "keep", "--source", f"oci://{store.address}/acme/scan@{digest}", cwd=folder, KRMFN_NOW=NOW)
    assert done.returncode == 1
    assert message in done.stderr, done.stderr
    assert files(folder / "tree") == before


def _set(*steps: Any) -> Callable[[Document], object]:
    *path, last, value = steps

    def change(document: Document) -> None:
        place: Any = document
        for step in path:
            place = place[step]
        place[last] = value

    return change


INDEXES: Mapping[str, tuple[Callable[[Document], object], str]] = {
    "an image in the index": (lambda index: index["manifests"].append({**index["manifests"][1], "artifactType": "x"}), "holds something else than lanes and a plan"),
    "a lane twice": (lambda index: index["manifests"].append(index["manifests"][1]), "holds something else than lanes and a plan"),
    "another kind of index": (_set("artifactType", "application/x"), "is no scan"),
    "no list": (_set("manifests", {"a": 1}), "is wanted"),
    "a layer among the lanes": (_set("manifests", 1, "mediaType", artifact.SNAPSHOTS), "is wanted"),
    "a lane that is the plan": (lambda index: index["manifests"][1].update(digest=index["manifests"][0]["digest"]), "is not what it was told to be"),
    "a lane that is not there": (_set("manifests", 1, "digest", f"sha256:{'b' * 64}"), "lacks sha256:bbb"),
    "a negative size": (_set("manifests", 1, "size", -1), "is wanted"),
    "an index in the index": (_set("manifests", 1, "mediaType", INDEX), "is wanted"),
    "a list of images of Docker": (_set("mediaType", "application/vnd.docker.distribution.manifest.list.v2+json"), "is no scan"),
    "thousands of lanes": (lambda index: index["manifests"].extend({**index["manifests"][1], "annotations": {artifact.HOST: f"h{number}"}} for number in range(4000)), "has more than 20000 values"),
}
LANES: Mapping[str, tuple[Callable[[Document], object], str]] = {
    "another kind of layer": (_set("layers", 0, "mediaType", "application/yaml"), "is wanted"),
    "a layer more": (lambda lane: lane["layers"].append({**lane["layers"][0], "mediaType": "application/yaml"}), "is wanted"),
    "a bomb by its size": (_set("layers", 0, "size", 1 << 40), "is the limit"),
    "another size": (lambda lane: lane["layers"][0].update(size=lane["layers"][0]["size"] + 1), "another size"),
    "a range of another host": (_set("layers", 0, "annotations", artifact.FIRST, "a/b"), "out of place"),
    "ranges that overlap": (lambda lane: lane["layers"].append(lane["layers"][0]), "out of place"),
    "a range that ends before it starts": (lambda lane: lane["layers"][0]["annotations"].update({artifact.LAST: lane["layers"][0]["annotations"][artifact.FIRST][:-1]}), "out of place"),
    "notes that are no text": (_set("layers", 0, "annotations", {"a": 1}), "is wanted"),
    "an image": (_set("artifactType", ""), "is not what it was told to be"),
    "an index for a lane": (_set("mediaType", INDEX), "is not what it was told to be"),
    "compressed": (_set("layers", 0, "mediaType", f"{artifact.SNAPSHOTS}+gzip"), "is wanted"),
    "an image's layer": (_set("layers", 0, "mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"), "is wanted"),
    "thousands of shards": (lambda lane: lane["layers"].extend(lane["layers"] * 4000), "has more than 20000 values"),
}


@pytest.mark.parametrize("poison", [*INDEXES, *LANES])
def test_a_poisoned_index_or_lane_is_refused(tmp_path, away, poison):
    store, host = away
    change, message = {**INDEXES, **LANES}[poison]
    digest = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest").digest
    index = json.loads(store.blobs[digest][1])
    if poison in LANES:
        lane = json.loads(store.blobs[index["manifests"][1]["digest"]][1])
        change(lane)
        index["manifests"][1]["digest"] = store.put(MANIFEST, lane)["digest"]
    else:
        change(index)
    check_refused(tmp_path, store, host, str(store.put(INDEX, index)["digest"]), message)


FAILED: Mapping[str, bytes] = {
    "a repository of another lane": b'{"ghcr.io/acme/web":{"failure":"denied","message":""}}',
    "no failure there is": b'{"HOST/acme/x00000":{"failure":"fine","message":""}}',
    "a failure that is a list": b'{"HOST/acme/x00000":{"failure":["denied"],"message":""}}',
    "a code that is a list": b'{"HOST/acme/x00000":{"failure":"denied","code":["x"]}}',
    "a status that is a text": b'{"HOST/acme/x00000":{"failure":"denied","status":"401"}}',
    "a text": b'{"HOST/acme/x00000":"denied"}',
    "a list": b"[]",
    "deep": b'{"a":' * 100_000,
    "no JSON": b"a: b",
}


@pytest.mark.parametrize("poison", FAILED)
def test_a_poisoned_list_of_failures_is_refused(tmp_path, away, poison):
    store, host = away
    api = f"{host}/acme/x00000"
    scan = scanned(tmp_path / "scan", host, failed={api: RegistryError("denied", api, "no login")}, more=1)
    bad, good = FAILED[poison].replace(b"HOST", host.encode()), stores.encode_failures({api: RegistryError("denied", api, "no login")})

    class Poisoned(Memory):
        def blob(self, data: bytes) -> bool:
            return super().blob(bad if data == good else data)

        def manifest(self, data: bytes, media_type: str, tag: str = "") -> str:
            for old, new in ((_digest(good), _digest(bad)), (f'"size":{len(good)}}}', f'"size":{len(bad)}}}')):
                data = data.replace(old.encode(), new.encode())
            return super().manifest(data, media_type, tag)

    digest = _relinked(store, publishing.publish(scan, Poisoned(store), "latest").digest)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/web.yaml").write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{containers: [{{name: web, image: '{api}:1.0.0'}}]}}\n")
    place = f"oci://{store.address}/acme/scan@{digest}"
    for done in (call("fleet", "pull", place, "--to", "pulled", cwd=tmp_path), call("fleet", "report", "tree", "--scan", place, cwd=tmp_path)):
        assert (done.returncode, "is no list of failures" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("what", ["index", "lane", "shard"])
def test_content_with_another_digest_is_refused(tmp_path, away, what):
    store, host = away
    digest = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest").digest
    index = json.loads(store.blobs[digest][1])
    lane = index["manifests"][1]["digest"]
    wrong = {"index": digest, "lane": lane, "shard": json.loads(store.blobs[lane][1])["layers"][0]["digest"]}[what]
    kind, data = store.blobs[wrong]
    store.blobs[wrong] = (kind, data.replace(b"1.1.0", b"1.1.9") if what == "shard" else data[:-1] + b" }")
    check_refused(tmp_path, store, host, digest, "has another digest")


def test_titles_and_hosts_of_a_scan_lead_out_of_no_folder(tmp_path, away):
    store, host = away
    digest = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest").digest
    index = json.loads(store.blobs[digest][1])
    lane = json.loads(store.blobs[index["manifests"][1]["digest"]][1])
    for one in (*lane["layers"], lane["config"]):
        one.setdefault("annotations", {})["org.opencontainers.image.title"] = "../../escaped"
        one["urls"] = ["http://127.0.0.9:1/elsewhere"]
    changed = store.put(MANIFEST, lane)
    index["manifests"][1] |= changed
    index["manifests"].append(index["manifests"][1] | {"annotations": {artifact.HOST: "../escaped"}})
    place = f"oci://{store.address}/acme/scan@{store.put(INDEX, index)['digest']}"
    done = call("fleet", "pull", place, "--to", "pulled", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "pulled") == files(tmp_path / "scan")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pulled", "scan"]


def test_all_shards_that_a_run_keeps_have_a_limit(tmp_path, away, monkeypatch):
    store, host = away
    scan = scanned(tmp_path / "scan", host, more=1200)
    digest = publishing.publish(scan, Memory(store), "latest").digest
    sizes = [path.stat().st_size for path in sorted((tmp_path / "scan").rglob("*.jsonl"))]
    assert len(sizes) == 2
    for name, image in (("one", "acme/x00001"), ("two", "acme/x01199")):
        package(tmp_path / name, f"{host}/{image}")
        path = tmp_path / name / "web.yaml"
        path.write_text(path.read_text().replace("name: web", f"name: {name}"))
    monkeypatch.setattr(artifact, "RUN_LIMIT", sum(sizes) - 1)
    done = [call("update", *trees, "--source", f"oci://{store.address}/acme/scan@{digest}", cwd=tmp_path, KRMFN_NOW=NOW) for trees in (["one"], ["two"], ["."])]
    assert [one.returncode for one in done] == [0, 0, 1], done[0].stderr
    assert "that this run needs have more than" in done[2].stderr


def test_content_of_a_scan_that_is_led_elsewhere_gets_no_login(tmp_path, away):
    store, host = away
    published = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    package(tmp_path / "tree", f"{host}/{PATH}")
    store.login = Login("basic", registries.USER, registries.PASSWORD)
    auth = base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {store.address: {"auth": auth}}}))
    told = {"DOCKER_CONFIG": str(tmp_path), "KRMFN_TRUST_CONFIG": store.address, "KRMFN_NOW": NOW}
    with Registry(host="127.0.0.2") as cdn:
        cdn.blobs.update(store.blobs)
        cdn.tags.update(store.tags)
        store.misbehave("blob", lambda request: request.plain(307, b"", {"Location": f"{cdn.url}{request.path}"}))
        done = call("update", "tree", "--source", f"oci://{store.address}/acme/scan@{published.digest}", cwd=tmp_path, **told)
        assert done.returncode == 0, done.stderr
        assert any("Authorization" in seen.headers for seen in store.seen)
        assert [seen.endpoint for seen in cdn.seen] == ["blob"]
        assert registries.PASSWORD not in cdn.text()
        assert not any("Authorization" in seen.headers for seen in cdn.seen)


def test_the_function_chooses_from_a_scan(tmp_path, away):
    store, host = away
    published = publishing.publish(scanned(tmp_path / "scan", host), Memory(store), "latest")
    package(tmp_path / "tree", f"{host}/{PATH}", more=f"  source: {{artifact: 'oci://{store.address}/acme/scan@{published.digest}'}}\n")
    items = [f"- {line}" if number == 0 else f"  {line}" for text in (tmp_path / "tree/web.yaml").read_text().split("---\n") for number, line in enumerate(text.splitlines())]
    given = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n" + "\n".join(items) + "\n"
    done = run(["krmfn"], text=given)
    assert done.returncode == 0, done.stderr
    assert f"{host}/{PATH}:1.1.0'" in done.stdout


@pytest.mark.parametrize("place", ["http://127.0.0.9:1/upload", "https://ghcr.io/v2/x", "", "//127.0.0.9:1/x", "http://["])
def test_content_is_sent_to_the_registry_that_was_asked_alone(tmp_path, place):
    scanned(tmp_path / "scan", "r.example")
    with Registry() as registry:
        registry.misbehave("blob", lambda request: request.plain(404) if request.command == "HEAD" else request.plain(202, b"", {"Location": place} if place else {}))
        done = call("fleet", "publish", "scan", f"oci://{registry.address}/fleet/scan:1", cwd=tmp_path)
        sent = [seen for seen in registry.seen if seen.method == "PUT"]
    assert done.returncode == 1
    assert "names no place of its own where content could be sent" in done.stderr
    assert sent == []
