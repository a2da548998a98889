"""Messages of docs/troubleshooting.md as real runs print them: a file or two in, the words of the page out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.running import environment, run
from tests.tools import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
SNAPSHOT = "apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {name: web}\nspec: {image: ghcr.io/acme/web, tags: [%s]}\n"
MARK = '{"$imagepolicy": "a:web"}'


def flux(policy: str, image: str = "ghcr.io/acme/web") -> str:
    """Write a repository and its policy, a:web."""
    return (
        f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: web, namespace: a}}\nspec: {{image: '{image}'}}\n---\n"
        "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {name: web, namespace: a}\n"
        f"spec: {{imageRepositoryRef: {{name: web}}, {policy}}}\n"
    )


def inline(*policies: str, more: str = "") -> str:
    """Write an ImageAutomation."""
    listed = "".join(f"  - {{{policy}}}\n" for policy in policies)
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: i, namespace: a}}\nspec:\n  policies:\n{listed}{more}"


def pod(value: str = "ghcr.io/acme/web:1.0.0", comment: str = "", annotation: str = "") -> str:
    """Write a Pod whose image may carry a comment."""
    noted = f", annotations: {{krmfn.dev/images: '{annotation}'}}" if annotation else ""
    tail = f" # {comment}" if comment else ""
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web{noted}}}\nspec:\n  containers:\n  - name: web\n    image: {value}{tail}\n"


SEMVER = "policy: {semver: {range: 1.x}}"
WEB = f"name: web, image: ghcr.io/acme/web, {SEMVER}"
TAGS = SNAPSHOT % "1.0.0, 1.2.0"
FIXED = flux(SEMVER)
LOCK = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: l}\nspec:\n  images: [%s]\n"
OTHER = '{policy: "a:web", image: ghcr.io/acme/web, tag: 1.0.0, policyHash: "0"}'
CASES: dict[str, tuple[str, ...]] = {
    "not valid YAML: …": (FIXED, TAGS, pod(comment=MARK), '{{ x }}: [ # "$imagepolicy"\n'),
    "key … is given twice in one mapping": (inline(WEB, more="  mode: check\n  mode: update\n"),),
    "holds …, but was …": (FIXED, TAGS, pod(comment=MARK), '{{ x }}: [ # "$imagepolicy"\n'),
    "unknown field; …": (inline(WEB, more="  onEror: keep\n"),),
    "required: …": (inline("name: web"),),
    "expected one of …, found …": (inline(WEB, more="  mode: chek\n"),),
    "policy … is defined twice, also by …: rename one": (
        FIXED,
        flux("policy: {semver: {range: 2.x}}").partition("---\n")[2],
    ),
    "image '…' should not include a tag; remove ':…'": (flux(SEMVER, "ghcr.io/acme/web:1"),),
    "… is not an image reference: …": (flux(SEMVER, "ghcr.io/Acme/web"),),
    "invalid policy: given ImagePolicyChoice object is invalid: …": (flux("policy: {semvr: {range: 1.x}}"),),
    "improper constraint: …": (flux("policy: {semver: {range: '>=1 <'}}"),),
    "failed to filter tags: invalid regular expression pattern '…': …": (
        flux(f"filterTags: {{pattern: '(?!x)'}}, {SEMVER}"),
    ),
    "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'": (
        flux(f"digestReflectionPolicy: Always, {SEMVER}"),
    ),
    "referenced ImageRepository does not exist: …": (FIXED.partition("---\n")[2], pod(comment=MARK)),
    "expected exactly one of path, containers": (inline(WEB, more="  targets:\n  - {policy: web}\n"),),
    "there is a second TagSnapshot of …: keep one": (FIXED, TAGS, TAGS),
    "hold policy …: name one with spec.lock of an ImageAutomation, or keep one": (
        FIXED, LOCK % OTHER, (LOCK % OTHER).replace("name: l", "name: m"),
    ),
    "unable to determine latest version from provided list": (FIXED, SNAPSHOT % "2.0.0", pod(comment=MARK)),
    "none is a version with three parts, such as …": (FIXED, SNAPSHOT % "main", pod(comment=MARK)),
    "version list argument cannot be empty: no tag matches filterTags …": (
        flux(f"filterTags: {{pattern: x}}, {SEMVER}"),
        TAGS,
        pod(comment=MARK),
    ),
    "no tags in database: version list argument cannot be empty": (FIXED, SNAPSHOT % "a.sig", pod(comment=MARK)),
    "failed to parse invalid numeric value '…'": (
        flux("policy: {numerical: {}}"),
        SNAPSHOT % "'1', x",
        pod(comment=MARK),
    ),
    "policy … is bound to no field: …": (FIXED, TAGS, pod()),
    "… names policy …, which is not configured": (FIXED, TAGS, pod(comment='{"$imagepolicy": "a:wep"}')),
    "… names no policy: expected …": (FIXED, TAGS, pod(comment='{"$imagepolicy": "a:web:tags"}')),
    "… names policy …, whose bind leaves …": (inline(f"{WEB}, bind: [images]"), TAGS, pod(comment=MARK)),
    "two policies for one image: …": (inline(WEB, WEB.replace("name: web", "name: two")), TAGS, pod()),
    "two policies for one field: …": (
        inline(WEB, WEB.replace("name: web", "name: two")),
        TAGS,
        pod(comment=MARK, annotation='{"web": "a:two"}'),
    ),
    "there is no container with an image named": (FIXED, TAGS, pod(annotation='{"wep": "a:web"}')),
    "… is no scalar: left as it is": (FIXED, TAGS, pod(annotation='{"$.spec.containers": "a:web"}')),
    "…: kept …: the policy accepts it and it is newer than …": (FIXED, TAGS, pod("ghcr.io/acme/web:1.9.0", MARK)),
    "policy … is suspended: skipped": (flux(f"suspend: true, {SEMVER}"), TAGS, pod(comment=MARK)),
    "; kept as it is": (inline(WEB, more="  onError: keep\n"), SNAPSHOT % "2.0.0", pod()),
    "policy … has no digest for a :digest field": (FIXED, TAGS, pod('""', MARK.replace("a:web", "a:web:digest"))),
    "cannot write …: …": (FIXED, TAGS, pod("!x y", MARK)),
    "there is no lock (an item of kind ImageLock)": (inline(WEB, more="  mode: frozen\n"), TAGS, pod()),
    "the lock has no entry for this policy": (inline(WEB, more="  mode: frozen\n"), LOCK % "", pod()),
    "the lock was made by other rules (…)": (inline(WEB, more="  mode: frozen\n"), LOCK % OTHER, pod()),
    "; the TagSnapshot holds no … of tag …": (inline(f"{WEB}, digestReflectionPolicy: Always"), TAGS, pod()),
    "would change": (inline(WEB, more="  mode: check\n"), TAGS, pod()),
    "… may not be asked: KRMFN_ALLOWED_REGISTRIES allows …": (FIXED, pod(comment=MARK)),
}


def test_the_cases_are_of_the_page():
    assert len(CASES) >= 40
    assert not [message for message in CASES if f"`{message}`" not in PAGE]


@pytest.mark.parametrize("message", CASES)
def test_the_message_is_printed(message: str, tmp_path: Path):
    for number, text in enumerate(CASES[message]):
        (tmp_path / f"{number}.yaml").write_text(text)
    done = run(["krmfn", "update", "."], cwd=tmp_path, env=environment(KRMFN_ALLOWED_REGISTRIES="nowhere.example"))
    pattern = "(?:.*)".join(re.escape(part) for part in message.split("…"))
    assert re.search(pattern, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    is_error = "krmfn: error:" in done.stderr
    assert done.returncode == (1 if is_error else 10 if "would change" in done.stderr else 0), done.stderr
