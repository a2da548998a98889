from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import RuleError
from krmfn.policies import intervals
from krmfn.policies.constraint import MOST_BYTES, MOST_GROUPS, Constraint, quote
from krmfn.policies.version import Version
from tests.tables import rows, table
from tests.test_version import versions
from tests.waiting import thrifty

MATRIX = table("masterminds_matrix")
assert len(MATRIX["constraints"]) > 90
assert len(MATRIX["extra_checks"]) > 25

numbers = st.sampled_from(["0", "1", "2", "10", "x", "*", "01"])
partials = st.builds(
    lambda parts, prerelease, prefix: prefix + ".".join(parts) + prerelease,
    st.lists(numbers, min_size=1, max_size=3),
    st.sampled_from(["", "", "-0", "-rc.1", "-alpha", "-1", "+b"]),
    st.sampled_from(["", "v"]),
)
operators = st.sampled_from(["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^", "> ", ">= "])
terms = st.tuples(operators, partials).map("".join)
groups = st.lists(terms, min_size=1, max_size=3).map(", ".join)
hyphens = st.tuples(partials, partials).map(" - ".join)
ranges = st.lists(st.one_of(groups, hyphens), min_size=1, max_size=3).map(" || ".join)
small = st.builds(
    Version,
    *[st.sampled_from([0, 1, 2, 3, 10])] * 3,
    st.sampled_from(["", "", "0", "1", "alpha", "rc.1", "rc.2", "rc"]),
)
noise = st.text('v0123x*|.,-+ =!<>~^\t\n\x00"é', max_size=24)


def attempt(text: str) -> tuple[Constraint | None, str]:
    """Return the constraint, or the message of the one documented error."""
    try:
        return Constraint.parse(text), ""
    except RuleError as error:
        return None, str(error)


def verdict(constraint: Constraint, version: Version) -> bool:
    """Check, and hold every other way of asking against it."""
    passes = constraint.check(version)
    assert (constraint.why_not(version) == "") == passes
    if not version.prerelease:
        assert intervals.holds(constraint.release_intervals(), version.key) == passes
        assert intervals.holds(intervals.of_releases(constraint.release_intervals()), version.key[:3]) == passes
    elif (allowed := constraint.prerelease_intervals()) is not None:
        assert intervals.holds(allowed, version.key) == passes
    return passes


@pytest.mark.parametrize("text", MATRIX["constraints"], ids=repr)
def test_every_cell_of_the_masterminds_matrix(text: str) -> None:
    expected = MATRIX["constraints"][text]
    if "error" in expected:
        with pytest.raises(RuleError) as error:
            Constraint.parse(text)
        assert str(error.value).startswith(expected["error"])
        return
    constraint = Constraint.parse(text)
    assert str(constraint) == expected["string"]
    assert len(expected["results"]) == len(MATRIX["versions"])
    got = "".join("FT"[verdict(constraint, Version.parse(version))] for version in MATRIX["versions"])
    assert got == expected["results"]


@pytest.mark.parametrize(
    "row", MATRIX["extra_checks"], ids=lambda row: f"{row['constraint']!r} {row.get('version', '')}"
)
def test_every_extra_check_of_the_matrix(row: dict[str, Any]) -> None:
    if "expected_error" in row:
        with pytest.raises(RuleError) as error:
            Constraint.parse(row["constraint"])
        assert str(error.value).startswith(row["expected_error"])
        return
    constraint = Constraint.parse(row["constraint"])
    assert str(constraint) == row["canonical"]
    assert verdict(constraint, Version.parse(row["version"])) == row["expected"]


@pytest.mark.parametrize("row", rows("masterminds_constraint", "check"), ids=lambda row: row["id"])
def test_checks_as_masterminds_does(row: dict[str, Any]) -> None:
    assert not row["include_prerelease"], "a flag that Flux never sets"
    constraint, version = Constraint.parse(row["constraint"]), Version.parse(row["version"])
    assert verdict(constraint, version) == row["expected"]
    if "first_message" in row:
        assert constraint.objections(version)[0] == row["first_message"]
    if "messages" in row:
        assert list(constraint.objections(version)) == row["messages"]


@pytest.mark.parametrize("row", rows("masterminds_constraint", "new_constraint"), ids=lambda row: row["id"])
def test_reads_constraints_as_masterminds_does(row: dict[str, Any]) -> None:
    if row["expected_error"]:
        with pytest.raises(RuleError) as error:
            Constraint.parse(row["constraint"])
        assert str(error.value).startswith(row["error_message"])
        return
    constraint = Constraint.parse(row["constraint"])
    assert str(constraint) == row["string"]
    if "or_groups" in row:
        assert len(constraint.groups) == row["or_groups"]
        assert len(constraint.groups[0]) == row["and_terms_in_first_group"]


@pytest.mark.parametrize("row", rows("masterminds_constraint", "parse_single"), ids=lambda row: row["id"])
def test_reads_one_term_as_masterminds_does(row: dict[str, Any]) -> None:
    if row["expected_error"]:
        with pytest.raises(RuleError):
            Constraint.parse(row["constraint"])
        return
    ((term,),) = Constraint.parse(row["constraint"]).groups
    assert term.operator == row["expected_operator"].split(" ")[0]
    assert str(term.version) == row["expected_version"]


@pytest.mark.parametrize("row", rows("masterminds_constraint", "constraint_string"), ids=lambda row: row["id"])
def test_writes_constraints_as_masterminds_does(row: dict[str, Any]) -> None:
    assert str(Constraint.parse(row["constraint"])) == row["expected"]


@pytest.mark.parametrize("row", rows("flux_policy", "flux_version_sort"), ids=lambda row: row["id"])
def test_sorts_what_satisfies_as_flux_does(row: dict[str, Any]) -> None:
    from krmfn.policies.version import parse_tag

    constraint = Constraint.parse(row["constraint"])
    found = [version for version in map(parse_tag, row["input"]) if version and constraint.check(version)]
    found.sort(key=lambda version: version.key, reverse=True)
    assert [version.original for version in found] == row["expected"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("==1", 'improper constraint: "==1": unexpected "=" at character 2; write = once'),
        (
            ">=1.0<2.0",
            'improper constraint: ">=1.0<2.0": unexpected "<" at character 6; separate terms with a blank or a comma',
        ),
        (">=1,", 'improper constraint: ">=1,": it ends too early at character 5; remove the comma'),
        ("> =1", 'improper constraint: "> =1": unexpected "=" at character 3; write the operator without a blank'),
        ("V1", 'improper constraint: "V1": unexpected "V" at character 1; the prefix is a lower-case v'),
        (
            "1.2.3.4",
            'improper constraint: "1.2.3.4": unexpected "." at character 6; a version has at most three numbers',
        ),
        (
            "(>=1)",
            'improper constraint: "(>=1)": unexpected "(" at character 1; there are no parentheses; write alternatives with ||',
        ),
        ("<>1", 'improper constraint: "<>1": unexpected ">" at character 2; unequal is written !='),
        (
            "1.0 -2.0",
            'improper constraint: "1.0 -2.0": unexpected "-" at character 5; a range of two versions is written with blanks: 1.0 - 2.0',
        ),
        (
            ">=1 && <2",
            'improper constraint: ">=1 && <2": unexpected "&" at character 5; terms that must all hold are separated by a blank or a comma',
        ),
        ("1 ||", 'improper constraint: "": it is empty; write a range on both sides of ||'),
        ("1x", 'constraint parser error: "1x": each part of a version is a number or one of x, X, *'),
        ("1.2.3-01", 'constraint parser error: "1.2.3-01": version segment starts with 0'),
    ],
    ids=lambda value: value if len(value) < 12 else "",
)
def test_an_error_names_the_place_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(RuleError) as error:
        Constraint.parse(text)
    assert str(error.value) == message


def test_the_limits_are_those_of_masterminds() -> None:
    assert len(Constraint.parse(" ".join([">=1"] * (MOST_BYTES // 4))).groups[0]) == MOST_BYTES // 4
    with pytest.raises(RuleError, match=r"^constraint string is too long \(max 512 bytes\)"):
        Constraint.parse("1" + " " * MOST_BYTES)
    assert len(Constraint.parse("||".join(["1"] * MOST_GROUPS)).groups) == MOST_GROUPS
    with pytest.raises(RuleError, match=r"^too many constraint groups \(max 32\)"):
        Constraint.parse("||".join(["1"] * (MOST_GROUPS + 1)))


@pytest.mark.parametrize(
    "text",
    [
        "1   " * 128,
        "1 - " * 128,
        "x" * 512,
        "-" * 512,
        "1" + " " * 510 + "!",
        "1.2.3-" + "a." * 250,
        "||" * 256,
        "," * 512,
    ],
    ids=["blanks", "hyphens", "wildcards", "dashes", "blanks and junk", "identifiers", "bars", "commas"],
)
def test_hostile_text_is_read_in_no_time(text: str) -> None:
    with thrifty():
        attempt(text[:MOST_BYTES])


@given(ranges, small)
def test_intervals_and_reasons_say_the_same_as_check(text: str, version: Version) -> None:
    constraint, error = attempt(text)
    if constraint is None:
        assert error.startswith(("constraint parser error", "improper constraint"))
        return
    verdict(constraint, version)


@given(ranges, versions)
def test_intervals_hold_for_any_version(text: str, version: Version) -> None:
    constraint, _ = attempt(text)
    if constraint is None:
        return
    verdict(constraint, version)


@given(ranges, small)
def test_what_is_written_reads_the_same(text: str, version: Version) -> None:
    constraint, _ = attempt(text)
    if constraint is None:
        return
    again = Constraint.parse(str(constraint))
    assert str(again) == str(constraint)
    assert again.check(version) == constraint.check(version)


@given(noise)
def test_a_text_is_a_constraint_or_the_documented_error(text: str) -> None:
    constraint, error = attempt(text)
    assert (constraint is None) == error.startswith(("improper constraint: ", "constraint parser error"))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("é\x00", '"é\\x00"'), ("\u200b", '"\\u200b"'), ("\U000e0001", '"\\U000e0001"'), ('\\"\n', '"\\\\\\"\\n"')],
    ids=["control", "zero width", "astral", "escapes"],
)
def test_quotes_as_go_does(text: str, quoted: str) -> None:
    assert quote(text) == quoted
