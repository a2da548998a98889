"""Windows and `maxChanges`: when tags may move, and how many policies at a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from krmfn import pipeline
from krmfn.config.floor import read_floor
from krmfn.config.settings import overridden
from krmfn.config.windows import Window, is_open, opening
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.images import write
from tests.lists import Tags, digest, images, lock, locked, messages, pod, policy, relocked, resource_list, run
from tests.running import call, succeed

if TYPE_CHECKING:
    from krmfn.outcome import Outcome

IMAGE = "ghcr.io/acme/web"
NIGHT = "{kind: Allow, schedule: '0 2 * * *', duration: 2h, timeZone: Europe/Berlin}"
SCENES = settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def rules(*windows: str, more: str = "") -> str:
    text = "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: rules}\nspec:\n"
    return text + (f"  windows: [{', '.join(windows)}]\n" if windows else "") + more


def local(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def allow(schedule: str, hours: float, zone: str = "Europe/Berlin") -> Window:
    return Window("Allow", schedule, round(hours * 3600), zone)


def deny(schedule: str, hours: float, zone: str = "Europe/Berlin") -> Window:
    return Window("Deny", schedule, round(hours * 3600), zone)


SPRING, AUTUMN = "2026-03-29", "2026-10-25"
"""In Berlin 02:00 is 03:00 on the first, and 03:00 is 02:00 once more on the second."""
OPEN = [
    ("half-open: its first second", [allow("0 2 * * *", 2)], utc("2026-06-01T00:00:00"), True),
    ("half-open: the second before", [allow("0 2 * * *", 2)], utc("2026-05-31T23:59:59"), False),
    ("half-open: its last second", [allow("0 2 * * *", 2)], utc("2026-06-01T01:59:59"), True),
    ("half-open: its end", [allow("0 2 * * *", 2)], utc("2026-06-01T02:00:00"), False),
    ("in winter an hour later", [allow("0 2 * * *", 2)], utc("2026-12-01T00:30:00"), False),
    ("in winter", [allow("0 2 * * *", 2)], utc("2026-12-01T01:30:00"), True),
    ("no window at all", [], utc("2026-06-01T12:00:00"), True),
    ("no Allow is always", [deny("0 2 * * *", 2)], utc("2026-06-01T12:00:00"), True),
    ("a Deny", [deny("0 2 * * *", 2)], utc("2026-06-01T01:00:00"), False),
    ("a Deny wins", [allow("* * * * *", 1), deny("0 2 * * *", 2)], utc("2026-06-01T01:00:00"), False),
    ("any Allow", [allow("0 2 * * *", 2), allow("0 3 * * *", 4)], utc("2026-06-01T04:00:00"), True),
    ("one that crosses midnight", [allow("0 22 * * FRI", 60, "UTC")], utc("2026-06-07T23:00:00"), True),
    ("longer than its interval", [allow("0 0 * * *", 30, "UTC")], utc("2026-06-01T05:00:00"), True),
    ("spring: what is skipped starts right after", [allow("30 2 * * *", 1)], local(f"{SPRING}T03:00"), True),
    ("spring: and not before", [allow("30 2 * * *", 1)], local(f"{SPRING}T01:59"), False),
    ("spring: its duration is time that passes", [allow("0 1 * * *", 2)], local(f"{SPRING}T03:59"), True),
    ("spring: so that it ends at four", [allow("0 1 * * *", 2)], local(f"{SPRING}T04:00"), False),
    ("autumn: at the first two", [allow("30 2 * * *", 0.5)], local(f"{AUTUMN}T02:30", fold=0), True),
    ("autumn: not once more", [allow("30 2 * * *", 0.5)], local(f"{AUTUMN}T02:30", fold=1), False),
    ("autumn: what began is still open when clocks go back", [allow("30 2 * * *", 1)], local(f"{AUTUMN}T02:10", fold=1), True),
    ("autumn: every hour is every hour", [allow("30 * * * *", 0.5)], local(f"{AUTUMN}T02:30", fold=1), True),
    ("another zone", [allow("0 2 * * *", 2, "Asia/Kathmandu")], utc("2026-05-31T20:15:00"), True),
    ("south of the equator", [allow("30 2 * * *", 1, "Australia/Lord_Howe")], local("2026-10-04T02:30", "Australia/Lord_Howe"), True),
]  # fmt: skip


@pytest.mark.parametrize(("calendar", "now", "expected"), [row[1:] for row in OPEN], ids=[row[0] for row in OPEN])
def test_a_window_is_open(calendar: list[Window], now: float, expected: bool):
    assert is_open((tuple(calendar),), now) == expected
    opens = opening((tuple(calendar),), now)
    assert (opens == now) == expected


OPENS = [
    ("tonight", [[allow("0 2 * * *", 2)]], "2026-06-01T12:00:00", "2026-06-02T00:00:00"),
    ("after a freeze", [[deny("0 0 20 12 *", 24 * 14, "UTC")]], "2026-12-24T12:00:00", "2027-01-03T00:00:00"),
    ("in the first night after a freeze", [[allow("0 2 * * *", 2, "UTC"), deny("0 0 20 12 *", 24 * 14, "UTC")]], "2026-12-24T12:00:00", "2027-01-03T02:00:00"),
    ("where two calendars meet", [[allow("0 2 * * *", 2, "UTC")], [allow("0 1 * * SAT", 12, "UTC")]], "2026-06-01T12:00:00", "2026-06-06T02:00:00"),
    ("on a day in a leap year", [[allow("0 0 29 2 *", 1, "UTC")]], "2026-06-01T12:00:00", "2028-02-29T00:00:00"),
    ("in the hour that is skipped", [[allow("30 2 29 3 *", 1)]], "2026-03-28T12:00:00", "2026-03-29T01:00:00"),
]  # fmt: skip


@pytest.mark.parametrize(("calendars", "now", "expected"), [row[1:] for row in OPENS], ids=[row[0] for row in OPENS])
def test_the_next_opening_is(calendars: list[list[Window]], now: str, expected: str):
    opens = opening(tuple(map(tuple, calendars)), utc(now))
    assert opens is not None
    assert datetime.fromtimestamp(opens, UTC).isoformat() == expected + "+00:00"


def test_what_never_opens_is_no_endless_search():
    assert opening(((allow("0 2 * * *", 1, "UTC"), deny("* * * * *", 1, "UTC")),), utc("2026-06-01T12:00:00")) is None
    assert opening(((allow("0 2 * * *", 1, "UTC"),), (allow("0 4 * * *", 1, "UTC"),)), utc("2026-06-01T12:00:00")) is None


SCHEDULES = st.sampled_from(["0 2 * * *", "30 2 * * SUN", "*/20 1-4 * * *", "0 22 * * FRI", "15 * 25 * *", "30 2 25 10 *"])
WINDOWS = st.lists(
    st.builds(
        Window, st.sampled_from(["Allow", "Deny"]), SCHEDULES, st.sampled_from([600, 3600, 9000, 90000]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns"]),
    ), max_size=3,
).map(tuple)  # fmt: skip


@SCENES
@given(st.lists(WINDOWS, min_size=1, max_size=2), st.integers(-2880, 2880))
def test_the_next_opening_is_the_first_moment_at_which_all_are_open(calendars, minutes):
    now = local(f"{AUTUMN}T02:30") + minutes * 60
    opens = opening(tuple(calendars), now)
    for one in range(0, 86400, 1500):
        if opens is not None and now + one >= opens:
            break
        assert not is_open(calendars, now + one)
    assert opens is None or is_open(calendars, opens)


def moved(*documents: str, tags: Sequence[str] = ("1.0.0", "1.1.0"), **env: str) -> tuple[str, Outcome]:
    outcome = run(resource_list(*documents), Tags({IMAGE: list(tags)}), **env)
    assert not outcome.is_error, outcome.results
    return images(outcome)[0].partition(":")[2], outcome


WEB = policy(), pod(f"{IMAGE}:1.0.0")
DAY, DARK = "2026-06-01T12:00:00Z", "2026-06-01T00:30:00Z"
SELECTED = [
    ("closed", NIGHT, DAY, "1.0.0"),
    ("open", NIGHT, DARK, "1.1.0"),
    ("of other images", NIGHT.replace("}", ", images: ['ghcr.io/other/*']}"), DAY, "1.1.0"),
    ("of its image", NIGHT.replace("}", ", images: ['ghcr.io/acme/*']}"), DAY, "1.0.0"),
    ("of other policies", NIGHT.replace("}", ", policies: ['shop:*']}"), DAY, "1.1.0"),
    ("of its policy", NIGHT.replace("}", ", policies: ['flux:*']}"), DAY, "1.0.0"),
]


@pytest.mark.parametrize(("window", "now", "expected"), [row[1:] for row in SELECTED], ids=[row[0] for row in SELECTED])
def test_a_window_concerns(window, now, expected):
    assert moved(*WEB, rules(window), KRMFN_NOW=now)[0] == expected


def test_what_waits_says_when_its_window_opens():
    _, outcome = moved(*WEB, rules(NIGHT), lock(), KRMFN_NOW=DAY)
    (said,) = (one for one in outcome.results if one.code == "passed-over")
    assert said.message == f"{IMAGE}: 1.1.0: its window is closed, opens 2026-06-02T00:00Z; 1.0.0 may run (policy flux:web)"
    assert said.eligible_at == "2026-06-02T00:00Z"
    (entry,) = locked(outcome)
    assert (entry["tag"], entry["passedOver"]) == ("1.0.0", "1.1.0: its window is closed, opens 2026-06-02T00:00Z")


def test_without_any_time_windows_are_refused_with_advice():
    outcome = run(resource_list(*WEB, rules(NIGHT)), Tags({IMAGE: ["1.0.0", "1.1.0"]}))
    assert ["windows needs a time" in one and "KRMFN_NOW" in one for one in messages(outcome, "error")] == [True]


OLD, NEW = digest("old"), digest("new")


@pytest.mark.parametrize(("now", "expected"), [(DAY, OLD), (DARK, NEW)])
@pytest.mark.parametrize("reflection", ["Always", "IfNotPresent"])
def test_no_digest_moves_and_none_is_added_while_the_window_is_closed(now, expected, reflection):
    documents = policy(reflection=reflection), pod(f"{IMAGE}:1.0.0@{OLD}"), pod(f"{IMAGE}:1.0.0", name="bare"), rules(NIGHT)
    outcome = run(resource_list(*documents), Tags({IMAGE: {"1.0.0": NEW}}), KRMFN_NOW=now)
    tags = [one.partition(":")[2] for one in images(outcome)]
    follows = reflection == "Always" or expected == OLD
    assert tags[0] == f"1.0.0@{expected if follows else OLD}"
    assert ("@" in tags[1]) == (now == DARK)


IN_BUILD = 'metadata: {name: web, annotations: {config.kubernetes.io/index: "0", kustomize.config.k8s.io/id: "1"}}'


def test_a_build_runs_what_the_lock_holds_until_the_window_opens():
    built = pod(f"{IMAGE}:0.9.0").replace("metadata: {name: web}", IN_BUILD)
    record = relocked(policy(), pod(f"{IMAGE}:1.0.0"), tags=Tags({IMAGE: ["1.0.0"]}), KRMFN_NOW=DAY)
    assert moved(policy(), built, rules(NIGHT), record, KRMFN_NOW=DAY)[0] == "1.0.0"
    assert moved(policy(), built, rules(NIGHT), record, KRMFN_NOW=DARK)[0] == "1.1.0"
    assert moved(policy(), built, rules(NIGHT), record, KRMFN_NOW=DAY, KRMFN_MODE="frozen")[0] == "1.0.0"
    outcome = run(resource_list(policy(), built, rules(NIGHT)), Tags({IMAGE: ["1.0.0"]}), KRMFN_NOW=DAY)
    assert ["windows needs a lock" in one and "krmfn fetch" in one for one in messages(outcome, "error")] == [True]


def test_frozen_takes_what_the_lock_holds_whatever_the_time():
    record = relocked(*WEB, tags=Tags({IMAGE: ["1.0.0", "1.1.0"]}))
    assert moved(*WEB, rules(NIGHT), record, KRMFN_NOW=DAY, KRMFN_MODE="frozen")[0] == "1.1.0"


MISTAKES = [
    ("{kind: Allow, schedule: 0 2 * *, duration: 2h}", "spec.windows[0].schedule: expected cron's minute, hour"),
    ("{kind: Allow, schedule: 0 25 * * *, duration: 2h}", "found '0 25 * * *': Bad hour"),
    ("{kind: Allow, schedule: 0 0 0 2 * * *, duration: 2h}", "spec.windows[0].schedule: expected cron's minute, hour"),
    ("{kind: Allow, schedule: 0 0 30 2 *, duration: 2h}", "spec.windows[0].schedule: "),
    ("{kind: Allow, schedule: '@daily', duration: 2h}", "spec.windows[0].schedule: expected cron's minute, hour"),
    ("{kind: Allow, schedule: 0 2 * * *, duration: soon}", "spec.windows[0].duration: expected a duration such as 2h"),
    ("{kind: Allow, schedule: 0 2 * * *, duration: 0h}", "spec.windows[0].duration: expected a duration such as 2h"),
    ("{kind: Allow, schedule: 0 2 * * *, duration: 2h, timeZone: Europe/Berln}", "no time zone such as Europe/Berlin; did you mean Europe/Berlin?"),
    ("{kind: Allow, schedule: 0 2 * * *, duration: 2h, timeZone: ../../etc/passwd}", "is no time zone"),
    ("{kind: allow, schedule: 0 2 * * *, duration: 2h}", "spec.windows[0].kind: expected one of Allow, Deny"),
    ("{kind: Allow, duration: 2h}", "spec.windows[0].schedule: required"),
]


@pytest.mark.parametrize(("window", "expected"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_mistakes_are_told_with_what_to_write(window, expected):
    outcome = run(resource_list(*WEB, rules(window)), Tags({IMAGE: ["1.0.0"]}), KRMFN_NOW=DAY)
    assert any(expected in one for one in messages(outcome, "error")), outcome.results


# maxChanges

NAMES = "abcde"


def several(currents: Sequence[str]) -> list[str]:
    """Write a policy and a field of each image."""
    documents = []
    for name, current in zip(NAMES, currents, strict=False):
        image = f"ghcr.io/acme/{name}"
        documents += [policy(name=name, image=image), pod(f"{image}:{current}", name=name, setter=f"flux:{name}")]
    return documents


def seen(name: str, days: dict[str, int]) -> str:
    tags = "".join(f'  - {{name: "{tag}", firstSeen: "2026-05-{day:02}T00:00:00Z"}}\n' for tag, day in days.items())
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {{name: {name}}}\nspec:\n  image: ghcr.io/acme/{name}\n  tags:\n{tags}"


def offering(*tags: str) -> Tags:
    return Tags({f"ghcr.io/acme/{name}": list(tags) for name in NAMES})


def tags_after(*documents: str, tags: Tags, **env: str) -> str:
    outcome = run(resource_list(*documents), tags, **{"KRMFN_NOW": DAY, **env})
    assert not outcome.is_error, outcome.results
    return " ".join(one.rpartition(":")[2] for one in images(outcome))


GROUP = "  groups: [{name: pair, policies: ['flux:a', 'flux:b']}]\n"
TURNS = [
    ("by name, where nothing else tells", "  maxChanges: 2\n", {}, "2.0.0 2.0.0 1.0.0"),
    ("the longest waiting first", "  maxChanges: 1\n", {"a": 9, "b": 3, "c": 6}, "1.0.0 2.0.0 1.0.0"),
    ("what is known before what is not", "  maxChanges: 1\n", {"c": 6}, "1.0.0 1.0.0 2.0.0"),
    ("room for all", "  maxChanges: 3\n", {}, "2.0.0 2.0.0 2.0.0"),
    ("a group whole, and alone if it is larger", "  maxChanges: 1\n" + GROUP, {}, "2.0.0 2.0.0 1.0.0"),
    ("a group that does not fit waits", "  maxChanges: 2\n" + GROUP, {"c": 1, "a": 2, "b": 2}, "1.0.0 1.0.0 2.0.0"),
    ("a group waits as long as its first", "  maxChanges: 2\n" + GROUP, {"c": 4, "a": 9, "b": 2}, "2.0.0 2.0.0 1.0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "days", "expected"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS])
def test_as_many_policies_change_as_may(more, days, expected):
    snapshots = [seen(name, {"1.0.0": 1, "2.0.0": day}) for name, day in days.items()]
    assert tags_after(*several(["1.0.0"] * 3), *snapshots, rules(more=more), tags=offering("1.0.0", "2.0.0")) == expected


def test_one_that_releases_every_day_does_not_wait_for_ever():
    days = seen("a", {"1.0.0": 1, "1.1.0": 2, "1.2.0": 20}), seen("b", {"1.0.0": 1, "1.1.0": 3, "1.2.0": 4})
    assert tags_after(*several(["1.0.0"] * 2), *days, rules(more="  maxChanges: 1\n"), tags=offering("1.0.0", "1.1.0", "1.2.0")) == "1.2.0 1.0.0"


def test_a_policy_of_which_one_field_is_behind_takes_a_turn():
    ahead = pod("ghcr.io/acme/a:2.0.0", name="ahead", setter="flux:a")
    assert tags_after(*several(["1.0.0"] * 2), ahead, rules(more="  maxChanges: 1\n"), tags=offering("1.0.0", "2.0.0")) == "2.0.0 1.0.0 2.0.0"


def test_what_waits_for_its_turn_says_so():
    outcome = run(resource_list(*several(["1.0.0"] * 2), rules(more="  maxChanges: 1\n")), offering("1.0.0", "2.0.0"))
    (said,) = (one.message for one in outcome.results if one.code == "passed-over")
    assert said == "ghcr.io/acme/b: 2.0.0: waits for its turn: maxChanges is 1, and others wait longer; 1.0.0 may run (policy flux:b)"


def test_a_build_counts_from_the_lock():
    documents = [one.replace("metadata: {name: ", "metadata: {annotations: {kustomize.config.k8s.io/id: '1'}, name: ") if one.startswith("apiVersion: v1") else one for one in several(["1.0.0"] * 2)]  # fmt: skip
    record = relocked(*several(["1.0.0"] * 2), tags=offering("1.0.0", "1.1.0"))
    assert tags_after(*documents, record, rules(more="  maxChanges: 1\n"), tags=offering("1.0.0", "1.1.0", "2.0.0")) == "2.0.0 1.1.0"


VERSIONS = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"]


@SCENES
@given(
    st.lists(st.tuples(st.sampled_from(VERSIONS), st.dictionaries(st.sampled_from(VERSIONS), st.integers(1, 28), min_size=1)), min_size=1, max_size=5),
    st.integers(1, 4), st.booleans(), st.sampled_from([(), (NIGHT,), (NIGHT.replace("}", ", policies: ['flux:a', 'flux:c']}"),)]), st.sampled_from([DAY, DARK]),
)  # fmt: skip
@example(fields=[("1.0.0", {"1.0.0": 1}), ("1.0.0", {"1.0.0": 1})], most=4, has_group=True, windows=(NIGHT.replace("}", ", policies: ['flux:a', 'flux:c']}"),), now=DAY)
def test_windows_and_turns_move_nothing_that_would_stay_and_no_more_than_may(fields, most, has_group, windows, now):
    documents = [*several([current for current, _ in fields]), *(seen(name, days) for name, (_, days) in zip(NAMES, fields, strict=False))]
    more = GROUP if has_group and len(fields) > 1 else ""
    tags, env = offering(*VERSIONS), {"KRMFN_NOW": now}
    free = tags_after(*documents, rules(more=more or "  mode: update\n"), tags=tags, **env).split()
    after = tags_after(*documents, rules(*windows, more=f"  maxChanges: {most}\n{more}"), tags=tags, **env).split()
    changed = [name for name, (old, _), new in zip(NAMES, fields, after, strict=False) if old != new]
    for name, (old, _), without, new in zip(NAMES, fields, free, after, strict=False):
        assert new in (old, without)
        is_closed = bool(windows) and now == DAY and ("policies" not in windows[0] or name in "ac")
        assert new == old or not is_closed
    assert len(changed) <= most or set(changed) == {"a", "b"}
    if more and fields[0][0] == fields[1][0]:
        assert after[0] == after[1]


# on files

PACKAGE = ["1.0.0"] * 3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    documents = [*several(PACKAGE), rules(more="  maxChanges: 1\n  mode: update\n"), lock()]
    write(Path("registry"), {f"ghcr.io/acme/{name}": dict.fromkeys(("1.0.0", "2.0.0"), "2026-01-01T00:00:00Z") for name in "abc"})
    for index, text in enumerate("---\n".join(documents).split("---\n")):
        (tmp_path / "shop" / f"f{index}.yaml").write_text(text)
    return tmp_path


def krmfn(*words: str, code: int = 0, now: str = DAY) -> str:
    done = call(*words, cwd=Path.cwd(), KRMFN_NOW=now, KRMFN_LAYOUT=str(Path("registry").absolute()))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def git(*words: str) -> None:
    succeed(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", *words], cwd=Path.cwd())


def fields_of(folder: Path) -> str:
    texts = "".join(path.read_text() for path in sorted((folder / "shop").iterdir()))
    return " ".join(re.findall(r"image: ghcr.io/acme/[abc]:(\S+)", texts))


def test_a_second_run_before_the_commit_proposes_the_same_set(folder: Path):
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "as it is")
    for _ in range(2):
        krmfn("update", "shop")
        assert fields_of(folder) == "2.0.0 1.0.0 1.0.0"
    git("commit", "-qam", "one")
    krmfn("update", "shop")
    assert fields_of(folder) == "2.0.0 2.0.0 1.0.0"


def test_what_fetch_recorded_is_what_update_writes(folder: Path):
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "as it is")
    for _ in range(2):
        krmfn("fetch", "shop", "--lock")
        written = "".join(path.read_text() for path in sorted((folder / "shop").iterdir()))
        assert re.findall(r"^ +tag: \"?([0-9.]+)", written, re.MULTILINE) == ["2.0.0", "1.0.0", "1.0.0"]
    krmfn("update", "shop")
    assert fields_of(folder) == "2.0.0 1.0.0 1.0.0"


def test_without_git_the_tree_as_it_is_counts(folder: Path):
    for expected in ("2.0.0 1.0.0 1.0.0", "2.0.0 2.0.0 1.0.0"):
        krmfn("update", "shop")
        assert fields_of(folder) == expected


def test_windows_are_ignored_when_somebody_says_so(folder: Path):
    (folder / "shop" / "windows.yaml").write_text(rules(NIGHT).replace("name: rules", "name: windows"))
    assert "waits until 2026-06-02T00:00Z" in krmfn("check", "shop", "--wide")
    assert "its window is closed, opens 2026-06-02T00:00Z" in krmfn("explain", "a", "shop")
    krmfn("update", "shop")
    assert fields_of(folder) == "1.0.0 1.0.0 1.0.0"
    assert "closed" not in krmfn("explain", "a", "shop", "--ignore-windows")
    krmfn("update", "shop", "--ignore-windows")
    assert fields_of(folder) == "2.0.0 1.0.0 1.0.0"


# rules from outside

FLOORED = [
    ("an Allow of the tree opens nothing", rules(NIGHT), rules(NIGHT.replace("0 2 * * *", "* * * * *")), DAY, "1.0.0"),
    ("a Deny of the tree closes", rules(NIGHT), rules(NIGHT.replace("Allow", "Deny")), DARK, "1.0.0"),
    ("a tree without windows", rules(NIGHT), rules(more="  mode: update\n"), DAY, "1.0.0"),
    ("both are open", rules(NIGHT), rules(NIGHT), DARK, "1.1.0"),
    ("the lower maxChanges", rules(more="  maxChanges: 1\n"), rules(more="  maxChanges: 9\n"), DAY, "1.1.0"),
]


@pytest.mark.parametrize(("outside", "tree", "now", "expected"), [row[1:] for row in FLOORED], ids=[row[0] for row in FLOORED])
def test_the_tree_only_tightens(outside, tree, now, expected):
    floor = read_floor(documents(Text(f"{policy()}---\n{outside}".encode())))
    second = policy(name="zeta", image="ghcr.io/acme/zeta"), pod("ghcr.io/acme/zeta:1.0.0", name="zeta", setter="flux:zeta")
    tags = Tags({IMAGE: ["1.0.0", "1.1.0"], "ghcr.io/acme/zeta": ["1.0.0", "1.1.0"]})
    outcome = pipeline.run(
        Text(resource_list(*WEB, *second, tree)), lambda _: tags, lambda made: overridden(made, {"KRMFN_NOW": now}), floor
    )
    assert not outcome.is_error, outcome.results
    assert [one.rpartition(":")[2] for one in images(outcome)] == [expected, "1.0.0" if "maxChanges" in outside else expected]


@pytest.mark.parametrize("now", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "2026-11-26T00:00:00Z"])
@pytest.mark.parametrize("length", ["5200 weeks", "999999 weeks"])
def test_windows_at_the_ends_of_the_calendar_are_judged_or_refused_with_a_word(length: str, now: str, tmp_path: Path):
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec: {containers: [{name: w, image: 'ghcr.io/a/b:1.2.0'}]}\n---\n"
        "apiVersion: krmfn.dev/v1alpha1\nkind: ImageAutomation\nmetadata: {name: x}\nspec:\n"
        f"  windows: [{{kind: Deny, schedule: '* * * * *', duration: {length}, timeZone: Pacific/Apia}}]\n"
        "  policies: [{name: w, image: ghcr.io/a/b, policy: {semver: {range: 1.x}}}]\n---\n"
        "apiVersion: krmfn.dev/v1alpha1\nkind: TagSnapshot\nmetadata: {name: t}\nspec: {image: ghcr.io/a/b, tags: [1.2.0, 1.3.0]}\n"
    )
    done = call("update", ".", "--check", cwd=tmp_path, KRMFN_NOW=now)
    assert "bug" not in done.stderr
    if length == "999999 weeks":
        assert done.returncode == 1
        assert "expected a duration" in done.stderr
