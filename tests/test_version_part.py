"""The part `version`: the tag without its prefix, for fields beside an image, and the versions of charts in registries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from krmfn.errors import RegistryError
from tests.lists import IMAGE, Tags, digest, items, messages, policy, resource_list, run
from tests.running import run as execute

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.outcome import Outcome

TAGS = Tags({IMAGE: ["v3.13.2", "v3.14.0"]})
OLD = digest("old")
AUTOMATION = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata: {name: images, annotations: {config.kubernetes.io/local-config: "true"}}
spec:
  policies:
  - {name: web, image: ghcr.io/acme/web, policy: {alphabetical: {}}}
"""
SNAPSHOT = """\
apiVersion: krmfn.dev/v1alpha1
kind: TagSnapshot
metadata: {name: web, annotations: {config.kubernetes.io/local-config: "true"}}
spec: {image: ghcr.io/acme/web, tags: [1.2.0_b1, 1.3.0_b2]}
"""


def custom(version: str, image: str = f"{IMAGE}:v3.13.2", *, marker: str = "flux:web:version", metadata: str = "") -> str:
    """Return a custom resource that says the version of its image once more."""
    behind = f' # {{"$imagepolicy": "{marker}"}}' if marker else ""
    return (
        f"apiVersion: acme.example.org/v1\nkind: Proxy\nmetadata: {{name: web{metadata}}}\nspec:\n"
        f'  version: {version}{behind}\n  image: {image} # {{"$imagepolicy": "flux:web"}}\n'
    )


def spec(outcome: Outcome) -> dict[str, Any]:
    return dict(items(outcome)[-1]["spec"])


@pytest.mark.parametrize(
    ("held", "written"),
    [
        ("3.13.2", "3.14.0"),
        ('"3.13.2"', "3.14.0"),
        ("v3.13.2", "v3.14.0"),
        ("release-3.13.2", "release-3.14.0"),
        ("--version=3.13.2", "--version=3.14.0"),
        ("''", "3.14.0"),
    ],
)
def test_the_version_beside_an_image_keeps_the_prefix_of_its_field(held: str, written: str):
    once = run(resource_list(policy(), custom(held)), TAGS)
    assert spec(once) == {"version": written, "image": f"{IMAGE}:v3.14.0"}
    assert run(once.text, TAGS).text == once.text


def test_an_annotation_and_a_target_name_the_part():
    entry = json.dumps({"$.spec.version": "flux:web:version"})
    annotated = custom("3.13.2", marker="", metadata=f", annotations: {{krmfn.dev/images: '{entry}'}}")
    assert spec(run(resource_list(policy(), annotated), TAGS))["version"] == "3.14.0"
    target = "  targets: [{select: {kind: Proxy}, path: $.spec.version, policy: web, part: version}]\n"
    semver = AUTOMATION.replace("alphabetical: {}", "semver: {range: '*'}")
    plain = custom("3.13.2", marker="").replace(' # {"$imagepolicy": "flux:web"}', "")
    assert spec(run(resource_list(semver + target, plain), TAGS)) == {"version": "3.14.0", "image": f"{IMAGE}:v3.14.0"}


@pytest.mark.parametrize("held", ["1.x", "^3.13.2", ">=3", "${VERSION}", "latest", f"3.13.2@{OLD}"])
def test_what_is_no_version_is_refused_with_a_word(held: str):
    outcome = run(resource_list(policy(), custom(f"'{held}'")), TAGS)
    assert any("expected a version such as 1.2.0" in message for message in messages(outcome, "error"))
    assert spec(outcome)["version"] == held


def test_a_tag_that_holds_no_version_is_refused():
    outcome = run(resource_list(policy("alphabetical: {}"), custom("3.13.2", f"{IMAGE}:old")), Tags({IMAGE: ["stable"]}))
    assert any("cannot write stable: it holds no version" in message for message in messages(outcome, "error"))


def test_the_guard_holds_the_version_with_its_image():
    outcome = run(resource_list(policy(), custom("3.15.0", f"{IMAGE}:v3.15.0")), TAGS)
    assert spec(outcome) == {"version": "3.15.0", "image": f"{IMAGE}:v3.15.0"}
    assert [message for message in messages(outcome, "warning") if "kept" in message]


def test_a_policy_that_follows_takes_the_tag_of_the_image():
    outcome = run(resource_list(policy("version: {within: minor}"), custom("3.13.2")), TAGS)
    assert spec(outcome) == {"version": "3.14.0", "image": f"{IMAGE}:v3.14.0"}


class Undigested(Tags):
    """Tags whose digests cannot be had."""

    def digest(self, repository: Repository, tag: str) -> str:
        raise RegistryError("unavailable", repository.image.canonical, f"no digest of {tag}: the host is away")


def test_a_pin_without_its_digest_holds_the_version_too():
    pinned = f"{IMAGE}:v3.13.2@{OLD}"
    outcome = run(resource_list(policy(), custom("3.13.2", pinned)), Undigested({IMAGE: ["v3.13.2", "v3.14.0"]}))
    assert not outcome.is_error
    assert spec(outcome) == {"version": "3.13.2", "image": pinned}


CHARTS = {
    "a release": (
        "kind: HelmRepository\napiVersion: source.toolkit.fluxcd.io/v1\nmetadata: {{name: acme}}\n"
        "spec: {{type: oci, url: 'oci://ghcr.io/acme'}}\n---\n"
        "kind: HelmRelease\napiVersion: helm.toolkit.fluxcd.io/v2\nmetadata: {{name: web}}\nspec:\n  chart:\n    spec:\n"
        "      chart: web\n      version: {}\n      sourceRef: {{kind: HelmRepository, name: acme}}\n"
    ),
    "an application": (
        "kind: Application\napiVersion: argoproj.io/v1alpha1\nspec:\n  source:\n    chart: web\n    repoURL: ghcr.io/acme\n"
        "    targetRevision: {}\n"
    ),
    "a dependency": "apiVersion: v2\nname: shop\ndependencies:\n- name: web\n  repository: oci://ghcr.io/acme\n  version: {}\n",
    "values of an operator": "chart: oci://ghcr.io/acme/web\nversion: {}\n",
}


def tree(tmp_path: Path, text: str) -> Path:
    for name, content in {"images.yaml": AUTOMATION, "tags.yaml": SNAPSHOT, "chart.yaml": text}.items():
        (tmp_path / name).write_text(content)
    return tmp_path / "chart.yaml"


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(("held", "written"), [("1.2.0+b1", "1.3.0+b2"), ("'1.2.0+b1'", "'1.3.0+b2'"), ("1.2.0", "1.3.0+b2")])
def test_a_chart_is_read_and_written_as_helm_spells_its_version(tmp_path: Path, name: str, held: str, written: str):
    path = tree(tmp_path, CHARTS[name].format(held))
    shown = json.loads(execute(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path).stdout)["images"]
    assert [one["tag"] for one in shown] == [held.strip("'").replace("+", "_")]
    done = execute(["krmfn", "update", "."], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert path.read_text() == CHARTS[name].format(written)
    assert execute(["krmfn", "update", "--check", "."], cwd=tmp_path).returncode == 0
    assert path.read_text() == CHARTS[name].format(written)


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("held", ["'>=1.2.0'", "1.x", "'*'", "'~1.2.0 || ^2'", "1.2"])
def test_a_range_of_a_chart_is_shown_and_never_written(tmp_path: Path, name: str, held: str):
    path = tree(tmp_path, CHARTS[name].format(held))
    (one,) = json.loads(execute(["krmfn", "check", ".", "--all", "-o", "json"], cwd=tmp_path).stdout)["images"]
    assert (one["places"][0]["state"], one["constraint"]) == ("range", held.strip("'"))
    assert execute(["krmfn", "update", "."], cwd=tmp_path).returncode == 0
    assert path.read_text() == CHARTS[name].format(held)


def test_a_chart_of_an_http_repository_is_named_and_left_alone(tmp_path: Path):
    text = CHARTS["a dependency"].format("1.2.0").replace("oci://", "https://")
    path = tree(tmp_path, text)
    said = json.loads(execute(["krmfn", "check", ".", "-o", "json"], cwd=tmp_path).stdout)
    assert [one["text"] for one in said["leftAlone"]] == ["web 1.2.0"]
    assert execute(["krmfn", "update", "."], cwd=tmp_path).returncode == 0
    assert path.read_text() == text


@pytest.mark.parametrize(("held", "part"), [("1.2.0+b1", "version"), ("1.2.0", "tag")])
def test_the_marker_for_a_chart_keeps_its_version_a_version(tmp_path: Path, held: str, part: str):
    path = tree(tmp_path, CHARTS["a dependency"].format(held))
    assert execute(["krmfn", "annotate", ".", "--markers", "default:web"], cwd=tmp_path).returncode == 0
    assert f'version: {held} # {{"$imagepolicy": "default:web:{part}"}}' in path.read_text()


def test_a_misspelt_part_is_named(tmp_path: Path):
    (tmp_path / "x.yaml").write_text(policy() + "---\n" + custom("3.13.2", marker="flux:web:versoin"))
    said = execute(["krmfn", "lint", "."], cwd=tmp_path)
    assert "did you mean flux:web:version?" in said.stdout + said.stderr
