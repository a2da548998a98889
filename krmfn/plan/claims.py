"""What bindings claim: the targets that they name, and what there is to say of fields and policies on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from krmfn.config.objects import Hints
from krmfn.model import Diagnostic, Field, Location
from krmfn.plan.target import FORMS, meant

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.kubernetes.resource import Resource
    from krmfn.model import PolicyKey, Severity
    from krmfn.plan.target import Setter, Target
    from krmfn.yamledit.text import Scalar


class Claims:
    """Collects targets, problems, and the policies that some field is bound to; one instance serves one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.targets: list[Target] = []
        self.results: list[Diagnostic] = []
        self.policies: set[PolicyKey] = set()
        self.hints = Hints()

    def claim(self, targets: dict[int, Target], target: Target) -> None:
        """Take a target of a block; two policies for one field are an error that names both."""
        other = targets.setdefault(target.scalar.start, target)
        if other.setter != target.setter:
            message = f"two policies for one field: {other.how} says {other.setter}, {target.how} says {target.setter}; keep one of them"
            self.say("error", "two-policies", message, target.resource, target.scalar)

    def say(
        self, severity: Severity, code: str, message: str, resource: Resource, scalar: Scalar | None = None
    ) -> None:
        """Report something of a resource, or of one of its fields."""
        place = resource.place(scalar.start) if scalar else resource.file
        where = Field(scalar.path, scalar.value) if scalar else None
        self.results.append(Diagnostic(severity, code, message, Location(resource.id, where, place)))

    def is_known(
        self, setter: Setter | None, text: str, how: str, binding: str, resource: Resource, scalar: Scalar | None
    ) -> bool:
        """True if a setter names a policy that this binding may use; why not is reported. `how` names the place."""
        if setter is None:
            message = f"{how} {text!r} names no policy: expected {FORMS}{meant(text, self.config.declared, self.hints)}"
            self.say("warning", "bad-setter", message, resource, scalar)
        elif setter.policy in self.config.policies:
            if binding in self.config.policies[setter.policy].bind:
                return True
            message = f"{how} names policy {setter.policy}, whose bind leaves {binding} out"
            self.say("warning", "left-out", message, resource, scalar)
        elif setter.policy in self.config.unresolved:
            severity: Severity = "error" if self.config.settings.on_error == "fail" else "warning"
            self.policies.add(setter.policy)
            message = f"policy {setter.policy}: {self.config.unresolved[setter.policy].why}"
            self.say(severity, "dangling-policy", message, resource, scalar)
        elif setter.policy not in self.config.declared:
            message = f"{how} names policy {setter.policy}, which is not configured{meant(str(setter.policy), self.config.declared, self.hints)}"
            self.say("warning", "unknown-policy", message, resource, scalar)
        return False
