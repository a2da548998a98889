"""`krmfn adopt`: other tools' configuration as policies, judged by what krmfn then chooses; no key is dropped silently."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.running import Done, call

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: web
{meta}spec:
  containers:
  - {{name: web, image: "{image}"}}
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: shop
  annotations:
{annotations}
spec: {{project: default}}
"""
UPDATER = """\
apiVersion: argocd-image-updater.argoproj.io/v1alpha1
kind: ImageUpdater
metadata: {name: shop}
spec:
  namespace: argocd
  writeBackConfig: {method: "git:secret:argocd/login", gitConfig: {branch: main}}
  commonUpdateSettings: {updateStrategy: alphabetical, pullSecret: "secret:a/b#c"}
  applicationRefs:
  - namePattern: shop-*
    images:
    - alias: web
      imageName: ghcr.io/acme/web:1.x
      commonUpdateSettings: {updateStrategy: semver, ignoreTags: ["*-rc*", "1.9.*"], platforms: [linux/arm64]}
      manifestTargets: {kustomize: {name: web}}
    - {alias: api, imageName: ghcr.io/acme/api}
"""
WEB = ["1.0.0", "1.2.3", "1.9.9", "1.8.0-rc.1", "1.8.0", "2.0.0", "2.1.0-dev", "latest"]


def noted(tool: str, **pairs: str) -> str:
    """Return annotations; `__` in a name is a dot, `_` a dash."""
    names = {name: name.replace("__", ".").replace("_", "-") for name in pairs}
    return "\n".join(f"    {tool}/{names[name]}: {json.dumps(value)}" for name, value in pairs.items())


def argo(**pairs: str) -> dict[str, str]:
    text = noted("argocd-image-updater.argoproj.io", **pairs)
    return {"application.yaml": APPLICATION.format(annotations=text), "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}


def pod(image: str, meta: str = "") -> str:
    return POD.format(image=image, meta=meta)


def keel(policy: str, image: str = "ghcr.io/acme/web:1.0.0") -> dict[str, str]:
    meta = f"  annotations:\n{noted('keel.sh', policy=policy, trigger='poll', pollSchedule='@every 5m')}\n"
    return {"pod.yaml": pod(image, meta)}


def renovate(text: str, name: str = "renovate.json5") -> dict[str, str]:
    return {name: text, "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}


def dependabot(update: str) -> dict[str, str]:
    text = f"version: 2\nupdates:\n- package-ecosystem: docker\n  directory: /\n  schedule: {{interval: daily}}\n{update}"
    return {".github/dependabot.yml": text, "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}


LIST = {"image_list": "web=ghcr.io/acme/web:1.x"}
MAJORS_OFF = "{packageRules: [{matchUpdateTypes: ['major'], matchDatasources: ['docker'], enabled: false}]}"
BELOW = "// ours\n{packageRules: [{matchPackageNames: ['ghcr.io/acme/**'], allowedVersions: '<1.9',},]}"
MATCHING = '{"packageRules": [{"matchPackageNames": ["/acme/"], "allowedVersions": "/^1\\\\.2/"}]}'
COMMENT = "# renovate: datasource=docker depName=ghcr.io/acme/web\n"
NO_MAJORS = '  ignore:\n  - {dependency-name: "*", update-types: ["version-update:semver-major"]}\n'
# what is configured, and the tag that the tool takes of WEB by its documentation (None: it leaves the image)
CHOICES = {
    "image-updater range": (argo(**LIST), "1.9.9"),
    "image-updater ~": (argo(image_list="ghcr.io/acme/web:~1.2"), "1.2.3"),
    "image-updater no constraint": (argo(image_list="web=ghcr.io/acme/web"), "2.0.0"),
    "image-updater allow": (argo(**LIST, web__allow_tags="regexp:^1\\.2\\."), "1.2.3"),
    "image-updater ignore": (argo(**LIST, web__ignore_tags="1.9.*, latest"), "1.8.0"),
    "image-updater name": (argo(image_list="web=ghcr.io/acme/web", web__update_strategy="name"), "latest"),
    "image-updater for all": (
        argo(image_list="web=ghcr.io/acme/web", update_strategy="alphabetical", ignore_tags="latest"), "2.1.0-dev",
    ),
    "image-updater resource": ({"updater.yaml": UPDATER, "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}, "1.8.0"),
    "keel major": (keel("major"), "2.0.0"),
    "keel minor": (keel("minor"), "1.9.9"),
    "keel patch": (keel("patch", "ghcr.io/acme/web:1.2.0"), "1.2.3"),
    "keel regexp": (keel("regexp:^(?P<compare>1\\.2.*)$"), "1.2.3"),
    "keel never": (keel("never"), None),
    "renovate": (renovate("{}", "renovate.json"), "2.0.0"),
    "renovate no majors": (renovate(MAJORS_OFF), "1.9.9"),
    "renovate allowedVersions": (renovate(BELOW), "1.8.0"),
    "renovate pattern": (renovate(MATCHING), "1.2.3"),
    "renovate off": (renovate("{packageRules: [{matchPackageNames: ['/web$/'], enabled: false}]}"), None),
    "renovate another": (renovate("{packageRules: [{matchPackageNames: ['redis'], enabled: false}]}"), "2.0.0"),
    "renovate comment": ({"pod.yaml": COMMENT + pod("ghcr.io/acme/web:1.0.0")}, "2.0.0"),
    "dependabot": (dependabot(""), "2.0.0"),
    "dependabot no majors": (dependabot(NO_MAJORS), "1.9.9"),
    "dependabot ignored": (dependabot('  ignore:\n  - {dependency-name: "ghcr.io/acme/*"}\n'), None),
}  # fmt: skip
RENOVATE = "https://docs.renovatebot.com/"
UPDATER_DOCS = "https://argocd-image-updater.readthedocs.io/en/stable/"
KEEL = "https://keel.sh/docs/"
DEPENDABOT = "https://docs.github.com/en/code-security/dependabot/working-with-dependabot/dependabot-options-reference"
DEPENDABOT_IGNORE = "  ignore:\n  - {dependency-name: '*/web', versions: ['>= 3', '2.1.x']}\n"
# what a page of the tool's documentation says: the page, what is configured, what is deployed, what is listed, what it takes
DOCUMENTED = {
    "renovate keeps the precision": (f"{RENOVATE}docker/#preservation-of-version-precision", renovate("{}"), "1.1", "1.1 1.2 1.3 1.2.0 1.3.0", "1.3"),
    "renovate keeps the suffix": (
        f"{RENOVATE}docker/#version-compatibility", renovate("{}"), "1.2.0-alpine", "1.2.0-alpine 1.2.1 1.2.1-alpine 1.2.1-stretch", "1.2.1-alpine",
    ),
    "renovate without majors": (
        f"{RENOVATE}docker/#disable-docker-major-updates", renovate("{extends: ['docker:disableMajor']}"), "1.0.0", "1.0.0 1.9.0 2.0.0", "1.9.0",
    ),
    "renovate, a range": (
        f"{RENOVATE}configuration-options/#allowedversions", renovate("{packageRules: [{allowedVersions: '<=16'}]}"), "15.1.0", "15.1.0 15.9.0 17.0.0", "15.9.0",
    ),
    "renovate, not a pattern": (
        f"{RENOVATE}configuration-options/#allowedversions", renovate("{allowedVersions: '!/^2/'}"), "1.0.0", "1.0.0 1.9.0 2.0.0", "1.9.0",
    ),
    "renovate, ignored": (f"{RENOVATE}configuration-options/#ignoredeps", renovate("{ignoreDeps: ['ghcr.io/acme/web']}"), "1.0.0", "1.0.0 2.0.0", None),
    "renovate, an ignored path": (f"{RENOVATE}configuration-options/#ignorepaths", renovate("{ignorePaths: ['pod.yaml']}"), "1.0.0", "1.0.0 2.0.0", None),
    "renovate, the last rule": (
        f"{RENOVATE}configuration-options/#packagerules",
        renovate("{packageRules: [{enabled: false}, {matchPackageNames: ['ghcr.io/**'], enabled: true}]}"), "1.0.0", "1.0.0 2.0.0", "2.0.0",
    ),
    "renovate, a regular versioning": (
        f"{RENOVATE}modules/versioning/regex/",
        renovate("{versioning: 'regex:^(?<major>\\\\d+)\\\\.(?<minor>\\\\d+)\\\\.(?<patch>\\\\d+)-b(?<build>\\\\d+)$'}"), "1.0.0-b9", "1.0.0-b9 1.0.0-b10 2.0.0", "1.0.0-b10",
    ),
    "image updater, a patch range": (f"{UPDATER_DOCS}basics/update-strategies/#strategy-semver", argo(image_list="ghcr.io/acme/web:1.2.x"), "1.2.0", "1.2.0 1.2.9 1.3.0", "1.2.9"),
    "image updater, prereleases": (
        f"{UPDATER_DOCS}basics/update-strategies/#strategy-semver", argo(image_list="web=ghcr.io/acme/web:>=1.0.0-0"), "1.0.0", "1.0.0 1.1.0-rc.1", "1.1.0-rc.1",
    ),
    "image updater, calver": (
        f"{UPDATER_DOCS}basics/update-strategies/#strategy-alphabetical", argo(image_list="web=ghcr.io/acme/web", web__update_strategy="alphabetical"),
        "2026-01-01", "2026-01-01 2026-02-01", "2026-02-01",
    ),
    "image updater, ignored": (
        f"{UPDATER_DOCS}configuration/images/#filtering-tags", argo(image_list="web=ghcr.io/acme/web", web__ignore_tags="latest, 1.[89].?"), "1.0.0", "1.0.0 1.7.0 1.8.1 1.9.2", "1.7.0",
    ),
    "image updater, nothing allowed": (
        f"{UPDATER_DOCS}configuration/images/#filtering-tags", argo(image_list="web=ghcr.io/acme/web", web__allow_tags="^1"), "1.0.0", "1.0.0 1.7.0", None,
    ),
    "keel, a minor is no caret": (f"{KEEL}#policies", keel("minor", "ghcr.io/acme/web:0.0.8"), "0.0.8", "0.0.8 0.0.9 0.4.0 1.0.0", "0.4.0"),
    "keel, all": (f"{KEEL}#policies", keel("all"), "1.0.0", "1.0.0 2.0.0-rc.1", "2.0.0-rc.1"),
    "keel, a glob": (f"{KEEL}#policies", keel("glob:build-*"), "build-1", "build-1 build-2 zebra", "build-2"),
    "keel, a pattern": (f"{KEEL}#policies", keel("regexp:^([a-z]+)$"), "alpha", "alpha beta build-2", "beta"),
    "keel, a pattern that names what is compared": (
        f"{KEEL}#policies", keel("regexp:^[a-z]+-(?P<compare>[0-9]+)$"), "b-1", "b-1 a-2", "a-2",
    ),
    "keel, force": (f"{KEEL}#policies", keel("force"), "1.0.0", "1.0.0 1.4.0", "1.4.0"),
    "dependabot, ignored versions": (f"{DEPENDABOT}#versions-ignore", dependabot(DEPENDABOT_IGNORE), "1.0.0", "1.0.0 2.0.4 2.1.7 3.0.0", "2.0.4"),
    "dependabot, not allowed": (f"{DEPENDABOT}#allow--", dependabot("  allow: [{dependency-name: redis}]\n"), "1.0.0", "1.0.0 2.0.0", None),
}  # fmt: skip


@pytest.mark.parametrize("case", DOCUMENTED)
def test_explain_chooses_what_the_documentation_of_the_tool_says(case: str, tmp_path: Path):
    _, files, deployed, listed, tag = DOCUMENTED[case]
    files = {**files, "pod.yaml": files["pod.yaml"].replace(":1.0.0", f":{deployed}")}
    done = adopt(tmp_path, files)
    assert (done.returncode == 1) == (tag is None), done.stdout + done.stderr
    if tag is not None:
        tags = json.dumps({"image": "ghcr.io/acme/web", "tags": listed.split()})
        snapshot = f"---\napiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec: {tags}\n"
        (tmp_path / "krmfn.yaml").write_text(done.stdout + snapshot)
        told = call("explain", "web", ".", cwd=tmp_path)
        assert re.search(rf"(?m)(?: chooses |-> ){re.escape(tag)}(?:\s|$)", told.stdout), told.stdout + told.stderr


REQUIRED = {
    "renovate": (renovate("{minimumReleaseAge: '3 days', packageRules: [{matchUpdateTypes: ['major'], minimumReleaseAge: '14 days'}]}"),
                 {"minimumReleaseAge": {"default": "3 days", "major": "14 days"}}),
    "renovate takes it back": (renovate("{minimumReleaseAge: '3 days', packageRules: [{matchPackageNames: ['ghcr.io/**'], minimumReleaseAge: null}]}"), None),
    "dependabot": (dependabot("  cooldown: {default-days: 5, semver-major-days: 30, exclude: [redis]}\n"),
                   {"minimumReleaseAge": {"default": "5 days", "major": "30 days"}}),
    "dependabot leaves it out": (dependabot("  cooldown: {default-days: 5, exclude: ['*web']}\n"), None),
    "image updater": (argo(image_list="web=ghcr.io/acme/web", web__platforms="linux/arm64,linux/amd64"), {"platforms": ["linux/arm64", "linux/amd64"]}),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUIRED)
def test_ages_and_platforms_become_requirements(case: str, tmp_path: Path):
    files, required = REQUIRED[case]
    done = adopt(tmp_path, files)
    assert yaml.safe_load(done.stdout)["spec"].get("require") == ([required] if required else None), done.stderr


def test_only_the_images_that_wait_are_named(tmp_path: Path):
    rule = "{packageRules: [{matchPackageNames: ['redis'], minimumReleaseAge: '2 weeks'}]}"
    done = adopt(tmp_path, {**renovate(rule), "cache.yaml": pod("redis:7.2.4")})
    wanted = [{"images": ["docker.io/library/redis"], "minimumReleaseAge": "2 weeks"}]
    assert yaml.safe_load(done.stdout)["spec"]["require"] == wanted


def test_pinned_digests_follow_as_in_renovate(tmp_path: Path):
    texts = ("{pinDigests: true}", "{extends: ['config:best-practices'], digest: {enabled: false}}", "{extends: ['config:recommended']}")
    values = []
    for text in texts:
        policies = yaml.safe_load(adopt(tmp_path, renovate(text)).stdout)["spec"]["policies"]
        values.append(policies[0].get("digestReflectionPolicy"))
    assert values == ["Always", "IfNotPresent", None]


def test_rules_of_renovate_count_for_what_a_comment_names(tmp_path: Path):
    values = "# renovate: datasource=docker depName=redis\ntag: 7.2.4\n"
    files = {**renovate("{packageRules: [{matchDepNames: ['redis'], enabled: false}]}"), "values.yaml": values}
    policies = yaml.safe_load(adopt(tmp_path, files).stdout)["spec"]["policies"]
    assert [one["image"] for one in policies] == ["ghcr.io/acme/web"]


def adopt(folder: Path, files: dict[str, str], *options: str) -> Done:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return call("adopt", ".", *options, cwd=folder)


@pytest.mark.parametrize("case", CHOICES)
def test_the_adopted_policy_chooses_what_the_tool_chooses(case: str, tmp_path: Path):
    files, tag = CHOICES[case]
    done = adopt(tmp_path, files)
    if tag is None:
        assert done.returncode == 1, done.stdout
        assert done.stdout == ""
        return
    assert done.returncode == 0, done.stderr
    tags = yaml.safe_dump({"image": "ghcr.io/acme/web", "tags": WEB}, default_flow_style=True)
    snapshot = f"---\napiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec: {tags}"
    adopted = yaml.safe_load(done.stdout)
    wanted = [one for one in adopted["spec"]["policies"] if one["image"] == "ghcr.io/acme/web"]
    (tmp_path / "krmfn.yaml").write_text(yaml.safe_dump({**adopted, "spec": {"policies": wanted}}) + snapshot)
    assert {name: (tmp_path / name).read_text() for name in files} == files
    updated = call("update", ".", cwd=tmp_path)
    assert updated.returncode == 0, updated.stderr
    assert f"ghcr.io/acme/web:{tag}" in (tmp_path / "pod.yaml").read_text(), updated.stdout + updated.stderr


def scalars(text: str) -> list[object]:
    """Return every scalar of a document, without the keys."""
    todo: list[object] = [yaml.safe_load(text)]
    found: list[object] = []
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        else:
            found.append(one)
    return found


STRANGE = """{
  "$schema": "https://docs.renovatebot.com/renovate-schema.json",
  "extends": ["config:recommended", "github>acme/presets"],
  "hostRules": [{"matchHost": "ghcr.io", "token": "canary-token-5f3a"}],
  "minimumReleaseAge": "3 days",
  "someFutureKey": {"deep": [1, {"deeper": true}]},
  "packageRules": [
    {"matchPackageNames": ["redis"], "groupName": "caches", "minimumReleaseAge": "7 days"},
    {"matchCurrentVersion": "<1", "allowedVersions": "<2"}
  ]
}
"""
CENSUS = {
    "renovate.json": STRANGE,
    ".github/dependabot.yml": "version: 2\nregistries: {hub: {type: docker-registry, password: canary-token-5f3a}}\nupdates:\n"
    "- {package-ecosystem: docker, directory: /, cooldown: {default-days: 3}, future: [1]}\n"
    "- {package-ecosystem: npm, directory: /}\n",
    "updater.yaml": UPDATER.replace("- {alias: api,", "- {future: 1, alias: api,"),
}


@pytest.mark.parametrize("name", CENSUS)
def test_every_key_is_mapped_or_listed_with_its_line(name: str, tmp_path: Path):
    done = adopt(tmp_path, {name: CENSUS[name], "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}, "--keys")
    rows = [line for line in done.stdout.splitlines() if line.startswith(f"{name}:")]
    assert len(rows) == len(scalars(CENSUS[name])), done.stdout
    lines = CENSUS[name].splitlines()
    for row in rows:
        found = re.match(r".*?:(\d+): (\S+): .+ \((mapped|left)\)$", row)
        assert found, row
        assert found[2].rpartition(".")[2].partition("[")[0] in lines[int(found[1]) - 1], row
    assert "canary" not in done.stdout + done.stderr
    assert "canary" not in adopt(tmp_path, {}).stdout


@pytest.mark.parametrize(("policy", "fate"), [("force", "mapped"), ("minor", "left")])
def test_the_match_of_keel_counts_only_where_it_forces(policy: str, fate: str, tmp_path: Path):
    meta = f"  annotations:\n{noted('keel.sh', policy=policy, matchTag='true')}\n"
    done = adopt(tmp_path, {"pod.yaml": pod("ghcr.io/acme/web:1.0.0", meta)}, "--keys")
    assert re.search(rf"(?m)keel\.sh/matchTag: .* \({fate}\)$", done.stdout), done.stdout


@pytest.mark.parametrize("folder", ["/", ".", "./"])
def test_the_directory_of_dependabot_may_be_the_top(folder: str, tmp_path: Path):
    files = {name: text.replace("directory: /\n", f"directory: {folder}\n") for name, text in dependabot("").items()}
    policies = yaml.safe_load(adopt(tmp_path, files).stdout)["spec"]["policies"]
    assert [one["image"] for one in policies] == ["ghcr.io/acme/web"]


WORDS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=9)
EXTRA = st.recursive(WORDS | st.booleans() | st.integers(0, 99), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(CENSUS)), extra=st.dictionaries(WORDS.map("zz{}".format), EXTRA, min_size=1, max_size=4), data=st.data()
)
def test_no_key_is_dropped_whatever_stands_beside(name: str, extra: dict[str, object], data: st.DataObject, tmp_path: Path):
    tree = yaml.safe_load(CENSUS[name])
    places = [tree]
    for one in places:
        places += [inner for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list) and inner]
    where = data.draw(st.sampled_from([one for one in places if isinstance(one, dict)]))
    where.update(extra)
    text = json.dumps(tree, indent=1)
    done = adopt(tmp_path, {name: text, "pod.yaml": pod("ghcr.io/acme/web:1.0.0")}, "--keys")
    rows = [line for line in done.stdout.splitlines() if line.startswith(f"{name}:")]
    assert len(rows) == len(leaves(tree)), done.stdout
    assert all(re.fullmatch(r".*?:\d+: \S+: .+ \((mapped|left)\)", row) for row in rows)
    for key in extra:
        assert any(key in row for row in rows)


def leaves(tree: object) -> list[object]:
    """Return every scalar of a tree, and every list and mapping that is empty."""
    inner = list(tree.values()) if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [leaf for one in inner for leaf in leaves(one)] if inner else [tree]


def test_what_has_no_equal_is_told_with_file_and_line(tmp_path: Path):
    done = adopt(tmp_path, {"renovate.json": STRANGE, "pod.yaml": pod("ghcr.io/acme/web:1.0.0")})
    assert "renovate.json:6: someFutureKey.deep[1].deeper: has no equal in krmfn" in done.stderr
    assert "renovate.json:9: packageRules[1].allowedVersions: has no equal in krmfn: the condition" in done.stderr


def test_a_rule_about_something_else_is_listed_and_does_not_count(tmp_path: Path):
    rule = "{packageRules: [{matchManagers: ['github-actions'], minimumReleaseAge: '3 days'}, {matchDatasources: ['npm'], enabled: false}]}"
    done = adopt(tmp_path, renovate(rule))
    assert "require" not in yaml.safe_load(done.stdout)["spec"]
    assert "packageRules[0].minimumReleaseAge: krmfn is about images" in done.stderr
    assert "packageRules[1].enabled: krmfn is about images" in done.stderr


def test_two_tools_that_want_different_things_are_told(tmp_path: Path):
    done = adopt(tmp_path, {**argo(image_list="ghcr.io/acme/web:1.x"), **keel("patch")})
    assert len(yaml.safe_load(done.stdout)["spec"]["policies"]) == 1
    assert "has another policy from application.yaml:6" in done.stderr


def test_nothing_to_adopt_is_said(tmp_path: Path):
    done = adopt(tmp_path, {"pod.yaml": pod("ghcr.io/acme/web:1.0.0")})
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.parametrize("text", ["{", "{a: 'x}", "[[[", '{"a": "\\q"}'])
def test_configuration_that_is_no_json5_is_named(text: str, tmp_path: Path):
    done = adopt(tmp_path, {"renovate.json": text})
    assert done.returncode == 1
    assert "krmfn: error: renovate.json:" in done.stderr


@pytest.mark.timeout(90)
@pytest.mark.parametrize("unit", ["/*", '"\\"', "'", "/* ", "//", ":"])
def test_a_text_of_renovate_without_an_end_takes_linear_time(unit: str, tmp_path: Path):
    (tmp_path / "renovate.json5").write_text("{a: " + unit * 100_000)
    (tmp_path / "a.yaml").write_text("# renovate:" + "\t" * 100_000 + "\nimage: redis:7.2.4 #" + " " * 100_000 + "\n")
    (tmp_path / ".github").mkdir()
    versions = f'["{" " * 50_000}x", "1{".1" * 50_000}x"]'
    (tmp_path / ".github/dependabot.yml").write_text(
        f"updates:\n- package-ecosystem: docker\n  directory: /\n  ignore: [{{dependency-name: '*', versions: {versions}}}]\n"
    )
    done = call("adopt", ".", cwd=tmp_path)
    assert "bug" not in done.stderr
