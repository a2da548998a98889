"""`krmfn schema`: what it prints is JSON Schema, and decides as krmfn does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from krmfn import pipeline
from krmfn.config import schema
from krmfn.errors import KrmfnError
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit.text import Text
from tests.running import run, succeed

GOOD: dict[str, dict[str, Any]] = {
    "ImageAutomation": {
        "policies": [{"name": "web", "image": "ghcr.io/acme/web", "policy": {"semver": {"range": "1.x"}}}],
        "require": [{"images": ["ghcr.io/**"], "minimumReleaseAge": "3 days"}, {"minimumReleaseAge": {"major": "2w"}}],
        "mode": "check",
    },
    "TagSnapshot": {"image": "ghcr.io/acme/web", "tags": ["1.2.0", {"name": "1.3.1"}]},
    "ImageLock": {"images": [{"policy": "a:b", "image": "ghcr.io/acme/web", "tag": "1", "policyHash": "x"}]},
    "ImageHold": {"policy": "a:b", "not": "1.0.0", "until": "2026-12-01"},
    "PolicyTest": {"cases": [{"name": "one", "tags": ["1.0.0"], "expect": {"tag": "1.0.0"}}]},
}
BAD: dict[str, dict[str, Any]] = {
    "ImageAutomation": {"polices": []},
    "TagSnapshot": {"image": "ghcr.io/acme/web"},
    "ImageLock": {"images": [{"policy": "a:b"}]},
    "ImageHold": {"policy": "a:b", "skip": "1.0.0"},
    "PolicyTest": {"cases": [{"name": "one", "tags": "1.0.0", "expect": {}}]},
}


def document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": schema.API_VERSION, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def test_every_kind_has_cases():
    assert set(GOOD) == set(BAD) == set(schema.KINDS)


@pytest.mark.parametrize("kind", schema.KINDS)
def test_a_schema_is_valid_and_decides(kind: str):
    made = json.loads(succeed(["krmfn", "schema", kind]))
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.validate(document(kind, GOOD[kind]), made, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(kind, BAD[kind]), made, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("kind", schema.KINDS)
def test_the_schema_of_all_kinds_decides_too(kind: str):
    made = json.loads(succeed(["krmfn", "schema"]))
    jsonschema.Draft202012Validator.check_schema(made)
    jsonschema.validate(document(kind, GOOD[kind]), made, jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document(kind, BAD[kind]), made, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("kind", schema.KINDS)
def test_krmfn_itself_decides_alike(kind: str):
    assert list(schema.problems(kind, document(kind, GOOD[kind]))) == []
    assert list(schema.problems(kind, document(kind, BAD[kind]))) != []


def example(part: dict[str, Any]) -> Any:
    """Return a value with every field that a schema knows."""
    if "enum" in part:
        return part["enum"][0]
    choices = part.get("oneOf") or part.get("anyOf")
    if choices:
        return example(choices[0])
    if part.get("type") == "object":
        more = part.get("additionalProperties")
        return {name: example(one) for name, one in part.get("properties", {}).items()} or ({"k": example(more)} if isinstance(more, dict) else {})
    if part.get("type") == "array":
        return [example(part["items"])]
    return {"integer": 1, "boolean": True}.get(part.get("type", ""), "x")


def with_odd(value: Any, odd: Any) -> Iterator[Any]:
    """Yield a value with an odd one in one place, for every place."""
    yield odd
    if isinstance(value, dict):
        yield from ({**value, name: inner} for name, one in value.items() for inner in with_odd(one, odd))
    if isinstance(value, list):
        yield from ([inner] for one in value for inner in with_odd(one, odd))


@pytest.mark.parametrize("odd", [None, "x", 1, {}, {"a": {}}, [[]], [{"a": None}]], ids=repr)
@pytest.mark.parametrize("kind", sorted(set(schema.KINDS) - {"PolicyTest"}))
def test_whatever_stands_at_a_place_it_is_told_and_no_bug(kind: str, odd: Any):
    spec = example(json.loads(succeed(["krmfn", "schema", kind]))["properties"]["spec"])
    tried = 0
    for one in with_odd(spec, odd):
        for configured in ({"items": [document(kind, one)]}, {"items": [], "functionConfig": document(kind, one)}):
            data = json.dumps({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", **configured})
            with suppress(KrmfnError):
                pipeline.run(Text(data.encode()), lambda _: StaticTags({}))
            tried += 1
    assert tried > 10


def test_an_unknown_kind_gets_the_nearest():
    done = run(["krmfn", "schema", "imagelock"])
    assert done.returncode == 2
    assert "no such kind: imagelock; did you mean ImageLock?" in done.stderr
