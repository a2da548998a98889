"""`krmfn fetch` on real packages, with OCI layouts on disk as the registry."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from krmfn.cli import krmfn
from krmfn.policies.selection import parse_rules, select
from tests import images
from tests.lists import lock, pod, policy

WEB, API = "ghcr.io/acme/web", "ghcr.io/acme/api"
DATES = "2026-01-01T00:00:00Z"
OFFER = {
    WEB: dict.fromkeys(["1.2.0", "1.3.1", "1.10.0", "2.0.0", "2.1.0-rc.1", "latest", "nightly"], DATES),
    API: {"a-1": "2026-03-01T00:00:00Z", "b-1": "2026-04-01T00:00:00Z", "c-1": "2026-02-01T00:00:00Z"},
}
RANGE = 'semver: {range: ">=1.2.0 <2.0.0"}'


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KRMFN_NOW", "2026-11-26T00:00:00Z")
    images.write(tmp_path / "registry", OFFER)
    package = tmp_path / "shop"
    package.mkdir()
    (package / "policies.yaml").write_text(policy(RANGE))
    (package / "pod.yaml").write_text(pod(f"{WEB}:1.2.0"))
    return package


def offer(place: Path, **tags: list[str]) -> None:
    """Change what the registry offers: repository name to tags."""
    shutil.rmtree(place.parent / "registry")
    images.write(
        place.parent / "registry", {f"ghcr.io/acme/{name}": dict.fromkeys(some, DATES) for name, some in tags.items()}
    )


def fetch(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(
        krmfn, ["fetch", "shop", "--source", "layout:registry", *arguments], standalone_mode=False
    )
    assert not done.exception, done.exception
    assert done.return_value == code, done.output
    return done.output


def objects(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def tree(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def test_both_files_are_written_with_what_the_policies_can_use(place: Path):
    shown = fetch()
    assert f"flux:web  {WEB}  1.10.0  semver >=1.2.0 <2.0.0, 3 of 7 tags eligible" in shown
    assert "wrote shop/krmfn-lock.yaml, shop/krmfn-tags.yaml" in shown
    (locked,), (tags,) = objects(place / "krmfn-lock.yaml"), objects(place / "krmfn-tags.yaml")
    assert tags["spec"] == {"image": WEB, "tags": ["1.2.0", "1.3.1", "1.10.0"], "listed": 7}
    (entry,) = locked["spec"]["images"]
    assert {**entry, "policyHash": ""} == {
        "policy": "flux:web", "image": WEB, "policyHash": "", "tag": "1.10.0", "listed": 7, "eligible": 3,
        "since": entry["since"],
    }  # fmt: skip
    for one in (locked, tags):
        assert one["metadata"]["annotations"] == {"config.kubernetes.io/local-config": "true"}


def test_a_second_fetch_leaves_every_byte(place: Path):
    fetch()
    before = tree(place)
    assert "everything is up to date" in fetch()
    assert tree(place) == before
    fetch("--check")


def test_files_that_were_not_named_are_found_where_they_would_be_written(place: Path):
    arguments = ["fetch", "shop/policies.yaml", "shop/pod.yaml", "--source", "layout:registry"]
    assert CliRunner().invoke(krmfn, arguments, standalone_mode=False).return_value == 0
    before = tree(place)
    done = CliRunner().invoke(krmfn, arguments, standalone_mode=False)
    assert "everything is up to date" in done.output
    assert tree(place) == before


def test_new_files_go_where_they_are_sent(place: Path):
    (place.parent / "base").mkdir()
    assert "wrote base/krmfn-lock.yaml, base/krmfn-tags.yaml" in fetch("--to", "base")
    assert "everything is up to date" in fetch("--to", "base")
    assert sorted(path.name for path in place.iterdir()) == ["pod.yaml", "policies.yaml"]


@pytest.mark.parametrize(("option", "kind"), [("--lock", "ImageLock"), ("--snapshot", "TagSnapshot")])
def test_one_kind_alone_can_be_written(place: Path, option: str, kind: str):
    fetch(option)
    names = [path for path in place.iterdir() if path.name.startswith("krmfn-")]
    assert [one["kind"] for path in names for one in objects(path)] == [kind]


def test_all_tags_are_kept_when_asked(place: Path):
    fetch("--all-tags")
    (tags,) = objects(place / "krmfn-tags.yaml")
    assert tags["spec"] == {
        "image": WEB,
        "tags": ["latest", "nightly", "1.2.0", "1.3.1", "1.10.0", "2.0.0", "2.1.0-rc.1"],
    }


def test_check_writes_nothing_and_fails_when_something_is_new(place: Path):
    before = tree(place)
    assert "would write shop/krmfn-lock.yaml" in fetch("--check", code=10)
    assert tree(place) == before


def test_a_digest_is_kept_for_the_chosen_tag_of_a_policy_that_wants_one(place: Path):
    (place / "policies.yaml").write_text(policy(RANGE, "Always"))
    fetch()
    (tags,), (locked,) = objects(place / "krmfn-tags.yaml"), objects(place / "krmfn-lock.yaml")
    digest = locked["spec"]["images"][0]["digest"]
    assert tags["spec"]["tags"] == ["1.2.0", "1.3.1", {"name": "1.10.0", "digest": digest}]


def test_a_digest_policy_keeps_what_is_deployed(place: Path):
    (place / "policies.yaml").write_text(
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: images, namespace: flux}}\n"
        f"spec:\n  mode: frozen\n  policies:\n  - {{name: web, image: {WEB}, policy: {{digest: {{}}}}}}\n"
    )
    fetch()
    (tags,), (locked,) = objects(place / "krmfn-tags.yaml"), objects(place / "krmfn-lock.yaml")
    (entry,) = locked["spec"]["images"]
    assert tags["spec"]["tags"] == [{"name": "1.2.0", "digest": entry["digest"]}]
    assert (entry["tag"], "listed" in entry) == ("1.2.0", False)
    done = CliRunner().invoke(krmfn, ["update", "shop"], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert f"image: {WEB}:1.2.0@{entry['digest']} #" in (place / "pod.yaml").read_text()


def test_creation_times_are_kept_for_a_policy_that_reads_them(place: Path):
    (place / "policies.yaml").write_text(policy("newest: {}", image=API))
    fetch()
    (tags,) = objects(place / "krmfn-tags.yaml")
    assert tags["spec"]["tags"] == [{"name": name, "created": OFFER[API][name]} for name in ("a-1", "b-1", "c-1")]
    assert objects(place / "krmfn-lock.yaml")[0]["spec"]["images"][0]["tag"] == "b-1"


def test_every_policy_is_resolved_whether_a_field_takes_it_or_not(place: Path):
    (place / "policies.yaml").write_text(
        policy(RANGE) + "---\n" + policy("alphabetical: {order: asc}", "Always", name="api", image=API)
    )
    fetch()
    (locked,) = objects(place / "krmfn-lock.yaml")
    assert [entry["policy"] for entry in locked["spec"]["images"]] == ["flux:api", "flux:web"]
    assert locked["spec"]["images"][0]["digest"]
    assert [one["spec"]["image"] for one in objects(place / "krmfn-tags.yaml")] == [API, WEB]


def test_items_are_updated_where_they_stand(place: Path):
    (place / "all.yaml").write_text(
        "# mine\n"
        + lock()
        + f"---\napiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata:\n  name: web # mine\nspec:\n  image: {WEB}\n  tags: []\n"
    )
    fetch()
    assert sorted(path.name for path in place.iterdir()) == ["all.yaml", "pod.yaml", "policies.yaml"]
    text = (place / "all.yaml").read_text()
    assert text.startswith("# mine\n")
    assert "name: web # mine\n" in text
    assert objects(place / "all.yaml")[1]["spec"]["tags"] == ["1.2.0", "1.3.1", "1.10.0"]


def test_a_new_repository_finds_its_place_among_the_others(place: Path):
    three = [policy(RANGE, name=name, image=f"ghcr.io/acme/{name}") for name in ("aaa", "mmm", "zzz")]
    offer(place, aaa=["1.2.0"], mmm=["1.2.0"], zzz=["1.2.0"])
    (place / "policies.yaml").write_text("---\n".join(three[::2]))
    fetch()
    (place / "policies.yaml").write_text("---\n".join(three))
    fetch()
    assert [one["metadata"]["name"] for one in objects(place / "krmfn-tags.yaml")] == [
        f"ghcr.io-acme-{name}" for name in ("aaa", "mmm", "zzz")
    ]
    assert (place / "krmfn-tags.yaml").read_text().count("apiVersion") == 3


def test_a_tag_that_appears_changes_little(place: Path):
    fetch()
    before = tree(place)
    offer(place, web=[*OFFER[WEB], "2.2.0"])
    assert "everything is up to date" in fetch()
    offer(place, web=[*OFFER[WEB], "1.11.0"])
    shown = fetch()
    assert "1.10.0 -> 1.11.0" in shown
    after = tree(place)
    new = set(after["krmfn-lock.yaml"].splitlines()) - set(before["krmfn-lock.yaml"].splitlines())
    assert new == {b'      tag: "1.11.0"', b"      listed: 8", b"      eligible: 4"}
    new = set(after["krmfn-tags.yaml"].splitlines()) - set(before["krmfn-tags.yaml"].splitlines())
    assert new == {b'    - "1.11.0"', b"  listed: 8"}


def test_a_list_that_lost_what_is_recorded_changes_nothing(place: Path):
    fetch()
    before = tree(place)
    offer(place, web=["1.2.0"])
    shown = fetch()
    assert "kept 1.10.0: the policy accepts it and it is newer than 1.2.0" in shown
    assert tree(place) == before
    assert "kept 1.10.0" in fetch("--on-downgrade", "keep")
    assert tree(place) == before
    assert "kept 1.10.0" in fetch("--on-downgrade", "fail", code=1)
    fetch("--on-downgrade", "allow")
    assert objects(place / "krmfn-tags.yaml")[0]["spec"]["tags"] == ["1.2.0"]
    assert objects(place / "krmfn-lock.yaml")[0]["spec"]["images"][0]["tag"] == "1.2.0"


def test_a_failure_writes_nothing_unless_keep_is_asked(place: Path):
    (place / "policies.yaml").write_text(
        policy(RANGE) + "---\n" + policy(RANGE, name="gone", image="ghcr.io/acme/gone")
    )
    before = tree(place)
    shown = fetch(code=1)
    assert "policy flux:gone: ghcr.io/acme/gone: no OCI layout" in shown
    assert "1 error, nothing written" in shown
    assert tree(place) == before
    fetch("--on-error", "keep")
    assert [one["policy"] for one in objects(place / "krmfn-lock.yaml")[0]["spec"]["images"]] == ["flux:web"]


def test_a_registry_that_is_down_is_an_error_although_a_lock_could_stand_in(place: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (place / "policies.yaml").write_text(policy(RANGE, image=f"{address}/acme/web"))
    (place / "krmfn-lock.yaml").write_text(
        lock(f'{{policy: "flux:web", image: {address}/acme/web, policyHash: "0", tag: "1.2.0"}}')
    )
    done = CliRunner().invoke(krmfn, ["fetch", "shop"], standalone_mode=False)
    assert done.return_value == 1
    assert f"policy flux:web: {address}/acme/web: " in done.output


def test_a_policy_without_its_repository_is_an_error(place: Path):
    (place / "policies.yaml").write_text(policy(RANGE).partition("---\n")[2])
    assert "policy flux:web: failed to get the referred ImageRepository" in fetch(code=1)


def test_a_package_without_policies_is_told(place: Path):
    (place / "policies.yaml").unlink()
    assert "no policy is configured here: nothing to fetch" in fetch()
    assert sorted(path.name for path in place.iterdir()) == ["pod.yaml"]


def test_a_lock_with_conflict_markers_is_an_error_and_stays(place: Path):
    (place / "krmfn-lock.yaml").write_text("<<<<<<< ours\n" + lock() + "=======\n>>>>>>> theirs\n")
    before = tree(place)
    done = CliRunner().invoke(krmfn, ["fetch", "shop", "--source", "layout:registry"], standalone_mode=False)
    assert "krmfn-lock.yaml" in str(done.exception)
    assert tree(place) == before


def test_a_lock_that_cannot_be_edited_is_an_error(place: Path):
    (place / "krmfn-lock.yaml").write_text(lock('{policy: "flux:web", image: &i x/y, policyHash: *i , tag: "1"}'))
    before = tree(place)
    assert "cannot be edited: it has no spec of its own, or uses anchors; delete it" in fetch(code=1)
    assert tree(place) == before


def test_a_kustomization_that_does_not_name_the_files_is_told_of(place: Path):
    (place / "kustomization.yaml").write_text("resources: [pod.yaml, krmfn-lock.yaml]\n")
    shown = fetch()
    assert "add krmfn-tags.yaml to the resources of shop/kustomization.yaml" in shown
    assert "add krmfn-lock.yaml" not in shown


FUNCTION = "kind: ImageAutomation\nmetadata: {annotations: {config.kubernetes.io/function: 'exec: {path: krmfn}'}}\n"


def test_files_beside_a_transformer_belong_to_the_kustomization_that_uses_it(place: Path):
    (place / "function.yaml").write_text(FUNCTION)
    (place / "kustomization.yaml").write_text("resources: [function.yaml]\n")
    assert "to the resources of" not in fetch("--check", code=10)
    user = place.parent / "kustomization.yaml"
    user.write_text("resources: [app, shop/krmfn-lock.yaml]\ntransformers: [./shop/]\n")
    shown = fetch()
    assert "add shop/krmfn-tags.yaml to the resources of kustomization.yaml, so" in shown
    assert shown.count("to the resources of") == 1


def test_a_function_that_is_a_transformer_beside_its_resources_changes_no_advice(place: Path):
    (place / "function.yaml").write_text(FUNCTION)
    (place / "kustomization.yaml").write_text("resources: [pod.yaml]\ntransformers: [function.yaml]\n")
    assert "add krmfn-tags.yaml to the resources of shop/kustomization.yaml" in fetch()


def test_a_snapshot_that_no_policy_uses_is_told_of(place: Path):
    fetch()
    (place / "policies.yaml").write_text(policy(RANGE, image=API.replace("api", "web2")))
    offer(place, web2=["1.2.0"])
    assert f"no policy uses the TagSnapshot of {WEB}" in fetch()


def test_update_reads_the_snapshot_and_answers_as_with_the_registry(place: Path):
    online = place.parent / "online"
    shutil.copytree(place, online)
    fetch()
    one, two = (
        json.loads(
            CliRunner()
            .invoke(krmfn, ["update", "-o", "json", *arguments], standalone_mode=False)
            .output.replace("online", "shop")
        )
        for arguments in (["shop"], ["online", "--source", "layout:registry"])
    )
    assert "1.2.0 -> 1.10.0 (policy flux:web, semver >=1.2.0 <2.0.0, 3 of 7 tags eligible)" in str(one)
    assert [each for each in one["results"] if each["code"] != "lock"] == two["results"]  # there is a lock that notes what was written
    assert set(one["changed"]) - {"shop/krmfn-lock.yaml"} == set(two["changed"])
    assert (place / "pod.yaml").read_bytes() == (online / "pod.yaml").read_bytes()


def test_update_keeps_the_lock_file_in_step(place: Path):
    fetch("--lock")
    offer(place, web=["1.2.0", "1.10.0", "1.11.0"])
    done = CliRunner().invoke(krmfn, ["update", "shop", "--source", "layout:registry"], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert objects(place / "krmfn-lock.yaml")[0]["spec"]["images"][0]["tag"] == "1.11.0"


SETS = [
    ({"semver": {"range": ">=1.0.0"}}, None),
    ({"semver": {"range": ">=1.0.0-0"}}, None),
    ({"numerical": {"order": "asc"}}, {"pattern": "^main-[0-9a-f]+-(?P<t>[0-9]+)$", "extract": "$t"}),
    ({"alphabetical": {"order": "desc"}}, {"pattern": "^(?P<a>[a-z]+)-", "extract": "$a"}),
    ({"newest": {"limit": "2"}}, None),
]
TAGS = (
    "1.0.0",
    "v1.0.0",
    "1.2.0",
    "1.2.0-rc.1",
    "main-aa-12",
    "main-bb-7",
    "main-cc-12",
    "x-1",
    "x-2",
    "y",
    "latest",
    "sha256-" + "0" * 64,
)


@pytest.mark.parametrize(("rule", "filter_tags"), SETS, ids=[str(row[0]) for row in SETS])
def test_a_choice_from_the_tags_that_are_kept_is_the_choice_from_all(
    rule: dict[str, Any], filter_tags: dict[str, Any] | None
):
    from krmfn.policies.reason import ELIGIBLE

    rules = parse_rules(rule, filter_tags=filter_tags)
    times = dict(zip(TAGS, (f"2026-01-{day:02}T00:00:00Z" for day in range(1, 32)), strict=False))
    whole = select(rules, TAGS, created=times.__getitem__)
    kept = tuple(tag for tag, reason in zip(whole.tags, whole.reasons, strict=True) if reason in ELIGIBLE)
    again = select(rules, kept, created=times.__getitem__)
    assert whole.tag
    assert (again.tag, again.eligible) == (whole.tag, whole.eligible)
