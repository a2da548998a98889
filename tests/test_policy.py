from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from krmfn.errors import RuleError
from krmfn.policies.digest import Digest
from krmfn.policies.newest import Newest
from krmfn.policies.ordering import Alphabetical, Numerical
from krmfn.policies.policy import POLICIES, parse_policy
from krmfn.policies.reason import Reason
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import accepts, candidates, outranks, select
from krmfn.policies.semver import SemVer
from tests.tools import ROOT

if TYPE_CHECKING:
    from krmfn.policies.protocol import Policy

SEMVER = SemVer.parse({"range": "^1.0"})


@pytest.mark.parametrize(
    ("policy", "text", "accepted"),
    [(SEMVER, "1.2.0", True), (SEMVER, "2.0.0", False), (SEMVER, "latest", False), (Alphabetical(), "x", True), (Numerical(), "7", True),
     (Numerical(), "x", False), (Digest(), "x", True), (Newest(), "x", True)],
    ids=lambda value: str(getattr(value, "kind", value)),
)  # fmt: skip
def test_a_policy_says_what_it_would_take(policy: Policy, text: str, accepted: bool) -> None:
    assert policy.accepts(text) == accepted


@pytest.mark.parametrize(
    ("policy", "first", "second"),
    [(SEMVER, "1.10.0", "1.9.0"), (Alphabetical(), "9", "10"), (Alphabetical(is_descending=True), "10", "9"), (Numerical(), "10", "9"),
     (Numerical(is_descending=True), "9", "10"), (Numerical(), "9007199254740993", "9007199254740992")],
    ids=["semver", "alphabetical asc", "alphabetical desc", "numerical asc", "numerical desc", "beyond float64"],
)  # fmt: skip
def test_a_policy_orders_strictly(policy: Policy, first: str, second: str) -> None:
    assert policy.outranks(first, second)
    assert not policy.outranks(second, first)
    assert not policy.outranks(first, first)


@pytest.mark.parametrize("policy", [SEMVER, Numerical(), Digest(), Newest()], ids=lambda policy: policy.kind)
def test_what_cannot_be_ordered_outranks_nothing(policy: Policy) -> None:
    assert not policy.outranks("x", "1.0.0")
    assert not policy.outranks("1.0.0", "x")


READ: list[tuple[str, dict[str, str], str, dict[str, object]]] = [
    ("semver", {"range": "1 - 2"}, "semver 1 - 2", {"semver": {"range": ">=1 <=2"}}),
    ("alphabetical", {}, "alphabetical asc", {"alphabetical": {"order": "asc"}}),
    ("numerical", {"order": "DESC"}, "numerical desc", {"numerical": {"order": "desc"}}),
    ("version", {}, "version within minor", {"version": {"within": "minor"}}),
    ("newest", {"limit": "7"}, "newest", {"newest": {"limit": 7}}),
    ("digest", {}, "digest", {"digest": {}}),
    (
        "follow", {"lock": "staging", "policy": "shop:web", "soak": "2 days"}, "follow shop:web of lock staging, soak 2 days",
        {"follow": {"lock": "staging", "policy": "shop:web", "soak": 172800}},
    ),
]
"""For each of POLICIES: its options, how it is told to people, and its canonical data."""


CHOSEN: list[tuple[str, dict[str, str], list[str], str]] = [
    ("semver", {"range": "1 - 2"}, ["1.0.0", "3.0.0", "1.9.0"], "1.9.0"),
    ("alphabetical", {}, ["b", "c", "a"], "c"),
    ("numerical", {"order": "desc"}, ["10", "9", "11"], "9"),
    ("version", {"within": "minor"}, ["1.0.0", "1.2.0", "2.0.0"], "1.2.0"),
    ("newest", {}, ["1.0.0", "1.1.0"], "1.0.0"),
    ("digest", {}, ["1.1.0", "1.0.0"], "1.0.0"),
    ("follow", {"lock": "staging", "policy": "shop:web", "soak": "2 days"}, ["1.0.0", "1.1.0"], "1.1.0"),
]
"""For each of POLICIES: its options, tags, and the one that it takes. 1.0.0 is deployed, and was built last."""


def test_no_module_has_a_table_of_policies_of_its_own():
    own = {"policies.policy", "policies.ordering", "config.fleet"}  # Fleet's two are an order of its own
    found = set()
    for path in (ROOT / "krmfn").rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if len(texts & {"semver", "alphabetical", "numerical", "newest", "follow"}) > 1:
            found.add(".".join(path.relative_to(ROOT / "krmfn").with_suffix("").parts))
    assert {name for name in found if not name.startswith("adopt.")} == own, "what is told of a policy stands in policies/policy.py"


def test_every_policy_is_in_the_tables():
    assert [name for name, *_ in READ] == list(POLICIES), "READ has a row for each of POLICIES, in their order"
    assert [name for name, *_ in CHOSEN] == list(POLICIES), "CHOSEN has a row for each of POLICIES, in their order"


@pytest.mark.parametrize(("name", "options", "tags", "chosen"), CHOSEN, ids=[name for name, *_ in CHOSEN])
def test_every_policy_takes_one_tag_in_whatever_order(name: str, options: dict[str, str], tags: list[str], chosen: str) -> None:
    rules = parse_rules({name: options})
    for listed in (tags, tags[::-1]):
        selection = select(rules, listed, created=lambda tag: f"2026-01-0{9 if tag == '1.0.0' else 1}T00:00:00Z", current="1.0.0")
        assert selection.tag == chosen
        assert Reason(selection.reasons[listed.index(chosen)]) is Reason.CHOSEN


@pytest.mark.parametrize(("name", "options", "described", "canonical"), READ, ids=[name for name, *_ in READ])
def test_every_policy_is_read_by_its_name(
    name: str, options: dict[str, str], described: str, canonical: dict[str, object]
) -> None:
    policy = parse_policy(name, options)
    assert (policy.described, policy.canonical()) == (described, canonical)
    assert policy == parse_policy(name, options)


def test_policies_that_hold_the_same_are_not_equal() -> None:
    assert len({Alphabetical(), Numerical(), Digest(), Newest(), Alphabetical(is_descending=True), Newest(1)}) == 6


@pytest.mark.parametrize("limit", ["0", "-1", "x", "100000", "1.5", "²"])
def test_a_limit_is_a_small_whole_number(limit: str) -> None:
    with pytest.raises(RuleError, match=f"invalid limit '{limit}': expected a whole number from 1 to 99999"):
        Newest.parse({"limit": limit})


def test_a_text_that_is_extracted_too_long_is_neither_accepted_nor_a_candidate() -> None:
    rules = parse_rules({"newest": {}}, filter_tags={"pattern": ".*", "extract": "$0-$0-$0"})
    assert not accepts(rules, "a" * 128)
    assert not outranks(rules, "a", "a" * 128)
    assert candidates(rules, ["a" * 128]) == ()
    assert candidates(rules, ["a-1", "a"], 2) == ("a-1",)
