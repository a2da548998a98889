"""Requirements: what a tag must meet, besides its policy, before it may run. `spec.require` of an ImageAutomation.

Entries that match a policy add up: all of them hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from krmfn.config.objects import Object, Problems, listing, mapping
from krmfn.image import normal_platform
from krmfn.model import ResourceId
from krmfn.policies.newer import Shape
from krmfn.policies.number import duration

if TYPE_CHECKING:
    from krmfn.signatures.wanted import Wanted

STEPS = ("major", "minor", "patch")
DIGEST = "digest"
"""The step of a tag that stays, and whose digest moves."""
_CONDITIONS = ("minimumReleaseAge", "platforms", "pullable", "verify", "provenance")


class Age(NamedTuple):
    """How many seconds ago a tag must have been seen for the first time, by the step from the deployed one."""

    default: int = 0
    steps: tuple[tuple[str, int], ...] = ()
    by_created: bool = False
    """Where nobody saw the tag for the first time, the `created` of its image counts, which whoever pushes it chooses."""

    def of(self, step: str) -> int:
        """Return the seconds for a step; for a step that is unknown (empty) the strictest of all."""
        known = dict(self.steps)
        return known.get(step, self.default) if step else max((self.default, *known.values()))


class Requirement(NamedTuple):
    """One entry of `require`."""

    images: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    age: Age | None = None
    platforms: tuple[str, ...] = ()
    pullable: bool = False
    verify: Wanted | None = None
    on_unverified: Literal["next", "keep", "fail"] = "next"
    """What follows when the best tag is not signed as it must be: the next best, nothing at all, an error."""
    allow_tag_only: bool = False
    """Fields that cannot hold the digest that was verified take the tag alone."""
    tells_time: bool = True
    """The time of a signature that it takes is evidence of age; of those of the tree it is none, where rules come from outside."""
    defined: ResourceId = ResourceId()
    """The OCIRepository that requires it; nothing for an entry of `require`."""


def step(current: str, candidate: str) -> str:
    """Return the first number that differs between two tags, as `major`, `minor`, `patch`; empty when none can be told.

    >>> step("1.2.3", "1.3.0"), step("v1", "v2"), step("1.2.3.4", "1.2.3.5"), step("main", "1.0.0"), step("1.0.0-rc.1", "1.0.0")
    ('minor', 'major', 'patch', '', '')
    """
    before, after = Shape.parse(current), Shape.parse(candidate)
    if before is None or after is None or before.numbers == after.numbers:
        return ""
    pairs = zip(before.numbers, after.numbers, strict=False)
    place = next((index for index, (old, new) in enumerate(pairs) if old != new), None)
    return STEPS[min(min(len(before.numbers), len(after.numbers)) if place is None else place, 2)]


def read_requirements(
    where: ResourceId, entries: Sequence[Any], problems: Problems, objects: Sequence[Object], rule_file: Callable[[str], bytes]
) -> tuple[Requirement, ...]:
    """Read `spec.require`, checked against its schema before; what is no duration or asks for nothing is a problem.

    The Secrets with keys are looked for among `objects`; `rule_file` reads a file that a rule names.
    """
    requirements = []
    for index, entry in enumerate(map(mapping, entries)):
        path = f"spec.require[{index}]"
        age_spec, is_pullable = entry.get("minimumReleaseAge"), entry.get("pullable") == "true"
        platforms = _platforms(where, f"{path}.platforms", listing(entry.get("platforms")), problems)
        if not any(entry.get(name) not in (None, "false", []) for name in _CONDITIONS):
            message = "nothing is required: write minimumReleaseAge: 3 days, platforms: [linux/amd64], pullable: true or verify"
            problems.add(where, path, message)
            continue
        age = None if age_spec is None else _age(where, f"{path}.minimumReleaseAge", age_spec, problems)
        images, policies = tuple(listing(entry.get("images"))), tuple(listing(entry.get("policies")))
        wanted = None
        if entry.get("verify") or entry.get("provenance"):
            from krmfn.config.trust import read_verify  # few lists hold one

            wanted = read_verify(where, path, entry, objects, problems, rule_file)
        requirements.append(
            Requirement(
                images, policies, age, platforms, is_pullable, wanted,
                entry.get("onUnverified") or "next", entry.get("allowTagOnly") == "true",
            )
        )  # fmt: skip
    return tuple(requirements)


def _platforms(where: ResourceId, path: str, texts: Sequence[str], problems: Problems) -> tuple[str, ...]:
    platforms = []
    for index, text in enumerate(texts):
        platform = normal_platform(text)
        if platform is None:
            problems.add(where, f"{path}[{index}]", f"expected os/architecture such as linux/arm64 or linux/arm/v7, found {text!r}")
        else:
            platforms.append(platform)
    return tuple(platforms)


def needed_platforms(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    """Return every platform that any of them asks for, sorted."""
    return tuple(sorted({platform for one in requirements for platform in one.platforms}))


def _age(where: ResourceId, path: str, spec: str | Mapping[str, str], problems: Problems) -> Age:
    members = {"default": spec} if isinstance(spec, str) else spec
    read: dict[str, int] = {}
    for name, value in members.items():
        if name == "evidence":
            continue
        seconds = duration(value)
        if seconds is None:
            at = path if isinstance(spec, str) else f"{path}.{name}"
            problems.add(where, at, f"expected a duration such as 3 days, 36 hours or 2w, found {value!r}")
        else:
            read[name] = seconds
    return Age(read.pop("default", 0), tuple(sorted(read.items())), members.get("evidence") == "created")


def rules_hash(requirements: Iterable[Requirement]) -> str:
    """Return the rulesHash of locks: 16 hex digits over what is required; empty when nothing is.

    Which globs matched, the order of the entries and their repeats make no difference.
    """
    import hashlib
    import json

    every = tuple(requirements)
    ages = sorted({(one.age.default, one.age.steps, one.age.by_created) for one in every if one.age})
    data: list[object] = [[*age[:2], *(["created"] if age[2] else [])] for age in ages]
    platforms = needed_platforms(every)
    data += [["platforms", *platforms]] if platforms else []
    data += ["pullable"] if any(one.pullable for one in every) else []
    data += sorted(["verify", *sorted(one.verify.fingerprints), one.verify.builder, one.verify.source] for one in every if one.verify)
    return hashlib.sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()[:16] if data else ""
