"""`krmfn create image`: flux's flags, flux's checks, and what they print can be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from krmfn.config.loading import load
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import images
from tests.running import run, succeed

POLICY = ("policy", "web", "--image-ref", "web")
UPDATE = (
    "update",
    "apps",
    "--git-repo-ref=flux-system",
    "--checkout-branch=main",
    "--author-name=flux",
    "--author-email=flux@acme.example",
)


def create(*arguments: str):
    return run(["krmfn", "create", "image", *arguments])


def test_a_policy_of_versions_is_printed_for_krmfn_alone() -> None:
    done = create(*POLICY, "--select-version", "minor")
    assert "config.kubernetes.io/local-config" in done.stdout
    assert "Flux's controllers know no policy version" in done.stderr
    (printed,) = documents(Text(done.stdout.encode()))
    (repository,) = documents(Text(create("repository", "web", "--image", "ghcr.io/acme/web").stdout.encode()))
    (policy,) = load([printed, repository]).policies.values()
    assert policy.rules.described == "version within minor"


def test_a_policy_is_printed_as_flux_exports_it():
    assert create(*POLICY, "--select-semver", "4.0.x", "--export").stdout == (
        "---\napiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata:\n  name: web\n  namespace: flux-system\n"
        "spec:\n  imageRepositoryRef:\n    name: web\n  policy:\n    semver:\n      range: 4.0.x\n"
    )


def test_what_looks_like_a_number_is_quoted():
    text = create(*POLICY, "--select-semver", "4.0").stdout
    assert 'range: "4.0"' in text


WRONG = {
    "no image-ref": (("policy", "web", "--select-semver", "1.x"), "the name of an ImageRepository in the namespace is required (--image-ref)"),
    "no policy": (POLICY, "a policy must be provided with either --select-semver, --select-alpha or --select-numeric"),
    "alpha and numeric": ((*POLICY, "--select-alpha=asc", "--select-numeric=asc"), "only one of --select-semver, --select-alpha or --select-numeric can be specified"),
    "semver and alpha": ((*POLICY, "--select-semver=1.x", "--select-alpha=asc"), "only one of --select-semver, --select-alpha or --select-numeric can be specified"),
    "semver and numeric": ((*POLICY, "--select-semver=1.x", "--select-numeric=asc"), "only one of --select-semver, --select-alpha or --select-numeric can be specified"),
    "semver and version": ((*POLICY, "--select-semver=1.x", "--select-version=minor"), "--select-version can not be used with another --select flag"),
    "a bound that is none": ((*POLICY, "--select-version=mayor"), "spec.policy.version.within: invalid policy: expected one of patch, minor, major, found 'mayor'"),
    "a range that is none": ((*POLICY, "--select-semver=newest"), 'improper constraint: "newest"'),
    "an empty range": ((*POLICY, "--select-semver="), "improper constraint"),
    "alpha up": ((*POLICY, "--select-alpha=up"), '--select-alpha must be one of ["asc", "desc"]'),
    "numeric up": ((*POLICY, "--select-numeric=up"), '--select-numeric must be one of ["asc", "desc"]'),
    "a regex that is none": ((*POLICY, "--select-alpha=asc", "--filter-regex=("), "--filter-regex is an invalid regex pattern"),
    "extract alone": ((*POLICY, "--select-alpha=asc", "--filter-extract=$x"), "cannot specify --filter-extract without specifying --filter-regex"),
    "extract of nothing": ((*POLICY, "--select-alpha=asc", "--filter-regex=(?P<a>.)", "--filter-extract=$b"), "capture group $b used in --filter-extract not found in --filter-regex"),
    "extract beyond": ((*POLICY, "--select-alpha=asc", "--filter-regex=(.)", "--filter-extract=$2"), "capture group $2 used in --filter-extract not found in --filter-regex"),
    "extract malformed": ((*POLICY, "--select-alpha=asc", "--filter-regex=(.)", "--filter-extract=$-"), "--filter-extract is malformed"),
    "a reflection that is none": ((*POLICY, "--select-alpha=asc", "--reflect-digest=Sometimes"), "invalid value for --reflect-digest, must be one of 'Never', 'IfNotPresent', 'Always'"),
    "an interval without Always": ((*POLICY, "--select-alpha=asc", "--interval=10m"), "use --reflect-digest=Always"),
    "Always without interval": ((*POLICY, "--select-alpha=asc", "--reflect-digest=Always"), "needs --interval"),
    "no image": (("repository", "web"), "an image repository (--image) is required"),
    "an image with a tag": (("repository", "web", "--image=nginx:1"), "unable to parse image value: image 'nginx:1' should not include a tag; remove ':1'"),
    "an image with a scheme": (("repository", "web", "--image=https://nginx"), "should not include URL scheme"),
    "an interval that is none": (("repository", "web", "--image=nginx", "--interval=often"), "expected a duration"),
    "no git repository": (("update", "apps", "--checkout-branch=main"), "a reference to a GitRepository is required (--git-repo-ref)"),
    "no branch": (("update", "apps", "--git-repo-ref=x"), "the Git repository branch is required (--checkout-branch)"),
    "no author": (("update", "apps", "--git-repo-ref=x"), "the author email is required (--author-email)"),
    "a key type without key": ((*UPDATE, "--signing-key-type=ssh"), "--signing-key-type needs --signing-key-secret"),
    "a removed field": ((*UPDATE, "--commit-template={{range .Updated.Images}}{{println .}}{{end}}"), "template uses removed '.Updated' field"),
    "a template that is none": ((*UPDATE, "--commit-template={{if}}"), "unable to create commit message template from spec"),
    "a name that is none": (("repository", "Web", "--image=nginx"), "'Web' is no name for an object"),
    "a label that is none": (("repository", "web", "--image=nginx", "--label=x"), "must be key=value"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_and_nothing_printed(case: str):
    arguments, said = WRONG[case]
    done = create(*arguments)
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (1, "")


def test_an_update_carries_everything_that_was_given():
    text = create(
        *UPDATE, "--push-branch=images", "--git-repo-path=./apps", "--git-repo-namespace=other", "--signing-key-secret=key",
        "--signing-key-type=ssh", "--commit-template={{ len .Changed.Changes }} images", "--interval=1h", "-n", "apps", "--label", "a=b",
    ).stdout  # fmt: skip
    assert yaml.safe_load(text) == {
        "apiVersion": "image.toolkit.fluxcd.io/v1",
        "kind": "ImageUpdateAutomation",
        "metadata": {"labels": {"a": "b"}, "name": "apps", "namespace": "apps"},
        "spec": {
            "git": {
                "checkout": {"ref": {"branch": "main"}},
                "commit": {
                    "author": {"email": "flux@acme.example", "name": "flux"},
                    "messageTemplate": "{{ len .Changed.Changes }} images",
                    "signingKey": {"secretRef": {"name": "key"}, "type": "ssh"},
                },
                "push": {"branch": "images"},
            },
            "interval": "1h",
            "sourceRef": {"kind": "GitRepository", "name": "flux-system", "namespace": "other"},
            "update": {"path": "./apps", "strategy": "Setters"},
        },
    }


def test_what_is_created_can_be_used(tmp_path: Path):
    made = create("repository", "web", "--image", "ghcr.io/acme/web").stdout
    made += create("policy", "web", "--image-ref", "web", "--select-semver", "~1.2").stdout
    (tmp_path / "policies.yaml").write_text(made)
    (tmp_path / "pod.yaml").write_text(
        'kind: Pod\nspec:\n  image: ghcr.io/acme/web:1.2.0 # {"$imagepolicy": "flux-system:web"}\n'
    )
    succeed(["krmfn", "update", ".", "--source", f"layout:{images.BUNDLED}"], cwd=tmp_path)
    assert "ghcr.io/acme/web:1.2.1 #" in (tmp_path / "pod.yaml").read_text()


def shown(kind: str) -> list[str]:
    """Read the examples of a help page."""
    page = succeed(["krmfn", "create", "image", kind, "--help"])
    text = page.partition("Examples:\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    return [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize("kind", ["repository", "policy", "update"])
def test_the_examples_of_the_help_work(kind: str):
    examples = shown(kind)
    assert examples
    for example in examples:
        done = run(["bash", "-c", example])
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        assert yaml.safe_load(done.stdout)["kind"].startswith("Image")
