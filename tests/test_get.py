"""`krmfn get image`: the words and tables of Flux, from manifests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from krmfn.access import Listing
from krmfn.config.objects import Object
from krmfn.inventory import flux_status
from krmfn.model import LatestRef, ResourceId
from krmfn.yamledit.nodes import Block
from krmfn.yamledit.text import Text
from tests import images
from tests.running import EXAMPLES, environment, run, succeed
from tests.tables import rows

LAYOUT = f"layout:{images.BUNDLED}"
NOW = environment(SOURCE_DATE_EPOCH="1767225600")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / "flux-repo", tmp_path / "repo")
    return tmp_path


def get(repo: Path, *arguments: str):
    return run(["krmfn", "get", *arguments, "--source", LAYOUT], cwd=repo, env=NOW)


def ref(data: dict[str, str] | None) -> LatestRef | None:
    return LatestRef(data["name"], data["tag"], data.get("digest")) if data else None


@pytest.mark.parametrize("row", rows("flux_policy", "ready_message"), ids=lambda row: row["label"])
def test_a_policy_is_ready_in_the_words_of_flux(row: dict[str, Any]):
    latest = ref(row["latestRef"])
    assert latest is not None
    assert flux_status.ready_message(latest, ref(row["observedPreviousRef"])) == row["expected"]


@pytest.mark.parametrize("row", rows("flux_policy", "latest_tags_sample"), ids=lambda row: row["id"])
def test_the_latest_tags_are_those_of_flux(row: dict[str, Any]):
    resource = Object(ResourceId(), {}, Block(Text(b""), 0, 0, 0))
    scan = flux_status.repository(resource, "", Listing(tuple(row["tags"])), ["^$"], "").more["lastScanResult"]
    assert scan["latestTags"] == row["expected"]


SCANS = [row for row in rows("flux_policy", "scan") if "expected_error_contains" not in row]


@pytest.mark.parametrize("row", SCANS, ids=lambda row: row["id"])
def test_a_scan_stores_the_tags_that_flux_stores(row: dict[str, Any]):
    found = flux_status.scanned(row["tags"], row["exclusionList"])
    if "expected_stored_tags" in row:
        assert found == row["expected_stored_tags"]
    else:
        assert sorted(found) == sorted(row["expected_stored_tags_set"])


def test_there_are_scans_to_compare():
    assert len(SCANS) > 5


# bytes of flux2 cmd/flux/testdata: get/get_status_ready_not_true.golden, image/get_image_policy_semver.golden
GOLDEN: dict[str, tuple[tuple[str, ...], list[tuple[str, ...]], str]] = {
    "two rows and an empty column": (
        ("NAME", "REVISION", "SUSPENDED", "READY", "MESSAGE"),
        [
            ("gr-failed", "", "False", "False", "failed to checkout and determine revision"),
            ("gr-unknown", "", "False", "Unknown", "reconciliation in progress"),
        ],
        ("NAME      \tREVISION\tSUSPENDED\tREADY  \tMESSAGE                                   \n"
        "gr-failed \t        \tFalse    \tFalse  \tfailed to checkout and determine revision\t\n"
        "gr-unknown\t        \tFalse    \tUnknown\treconciliation in progress               \t\n"),
    ),
    "a policy": (
        ("NAME", "LATEST IMAGE", "READY", "MESSAGE"),
        [("podinfo-semver", "ghcr.io/stefanprodan/podinfo:5.0.3", "True", "Latest image tag for 'ghcr.io/stefanprodan/podinfo' resolved to 5.0.3")],
        ("NAME          \tLATEST IMAGE                      \tREADY\tMESSAGE                                                               \n"
        "podinfo-semver\tghcr.io/stefanprodan/podinfo:5.0.3\tTrue \tLatest image tag for 'ghcr.io/stefanprodan/podinfo' resolved to 5.0.3\t\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_a_table_has_the_bytes_of_flux(case: str):
    header, lines, expected = GOLDEN[case]
    assert flux_status.table(header, lines) == expected


def test_policies_are_listed_as_flux_lists_them(repo: Path):
    assert get(repo, "image", "policy", "repo").stdout == (
        "NAME \tIMAGE           \tTAG                    \tREADY\tMESSAGE                                                                   \n"
        "api  \tghcr.io/acme/api\tmain-12e4567-1772323200\tTrue \tLatest image tag for ghcr.io/acme/api resolved to main-12e4567-1772323200\t\n"
        "cache\tredis           \t7.2.5                  \tTrue \tLatest image tag for redis resolved to 7.2.5                             \t\n"
        "web  \tghcr.io/acme/web\t1.3.1                  \tTrue \tLatest image tag for ghcr.io/acme/web resolved to 1.3.1                  \t\n"
    )


def test_repositories_tell_their_scan(repo: Path):
    found = get(repo, "images", "repositories", "repo", "--no-header").stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("\t")] for line in found]
    assert cells[2] == [
        "web",
        "2026-01-01T00:00:00Z",
        "False",
        "True",
        "successful scan: found 8 tags with checksum 3374846188",
        "",
    ]


def test_all_prints_the_three_tables_with_kinds(repo: Path):
    text = get(repo, "image", "all", "repo").stdout
    assert [part.splitlines()[1].split()[0] for part in text.split("\n\n") if part] == [
        "imagerepository/api", "imagepolicy/api", "imageupdateautomation/apps",
    ]  # fmt: skip
    assert text.endswith("\n\n")


def test_an_automation_says_what_waits(repo: Path):
    assert "3 fields wait for an update" in get(repo, "image", "update", "repo").stdout
    run(["krmfn", "update", "repo", "--source", LAYOUT], cwd=repo)
    assert "repository up-to-date" in get(repo, "image", "update", "repo").stdout


def test_the_namespace_column_comes_with_all_namespaces(repo: Path):
    assert get(repo, "image", "policy", "repo", "-A").stdout.startswith("NAMESPACE  \tNAME ")


def test_yaml_carries_the_status_that_a_controller_writes(repo: Path):
    (made,) = yaml.load_all(get(repo, "image", "policy", "repo", "web", "-o", "yaml").stdout, Loader=yaml.BaseLoader)
    assert made["spec"]["policy"] == {"semver": {"range": ">=1.2.0 <2.0.0"}}
    assert made["status"]["latestRef"] == {"name": "ghcr.io/acme/web", "tag": "1.3.1"}
    assert made["status"]["conditions"] == [
        {
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": "Latest image tag for ghcr.io/acme/web resolved to 1.3.1",
            "reason": "Succeeded",
            "status": "True",
            "type": "Ready",
        }
    ]


def test_what_get_prints_can_be_read_again(repo: Path):
    once = get(repo, "image", "policy", "repo", "-o", "yaml").stdout
    more = get(repo, "image", "repository", "repo", "-o", "yaml").stdout
    (repo / "again").mkdir()
    (repo / "again" / "all.yaml").write_text(once + more)
    assert get(repo, "image", "policy", "again", "-o", "yaml").stdout == once


def test_a_former_choice_is_told_as_previous(repo: Path):
    path = repo / "repo/infrastructure/images/policies.yaml"
    text = path.read_text().replace(
        'policy:\n    semver: {range: ">=1.2.0 <2.0.0"}',
        'policy:\n    semver: {range: ">=1.2.0 <2.0.0"}\nstatus: {latestRef: {name: ghcr.io/acme/web, tag: 1.2.0}}',
    )
    path.write_text(text)
    (made,) = json.loads(get(repo, "image", "policy", "repo", "web", "-o", "json").stdout)["items"]
    assert made["status"]["observedPreviousRef"] == {"name": "ghcr.io/acme/web", "tag": "1.2.0"}
    assert made["status"]["conditions"][0]["message"].endswith("resolved to 1.3.1 (previously ghcr.io/acme/web:1.2.0)")


BROKEN = """\
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: bad-range, namespace: flux-system}
spec: {imageRepositoryRef: {name: web}, policy: {semver: {range: not a range}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata: {name: lonely, namespace: flux-system}
spec: {imageRepositoryRef: {name: x}, policy: {alphabetical: {}}}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: unknown, namespace: flux-system}
spec: {image: ghcr.io/acme/unknown, interval: 1m}
---
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImageRepository
metadata: {name: tagged, namespace: flux-system}
spec: {image: 'ghcr.io/acme/web:1', interval: 1m}
"""


def test_a_wrong_object_is_not_ready_and_hides_no_other(repo: Path):
    (repo / "repo" / "broken.yaml").write_text(BROKEN)
    lines = get(repo, "image", "policy", "repo", "--no-header").stdout.splitlines()
    ready = {line.split("\t")[0].strip(): (line.split("\t")[3].strip(), line.split("\t")[4].strip()) for line in lines}
    assert ready["web"][0] == "True"
    assert ready["bad-range"][0] == "False"
    assert "improper constraint" in ready["bad-range"][1]
    assert ready["lonely"][0] == "False"
    missing = "failed to get the referred ImageRepository: referenced ImageRepository does not exist: flux-system/x "
    assert ready["lonely"][1].startswith(missing)
    repositories = get(repo, "image", "repository", "repo", "--status-selector", "ready=false", "--no-header").stdout
    assert "scan failed: ghcr.io/acme/unknown: no OCI layout" in repositories
    assert "should not include a tag; remove ':1'" in repositories
    assert len(repositories.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("image", "policy", "repo", "nope"), 1, "ImagePolicy object 'nope' not found"),
        (("image", "policy", "repo", "-n", "other"), 0, 'no ImagePolicy objects found in "other" namespace'),
        (("image", "policy", "nowhere"), 1, "there is no such file or directory"),
        (("image", "all", "repo", "web"), 2, "needs one KIND"),
        (("image", "nonsense", "repo"), 2, "nonsense"),
        (("image", "policy", "repo", "--status-selector", "ready"), 2, "expected type=status"),
    ],
)
def test_what_is_not_there_is_told(repo: Path, arguments: tuple[str, ...], code: int, said: str):
    done = get(repo, *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stdout == ""


def test_labels_select(repo: Path):
    path = repo / "repo/infrastructure/images/policies.yaml"
    path.write_text(path.read_text().replace("  name: cache\n", "  name: cache\n  labels: {team: data}\n"))
    assert [
        line.split()[0]
        for line in get(repo, "image", "policy", "repo", "-l", "team=data", "--no-header").stdout.splitlines()
    ] == ["cache"]


def test_a_suspended_object_keeps_its_status(repo: Path):
    path = repo / "repo/infrastructure/images/policies.yaml"
    path.write_text(
        path.read_text().replace(
            "  imageRepositoryRef: {name: web}\n", "  suspend: true\n  imageRepositoryRef: {name: web}\n"
        )
    )
    (made,) = json.loads(get(repo, "image", "policy", "repo", "web", "-o", "json").stdout)["items"]
    assert made["spec"]["suspend"] is True
    assert made["status"]["conditions"][0]["reason"] == "Suspended"


DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("reflection", "held", "asked"),
    [
        ("Always\n  interval: 10m", "", True),
        ("Always\n  interval: 10m", DIGEST, True),
        ("IfNotPresent", "", True),
        ("IfNotPresent", DIGEST, False),
    ],
    ids=["Always", "Always, held", "IfNotPresent", "IfNotPresent, held"],
)
def test_digests_are_reflected_as_the_policy_says(repo: Path, reflection: str, held: str, asked: bool):
    path = repo / "repo/infrastructure/images/policies.yaml"
    status_of = f"status: {{latestRef: {{name: ghcr.io/acme/web, tag: 1.3.1, digest: '{held}'}}}}\n" if held else ""
    text = path.read_text().replace(
        '  imageRepositoryRef: {name: web}\n  policy:\n    semver: {range: ">=1.2.0 <2.0.0"}\n',
        f"  digestReflectionPolicy: {reflection}\n  imageRepositoryRef: {{name: web}}\n  policy:\n    semver: {{range: 1.x}}\n{status_of}",
    )
    path.write_text(text)
    (made,) = json.loads(get(repo, "image", "policy", "repo", "web", "-o", "json").stdout)["items"]
    now = json.loads((images.BUNDLED / "ghcr.io/acme/web/index.json").read_text())["manifests"]
    offered = next(one["digest"] for one in now if one["annotations"]["org.opencontainers.image.ref.name"] == "1.3.1")
    digest = offered if asked else held
    assert made["status"]["latestRef"] == {"name": "ghcr.io/acme/web", "tag": "1.3.1", "digest": digest}
    assert f"resolved to 1.3.1 with digest {digest}" in made["status"]["conditions"][0]["message"]


def test_an_object_from_a_cluster_is_read_with_its_types(repo: Path):
    text = (
        "apiVersion: image.toolkit.fluxcd.io/v1beta2\nkind: ImageRepository\nmetadata: {name: web, namespace: other, generation: 3}\n"
        "spec: {image: ghcr.io/acme/web, interval: 1h, insecure: true, suspend: true}\n"
        "status: {observedGeneration: 3, lastScanResult: {tagCount: 7, scanTime: '2025-01-01T00:00:00Z'}, conditions: []}\n"
    )
    (repo / "repo" / "other.yaml").write_text(text)
    (made,) = json.loads(get(repo, "image", "repository", "repo", "-n", "other", "-o", "json").stdout)["items"]
    assert (made["spec"]["suspend"], made["spec"]["insecure"], made["metadata"]["generation"]) == (True, True, 3)
    assert made["status"]["lastScanResult"] == {"tagCount": 7, "scanTime": "2025-01-01T00:00:00Z"}
    row = get(repo, "image", "repository", "repo", "-n", "other", "--no-header").stdout
    assert [cell.strip() for cell in row.split("\t")][:3] == ["web", "2025-01-01T00:00:00Z", "True"]


def test_the_time_of_the_scan_is_an_input(tmp_path: Path):
    shutil.copytree(EXAMPLES / "demo" / "package", tmp_path / "shop")
    command = ["krmfn", "get", "image", "repository", "shop", "--source", f"layout:{EXAMPLES / 'images'}"]
    assert "2026-11-20T09:00:00Z" in succeed(
        command, cwd=tmp_path, env=environment(KRMFN_NOW="2026-11-20T10:00:00+01:00")
    )
    done = run(command, cwd=tmp_path, env=environment(KRMFN_NOW="tomorrow"))
    assert (done.returncode, done.stderr.count("expected an RFC 3339 time such as")) == (1, 1)
