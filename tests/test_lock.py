"""ImageLock and TagSnapshot: read strictly, edited entry by entry, easy to merge."""

from __future__ import annotations

import difflib
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn.config.lock import LockEntry, read_locks
from krmfn.config.objects import Object, Problems
from krmfn.config.plain import read
from krmfn.config.snapshot import Snapshot, name_of, read_snapshot
from krmfn.model import PolicyKey
from krmfn.plan.lockfile import edit_lock, edit_snapshot, lock_document, snapshot_document
from krmfn.yamledit.documents import documents
from krmfn.yamledit.scalars import Refusal
from krmfn.yamledit.text import Text, apply
from tests.lists import (
    IMAGE,
    Tags,
    digest,
    images,
    items,
    lock,
    locked,
    messages,
    pod,
    policy,
    relocked,
    resource_list,
    run,
)

ENTRY = '{{policy: "flux:{0}", image: ghcr.io/acme/{0}, policyHash: "00ff", tag: "{1}"}}'


def thing(text: str) -> Object:
    (block,) = documents(Text(text.encode()))
    (found,) = read(block)
    return found


def entry(name: str, tag: str = "1.0.0", pinned: str | None = None, listed: int = 3) -> LockEntry:
    return LockEntry(PolicyKey("flux", name), f"ghcr.io/acme/{name}", tag, "00ff", pinned, listed, 2 if listed else 0)


def problems_of(text: str) -> list[str]:
    problems = Problems()
    one = thing(text)
    (read_snapshot if one.id.kind == "TagSnapshot" else lambda it, notes: read_locks([it], notes))(one, problems)
    return [one.described for one in problems.found]


def edited(text: str, entries: list[LockEntry]) -> str:
    edits = edit_lock(thing(text), entries)
    assert not isinstance(edits, Refusal), edits
    return apply(text.encode(), edits).decode()


def entries_of(text: str) -> tuple[LockEntry, ...]:
    problems = Problems()
    (found,) = read_locks([thing(text)], problems)
    assert not problems.found
    return found.all


HEAD = "apiVersion: krmfn.dev/v1alpha1\nkind: {}\nmetadata: {{name: x}}\nspec:\n"
WRONG = [
    ("ImageLock", "  image: []", "ImageLock x: spec.image: unknown field; did you mean images?"),
    ("ImageLock", "  images: [{policy: 'a:b', image: x/y, tag: '1'}]", "ImageLock x: spec.images[0].policyHash: required: Fingerprint of the rules that chose it."),
    ("ImageLock", "  images: [{policy: b, image: x/y, tag: '1', policyHash: 'f'}]", "ImageLock x: spec.images[0].policy: expected namespace:name, found 'b'"),
    ("ImageLock", "  images: [{policy: 'a:b', image: x/y, tag: 'a b', policyHash: 'f'}]", "ImageLock x: spec.images[0].tag: 'a b' is not a tag"),
    ("ImageLock", "  images: [{policy: 'a:b', image: x/y, tag: '1', policyHash: 'f', digest: 'sha256:1'}]", "ImageLock x: spec.images[0].digest: 'sha256:1' is not a digest"),
    ("ImageLock", "  images: [{policy: 'a:b', image: x/y, tag: '1', policyHash: 'f', firstSeen: now}]", "ImageLock x: spec.images[0].firstSeen: unknown field"),
    ("TagSnapshot", "  image: x/y", "TagSnapshot x: spec.tags: required: The tags."),
    ("TagSnapshot", "  image: x/y:1\n  tags: []", "TagSnapshot x: spec.image: "),
    ("TagSnapshot", "  image: x/y\n  tags: ['a/b']", "TagSnapshot x: spec.tags[0]: 'a/b' is not a tag"),
    ("TagSnapshot", "  image: x/y\n  tags: [{name: a, digest: b}]", "TagSnapshot x: spec.tags[0].digest: 'b' is not a digest"),
    ("TagSnapshot", "  image: x/y\n  tags: [{name: a, created: yesterday}]", "TagSnapshot x: spec.tags[0].created: expected an RFC 3339 time"),
    ("TagSnapshot", f"  image: x/y\n  tags: [{{name: a, digest: '{digest('1')}'}}, {{name: a, digest: '{digest('2')}'}}]", "TagSnapshot x: spec.tags[1]: tag a is there twice, with two digests: keep one"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "spec", "message"), WRONG, ids=[f"{row[0]} {row[2].rpartition('spec')[2][:24]}" for row in WRONG]
)
def test_what_is_not_as_written_down_is_refused(kind, spec, message):
    assert [one[: len(message)] for one in problems_of(HEAD.format(kind) + spec)] == [message]


def lock_named(name: str, *entries: str) -> str:
    return lock(*entries).replace("name: images\n", f"name: {name}\n", 1)


def automation(name: str) -> str:
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: a}}\nspec: {{lock: {name}}}\n"


HELD_WEB, HELD_API = (f'{{policy: "flux:{name}", image: {IMAGE}, policyHash: "{policy_hash}", tag: "1.0.0"}}'
              for name, policy_hash in (("web", "00ff"), ("api", "00ff")))  # fmt: skip


def test_of_several_locks_the_one_that_holds_the_policy_counts():
    outcome = run(resource_list(policy(), pod(f"{IMAGE}:1.0.0"), lock_named("staging", HELD_API), lock_named("prod", HELD_WEB)), Tags({IMAGE: ["1.1.0"]}))
    held = {one["metadata"]["name"]: one["spec"]["images"] for one in items(outcome) if one["kind"] == "ImageLock"}
    assert [one["tag"] for one in held["prod"]] == ["1.1.0"]
    assert held["staging"] == []  # no policy flux:api exists any more


def test_two_locks_that_hold_a_policy_are_an_error_unless_one_is_named():
    documents = policy(), pod(f"{IMAGE}:1.0.0"), lock_named("staging", HELD_WEB), lock_named("prod", HELD_WEB)
    (message,) = messages(run(resource_list(*documents), Tags({IMAGE: ["1.1.0"]})), "error")
    assert "ImageLock staging and ImageLock prod hold policy flux:web: name one with spec.lock" in message
    outcome = run(resource_list(*documents, automation("prod")), Tags({IMAGE: ["1.1.0"]}))
    held = {one["metadata"]["name"]: one["spec"]["images"][0]["tag"] for one in items(outcome) if one["kind"] == "ImageLock"}
    assert held == {"staging": "1.0.0", "prod": "1.1.0"}
    (message,) = messages(run(resource_list(*documents, automation("test")), Tags({IMAGE: ["1.1.0"]})), "error")
    assert "spec.lock names test, and there is none: found staging, prod" in message


def test_a_policy_that_none_of_several_locks_holds_is_recorded_in_none_and_told():
    outcome = run(resource_list(policy(), pod(f"{IMAGE}:1.0.0"), lock_named("a"), lock_named("b")), Tags({IMAGE: ["1.1.0"]}))
    assert images(outcome) == [f"{IMAGE}:1.1.0"]
    assert ["flux:web: recorded in no lock" in one for one in messages(outcome, "warning")] == [True]


def test_an_entry_says_since_when_it_holds_its_tag():
    first = relocked(policy(), pod(f"{IMAGE}:1.0.0"), tags=Tags({IMAGE: ["1.0.0"]}), KRMFN_NOW="2026-11-01T00:00:00Z")
    more = policy(), pod(f"{IMAGE}:1.0.0"), first

    def since(day: int, *tags: str, rule: str = "") -> str:
        documents = (policy(rule), *more[1:]) if rule else more
        outcome = run(resource_list(*documents), Tags({IMAGE: list(tags)}), KRMFN_NOW=f"2026-11-{day:02}T00:00:00Z")
        return locked(outcome)[0]["since"]

    assert since(2, "1.0.0", "0.1.0") == "2026-11-01T00:00Z"
    assert since(3, "1.0.0", rule='semver: {range: "1.x"}') == "2026-11-01T00:00Z"
    assert since(4, "1.1.0") == "2026-11-04T00:00Z"


def test_a_lock_that_loses_its_last_entry_holds_an_empty_list():
    whole = lock_document(ENTRIES)
    changed = edited(whole, [])
    assert changed.endswith("spec:\n  images: []\n")
    assert edited(changed, ENTRIES) == whole


def test_a_second_entry_is_refused():
    twice = run(resource_list(policy(), lock(ENTRY.format("web", "1"), ENTRY.format("web", "2"))), Tags({}))
    assert messages(twice, "error") == [
        "ImageLock images: spec.images[1].policy: a second entry for flux:web: keep one"
    ]


ENTRIES = [entry("api", pinned=digest("api")), entry("web"), entry("worker", "2026-02", listed=0)]


def test_a_lock_reads_back_as_it_was_written():
    text = lock_document(ENTRIES)
    assert entries_of(text) == tuple(ENTRIES)
    assert edited(text, ENTRIES) == text


def test_one_image_that_moves_is_one_small_hunk():
    text = lock_document(ENTRIES)
    changed = edited(text, [entry("api", "1.1.0", digest("new"), 4), *ENTRIES[1:]])
    lines = list(difflib.unified_diff(text.splitlines(), changed.splitlines(), n=0, lineterm=""))[2:]
    assert [line[0] for line in lines] == ["@", "-", "-", "-", "+", "+", "+"]
    assert entries_of(changed)[0].tag == "1.1.0"


def test_two_branches_that_move_neighbours_merge(tmp_path: Path):
    """git merge-file, as git merge does it: neighbours in the lock, two new entries in different places."""
    base = lock_document(ENTRIES)
    ours = edited(base, [entry("aaa"), entry("api", "1.1.0", digest("new"), 4), *ENTRIES[1:]])
    theirs = edited(base, [ENTRIES[0], entry("web", "1.2.0"), entry("web2"), ENTRIES[2]])
    for name, text in (("base", base), ("ours", ours), ("theirs", theirs)):
        (tmp_path / name).write_text(text)
    merged = subprocess.run(
        ["git", "merge-file", "-p", "ours", "base", "theirs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert merged.returncode == 0, merged.stdout
    names = [(one.policy.name, one.tag) for one in entries_of(merged.stdout)]
    assert names == [("aaa", "1.0.0"), ("api", "1.1.0"), ("web", "1.2.0"), ("web2", "1.0.0"), ("worker", "2026-02")]


STYLES = {
    "flow entries": lock(ENTRY.format("api", "1.0.0"), ENTRY.format("web", "1.0.0")),
    "flow list": lock().replace("[]", f"[{ENTRY.format('api', '1.0.0')}, {ENTRY.format('web', '1.0.0')}] # end"),
    "empty": lock(),
    "null": lock().replace(" []", ""),
    "JSON": '{"apiVersion": "krmfn.dev/v1alpha1", "kind": "ImageLock", "metadata": {"name": "x"}, "spec": {"images": [{"policy": "flux:web", "image": "ghcr.io/acme/web", "tag": "0.9", "policyHash": "00ff"}]}}',
    "no newline at the end": lock_document([entry("web")]).rstrip("\n"),
    "dash on its own line": lock(
        "\n      policy: 'flux:web'\n      image: ghcr.io/acme/web\n      tag: '0.9'\n      policyHash: '00ff'"
    ),
    "windows": lock_document([entry("api"), entry("web")]).replace("\n", "\r\n"),
    "comments": lock_document([entry("api"), entry("web")]).replace("    - policy", "    # said so\n    - policy"),
    "compact": lock_document([entry("api"), entry("web")]).replace("\n    ", "\n  "),
}


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize(
    "wanted",
    [
        [entry("web", "1.2.0", digest("w"))],
        [entry("aaa"), entry("api"), entry("web"), entry("zzz")],
        [entry("api", "1.10")],
        [],
    ],
    ids=["change and drop", "add around", "only another", "none"],
)
def test_a_lock_in_any_style_takes_the_entries(text, wanted):
    if text.endswith("images:\n"):
        assert yaml.safe_load(text)["spec"]["images"] is None
    result = edited(text, wanted)
    assert [(one.policy, one.tag, one.digest) for one in entries_of(result)] == [
        (one.policy, one.tag, one.digest) for one in wanted
    ]
    assert edited(result, wanted) == result
    assert ("\r\n" in text) == ("\r\n" in result) or not wanted


@pytest.mark.parametrize("text", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("reflection", ["Never", "Always"])
def test_a_lock_in_any_style_is_updated_as_an_item(text, reflection):
    rules = policy("semver: {range: 1.x}", reflection)
    unix = text.replace("\r\n", "\n")
    outcome = run(resource_list(rules, pod(f"{IMAGE}:1.0.0"), unix), Tags({IMAGE: ["1.2.0"]}))
    assert [(entry["policy"], entry["tag"], entry.get("digest")) for entry in locked(outcome)] == [
        ("flux:web", "1.2.0", digest(f"{IMAGE}:1.2.0") if reflection == "Always" else None)
    ]
    again = run(outcome.text.partition(b"results:")[0], Tags({IMAGE: ["1.2.0"]}))
    assert again.results == ()


def test_comments_on_entries_that_stay_are_kept():
    text = lock_document([entry("api"), entry("web")]).replace('tag: "1.0.0"', 'tag: "1.0.0" # tested by hand')
    assert edited(text, [entry("api", "1.1.0"), entry("web")]).count("# tested by hand") == 2


def test_a_digest_comes_and_goes_in_a_line_of_its_own():
    text = lock_document([entry("api"), entry("web")]).replace('tag: "1.0.0"', 'tag: "1.0.0" # tested by hand')
    pinned = edited(text, [entry("api", "1.1.0", digest("api")), entry("web", pinned=digest("web"))])
    assert pinned.count("# tested by hand") == 2
    assert [line.strip() for line in pinned.splitlines() if line not in text.splitlines()] == [
        'tag: "1.1.0" # tested by hand', f'digest: "{digest("api")}"', f'digest: "{digest("web")}"'
    ]  # fmt: skip
    assert edited(pinned, [entry("api"), entry("web")]) == text


def test_a_number_that_json_would_round_is_quoted():
    text = lock("{policy: 'flux:web', image: ghcr.io/acme/web, policyHash: 12345678, tag: 1.10}")
    result = edited(text, [LockEntry(PolicyKey("flux", "web"), "ghcr.io/acme/web", "1.10", "12345678")])
    assert yaml.safe_load(result)["spec"]["images"] == [
        {"policy": "flux:web", "image": "ghcr.io/acme/web", "policyHash": "12345678", "tag": "1.10"}
    ]


def test_anchors_are_refused_not_guessed():
    text = (
        lock_document([entry("web")])
        .replace('tag: "1.0.0"', 'tag: &t "1.0.0"')
        .replace("listed: 3", "listed: 3\n      digest: *t")
    )
    assert isinstance(edit_lock(thing(text), []), Refusal)


NAMES = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["1.0", "1.10", "v2"]), st.booleans()),
    unique_by=lambda row: row[0],
)


@given(NAMES, NAMES)
@settings(deadline=None)
def test_any_lock_becomes_any_other(before, after):
    def of(rows):
        return sorted(
            (entry(name, tag, digest(tag) if pinned else None) for name, tag, pinned in rows),
            key=lambda one: one.policy,
        )

    result = edited(lock_document(of(before)), of(after))
    assert entries_of(result) == tuple(of(after))
    if of(before):
        assert result == lock_document(of(after)) or not after


def snapshot(tags, listed=0, created=None):
    return Snapshot(IMAGE, tags, created or {}, listed or len(tags))


def snapped(text, wanted):
    edits = edit_snapshot(thing(text), wanted)
    assert not isinstance(edits, Refusal)
    return apply(text.encode(), edits).decode()


def tags_of(text):
    problems = Problems()
    found = read_snapshot(thing(text), problems)
    assert found is not None
    assert not problems.found
    return found._replace(object=None)


PLAIN = f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: {IMAGE}\n"
OLD = {
    "written": snapshot_document(snapshot({"1.9": None, "1.10": digest("a")}, 7), "web"),
    "flow list": PLAIN + "  tags: [1.9, 1.10, {name: '1.11'}]\n",
    "plain list": PLAIN + "  tags:\n  - 1.9\n  - 1.10 # keep\n  listed: 9\n",
    "JSON": '{"apiVersion": "krmfn.dev/v1alpha1", "kind": "TagSnapshot", "metadata": {"name": "x"}, "spec": {"image": "ghcr.io/acme/web", "tags": ["1.9"]}}',
}
NEW = [
    snapshot({"1.9": None, "1.10": None, "1.11": digest("b")}, 12, {"1.11": "2026-01-01T00:00:00Z"}),
    snapshot({"1.10": digest("a")}),
    snapshot({"0.1": None, "2.0": None}, 2),
]


@pytest.mark.parametrize("text", OLD.values(), ids=OLD)
@pytest.mark.parametrize("wanted", NEW, ids=["more", "fewer", "others"])
def test_a_snapshot_in_any_style_takes_the_tags(text, wanted):
    result = snapped(text, wanted)
    assert tags_of(result) == wanted
    assert list(tags_of(result).tags) == list(wanted.tags)
    assert snapped(result, wanted) == result
    assert all(
        isinstance(tag if isinstance(tag, str) else tag["name"], str) for tag in yaml.safe_load(result)["spec"]["tags"]
    )


OFFERS = st.dictionaries(
    st.sampled_from(["1.0", "1.9", "1.10", "v2", "main-1", "latest"]),
    st.sampled_from([None, digest("1"), digest("2")]),
    min_size=1,
)


@given(OFFERS, OFFERS, st.integers(0, 3), st.integers(0, 3))
@settings(deadline=None)
def test_any_snapshot_becomes_any_other(before, after, more, less):
    old, new = (snapshot(tags, len(tags) + out) for tags, out in ((before, more), (after, less)))
    text = snapshot_document(old, "web")
    assert tags_of(text) == old
    result = snapped(text, new)
    assert result == (snapshot_document(new, "web") if old.tags != new.tags else text)
    assert tags_of(result).tags == new.tags


def test_new_versions_come_last():
    text = snapshot_document(snapshot(dict.fromkeys(["v1.10.0", "v1.9.0", "v1.2.0"])), "web")
    assert yaml.safe_load(text)["spec"]["tags"] == ["v1.2.0", "v1.9.0", "v1.10.0"]


def test_names_of_repositories_do_not_collide():
    taken: list[str] = []
    for image in ("ghcr.io/a/b-c", "ghcr.io/a-b/c", "ghcr.io/a/b_c", "localhost:5000/a/b"):
        taken.append(name_of(image, taken))
    assert taken == ["ghcr.io-a-b-c", "ghcr.io-a-b-c-2", "ghcr.io-a-b-c-3", "localhost-5000-a-b"]


def test_a_run_changes_the_lock_only_where_a_decision_changed():
    documents = (
        policy(),
        policy(name="api", image="ghcr.io/acme/api"),
        pod(f"{IMAGE}:1.0.0"),
        pod("ghcr.io/acme/api:1.0.0", setter="flux:api"),
    )
    one = run(resource_list(*documents, lock()), Tags({IMAGE: ["1.2.0"], "ghcr.io/acme/api": ["1.0.0"]}))
    assert [item["tag"] for item in locked(one)] == ["1.0.0", "1.2.0"]
    assert messages(one, "info")[0] == "lock: flux:api 1.0.0 is new, flux:web 1.2.0 is new"
    text = one.text.partition(b"results:")[0]
    more = run(text, Tags({IMAGE: ["1.1.0", "1.2.0"], "ghcr.io/acme/api": ["1.0.0", "1.0.1-rc.1"]}))
    assert more.text == text
    moved = run(text, Tags({IMAGE: ["1.3.0"], "ghcr.io/acme/api": ["1.0.0", "1.0.1-rc.1"]}))
    changed = [line for line in moved.text.partition(b"results:")[0].splitlines() if line not in text.splitlines()]
    assert len(changed) == 2  # the field and the tag: the counts happen to be the same


def test_an_entry_whose_policy_is_gone_goes_and_is_told():
    outcome = run(
        resource_list(policy(), pod(f"{IMAGE}:1.0.0"), lock(ENTRY.format("gone", "9"))), Tags({IMAGE: ["1.0.0"]})
    )
    assert [item["policy"] for item in locked(outcome)] == ["flux:web"]
    assert messages(outcome, "info") == ["lock: flux:web 1.0.0 is new, flux:gone is gone, with 9"]


def test_a_call_with_a_configuration_of_its_own_removes_no_other_entries():
    """Two steps of one Kptfile, each with its own inline configuration, share the lock of the package."""

    def step(data: bytes, name: str) -> bytes:
        config = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: function-input}}\ndata: {{name: {name}, image: ghcr.io/acme/{name}, semver: 1.x}}\n"
        head = b"kind: ResourceList\nfunctionConfig:\n" + textwrap.indent(config, "  ").encode()
        data = data.partition(b"results:")[0].replace(b"kind: ResourceList\n", head, 1)
        outcome = run(data, Tags({"ghcr.io/acme/web": ["1.2.0"], "ghcr.io/acme/api": ["1.3.0"]}))
        return outcome.text.replace(head, b"kind: ResourceList\n", 1)

    plain = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {0}}}\nspec:\n  containers:\n    - {{name: {0}, image: 'ghcr.io/acme/{0}:1.0.0'}}\n"
    once = step(step(resource_list(plain.format("web"), plain.format("api"), lock()), "web"), "api").partition(
        b"results:"
    )[0]
    assert [entry["policy"] for entry in yaml.safe_load(once)["items"][2]["spec"]["images"]] == [
        "default:api",
        "default:web",
    ]
    assert step(step(once, "web"), "api") == once


def test_frozen_never_writes_the_lock():
    data = resource_list(policy(), lock(ENTRY.format("gone", "9")))
    assert run(data, Tags({}), KRMFN_MODE="frozen").text.startswith(data)


def test_entries_of_policies_that_exist_but_are_not_needed_here_stay():
    unused = policy(name="unused", image="ghcr.io/acme/unused")
    suspended = policy(name="asleep", image="ghcr.io/acme/asleep", more="  suspend: true\n")
    given_lock = lock(ENTRY.format("asleep", "1"), ENTRY.format("unused", "2"))
    outcome = run(
        resource_list(policy(), unused, suspended, pod(f"{IMAGE}:1.0.0"), given_lock), Tags({IMAGE: ["1.0.0"]})
    )
    assert [item["policy"] for item in locked(outcome)] == ["flux:asleep", "flux:unused", "flux:web"]


def test_nothing_is_written_to_the_lock_on_an_error():
    data = resource_list(
        policy(),
        policy("semver: {range: 9.x}", name="bad"),
        pod(f"{IMAGE}:1.0.0"),
        pod(f"{IMAGE}:1", name="b", setter="flux:bad"),
        lock(),
    )
    outcome = run(data, Tags({IMAGE: ["1.2.0"]}))
    assert outcome.is_error
    assert outcome.text.startswith(data)


def test_the_lock_that_kustomize_sends_is_read_only():
    sent = lock().replace("  name: images\n", "  name: images\n  annotations: {kustomize.config.k8s.io/id: x}\n")
    outcome = run(resource_list(policy(), pod(f"{IMAGE}:1.2.0"), sent), Tags({IMAGE: ["1.2.0"]}))
    assert outcome.text == resource_list(policy(), pod(f"{IMAGE}:1.2.0"), sent)


KUSTOMIZED = "\n  annotations: {kustomize.config.k8s.io/id: x}\n"


def test_a_tag_that_kustomize_rounded_is_refused():
    """kustomize sends items through JSON: a plain 1.10 arrives as 1.1, 1700000000 as 1.7e+09."""
    snapshot = f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata:\n  name: web{KUSTOMIZED}spec:\n  image: {IMAGE}\n  tags:\n  - 1.1\n  - '1.2'\n  - {{name: 1.7e+09}}\n  listed: 9\n"
    outcome = run(resource_list(policy(), snapshot), Tags({}))
    assert messages(outcome, "error") == [
        "TagSnapshot web: spec.tags[2].name: 1.7e+09 came as a number, which kustomize rounds: quote it in the file",
        "TagSnapshot web: spec.tags[0]: 1.1 came as a number, which kustomize rounds: quote it in the file",
    ]
    assert (
        messages(
            run(resource_list(policy(), snapshot.replace(KUSTOMIZED, "\n").replace("e+09", "")), Tags({})), "error"
        )
        == []
    )
    record = lock("{policy: 'flux:web', image: x/y, policyHash: '1', tag: 1.1}").replace(
        "images\n", f"images{KUSTOMIZED}", 1
    )
    assert (
        "spec.images[0].tag: 1.1 came as a number"
        in messages(run(resource_list(policy(), record), Tags({})), "error")[0]
    )


def test_a_lock_inside_a_list_is_edited_there():
    inner = lock().replace("\n", "\n  ").rstrip(" ")
    outcome = run(
        resource_list(policy(), pod(f"{IMAGE}:1.2.0"), f"apiVersion: v1\nkind: List\nitems:\n- {inner}"),
        Tags({IMAGE: ["1.2.0"]}),
    )
    (found,) = (one for one in items(outcome) if one["kind"] == "List")
    assert [item["tag"] for item in found["items"][0]["spec"]["images"]] == ["1.2.0"]
