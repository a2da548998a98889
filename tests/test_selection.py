from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krmfn.errors import RulesError
from krmfn.policies import number
from krmfn.policies.policy import PRECEDENCE
from krmfn.policies.reason import ELIGIBLE, Reason
from krmfn.policies.rules import Rules, parse_rules
from krmfn.policies.selection import Selection, accepts, candidates, outranks, select
from krmfn.policies.version import Version, parse_tag
from tests.tables import rows, table

DIFFERS: dict[str, Any] = table("flux_policy")["differs"]
SIGNATURE = "sha256-" + "0a" * 32

small_versions = st.builds(
    lambda prefix, numbers, tail: prefix + ".".join(numbers) + tail,
    st.sampled_from(["", "v"]),
    st.lists(st.sampled_from(["0", "1", "2", "01", "10"]), min_size=2, max_size=4),
    st.sampled_from(["", "", "", "-rc.1", "-rc.2", "-alpine", "-01", "+b", "-0+c"]),
)
builds = st.tuples(
    st.sampled_from(["main-", "dev-", ""]), st.integers(0, 99).map(str), st.sampled_from(["", "", "-x"])
).map("".join)
tags = st.lists(
    st.one_of(small_versions, builds, st.sampled_from(["latest", "a.sig", SIGNATURE, "1e3", "NaN"])),
    max_size=12,
    unique=True,
)
policies = st.sampled_from(
    [
        *(
            {"semver": {"range": text}}
            for text in (
                "*",
                "*-0",
                ">=1.0.0",
                "1.x || 2.x-0",
                "!=1.0",
                "!=1.0-0 >=0-0",
                "^1.0.0-rc.1",
                "~1",
                "<1 || >2",
            )
        ),
        *({name: {"order": order}} for name in ("alphabetical", "numerical") for order in ("asc", "desc")),
    ]
)
filters = st.sampled_from(
    [None, {"pattern": "^v?(.*)$", "extract": "$1"}, {"pattern": "^(?P<n>[0-9]+)", "extract": "$n"}, {"pattern": "1"},
     {"pattern": "([0-9]+)(-x)?$", "extract": "$1"}, {"pattern": "", "extract": "same"}, {"pattern": "nothing"}]
)  # fmt: skip


def outcome(row: dict[str, Any]) -> str:
    """Return the tag or the message for a row."""
    try:
        rules = parse_rules(row["policy"], filter_tags=row.get("filterTags"))
    except RulesError as error:
        return str(error)
    found = select(rules, row["tags"])
    return found.message if found.tag is None else found.tag


@pytest.mark.parametrize("row", rows("flux_policy", "latest"), ids=lambda row: row["id"])
def test_chooses_as_flux_does(row: dict[str, Any]) -> None:
    got = outcome(row)
    if row["id"] in DIFFERS:
        assert got.startswith(DIFFERS[row["id"]]["answer"])
    elif "expected_any_of" in row:
        assert got in row["expected_any_of"]
    elif "expected" in row:
        assert got == row["expected"]
    elif not row["tags"]:
        assert row["expected_error"] in got
    else:
        assert got.startswith(row["expected_error"])


@pytest.mark.parametrize("row", rows("flux_policy", "policy_valid"), ids=lambda row: row["id"])
def test_accepts_the_policies_that_flux_accepts(row: dict[str, Any]) -> None:
    if row["expected_valid"]:
        assert parse_rules(row["policy"]).described
        return
    with pytest.raises(RulesError) as error:
        parse_rules(row["policy"])
    assert str(error.value).startswith(row.get("error", "invalid policy: "))


@pytest.mark.parametrize("row", rows("flux_policy", "scan"), ids=lambda row: row["id"])
def test_stores_the_tags_that_flux_stores(row: dict[str, Any]) -> None:
    rules = parse_rules({"alphabetical": {}}, exclusion_list=row["exclusionList"])
    found = select(rules, row["tags"])
    kept = [tag for tag in row["tags"] if found.reason(tag) in ELIGIBLE]
    if "expected_stored_tags" in row:
        assert sorted(kept, reverse=True) == row["expected_stored_tags"]
    else:
        assert set(kept) == set(row["expected_stored_tags_set"])


@pytest.mark.parametrize("row", rows("flux_filter", "exclusion"), ids=lambda row: row["id"])
def test_excludes_as_flux_does(row: dict[str, Any]) -> None:
    if "expected_error" in row:
        with pytest.raises(RulesError) as error:
            parse_rules({"alphabetical": {}}, exclusion_list=row["exclusionList"])
        assert str(error.value) == row["expected_error"]
        return
    found = select(parse_rules({"alphabetical": {}}, exclusion_list=row["exclusionList"]), row["tags"])
    assert [tag for tag in row["tags"] if found.reason(tag) is not Reason.EXCLUDED] == row["expected"]


def test_every_kind_of_row_is_run_here_or_said_to_belong_elsewhere() -> None:
    here = {"latest", "policy_valid", "scan", "flux_parse_version", "flux_version_sort"}
    assert {row["kind"] for row in table("flux_policy")["cases"]} == here | set(table("flux_policy")["elsewhere"])


def reference(policy: dict[str, Any], filter_tags: dict[str, str] | None, tags: list[str]) -> str | None:
    """Choose as Flux's loops do, tag by tag over the descending list; None when Flux has an error.

    Under a filter the items keep the descending order of their tags, where Flux takes the order of a Go map.
    """
    rules = parse_rules(policy, filter_tags=filter_tags)
    stored = sorted((tag for tag in tags if not tag.endswith(".sig") and tag != SIGNATURE), reverse=True)
    items: dict[str, str] = {}
    for tag in stored:
        match = rules.filter.pattern.search(tag) if rules.filter else None
        if rules.filter is None or match:
            items[rules.filter.extract.expand(match) if rules.filter and rules.filter.extract and match else tag] = tag
    texts = sorted(items, key=items.__getitem__, reverse=True)
    latest = _REFERENCE[next(iter(policy))](next(iter(policy.values())), texts)
    return None if latest is None else items[latest]


def _semver(options: dict[str, str], texts: list[str]) -> str | None:
    from krmfn.policies.constraint import Constraint

    best: Version | None = None
    for text in texts:
        version = parse_tag(text)
        if (
            version
            and Constraint.parse(options["range"]).check(version)
            and (best is None or version.compare(best) > 0)
        ):
            best = version
    return best.original if best else None


def _alphabetical(options: dict[str, str], texts: list[str]) -> str | None:
    return sorted(texts, reverse=options["order"] == "desc")[-1] if texts else None


def _numerical(options: dict[str, str], texts: list[str]) -> str | None:
    values = [number.read(text) for text in texts]
    if not texts or None in values:
        return None
    latest, previous = "", None
    for text, value in zip(texts, values, strict=True):
        if previous is not None and (value > previous if options["order"] == "desc" else value < previous):  # type: ignore[operator]
            continue
        latest, previous = text, value
    return latest


_REFERENCE = {"semver": _semver, "alphabetical": _alphabetical, "numerical": _numerical}


@given(policies, filters, tags)
def test_chooses_what_the_loops_of_flux_choose(
    policy: dict[str, Any], filter_tags: dict[str, str] | None, tags: list[str]
) -> None:
    assert select(parse_rules(policy, filter_tags=filter_tags), tags).tag == reference(policy, filter_tags, tags)


def by_tag(found: Selection) -> dict[str, Reason | None]:
    """Return the reasons independent of the order."""
    return {tag: found.reason(tag) for tag in found.tags}


@given(policies, filters, tags, st.randoms())
def test_the_order_of_the_tags_does_not_matter(
    policy: dict[str, Any], filter_tags: dict[str, str] | None, tags: list[str], chance: random.Random
) -> None:
    rules = parse_rules(policy, filter_tags=filter_tags)
    shuffled = chance.sample(tags, len(tags))
    one, other = select(rules, tags), select(rules, shuffled)
    assert (one.tag, one.message, by_tag(one)) == (other.tag, other.message, by_tag(other))


@given(policies, st.sampled_from(["1", "^v", "-", "^[0-9.]+$"]), tags)
def test_filtering_first_gives_the_same_choice(policy: dict[str, Any], pattern: str, tags: list[str]) -> None:
    rules = parse_rules(policy, filter_tags={"pattern": pattern})
    matching = [tag for tag in tags if rules.filter and rules.filter.pattern.search(tag)]
    assert select(rules, tags).tag == select(parse_rules(policy), matching).tag


@given(policies, filters, tags)
def test_a_tag_is_accepted_when_it_alone_would_be_chosen(
    policy: dict[str, Any], filter_tags: dict[str, str] | None, tags: list[str]
) -> None:
    rules = parse_rules(policy, filter_tags=filter_tags)
    for tag in tags:
        assert accepts(rules, tag) == (select(rules, [tag]).tag == tag)


@given(policies, filters, tags)
def test_nothing_that_is_accepted_outranks_the_choice(
    policy: dict[str, Any], filter_tags: dict[str, str] | None, tags: list[str]
) -> None:
    rules = parse_rules(policy, filter_tags=filter_tags)
    found = select(rules, tags)
    if found.tag is None or "NaN" in tags:
        return
    assert not any(outranks(rules, tag, found.tag) for tag in tags)
    assert found.eligible == sum(accepts(rules, tag) for tag in tags)
    left = [step.left for step in found.funnel()]
    assert left == sorted(left, reverse=True)
    assert left[0] == found.listed
    assert left[-2:] == [found.eligible, 1]


def rules_of(**options: Any) -> Rules:
    """Parse rules that choose alphabetically, unless told otherwise."""
    return parse_rules(options.pop("policy", {"alphabetical": {}}), **options)


@pytest.mark.parametrize(
    ("options", "tags", "reasons"),
    [
        ({}, [SIGNATURE, SIGNATURE + ".sig", SIGNATURE + ".att", SIGNATURE + "x", SIGNATURE + "."],
         [Reason.ARTEFACT, Reason.ARTEFACT, Reason.ARTEFACT, Reason.CHOSEN, Reason.LOWER]),
        ({"exclusion_list": ["^a", "b$"]}, ["a1", "1b", "c", "x.sig"], [Reason.EXCLUDED, Reason.EXCLUDED, Reason.LOWER, Reason.CHOSEN]),
        ({"exclusion_list": []}, ["a", "x.sig"], [Reason.CHOSEN, Reason.EXCLUDED]),
        ({"allow_tags": ["^a", "^b"]}, ["a", "b", "c"], [Reason.LOWER, Reason.CHOSEN, Reason.NOT_ALLOWED]),
        ({"ignore_tags": ["-dev$"], "allow_tags": ["^a"]}, ["a-dev", "b-dev", "a"], [Reason.IGNORED, Reason.NOT_ALLOWED, Reason.CHOSEN]),
        ({"filter_tags": {"pattern": "^v(.)", "extract": "$1"}}, ["v1b", "v1a", "v0", "x"],
         [Reason.SHADOWED, Reason.CHOSEN, Reason.LOWER, Reason.FILTERED]),
        ({"policy": {"semver": {"range": "<2"}}}, ["1.0.0", "2.0.0", "1.0.0-rc", "1.0", "0.1.0"],
         [Reason.CHOSEN, Reason.OUT_OF_RANGE, Reason.PRERELEASE, Reason.NOT_A_VERSION, Reason.LOWER]),
        ({"policy": {"numerical": {}}}, ["1", "x", "2"], [Reason.NOT_EVALUATED, Reason.NOT_A_NUMBER, Reason.NOT_EVALUATED]),
    ],
    ids=["artefacts", "exclusions replace the default", "no exclusions is the default", "allow", "ignore", "filter", "semver", "numerical"],
)  # fmt: skip
def test_the_first_step_that_drops_a_tag_names_its_reason(
    options: dict[str, Any], tags: list[str], reasons: list[Reason]
) -> None:
    assert list(map(Reason, select(rules_of(**options), tags).reasons)) == reasons


@pytest.mark.parametrize(
    ("options", "tags", "message"),
    [
        ({"policy": {"semver": {"range": ">=2 <3"}}, "filter_tags": {"pattern": "^v"}}, ["v1.9.4", "v1.0.0", "x", "y.sig"],
         "unable to determine latest version from provided list: no tag satisfies >=2 <3, highest v1.9.4 (4 listed, 3 not excluded, 2 match filterTags)"),
        ({"policy": {"semver": {"range": "1.x"}}}, ["latest", "main"],
         "unable to determine latest version from provided list: none is a version with three parts, such as 'main'; filterTags can extract the version (2 listed)"),
        ({"policy": {"semver": {"range": ">=1"}}}, ["1.0.0-rc.1"],
         "unable to determine latest version from provided list: no tag satisfies >=1, highest 1.0.0-rc.1; only prereleases are there: write the range with -0, such as >=1.0.0-0 (1 listed)"),
        ({"policy": {"semver": {"range": ">=3"}}}, ["1.0.0", "3.0.0-rc.1"],
         "unable to determine latest version from provided list: no tag satisfies >=3, highest 1.0.0 (2 listed)"),
        ({"filter_tags": {"pattern": "^v"}}, ["1"], "version list argument cannot be empty: no tag matches filterTags ^v (1 listed, 0 match filterTags)"),
        ({"filter_tags": {"pattern": ".*", "extract": "$0-$0-$0"}}, ["a" * 128], "extract '$0-$0-$0' makes a text of 386 characters, at most 256"),
        ({}, ["a.sig"], "no tags in database: version list argument cannot be empty (1 listed, 0 not excluded)"),
        ({"policy": {"numerical": {}}, "filter_tags": {"pattern": "-(.*)$", "extract": "$1"}}, ["a-1", "a-x"],
         "failed to parse invalid numeric value 'x': 1 of 2 are not numbers, the one named is of tag a-x; let filterTags take only numbers, such as ^[0-9]+$ (2 listed)"),
        ({"policy": {"digest": {}}}, ["1"], "no tag is deployed: policy digest keeps the tag that a field has, and none is known (1 listed)"),
        ({"policy": {"newest": {}}}, ["1"], "no creation times are known: policy newest reads them from the registry or a TagSnapshot (1 listed)"),
    ],
    ids=["out of range", "no version", "prereleases", "a prerelease and a release", "no match", "too long", "all excluded", "no number", "digest", "newest"],
)  # fmt: skip
def test_a_message_starts_with_the_words_of_flux_and_goes_on_with_numbers(
    options: dict[str, Any], tags: list[str], message: str
) -> None:
    found = select(rules_of(**options), tags)
    assert found.tag is None
    assert found.message == message


def test_the_digest_policy_keeps_what_is_deployed() -> None:
    rules = rules_of(policy={"digest": {}})
    assert select(rules, ["1", "2"], current="1").tag == "1"
    assert (
        select(rules, ["1", "2"], current="3").message
        == "tag 3 is not listed: policy digest keeps the tag that is deployed (2 listed)"
    )
    assert rules.pins_current
    assert not rules.needs_created


def test_the_newest_policy_asks_for_a_bounded_number_of_times() -> None:
    rules = rules_of(policy={"newest": {"limit": "2"}}, filter_tags={"pattern": "^v"})
    tags = ["v9", "v10", "v8", "latest"]
    assert candidates(rules, tags) == ("v10", "v9")
    times = {"v10": "2026-01-01T00:00:00Z", "v9": "2026-01-01T01:00:00.5+01:00"}
    found = select(rules, tags, created=times.__getitem__)
    assert found.tag == "v9"
    assert [reason.name for reason in map(Reason, found.reasons)] == ["CHOSEN", "LOWER", "NOT_ASKED", "FILTERED"]
    assert select(rules, tags, created=lambda _: "2026-01-01T00:00:00Z").tag == "v10"
    undated = select(rules, tags, created=lambda _: "yesterday")
    assert undated.message == "no creation time is readable: 2 images were looked up (4 listed, 3 match filterTags)"
    assert candidates(rules_of(), tags) == ()


def test_no_policy_at_all_means_the_newest() -> None:
    assert parse_rules(None).described == "newest"
    assert parse_rules(None).needs_created


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ({"policy": {"semver": {"range": ">=1<2"}}, "filter_tags": {"pattern": "("}, "exclusion_list": ["a", "[="]},
         ["policy.semver.range", "filterTags.pattern", "exclusionList[1]"]),
        ({"policy": {"numerical": {"order": "up"}}, "allow_tags": ["("], "ignore_tags": ["a", "b", "*"]},
         ["policy.numerical.order", "allowTags[0]", "ignoreTags[2]"]),
        ({"policy": {"semver": "1.x"}}, ["policy.semver"]),
        ({"policy": "semver"}, ["policy"]),
        ({"policy": {"newest": {"limit": "0"}}}, ["policy.newest.limit"]),
        ({"policy": {"alphabetical": {}}, "filter_tags": {"pattern": "a", "extract": "b" * 2000}}, ["filterTags.extract"]),
        ({"policy": {"alphabetical": {}}, "filter_tags": {"pattern": ["a"]}}, ["filterTags.pattern"]),
        ({"policy": {"alphabetical": {"order": ["asc"]}}, "exclusion_list": "a", "allow_tags": [None]},
         ["policy.alphabetical.order", "exclusionList", "allowTags[0]"]),
    ],
    ids=["three", "lists", "text for a mapping", "text for the policy", "limit", "template", "list for text", "wrong types"],
)  # fmt: skip
def test_every_problem_is_found_with_its_field(options: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(RulesError) as error:
        rules_of(**options)
    assert [problem.field for problem in error.value.problems] == problems


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ({"semVer": {}}, "write semver: {...} instead of semVer"),
        ({"semver": None}, "semver is empty, write semver: {...}"),
        ({}, f"expected one of {', '.join(PRECEDENCE)}"),
    ],
    ids=["misspelt", "null", "empty"],
)
def test_a_policy_without_a_member_says_what_to_write(policy: dict[str, Any], hint: str) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(policy)
    assert str(error.value) == f"invalid policy: given ImagePolicyChoice object is invalid: {hint}"


def test_equal_rules_have_equal_canonical_data() -> None:
    one = parse_rules({"semver": {"range": ">= 1.2 , <2"}}, exclusion_list=["b", "a"])
    other = parse_rules({"semver": {"range": ">=1.2 <2"}, "numerical": {}}, exclusion_list=["a", "b"], allow_tags=[])
    assert one.canonical() == other.canonical()
    assert one.canonical() == {"policy": {"semver": {"range": ">=1.2 <2"}}, "exclusionList": ["a", "b"]}
    assert one.described == "semver >= 1.2 , <2"


def test_an_unknown_tag_has_no_reason() -> None:
    assert select(rules_of(), ["a"]).reason("b") is None
