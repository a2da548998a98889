from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import RuleError
from krmfn.image import is_tag
from krmfn.policies import engine
from krmfn.policies.pattern import (
    MOST_EXPANDED,
    MOST_PATTERN_BYTES,
    MOST_TEMPLATE_BYTES,
    Match,
    Pattern,
    Template,
)
from krmfn.policies.rules import Ending
from tests.tables import rows
from tests.waiting import thrifty

pieces = st.sampled_from(
    [*"ab1v-.()[]{}*+?|^$\\", "[0-9]+", "(?P<n>[0-9]+)", "(?<ts>.*)", "(?i)", "(?s)", "(?m)", "(?-m)", "\\A", "\\z", "\\b",
     "\\B", "\\W", "[^a]", "\\n", "\\Qa", "\\E", "(?:x|b)", "{1,2}", "\\pL", "\\x{61}", "a*", "()", "\\C", "\\p{Letter}"]
)  # fmt: skip
patterns = st.lists(pieces, max_size=8).map("".join)
templates = st.lists(
    st.sampled_from(["$1", "$0", "${n}", "$ts", "$$", "$", "a", "${", "$1x", "$01", "é"]), max_size=4
).map("".join)
tags = st.lists(st.text("ab1v-._AB", max_size=9), max_size=8)


def attempt(text: str) -> tuple[Pattern | None, str]:
    """Return the pattern, or the message of the one documented error."""
    try:
        return Pattern.parse(text), ""
    except RuleError as error:
        return None, str(error)


def extracted(pattern: Pattern, template: str, tags: list[str]) -> dict[str, str]:
    """Extract tag by tag in the given order; the last of equal texts stands, as in Flux's map."""
    found = {}
    for tag in tags:
        if match := pattern.search(tag):
            found[Template.parse(template).expand(match) if template else tag] = tag
    return found


def scanned(pattern: Pattern, template: str, tags: list[str]) -> list[str | None]:
    """Extract from all tags at once."""
    expand = Template.parse(template).expander(pattern)
    found: list[str | None] = [None] * len(tags)
    for index, text, spans in pattern.scan(tags):
        found[index] = expand(text, spans)
    return found


@pytest.mark.parametrize("row", rows("flux_filter", "filter", "expand", "regex_syntax"), ids=lambda row: row["id"])
def test_extracts_as_go_does(row: dict[str, Any]) -> None:
    pattern = Pattern.parse(row["pattern"])
    found = extracted(pattern, row["extract"], row["tags"])
    assert found == row["original_of"]
    assert sorted(found) == row["expected_sorted"]
    assert set(scanned(pattern, row["extract"] or "$", row["tags"])) - {None} == set(
        found if row["extract"] else "$" * bool(found)
    )


@pytest.mark.parametrize("row", rows("flux_filter", "regex_compile"), ids=lambda row: row["id"])
def test_compiles_and_refuses_as_go_does(row: dict[str, Any]) -> None:
    if row["expected_valid"]:
        assert Pattern.parse(row["pattern"]).text == row["pattern"]
        return
    with pytest.raises(RuleError) as error:
        Pattern.parse(row["pattern"])
    assert row["error"] == f"invalid regular expression pattern '{row['pattern']}': {error.value}"


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
        ("\\C", "invalid escape sequence: `\\C`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("x+{1001}", "invalid repeat count: `{1001}`"),
        ("x{2,1}?", "invalid repeat count: `{2,1}`"),
        ("\\x{", "invalid escape sequence: `\\x{`"),
        ("(?<n", "invalid named capture: `(?<n`"),
        ("(a{1000}){1000}", "invalid repeat count: `{1000}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("a{0,100000000}", "invalid repeat count: `{0,100000000}`"),
        ("(a|b){100000000,}?", "invalid repeat count: `{100000000,}`"),
        (r"\p{Old_Italic}", r"invalid character class range: `\p{Old_Italic}`"),
        (r"x\P{old italic}y", r"invalid character class range: `\P{old italic}`"),
        (r"\p{SignWriting}", r"invalid character class range: `\p{SignWriting}`"),
        (r"\p{Latn}", r"invalid character class range: `\p{Latn}`"),
        (r"\p{}", r"invalid character class range: `\p{}`"),
        (r"\p{__}", r"invalid character class range: `\p{__}`"),
        (r"\p{greek}(", r"missing closing ): `\p{greek}(`"),
        (r"\pl[", "missing closing ]: `[`"),
        (r"[a\p{old-Italic}]", r"invalid character class range: `\p{old-Italic}`"),
        (r"\pq", r"invalid character class range: `\pq`"),
    ],
    ids=repr,
)
def test_an_error_has_the_words_of_go(pattern: str, error: str) -> None:
    with pytest.raises(RuleError) as raised:
        Pattern.parse(pattern)
    assert str(raised.value) == f"error parsing regexp: {error}"


@pytest.mark.parametrize(
    ("pattern", "tag", "groups"),
    [
        ("(?P<a>x)?(?P<a>y)", "y", ("y", None, "y")),
        (r"\QC:\C\E", r"C:\C", (r"C:\C",)),
        (r"\p{Letter}+", "1ab2", ("ab",)),
        (r"[\p{decimal number}-]+", "a-12b", ("-12",)),
        (r"\P{ASCII}", "abc", None),
        (r"\p{LC}+|\P{lc}[\p{LC}]\pL", "12ab", ("2ab",)),
        (r"\Aa|b\z", "xb", ("b",)),
        (r"(?-m)^b$", "b", ("b",)),
        (r"\Qa", "xa", ("a",)),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_reads_the_dialect_of_go(pattern: str, tag: str, groups: tuple[str | None, ...] | None) -> None:
    found = Pattern.parse(pattern).search(tag)
    assert (found.groups if found else None) == groups
    assert list(Pattern.parse(pattern).matches(["", tag, "§", tag])) == [
        0,
        groups is not None,
        int("ASCII" in pattern),
        groups is not None,
    ]


@pytest.mark.parametrize(
    ("pattern", "tag", "groups"),
    [
        (r"\p{lu}\p{L_u}\p{ l-U }\P{^UPPERCASE letter}", "1ABCD2", ("ABCD",)),
        (r"\pl\pN\p{greek}?", "a1", ("a1",)),
        (r"\p{Cn}|[\p{unassigned}]", "abc", None),
        (r"\p{assigned}+", "a-1", ("a-1",)),
        (r"[\p{Assigned}]+[^\P{Any}]", "a-1", ("a-1",)),
        (r"[\P{LC}]+", "ab12.c", ("12.",)),
        (r"[^\p{any}]", "abc", None),
        (r"a{0100000000}", "a{0100000000}", ("a{0100000000}",)),
        (r"[{9999999999}]\{999999999}\Q{999999999}\E", "9{999999999}{999999999}", ("9{999999999}{999999999}",)),
    ],
)
def test_unicode_classes_and_counts_are_read_as_go_reads_them(
    pattern: str, tag: str, groups: tuple[str, ...] | None
) -> None:
    match = Pattern.parse(pattern).search(tag)
    assert (match.groups if match else None) == groups


@pytest.mark.parametrize("pattern", [r"\B", r"\p{C}", r"[\p{Cn}]"])
def test_what_differs_from_go_needs_a_character_that_no_tag_has(pattern: str) -> None:
    r"""Go: of tags alike; beyond ASCII \B is not inside a character, and U+0378 is no character yet."""
    found = Pattern.parse(pattern)
    assert [bool(found.search(tag)) for tag in ("a", "a-1", "")] == [False, False, pattern == r"\B"]
    assert not is_tag("§")
    assert not is_tag("\u0378")


def test_of_groups_with_one_name_the_first_that_took_part_counts() -> None:
    pattern = Pattern.parse("(?P<a>x)?(?P<a>y)")
    assert extracted(pattern, "$a", ["y", "xy"]) == {"y": "y", "x": "xy"}
    assert scanned(pattern, "$a", ["y", "xy"]) == ["y", "x"]


def test_the_limits_name_what_is_too_long() -> None:
    assert Pattern.parse("a" * MOST_PATTERN_BYTES).search("a") is None
    with pytest.raises(RuleError, match="pattern is too long: 4097 characters, at most 4096 bytes"):
        Pattern.parse("a" * (MOST_PATTERN_BYTES + 1))
    with pytest.raises(RuleError, match="template is too long: 1025 characters, at most 1024 bytes"):
        Template.parse("a" * (MOST_TEMPLATE_BYTES + 1))
    match = Match(("a" * 128,), ("",))
    assert len(Template.parse("$0$0").expand(match)) == MOST_EXPANDED
    with pytest.raises(RuleError, match=r"extract '\$0-\$0' makes a text of 257 characters, at most 256"):
        Template.parse("$0-$0").expand(match)


def test_the_engine_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for pattern in ("(", "\\C", "x**", "(?P<é>a)", "\\p{Foo}"):
        with pytest.raises(RuleError):
            Pattern.parse(pattern)
    os.write(2, b"")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", [r"^(\d+\.?)+$", "(a|aa)+$", "(a*)*b", "(x+x+)+y", "(.*){20}z"], ids=repr)
def test_hostile_patterns_take_linear_time(pattern: str) -> None:
    hostile = Pattern.parse(pattern)
    with thrifty():
        hostile.matches(["1" * 127 + "!", "a" * 127 + "!", "x" * 128] * 300)


@given(patterns, templates, tags)
def test_searching_together_finds_what_searching_one_by_one_finds(pattern: str, template: str, tags: list[str]) -> None:
    compiled, error = attempt(pattern)
    if compiled is None:
        assert error.startswith("error parsing regexp: ")
        return
    expanded = [
        None if (match := compiled.search(tag)) is None else Template.parse(template).expand(match) for tag in tags
    ]
    assert scanned(compiled, template, tags) == expanded


@given(st.text(max_size=40), st.text(max_size=12))
def test_a_text_is_a_pattern_or_the_documented_error(pattern: str, tag: str) -> None:
    compiled, error = attempt(pattern)
    if compiled is None:
        assert error.startswith("error parsing regexp: ")
        return
    assert (compiled.search(tag) is not None) == bool(compiled.matches([tag])[0])


@given(st.text(max_size=30))
def test_a_template_without_a_reference_is_text(text: str) -> None:
    assert Template.parse(text.replace("$", "$$")).expand(Match(("x", "y"), ("", "n"))) == text


@given(st.lists(st.text("a.sig\n", max_size=8)))
def test_the_default_exclusion_needs_no_engine(tags: list[str]) -> None:
    tags += [tag + ".sig" for tag in tags]
    assert Ending(r"^.*\.sig$", ".sig").matches(tags) == Pattern.parse(r"^.*\.sig$").matches(tags)


@given(patterns, st.text("ab1v-._\n", max_size=9), st.integers(0, 3))
def test_the_public_interface_of_the_engine_finds_the_same(pattern: str, tag: str, at: int) -> None:
    import re2

    if attempt(pattern)[0] is None or "\\p{Letter}" in pattern:
        return
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(pattern.encode(), options)
    direct, data = engine.direct(compiled), tag.encode()
    assert direct is not None, "google-re2 changed: krmfn works, but filters are slow"
    if at <= len(data):
        assert direct(data, at, len(data)) == engine.indirect(compiled)(data, at, len(data))
