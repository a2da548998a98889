"""What an image says about itself, and documents that must not be believed."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import RegistryError
from krmfn.sources.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Image,
    describe,
    media_type,
    platform_text,
)
from krmfn.strict_json import parse


class Blobs(dict[str, bytes]):
    def add(self, document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self[digest] = data
        return {"digest": digest, "size": len(data)}

    def image(self, config: object = None, **more: object) -> dict[str, object]:
        return {"config": self.add(config or {}), "layers": [], **more}

    def read(self, digest: str) -> bytes:
        return self[digest]

    def describe(self, document: object, declared: str = "") -> Image:
        return describe("r.example/app:1.0", json.dumps(document).encode(), declared, self.read)


CREATED = [
    ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
    ("2026-01-02T03:04:05.999999999Z", "2026-01-02T03:04:05Z"),
    ("2026-01-02T03:04:05.1+02:00", "2026-01-02T01:04:05Z"),
    ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
    ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("0001-01-01T00:00:00+10:00", ""),
    ("2026-01-02T03:04:05", ""),
    ("2026-02-30T00:00:00Z", ""),
    ("yesterday", ""),
    ("", ""),
    (None, ""),
    (1767322800, ""),
    ("9" * 100, ""),
]


@pytest.mark.parametrize(("text", "expected"), CREATED)
def test_times_are_written_in_utc_and_sort_as_texts(text, expected):
    blobs = Blobs()
    assert blobs.describe(blobs.image({"created": text})).created == expected


def test_the_annotation_stands_in_for_a_config_without_a_time():
    blobs = Blobs()
    annotations = {"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}
    assert blobs.describe(blobs.image({"created": None}, annotations=annotations)).created == "2026-01-02T03:04:05Z"
    config = {"created": "2026-02-02T00:00:00Z"}
    assert blobs.describe(blobs.image(config, annotations=annotations)).created == "2026-02-02T00:00:00Z"


def test_an_image_without_a_time_says_so():
    blobs = Blobs()
    with pytest.raises(RegistryError, match=r"tag 1\.0 says nowhere when it was created") as caught:
        blobs.describe(blobs.image({})).created_or_error()
    assert caught.value.failure == "not-found"
    assert caught.value.repository == "r.example/app"


def test_labels_give_way_to_annotations_and_those_to_the_index():
    blobs = Blobs()
    config = {"config": {"Labels": {"a": "label", "b": "label", "c": "label", "n": 1}}}
    child = blobs.add(blobs.image(config, annotations={"b": "manifest", "c": "manifest"}))
    index = {
        "manifests": [{**child, "platform": {"os": "linux", "architecture": "s390x"}}],
        "annotations": {"c": "index"},
    }
    assert blobs.describe(index).labels == {"a": "label", "b": "manifest", "c": "index"}


def test_the_platform_of_most_servers_is_read_and_attestations_are_not():
    blobs = Blobs()
    entries = [
        {
            **blobs.add(blobs.image({"created": f"2026-01-0{day}T00:00:00Z"})),
            "platform": {"os": system, "architecture": kind},
        }
        for day, system, kind in (
            (1, "unknown", "unknown"),
            (2, "linux", "arm64"),
            (3, "linux", "amd64"),
            (4, "windows", "amd64"),
        )
    ]
    image = blobs.describe({"manifests": entries})
    assert image.created == "2026-01-03T00:00:00Z"
    assert image.platforms == ("linux/amd64", "linux/arm64", "windows/amd64")
    assert blobs.describe({"manifests": entries[:2]}).created == "2026-01-02T00:00:00Z"


def test_an_index_may_hold_an_index_but_not_for_ever():
    blobs = Blobs()
    document: dict[str, object] = blobs.image({"created": "2026-01-02T00:00:00Z"})
    for _ in range(2):
        document = {"manifests": [blobs.add(document)]}
    assert blobs.describe(document).created == "2026-01-02T00:00:00Z"
    with pytest.raises(ValueError, match="nested more than 3 deep"):
        blobs.describe({"manifests": [blobs.add(document)]})


def test_an_empty_index_is_an_image_that_says_nothing():
    assert Blobs().describe({"manifests": []}) == Image("r.example/app:1.0")


@pytest.mark.parametrize(
    ("document", "declared"),
    [
        ({"manifests": []}, OCI_MANIFEST),
        ({"config": {}}, OCI_INDEX),
        ({"mediaType": OCI_INDEX, "manifests": []}, DOCKER_LIST),
        ({"mediaType": DOCKER_MANIFEST, "config": {}}, OCI_MANIFEST),
        ({"manifests": [], "config": {}}, OCI_INDEX),
        ({"manifests": [], "layers": []}, ""),
        ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        ({"mediaType": "text/html"}, ""),
        ({}, "text/html"),
        ({"manifests": {}}, ""),
        ({"config": {}}, ""),
        ({"config": {"digest": "sha256:1"}}, ""),
        ({"config": {"digest": "../../etc/passwd"}}, ""),
        ({"manifests": [{"digest": "sha1:x"}]}, ""),
        ({"layers": []}, ""),
        ([], ""),
        ("x", ""),
        (None, ""),
    ],
)
def test_a_document_that_is_not_what_it_says_is_refused(document, declared):
    with pytest.raises(ValueError, match=r"^(is|has|says|came) "):
        Blobs().describe(document, declared)


@pytest.mark.parametrize(
    ("document", "declared", "expected"),
    [
        ({"mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX + "; charset=utf-8", OCI_INDEX),
        ({"manifests": []}, DOCKER_LIST.upper(), DOCKER_LIST),
        ({"manifests": []}, "", OCI_INDEX),
        ({"config": {}}, DOCKER_MANIFEST, DOCKER_MANIFEST),
        ({"config": {}}, "", OCI_MANIFEST),
    ],
)
def test_media_types_are_told(document, declared, expected):
    assert media_type(document, declared) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"\xff",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000,
    ],
)
def test_json_is_read_strictly(data):
    with pytest.raises(ValueError, match=r"^(is not|is nested|has) "):
        parse(data)


def complaint(data: bytes) -> str:
    try:
        describe("r:1", data, "", lambda _digest: data)
    except ValueError as error:
        return str(error)
    return ""


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_the_reader_fail_otherwise(data):
    assert complaint(data).isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["manifests", "config", "digest", "platform", "os", "annotations", "mediaType", "Labels", "created"]
            ),
            inner,
        )
    ),
)


@given(json_values)
def test_no_document_makes_the_reader_fail_otherwise(document):
    data = json.dumps(document).encode()
    assert complaint(data).isprintable()


def test_platforms_are_written_on_one_line():
    assert platform_text({"os": "li\nnux", "architecture": "x" * 500}).count("\n") == 0
    assert len(platform_text({"os": "li\nnux", "architecture": "x" * 500})) < 100
    assert platform_text([]) == ""
