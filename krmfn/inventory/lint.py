"""*lint*: what in manifests does nothing, or not what it seems to, told without asking any registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from krmfn.config import fleet
from krmfn.kubernetes.resource import describe
from krmfn.model import Diagnostic, Field, File, ImagePolicy, Location, Part, ResourceId
from krmfn.plan import bind
from krmfn.plan.unbound import unbound
from krmfn.policies import selection
from krmfn.yamledit import markers, prefilter

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.inventory.survey import Skipped
    from krmfn.plan.target import Target
    from krmfn.yamledit.nodes import Block


def lint(blocks: Sequence[Block], config: Config, skipped: Iterable[Skipped] = ()) -> tuple[Diagnostic, ...]:
    """Return everything there is to look at, in the order of files and lines."""
    bound = bind.bind(blocks, config)
    diagnostics = [*bound.results, *unbound(config, bound, blocks), *_unanchored(config)]
    findings = [*_located(diagnostics, blocks), *_ignored(blocks), *(one.diagnostic for one in skipped if one.matters)]
    for target in bound.targets:
        policy = config.policies[target.setter.policy]
        if problem := _problem(target, policy):
            findings.append(_finding(target.resource.block, target.scalar.start, *problem))
    return tuple(sorted(dict.fromkeys(findings), key=in_files))


def misconfigured(problems: Iterable[Diagnostic], blocks: Sequence[Block]) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the configuration, and what can be told without any."""
    return (*(problem._replace(severity="warning") for problem in problems), *_ignored(blocks))


def in_files(one: Diagnostic) -> tuple[str, int, int, str, str]:
    """Return what findings are sorted by: file, line, column, code."""
    file = one.location.file or File("")
    return file.path, file.line, file.column, one.code, one.message


def _starts(blocks: Sequence[Block]) -> dict[ResourceId, File]:
    """Return where every resource starts; the first of a name counts."""
    starts: dict[ResourceId, File] = {}
    for block in blocks:
        for resource in describe(block):
            place = resource.place(block.span(resource.root)[0])
            if place:
                starts.setdefault(resource.id, place)
        if b"imageScans" in block.raw:
            for identity, offset in fleet.starts(block):
                starts.setdefault(identity, File(block.text.name, block.index, *block.text.locate(offset)))
    return starts


def _located(diagnostics: Iterable[Diagnostic], blocks: Sequence[Block]) -> Iterator[Diagnostic]:
    """Yield what binding has to tell; what concerns no line stands where its resource starts."""
    starts = _starts(blocks)
    for one in diagnostics:
        resource, field, file = one.location
        start = starts.get(resource) if resource else None
        yield one if file and (file.line or not start) else one._replace(location=Location(resource, field, start))


def _ignored(blocks: Iterable[Block]) -> Iterator[Diagnostic]:
    for block in blocks:
        if prefilter.may_hold_marker(block.raw) and block.root is not None:
            for one in markers.ignored(block):
                yield _finding(block, one.start, "ignored-marker", f"marker {one.setter!r} is not read: {one.why}")
        if markers.may_look_alike(block.raw) and block.root is not None:
            for one in markers.lookalikes(block):
                yield _finding(block, one.start, "ignored-marker", f"{one.setter} is not read: {one.why}")


def _unanchored(config: Config) -> Iterator[Diagnostic]:
    """Yield the OCIRepository objects that count and take signers of other names than they seem to."""
    for one in config.rulebook.requirements:
        for identity in one.verify.identities if one.verify else ():
            if identity.loose:
                message = f"{identity.loose} may stand anywhere in the name of a signer, here {identity}: write ^ before and $ behind each pattern"
                yield Diagnostic("warning", "unanchored", message, Location(one.defined, Field("spec.verify")))


def _finding(block: Block, offset: int, code: str, message: str) -> Diagnostic:
    place = File(block.text.name, block.index, *block.text.locate(offset))
    return Diagnostic("warning", code, message, Location(file=place))


def _problem(target: Target, policy: ImagePolicy) -> tuple[str, str] | None:
    """Return code and message of what is wrong with a field that a policy binds, or with the policy for it."""
    form = target.form(policy)
    if target.setter.part is Part.DIGEST and not (policy.reflects or (form and form.digest)):
        return "no-digest", f"policy {policy.key} reflects no digest: set digestReflectionPolicy to Always or IfNotPresent"
    why = _why_foreign(target, policy)
    message = f"policy {policy.key} could not have produced {target.scalar.value!r}: {why}"
    return ("foreign-value", message) if why else None


def _why_foreign(target: Target, policy: ImagePolicy) -> str:
    part, form = target.setter.part, target.form(policy)
    if target.how == "stray":
        return "it pins the tag beside it in no form that is known, so neither can move"
    if form is None:
        known = {Part.TAG: "tag", Part.NAME: "repository", Part.DIGEST: "digest", Part.IMAGE: "image reference", Part.VERSION: "version"}
        return f"it is no {known[part]}"
    if part is Part.DIGEST:
        return "" if form.digest else "it is no digest"
    if part is Part.VERSION:
        return ""
    if form.canonical != policy.repository.image.canonical and part is not Part.TAG:
        return f"the policy is about {policy.repository.image.name}"
    if part is Part.NAME:
        return ""
    if not form.tag:
        return "" if policy.rules.pins_current else "it has no tag"
    is_right = policy.rules.pins_current or selection.accepts(policy.rules, form.tag)
    return "" if is_right else f"the policy ({policy.rules.described}) does not accept the tag"
