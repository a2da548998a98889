"""Policy `version`: what it chooses agrees with what `krmfn check` shows, and never leaves the shape of what is deployed."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import RulesError
from krmfn.policies.newer import Shape, floating, newer
from krmfn.policies.protocol import KEPT
from krmfn.policies.reason import Reason
from krmfn.policies.rules import Rules, parse_rules
from krmfn.policies.selection import outranks, select
from tests.test_newer import CASES


def within(bound: str, **options: object) -> Rules:
    return parse_rules({"version": {"within": bound}}, **options)  # type: ignore[arg-type]


CHOICES = {
    "patch keeps two numbers": ("patch", "8.4.1", "8.4.2 8.5.0 9.0.0", "8.4.2"),
    "two numbers never move under patch": ("patch", "8.4", "8.4 8.5 9.0", "8.4"),
    "one number never moves under minor": ("minor", "8", "8 9", "8"),
    "one number moves under major": ("major", "8", "8 9 9.1", "9"),
    "two numbers move under minor": ("minor", "8.4", "8.4 8.5 8.5.1 9.0", "8.5"),
    "four numbers": ("patch", "4.0.19.3001", "4.0.19.3002 4.0.20.1 4.1.0.0", "4.0.20.1"),
    "the base moves under patch": ("patch", "8.4-alpine3.19", "8.4-alpine3.20 8.5-alpine3.20 8.4-slim", "8.4-alpine3.20"),
    "never another variant": ("major", "1.2.0-alpine3.19", "1.2.0-alpine3.19 1.3.0-slim 1.3.0", "1.2.0-alpine3.19"),
    "no prerelease": ("major", "1.2.0", "1.2.0 1.3.0-rc.1 2.0.0-beta", "1.2.0"),
    "a prerelease takes one": ("minor", "1.3.0-rc.1", "1.3.0-rc.1 1.4.0-rc.1 2.0.0-rc.1", "1.4.0-rc.1"),
    "v stays": ("major", "v1.2.0", "v1.2.0 1.3.0 v1.2.1", "v1.2.1"),
    "a word stays": ("major", "latest", "latest 1.2.0", "latest"),
    "a commit stays": ("major", "main-3f9c2d1", "main-3f9c2d1 main-4f9c2d1 5", "main-3f9c2d1"),
    "what is not listed stays": ("patch", "1.2.9", "1.2.0 1.3.0", "1.2.9"),
    "what is not listed moves on": ("patch", "1.2.9", "1.2.10 1.3.0", "1.2.10"),
    "equal versions are no move": ("major", "1.2.0", "1.2.0 01.2.0 1.02.0", "1.2.0"),
    "of equal versions the largest tag": ("minor", "1.2.0", "1.3.0 1.03.0 01.3.0", "1.3.0"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOICES)
def test_a_version_moves_inside_its_bound(case: str) -> None:
    bound, current, tags, chosen = CHOICES[case]
    assert select(within(bound), tags.split(), current=current).tag == chosen


RANGES = {
    "a variant is no prerelease": ("<17", "16.3-alpine", "16.4-alpine 17.0-alpine", "16.4-alpine", "17.0-alpine"),
    "two numbers": ("<16.4", "16.3", "16.3 16.4 17.0", "16.3", "16.4"),
    "one number": ("<=16", "15", "16 17", "16", "17"),
    "four numbers": ("~4.0", "4.0.19.3001", "4.0.20.1 4.1.0.0", "4.0.20.1", "4.1.0.0"),
    "a hole": ("!=2.x", "1.0.0", "1.9.0 2.1.0 3.0.0", "3.0.0", "2.1.0"),
}


@pytest.mark.parametrize("case", RANGES)
def test_a_range_bounds_the_numbers_besides(case: str) -> None:
    span, current, tags, chosen, left = RANGES[case]
    rules = parse_rules({"version": {"within": "major", "range": span}})
    selection = select(rules, tags.split(), current=current)
    assert selection.tag == chosen
    assert selection.reason(left) is Reason.OUT_OF_RANGE
    assert rules.canonical()["policy"] == {"version": {"within": "major", "range": span}}


def test_a_wrong_range_is_told_with_its_field() -> None:
    with pytest.raises(RulesError, match="improper constraint") as raised:
        parse_rules({"version": {"range": ">>1"}})
    assert [one.field for one in raised.value.problems] == ["policy.version.range"]


@pytest.mark.parametrize("case", CASES)
def test_check_and_the_policy_agree_on_the_cases_of_check(case: str) -> None:
    current, tags, same_major, newest = CASES[case]
    listed = [*tags.split(), current]
    assert select(within("minor"), listed, current=current).tag == (same_major or current)
    assert select(within("major"), listed, current=current).tag == (newest or current)


NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
TAGS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "v", "RELEASE."]),
    NUMBERS,
    st.sampled_from(["", "-alpine", "-rc.1", "-rc.2", "-alpine3.19", "-alpine3.20", "-slim", "-debian-12-r1"]),
) | st.sampled_from(["latest", "main-3f9c2d1", "20240101", "2024.01.02"])
BOUNDS = st.sampled_from(list(KEPT))


@given(BOUNDS, TAGS, st.lists(TAGS, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_choice_has_the_shape_is_not_below_is_in_the_bound_and_final(
    bound: str, current: str, tags: list[str], chance: random.Random
) -> None:
    rules = within(bound)
    chosen = select(rules, tags, current=current).tag
    assert chosen is not None
    before, after = Shape.parse(current), Shape.parse(chosen)
    if chosen != current:
        assert chosen in tags
        assert before is not None
        assert after is not None
        assert (after.prefix, len(after.numbers)) == (before.prefix, len(before.numbers))
        assert re.sub(r"[#.]+$", "", after.variant.words) == re.sub(r"[#.]+$", "", before.variant.words)
        assert after.numbers[: KEPT[bound]] == before.numbers[: KEPT[bound]]  # type: ignore[index]
        assert after.numbers >= before.numbers
        assert before.prerelease or not after.prerelease
        assert not outranks(rules, current, chosen)
    assert select(rules, tags, current=chosen).tag == chosen
    mixed = chance.sample(tags, len(tags))
    assert select(rules, mixed, current=current).tag == chosen


@given(TAGS, st.lists(TAGS, max_size=30))
def test_check_shows_what_the_policy_takes(current: str, tags: list[str]) -> None:
    shown = newer(current, tags)
    if tags:
        assert select(within("minor"), tags, current=current).tag == (shown.same_major or current)
        assert select(within("major"), tags, current=current).tag == (shown.newest or current)
    else:
        assert shown == (None, None)


def test_every_other_tag_has_its_reason() -> None:
    tags = ["1.2.0", "1.1.0", "1.3.0", "1.4.0", "1.4.0-rc.1", "2.0.0", "1.5.0-slim", "latest"]
    chosen = select(within("minor"), tags, current="1.2.0")
    assert [Reason(reason).word for reason in chosen.reasons] == [
        "older", "older", "lower", "chosen", "prerelease", "range", "shape", "shape",
    ]  # fmt: skip
    assert (chosen.eligible, chosen.message) == (2, "")


def test_a_numbered_variant_is_lower_than_nothing_when_the_very_shape_goes_on() -> None:
    chosen = select(within("minor"), ["1.3.0-alpine3.20", "1.4.0-alpine"], current="1.2.0-alpine3.19")
    assert (chosen.tag, chosen.reason("1.4.0-alpine")) == ("1.3.0-alpine3.20", Reason.OTHER_SHAPE)


def test_what_filter_tags_extract_is_compared_and_the_tag_is_taken() -> None:
    rules = within("minor", filter_tags={"pattern": "^app-(?P<v>.*)$", "extract": "$v"}, ignore_tags=[r"1\.2\.0$"])
    assert select(rules, ["app-1.2.0", "app-1.3.0", "1.4.0"], current="app-1.2.0").tag == "app-1.3.0"
    stays = select(rules, ["app-1.2.0", "app-1.3.0"], current="1.2.0")
    assert (stays.tag, stays.message) == ("1.2.0", "1.2.0 is not matched by filterTags")


def test_without_a_deployed_tag_there_is_nothing_to_move_from() -> None:
    assert select(within("minor"), ["1.0.0"]).message.startswith("no tag is deployed: policy version moves on from")


@pytest.mark.parametrize("value", ["mayor", "", ["minor"], {"a": "b"}, "Minor"])
def test_a_bound_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(RulesError, match=r"expected one of patch, minor, major, found") as error:
        parse_rules({"version": {"within": value}})
    assert [problem.field for problem in error.value.problems] == ["policy.version.within"]


FLOATS = {
    "words": ("latest stable 1.0.0", "latest stable"),
    "a major beside its releases": ("v1 1.0.0 v1.0.0", "v1"),
    "two numbers beside three": ("8.4 8.4.1 8", "8.4 8"),
    "numbers that stand alone": ("22.04 24.04", ""),
    "builds": ("build-9 build-10", ""),
    "a variant of its own": ("1-alpine 1.0.0-alpine 1.0.0", "1-alpine"),
    "commits and dates": ("main-3f9c2d1-1767225600 20240101 3f9c2d1", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", FLOATS)
def test_a_floating_tag_is_known_by_its_neighbours(case: str) -> None:
    tags, expected = (text.split() for text in FLOATS[case])
    assert [tag for tag, floats in zip(tags, floating(tags), strict=True) if floats] == expected


NEWEST = {
    "a version, not its alias": ("1.0.0 v1 latest", {}, "1.0.0"),
    "four numbers before three": ("4.0.19 4.0.19.3001 latest", {}, "4.0.19.3001"),
    "a release before its candidate": ("1.0.0-rc.1 1.0.0", {}, "1.0.0"),
    "the higher of two builds": ("build-9 build-10", {}, "build-10"),
    "a newer alias is no reason": ("1.0.0 latest v1", {"latest": "2026-02-01T00:00:00Z", "v1": "2026-03-01T00:00:00Z"}, "1.0.0"),
    "a newer image counts": ("1.1.0 1.0.5 latest", {"1.0.5": "2026-02-01T00:00:00Z"}, "1.0.5"),
}  # fmt: skip


@pytest.mark.parametrize("case", NEWEST)
def test_newest_never_takes_a_floating_tag_and_of_equal_times_the_most_specific(case: str) -> None:
    tags, times, expected = NEWEST[case]
    for order in (tags.split(), tags.split()[::-1]):
        chosen = select(parse_rules(None), order, created=lambda tag: times.get(tag, "2026-01-01T00:00:00Z"))
        assert chosen.tag == expected


def test_newest_of_nothing_but_floating_tags_is_refused_with_advice() -> None:
    chosen = select(parse_rules(None), ["latest", "edge"], created=lambda _: "2026-01-01T00:00:00Z")
    assert chosen.message.startswith("no tag names one version: all 2 float, such as latest; policy digest follows one")
    assert chosen.reason("edge") is Reason.FLOATING
