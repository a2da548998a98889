"""Digests: what Flux's reflection policies mean here, whatever holds the state; and tags that were pushed again."""

from __future__ import annotations

import pytest

from tests.lists import (
    IMAGE,
    Tags,
    digest,
    down,
    images,
    lock,
    locked,
    messages,
    pod,
    policy,
    relocked,
    resource_list,
    run,
)
from tests.tables import rows

ROWS = rows("flux_policy", "digest_reflection")


def generation(row, number):
    return Tags({IMAGE: {tag: digest(f"{tag} {number}") for tag in row["tags"]}})


def expected(of):
    return digest(f"{of['digest_of']} {of['generation']}") if of else None


def policy_of(one, status=""):
    rule = f'semver: {{range: "{one["policy"]["semver"]["range"]}"}}'
    return policy(rule, one["digestReflectionPolicy"] or "Never", more=status)


def pinned(outcome):
    return images(outcome)[0].partition("@")[2] or None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_flux_digest_reflection_with_the_state_in_the_manifest(row):
    one = run(resource_list(policy_of(row["pass1"]), pod(f"{IMAGE}:v1.0.0")), generation(row, 1))
    assert pinned(one) == expected(row["pass1"]["expected_digest"])
    data = resource_list(policy_of(row["pass2"]), pod(images(one)[0]))
    two = run(data, generation(row, 2), KRMFN_KEEP_PINS="false")
    assert pinned(two) == expected(row["pass2"]["expected_digest"])
    kept = run(data, generation(row, 2))
    assert pinned(kept) == (expected(row["pass2"]["expected_digest"]) or pinned(one))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_flux_digest_reflection_with_the_state_in_the_lock(row):
    held = relocked(policy_of(row["pass1"]), pod(f"{IMAGE}:v1.0.0"), tags=generation(row, 1))
    two = run(resource_list(policy_of(row["pass2"]), pod(f"{IMAGE}:v1.0.0"), held), generation(row, 2))
    assert pinned(two) == expected(row["pass2"]["expected_digest"])
    assert [entry.get("digest") for entry in locked(two)] == [pinned(two)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_flux_digest_reflection_with_the_state_in_status(row):
    one = run(resource_list(policy_of(row["pass1"]), pod(f"{IMAGE}:v1.0.0")), generation(row, 1))
    known = f", digest: {pinned(one)}" if pinned(one) else ""
    status = f"status:\n  latestRef: {{name: {IMAGE}, tag: v1.1.1{known}}}\n"
    two = run(resource_list(policy_of(row["pass2"], status), pod(f"{IMAGE}:v1.0.0")), generation(row, 2))
    assert pinned(two) == expected(row["pass2"]["expected_digest"])


def test_never_and_a_kept_digest_ask_for_nothing():
    tags = Tags({IMAGE: ["1.2.0"]})
    run(resource_list(policy(reflection="Never"), pod(f"{IMAGE}:1.0.0")), tags)
    run(resource_list(policy(reflection="IfNotPresent"), pod(f"{IMAGE}:1.2.0@{digest('old')}")), tags)
    assert tags.asked == [IMAGE, IMAGE]


AGAIN = [
    ("Always", "the pin moves with it", digest("new")),
    ("IfNotPresent", "", digest("old")),
]


@pytest.mark.parametrize(("reflection", "end", "left"), AGAIN, ids=[row[0] for row in AGAIN])
@pytest.mark.parametrize("holder", ["lock", "manifest"])
def test_a_tag_pushed_again_is_reported_when_it_is_seen(holder, reflection, end, left):
    documents = [
        policy(reflection=reflection),
        pod(f"{IMAGE}:1.2.0@{digest('old')}" if holder == "manifest" else f"{IMAGE}:1.2.0"),
    ]
    if holder == "lock":
        documents.append(relocked(*documents, tags=Tags({IMAGE: {"1.2.0": digest("old")}})))
    outcome = run(resource_list(*documents), Tags({IMAGE: {"1.2.0": digest("new")}}))
    assert images(outcome) == [f"{IMAGE}:1.2.0@{left}"]
    warned = messages(outcome, "warning")
    assert len(warned) == bool(end)
    if end:
        assert warned[0].startswith(f"{IMAGE}: tag 1.2.0 was pushed again")
        assert warned[0].endswith(end)


@pytest.mark.parametrize("reflection", ["Always", "IfNotPresent"])
@pytest.mark.parametrize("holder", ["lock", "manifest"])
def test_a_tag_pushed_again_is_an_error_under_immutable_tags(holder, reflection):
    inline = (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: images, namespace: flux}}\nspec:\n"
        f"  immutableTags: true\n  policies:\n  - {{name: web, image: {IMAGE}, policy: {{semver: {{range: '*'}}}}, digestReflectionPolicy: {reflection}}}\n"
    )
    documents = [inline, pod(f"{IMAGE}:1.2.0@{digest('old')}" if holder == "manifest" else f"{IMAGE}:1.2.0")]
    if holder == "lock":
        documents.append(relocked(*documents, tags=Tags({IMAGE: {"1.2.0": digest("old")}})))
    outcome = run(resource_list(*documents), Tags({IMAGE: {"1.2.0": digest("new")}}))
    assert outcome.is_error
    assert digest("old") in messages(outcome, "error")[0]
    assert digest("new") in messages(outcome, "error")[0]
    assert not run(resource_list(*documents), Tags({IMAGE: {"1.2.0": digest("old")}})).is_error


def digest_policy(reflection: str = "") -> str:
    tail = f", digestReflectionPolicy: {reflection}" if reflection else ""
    return (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: images, namespace: flux}\nspec:\n"
        f"  policies:\n  - {{name: web, image: {IMAGE}, policy: {{digest: {{}}}}{tail}}}\n"
    )


def test_a_digest_policy_keeps_each_tag_and_follows_its_digest_without_alarm():
    tags = Tags({IMAGE: {"a": digest("a2"), "b": digest("b2")}})
    pods = [pod(f"{IMAGE}:a@{digest('a1')}", name="one"), pod(f"{IMAGE}:b", name="two")]
    outcome = run(resource_list(digest_policy(), *pods), tags)
    assert images(outcome) == [f"{IMAGE}:a@{digest('a2')}", f"{IMAGE}:b@{digest('b2')}"]
    assert messages(outcome, "warning") == []
    assert tags.asked == [f"{IMAGE}:a", f"{IMAGE}:b"]


def test_a_digest_without_a_tag_is_pinned_already():
    data = resource_list(digest_policy(), pod(f"{IMAGE}@{digest('a1')}"))
    assert run(data, Tags({IMAGE: {}})).text == data


def test_the_lock_of_a_digest_policy_has_an_entry_for_every_tag():
    pods = [pod(f"{IMAGE}:{tag}", name=tag) for tag in ("a", "b")]
    held = relocked(digest_policy(), *pods, tags=Tags({IMAGE: ["a", "b"]}))
    frozen = run(resource_list(digest_policy(), *pods, held), down(), KRMFN_MODE="frozen")
    assert images(frozen) == [f"{IMAGE}:{tag}@{digest(f'{IMAGE}:{tag}')}" for tag in ("a", "b")]
    moved = run(resource_list(digest_policy(), pods[0], pod(f"{IMAGE}:c"), held), Tags({IMAGE: ["a", "c"]}))
    assert [entry["tag"] for entry in locked(moved)] == ["a", "c"]


def test_a_frozen_digest_policy_keeps_pins_and_asks_for_what_the_lock_lacks():
    pinned_already = pod(f"{IMAGE}:c@{digest('c1')}", name="three")
    held = relocked(digest_policy(), pod(f"{IMAGE}:a"), tags=Tags({IMAGE: ["a"]}))
    kept = run(resource_list(digest_policy(), pinned_already, held), down(), KRMFN_MODE="frozen")
    assert (kept.is_error, images(kept)) == (False, [f"{IMAGE}:c@{digest('c1')}"])
    missing = run(resource_list(digest_policy(), pod(f"{IMAGE}:c"), held), down(), KRMFN_MODE="frozen")
    assert messages(missing, "error") == [
        "policy flux:web: the lock has no entry of tag c for this policy: run krmfn fetch on the package to add it"
    ]


def test_an_unreachable_digest_gives_way_to_the_recorded_one():
    documents = [policy(reflection="Always"), pod(f"{IMAGE}:1.2.0")]
    held = relocked(*documents, tags=Tags({IMAGE: ["1.2.0"]}))

    class NoDigest(Tags):
        def digest(self, repository, tag):
            return down().tags(repository)

    outcome = run(resource_list(*documents, held), NoDigest({IMAGE: ["1.2.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.2.0@{digest(f'{IMAGE}:1.2.0')}"]
    assert "the recorded digest" in messages(outcome, "warning")[0]


def test_a_digest_marker_beside_a_tag_marker_keeps_its_digest():
    release = (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web}\nspec:\n  values:\n    image:\n"
        '      tag: 1.2.0 # {"$imagepolicy": "flux:web:tag"}\n'
        f'      digest: {digest("old")} # {{"$imagepolicy": "flux:web:digest"}}\n'
    )
    data = resource_list(policy(reflection="IfNotPresent"), release)
    assert run(data, Tags({IMAGE: ["1.2.0"]})).text == data
    assert digest(f"{IMAGE}:1.3.0").encode() in run(data, Tags({IMAGE: ["1.3.0"]})).text


def test_the_lock_that_was_given_may_be_empty():
    assert lock().endswith("images: []\n")


ODD = ["!!int 5", "!!float 1.0", "!!null x", "!!binary aGFsbG8=", "!custom x", "!!timestamp 2026-01-01"]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("on_error", ["fail", "keep"])
def test_a_value_of_an_odd_type_stops_its_field_and_what_moves_with_it(value, on_error):
    odd = f'kind: X\nspec:\n  image: {value} # {{"$imagepolicy": "flux:web"}}\n  tag: 1.2.0 # {{"$imagepolicy": "flux:web:tag"}}\n'
    data = resource_list(policy(), odd, pod(f"{IMAGE}:1.2.0"))
    outcome = run(data, Tags({IMAGE: ["1.2.0", "1.3.0"]}), KRMFN_ON_ERROR=on_error)
    assert not outcome.is_error
    assert outcome.text.startswith(data.replace(f"{IMAGE}:1.2.0".encode(), f"{IMAGE}:1.3.0".encode()))
    (said,) = messages(outcome, "warning")
    assert "ghcr.io/acme/web:1.3.0: it carries the tag !" in said
    assert said.endswith("remove the tag; kept as it is")


@pytest.mark.parametrize("value", ["[1.2.0]", "{a: 1.2.0}"])
def test_a_list_or_mapping_where_a_value_should_be_stops_its_field(value):
    bound = f"kind: X\nmetadata: {{annotations: {{krmfn.dev/images: '{{\"$.spec.tag\": \"flux:web:tag\"}}'}}}}\nspec: {{tag: {value}}}\n"
    data = resource_list(policy(), bound, pod(f"{IMAGE}:1.2.0"))
    outcome = run(data, Tags({IMAGE: ["1.2.0", "1.3.0"]}))
    assert outcome.text.startswith(data.replace(f"{IMAGE}:1.2.0".encode(), f"{IMAGE}:1.3.0".encode()))
    assert "spec.tag is no scalar: left as it is" in messages(outcome, "warning")[0]


def test_a_field_that_would_be_lost_is_left_with_a_word_when_the_run_is_to_go_on():
    lost = 'kind: X\nspec:\n  tag: ">=1.2.0" # {"$imagepolicy": "flux:web:tag"}\n'
    data = resource_list(policy(), lost, pod(f"{IMAGE}:1.2.0"))
    outcome = run(data, Tags({IMAGE: ["1.2.0", "1.3.0"]}), KRMFN_ON_ERROR="keep")
    assert outcome.text.startswith(data.replace(f"{IMAGE}:1.2.0".encode(), f"{IMAGE}:1.3.0".encode()))
    assert messages(outcome, "warning")[0].endswith("or remove the binding; kept as it is")
