from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from krmfn.cli import main
from krmfn.policies import explain
from krmfn.policies.explain import Explanation
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import select
from tests.running import call

SIGNATURE = "sha256-" + "0a" * 32
TAGS = ("v1.2.0", "v1.9.4", "v1.9.4-alpine", "v2.0.0", "v1", "1.9.5", "v1.0.0-dev", "x.sig", SIGNATURE)
CONFIG = """apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: shop}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {semver: {range: ">=1.2.0 <2.0.0"}}}
  - {name: none, image: ghcr.io/acme/web, policy: {semver: {range: ">=9"}}}
  - {name: fresh, image: ghcr.io/acme/web, policy: {newest: {limit: 2}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec:
  image: ghcr.io/acme/web
  tags: [1.2.0, 1.9.4, 2.0.0, latest, {name: 3.0.0, created: "2026-01-01T00:00:00Z"}]
"""


def explained(tags: tuple[str, ...] = TAGS, **options: Any) -> Explanation:
    """Explain what rules make of the tags."""
    options.setdefault("policy", {"semver": {"range": ">=1.2.0 <2.0.0"}})
    options.setdefault("filter_tags", {"pattern": r"^v(?P<v>\d.*\..*)$", "extract": "$v"})
    rules = parse_rules(options.pop("policy"), **options)
    return Explanation("shop:web", "ghcr.io/acme/web", rules, select(rules, tags), malformed=2)


def test_the_text_is_a_funnel() -> None:
    assert explain.as_text(explained(ignore_tags=["-dev$"])) == (
        r"""shop:web chooses v1.9.4 of ghcr.io/acme/web

  exclusionList ^.*\.sig$
  ignoreTags    -dev$
  filterTags    ^v(?P<v>\d.*\..*)$ extract $v
  policy        semver >=1.2.0 <2.0.0

  11 listed
   8 valid
   6 not excluded
   4 match filterTags
   2 accepted by the policy
   1 chosen

  not chosen:
   1 a signature or attestation of another image (sha256-0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a)
   1 matches the exclusionList (x.sig)
   1 matches ignoreTags (v1.0.0-dev)
   2 does not match filterTags (v1, 1.9.5)
   1 a prerelease, and the range asks for releases only (v1.9.4-alpine)
   1 outside the range (v2.0.0)
   1 another tag is ordered before it (v1.2.0)
"""
    )


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("v1.9.4", "extracts '1.9.4', first of 2 by semver >=1.2.0 <2.0.0"),
        ("v1.2.0", "another tag is ordered before it: extracts '1.2.0', v1.9.4 with '1.9.4' is chosen"),
        ("v2.0.0", 'outside the range: "2.0.0" is greater than or equal to "2.0.0"'),
        ("v1.9.4-alpine", "a prerelease, and the range asks for releases only"),
        ("v1", r"does not match filterTags: ^v(?P<v>\d.*\..*)$"),
        ("x.sig", r"matches the exclusionList: ^.*\.sig$"),
        ("v1.0.0-dev", "matches ignoreTags: dev"),
        (SIGNATURE, "a signature or attestation of another image"),
        ("nope", "not listed"),
    ],
)
def test_every_tag_has_a_sentence(tag: str, why: str) -> None:
    assert explain.why(explained(ignore_tags=["nothing", "dev"]), tag) == why


@pytest.mark.parametrize(
    ("options", "tags", "tag", "why"),
    [
        ({"policy": {"alphabetical": {}}, "filter_tags": {"pattern": "^v(.)", "extract": "$1"}}, ("v1a", "v1b"), "v1b",
         "extracts the same text as another tag, and the smallest tag stands for them: extracts '1', v1a is chosen"),
        ({"policy": {"numerical": {}}, "filter_tags": {"pattern": "^v(.)", "extract": "$1"}}, ("v1", "vx"), "vx", "not a number: extracts 'x'"),
        ({"policy": {"alphabetical": {}}, "filter_tags": None, "allow_tags": ["^v", "^w"]}, ("v1", "x"), "x", "matches none of allowTags: ^v, ^w"),
        ({"filter_tags": None}, ("latest",), "latest", "not a semantic version with three parts"),
        ({"policy": {"alphabetical": {}}, "filter_tags": None}, ("a", "b"), "b", "first of 2 by alphabetical asc"),
    ],
    ids=["shadowed", "no number", "not allowed", "no version", "chosen"],
)  # fmt: skip
def test_a_sentence_says_what_was_extracted_and_by_whom_it_was_beaten(
    options: dict[str, Any], tags: tuple[str, ...], tag: str, why: str
) -> None:
    assert explain.why(explained(tags, **options), tag) == why


def test_the_data_holds_the_same() -> None:
    data = explain.as_data(explained(), ["v2.0.0"])
    assert data["tags"] == [
        {"tag": "v2.0.0", "reason": "range", "why": 'outside the range: "2.0.0" is greater than or equal to "2.0.0"'}
    ]
    assert [step["left"] for step in data["funnel"]] == [11, 8, 7, 5, 2, 1]
    assert (data["listed"], data["eligible"], data["malformed"], data["tag"]) == (11, 2, 2, "v1.9.4")
    assert data["rejected"] == {"artefact": 1, "excluded": 1, "filter": 2, "prerelease": 2, "range": 1, "lower": 1}
    assert json.loads(json.dumps(data)) == data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write policies and a snapshot of their tags."""
    (tmp_path / "images.yaml").write_text(CONFIG)
    return tmp_path


def test_the_command_explains_from_files_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "web", str(folder), "--tag", "2.0.0", "--tag", "latest"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("shop:web chooses 1.9.4 of ghcr.io/acme/web\n")
    assert out.splitlines()[-3:] == [
        "TAG     REASON         WHY",
        '2.0.0   range          outside the range: "2.0.0" is greater than or equal to "2.0.0"',
        "latest  not-a-version  not a semantic version with three parts",
    ]


def test_the_command_answers_every_tag_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "shop:web", str(folder), "--tags", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {row["tag"]: row["reason"] for row in data["tags"]} == {
        "1.2.0": "lower", "1.9.4": "chosen", "2.0.0": "range", "3.0.0": "range", "latest": "not-a-version"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("wep", "no policy wep is configured; did you mean web?"),
        ("zzz", "no policy zzz is configured; there are shop:fresh, shop:none, shop:web"),
    ],
)
def test_an_unknown_policy_gets_the_nearest_name(
    name: str, error: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", name, str(folder)]) == 1
    assert error in capsys.readouterr().err


def test_a_name_in_two_namespaces_has_to_be_written_in_full(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "more.yaml").write_text(CONFIG.partition("---")[0].replace("shop", "other"))
    assert main(["explain", "web", str(folder)]) == 1
    assert "policy web stands in several namespaces: write other:web or shop:web" in capsys.readouterr().err


def test_a_policy_without_a_choice_explains_itself_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "none", str(folder)]) == 1
    out = capsys.readouterr().out
    assert (
        "shop:none chooses no tag of ghcr.io/acme/web\n  unable to determine latest version from provided list: no tag satisfies >=9, highest 3.0.0"
        in out
    )
    assert "0 accepted by the policy" in out


def test_newest_needs_the_time_of_its_candidates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "fresh", str(folder)]) == 1
    assert "ghcr.io/acme/web" in capsys.readouterr().err


def test_newest_is_explained_by_the_times_of_the_snapshot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = 'created: "2025-01-01T00:00:00Z"'
    text = CONFIG.replace("1.9.4, 2.0.0,", f"1.9.4, {{name: 2.0.0, {old}}},")
    (folder / "images.yaml").write_text(text.replace(", latest", ""))
    assert main(["explain", "fresh", str(folder), "--tag", "1.9.4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("shop:fresh chooses 3.0.0 of ghcr.io/acme/web\n")
    assert out.splitlines()[-1] == "1.9.4  not-asked  beyond the number of images that are looked up"


OWN = """apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: shop}
spec:
  policies:
  - {name: pinned, image: ghcr.io/acme/web, policy: {digest: {}}}
"""
DEPLOYED = """kind: Pod
spec:
  containers:
  - image: ghcr.io/acme/web:1.2.0 # {"$imagepolicy": "shop:pinned"}
  - image: ghcr.io/acme/web # {"$imagepolicy": "shop:pinned"}
"""


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies.yaml").write_text(OWN)
    (tmp_path / "pod.yaml").write_text(DEPLOYED)
    return tmp_path


def test_a_policy_that_pins_digests_is_explained_by_what_is_deployed(
    pinned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "pinned", ".", "--tags", "--tag", "9"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "shop:pinned follows what is deployed of ghcr.io/acme/web: tags stay, only digests move",
        "",
        "TAG     VALUE                   WHERE",
        "1.2.0   ghcr.io/acme/web:1.2.0  pod.yaml:4",
        "latest  ghcr.io/acme/web        pod.yaml:5",
        "",
        "TAG     REASON       WHY",
        "9       not-current  not the tag that is deployed",
        "1.2.0   chosen       deployed",
        "latest  chosen       deployed",
    ]


def test_what_is_deployed_is_data_too(pinned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "pinned", ".", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(held["tag"], held["place"]) for held in data["deployed"]] == [
        ("1.2.0", "pod.yaml:4"),
        ("latest", "pod.yaml:5"),
    ]
    assert data["tag"] is None


def test_a_policy_that_pins_digests_of_nothing_says_so(pinned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pinned / "pod.yaml").unlink()
    assert main(["explain", "pinned", "."]) == 1
    assert "no field is bound to it" in capsys.readouterr().out


MOVING = """apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, namespace: shop}
spec:
  policies:
  - {name: moving, image: ghcr.io/acme/web, policy: {version: {within: minor}}}
---
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web}
spec: {image: ghcr.io/acme/web, tags: [1.2.0, 1.1.0, 1.3.0, 2.0.0, "1.2", "1.4", latest, 1.9.0-rc.1]}
"""


@pytest.fixture
def moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies.yaml").write_text(MOVING)
    (tmp_path / "pod.yaml").write_text(
        "kind: Pod\nspec:\n  containers:\n  - image: ghcr.io/acme/web:1.2.0\n  - image: ghcr.io/acme/web:1.2\n"
    )
    return tmp_path


def test_a_policy_that_moves_versions_on_is_explained_for_each_deployed_tag(
    moving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "moving", ".", "--tag", "2.0.0"]) == 0
    assert capsys.readouterr().out == (
        """shop:moving follows what is deployed of ghcr.io/acme/web: version within minor

TAG    VALUE                   WHERE
1.2.0  ghcr.io/acme/web:1.2.0  pod.yaml:4
1.2    ghcr.io/acme/web:1.2    pod.yaml:5

shop:moving chooses 1.4 of ghcr.io/acme/web, from 1.2

  exclusionList ^.*\\.sig$
  policy        version within minor

  8 listed
  8 valid
  8 not excluded
  8 match filterTags
  1 accepted by the policy
  1 chosen

  not chosen:
  6 not of the shape of the tag that is deployed (1.1.0, 1.2.0, 1.3.0, ...)
  1 not above the tag that is deployed (1.2)

TAG    REASON  WHY
2.0.0  shape   not of the shape of the tag that is deployed: 1.2

shop:moving chooses 1.3.0 of ghcr.io/acme/web, from 1.2.0

  exclusionList ^.*\\.sig$
  policy        version within minor

  8 listed
  8 valid
  8 not excluded
  8 match filterTags
  1 accepted by the policy
  1 chosen

  not chosen:
  1 a prerelease, and the range asks for releases only (1.9.0-rc.1)
  1 outside the range (2.0.0)
  3 not of the shape of the tag that is deployed (1.2, 1.4, latest)
  2 not above the tag that is deployed (1.1.0, 1.2.0)

TAG    REASON  WHY
2.0.0  range   outside the range: version within minor, from 1.2.0
"""
    )


def test_decisions_about_each_deployed_tag_are_data_too(moving: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "moving", ".", "-o", "json", "--tags"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(one["from"], one["tag"], len(one["tags"])) for one in data["decisions"]] == [
        ("1.2", "1.4", 8),
        ("1.2.0", "1.3.0", 8),
    ]
    assert (data["tag"], len(data["deployed"])) == (None, 2)


def test_a_policy_that_is_suspended_or_unresolved_says_so(tmp_path: Path) -> None:
    kinds = {"suspended": "suspend: true, imageRepositoryRef: {name: web}", "lost": "imageRepositoryRef: {name: lost}"}
    text = "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {name: web, namespace: shop}\nspec: {image: ghcr.io/acme/web, interval: 5m}\n"
    for name, spec in kinds.items():
        text += f"---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}, policy: {{semver: {{range: 1.x}}}}}}\n"
    (tmp_path / "policies.yaml").write_text(text)
    said = {name: call("explain", name, ".", cwd=tmp_path).stderr for name in (*kinds, "suspendde")}
    assert "policy shop:suspended is suspended: it chooses nothing and its fields stay, until spec.suspend is false" in said["suspended"]
    assert "policy shop:lost chooses nothing: " in said["lost"]
    assert "no policy suspendde is configured; did you mean suspended?" in said["suspendde"]
    (tmp_path / "policies.yaml").write_text("a: b\n")
    assert "no policy web is configured, nor any other; krmfn init PATH writes one" in call("explain", "web", ".", cwd=tmp_path).stderr
    assert "nothing found, as there is no policy, in" in call("lint", ".", cwd=tmp_path).stderr
