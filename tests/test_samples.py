"""Real stdin of kustomize and kpt goes through unharmed: not one byte without a policy, only the spans with one."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from krmfn import pipeline
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit.text import Text

SAMPLES = sorted((Path(__file__).parent.parent / "fixtures" / "samples").glob("*.yaml"))
POLICIES = b"""functionConfig:
  apiVersion: krmfn.dev/v1alpha1
  kind: ImageAutomation
  metadata: {name: images}
  spec:
    policies:
    - {name: web, namespace: flux-system, image: ghcr.io/acme/web, policy: {semver: {range: 1.x}}}
    - {name: agent, namespace: flux-system, image: quay.io/acme/agent, policy: {alphabetical: {}}}
    - {name: pg, namespace: flux-system, image: postgres, policy: {numerical: {}}}
    - {name: busybox, namespace: flux-system, image: busybox, policy: {semver: {range: ^1.36}}}
    - {name: reps, namespace: ns, image: acme/reps, policy: {numerical: {}}}
"""
TAGS = {
    "ghcr.io/acme/web": ["1.0.0", "1.9.0", "2.0.0"],
    "quay.io/acme/agent": ["v1", "v2"],
    "docker.io/library/postgres": ["15.1", "15.10", "16"],
    "docker.io/library/busybox": ["1.36", "1.36.0", "1.37.1"],
    "docker.io/acme/reps": ["3", "4"],
}


def without_function_config(data: bytes) -> bytes:
    """Take the functionConfig out; it is the last key of every capture."""
    return data.partition(b"\nfunctionConfig:")[0].rstrip(b"\n") + b"\n"


def test_the_samples_are_there():
    assert len(SAMPLES) >= 20


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_without_policies_comes_out_as_it_went_in(sample):
    data = without_function_config(sample.read_bytes())
    done = subprocess.run([sys.executable, "-I", "-m", "krmfn"], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    if sample.stem == "kustomize_5.8.1_localconfig_items.stdin":  # its ImagePolicies have no ImageRepository
        assert done.stdout.startswith(data)
        assert b"referenced ImageRepository does not exist" in done.stderr
        return
    assert done.stdout == data
    note = b"krmfn: note: the items hold markers, but no policy is configured: nothing was looked up\n"
    assert done.stderr == (note if b"$imagepolicy" in data else b"")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_with_policies_only_the_expected_values_change(sample):
    data = without_function_config(sample.read_bytes()) + POLICIES
    outcome = pipeline.run(Text(data), lambda _: StaticTags({name: dict.fromkeys(tags) for name, tags in TAGS.items()}))
    assert not outcome.is_error, outcome.results
    body = outcome.text.partition(b"\nresults:\n")[0].rstrip(b"\n").split(b"\n")
    before = data.rstrip(b"\n").split(b"\n")
    assert len(body) == len(before)
    changed = [(old, new) for old, new in zip(before, body, strict=True) if old != new]
    made = [one.field for one in outcome.results if one.field and one.field.current and one.field.proposed]
    assert len(changed) == len(made)
    for field in made:
        current, proposed = str(field.current).encode(), str(field.proposed).encode()
        pair = next(pair for pair in changed if pair[0].replace(current, proposed) == pair[1])
        changed.remove(pair)


def test_some_sample_changes_in_every_way():
    changed = set()
    for sample in SAMPLES:
        data = without_function_config(sample.read_bytes()) + POLICIES
        outcome = pipeline.run(
            Text(data), lambda _: StaticTags({name: dict.fromkeys(tags) for name, tags in TAGS.items()})
        )
        changed |= {result.field.proposed for result in outcome.results if result.field and result.field.proposed}
        assert yaml.load(outcome.text, yaml.BaseLoader)["kind"] == "ResourceList"
    assert {"ghcr.io/acme/web:1.9.0", "quay.io/acme/agent:v2", "16", "busybox:1.37.1", "acme/reps:4"} <= changed
