from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.policies import release
from krmfn.policies.constraint import Constraint
from krmfn.policies.reason import Reason
from krmfn.policies.release import Best, judge

numbers = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "10",
        "00",
        "01",
        "18446744073709551615",
        "18446744073709551616",
        "9" * 18,
        "9" * 19,
        "²",
        "١",
        "x",
        "",
    ]
)
texts = st.lists(
    st.builds(
        lambda prefix, parts, tail: prefix + ".".join(parts) + tail,
        st.sampled_from(["", "", "v", "V", "w", "-"]),
        st.lists(numbers, min_size=1, max_size=4),
        st.sampled_from(
            [
                "",
                "",
                "",
                "-rc.1",
                "-rc.2",
                "-rc.01",
                "-",
                "-a..b",
                "+b",
                "+b-c",
                "-rc.1+b",
                "-99999999999999999999",
                "-" + "a" * 200,
                "-é",
                "\n",
                "-rc.1\n",
            ]
        ),
    ),
    max_size=12,
)
ranges = st.sampled_from(
    ["*", "*-0", "1", "1.x-0", ">=1.0.0 <2.0.0", ">=1.0.0-0 <2.0.0", "!=1.0.0", "!=1.0", "!=1.0-0", "!=1.0-rc.1 >=0-0", "<1 || >=2.0.0-rc.2", "1.0.0 || 1.0.2 || 1.0.10",
     "^0.0", "~0.0.0", ">0.1.2, !=1.1.1", "<=1.2.3-rc.1", "1.0.0-rc.1 || 2", "^*"]
)  # fmt: skip


def one_by_one(texts: list[str], constraint: Constraint) -> tuple[list[int], list[int]]:
    """Judge every text by itself."""
    best, reasons = Best(), []
    for index, text in enumerate(texts):
        reason, key = judge(text, constraint)
        reasons.append(int(reason))
        if key:
            best.offer(key, index)
    return reasons, best.places


@given(texts, ranges)
def test_judging_many_is_judging_each(texts: list[str], text: str) -> None:
    constraint = Constraint.parse(text)
    reasons, places = release.highest(texts, constraint)
    assert (list(reasons), places) == one_by_one(texts, constraint)
    ascii_only = [text for text in texts if text.isascii()]
    reasons, places = release.highest(ascii_only, constraint)
    assert (list(reasons), places) == one_by_one(ascii_only, constraint)


def test_forgetting_changes_nothing() -> None:
    constraint = Constraint.parse(">=3.0.0-rc.5")
    texts = [
        f"{major}.{minor}.{patch}{tail}"
        for major in range(5)
        for minor in range(3)
        for patch in range(2)
        for tail in ("", f"-rc.{major}{minor}")
    ]
    reasons, places = release.highest(texts, constraint, remembered=2)
    assert (list(reasons), places) == one_by_one(texts, constraint)
    assert texts[places[0]] == "4.2.1"
    assert (reasons.count(Reason.OUT_OF_RANGE), reasons.count(Reason.NOT_A_VERSION)) == (30, 6)


@pytest.mark.parametrize(
    ("texts", "top"),
    [
        (["1.0.0", "v2.0.0", "2.0.0", "3.0.0-rc.1"], "v2.0.0"),
        (["1.0.0-a", "1.0.0-b"], "1.0.0-b"),
        (["latest"], None),
        ([], None),
    ],
    ids=["release", "prerelease", "no version", "nothing"],
)
def test_the_highest_of_all(texts: list[str], top: str | None) -> None:
    assert release.top(texts) == top


@given(st.lists(st.text("ab019.-v", max_size=8)), st.randoms())
def test_natural_order_does_not_depend_on_the_order(texts: list[str], chance: random.Random) -> None:
    shuffled = chance.sample(texts, len(texts))
    assert sorted(shuffled, key=release.natural_key) == sorted(texts, key=release.natural_key)


def test_runs_of_digits_count_as_numbers() -> None:
    assert sorted(["v10", "v9", "v09", "v", "10", "v9-1", "w"], key=release.natural_key) == [
        "v",
        "v09",
        "v9",
        "v9-1",
        "v10",
        "w",
        "10",
    ]
