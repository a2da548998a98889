"""*rewrite*: targets, choices and digests -> edits, and a result for every field that stays although it should not. Pure."""

from __future__ import annotations

from krmfn.errors import RegistryError
from krmfn.kubernetes.form import Form, holds_version
from krmfn.model import (
    Choice,
    Choices,
    Chosen,
    Diagnostic,
    ImagePolicy,
    NotChosen,
    Part,
    Severity,
)
from krmfn.plan.current import Deployed, place
from krmfn.plan.records import Change, Guarded, Judged, Pins, Place
from krmfn.yamledit.scalars import Refusal, reads_as_text, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.settings import Settings
    from krmfn.plan.target import Target

_FETCH = "run krmfn fetch on the package to add it"
# What may be better at the next run; a failure of any other kind has to be seen.
_MASKABLE = ("not-found", "denied", "rate-limited", "unavailable", "no-match")


def rewrite(
    deployed: Deployed, judged: Judged, pins: Pins, guarded: Guarded, settings: Settings
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """Return every change, and what there is to say of fields that stay although they should not: with an error nothing may be written.

    Fields of policies whose windows are closed stay, and nothing is said of them.
    """
    writer = _Writer(deployed, judged.choices, pins, settings)
    places = guarded.places | pins.held
    for target in deployed.targets:
        key = target.setter.policy
        is_still = key in judged.still and not isinstance(judged.choices.get((key, "")), NotChosen)
        if key not in guarded.policies and not is_still and place(target) not in places:
            writer.write(target)
    changes = tuple(change for change in writer.changes if place(change.target) not in writer.refused)
    return changes, (*pins.results, *guarded.results, *writer.results)


class _Writer:
    def __init__(self, deployed: Deployed, choices: Choices, pins: Pins, settings: Settings) -> None:
        self.deployed, self.choices, self.pins, self.settings = deployed, choices, pins, settings
        self.changes: list[Change] = []
        self.results: list[Diagnostic] = []
        self.tag_only = {id(one) for one in deployed.tag_only()}
        self.refused: set[Place] = set()
        """Places with a field that cannot be edited: what moves together stays together."""

    def write(self, target: Target) -> None:
        """Decide about one field."""
        key, part = target.setter
        policy, choice = self.deployed.policies[key], self.choices.get((key, ""))
        if choice is None and policy.rules.follows_current:
            if part is Part.NAME:
                self._write_name(target, policy)
                return
            choice = self._following(target, policy)
        if choice is None or target.how == "stray":
            if isinstance(choice, Chosen) and choice.tag != target.tag:
                self._refuse(f"cannot write {choice.tag}: {_stray(target)}", target, choice.policy)
            return
        whole = choice if isinstance(choice, NotChosen) else self._whole(target, choice)
        if isinstance(whole, NotChosen):
            by = f"policy {key}: " if whole.policy.defined.kind else ""
            self._stay(f"{by}{whole.message}", target, whole.policy, whole.cause, is_maskable=whole.failure in _MASKABLE)
        elif whole is not None:
            self._write(target, whole)

    def _following(self, target: Target, policy: ImagePolicy) -> Choice | None:
        """Return the choice for the tag that a field holds; None when the field is right as it is."""
        part = target.setter.part
        is_lone_tag = part in (Part.TAG, Part.VERSION) and not self._is_pinned(target, policy)
        if self.deployed.is_pinned_alone(target) or (policy.rules.pins_current and is_lone_tag):
            return None
        tag = self.deployed.tag(target)
        if tag is None:
            aim = "whose digest could be pinned" if policy.rules.pins_current else "to move on from"
            return NotChosen(policy, "no-tag", f"{target.scalar.path}: no tag is deployed here {aim}")
        choice = self.choices.get((policy.key, tag))
        is_kept = isinstance(choice, Chosen) and choice.stays and policy.digest_reflection == "Never"
        return None if is_kept else choice

    def _is_pinned(self, target: Target, policy: ImagePolicy) -> bool:
        form = target.form(policy)
        return self.settings.keep_pins and form is not None and bool(form.digest)

    def _whole(self, target: Target, chosen: Chosen) -> Choice | None:
        """Complete a choice by tag and digest for this field; None when the field is right as it is."""
        policy, part, tag = chosen.policy, target.setter.part, chosen.tag
        is_pinned = self._is_pinned(target, policy)
        if part is Part.NAME:
            return chosen
        if policy.is_verified:
            return self._verified(target, chosen)
        if not (is_pinned or (policy.reflects and part not in (Part.TAG, Part.VERSION))):
            return chosen._replace(digest=None)
        if not policy.reflects and self.deployed.is_pinned_to(target, policy, tag):
            return None
        digest = self.pins.digests.get((policy.key, tag))
        if isinstance(digest, RegistryError):
            message = f"failed fetching digest of {policy.repository.image.name}:{tag}: {digest}"
            return NotChosen(policy, digest.failure, message, cause=digest)
        is_unlocked = policy.rules.pins_current and bool(chosen.record)  # frozen, and the lock knows nothing of this tag
        if digest is None and (is_unlocked or not policy.reflects or (is_pinned and policy.rules.followed)):
            if self.deployed.is_pinned_to(target, policy, tag):
                return None
            pinned = f"this field is pinned, and {chosen.record or 'the lock'} holds no digest of tag {tag}: {_FETCH}"
            return NotChosen(policy, "lock", f"the lock has no entry of tag {tag} for this policy: {_FETCH}" if is_unlocked else pinned)
        return chosen._replace(digest=digest)

    def _verified(self, target: Target, chosen: Chosen) -> Choice | None:
        """Return a choice with the digest that was verified: that is what is written, whatever the tag says tomorrow."""
        policy = chosen.policy
        digest = chosen.digest or (self.pins.digests.get((policy.key, chosen.tag)) if chosen.record else None)
        if not isinstance(digest, str):
            if self.deployed.tag(target) == chosen.tag:
                return None  # what is deployed stays as it is
            message = f"{chosen.record or 'the choice'} holds no digest of tag {chosen.tag} that was verified: {_FETCH}"
            return NotChosen(policy, "lock", message)
        if id(target) in self.tag_only and chosen.tag != self.deployed.tag(target):
            message = f"this field takes a tag alone, so the digest that was verified ({digest[:19]}) is lost; allowTagOnly permits that"
            self._say("warning", message, target, policy)
        return chosen._replace(digest=None) if self.deployed.takes_tag_alone(target) else chosen._replace(digest=digest)

    def _write(self, target: Target, chosen: Chosen) -> None:
        form = target.form(chosen.policy)
        if form is None:
            self._refuse(f"cannot write {chosen.tag}: {_unknown(target)}", target, chosen.policy)
        elif target.setter.part is Part.VERSION and not holds_version(chosen.tag):
            self._refuse(f"cannot write {chosen.tag}: it holds no version such as 1.2.0", target, chosen.policy)
        elif target.setter.part is Part.DIGEST and chosen.digest is None:
            message = f"policy {chosen.policy.key} has no digest for a :digest field: set digestReflectionPolicy to Always or IfNotPresent"
            self._say("error", message, target, chosen.policy)
        else:
            value = form.write(target.setter.part, _name(target, form, chosen.policy), chosen.tag, chosen.digest)
            self._edit(target, value, chosen.policy, chosen)

    def _write_name(self, target: Target, policy: ImagePolicy) -> None:
        """Write the repository of a policy that follows what is deployed: whatever tag that is, the name is known."""
        form = target.form(policy)
        name = policy.repository.image.name
        if form is None:
            self._refuse(f"cannot write {name}: {_unknown(target)}", target, policy)
        elif not self.deployed.is_pinned_alone(target):
            self._edit(target, form.write(Part.NAME, _name(target, form, policy), "", None), policy)

    def _edit(self, target: Target, value: str, policy: ImagePolicy, chosen: Chosen | None = None) -> None:
        if target.scalar.style in ("|", ">"):  # there a form keeps the line break at the end, which is none of the value
            value = value.strip()
        if value == target.scalar.value and reads_as_text(target.scalar):
            return
        edit = render(target.resource.block.text, target.scalar, value)
        if isinstance(edit, Refusal):
            self.refused.add(place(target))
            self._say("warning", f"cannot write {value}: {edit.why}; kept as it is", target, policy)
        else:
            self.changes.append(Change(target, value, policy, chosen, edit))

    def _refuse(self, message: str, target: Target, policy: ImagePolicy) -> None:
        """Leave a field, and what moves with it."""
        self.refused.add(place(target))
        self._stay(message, target, policy)

    def _stay(
        self, message: str, target: Target, policy: ImagePolicy, cause: RegistryError | None = None, *, is_maskable: bool = True
    ) -> None:
        """Report why a field stays: an error, unless the run is to go on."""
        if is_maskable and (policy.on_error or self.settings.on_error) == "keep":
            self._say("warning", f"{message}; kept as it is", target, policy, cause)
        else:
            self._say("error", message, target, policy, cause)

    def _say(
        self, severity: Severity, message: str, target: Target, policy: ImagePolicy, cause: RegistryError | None = None
    ) -> None:
        self.results.append(Diagnostic(severity, "not-written", message, target.location, policy=policy.key, cause=cause))


def _name(target: Target, form: Form, policy: ImagePolicy) -> str:
    """Return the policy's repository as the field is to spell it.

    An image that is bound by its name, or that stands inside other text, keeps the spelling of its repository.
    """
    image = policy.repository.image
    is_own = form.canonical == image.canonical
    return form.name if is_own and (target.how == "image" or form.is_embedded) else image.name


def _unknown(target: Target) -> str:
    """Return that a field has no form in which the choice could be written with nothing lost, and what to do."""
    part = target.setter.part
    others = ", ".join(f":{one.value}" for one in Part if one.value and one is not part)
    known = {
        Part.IMAGE: "an image such as name:tag, --flag=name:tag or docker://name:tag",
        Part.TAG: "a tag such as 1.2.0, 1.2.0@sha256:... or --flag=1.2.0",
        Part.NAME: "a repository such as ghcr.io/acme/web or oci://ghcr.io/acme/web",
        Part.DIGEST: "a digest such as sha256:...",
        Part.VERSION: "a version such as 1.2.0 or v1.2.0+1",
    }[part]
    return (
        f"the field holds {target.scalar.value[:120]!r}, which would be lost; expected {known}; write it so (or leave it empty), "
        f"bind another part ({others}{', or the whole image' if part is not Part.IMAGE else ''}), or remove the binding"
    )


def _stray(target: Target) -> str:
    """Return that a digest stands beside the tag in a form that is not known, and what to do."""
    return (
        f"this digest pins {target.tag or 'the image'} beside it, in no form that is known (repository, tag, digest; name, newTag, digest), "
        f"so it cannot move along; bind it too, as {target.setter}, or remove it"
    )
