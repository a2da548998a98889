"""`update.annotate`: what is recorded on resources that lack the usual metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from krmfn import pipeline
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

TAGS = StaticTags({"ghcr.io/acme/web": {"1.0.0": "", "1.2.0": ""}})
LIST = """\
apiVersion: config.kubernetes.io/v1
kind: ResourceList
functionConfig:
  apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {name: images}
  spec:
    policies: [{name: web, image: ghcr.io/acme/web, policy: {semver: {range: "1.x"}}}]
    update: {annotate: true}
items:
"""
SPEC = "  spec: {containers: [{name: a, image: 'ghcr.io/acme/web:1.0.0'}]}\n"


def update(head: str) -> Outcome:
    return pipeline.run(Text((LIST + head + SPEC).encode()), lambda _: TAGS)


def test_a_resource_without_metadata_is_updated_and_nothing_is_recorded_with_a_warning():
    outcome = update("- apiVersion: v1\n  kind: Pod\n")
    assert [one.message for one in outcome.results if one.severity == "warning"] == [
        "the choice is not recorded in the annotations: the resource has no metadata to hold them"
    ]
    assert b"ghcr.io/acme/web:1.2.0" in outcome.text
    assert b"fluxcd.io/tag" not in outcome.text


@pytest.mark.parametrize("metadata", ["{generateName: web-}", "", "{}", "{name: web}"])
def test_a_resource_with_any_metadata_gets_the_record(metadata: str):
    outcome = update(f"- apiVersion: v1\n  kind: Pod\n  metadata: {metadata}\n")
    assert [one.severity for one in outcome.results] == ["info"]
    (item,) = yaml.safe_load(outcome.text)["items"]
    assert item["metadata"]["annotations"] == {"fluxcd.io/tag.web": "1.2.0"}


@pytest.mark.parametrize(
    "head", ["- kind: Pod\n", "- apiVersion: kustomize.config.k8s.io/v1beta1\n  kind: Component\n"]
)
def test_what_is_no_object_of_a_cluster_is_passed_over_in_silence(head: str):
    outcome = update(head)
    assert [one.severity for one in outcome.results] == ["info"]
    assert b"fluxcd.io/tag" not in outcome.text


def test_a_name_alone_records_no_tag_that_nobody_chose():
    """A policy that follows what is deployed has no choice for a lone `:name` field; an empty tag was recorded once."""
    config = LIST.replace('semver: {range: "1.x"}', "version: {}")
    marker = '{"$imagepolicy": "default:web:name"}'
    item = f"- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: c}}\n  data:\n    repository: ghcr.io/acme/old # {marker}\n"
    outcome = pipeline.run(Text((config + item).encode()), lambda _: TAGS)
    assert b"repository: ghcr.io/acme/web # " in outcome.text
    assert b"fluxcd.io/tag" not in outcome.text
    assert [(one.severity, one.code) for one in outcome.results] == [("info", "changed")]


def test_an_annotation_that_a_policy_is_bound_to_is_not_written_twice():
    marker = '{"$imagepolicy": "default:web:tag"}'
    head = f"- apiVersion: v1\n  kind: Pod\n  metadata:\n    annotations:\n      fluxcd.io/tag.web: 1.0.0 # {marker}\n"
    outcome = update(head)
    assert [one.message for one in outcome.results if one.severity == "warning"] == [
        "the choice is not recorded in the annotations: a policy is bound to that very annotation"
    ]
    assert outcome.text.count(b"fluxcd.io/tag.web: 1.2.0 # ") == 1
    assert b"image: 'ghcr.io/acme/web:1.2.0'" in outcome.text
