"""Never an older image by accident: outages and truncated lists as Flux's users met them, and what is no alarm."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from krmfn.errors import RegistryError
from tests.lists import IMAGE, Tags, digest, images, lock, locked, messages, pod, policy, relocked, resource_list, run
from tests.registry_server import Fault, Registry, Request
from tests.running import files, succeed
from tests.running import run as run_program

KRMFN = Path(sys.executable).with_name("krmfn")
FULL = ["1.0.0", "1.9.0", "1.10.0", "1.11.0", "2.0.0"]
RANGE = 'semver: {range: ">=1.0.0 <2.0.0"}'


def held(*documents):
    return relocked(*documents, tags=Tags({IMAGE: FULL}))


def test_fluxcd_image_automation_controller_231_an_outage_that_truncates_the_list_downgrades_nothing():
    """fluxcd/image-automation-controller#231: a registry outage, part of the tags, and many services went back."""
    data = resource_list(policy(RANGE), pod(f"{IMAGE}:1.11.0"))
    outcome = run(data, Tags({IMAGE: ["1.0.0", "1.9.0", "1.10.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.11.0"]
    assert "the best of the 3 tags that were listed, so the list is incomplete" in messages(outcome, "warning")[0]
    assert "onDowngrade: allow" in messages(outcome, "warning")[0]


def test_fluxcd_flux2_4984_a_list_that_is_cut_by_a_crash_commits_no_older_tag():
    """fluxcd/flux2#4984: the controller was killed, its database came back with older tags, and one was committed."""
    documents = policy(RANGE), pod(f"{IMAGE}:1.11.0")
    record = held(*documents)
    outcome = run(resource_list(*documents, record), Tags({IMAGE: ["1.9.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.11.0"]
    assert [entry["tag"] for entry in locked(outcome)] == ["1.11.0"]
    assert not outcome.is_error


def test_fluxcd_flux_1817_an_empty_list_is_an_error_that_moves_nothing():
    """fluxcd/flux#1817: no tags in the database were taken for the truth."""
    data = resource_list(policy(RANGE), pod(f"{IMAGE}:1.11.0"), held(policy(RANGE), pod(f"{IMAGE}:1.11.0")))
    outcome = run(data, Tags({IMAGE: []}))
    assert outcome.is_error
    assert images(outcome) == [f"{IMAGE}:1.11.0"]
    kept = run(data, Tags({IMAGE: []}), KRMFN_ON_ERROR="keep")
    assert images(kept) == [f"{IMAGE}:1.11.0"]
    assert locked(kept)[0]["tag"] == "1.11.0"
    assert "kept as it is" in messages(kept, "warning")[0]


def test_a_record_that_is_newer_than_the_list_holds_every_field_of_its_policy():
    documents = policy(RANGE), pod(f"{IMAGE}:1.0.0", name="old"), pod(f"{IMAGE}:1.11.0", name="new")
    outcome = run(resource_list(*documents, held(*documents)), Tags({IMAGE: ["1.0.0", "1.9.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.0.0", f"{IMAGE}:1.11.0"]
    assert len(messages(outcome, "warning")) == 1
    assert messages(outcome, "warning")[0].endswith("nothing that follows policy flux:web moves")


def test_status_that_is_newer_than_the_list_holds_too():
    status = f"status:\n  latestRef: {{name: {IMAGE}, tag: 1.11.0}}\n"
    outcome = run(resource_list(policy(RANGE, more=status), pod(f"{IMAGE}:1.0.0")), Tags({IMAGE: ["1.9.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.0.0"]


def test_another_workload_of_the_same_policy_moves_up():
    pods = pod(f"{IMAGE}:1.11.0", name="ahead"), pod(f"{IMAGE}:1.0.0", name="behind")
    outcome = run(resource_list(policy(RANGE), *pods), Tags({IMAGE: ["1.0.0", "1.9.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.11.0", f"{IMAGE}:1.9.0"]


def test_a_pruned_old_tag_is_no_alarm():
    outcome = run(resource_list(policy(RANGE), pod(f"{IMAGE}:1.9.0")), Tags({IMAGE: ["1.10.0", "1.11.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.11.0"]
    assert messages(outcome, "warning") == []


NO_DOWNGRADE = [
    ("the range was narrowed", policy('semver: {range: "1.9.x"}'), f"{IMAGE}:1.11.0", f"{IMAGE}:1.9.0"),
    (
        "a filter leaves it out",
        policy(RANGE, more="  filterTags: {pattern: '^1[.](9|10)[.]'}\n"),
        f"{IMAGE}:1.11.0",
        f"{IMAGE}:1.10.0",
    ),
    ("another order", policy("alphabetical: {order: desc}"), f"{IMAGE}:1.9.0", f"{IMAGE}:1.0.0"),
    ("another repository ran there", policy(RANGE), "ghcr.io/acme/other:1.99.0", f"{IMAGE}:1.11.0"),
    ("what runs is no version", policy(RANGE), f"{IMAGE}:latest", f"{IMAGE}:1.11.0"),
    ("the same version, spelt otherwise", policy(RANGE), f"{IMAGE}:v1.11.0", f"{IMAGE}:1.11.0"),
]


@pytest.mark.parametrize(
    ("rules", "now", "then"), [row[1:] for row in NO_DOWNGRADE], ids=[row[0] for row in NO_DOWNGRADE]
)
@pytest.mark.parametrize("recorded", [False, True], ids=["", "locked"])
def test_a_change_of_rules_is_no_downgrade(rules, now, then, recorded):
    record = (
        [held(policy("alphabetical: {order: asc}" if "alphabetical" in rules else RANGE), pod(now))] if recorded else []
    )
    outcome = run(resource_list(rules, pod(now), *record), Tags({IMAGE: FULL}))
    assert images(outcome) == [then]
    assert messages(outcome, "warning") == []


OVERLOOKED = [
    ("two parts", "semver: {range: 8.x}", "8.4", ["8.1.0"]),
    ("two parts with a v", "semver: {range: 8.x}", "v8.4", ["8.1.0"]),
    ("four parts", 'semver: {range: ">=4.0.0"}', "4.2.19.3001", ["4.2.18"]),
    ("a variant", 'semver: {range: "*"}', "1.2-alpine", ["1.1.9"]),
    ("a variant that reads as a prerelease", 'semver: {range: "*"}', "1.25.3-alpine", ["1.24.0"]),
    (
        "a variant of two parts under a filter",
        "semver: {range: 1.x}\n  filterTags: {pattern: '^(?P<v>[0-9.]+[.][0-9]+[.][0-9]+)-alpine$', extract: '$v'}",
        "1.2-alpine",
        ["1.1.9-alpine"],
    ),
    ("what is no number", "numerical: {order: asc}", "v10", ["9"]),
]


@pytest.mark.parametrize(("rule", "now", "left"), [row[1:] for row in OVERLOOKED], ids=[row[0] for row in OVERLOOKED])
@pytest.mark.parametrize("pin", ["", f"@{digest('old')}"], ids=["", "pinned"])
@pytest.mark.parametrize("suffix", ["", ":tag"])
def test_what_the_policy_cannot_read_is_ordered_by_its_numbers(rule, now, left, pin, suffix):
    head, _, more = rule.partition("\n")
    value = f"{now}{pin}" if suffix else f"{IMAGE}:{now}{pin}"
    documents = policy(head, more=f"{more}\n" if more else ""), pod(value, setter=f"flux:web{suffix}")
    outcome = run(resource_list(*documents), Tags({IMAGE: left}))
    assert images(outcome) == [value]
    assert (
        f"kept {now}: the policy cannot read it, and its numbers are above {left[0]}" in messages(outcome, "warning")[0]
    )
    record = lock(f'{{policy: "flux:web", image: {IMAGE}, tag: "{now}", policyHash: x}}')
    other = run(resource_list(documents[0], pod(f"{IMAGE}:0.1"), record), Tags({IMAGE: left}))
    assert images(other) == [f"{IMAGE}:0.1"]


@pytest.mark.parametrize(
    ("now", "rule"),
    [
        ("8.4", "8.1.x"),
        ("9.1", "8.x"),
        ("8.4-alpine", "<8.4.0"),
        ("8.2.0.1", "~8.1.0"),
        (f"8.4.0@{digest('old')}", "8.1.x"),
    ],
)
def test_a_range_that_leaves_the_numbers_out_is_no_downgrade(now, rule):
    outcome = run(
        resource_list(policy(f'semver: {{range: "{rule}"}}'), pod(f"{IMAGE}:{now}")), Tags({IMAGE: ["8.1.0"]})
    )
    assert images(outcome)[0].partition("@")[0] == f"{IMAGE}:8.1.0"
    assert messages(outcome, "warning") == []


@pytest.mark.parametrize("now", ["8.1", "8.0", "8.1.0.5", "8.0-alpine", f"8.0.9@{digest('old')}"])
def test_what_is_not_newer_moves_whatever_its_shape(now):
    outcome = run(resource_list(policy("semver: {range: 8.x}"), pod(f"{IMAGE}:{now}")), Tags({IMAGE: ["8.1.0"]}))
    assert images(outcome)[0].partition("@")[0] == f"{IMAGE}:8.1.0"
    assert messages(outcome, "warning") == []


@pytest.mark.parametrize(
    "now", [":latest", ":main-3f9c2d1-1767225600", ":20240101", ":release-9.0", f"@{digest('old')}"]
)
def test_what_nothing_can_order_moves_and_is_told(now):
    outcome = run(resource_list(policy("semver: {range: 8.x}"), pod(f"{IMAGE}{now}")), Tags({IMAGE: ["8.1.0"]}))
    assert images(outcome)[0].startswith(f"{IMAGE}:8.1.0")
    assert any("have no common order: nothing tells which is newer" in one for one in messages(outcome, "info"))


def test_allow_moves_back_and_renews_the_lock():
    documents = policy(RANGE), pod(f"{IMAGE}:1.11.0")
    outcome = run(resource_list(*documents, held(*documents)), Tags({IMAGE: ["1.9.0"]}), KRMFN_ON_DOWNGRADE="allow")
    assert images(outcome) == [f"{IMAGE}:1.9.0"]
    assert [entry["tag"] for entry in locked(outcome)] == ["1.9.0"]


@pytest.mark.parametrize("with_lock", [False, True])
def test_fail_is_an_error_and_nothing_moves(with_lock):
    documents = [policy(RANGE), pod(f"{IMAGE}:1.11.0"), pod(f"{IMAGE}:1.0.0", name="other")]
    documents += [held(*documents)] if with_lock else []
    outcome = run(resource_list(*documents), Tags({IMAGE: ["1.9.0"]}), KRMFN_ON_DOWNGRADE="fail")
    assert outcome.is_error
    assert images(outcome) == [f"{IMAGE}:1.11.0", f"{IMAGE}:1.0.0"]


def test_numbers_and_letters_are_guarded_like_versions():
    for rule, now, left in (
        ("numerical: {order: asc}", "1700000000", ["1600000000"]),
        ("alphabetical: {order: asc}", "2026-02", ["2026-01"]),
        ("numerical: {order: desc}", "5", ["7"]),
    ):
        outcome = run(resource_list(policy(rule), pod(f"{IMAGE}:{now}")), Tags({IMAGE: left}))
        assert images(outcome) == [f"{IMAGE}:{now}"], rule


def test_the_digest_of_a_held_tag_stays_with_it():
    value = f"{IMAGE}:1.11.0@{digest('x')}"
    outcome = run(resource_list(policy(RANGE, "Always"), pod(value)), Tags({IMAGE: ["1.9.0"]}))
    assert images(outcome) == [value]


def test_a_tag_field_and_a_digest_field_are_held_together():
    release = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - image: none\n"
        '  tag: 1.11.0 # {"$imagepolicy": "flux:web:tag"}\n'
        f'  digest: {digest("x")} # {{"$imagepolicy": "flux:web:digest"}}\n'
    )
    data = resource_list(policy(RANGE, "Always"), release)
    outcome = run(data, Tags({IMAGE: ["1.9.0"]}))
    assert outcome.text.startswith(data)
    assert len(messages(outcome, "warning")) == 1


def test_a_field_newer_than_a_frozen_lock_is_kept_and_the_lock_named():
    documents = policy(RANGE), pod(f"{IMAGE}:1.12.0")
    record = relocked(policy(RANGE), pod(f"{IMAGE}:1.0.0"), tags=Tags({IMAGE: FULL}))
    outcome = run(resource_list(*documents, record), Tags({}), KRMFN_MODE="frozen")
    assert images(outcome) == [f"{IMAGE}:1.12.0"]
    assert "which the lock holds; run krmfn fetch" in messages(outcome, "warning")[0]


def test_a_denied_list_never_gives_way_to_the_lock():
    documents = policy(RANGE), pod(f"{IMAGE}:1.0.0")
    denied = Tags({}, {IMAGE: RegistryError("denied", IMAGE, "ghcr.io answered 403")})
    assert run(resource_list(*documents, held(*documents)), denied).is_error


def test_an_empty_lock_is_no_record():
    outcome = run(resource_list(policy(RANGE), pod(f"{IMAGE}:1.0.0"), lock()), Tags({IMAGE: ["1.9.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.9.0"]


def listed(*tags: str) -> Fault:
    """Return one page with these tags and no link to the next."""
    return lambda request: request.plain(200, json.dumps({"name": "acme/web", "tags": tags}).encode())


def cut(request: Request) -> None:
    """Promise a page and break off in the middle of it."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"tags": ["1.0.0", "1.9')
    request.close_connection = True


OUTAGES = {
    "a truncated list": (listed("1.0.0", "1.9.0"), 0, "kept 1.11.0"),
    "an older list": (listed(*FULL[:3]), 0, "kept 1.11.0"),
    "an empty list": (listed(), 1, "version list argument cannot be empty"),
    "a page that breaks off": (cut, None, "the lock decided instead"),
    "an error page": (lambda request: request.plain(200, b"<html>maintenance</html>"), 1, "acme/web"),
    "no service": (lambda request: request.plain(503), None, "the lock decided instead"),
    "not found": (lambda request: request.plain(404), 1, "404"),
    "forbidden": (lambda request: request.plain(403), 1, "403"),
}


@pytest.mark.parametrize(("fault", "code", "said"), OUTAGES.values(), ids=OUTAGES)
@pytest.mark.parametrize("with_lock", [False, True], ids=["no lock", "lock"])
def test_an_outage_replayed_by_a_registry_moves_nothing(fault, code, said, with_lock, tmp_path):
    with Registry() as registry:
        registry.add("acme/web", FULL)
        image = f"{registry.address}/acme/web"
        (tmp_path / "policy.yaml").write_text(policy(RANGE, image=image))
        (tmp_path / "pod.yaml").write_text(pod(f"{image}:1.0.0"))
        if with_lock:
            succeed([KRMFN, "fetch", tmp_path, "--lock"])
        succeed([KRMFN, "update", tmp_path])
        before = files(tmp_path)
        assert ":1.11.0 #" in before["pod.yaml"]
        registry.misbehave("tags", fault)
        done = run_program([KRMFN, "update", tmp_path])
        wanted = code if code is not None else int(not with_lock)
        assert (done.returncode, files(tmp_path)) == (wanted, before), done.stderr
        assert said in done.stderr or (code is None and not with_lock)
        fetched = run_program([KRMFN, "fetch", tmp_path, "--lock"])
        if with_lock:
            assert files(tmp_path) == before
            assert fetched.returncode == (0 if code == 0 else 1)
