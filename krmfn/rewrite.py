"""*rewrite*: targets and choices -> edits and results. Pure; here live digest reflection's state and the guard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from krmfn import selection
from krmfn.bind import Target
from krmfn.errors import RegistryError, RuleError
from krmfn.image import ImageRef, is_digest, is_tag
from krmfn.lock import Lock
from krmfn.model import Choice, Chosen, Field, ImagePolicy, NotChosen, Part, PolicyKey, Repository, Result, Severity
from krmfn.scalars import Refusal, render
from krmfn.settings import Settings
from krmfn.yamltext import Edit

Choices = Mapping[PolicyKey, Choice]
Question = tuple[Repository, str]
_MASKABLE = ("not-found", "denied", "rate-limited", "unavailable", "no-match")


class Change(NamedTuple):
    """One field that takes a new value."""

    target: Target
    value: str
    chosen: Chosen
    edit: Edit


@dataclass(frozen=True, slots=True)
class Changes:
    """What there is to write and to say. With an error among the results nothing may be written."""

    changes: tuple[Change, ...]
    results: tuple[Result, ...]


def to_pin(targets: Iterable[Target], choices: Choices, lock: Lock | None) -> list[Question]:
    """Answer the (repository, tag) pairs whose digest has to be asked for: one per chosen tag, none that is known."""
    asked: list[Question] = []
    targets = tuple(targets)
    state = pinned(targets, choices, lock)
    for target in targets:
        chosen = choices.get(target.setter.policy)
        if not isinstance(chosen, Chosen) or chosen.policy.digest_reflection == "Never" or chosen.digest:
            continue
        tag = _tag_for(target, chosen, targets)
        if tag and chosen.policy.key not in state:
            asked.append((chosen.policy.repository, tag))
    return list(dict.fromkeys(asked))


def pinned(targets: Iterable[Target], choices: Choices, lock: Lock | None) -> dict[PolicyKey, str]:
    """Answer the digests that `IfNotPresent` keeps: those that lock, status or manifests hold for the chosen tag.

    Flux keeps them in `status.latestRef`; manifests count when all of them agree.
    """
    targets = tuple(targets)
    found: dict[PolicyKey, str] = {}
    for key, chosen in choices.items():
        if isinstance(chosen, Chosen) and chosen.policy.digest_reflection == "IfNotPresent":
            digest = _recorded_digest(chosen, lock) or _deployed_digest(chosen, targets)
            if digest:
                found[key] = digest
    return found


def _recorded_digest(chosen: Chosen, lock: Lock | None) -> str | None:
    policy = chosen.policy
    entry = lock.entries.get(policy.key) if lock else None
    if entry and entry.tag == chosen.tag and _same(entry.image, policy):
        return entry.digest
    if policy.latest and policy.latest.tag == chosen.tag and _same(policy.latest.name, policy):
        return policy.latest.digest
    return None


def _same(name: str, policy: ImagePolicy) -> bool:
    try:
        return ImageRef.parse(name).canonical == policy.repository.image.canonical
    except RuleError:
        return False


def _deployed_digest(chosen: Chosen, targets: tuple[Target, ...]) -> str | None:
    mine = [target for target in targets if target.setter.policy == chosen.policy.key]
    tagged = {id(one.resource.block) for one in mine if one.setter.part is Part.TAG and one.scalar.value == chosen.tag}
    digests = set()
    for target in mine:
        if target.setter.part is Part.IMAGE:
            ref = _parsed(target.scalar.value)
            if (
                ref
                and ref.tag == chosen.tag
                and ref.digest
                and ref.canonical == chosen.policy.repository.image.canonical
            ):
                digests.add(ref.digest)
        elif (
            target.setter.part is Part.DIGEST and id(target.resource.block) in tagged and is_digest(target.scalar.value)
        ):
            digests.add(target.scalar.value)
    return digests.pop() if len(digests) == 1 else None


def _parsed(value: str) -> ImageRef | None:
    try:
        return ImageRef.parse(value)
    except RuleError:
        return None


def _current_tag(target: Target) -> str | None:
    """Answer the tag that a field holds now, when the field holds one."""
    if target.setter.part is Part.TAG:
        return target.scalar.value if is_tag(target.scalar.value) else None
    ref = _parsed(target.scalar.value) if target.setter.part is Part.IMAGE else None
    return ref.tag if ref else None


def _tag_for(target: Target, chosen: Chosen, targets: Sequence[Target]) -> str | None:
    """Answer the tag a field is to have. A digest policy keeps the deployed one; a lone digest looks at its neighbours."""
    if not chosen.policy.rules.pins_current:
        return chosen.tag
    if target.setter.part is Part.IMAGE:
        ref = _parsed(target.scalar.value)
        return (ref.tag or (None if ref.digest else "latest")) if ref else None
    near = (
        _current_tag(one)
        for one in targets
        if one.setter.policy == target.setter.policy and one.resource.block is target.resource.block
    )
    return next((tag for tag in near if tag), None)


def rewrite(
    targets: Sequence[Target],
    choices: Choices,
    digests: Mapping[Question, str | RegistryError],
    settings: Settings,
    lock: Lock | None = None,
) -> Changes:
    """Compute every edit, and a result for every change and for every field that stays although it should not."""
    writer = _Writer(targets, choices, digests, settings, pinned(targets, choices, lock))
    for target in targets:
        writer.write(target)
    return Changes(tuple(writer.changes), tuple(writer.results))


class _Writer:
    def __init__(
        self,
        targets: Sequence[Target],
        choices: Choices,
        digests: Mapping[Question, str | RegistryError],
        settings: Settings,
        state: Mapping[PolicyKey, str],
    ) -> None:
        self.targets, self.choices, self.digests, self.settings, self.state = targets, choices, digests, settings, state
        self.changes: list[Change] = []
        self.results: list[Result] = []
        self.verdicts: dict[tuple[PolicyKey, str], bool] = {}
        self.held = self._held()

    def _held(self) -> frozenset[tuple[int, PolicyKey]]:
        """Find the (block, policy) pairs that the guard keeps: a field holds a newer tag that the policy accepts."""
        if self.settings.on_downgrade == "allow":
            return frozenset()
        found = set()
        for target in self.targets:
            chosen = self.choices.get(target.setter.policy)
            if (
                isinstance(chosen, Chosen)
                and not chosen.policy.rules.pins_current
                and self._is_downgrade(target, chosen)
            ):
                found.add((id(target.resource.block), target.setter.policy))
        return frozenset(found)

    def _is_downgrade(self, target: Target, chosen: Chosen) -> bool:
        tag = _current_tag(target)
        if tag is None or tag == chosen.tag:
            return False
        if target.setter.part is Part.IMAGE:
            ref = _parsed(target.scalar.value)
            if ref is None or ref.canonical != chosen.policy.repository.image.canonical:
                return False
        known = self.verdicts.get((chosen.policy.key, tag))
        if known is None:
            rules = chosen.policy.rules
            known = selection.accepts(rules, tag) and selection.outranks(rules, tag, chosen.tag)
            self.verdicts[chosen.policy.key, tag] = known
        return known

    def write(self, target: Target) -> None:
        """Decide about one field."""
        choice = self.choices.get(target.setter.policy)
        if choice is None:
            return
        if isinstance(choice, NotChosen):
            self._not_chosen(target, choice)
        elif (id(target.resource.block), target.setter.policy) in self.held:
            self._guarded(target, choice)
        else:
            self._write(target, choice)

    def _not_chosen(self, target: Target, choice: NotChosen) -> None:
        is_kept = self.settings.on_error == "keep" and choice.failure in _MASKABLE
        message = f"policy {choice.policy.key}: {choice.message}"
        self._say(
            "warning" if is_kept else "error", message + ("; kept as it is" if is_kept else ""), target, choice.policy
        )

    def _guarded(self, target: Target, chosen: Chosen) -> None:
        tag = _current_tag(target)
        if tag is None or not self._is_downgrade(target, chosen):
            return
        severity: Severity = "error" if self.settings.on_downgrade == "fail" else "warning"
        image = chosen.policy.repository.image.name
        message = (
            f"{image}: kept {tag}: the policy accepts it and it is newer than {chosen.tag}, the best of the {chosen.listed} tags "
            f"that were listed, so the list is incomplete (an outage, or {tag} was deleted); to move to {chosen.tag}, "
            "narrow the policy or set onDowngrade: allow"
        )
        self._say(severity, message, target, chosen.policy)

    def _write(self, target: Target, chosen: Chosen) -> None:
        made = self._with_digest(target, chosen)
        if not isinstance(made, Chosen):
            self._not_chosen(target, made)
            return
        value = _value(target, made)
        if value is None:
            message = f"policy {made.policy.key} has no digest for a :digest field: set digestReflectionPolicy to Always or IfNotPresent"
            self._say("error", message, target, made.policy)
        elif value != target.scalar.value or target.scalar.is_null:
            edit = render(target.resource.block.text, target.scalar, value)
            if isinstance(edit, Refusal):
                self._say("error", f"cannot write {value}: {edit.why}", target, made.policy)
            else:
                self.changes.append(Change(target, value, made, edit))

    def _with_digest(self, target: Target, chosen: Chosen) -> Chosen | NotChosen:
        policy = chosen.policy
        tag = _tag_for(target, chosen, self.targets)
        if tag is None:
            return NotChosen(
                policy, "no-tag", f"{target.scalar.path}: no tag is deployed here whose digest could be pinned"
            )
        if policy.digest_reflection == "Never" or chosen.digest:
            return replace(chosen, tag=tag) if chosen.tag != tag else chosen
        known = self.state.get(policy.key) or self.digests.get((policy.repository, tag))
        if isinstance(known, RegistryError):
            return NotChosen(
                policy, known.failure, f"failed fetching digest of {policy.repository.image.name}:{tag}: {known}"
            )
        return replace(chosen, tag=tag, digest=known)

    def _say(self, severity: Severity, message: str, target: Target, policy: ImagePolicy) -> None:
        where = Field(target.scalar.path, target.scalar.value)
        tags = (("policy", str(policy.key)),)
        resource = target.resource
        self.results.append(Result(severity, message, resource.id, where, resource.place(target.scalar.start), tags))


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
