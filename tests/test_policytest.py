from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from krmfn.cli import main
from krmfn.errors import ConfigError
from krmfn.inventory import policytest
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text
from tests.tables import rows, table
from tests.tools import ROOT

RECIPES = ROOT / "fixtures" / "policytests" / "recipes.yaml"
HEAD = "apiVersion: krmfn.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: web}\nspec:\n  cases:\n"
PASSING = HEAD + "  - {name: one, policy: {semver: {range: 1.x}}, tags: [1.0.0, 1.10, 2.0.0], expect: {tag: 1.0.0}}\n"
FAILING = (
    HEAD
    + "  - {name: two, policy: {semver: {range: 1.x}}, tags: [1.0.0, 2.0.0], expect: {tag: 2.0.0, rejected: {1.0.0: lower, 9: range}}}\n"
)


def cases(text: str, name: str = "t.yaml") -> tuple[policytest.Case, ...]:
    """Read cases from YAML."""
    return policytest.read(documents(Text(text.encode(), name)))


RECIPE_CASES = cases(RECIPES.read_text(encoding="utf-8"), RECIPES.name)
assert len(RECIPE_CASES) > 10


@pytest.mark.parametrize("case", RECIPE_CASES, ids=lambda case: case.name)
def test_the_recipes_choose_what_they_say(case: policytest.Case) -> None:
    verdict = policytest.run(case)
    assert verdict.passed, f"expected {verdict.expected}, found {verdict.actual}"


@pytest.mark.parametrize(
    ("expect", "passed", "actual"),
    [
        ("{tag: 1.0.0}", True, "tag 1.0.0"),
        ("{tag: 1.1.0}", False, "tag 1.0.0"),
        ("{error: }", False, "tag 1.0.0"),
        (
            "{tag: 1.0.0, rejected: {2.0.0: range, latest: not-a-version}}",
            True,
            "tag 1.0.0, 2.0.0 range, latest not-a-version",
        ),
        ("{rejected: {2.0.0: lower}}", False, "tag 1.0.0, 2.0.0 range"),
        ("{rejected: {3.0.0: range}}", False, "tag 1.0.0, 3.0.0 not listed"),
        ("{rejected: {1.0.0: chosen}}", True, "tag 1.0.0, 1.0.0 chosen"),
    ],
)
def test_a_case_passes_when_all_it_expects_holds(expect: str, passed: bool, actual: str) -> None:
    (case,) = cases(
        HEAD + f"  - {{name: a, policy: {{semver: {{range: 1.x}}}}, tags: [1.0.0, 2.0.0, latest], expect: {expect}}}\n"
    )
    verdict = policytest.run(case)
    assert (verdict.passed, policytest.in_words(verdict.actual)) == (passed, actual)


@pytest.mark.parametrize(
    ("policy", "expect", "passed"),
    [
        ("{semver: {range: 9.x}}", "{error: }", True),
        ("{semver: {range: 9.x}}", "{error: no tag satisfies 9.x}", True),
        ("{semver: {range: 9.x}}", "{error: nothing like this}", False),
        ("{semver: {range: 9.x}}", "{tag: 9.0.0}", False),
        ("{semver: {range: a}}", "{error: improper constraint}", True),
        ("{semver: {range: a}}", "{error: ''}", True),
        ("{semver: {range: a}}", "{tag: 1.0.0}", False),
        ("{}", "{error: given ImagePolicyChoice object is invalid}", True),
    ],
)
def test_an_error_may_be_expected(policy: str, expect: str, passed: bool) -> None:
    (case,) = cases(HEAD + f"  - {{name: a, policy: {policy}, tags: [1.0.0], expect: {expect}}}\n")
    assert policytest.run(case).passed == passed


def test_every_mistake_in_a_document_is_named_at_once() -> None:
    text = HEAD + "  - {nam: a, polcy: {}, tags: [], expect: {}}\n  - {name: b, tags: x, expect: {tga: 1}}\n"
    with pytest.raises(ConfigError) as error:
        cases("a: b\n---\n" + text)
    assert [problem.described for problem in error.value.problems] == [
        "spec.cases[0].nam: unknown field; did you mean name?",
        "spec.cases[0].polcy: unknown field; did you mean policy?",
        "spec.cases[0].name: required: A sentence.",
        "spec.cases[1].tags: expected a list, found 'x'",
        "spec.cases[1].expect.tga: unknown field; did you mean tag?",
    ]
    assert all(problem.location.in_file == "t.yaml:3:1" for problem in error.value.problems)


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("{}", "spec.cases[0].expect: expected one of tag, error, rejected"),
        ("{tag: a, error: b}", "spec.cases[0].expect: expected either a tag or an error, found both"),
        ("{rejected: {a: rnage}}", "spec.cases[0].expect.rejected.a: 'rnage' is no reason; did you mean range?"),
    ],
)
def test_an_expectation_must_say_something(expect: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        cases(HEAD + f"  - {{name: a, tags: [], expect: {expect}}}\n")
    assert [one.described for one in error.value.problems] == [problem]


def test_another_version_of_the_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"t.yaml:1:1: apiVersion: expected krmfn.dev/v1alpha1, found 'krmfn.dev/v1'"):
        cases(PASSING.replace("v1alpha1", "v1"))


def test_the_command_prints_a_table_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(PASSING + "---\n" + FAILING)
    assert main(["test", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ID  TEST  CASE  RESULT  REASON",
        "1   web   one   Pass    tag 1.0.0",
        "2   web   two   Fail    expected tag 2.0.0, 1.0.0 lower, 9 range; found tag 1.0.0, 1.0.0 chosen, 9 not listed",
        "",
        "Test Summary: 1 tests passed and 1 tests failed",
    ]
    assert main(["test", "--fail-only", str(tmp_path)]) == 1
    header, row, *_ = capsys.readouterr().out.splitlines()
    assert (header.split(), row.split()[:4]) == (["ID", "TEST", "CASE", "RESULT", "REASON"], ["1", "web", "two", "Fail"])


def test_json_is_a_list_of_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep" / "a.yml"
    file.parent.mkdir()
    file.write_text(FAILING)
    assert main(["test", "-o", "json", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {
            "file": str(file), "test": "web", "name": "two", "passed": False,
            "expected": {"tag": "2.0.0", "rejected": {"1.0.0": "lower", "9": "range"}},
            "actual": {"tag": "1.0.0", "rejected": {"1.0.0": "chosen", "9": "not listed"}},
        }
    ]  # fmt: skip


def test_junit_counts_the_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(PASSING)
    (tmp_path / "b.yaml").write_text(FAILING.replace("two", '"a\\x01<&"'))
    assert main(["test", "-o", "junit", str(tmp_path)]) == 1
    top = ET.fromstring(capsys.readouterr().out)
    assert (top.tag, top.get("tests"), top.get("failures")) == ("testsuites", "2", "1")
    assert [(suite.get("name"), suite.get("failures")) for suite in top] == [
        (str(tmp_path / "a.yaml"), "0"),
        (str(tmp_path / "b.yaml"), "1"),
    ]
    (failure,) = top.iter("failure")
    assert (failure.get("message") or "").startswith("expected tag 2.0.0")
    assert [case.get("name") for case in top.iter("testcase")] == ["one", "a\\x01<&"]


def test_all_passed_is_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(RECIPES)]) == 0
    assert f"{len(RECIPE_CASES)} tests passed and 0 tests failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: b\n", "no case of kind PolicyTest (krmfn.dev/v1alpha1) is there"),
        (HEAD.replace("cases:", "cases: []"), "no case of kind PolicyTest (krmfn.dev/v1alpha1) is there"),
        ("kind: PolicyTest\n# krmfn.dev\nspec: [", "not read as YAML"),
        (PASSING.replace("expect", "expct"), "spec.cases[0].expct: unknown field; did you mean expect?"),
    ],
    ids=["no test", "no case", "no YAML", "misspelt"],
)
def test_what_tests_nothing_fails(text: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert main(["test", str(tmp_path)]) == 1
    found = capsys.readouterr()
    assert error in found.err
    assert found.out == ""


def test_a_path_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(tmp_path / "nope")]) == 1
    assert "nope: there is no such file or directory" in capsys.readouterr().err


FLUX = {row["id"]: row for row in rows("flux_policy", "latest") if row["id"] not in table("flux_policy")["differs"]}


def as_case(row: dict[str, Any]) -> dict[str, Any]:
    """Write a row of Flux's table as a case."""
    expect = {"error": row["expected_error"]} if "expected_error" in row else {"tag": row.get("expected", "v1.0.0")}
    case = {"name": row["id"], "policy": row["policy"], "tags": row["tags"], "expect": expect}
    return case | ({"filterTags": row["filterTags"]} if row.get("filterTags") else {})


def test_the_rows_of_flux_run_as_policy_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"apiVersion": "krmfn.dev/v1alpha1", "kind": "PolicyTest", "metadata": {"name": "flux"}}
    (tmp_path / "flux.yaml").write_text(json.dumps(document | {"spec": {"cases": list(map(as_case, FLUX.values()))}}))
    main(["test", "-o", "json", str(tmp_path)])
    verdicts = json.loads(capsys.readouterr().out)
    assert len(verdicts) == len(FLUX) > 50
    assert [verdict["name"] for verdict in verdicts if not verdict["passed"]] == []


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (
            "policy: {version: {}}, tags: [1.0.0]",
            "spec.cases[0].current: required: the tag that is deployed, which policy version follows",
        ),
        (
            "policy: {digest: {}}, tags: [1.0.0]",
            "spec.cases[0].current: required: the tag that is deployed, which policy digest follows",
        ),
        (
            "policy: {follow: {lock: staging, policy: 'shop:web', soak: 2 days}}, tags: [1.0.0]",
            "spec.cases[0].policy.follow: it takes what another lock holds, and no list of tags",
        ),
        (
            "policy: {newest: {}}, tags: [{name: 1.0.0, created: today}]",
            "spec.cases[0].tags[0].created: expected an RFC 3339 time",
        ),
        (
            "policy: {version: {within: mayor}}, current: 1.0.0, tags: [1.0.0]",
            "spec.cases[0].policy.version.within: expected one of patch, minor, major, found 'mayor'; did you mean major?",
        ),
        ("tags: [{created: '2026-01-01T00:00:00Z'}]", "spec.cases[0].tags[0].name: required"),
    ],
    ids=["version", "digest", "follow", "time", "bound", "no name"],
)
def test_a_case_of_what_is_deployed_or_built_says_what_it_needs(case: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        cases(HEAD + f"  - {{name: a, {case}, expect: {{tag: 1.0.0}}}}\n")
    assert len(error.value.problems) == 1
    assert error.value.problems[0].described.startswith(problem)


def test_a_deployed_tag_that_is_not_listed_is_kept() -> None:
    (case,) = cases(
        HEAD
        + "  - {name: a, policy: {version: {within: patch}}, current: 1.2.9, tags: [1.2.0], expect: {tag: 1.2.9}}\n"
    )
    assert policytest.run(case).passed
