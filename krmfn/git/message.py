"""Commit messages by Flux's templates and Flux's data (image-automation-controller internal/source `templateMsg`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from krmfn.diagnostics import misconfigured
from krmfn.errors import ConfigError
from krmfn.git import regexp_functions
from krmfn.git.names import text_problem
from krmfn.gotemplate.execution import render
from krmfn.gotemplate.functions import FUNCTIONS
from krmfn.gotemplate.parser import Template
from krmfn.gotemplate.values import Strings, TemplateError
from krmfn.model import PolicyKey, ResourceId

_SEE = "See: https://fluxcd.io/flux/components/image/imageupdateautomations/#message-template"


class ObjectIdentifier(NamedTuple):
    """Names the object that a field belongs to; the key of `.Changed.Objects`, ordered by its fields."""

    APIVersion: str
    Kind: str
    Name: str
    Namespace: str

    def go_string(self) -> str:
        """Return the text that Go prints for the nested struct."""
        return f"{{{{{{{self.APIVersion} {self.Kind}}} {{{self.Name} {self.Namespace}}}}}}}"


class Changed(NamedTuple):
    """One field that took a new value."""

    OldValue: str
    NewValue: str
    Setter: str


class NamespacedName(NamedTuple):
    """`.AutomationObject`."""

    Namespace: str
    Name: str

    def go_string(self) -> str:
        """Return the text of Go's String method."""
        return f"{self.Namespace}/{self.Name}"


class Update(NamedTuple):
    """`.Changed`: what changed, by file and object."""

    FileChanges: dict[str, dict[ObjectIdentifier, list[Changed]]]

    def go_methods(self) -> tuple[str, ...]:
        """Return the methods that templates may call."""
        return ("Changes", "Objects")

    def go_removed(self) -> dict[str, str]:
        """Return Flux's messages for removed fields, by name."""
        instead = "Please use '.Changed.FileChanges' or '.Changed.Objects' instead."
        return {"ImageResult": f"template uses removed '.Changed.ImageResult' field. {instead} {_SEE}"}

    def Changes(self) -> list[Changed]:  # noqa: N802 - Flux's name
        """Return every change once, in the order of files and objects; Flux's order is random."""
        ordered = (objects for _, objects in sorted(self.FileChanges.items()))
        return list(dict.fromkeys(change for objects in ordered for changes in objects.values() for change in changes))

    def Objects(self) -> dict[ObjectIdentifier, list[Changed]]:  # noqa: N802 - Flux's name
        """Return the changes by object, merged over the files."""
        merged: dict[ObjectIdentifier, list[Changed]] = {}
        for _, objects in sorted(self.FileChanges.items()):
            for name, changes in objects.items():
                merged.setdefault(name, []).extend(changes)
        return merged


class Data(NamedTuple):
    """What a template sees as `.`."""

    AutomationObject: NamespacedName
    Changed: Update
    Values: Strings

    def go_removed(self) -> dict[str, str]:
        """Return Flux's messages for removed fields, by name."""
        return {"Updated": f"template uses removed '.Updated' field. Please use '.Changed' instead. {_SEE}"}


class Edit(NamedTuple):
    """A change on its way into a message: file relative to `update.path`, object, values, setter."""

    file: str
    resource: ResourceId
    old: str
    new: str
    setter: str


def gather(edits: Iterable[Edit]) -> Update:
    """Return changes by file and object, as Flux's result holds them."""
    files: dict[str, dict[ObjectIdentifier, list[Changed]]] = {}
    for edit in edits:
        where = edit.resource
        name = ObjectIdentifier(where.api_version, where.kind, where.name, where.namespace)
        files.setdefault(edit.file, {}).setdefault(name, []).append(Changed(edit.old, edit.new, edit.setter))
    return Update(files)


def write(template: str, automation: PolicyKey, edits: Iterable[Edit], values: Mapping[str, str]) -> str:
    """Return the message that a template makes. Raise ConfigError with Flux's words and the place in the template."""
    data = Data(NamespacedName(automation.namespace, automation.name), gather(edits), Strings(values))
    text = _run(_parse(template), data)
    if problem := text_problem(text, lines=True):
        raise misconfigured(f"failed to run template from spec: the message {problem}")
    return text


def check(template: str) -> None:
    """Raise ConfigError for a template that cannot be parsed, or that uses fields which Flux has removed."""
    resource = ResourceId("apps/v1", "Deployment", "default", "web")
    sample = gather([Edit("web.yaml", resource, "web:1.0.0", "web:1.0.1", "default:web")])
    parsed = _parse(template)
    try:
        _run(parsed, Data(NamespacedName("default", "web"), sample, Strings()))
    except ConfigError as error:
        if "template uses removed" in str(error):
            raise


def _parse(template: str) -> Template:
    if problem := text_problem(template, lines=True):
        raise misconfigured(f"unable to create commit message template from spec: the template {problem}")
    try:
        return Template.parse(template)
    except TemplateError as error:
        raise misconfigured(f"unable to create commit message template from spec: {error}") from None


def _run(template: Template, data: Any) -> str:
    try:
        return render(template, data, {**FUNCTIONS, **regexp_functions.FUNCTIONS})
    except TemplateError as error:
        if "template uses removed" in error.message:
            raise misconfigured(error.message) from None
        raise misconfigured(f"failed to run template from spec: {error}") from None
    except RecursionError:
        raise misconfigured("failed to run template from spec: nested too deeply") from None
