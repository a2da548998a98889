"""*lint*: what in manifests does nothing, or not what it seems to, told without asking any registry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from krmfn.choosing import selection
from krmfn.configuration.config import Config
from krmfn.errors import RuleError
from krmfn.image import ImageRef, is_digest, is_tag
from krmfn.inventory.files import Skipped
from krmfn.model import ImagePolicy, Part, ResourceId, Result
from krmfn.resources.resource import describe
from krmfn.steps import bind, foresight
from krmfn.steps.target import Target
from krmfn.steps.unbound import is_of, unbound
from krmfn.text import markers, screen
from krmfn.text.yamltext import Block

CODES = {
    "bad-annotation": "the annotation krmfn.dev/images is no JSON object, or a path in it is no JSONPath",
    "bad-config": "a policy, repository or setting is wrong; krmfn update would refuse it too",
    "bad-setter": "a marker or annotation has not the form namespace:name, or its suffix is not tag, name or digest",
    "bad-target": "a target of an ImageAutomation cannot be looked for in a resource that it selects",
    "dangling-policy": "a field names a policy whose ImageRepository is missing or may not be read",
    "doubtful": "the key image is given twice in one mapping, and readers differ on which one counts",
    "foreign-value": "the policy of this field could not have produced the value that it holds",
    "idle-annotation": "the annotation krmfn.dev/images names a container or a path that is not there",
    "idle-target": "a target of an ImageAutomation binds no field",
    "ignored-marker": "a marker stands where Flux does not read it",
    "left-out": "a marker or annotation names a policy whose bind leaves this way of binding out",
    "no-digest": "a :digest marker names a policy that does not reflect digests",
    "no-scalar": "a binding leads to a mapping or a list",
    "not-read": "a file with markers is not read, by krmfn or by Flux",
    "two-policies": "two bindings want different values for one field",
    "unbound-policy": "no field is bound to a policy",
    "unknown-policy": "a marker or annotation names a policy that is not configured",
}
"""Every code and what it means; docs/lint.md tells more."""


class Finding(NamedTuple):
    """One thing to look at. Line and column count from one; zero is unknown."""

    path: str
    line: int
    column: int
    code: str
    message: str


def lint(blocks: Sequence[Block], config: Config, skipped: Iterable[Skipped] = ()) -> tuple[Finding, ...]:
    """Find everything, in the order of files and lines."""
    bound = bind.bind(blocks, config, foresight.expected(config, {}))
    found = [*_results([*bound.results, *unbound(config, bound, blocks)], blocks), *_ignored(blocks), *_unread(skipped)]
    for target in bound.targets:
        policy = config.policies[target.setter.policy]
        if problem := _digest(target, policy) or _value(target, policy):
            found.append(_at(target, *problem))
    return tuple(sorted(dict.fromkeys(found)))


def misconfigured(problems: Iterable[str], blocks: Sequence[Block]) -> tuple[Finding, ...]:
    """Turn problems of the configuration into findings, at the place or the resource that each of them names first."""
    places = _places(blocks)
    names = {block.text.name for block in blocks}
    return (*(_misconfigured(problem, places, names) for problem in problems), *_ignored(blocks))


def _misconfigured(problem: str, places: Mapping[ResourceId, tuple[str, int, int]], names: Collection[str]) -> Finding:
    for name in names:
        line, colon, rest = problem.removeprefix(f"{name}:").partition(": ")
        if problem.startswith(f"{name}:") and colon:
            row, _, column = line.partition(":")
            return Finding(
                name, int(row) if row.isdecimal() else 1, int(column) if column.isdecimal() else 1, "bad-config", rest
            )
    place = next((where for name, where in places.items() if problem.startswith(f"{name}: ")), ("", 0, 0))
    return Finding(*place, "bad-config", problem)


def _places(blocks: Sequence[Block]) -> dict[ResourceId, tuple[str, int, int]]:
    """Say where every resource starts; the first of a name counts."""
    found: dict[ResourceId, tuple[str, int, int]] = {}
    for block in blocks:
        for resource in describe(block):
            start = block.span(resource.root)[0]
            found.setdefault(resource.id, (block.text.name, *block.text.locate(start)))
    return found


def _results(results: Iterable[Result], blocks: Sequence[Block]) -> Iterator[Finding]:
    """Take over what binding has to say; what concerns no file stands at the resource that it is about."""
    places = _places(blocks)
    for result in results:
        place = places.get(result.resource, ("", 0, 0)) if result.resource else ("", 0, 0)
        if result.file and (result.file.line or not place[1]):
            place = (result.file.path, result.file.line, result.file.column)
        yield Finding(*place, dict(result.tags)["code"], result.message)


def _ignored(blocks: Iterable[Block]) -> Iterator[Finding]:
    for block in blocks:
        if screen.may_hold_marker(block.raw) and block.root is not None:
            for one in markers.ignored(block):
                place = block.text.locate(one.start)
                yield Finding(
                    block.text.name, *place, "ignored-marker", f"marker {one.setter!r} is not read: {one.why}"
                )
        if b"policy" in block.raw.lower() and block.root is not None:
            for one in markers.lookalikes(block):
                place = block.text.locate(one.start)
                yield Finding(block.text.name, *place, "ignored-marker", f"{one.setter} is not read: {one.why}")


def _unread(skipped: Iterable[Skipped]) -> Iterator[Finding]:
    return (
        Finding(one.path, 0, 0, "not-read", one.message.removeprefix(f"{one.path} ")) for one in skipped if one.matters
    )


def _at(target: Target, code: str, message: str) -> Finding:
    line, column = target.resource.block.text.locate(target.scalar.start)
    return Finding(target.resource.block.text.name, line, column, code, message)


def _digest(target: Target, policy: ImagePolicy) -> tuple[str, str] | None:
    if target.setter.part is not Part.DIGEST or policy.digest_reflection != "Never":
        return None
    return "no-digest", f"policy {policy.key} reflects no digest: set digestReflectionPolicy to Always or IfNotPresent"


def _value(target: Target, policy: ImagePolicy) -> tuple[str, str] | None:
    """Say why the policy could not have produced the value of a field."""
    value = target.scalar.value
    checks = {Part.TAG: _tag, Part.NAME: _name, Part.DIGEST: _sha, Part.IMAGE: _image}
    why = checks[target.setter.part](value, policy)
    return ("foreign-value", f"policy {policy.key} could not have produced {value!r}: {why}") if why else None


def _tag(value: str, policy: ImagePolicy) -> str:
    if not is_tag(value):
        return "it is no tag"
    is_right = policy.rules.pins_current or selection.accepts(policy.rules, value)
    return "" if is_right else f"the policy ({policy.described}) does not accept the tag"


def _name(value: str, policy: ImagePolicy) -> str:
    return "" if is_of(value, policy) else f"the policy is about {policy.repository.image.name}"


def _sha(value: str, _policy: ImagePolicy) -> str:
    return "" if is_digest(value) else "it is no digest"


def _image(value: str, policy: ImagePolicy) -> str:
    try:
        ref = ImageRef.parse(value)
    except RuleError:
        return "it is no image reference"
    if ref.canonical != policy.repository.image.canonical:
        return f"the policy is about {policy.repository.image.name}"
    if ref.tag is None:
        return "" if policy.rules.pins_current else "it has no tag"
    return _tag(ref.tag, policy)
