"""Frozen, and a registry that cannot be reached: when a record decides, and when it must not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from krmfn.errors import RegistryError
from tests.lists import IMAGE, Tags, digest, down, images, locked, messages, pod, policy, relocked, resource_list, run

TAGS = ["1.0.0", "1.2.0", "1.3.1", "2.0.0"]
RANGE = 'semver: {range: ">=1.2.0 <2.0.0"}'
POD = pod(f"{IMAGE}:1.2.0")
HASH = re.compile("[0-9a-f]{16}")


def record(*documents):
    return relocked(*(documents or (policy(RANGE), POD)), tags=Tags({IMAGE: TAGS}))


def frozen(*documents, tags=None):
    tags = tags or Tags({})
    outcome = run(resource_list(*documents), tags, KRMFN_MODE="frozen")
    assert tags.asked == []
    return outcome


def test_frozen_writes_the_very_bytes_of_the_online_run():
    documents = policy(RANGE), POD, record()
    online = run(resource_list(*documents), Tags({IMAGE: TAGS}))
    assert images(online) == [f"{IMAGE}:1.3.1"]
    assert frozen(*documents).text == online.text


def test_frozen_takes_the_lock_although_there_are_newer_tags():
    outcome = frozen(policy(RANGE), POD, record(), tags=Tags({IMAGE: [*TAGS, "1.9.9"]}))
    assert images(outcome) == [f"{IMAGE}:1.3.1"]


@pytest.mark.parametrize("reflection", ["IfNotPresent", "Always"])
def test_frozen_pins_the_digest_of_the_lock(reflection):
    documents = policy(RANGE, reflection), POD
    outcome = frozen(*documents, record(*documents))
    assert images(outcome) == [f"{IMAGE}:1.3.1@{digest(f'{IMAGE}:1.3.1')}"]


def other(**changes):
    """Return a lock whose one entry is changed by hand."""
    text = record()
    for name, value in changes.items():
        text = re.sub(rf"\b{name}: .*", f"{name}: {value}", text)
    return text


MISTAKES = [
    ("no lock", [policy(RANGE), POD], "there is no lock (an item of kind ImageLock), and mode frozen takes every choice from one: run krmfn fetch"),
    ("no entry", [policy(RANGE), POD, record().replace("flux:web", "flux:other")], "the lock has no entry for this policy: run krmfn fetch"),
    ("other rules", [policy("semver: {range: 1.x}"), POD, record()], "the lock was made by other rules (policyHash "),
    ("a tag that was put in by hand", [policy(RANGE), POD, other(tag="2.0.0")], "the lock holds tag 2.0.0, which the policy (semver >=1.2.0 <2.0.0) does not accept"),
    ("an image that was put in by hand", [policy(RANGE), POD, other(image="evil.example/web")], "the lock names evil.example/web, and the policy chooses ghcr.io/acme/web"),
]  # fmt: skip


@pytest.mark.parametrize(("documents", "message"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_frozen_fails_and_says_what_mends_it(documents, message):
    outcome = frozen(*documents)
    assert outcome.is_error
    assert images(outcome) == [f"{IMAGE}:1.2.0"]
    assert messages(outcome, "error")[0].startswith(f"policy flux:web: {message}")
    assert "run krmfn fetch on the package to " in messages(outcome, "error")[0]


def test_on_error_keep_does_not_hide_a_missing_entry():
    outcome = run(resource_list(policy(RANGE), POD), Tags({}), KRMFN_MODE="frozen", KRMFN_ON_ERROR="keep")
    assert outcome.is_error


def test_a_policy_that_wants_a_digest_needs_one_in_the_lock():
    documents = policy(RANGE, "Always"), POD
    text = record(*documents)
    outcome = frozen(*documents, re.sub(r" *digest: .*\n", "", text))
    assert "the lock holds no digest, and the policy wants one" in messages(outcome, "error")[0]


def test_frozen_needs_entries_only_for_policies_that_fields_may_take():
    outcome = frozen(policy(RANGE), policy(name="unused", image="ghcr.io/acme/unused"), POD, record())
    assert not outcome.is_error


@pytest.mark.parametrize("failure", ["unavailable", "rate-limited"])
def test_a_registry_that_cannot_be_reached_gives_way_to_the_lock(failure):
    tags = Tags({}, {IMAGE: RegistryError(failure, IMAGE, "https://ghcr.io: the host name cannot be looked up")})
    documents = policy(RANGE), POD, record()
    outcome = run(resource_list(*documents), tags)
    assert images(outcome) == [f"{IMAGE}:1.3.1"]
    assert messages(outcome, "warning") == [
        f"{IMAGE}: https://ghcr.io: the host name cannot be looked up; the lock decided instead: 1.3.1"
    ]
    assert locked(outcome)[0]["tag"] == "1.3.1"


def test_an_integrity_error_never_gives_way():
    tags = Tags({}, {IMAGE: RegistryError("integrity", IMAGE, "the certificate cannot be trusted")})
    assert run(resource_list(policy(RANGE), POD, record()), tags).is_error


def test_an_unreachable_registry_and_a_lock_of_other_rules_are_told_together():
    outcome = run(resource_list(policy("semver: {range: 1.x}"), POD, record()), down())
    assert (
        "the host name cannot be looked up; no record stands in: the lock was made by other rules"
        in messages(outcome, "error")[0]
    )


KUBECTL = Path(__file__).parent.parent / "fixtures" / "kubectl-get-imagepolicy.yaml"


def test_what_the_cluster_resolved_renders_anywhere():
    """`kubectl get imagepolicy -A -o yaml`: a List, no ImageRepository in sight."""
    from_cluster = KUBECTL.read_text()
    pods = (
        pod(f"{IMAGE}:1.2.0", setter="flux-system:web"),
        pod("ghcr.io/acme/api:1.0", name="api", setter="flux-system:api"),
    )
    outcome = frozen(from_cluster, *pods)
    assert images(outcome) == [f"{IMAGE}:1.3.1@{digest('web')}", "ghcr.io/acme/api:1.10"]


def test_a_policy_may_come_twice_as_written_and_as_resolved():
    written, resolved = (
        policy(RANGE),
        policy(RANGE).partition("---\n")[2] + f"status:\n  latestRef: {{name: {IMAGE}, tag: 1.3.1}}\n",
    )
    assert images(frozen(written, resolved, POD)) == [f"{IMAGE}:1.3.1"]
    assert images(frozen(resolved, written, POD)) == [f"{IMAGE}:1.3.1"]
    other = resolved.replace("<2.0.0", "<3.0.0")
    assert "is defined twice" in messages(run(resource_list(written, other, POD), Tags({})), "error")[0]


def test_status_that_the_policy_does_not_accept_is_refused():
    status = f"status:\n  latestRef: {{name: {IMAGE}, tag: 2.0.0}}\n"
    outcome = frozen(policy(RANGE, more=status), POD)
    assert "status.latestRef holds tag 2.0.0, which the policy" in messages(outcome, "error")[0]


def test_status_of_another_repository_is_refused():
    status = "status:\n  latestRef: {name: ghcr.io/acme/other, tag: 1.3.1}\n"
    outcome = frozen(policy(RANGE, more=status), POD)
    assert (
        "status.latestRef names ghcr.io/acme/other, and the policy chooses ghcr.io/acme/web"
        in messages(outcome, "error")[0]
    )


def test_the_lock_counts_more_than_status():
    status = f"status:\n  latestRef: {{name: {IMAGE}, tag: 1.2.0}}\n"
    assert images(frozen(policy(RANGE, more=status), POD, record())) == [f"{IMAGE}:1.3.1"]


def test_status_stands_in_for_an_unreachable_registry():
    status = f"status:\n  latestRef: {{name: {IMAGE}, tag: 1.3.1}}\n"
    outcome = run(resource_list(policy(RANGE, more=status), POD), down())
    assert images(outcome) == [f"{IMAGE}:1.3.1"]
    assert "status.latestRef decided instead" in messages(outcome, "warning")[0]


def test_check_mode_fails_for_an_image_and_for_the_lock():
    outcome = run(
        resource_list(policy(RANGE), POD, record().replace("1.3.1", "1.2.0")), Tags({IMAGE: TAGS}), KRMFN_MODE="check"
    )
    errors = messages(outcome, "error")
    assert sorted(error.partition(":")[0] for error in errors) == [
        "would change ghcr.io/acme/web",
        "would change the lock",
    ]
    assert outcome.text.startswith(resource_list(policy(RANGE), POD))
    current = run(
        resource_list(policy(RANGE), pod(f"{IMAGE}:1.3.1"), record()), Tags({IMAGE: TAGS}), KRMFN_MODE="check"
    )
    assert not current.is_error


def test_a_policy_hash_is_in_every_lock():
    assert HASH.search(record())
