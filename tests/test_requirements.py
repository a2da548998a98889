"""What may run: `require`, ages, holds, the time by which they are judged, and what a lock says of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.config.first_seen import Seen, merge
from krmfn.config.settings import dated, overridden
from krmfn.config.snapshot import Snapshot, merged
from krmfn.plan.inspection import Inspection, Lack, Needs
from krmfn.plan.lockfile import snapshot_document
from krmfn.policies.number import duration
from krmfn.yamledit.text import Text
from tests.lists import IMAGE, Tags, digest, images, lock, locked, messages, pod, policy, relocked, resource_list, run

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.outcome import Outcome

DAY = 86400
START = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = policy()


def at(days: float) -> str:
    """Return a time some days after the start."""
    return (START + timedelta(seconds=round(days * DAY))).strftime("%Y-%m-%dT%H:%M:%SZ")


def require(age: str = "3 days", more: str = "") -> str:
    return (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n  require:\n"
        f"    - minimumReleaseAge: {age}\n{more}"
    )


def hold(what: str, name: str = "hold", target: str = 'policy: "flux:web"') -> str:
    return (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {{name: {name}}}\nspec:\n  {target}\n"
        + "".join(f"  {line}\n" for line in what.split("; "))
    )


def snapshot(days: dict[str, float], time: float | None = None) -> str:
    when = f'  time: "{at(time)}"\n' if time is not None else ""
    tags = "".join(f'    - {{name: "{tag}", firstSeen: "{at(day)}"}}\n' for tag, day in days.items())
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: web}}\nspec:\n  image: {IMAGE}\n{when}  tags:\n{tags}"


def chosen(*documents: str, tags: list[str] | Mapping[str, str | None], now: float | None) -> tuple[str, list[str]]:
    env = {} if now is None else {"KRMFN_NOW": at(now)}
    outcome = run(resource_list(*documents), Tags({IMAGE: tags}), **env)
    assert not outcome.is_error, outcome.results
    return images(outcome)[0].rpartition(":")[2], messages(outcome, "info") + messages(outcome, "warning")


SEEN = {"1.0.0": 0.0, "1.1.0": 1.0, "1.2.0": 5.0, "2.0.0": 6.0}
POD = pod(f"{IMAGE}:1.0.0")
TABLE = [
    ("everything is old", 20, "3 days", (), "2.0.0"),
    ("the best is young, the next best is old", 8, "3 days", (), "1.2.0"),
    ("two are young", 7, "3 days", (), "1.1.0"),
    ("all are young: nothing moves", 2, "3 days", (), "1.0.0"),
    ("the very second", 9, "3 days", (), "2.0.0"),
    ("a second before", 9 - 1 / DAY, "3 days", (), "1.2.0"),
    ("by step", 20, "{default: 1 day, major: 30 days}", (), "1.2.0"),
    ("a step that is not named has the default", 6.5, "{default: 2 days, major: 30 days}", (), "1.1.0"),
    ("entries add up", 8, "1 day\n    - minimumReleaseAge: 10 days", (), "1.0.0"),
    ("an entry for other images", 7, "3 days\n      images: [ghcr.io/other/**]", (), "2.0.0"),
    ("a star stays inside a part", 7, "3 days\n      images: [ghcr.io/*]", (), "2.0.0"),
    ("two stars cross", 7, "3 days\n      images: ['ghcr.io/**']", (), "1.1.0"),
    ("an entry for policies", 7, "3 days\n      policies: ['flux:*']", (), "1.1.0"),
    ("a hold skips one", 20, "3 days", ("not: 2.0.0",), "1.2.0"),
    ("a hold that is over", 20, "3 days", (f'not: 2.0.0; until: "{at(20)}"',), "2.0.0"),
    ("a hold a second before its end", 20, "3 days", (f'not: 2.0.0; until: "{at(20 + 1 / DAY)}"',), "1.2.0"),
    ("a bare date is midnight in UTC", 20, "3 days", ("not: 2.0.0; until: 2026-11-22",), "1.2.0"),
    ("a hold stays on one", 20, "3 days", ("tag: 1.1.0",), "1.1.0"),
    ("a tag that is held has to be old too", 2, "3 days", ("tag: 1.1.0",), "1.0.0"),
    ("a tag that is released need not wait", 7, "3 days", ("releaseAge: 2.0.0",), "2.0.0"),
    ("another tag that is released changes nothing", 7, "3 days", ("releaseAge: 3.0.0",), "1.1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("now", "age", "holds", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_may_run(now, age, holds, expected):
    documents = [hold(what, f"hold{index}") for index, what in enumerate(holds)]
    found, _ = chosen(POLICY, POD, require(age), snapshot(SEEN), *documents, tags=list(SEEN), now=now)
    assert found == expected


def test_what_is_passed_over_says_until_when():
    _, said = chosen(POLICY, POD, require(), snapshot(SEEN), tags=list(SEEN), now=8)
    assert any("2.0.0: too young, eligible 2026-11-10T00:00Z; 1.2.0 may run" in one for one in said), said


def test_a_tag_nobody_recorded_waits_and_says_for_what():
    found, said = chosen(POLICY, POD, require(), snapshot({"1.0.0": 0}), tags=["1.0.0", "1.1.0"], now=90)
    assert found == "1.0.0"
    assert any("krmfn fetch" in one for one in said)


def test_the_time_of_the_repository_stands_in_for_now():
    assert chosen(POLICY, POD, require(), snapshot(SEEN, 8), tags=list(SEEN), now=None)[0] == "1.2.0"


def test_without_any_time_an_age_is_refused_with_advice():
    outcome = run(resource_list(POLICY, POD, require(), snapshot(SEEN)), Tags({IMAGE: list(SEEN)}))
    assert ["KRMFN_NOW" in one and "spec.time" in one for one in messages(outcome, "error")] == [True]


def test_without_any_time_a_hold_is_in_force_and_says_so():
    found, said = chosen(POLICY, POD, hold("not: 2.0.0; until: 2026-01-01"), tags=list(SEEN), now=None)
    assert found == "1.2.0"
    assert any("no time is known" in one for one in said)


def test_fields_ahead_of_what_may_run_stay():
    pods = [pod(f"{IMAGE}:{tag}", name=f"p{index}") for index, tag in enumerate(("1.0.0", "2.0.0", "1.1.0"))]
    documents = resource_list(POLICY, *pods, require(), snapshot(SEEN))
    for more in ({}, {"KRMFN_ON_DOWNGRADE": "allow"}):
        outcome = run(documents, Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(8), **more)
        assert [one.rpartition(":")[2] for one in images(outcome)] == ["1.2.0", "2.0.0", "1.2.0"]
        assert messages(outcome, "warning") == []


def test_a_hold_lets_a_newer_field_go_down_to_its_tag():
    assert chosen(POLICY, pod(f"{IMAGE}:2.0.0"), hold("tag: 1.1.0"), tags=list(SEEN), now=20)[0] == "1.1.0"


def test_a_hold_on_the_best_tag_passes_nothing_over():
    assert chosen(POLICY, POD, hold("tag: 2.0.0"), tags=list(SEEN), now=20) == chosen(POLICY, POD, tags=list(SEEN), now=20)


def test_what_is_deployed_and_held_is_reported_and_stays():
    found, said = chosen(POLICY, pod(f"{IMAGE}:2.0.0"), hold("not: 2.0.0; because: it leaks"), tags=list(SEEN), now=20)
    assert found == "2.0.0"
    assert any("2.0.0 is deployed and held: it leaks" in one for one in said)


def test_a_tag_that_was_pushed_again_is_as_young_as_its_digest():
    old, new = (f"sha256:{char * 64}" for char in "ab")
    again = snapshot({"1.0.0": 0}) + (
        f'    - name: "1.1.0"\n      firstSeen: "{at(0)}"\n      digests:\n'
        f'        - {{digest: "{old}", firstSeen: "{at(0)}"}}\n        - {{digest: "{new}", firstSeen: "{at(9)}"}}\n'
    )
    offered = {"1.0.0": old, "1.1.0": new}
    assert chosen(POLICY, POD, require(), again, tags=offered, now=10)[0] == "1.0.0"
    assert chosen(POLICY, POD, require(), again, tags=offered, now=12)[0] == "1.1.0"


def test_a_digest_that_nobody_saw_yet_is_young_however_old_its_tag_is():
    record = snapshot({"1.0.0": 0}) + f'    - {{name: "1.1.0", digest: "{digest("old")}", firstSeen: "{at(0)}"}}\n'
    found, said = chosen(POLICY, POD, require(), record, tags={"1.0.0": None, "1.1.0": digest("new")}, now=90)
    assert found == "1.0.0"
    assert any("1.1.0: too young: it was pushed again since it was seen" in one for one in said), said


def test_an_old_tag_whose_digest_is_gone_is_passed_over():
    record = snapshot({"1.0.0": 0}) + f'    - {{name: "1.1.0", digest: "{digest("old")}", firstSeen: "{at(0)}"}}\n'
    found, said = chosen(POLICY, POD, require(), record, tags={"1.0.0": None, "1.1.0": None}, now=90)
    assert found == "1.0.0"
    assert any("1.1.0: manifest 1.1.0 not there" in one for one in said), said


OLD, NEW = digest("old"), digest("new")
ALWAYS = policy(reflection="Always")
PUSHED_AGAIN = (
    snapshot({"0.9.0": 0})
    + f'    - name: "1.0.0"\n      digests: [{{digest: "{OLD}", firstSeen: "{at(0)}"}}, {{digest: "{NEW}", firstSeen: "{at(9)}"}}]\n'
)


def pinned(documents: tuple[str, ...], now: float, **env: str) -> Outcome:
    tags = Tags({IMAGE: {"0.9.0": None, "1.0.0": NEW}})
    return run(resource_list(*documents), tags, KRMFN_NOW=at(now), **env)


MOVES = [
    ("its own age", "{default: 9 days, digest: 2 days}", (10.9, 11)),
    ("the default where it has none", "3 days", (11.9, 12)),
    ("none where none is named", "{major: 9 days}", (None, 9)),
    ("an age of tags alone", "{minor: 3 days, digest: 0 days}", (None, 9)),
]


@pytest.mark.parametrize(("age", "moments"), [row[1:] for row in MOVES], ids=[row[0] for row in MOVES])
@pytest.mark.parametrize("rule", [ALWAYS, policy("digest: {}", "Always")], ids=["semver", "digest"])
def test_a_move_of_the_digest_alone_has_its_own_age(rule, age, moments):
    field = pod(f"{IMAGE}:1.0.0@{OLD}")
    for now, expected in zip(moments, (OLD, NEW), strict=True):
        if now is not None:
            outcome = pinned((rule, field, require(age), PUSHED_AGAIN, lock()), now)
            assert images(outcome) == [f"{IMAGE}:1.0.0@{expected}"]
            assert [entry["digest"] for entry in locked(outcome)] == [expected]
            said = [one for one in messages(outcome, "info") if f"1.0.0@{NEW[:19]}: too young, eligible" in one]
            assert bool(said) == (expected == OLD)


def test_a_digest_that_waits_is_not_called_one_that_moves():
    (said,) = messages(pinned((ALWAYS, pod(f"{IMAGE}:1.0.0@{OLD}"), require(), PUSHED_AGAIN), 10), "warning")
    assert "pushed again" in said
    assert "the digest that is pinned stays" in said


def test_fields_that_pin_several_digests_stay_and_one_that_moves_takes_the_recorded_one():
    third = digest("third")
    fields = [pod(f"{IMAGE}:1.0.0@{one}", name=f"p{index}") for index, one in enumerate((OLD, third))]
    documents = (ALWAYS, *fields, pod(f"{IMAGE}:0.9.0", name="behind"), require("{default: 1 day, digest: 9 days}"), PUSHED_AGAIN)
    assert images(pinned(documents, 12)) == [f"{IMAGE}:1.0.0@{one}" for one in (OLD, third, NEW)]
    record = lock(f'{{policy: "flux:web", image: {IMAGE}, tag: "1.0.0", digest: "{OLD}", policyHash: x}}')
    assert images(pinned((*documents, record), 12)) == [f"{IMAGE}:1.0.0@{OLD}"] * 3


def test_a_build_keeps_the_digest_of_its_lock_until_the_new_one_is_old_enough():
    built = pod(f"{IMAGE}:1.0.0").replace("metadata: {name: web}", IN_BUILD)
    record = lock(f'{{policy: "flux:web", image: {IMAGE}, tag: "1.0.0", digest: "{OLD}", policyHash: x}}')
    for now, expected in ((11, OLD), (12, NEW)):
        assert images(pinned((ALWAYS, built, require(), PUSHED_AGAIN, record), now)) == [f"{IMAGE}:1.0.0@{expected}"]


def test_created_counts_where_it_is_named_and_nobody_saw_the_tag_first():
    class Built(Tags):
        def created(self, repository: Repository, tag: str) -> str:
            self.asked.append(f"{tag} created")
            return {"2.0.0": at(20), "1.1.0": "1970-01-01T00:00:00Z"}.get(tag, at(0))

    def pick(age: str, now: float, *more: str) -> tuple[str, list[str]]:
        tags = Built({IMAGE: ["1.0.0", "1.1.0", "2.0.0"]})
        outcome = run(resource_list(POLICY, POD, require(age), *more), tags, KRMFN_NOW=at(now))
        return images(outcome)[0].rpartition(":")[2], tags.asked

    by_created = "{default: 3 days, evidence: created}"
    assert pick(by_created, 23) == ("2.0.0", [IMAGE, "2.0.0 created"])
    assert pick(by_created, 22.9) == ("1.0.0", [IMAGE, "2.0.0 created", "1.1.0 created"])  # 1970 is no time of a build
    assert pick("3 days", 90) == ("1.0.0", [IMAGE])  # what nobody named is not asked for
    assert pick(f"{by_created}\n    - minimumReleaseAge: 1 day", 90) == ("1.0.0", [IMAGE])  # one rule that wants more is enough
    assert pick(by_created, 90, snapshot({"2.0.0": 89})) == ("1.0.0", [IMAGE, "1.1.0 created"])  # a first sighting goes before it


VERSION = policy("version: {within: minor}")


def test_a_policy_that_follows_what_is_deployed_waits_too():
    assert chosen(VERSION, POD, require(), snapshot(SEEN), tags=list(SEEN), now=7)[0] == "1.1.0"
    assert chosen(VERSION, POD, hold("not: 1.2.0"), tags=list(SEEN), now=7)[0] == "1.1.0"


def test_a_lock_holds_what_was_required_and_what_was_passed_over():
    outcome = run(
        resource_list(POLICY, POD, require(), snapshot(SEEN), lock()), Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(8)
    )
    (entry,) = locked(outcome)
    assert (entry["tag"], entry["passedOver"]) == ("1.2.0", "2.0.0: too young, eligible 2026-11-10T00:00Z")
    assert len(entry["rulesHash"]) == 16


def test_what_runs_is_recorded_although_it_is_too_young_itself():
    documents = POLICY, pod(f"{IMAGE}:1.1.0"), require(), snapshot(SEEN), lock()
    outcome = run(resource_list(*documents), Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(2))
    assert [entry["tag"] for entry in locked(outcome)] == ["1.1.0"]


def frozen_errors(*documents: str) -> list[str]:
    outcome = run(resource_list(*documents), Tags({}), KRMFN_MODE="frozen", KRMFN_NOW=at(20))
    return messages(outcome, "error")


def test_frozen_wants_a_lock_made_under_the_same_requirements():
    documents = POLICY, POD, snapshot(SEEN)
    plain = relocked(*documents, tags=Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(20))
    strict = relocked(*documents, require(), tags=Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(20))
    assert frozen_errors(*documents, plain) == frozen_errors(*documents, require(), strict) == []
    for wrong in ((*documents, require(), plain), (*documents, strict), (*documents, require("4 days"), strict)):
        (message,) = frozen_errors(*wrong)
        assert "made under other requirements (rulesHash" in message
        assert "krmfn fetch" in message


def test_frozen_refuses_a_locked_tag_that_is_held():
    record = relocked(POLICY, POD, tags=Tags({IMAGE: list(SEEN)}))
    assert ["held: it leaks" in one for one in frozen_errors(POLICY, POD, record, hold("not: 2.0.0; because: it leaks"))] == [True]


IN_BUILD = 'metadata: {name: web, annotations: {config.kubernetes.io/index: "0", kustomize.config.k8s.io/id: "1"}}'


def test_a_build_goes_on_from_the_lock_and_asks_for_one():
    built = POD.replace("metadata: {name: web}", IN_BUILD)
    record = relocked(POLICY, POD, require(), snapshot(SEEN), tags=Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(4))
    outcome = run(resource_list(POLICY, built, require(), snapshot(SEEN)), Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(6))
    assert ["krmfn fetch" in one and "lock" in one for one in messages(outcome, "error")] == [True]
    found, _ = chosen(POLICY, built, require(), snapshot(SEEN), record, tags=list(SEEN), now=6)
    assert found == "1.1.0"
    assert chosen(POLICY, built, hold("not: 2.0.0"), tags=list(SEEN), now=6)[0] == "1.2.0"


def test_times_that_kustomize_sent_without_quotes_are_no_numbers():
    built = POD.replace("metadata: {name: web}", IN_BUILD)
    record = relocked(POLICY, POD, require(), snapshot(SEEN, 8), tags=Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(4))
    mark = "{name: web, annotations: {kustomize.config.k8s.io/id: '1'}}"
    plain = snapshot(SEEN, 8).replace('Z"', "Z").replace('"2026', "2026").replace("{name: web}", mark, 1)
    assert f"firstSeen: {at(0)}" in plain
    assert chosen(POLICY, built, require(), plain, record, tags=list(SEEN), now=8)[0] == "1.2.0"
    rounded = plain.replace('name: "1.1.0"', "name: 1.1")
    assert any("came as a number" in one for one in messages(run(resource_list(POLICY, built, rounded), Tags({IMAGE: list(SEEN)})), "error"))


MISTAKES = [
    (require("soon"), "spec.require[0].minimumReleaseAge: expected a duration such as 3 days"),
    (require("{majr: 3 days}"), "did you mean major?"),
    (require().replace("minimumReleaseAge", "minimumReleaseAg"), "did you mean minimumReleaseAge?"),
    (hold("tag: 1.0.0; not: 1.1.0"), "expected one of tag"),
    (hold("because: so"), "expected one of tag"),
    (hold("not: 1.0.0", target="because: so"), "either policy (namespace:name) or image"),
    (hold("not: 1.0.0", target="policy: web"), "expected namespace:name"),
    (hold("not: 1.0.0; until: tomorrow"), "spec.until: expected a date"),
    (hold("not: '1 0'"), "'1 0' is not a tag"),
    (snapshot({"1.0.0": 5}, 4), "is after spec.time"),
    (snapshot({"1.0.0": 5}).replace(at(5), "soon"), "expected an RFC 3339 time"),
]


@pytest.mark.parametrize(("document", "expected"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_mistakes_are_told_with_what_to_write(document, expected):
    outcome = run(resource_list(POLICY, POD, document), Tags({IMAGE: ["1.0.0"]}))
    assert any(expected in one for one in messages(outcome, "error")), outcome.results


VERSIONS = [f"1.{minor}.{patch}" for minor in range(3) for patch in range(3)]
TIMES = st.dictionaries(st.sampled_from(VERSIONS), st.integers(0, 40).map(lambda hours: hours / 8), min_size=1)


HOURS = st.integers(0, 240).map(lambda hours: hours / 24)
AGES = st.dictionaries(st.sampled_from(["default", "major", "minor", "patch"]), st.integers(0, 200), min_size=1)


def again(tag: str, days: tuple[float, ...]) -> str:
    """Write what is recorded of a tag that had a new digest on each of the days."""
    ordered = sorted(set(days))
    digests = ", ".join(f'{{digest: "{digest(f"{tag} {day}")}", firstSeen: "{at(day)}"}}' for day in ordered)
    return f'    - name: "{tag}"\n      firstSeen: "{at(ordered[0])}"\n      digests: [{digests}]\n'


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(VERSIONS), st.tuples(HOURS, HOURS)), st.sampled_from(VERSIONS), AGES, HOURS)
def test_eligible_at_is_the_first_moment_at_which_the_best_is_chosen(days, current, ages, now):
    days = {current: (0.0, 0.0)} | days
    offered: dict[str, str | None] = {tag: digest(f"{tag} {max(days[tag])}") for tag in days}
    record = snapshot({}) + "".join(again(tag, days[tag]) for tag in days)
    age = "{" + ", ".join(f"{name}: {hours} hours" for name, hours in ages.items()) + "}"
    best = max(days)

    def at_time(moment: float) -> tuple[str, list[str]]:
        return chosen(POLICY, pod(f"{IMAGE}:{current}"), require(age), record, tags=offered, now=moment)

    tag, said = at_time(now)
    told = [one.partition(f"{best}: too young, eligible ")[2].partition(";")[0] for one in said]
    assert bool(any(told)) == (tag != best)
    if tag != best:
        eligible = (datetime.fromisoformat(told[0].strip()) - START).total_seconds() / DAY
        assert eligible > now
        assert at_time(eligible)[0] == best
        assert at_time(eligible - 1 / DAY)[0] != best


@settings(max_examples=40, deadline=None)
@given(TIMES, st.sampled_from(VERSIONS), st.integers(0, 8), st.integers(1, 5), st.integers(1, 5))
def test_raising_an_age_never_chooses_a_younger_tag(days, current, now, low, more):
    days = {tag: day for tag, day in days.items() if day <= now} | {current: 0}
    pick = [
        chosen(POLICY, pod(f"{IMAGE}:{current}"), require(f"{age} days"), snapshot(days), tags=list(days), now=now)[0]
        for age in (low, low + more)
    ]
    assert days[pick[1]] <= days[pick[0]] or pick[1] == current


class Lacking(Tags):
    """Tags of which some are for one platform alone."""

    def __init__(self, tags: list[str], lacking: set[str]) -> None:
        super().__init__({IMAGE: tags})
        self.lacking = lacking

    def inspect(self, repository: Repository, tag: str, needs: Needs) -> Inspection:
        lacks = tuple(Lack("platform", one) for one in needs.platforms) if tag in self.lacking else ()
        return Inspection(self.digest(repository, tag), lacks)


@settings(max_examples=60, deadline=None)
@given(
    TIMES, st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=3), st.sets(st.sampled_from(VERSIONS), max_size=4),
    st.integers(0, 8), st.sampled_from([POLICY, VERSION]),
)  # fmt: skip
def test_a_rule_never_moves_what_would_not_have_moved_and_never_down(days, current, skipped, now, rule):
    days = {tag: min(day, now) for tag, day in days.items()} | dict.fromkeys(current, 0)
    pods = [pod(f"{IMAGE}:{tag}", name=f"p{index}") for index, tag in enumerate(current)]

    def after(*rules: str) -> list[str]:
        outcome = run(resource_list(rule, *pods, *rules), Lacking(list(days), skipped), KRMFN_NOW=at(now))
        assert not outcome.is_error, outcome.results
        return [one.rpartition(":")[2] for one in images(outcome)]

    free = after()
    holds = [hold(f"not: {tag}", f"hold{index}") for index, tag in enumerate(sorted(skipped))]
    platforms = require().replace("minimumReleaseAge: 3 days", "platforms: [linux/arm64]")
    aged = require("2 days", "      platforms: [linux/arm64]\n")
    for rules in (holds, [require("2 days"), snapshot(days)], [*holds, require(), snapshot(days)], [platforms], [*holds, aged, snapshot(days)]):
        for old, without, now_chosen in zip(current, free, after(*rules), strict=True):
            assert now_chosen == old or (old != without and old < now_chosen <= without and (rules != [platforms] or now_chosen not in skipped))


DIGESTS = st.sampled_from([f"sha256:{char * 64}" for char in "abc"])
RECORDS = st.dictionaries(
    st.sampled_from("123"),
    st.builds(
        lambda first, digests: Seen(first, tuple(sorted(digests.items(), key=lambda pair: (pair[1], pair[0])))),
        st.integers(0, 9).map(float), st.dictionaries(DIGESTS, st.integers(0, 9).map(float)),
    ),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5), st.randoms())
def test_records_merge_in_any_order_grouping_and_number(records, random):
    whole: dict[str, Seen] = {}
    for record in records:
        whole = merge(whole, record)
    shuffled = [*records, random.choice(records)]
    random.shuffle(shuffled)
    middle = random.randint(0, len(shuffled))
    halves: list[dict[str, Seen]] = [{}, {}]
    for index, record in enumerate(shuffled):
        halves[index >= middle] = merge(halves[index >= middle], record)
    assert merge(*halves) == whole


NAMES = st.sampled_from("123")
SNAPSHOTS = st.builds(
    lambda tags, created, listed, time, seen: Snapshot(
        IMAGE, tags, {tag: at(day) for tag, day in created.items() if tag in tags}, listed + len(tags), None, time,
        seen if time is not None else {}, frozenset(seen) - frozenset(tags) if time is not None else frozenset(),
    ),
    st.dictionaries(NAMES, st.one_of(st.none(), DIGESTS)), st.dictionaries(NAMES, st.integers(0, 2)), st.integers(0, 2),
    st.sampled_from([None, 10.0, 20.0]), RECORDS,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(SNAPSHOTS, min_size=1, max_size=5), st.randoms())
def test_snapshots_merge_in_any_order_grouping_and_number_to_the_same_bytes(records, random):
    def together(several: list[Snapshot]) -> Snapshot:
        if len(several) == 1:
            return several[0]
        middle = random.randint(1, len(several) - 1)
        return merged(together(several[:middle]), together(several[middle:]))

    whole = snapshot_document(functools.reduce(merged, records, records[0]), "web")
    shuffled = [*records, random.choice(records)]
    random.shuffle(shuffled)
    assert snapshot_document(together(shuffled), "web") == whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3 days", 3 * DAY), ("1 day", DAY), ("2w", 14 * DAY), ("36h", 36 * 3600), ("90 minutes", 5400), ("", None), ("3", None), ("1.5 days", None), ("3 Days ago", None)],
)  # fmt: skip
def test_durations(text, expected):
    assert duration(text) == expected


TWO = policy(name="api", image="ghcr.io/acme/api")
"""A second policy, whose repository has a newer snapshot."""
NEWEST = snapshot(SEEN, 30).replace("name: web", "name: api").replace(IMAGE, "ghcr.io/acme/api")
NOWS = [
    ("KRMFN_NOW comes first", {"KRMFN_NOW": at(7), "SOURCE_DATE_EPOCH": "4000000000"}, 30, "1.1.0"),
    ("then SOURCE_DATE_EPOCH", {"SOURCE_DATE_EPOCH": str(int((START + timedelta(days=7)).timestamp()))}, 30, "1.1.0"),
    ("then for ages the snapshot of the repository itself", {}, 7, "1.1.0"),
    ("and it alone", {}, 30, "2.0.0"),
]


@pytest.mark.parametrize(("env", "own", "expected"), [row[1:] for row in NOWS], ids=[row[0] for row in NOWS])
def test_now_comes_from(env: dict[str, str], own: float, expected: str):
    documents = POLICY, POD, TWO, require(), snapshot(SEEN, own), NEWEST
    outcome = pipeline.run(
        Text(resource_list(*documents)), lambda _: Tags({IMAGE: list(SEEN), "ghcr.io/acme/api": list(SEEN)}),
        lambda made: dated(overridden(made, env), env),
    )  # fmt: skip
    assert not outcome.is_error, outcome.results
    assert images(outcome)[0].rpartition(":")[2] == expected


@pytest.mark.parametrize(("until", "expected"), [(8, "2.0.0"), (31, "1.2.0")])
def test_without_a_clock_holds_are_judged_by_the_newest_snapshot(until: float, expected: str):
    documents = POLICY, POD, TWO, snapshot(SEEN, 7), NEWEST, hold(f'not: 2.0.0; until: "{at(until)}"')
    assert images(run(resource_list(*documents), Tags({IMAGE: list(SEEN)})))[0].rpartition(":")[2] == expected


def test_what_frozen_compares_is_what_is_required_and_nothing_else():
    """Globs, the order of entries, repeats, holds and the time make no other rulesHash."""
    def hash_of(*rules: str, now: float = 20) -> str:
        record = relocked(POLICY, POD, snapshot(SEEN), *rules, tags=Tags({IMAGE: list(SEEN)}), KRMFN_NOW=at(now))
        return record.partition("rulesHash: ")[2].split()[0]

    alone = hash_of(require())
    same = (
        hash_of(require("3 days\n      images: ['ghcr.io/**']")), hash_of(require("3 days\n    - minimumReleaseAge: 72 hours")),
        hash_of(require(), hold("not: 1.1.0")), hash_of(require(), now=25), hash_of(require(), require().replace("name: rules", "name: more")),
    )  # fmt: skip
    assert set(same) == {alone}
    assert hash_of(require("4 days")) != alone
