"""Rules from outside in the builds of others: `KRMFN_RULES` reaches the function through kustomize and kpt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import tools
from tests.running import environment, succeed

LOCAL = '{annotations: {config.kubernetes.io/local-config: "true"}, name: NAME}'
POD = 'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: "ghcr.io/acme/web:1.0.0"}]}\n'
AUTOMATION = """\
apiVersion: krmfn.dev/v1alpha1
kind: ImageAutomation
metadata:
  name: images
  annotations:
    config.kubernetes.io/local-config: "true"
    config.kubernetes.io/function: |
      exec: {path: krmfn}
spec:
  policies: [{name: web, image: ghcr.io/acme/web, policy: {semver: {range: ">=1.0.0"}}}]
"""
SEEN = ", ".join(
    f'{{name: "{tag}", firstSeen: "2026-{day}T00:00Z"}}' for tag, day in (("1.0.0", "01-01"), ("1.1.0", "11-01"), ("1.2.0", "11-19"))
)
TAGS = f'apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {LOCAL.replace("NAME", "web")}\nspec: {{image: ghcr.io/acme/web, time: "2026-11-20T00:00Z", tags: [{SEEN}]}}\n'
LOCK = (
    f'apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {LOCAL.replace("NAME", "images")}\n'
    'spec: {images: [{policy: "default:web", image: ghcr.io/acme/web, tag: "1.0.0", policyHash: "00ff"}]}\n'
)
RULES = 'apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec: {require: [{images: ["ghcr.io/acme/**"], minimumReleaseAge: 7 days}]}\n'
FORGED = TAGS.replace("2026-11-19T", "2026-01-02T")
"""A change that lets 1.2.0 look old."""
EXPECTED = {"": "1.2.0", "floor": "1.1.0"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for folder in ("change", "floor"):
        (tmp_path / folder).mkdir()
    for name, text in (("pod.yaml", POD), ("tags.yaml", FORGED), ("lock.yaml", LOCK), ("automation.yaml", AUTOMATION)):
        (tmp_path / "change" / name).write_text(text)
    for name, text in (("rules.yaml", RULES), ("tags.yaml", TAGS), ("lock.yaml", LOCK)):
        (tmp_path / "floor" / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("rules", EXPECTED)
def test_kustomize_builds_under_rules_from_outside(rules: str, place: Path):
    (place / "change" / "kustomization.yaml").write_text("resources: [pod.yaml, tags.yaml, lock.yaml]\ntransformers: [automation.yaml]\n")
    env = environment(KRMFN_RULES=str(place / rules) if rules else "")
    built = succeed([tools.require("kustomize"), "build", "--enable-alpha-plugins", "--enable-exec", place / "change"], env=env)
    assert f"ghcr.io/acme/web:{EXPECTED[rules]}\n" in built


@pytest.mark.parametrize("rules", EXPECTED)
def test_kpt_renders_under_rules_from_outside(rules: str, place: Path):
    package = shutil.copytree(place / "change", place / "package")
    (package / "Kptfile").write_text(
        "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: package}\npipeline: {mutators: [{exec: krmfn, configPath: automation.yaml}]}\n"
    )
    env = environment(KRMFN_RULES=str(place / rules) if rules else "")
    succeed([tools.require("kpt"), "fn", "render", package, "--allow-exec"], env=env)
    assert f'"ghcr.io/acme/web:{EXPECTED[rules]}"' in (package / "pod.yaml").read_text()
