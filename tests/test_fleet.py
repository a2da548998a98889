"""Rancher Fleet's imageScans and markers as they are, by every command that looks at files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from krmfn import run
from tests.running import Done, call

SCANS = """\
# The front of the shop.
defaultNamespace: shop
helm: {releaseName: web}
imageScans:
# the newest release below 2
- policy:
    semver:
      range: "<2.0.0"
    # Fleet takes semver before alphabetical
    alphabetical:
      order: asc
  image: ghcr.io/acme/web
  tagName: web
  interval: 5m
  secretRef: {name: registry}
- {tagName: cache, image: "redis:ignored", policy: {semver: {range: ~7.2}}, interval: 1h}
- {tagName: old, image: ghcr.io/acme/old, suspend: true, interval: 1h}
targetCustomizations:
- name: prod
  clusterSelector: {matchLabels: {env: prod}}
"""
WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    spec:
      containers:
      - name: web
        image:   'ghcr.io/acme/web:1.2.0'   # {"$imagescan": "web:digest"}
      - name: sidecar
        image: ghcr.io/acme/web:1.2.0 # {"$imagescan": "web"}
      - name: cache
        image: redis:7.2.4 # {"$imagescan": "cache"}
      - name: old
        image: ghcr.io/acme/old:1.0.0 # {"$imagescan": "old"}
      - name: other
        image: ghcr.io/acme/web:1.0.0
"""
VALUES = """\
image:
  repository: ghcr.io/acme/web # {"$imagescan": "web:name"}
  tag: 1.2.0 # {"$imagescan": "web:tag"}
"""
OLD, NEW, NEXT = (f"sha256:{digit * 64}" for digit in "123")


def tags(image: str, *listed: str, **dated: str) -> str:
    spec = {"image": image, "tags": [{"name": one, "digest": dated[one]} if one in dated else one for one in listed]}
    return f"---\napiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: t}}\nspec: {json.dumps(spec)}\n"


TAGS = tags("ghcr.io/acme/web", "1.2.0", "1.3.1", "2.0.0", "latest", **{"1.2.0": OLD, "1.3.1": NEW, "2.0.0": NEXT})
TREE = {
    "apps/web/fleet.yaml": SCANS,
    "apps/web/web.yaml": WEB,
    "apps/web/values.yaml": VALUES,
    "tags.yaml": TAGS + tags("redis", "7.2.4", "7.2.5", "7.4.0"),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(tmp_path, TREE)


def krmfn(tree: Path, *arguments: str) -> Done:
    return call(*arguments, cwd=tree)


def test_update_writes_what_fleet_scans_and_nothing_else(tree: Path):
    assert krmfn(tree, "update", ".").returncode == 0
    assert (tree / "apps/web/web.yaml").read_text() == (
        WEB.replace("'ghcr.io/acme/web:1.2.0'", f"'ghcr.io/acme/web:1.3.1@{NEW}'", 1)
        .replace("image: ghcr.io/acme/web:1.2.0 #", "image: ghcr.io/acme/web:1.3.1 #")
        .replace("redis:7.2.4", "redis:7.2.5")
    )
    assert (tree / "apps/web/values.yaml").read_text() == VALUES.replace("1.2.0", "1.3.1")
    assert (tree / "apps/web/fleet.yaml").read_text() == SCANS
    again = krmfn(tree, "update", ".", "--check")
    assert (again.returncode, again.stdout) == (0, "")


def test_a_tag_that_is_pushed_again_moves_the_digest(tree: Path):
    krmfn(tree, "update", ".")
    (tree / "tags.yaml").write_text(TREE["tags.yaml"].replace(NEW, f"sha256:{'a' * 64}"))
    krmfn(tree, "update", ".")
    assert f"'ghcr.io/acme/web:1.3.1@sha256:{'a' * 64}'" in (tree / "apps/web/web.yaml").read_text()


def test_check_agrees_and_shows_no_scan_as_an_image(tree: Path):
    rows = json.loads(krmfn(tree, "check", ".", "--all", "--output", "json").stdout)["images"]
    places = {(row["repository"], place["line"]) for row in rows for place in row["places"] if "fleet" in place["path"]}
    assert places == set()
    policies = {row["policy"] for row in rows}
    assert {"imageScans:web", "imageScans:web@digest", "imageScans:cache"} <= policies


def test_explain_and_lint_know_scans(tree: Path):
    told = krmfn(tree, "explain", "imageScans:web", ".")
    assert told.stdout.startswith("imageScans:web chooses 1.3.1 of ghcr.io/acme/web"), told.stderr
    assert krmfn(tree, "lint", ".").stdout == ""


def test_a_scan_that_no_marker_names_is_told_with_the_marker_to_write(tree: Path):
    (tree / "apps/web/web.yaml").write_text(WEB.replace(' # {"$imagescan": "cache"}', ""))
    told = krmfn(tree, "lint", ".").stdout
    assert told.startswith("apps/web/fleet.yaml:16:3 unbound-policy")
    assert 'write the marker # {"$imagescan": "cache"} behind it' in told
    assert "redis:7.2.4" in (tree / "apps/web/web.yaml").read_text()


def test_annotate_writes_the_marker_of_fleet_and_the_annotation_that_survives_a_build(tree: Path):
    (tree / "apps/web/web.yaml").write_text(WEB.replace(' # {"$imagescan": "cache"}', ""))
    assert krmfn(tree, "annotate", ".", "--markers", "imageScans:cache").returncode == 0
    assert (tree / "apps/web/web.yaml").read_text() == WEB
    assert krmfn(tree, "annotate", ".").returncode == 0
    text = (tree / "apps/web/web.yaml").read_text()
    assert "imageScans:web@digest" in text
    (tree / "apps/web/web.yaml").write_text(yaml.safe_dump(yaml.safe_load(text)))
    assert krmfn(tree, "update", ".").returncode == 0
    images = [one["image"] for one in yaml.safe_load((tree / "apps/web/web.yaml").read_text())["spec"]["template"]["spec"]["containers"]]
    assert images[:3] == [f"ghcr.io/acme/web:1.3.1@{NEW}", "ghcr.io/acme/web:1.3.1", "redis:7.2.5"]


def test_a_marker_of_no_scan_is_told_with_the_nearest_name(tree: Path):
    (tree / "apps/web/values.yaml").write_text(VALUES.replace("web:tag", "wep:tag"))
    told = krmfn(tree, "update", ".", "--diff").stderr
    assert "names policy imageScans:wep, which is not configured; did you mean imageScans:" in told


def test_a_suspended_scan_leaves_its_fields(tree: Path):
    done = krmfn(tree, "update", ".")
    assert "ghcr.io/acme/old:1.0.0" in (tree / "apps/web/web.yaml").read_text()
    assert "imageScans:old, which is not configured" not in done.stderr


LISTED = ["0.9", "1.2.0", "1.3.1", "2.0.0-rc.1", "latest"]
CHOICES = {  # what latestTag of rancher/fleet internal/cmd/controller/imagescan/tagscan_job.go takes of LISTED
    "{semver: {range: '*'}}": "1.3.1",
    "{semver: {range: '>=1.0.0-0'}}": "2.0.0-rc.1",
    "{}": "1.3.1",
    "": "1.3.1",
    "{alphabetical: {}}": "latest",
    "{alphabetical: {order: DESC}}": "latest",
    "{alphabetical: {order: desc}}": "latest",
    "{alphabetical: {order: asc}}": "0.9",
    "{alphabetical: {order: ascending}}": "0.9",
    "{semver: {range: <1.3}, alphabetical: {order: asc}}": "1.2.0",
}


@pytest.mark.parametrize("policy", CHOICES)
@pytest.mark.parametrize("form", ["fleet.yaml", "ImageScan"])
def test_a_scan_chooses_what_fleet_chooses(policy: str, form: str, tmp_path: Path):
    scan = {"tagName": "web", "image": "ghcr.io/acme/web", "interval": "5m", "policy": yaml.safe_load(policy or "{}")}
    if not policy:
        del scan["policy"]
    resource = {"apiVersion": "fleet.cattle.io/v1alpha1", "kind": "ImageScan", "metadata": {"name": "one"}, "spec": scan}
    text = yaml.safe_dump(resource if form == "ImageScan" else {"imageScans": [scan]})
    image = 'image: ghcr.io/acme/web # {"$imagescan": "web"}\n'
    write(tmp_path, {"fleet.yaml": text + tags("ghcr.io/acme/web", *LISTED), "values.yaml": image})
    done = krmfn(tmp_path, "update", ".")
    assert (tmp_path / "values.yaml").read_text() == image.replace(" #", f":{CHOICES[policy]} #"), done.stderr


def test_a_scan_among_the_items_of_a_function_counts():
    scan = {"apiVersion": "fleet.cattle.io/v1alpha1", "kind": "ImageScan", "metadata": {"name": "one", "namespace": "fleet-local"}}
    scan["spec"] = {"tagName": "web", "image": "ghcr.io/acme/web", "policy": {"semver": {"range": "1.x"}}}
    items = "\n".join(
        f"- {line}" if index == 0 else f"  {line}"
        for document in (yaml.safe_dump(scan), TAGS.removeprefix("---\n"), WEB)
        for index, line in enumerate(document.splitlines())
    )
    listed = f"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n{items}\n"
    outcome = run(listed.encode())
    assert b'image: ghcr.io/acme/web:1.3.1 # {"$imagescan": "web"}' in outcome.text


WRONG = {
    "- {image: ghcr.io/acme/web, interval: 5m}": "imageScans[0].tagName: required",
    "- {tagName: web, image: ghcr.io/Acme/web}": "imageScans[0].image: 'ghcr.io/Acme/web' is not an image reference",
    "- {tagName: web}": "imageScans[0].image",
    "- {tagName: web, image: a/b, policy: {numerical: {order: asc}}}": "imageScans[0].policy.numerical: Fleet has the policies",
    "- {tagName: web, image: a/b, policy: {semver: {range: '>>1'}}}": "imageScans[0].policy.semver.range",
    "- {tagName: web, image: a/b}\n- {tagName: web, image: a/c}": "another scan is called web too, at apps/fleet.yaml:3",
}


@pytest.mark.parametrize("scans", WRONG)
def test_a_wrong_scan_is_told_with_file_and_field(scans: str, tmp_path: Path):
    write(tmp_path, {"apps/fleet.yaml": f"imageScans:\n{scans}\n"})
    done = krmfn(tmp_path, "update", ".")
    assert done.returncode == 1
    assert WRONG[scans] in done.stderr
    assert "apps/fleet.yaml:2: ImageScan " in done.stderr


def test_a_marker_where_fleet_reads_none_is_told(tmp_path: Path):
    scans = "imageScans: [{tagName: web, image: ghcr.io/acme/web}]\n"
    write(tmp_path, {"fleet.yaml": scans, "pod.yaml": '# {"$imagescan": "web"}\nimage: ghcr.io/acme/web:1.0.0 # {$imagescan: web}\n'})
    told = krmfn(tmp_path, "lint", ".").stdout
    assert "pod.yaml:1:1 ignored-marker marker 'web' is not read: a comment above a key" in told
    assert "pod.yaml:2:31 ignored-marker" in told


def test_what_fleet_does_and_krmfn_does_not(tmp_path: Path):
    scans = "imageScans:\n- {tagName: web, image: ghcr.io/acme/web}\n- {tagName: cache, image: redis}\n- {tagName: dead, image: a/dead}\n"
    listed = tags("ghcr.io/acme/web", "1.2.0", "1.3", "20240131") + tags("redis", "7.2.4", "7.2.5") + tags("a/dead", "main")
    own = "---\napiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: x}\nspec: {onError: keep}\n"
    values = 'a: ghcr.io/acme/web # {"$imagescan": "web"}\nb: redis:7.2.4 # {"$imagescan": "cache"}\nc: a/dead:1 # {"$imagescan": "dead"}\n'
    write(tmp_path, {"fleet.yaml": scans + listed + own, "values.yaml": values})
    done = krmfn(tmp_path, "update", ".")
    assert (tmp_path / "values.yaml").read_text() == values.replace("acme/web", "acme/web:1.2.0").replace("7.2.4", "7.2.5")
    assert done.returncode == 0
    assert "imageScans:dead" in done.stderr
