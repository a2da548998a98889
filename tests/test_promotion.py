"""Promotion: a policy that takes the tag and digest which another environment's lock has recorded for a while."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.config.floor import read_floor
from krmfn.config.settings import overridden
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests import images as layouts
from tests.lists import Tags, digest, images, items, messages, pod, resource_list, run
from tests.running import call

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

WEB = "ghcr.io/acme/web"
START = datetime(2026, 11, 1, tzinfo=UTC)
OLD, NEW = digest("old"), digest("new")


def at(days: float) -> str:
    return (START + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def follow(soak: str = "2 days", *, lock: str = "staging", policy: str = "staging:web", more: str = "", name: str = "web", image: str = WEB) -> str:
    """Write the automation of an environment that follows another one."""
    return (
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: prod, namespace: prod}\nspec:\n  policies:\n"
        f"  - name: {name}\n    image: {image}\n    policy: {{follow: {{lock: {lock}, policy: '{policy}', soak: {soak}}}}}\n{more}"
    )


def record(tag: str, since: float | None, pin: str = "", *, name: str = "staging", policy: str = "staging:web", image: str = WEB) -> str:
    when = f', since: "{at(since)}"' if since is not None else ""
    pinned = f', digest: "{pin}"' if pin else ""
    return (
        f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {{name: {name}}}\nspec:\n  images:\n"
        f'  - {{policy: "{policy}", image: {image}, tag: "{tag}", policyHash: x{when}{pinned}}}\n'
    )


OWN = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {name: prod}\nspec: {images: []}\n"


def field(value: str) -> str:
    return pod(f"{WEB}:{value}", setter="prod:web")


def after(*resources: str, now: float, **env: str) -> tuple[str, Outcome]:
    outcome = run(resource_list(*resources), Tags({}), KRMFN_NOW=at(now), **env)  # a source that has nothing: nobody is to ask it
    assert not outcome.is_error, outcome.results
    return images(outcome)[0].partition(":")[2], outcome


TABLE = [
    ("recorded for as long as it soaks", "1.0.0", ("1.1.0", 5.0), 7.0, "1.1.0"),
    ("a second less", "1.0.0", ("1.1.0", 5.0), 7 - 1 / 86400, "1.0.0"),
    ("nobody knows since when", "1.0.0", ("1.1.0", None), 90.0, "1.0.0"),
    ("what runs already", "1.1.0", ("1.1.0", 5.0), 5.0, "1.1.0"),
    ("the source went down", "1.1.0", ("1.0.0", 5.0), 90.0, "1.1.0"),
    ("no version at all", "main-a", ("main-b", 5.0), 7.0, "main-b"),
]


@pytest.mark.parametrize(("current", "source", "now", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_environment_takes(current, source, now, expected):
    assert after(follow(), field(current), record(*source), now=now)[0] == expected


def test_a_follower_goes_down_only_where_that_is_allowed_and_after_the_soak():
    documents = follow(), field("1.1.0"), record("1.0.0", 5)
    assert after(*documents, now=7, KRMFN_ON_DOWNGRADE="allow")[0] == "1.0.0"
    assert after(*documents, now=6.9, KRMFN_ON_DOWNGRADE="allow")[0] == "1.1.0"
    (said,) = messages(after(*documents, now=7)[1], "warning")
    assert said.startswith(f"{WEB}: kept 1.1.0")
    assert "which staging:web of lock staging went down to; onDowngrade: allow follows it" in said


def test_what_soaks_says_until_when():
    _, outcome = after(follow(), field("1.0.0"), record("1.1.0", 5), OWN, now=6)
    (said,) = (one for one in outcome.results if one.code == "passed-over")
    assert said.message == f"{WEB}: 1.1.0: soaks in lock staging since 2026-11-06T00:00Z, eligible 2026-11-08T00:00Z; 1.0.0 may run (policy prod:web)"
    assert said.eligible_at == "2026-11-08T00:00Z"


DIGESTS = [
    ("with the tag", "1.0.0", ("1.1.0", 5.0, NEW), 7.0, f"1.1.0@{NEW}"),
    ("not before it has soaked", f"1.0.0@{OLD}", ("1.1.0", 5.0, NEW), 6.0, f"1.0.0@{OLD}"),
    ("alone", f"1.1.0@{OLD}", ("1.1.0", 5.0, NEW), 7.0, f"1.1.0@{NEW}"),
    ("alone, not before it has soaked", f"1.1.0@{OLD}", ("1.1.0", 5.0, NEW), 6.0, f"1.1.0@{OLD}"),
]


@pytest.mark.parametrize(("current", "source", "now", "expected"), [row[1:] for row in DIGESTS], ids=[row[0] for row in DIGESTS])
@pytest.mark.parametrize("reflection", ["", "    digestReflectionPolicy: Always\n"], ids=["by itself", "Always"])
def test_the_digest_of_the_other_environment_is_written(current, source, now, expected, reflection):
    assert after(follow(more=reflection), field(current), record(*source), now=now)[0] == expected


def test_a_field_that_is_pinned_is_never_unpinned_by_a_lock_without_digests():
    outcome = run(resource_list(follow(), field(f"1.0.0@{OLD}"), record("1.1.0", 1)), Tags({}), KRMFN_NOW=at(9))
    assert ["this field is pinned" in one for one in messages(outcome, "error")] == [True]
    assert after(follow(), field(f"1.1.0@{OLD}"), record("1.1.0", 1), now=9)[0] == f"1.1.0@{OLD}"


HOLD = 'apiVersion: krmfn.dev/v1alpha1\nkind: ImageHold\nmetadata: {name: hold}\nspec: {policy: "prod:web", WHAT: 1.1.0}\n'
AGED = "  require: [{minimumReleaseAge: 4 days}]\n"
RULES = [
    ("a hold", HOLD.replace("WHAT", "not"), "", 9.0, "1.0.0"),
    ("a hold on the tag", HOLD.replace("WHAT", "tag"), "", 9.0, "1.1.0"),
    ("an age, from the record on where nobody saw the tag", "", AGED, 8.9, "1.0.0"),
    ("an age that is over", "", AGED, 9.0, "1.1.0"),
    ("a window that is closed", "", "  windows: [{kind: Allow, schedule: 0 2 * * *, duration: 1h}]\n", 9.0, "1.0.0"),
]


@pytest.mark.parametrize(("more", "rule", "now", "expected"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_what_the_destination_requires_holds(more, rule, now, expected):
    documents = [follow(more=rule), field("1.0.0"), record("1.1.0", 5), OWN, *([more] if more else [])]
    assert after(*documents, now=now)[0] == expected


def test_the_lock_of_the_other_environment_stays_as_it_is():
    _, outcome = after(follow(), field("1.0.0"), OWN, record("1.1.0", 1), now=9)
    locks = {one["metadata"]["name"]: one["spec"]["images"] for one in items(outcome) if one["kind"] == "ImageLock"}
    assert [entry["policy"] for entry in locks["staging"]] == ["staging:web"]
    assert [(entry["policy"], entry["tag"], entry["since"]) for entry in locks["prod"]] == [("prod:web", "1.1.0", "2026-11-10T00:00Z")]


IN_BUILD = 'metadata: {name: web, annotations: {config.kubernetes.io/index: "0", kustomize.config.k8s.io/id: "1"}}'


def test_a_build_goes_on_from_its_own_lock_and_asks_for_one():
    built = field("0.9.0").replace("metadata: {name: web}", IN_BUILD)
    own = record("1.0.0", 0, name="prod", policy="prod:web")
    assert after(follow(), built, own, record("1.1.0", 5), now=6)[0] == "1.0.0"
    assert after(follow(), built, own, record("1.1.0", 5), now=7)[0] == "1.1.0"
    outcome = run(resource_list(follow(), built, record("1.1.0", 5)), Tags({}), KRMFN_NOW=at(7))
    assert ["follow needs a lock" in one and "krmfn fetch" in one for one in messages(outcome, "error")] == [True]


def test_frozen_takes_the_lock_of_the_environment_itself():
    _, outcome = after(follow(), field("1.0.0"), OWN, record("1.1.0", 1), now=9)
    own = next(one for one in items(outcome) if one["metadata"]["name"] == "prod" and one["kind"] == "ImageLock")["spec"]["images"][0]
    locked = record("1.1.0", 9, name="prod", policy="prod:web").replace("policyHash: x", f"policyHash: {own['policyHash']}")
    assert after(follow(), field("1.0.0"), locked, record("1.2.0", 1), now=9, KRMFN_MODE="frozen")[0] == "1.1.0"


MISTAKES = [
    (follow(lock="stagin"), "no ImageLock is named stagin here (found: staging)"),
    (follow(image="ghcr.io/acme/api"), "lock staging names ghcr.io/acme/web for policy staging:web, which is no ghcr.io/acme/api"),
    (follow("0 days"), "spec.policies[0].policy.follow.soak: invalid policy: expected a duration above zero such as 2 days"),
    (follow("soon"), "expected a duration above zero such as 2 days or 12h, found 'soon'"),
    (follow(policy="web"), "spec.policies[0].policy.follow.policy: invalid policy: expected namespace:name, found 'web'"),
    (follow().replace(", soak: 2 days", ""), "spec.policies[0].policy.follow.soak: required"),
]


@pytest.mark.parametrize(("document", "expected"), MISTAKES, ids=[row[1] for row in MISTAKES])
def test_mistakes_are_told_with_what_to_write(document, expected):
    outcome = run(resource_list(document, field("1.0.0"), record("1.1.0", 5)), Tags({}), KRMFN_NOW=at(9))
    assert any(expected in one for one in messages(outcome, "error")), outcome.results


def test_where_nothing_is_recorded_yet_everything_stays():
    tag, outcome = after(follow(policy="staging:wob"), field("1.0.0"), record("1.1.0", 5), now=9)
    assert tag == "1.0.0"
    assert ["lock staging has no entry for policy staging:wob" in one for one in messages(outcome, "warning")] == [True]


def test_without_any_time_to_follow_is_refused_with_advice():
    outcome = run(resource_list(follow(), field("1.0.0"), record("1.1.0", 5)), Tags({}))
    assert ["follow needs a time" in one and "KRMFN_NOW" in one for one in messages(outcome, "error")] == [True]


def circle(*names: str) -> list[str]:
    """Write policies of which each follows the next one, and the last the first."""
    return [
        follow(lock=after, policy=f"prod:{after}", name=name).replace("{name: prod,", f"{{name: {name},")
        for name, after in zip(names, (*names[1:], names[0]), strict=True)
    ]


CIRCLES = [
    ("of two", circle("a", "b"), "policies follow each other in a circle: prod:a -> prod:b -> prod:a"),
    ("of three", circle("a", "b", "c"), "policies follow each other in a circle: prod:a -> prod:b -> prod:c -> prod:a"),
    ("of one", [follow(lock="prod", policy="prod:web"), record("1.0.0", 1, name="prod", policy="prod:web")], "policy prod:web follows its own record in lock prod"),
]


@pytest.mark.parametrize(("rules", "expected"), [row[1:] for row in CIRCLES], ids=[row[0] for row in CIRCLES])
def test_a_circle_is_an_error_that_names_it(rules, expected):
    outcome = run(resource_list(*rules), Tags({}), KRMFN_NOW=at(9))
    told = messages(outcome, "error")
    assert len(told) == 1
    assert expected in told[0]


def test_a_policy_may_have_the_name_that_it_follows_in_another_lock():
    own = record("1.0.0", 0, name="prod", policy="prod:web")
    documents = follow(policy="prod:web", more="  lock: prod\n"), field("1.0.0"), own, record("1.1.0", 1, policy="prod:web")
    assert after(*documents, now=9)[0] == "1.1.0"


def test_under_rules_from_outside_their_record_is_believed():
    def floored(*rules: str) -> str:
        floor = read_floor(documents(Text("---\n".join(rules).encode())))
        env = {"KRMFN_NOW": at(9)}
        forged = resource_list(follow(), field("1.0.0"), record("6.6.6", 0), OWN)
        outcome = pipeline.run(Text(forged), lambda _: Tags({}), lambda made: overridden(made, env), floor)
        assert not outcome.is_error, outcome.results
        return images(outcome)[0].partition(":")[2]

    assert floored(follow(), record("1.1.0", 1)) == "1.1.0"
    assert floored(follow(), record("1.1.0", 8)) == "1.0.0"


# three environments in files

ENVIRONMENTS = ("dev", "staging", "prod")


def package(top: Path) -> None:
    for name, before in zip(ENVIRONMENTS, (None, *ENVIRONMENTS), strict=False):
        (top / name).mkdir()
        rule = f"{{follow: {{lock: {before}, policy: '{before}:web', soak: 2 days}}}}" if before else "{semver: {range: '>=1.0.0'}}"
        (top / name / "images.yaml").write_text(
            f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {{name: images, namespace: {name}}}\nspec:\n  policies:\n"
            f"  - {{name: web, image: {WEB}, policy: {rule}, bind: [markers]}}\n"
        )
        (top / name / "web.yaml").write_text(pod(f"{WEB}:1.0.0", setter=f"{name}:web"))
        (top / name / "lock.yaml").write_text(f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata: {{name: {name}}}\nspec:\n  images: []\n")


def offer(*tags: str) -> None:
    layouts.write(Path("registry"), {WEB: dict.fromkeys(tags, "2026-01-01T00:00:00Z")})


def update(day: float, *words: str) -> str:
    done = call("update", ".", *words, cwd=Path.cwd(), KRMFN_NOW=at(day), KRMFN_LAYOUT=str(Path("registry").absolute()))
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(re.findall(r"image: \S+:(\S+)", "".join((Path(name) / "web.yaml").read_text() for name in ENVIRONMENTS)))


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    package(tmp_path)
    offer("1.0.0")
    return tmp_path


def test_a_release_goes_from_environment_to_environment(environments: Path):
    assert update(0) == "1.0.0 1.0.0 1.0.0"
    offer("1.0.0", "1.1.0")
    told = [update(day) for day in (1, 1, 2.9, 3, 3, 4.9, 5, 9)]
    assert told == ["1.1.0 1.0.0 1.0.0"] * 3 + ["1.1.0 1.1.0 1.0.0"] * 3 + ["1.1.0 1.1.0 1.1.0"] * 2


def test_what_goes_down_soaks_anew_and_is_followed_where_that_is_allowed(environments: Path):
    offer("1.0.0", "1.1.0")
    assert [update(day) for day in (0, 2, 4)][-1] == "1.1.0 1.1.0 1.1.0"
    dev = environments / "dev" / "images.yaml"
    dev.write_text(dev.read_text().replace(">=1.0.0", "<1.1.0"))
    assert update(5) == "1.0.0 1.1.0 1.1.0"
    assert update(9) == "1.0.0 1.1.0 1.1.0"
    assert update(9, "--on-downgrade", "allow") == "1.0.0 1.0.0 1.1.0"
    assert update(10.9, "--on-downgrade", "allow") == "1.0.0 1.0.0 1.1.0"
    assert update(11, "--on-downgrade", "allow") == "1.0.0 1.0.0 1.0.0"


def test_every_verb_says_what_soaks(environments: Path):
    update(0)
    offer("1.0.0", "1.1.0")
    update(1)

    def told(*words: str) -> str:
        done = call(*words, cwd=Path.cwd(), KRMFN_NOW=at(2), KRMFN_LAYOUT=str(Path("registry").absolute()))
        return done.stdout + done.stderr

    assert "soaks until 2026-11-04T00:00Z" in told("check", ".", "--wide")
    shown = told("explain", "staging:web", ".")
    assert "staging:web chooses 1.1.0" in shown
    assert "1.1.0: soaks in lock dev since 2026-11-02T00:00Z, eligible 2026-11-04T00:00Z" in shown
    assert "soaks in lock dev" in told("update", ".", "-o", "markdown", "--check")


def test_no_registry_is_asked_for_an_environment_that_follows(environments: Path):
    update(0)
    offer("1.0.0", "1.1.0")
    update(1)
    (environments / "registry").rename("gone")
    for verb in ("update", "fetch"):
        done = call(verb, "staging", "dev/lock.yaml", cwd=environments, KRMFN_NOW=at(3), KRMFN_LAYOUT=str(environments / "registry"))
        assert done.returncode == 0, done.stdout + done.stderr
    assert ":1.1.0 " in (environments / "staging" / "web.yaml").read_text()
    assert not list(environments.glob("**/krmfn-tags.yaml"))


VERSIONS = ["1.0.0", "1.1.0", "1.2.0", "main-a"]


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(st.tuples(st.sampled_from(VERSIONS), st.integers(1, 5)), min_size=1, max_size=6), st.integers(1, 4),
    st.sampled_from(VERSIONS), st.sampled_from(["keep", "allow"]),
)  # fmt: skip
def test_nothing_is_taken_that_was_not_held_for_the_soak(history, soak, current, downgrade):
    """The source holds each tag for some days; the follower looks every day."""
    held: list[str] = [tag for tag, days in history for _ in range(days)]
    runs = current
    for day, tag in enumerate(held):
        since = day - next((back for back in range(day + 1) if held[day - back] != tag), day + 1) + 1
        found = after(follow(f"{soak} days"), field(runs), record(tag, since), now=day, KRMFN_ON_DOWNGRADE=downgrade)[0]
        if found != runs:
            assert day >= soak
            assert set(held[day - soak : day + 1]) == {found}
            assert downgrade == "allow" or "main" in runs + found or found > runs
        elif day >= soak and set(held[day - soak : day + 1]) == {tag} and tag > runs and "main" not in runs + tag:
            raise AssertionError(f"{tag} was held for {soak} days and not taken for {runs} on day {day}")
        runs = found
