from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.policies import number

# Answers of Go's strconv.ParseFloat(s, 64); None is an error.
PARSED = {
    "1": 1, "-1": -1, "+5": 5, "007": 7, "-007": -7, "1.5": 1.5, ".5": 0.5, "5.": 5.0, "1e3": 1000.0, "1E-3": 0.001, "0x1p4": 16.0, "0X1P-1": 0.5,
    "0x1.8p1": 3.0, "0x.8p1": 1.0, "0x_1p4": 16.0, "1_000": 1000, "1_0.5": 10.5, "1e1_0": 1e10, "inf": math.inf, "+Inf": math.inf,
    "-INFINITY": -math.inf, "1e-400": 0.0, "9007199254740993": 9007199254740993, "20260101120000123": 20260101120000123,
    "": None, " 1": None, "1 ": None, "0x10": None, "1e400": None, "-1e400": None, "0x1p2000": None, "1.2.3": None, "v1": None, "+nan": None, "infin": None,
    "1__0": None, "_1": None, "1_": None, "1_.5": None, "1._5": None, "1e_1": None, "1e": None, "0x": None, "0xp1": None, "0x1": None,
    ".": None, "+": None, "e5": None, "١": None, "²": None, "1\n": None, "0x1_p1": None, "9" * 400: None, "0" * 5000 + "1": 1,
}  # fmt: skip


@pytest.mark.parametrize("text", PARSED, ids=lambda text: repr(text[:24]))
def test_reads_numbers_as_go_does(text: str) -> None:
    found = number.read(text)
    assert found == PARSED[text]
    assert type(found) is type(PARSED[text])


def test_not_a_number_is_a_number_to_go() -> None:
    assert math.isnan(number.read("NaN") or 0)


@given(
    st.lists(
        st.one_of(st.integers().map(str), st.floats().map(str), st.text("0123456789_-+.exp", max_size=6)), max_size=6
    )
)
def test_reading_many_is_reading_each(texts: list[str]) -> None:
    assert [str(value) for value in number.read_all(texts)] == [str(number.read(text)) for text in texts]


@given(st.integers(-(10**40), 10**40))
def test_integers_are_exact(value: int) -> None:
    assert number.read(str(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:00:01Z", 1.0), ("1970-01-01T01:00:01+01:00", 1.0), ("1970-01-01T00:00:01.123456789Z", 1.123456), ("1970-01-01T00:00:01", 1.0),
     ("0001-01-01T00:00:00Z", -62135596800.0), ("", None), ("now", None), ("2026-13-01T00:00:00Z", None)],
)  # fmt: skip
def test_reads_times(text: str, seconds: float | None) -> None:
    assert number.read_time(text) == seconds


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "0001-01-01", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.9Z"])
def test_a_time_at_the_end_of_the_calendar_can_be_written_again(text: str) -> None:
    time = number.read_time(text)
    assert time is not None
    assert number.read_time(number.moment(time)) == time
    assert number.moment(time)[:4] == text[:4]
