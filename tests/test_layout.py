"""OCI layouts on disk as a source of tags."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from krmfn.access import Listing
from krmfn.sources.layout import LayoutSource
from tests import images, tools
from tests.asking import error_of, repository
from tests.image_store import INDEX, MANIFEST, Images


def write(folder: Path, images_of: Images, path: str) -> Path:
    """Write one repository of a registry as a layout."""
    entries = []
    for tag, digest in images_of.tags[path].items():
        kind, data = images_of.blobs[digest]
        name = {"org.opencontainers.image.ref.name": tag}
        entries.append({"mediaType": kind, "digest": digest, "size": len(data), "annotations": name})
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    for digest, (_, data) in images_of.blobs.items():
        (blobs / digest.partition(":")[2]).write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


@pytest.fixture
def stored() -> Images:
    made = Images()
    made.add("acme/web", ["1.1.0", "1.0.0"], labels={"a": "b"})
    made.add("acme/web", ["2.0.0"], platforms=["linux/arm64", "linux/amd64"], created="2026-05-06T07:08:09Z")
    return made


WEB = repository("ghcr.io/acme/web")


def test_a_layout_answers_everything(tmp_path, stored):
    write(tmp_path / "ghcr.io/acme/web", stored, "acme/web")
    source = LayoutSource(tmp_path)
    assert source.tags(WEB) == Listing(("1.0.0", "1.1.0", "2.0.0"))
    assert source.digest(WEB, "2.0.0") == stored.tags["acme/web"]["2.0.0"]
    assert source.created(WEB, "2.0.0") == "2026-05-06T07:08:09Z"
    assert source.image(WEB, "2.0.0").platforms == ("linux/amd64", "linux/arm64")
    assert source.image(WEB, "1.0.0").labels == {"a": "b"}


@pytest.mark.parametrize("place", ["docker.io/library/nginx", "nginx", "library/nginx"])
def test_a_repository_is_found_under_each_of_its_names(place, tmp_path, stored):
    write(tmp_path / place, stored, "acme/web")
    assert "2.0.0" in LayoutSource(tmp_path).tags(repository("nginx")).tags


def test_the_canonical_name_comes_first(tmp_path, stored):
    write(tmp_path / "docker.io/library/nginx", stored, "acme/web")
    stored.add("other", ["9.9.9"])
    write(tmp_path / "nginx", stored, "other")
    assert LayoutSource(tmp_path).tags(repository("nginx")).tags == ("1.0.0", "1.1.0", "2.0.0")


def test_a_registry_with_a_port_is_a_folder_with_a_colon(tmp_path, stored):
    write(tmp_path / "localhost:5000/acme/web", stored, "acme/web")
    assert LayoutSource(tmp_path).tags(repository("localhost:5000/acme/web")).tags


def test_fifty_thousand_tags_are_read_once(tmp_path):
    digest = "sha256:" + "0" * 64
    entries = [
        {
            "mediaType": MANIFEST,
            "digest": digest,
            "size": 1,
            "annotations": {"org.opencontainers.image.ref.name": f"1.{n}.0"},
        }
        for n in range(50_000)
    ]
    folder = tmp_path / "ghcr.io/acme/web"
    folder.mkdir(parents=True)
    (folder / "index.json").write_text(json.dumps({"manifests": entries}))
    source = LayoutSource(tmp_path)
    assert len(source.tags(WEB).tags) == 50_000
    (folder / "index.json").unlink()
    for number in range(100):
        assert source.digest(WEB, f"1.{number}.0") == digest


def index(*entries: object) -> str:
    return json.dumps({"manifests": entries})


def entry(name: object, digest: object = "sha256:" + "0" * 64) -> dict[str, object]:
    return {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": name}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (index(), Listing(())),
        (index({"digest": "sha256:" + "0" * 64}, 7, None, []), Listing(())),
        (index(entry("ghcr.io/acme/web:1.0")), Listing(("1.0",))),
        (index(entry("1.0\n"), entry("-x"), entry("1.0", "sha256:1"), entry("1.1")), Listing(("1.1",), 3)),
        (index(entry("1.0"), entry("1.0")), Listing(("1.0",))),
    ],
)
def test_entries_that_are_no_tags_are_left_out(text, expected, tmp_path):
    (tmp_path / "acme/web").mkdir(parents=True)
    (tmp_path / "acme/web/index.json").write_text(text)
    assert LayoutSource(tmp_path).tags(WEB) == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "is not JSON (line 1, column 1)"),
        ("[]", "is not a JSON object"),
        ("{}", "no list of manifests"),
        ('{"manifests": {}}', "no list of manifests"),
    ],
)
def test_an_index_that_is_none_is_an_integrity_failure(text, word, tmp_path):
    (tmp_path / "acme/web").mkdir(parents=True)
    (tmp_path / "acme/web/index.json").write_text(text)
    error = error_of(lambda: LayoutSource(tmp_path).tags(WEB))
    assert error.failure == "integrity"
    assert f"{tmp_path}/acme/web/index.json" in error.message
    assert word in error.message


def test_one_tag_of_two_images_is_refused_when_it_is_chosen(tmp_path):
    (tmp_path / "acme/web").mkdir(parents=True)
    (tmp_path / "acme/web/index.json").write_text(index(entry("1.0"), entry("1.0", "sha256:" + "1" * 64), entry("1.1")))
    source = LayoutSource(tmp_path)
    assert source.tags(WEB).tags == ("1.0", "1.1")
    assert error_of(lambda: source.digest(WEB, "1.0")).failure == "integrity"


def test_blobs_that_are_missing_or_changed_are_refused(tmp_path, stored):
    folder = write(tmp_path / "acme/web", stored, "acme/web")
    blob = folder / "blobs/sha256" / stored.tags["acme/web"]["1.0.0"].partition(":")[2]
    source = LayoutSource(tmp_path)
    blob.write_bytes(blob.read_bytes() + b" ")
    assert "whose content has another digest" in error_of(lambda: source.created(WEB, "1.0.0")).message
    blob.unlink()
    assert "cannot be read" in error_of(lambda: source.created(WEB, "1.0.0")).message


def test_what_is_not_there_is_said_with_the_nearest_name(tmp_path, stored):
    write(tmp_path / "ghcr.io/acme/webs", stored, "acme/web")
    source = LayoutSource(tmp_path)
    error = error_of(lambda: source.tags(WEB))
    assert error.failure == "not-found"
    assert "did you mean ghcr.io/acme/webs?" in error.message
    webs = repository("ghcr.io/acme/webs")
    assert "tag 9.9 is not in" in error_of(lambda: source.digest(webs, "9.9")).message
    assert "holds no OCI layout at all" in error_of(lambda: LayoutSource(tmp_path / "nowhere").tags(WEB)).message


def test_what_skopeo_writes_is_read(tmp_path, stored):
    """skopeo copies from the layout of the examples into a layout of its own, tag by tag."""
    program = str(tools.require("skopeo"))
    for tag in ("1.2.0", "1.3.0"):
        source = f"oci:{images.BUNDLED}/ghcr.io/acme/web:{tag}"
        target = f"oci:{tmp_path}/ghcr.io/acme/web:{tag}"
        (tmp_path / "ghcr.io/acme").mkdir(parents=True, exist_ok=True)
        command = [program, "copy", "-q", "--preserve-digests", source, target]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    bundled, copied = LayoutSource(images.BUNDLED), LayoutSource(tmp_path)
    assert copied.tags(WEB).tags == ("1.2.0", "1.3.0")
    assert copied.digest(WEB, "1.3.0") == bundled.digest(WEB, "1.3.0")
    assert copied.created(WEB, "1.3.0") == bundled.created(WEB, "1.3.0")
