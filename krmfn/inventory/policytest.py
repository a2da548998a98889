"""Unit tests of policies as data: `PolicyTest` documents, read strictly, run without any network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.config import schema
from krmfn.config.objects import mapping, nearest
from krmfn.errors import ConfigError, RulesError
from krmfn.model import Diagnostic, Field, File, Location
from krmfn.policies.number import read_time
from krmfn.policies.reason import Reason
from krmfn.policies.rules import parse_rules
from krmfn.policies.selection import select
from krmfn.yamledit.yamltree import construct

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

KIND = "PolicyTest"
WORDS = tuple(reason.word for reason in Reason)


class Case(NamedTuple):
    """One case: the rules as they were written, the tags, what is known of them, and what must come out."""

    file: str
    test: str
    name: str
    rules: Mapping[str, Any]
    tags: tuple[str, ...]
    expect: Mapping[str, Any]
    current: str | None = None
    created: Mapping[str, str] = {}


class Verdict(NamedTuple):
    """What came out of a case; `expected` and `actual` have the members tag, error and rejected, as far as asked."""

    case: Case
    passed: bool
    expected: Mapping[str, Any]
    actual: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """Return the verdict as it stands in JSON output."""
        return {
            "file": self.case.file,
            "test": self.case.test,
            "name": self.case.name,
            "passed": self.passed,
            "expected": dict(self.expected),
            "actual": dict(self.actual),
        }


def read(blocks: Iterable[Block]) -> tuple[Case, ...]:
    """Read every case of the PolicyTest documents among the blocks; raises ConfigError with every problem found."""
    problems: list[Diagnostic] = []
    cases: list[Case] = []
    for block in blocks:
        if KIND.encode() not in block.raw or block.root is None:
            continue
        data = construct(block.root, block)
        if isinstance(data, dict) and data.get("kind") == KIND:
            line, column = block.text.locate(block.span(block.root)[0])
            file = File(block.text.name, block.index, line, column)
            wrong = [*_problems(data)]
            problems += [
                Diagnostic("error", "bad-config", message, Location(None, Field(path), file)) for path, message in wrong
            ]
            cases += () if wrong else _cases(data, block.text.name)
    if problems:
        raise ConfigError(problems)
    return tuple(cases)


def _problems(data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if data.get("apiVersion") != schema.API_VERSION:
        yield "apiVersion", f"expected {schema.API_VERSION}, found {data.get('apiVersion')!r}"
    wrong = list(schema.problems(KIND, data))
    yield from wrong
    if wrong:
        return
    for index, case in enumerate(data["spec"]["cases"]):
        yield from _expectation_problems(case["expect"], f"spec.cases[{index}].expect")
        yield from _current_problems(case, f"spec.cases[{index}]")


def _current_problems(case: Mapping[str, Any], path: str) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with the times, and a policy that follows what is deployed without any deployed tag."""
    policy = mapping(case.get("policy"))
    names = [name for name in ("version", "digest") if policy.get(name) is not None]
    if names and not case.get("current"):
        yield f"{path}.current", f"required: the tag that is deployed, which policy {names[0]} follows"
    if policy.get("follow") is not None:
        yield f"{path}.policy.follow", "it takes what another lock holds, and no list of tags: krmfn explain says what it chooses"
    for index, entry in enumerate(case["tags"]):
        created = mapping(entry).get("created")
        if created and read_time(created) is None:
            message = f"expected an RFC 3339 time such as 2026-01-31T09:00:00Z, found {created!r}"
            yield f"{path}.tags[{index}].created", message


def _expectation_problems(expect: Mapping[str, Any], path: str) -> Iterable[tuple[str, str]]:
    if not expect:
        yield path, "expected one of tag, error, rejected"
    if "tag" in expect and "error" in expect:
        yield path, "expected either a tag or an error, found both"
    for tag, word in (expect.get("rejected") or {}).items():
        if word not in WORDS:
            hint = nearest(str(word), WORDS, 0.4) or f"; known: {', '.join(WORDS)}"
            yield f"{path}.rejected.{tag}", f"{word!r} is no reason{hint}"


def _cases(data: Mapping[str, Any], file: str) -> Iterable[Case]:
    test = mapping(data.get("metadata")).get("name") or ""
    for case in data["spec"]["cases"]:
        entries = [{"name": entry} if isinstance(entry, str) else entry for entry in case["tags"]]
        created = {entry["name"]: entry["created"] for entry in entries if entry.get("created")}
        tags = tuple(entry["name"] for entry in entries)
        yield Case(file, str(test), case["name"], case, tags, case["expect"], case.get("current") or None, created)


def run(case: Case) -> Verdict:
    """Choose as the case says and compare; rules that cannot be read are an error that a case may expect."""
    expected: dict[str, Any] = {
        name: value or ({} if name == "rejected" else "") for name, value in case.expect.items()
    }
    actual = _outcome(case)
    passed = all(_agrees(name, value, actual.get(name)) for name, value in expected.items())
    return Verdict(case, passed, expected, actual)


def _agrees(name: str, expected: Any, actual: Any) -> bool:
    if name == "error":
        return actual is not None and expected in actual
    return bool(expected == actual)


def _outcome(case: Case) -> dict[str, Any]:
    try:
        rules = parse_rules(
            case.rules.get("policy"),
            filter_tags=case.rules.get("filterTags"),
            exclusion_list=case.rules.get("exclusionList"),
            allow_tags=case.rules.get("allowTags"),
            ignore_tags=case.rules.get("ignoreTags"),
        )
    except RulesError as error:
        return {"error": str(error)}
    created = (lambda tag: case.created.get(tag, "")) if case.created else None
    chosen = select(rules, case.tags, created=created, current=case.current)
    actual: dict[str, Any] = {"error": chosen.message} if chosen.tag is None else {"tag": chosen.tag}
    if "rejected" in case.expect:
        reasons = {tag: chosen.reason(tag) for tag in case.expect["rejected"] or {}}
        actual["rejected"] = {tag: reason.word if reason else "not listed" for tag, reason in reasons.items()}
    return actual


def in_words(outcome: Mapping[str, Any]) -> str:
    """Return an expectation or an outcome in one line.

    >>> in_words({"tag": "1.9.4", "rejected": {"2.0.0": "range"}})
    'tag 1.9.4, 2.0.0 range'
    """
    parts = [f"{name} {value}".rstrip() for name, value in outcome.items() if name != "rejected"]
    return ", ".join(parts + [f"{tag} {word}" for tag, word in outcome.get("rejected", {}).items()])
