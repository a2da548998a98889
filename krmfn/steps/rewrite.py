"""*rewrite*: targets, choices and digests -> edits, and a result for every field that stays although it should not. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.configuration.settings import Settings
from krmfn.errors import RegistryError
from krmfn.frozen import frozen, replace
from krmfn.image import ImageRef
from krmfn.model import (
    Choice,
    Chosen,
    Diagnostic,
    Field,
    Following,
    ImagePolicy,
    Location,
    NotChosen,
    Part,
    PolicyKey,
    Severity,
)
from krmfn.steps.deployed import Deployed, place
from krmfn.steps.target import Target
from krmfn.steps.verdict import Change, Guarded, Pins
from krmfn.text.scalars import Refusal, reads_as_text, render

_MASKABLE = ("not-found", "denied", "rate-limited", "unavailable", "no-match")


@frozen
class Changes:
    """What there is to write and to say. With an error among the results nothing may be written."""

    changes: tuple[Change, ...]
    results: tuple[Diagnostic, ...]


def rewrite(
    deployed: Deployed, choices: Mapping[PolicyKey, Choice], pins: Pins, guarded: Guarded, settings: Settings
) -> Changes:
    """Compute every edit, and a result for every change and for every field that stays although it should not."""
    writer = _Writer(deployed, choices, pins, settings)
    for target in deployed.targets:
        if target.setter.policy not in guarded.policies and place(target) not in guarded.places:
            writer.write(target)
    return Changes(tuple(writer.changes), (*pins.results, *guarded.results, *writer.results))


class _Writer:
    def __init__(self, deployed: Deployed, choices: Mapping[PolicyKey, Choice], pins: Pins, settings: Settings) -> None:
        self.deployed, self.choices, self.pins, self.settings = deployed, choices, pins, settings
        self.changes: list[Change] = []
        self.results: list[Diagnostic] = []

    def write(self, target: Target) -> None:
        """Decide about one field."""
        choice = self.choices.get(target.setter.policy)
        if isinstance(choice, Following):
            choice = self._following(target, choice)
        if choice is None:
            return
        made = choice if isinstance(choice, NotChosen) else self._whole(target, choice)
        if isinstance(made, NotChosen):
            self._not_chosen(target, made)
        elif made is not None:
            self._write(target, made)

    def _not_chosen(self, target: Target, choice: NotChosen) -> None:
        is_kept = self.settings.on_error == "keep" and choice.failure in _MASKABLE
        message = f"policy {choice.policy.key}: {choice.message}"
        self._say(
            "warning" if is_kept else "error", message + ("; kept as it is" if is_kept else ""), target, choice.policy
        )

    def _following(self, target: Target, following: Following) -> Chosen | NotChosen | None:
        """Return the choice for the tag that a field holds; None when the field is right as it is."""
        policy, part = following.policy, target.setter.part
        if self.deployed.is_pinned_alone(target) or (policy.rules.pins_current and part is Part.TAG):
            return None
        tag = self.deployed.tag(target)
        if part is Part.NAME:
            return Chosen(policy, tag or "", 0, 0)
        if tag is None:
            aim = "whose digest could be pinned" if policy.rules.pins_current else "to move on from"
            return NotChosen(policy, "no-tag", f"{target.scalar.path}: no tag is deployed here {aim}")
        choice = following.choices.get(tag)
        is_kept = isinstance(choice, Chosen) and choice.stays and policy.digest_reflection == "Never"
        return None if is_kept else choice

    def _whole(self, target: Target, chosen: Chosen) -> Chosen | NotChosen | None:
        """Complete a choice by tag and digest for this field; None when the field is right as it is."""
        policy, tag = chosen.policy, chosen.tag
        if target.setter.part is Part.NAME or policy.digest_reflection == "Never":
            return chosen
        digest = self.pins.digests.get((policy.key, tag))
        if digest is None and policy.rules.pins_current and chosen.record:
            return self._unlocked(target, chosen, tag)
        if isinstance(digest, RegistryError):
            message = f"failed fetching digest of {policy.repository.image.name}:{tag}: {digest}"
            return NotChosen(policy, digest.failure, message)
        return replace(chosen, digest=digest)

    def _unlocked(self, target: Target, chosen: Chosen, tag: str) -> NotChosen | None:
        """Frozen, and the lock knows nothing of this tag: a field that is pinned already stays, any other is an error."""
        if any(one is target for one, _ in self.deployed.pinned(chosen.policy, tag)):
            return None
        message = f"the lock has no entry of tag {tag} for this policy: run krmfn fetch on the package to add it"
        return NotChosen(chosen.policy, "lock", message)

    def _write(self, target: Target, made: Chosen) -> None:
        value = _value(target, made)
        if value is None:
            message = f"policy {made.policy.key} has no digest for a :digest field: set digestReflectionPolicy to Always or IfNotPresent"
            self._say("error", message, target, made.policy)
        elif value != target.scalar.value or not reads_as_text(target.scalar):
            edit = render(target.resource.block.text, target.scalar, value)
            if isinstance(edit, Refusal):
                self._say("error", f"cannot write {value}: {edit.why}", target, made.policy)
            else:
                self.changes.append(Change(target, value, made, edit))

    def _say(self, severity: Severity, message: str, target: Target, policy: ImagePolicy) -> None:
        where = Field(target.scalar.path, target.scalar.value)
        location = Location(target.resource.id, where, target.resource.place(target.scalar.start))
        self.results.append(Diagnostic(severity, "not-written", message, location, policy=policy.key))


def _value(target: Target, chosen: Chosen) -> str | None:
    """Answer the text that the field is to hold; None when it wants a digest and there is none."""
    part = target.setter.part
    if part is Part.TAG:
        return chosen.tag
    if part is Part.NAME:
        return chosen.policy.repository.image.name
    if part is Part.DIGEST:
        return chosen.digest
    if target.how != "image":
        return chosen.ref
    return _respelled(target.scalar.value, chosen)


def _respelled(current: str, chosen: Chosen) -> str:
    """Write the choice with the repository as the field spells it; a pin of the very tag stays."""
    ref = ImageRef.parse(current)
    if ref.tag == chosen.tag and ref.digest and not chosen.digest:
        return current
    return str(replace(ref, tag=chosen.tag, digest=chosen.digest))
