from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version as Semver

from krmfn.errors import RuleError
from krmfn.policies.version import UINT64_MAX, Version, parse_tag
from tests.tables import rows

identifiers = st.one_of(
    st.integers(0, 2**63).map(str),
    st.from_regex(r"[0-9]*[A-Za-z-][0-9A-Za-z-]*", fullmatch=True).filter(lambda text: len(text) < 12),
)
prereleases = st.lists(identifiers, max_size=4).map(".".join)
numbers = st.one_of(st.integers(0, 3), st.integers(0, UINT64_MAX))
versions = st.builds(Version, numbers, numbers, numbers, prereleases, st.sampled_from(["", "b", "1.x-y"]))
near_versions = st.text("v0123456789.-+xXaZ*|_ \n²١", max_size=14)


@pytest.mark.parametrize("row", rows("masterminds_constraint", "new_version"), ids=lambda row: row["id"])
def test_reads_versions_as_masterminds_does(row: dict[str, Any]) -> None:
    if row["expected_error"]:
        with pytest.raises(RuleError) as error:
            Version.parse(row["version"])
        assert str(error.value) == row["error_message"]
    else:
        assert str(Version.parse(row["version"])) == row.get("string", str(Version.parse(row["version"])))
    if "flux_parse_version_error" in row:
        assert (parse_tag(row["version"]) is None) == row["flux_parse_version_error"]


@pytest.mark.parametrize("row", rows("flux_policy", "flux_parse_version"), ids=lambda row: row["id"])
def test_reads_tags_as_flux_does(row: dict[str, Any]) -> None:
    version = parse_tag(row["version"])
    assert (None if version is None else str(version)) == row["string"]


@pytest.mark.parametrize(
    "row", rows("masterminds_constraint", "version_string", "version_original"), ids=lambda row: row["id"]
)
def test_writes_versions_as_masterminds_does(row: dict[str, Any]) -> None:
    version = Version.parse(row["version"])
    assert (str(version) if row["kind"] == "version_string" else version.original) == row["expected"]


COMPARISONS = {
    "compare": lambda order: order,
    "less_than_equal": lambda order: order <= 0,
    "greater_than": lambda order: order > 0,
    "greater_than_equal": lambda order: order >= 0,
    "equal": lambda order: order == 0,
}


@pytest.mark.parametrize("row", rows("masterminds_constraint", *COMPARISONS), ids=lambda row: row["id"])
def test_compares_as_masterminds_does(row: dict[str, Any]) -> None:
    order = Version.parse(row["v1"]).compare(Version.parse(row["v2"]))
    assert COMPARISONS[row["kind"]](order) == row["expected"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1." + "2" * 255, "version string is too long (max 256 bytes)"),
        (
            "1.2.18446744073709551616",
            'error parsing version segment: strconv.ParseUint: parsing "18446744073709551616": value out of range',
        ),
        ("1.2.3\n", "invalid semantic version"),
        ("1.2.٣", "invalid semantic version"),
        ("", "invalid semantic version"),
    ],
    ids=["too long", "beyond uint64", "trailing line end", "foreign digit", "empty"],
)
def test_refuses_what_is_no_version(text: str, message: str) -> None:
    with pytest.raises(RuleError) as error:
        Version.parse(text)
    assert str(error.value) == message


def test_an_identifier_beyond_uint64_is_text() -> None:
    huge, number = Version.parse("1.0.0-99999999999999999999"), Version.parse("1.0.0-5")
    assert huge.compare(number) == 1
    assert huge.compare(Version.parse("1.0.0-100000000000000000000")) == 1


@given(versions)
def test_what_is_written_reads_the_same(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(versions, versions)
def test_the_key_orders_as_the_semver_package_does(one: Version, other: Version) -> None:
    def semver(version: Version) -> Semver:
        return Semver(version.major, version.minor, version.patch, version.prerelease or None)

    by_key = (one.key > other.key) - (one.key < other.key)
    assert by_key == semver(one).compare(semver(other)) == one.compare(other)


@given(versions, versions, versions)
def test_versions_are_totally_ordered(one: Version, two: Version, three: Version) -> None:
    assert one.compare(two) == -two.compare(one)
    if one.compare(two) <= 0 and two.compare(three) <= 0:
        assert one.compare(three) <= 0


@given(near_versions)
def test_a_text_is_a_version_or_the_documented_error(text: str) -> None:
    try:
        version = Version.parse(text)
    except RuleError:
        assert parse_tag(text) is None
        return
    assert Version.parse(str(version)) == version
    assert (parse_tag(text) is not None) == (text.count(".") >= 2)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        pytest.param("1.0.0-18446744073709551615", "1.0.0-100000000000000000000", id="the largest uint64 is a number still"),
        pytest.param("1.0.0-0a", "1.0.0-18446744073709551616", id="twenty digits above it are text"),
        pytest.param("1.0.0-9", "1.0.0-18446744073709551616", id="text is above numbers"),
    ],
)
def test_identifiers_at_the_edge_of_uint64_sort_as_in_masterminds(lower: str, higher: str):
    one, other = Version.parse(lower), Version.parse(higher)
    assert (one.compare(other), other.compare(one)) == (-1, 1)
    assert one.key < other.key


def test_a_segment_may_be_the_largest_uint64_and_no_larger():
    assert Version.parse(f"{2**64 - 1}.0.0").major == 2**64 - 1
    with pytest.raises(RuleError, match="value out of range"):
        Version.parse(f"{2**64}.0.0")
