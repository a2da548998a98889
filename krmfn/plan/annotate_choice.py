"""*record*: changes -> annotations on the resources that changed, which say what runs there (`update.annotate`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from krmfn.kubernetes.resource import Resource, Steps, get
from krmfn.model import Chosen, Diagnostic, Location
from krmfn.policies.pattern import Template
from krmfn.yamledit.editor import Editor
from krmfn.yamledit.scalars import Refusal

if TYPE_CHECKING:
    from krmfn.plan.records import Change
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Edit, Text

TAG, BUILD = "fluxcd.io/tag.", "fluxcd.io/build.number"
_LONGEST = 63
"""How long the name of an annotation may be behind its prefix (Kubernetes, annotations: syntax and character set)."""


def record(changes: Iterable[Change]) -> tuple[tuple[tuple[Text, Edit], ...], tuple[Diagnostic, ...]]:
    """Set `fluxcd.io/tag.<image>` and, where the policy's pattern has a group `build`, `fluxcd.io/build.number`.

    Returned are the edits, each with the text it belongs to, and what could not be recorded. Only what is a Kubernetes object of its own is annotated: no values file, no patch without kind, no kustomization.
    Metadata is never invented: a resource without any is a result.
    """
    edits: list[tuple[Text, Edit]] = []
    results: list[Diagnostic] = []
    for resource, own in _by_resource(changes):
        insertions = _edits(resource, own)
        if isinstance(insertions, Refusal):
            message = f"the choice is not recorded in the annotations: {insertions.why}"
            results.append(Diagnostic("warning", "not-recorded", message, Location(resource.id, file=resource.file)))
        else:
            edits += ((resource.block.text, edit) for edit in insertions)
        resource.block.forget()
    return tuple(edits), tuple(results)


def _by_resource(changes: Iterable[Change]) -> Iterable[tuple[Resource, list[Change]]]:
    by_resource: dict[tuple[Block, Steps], tuple[Resource, list[Change]]] = {}
    for change in changes:
        resource = change.target.resource
        is_object = bool(resource.id.api_version and resource.id.kind)
        if change.chosen and is_object and not resource.id.api_version.startswith("kustomize.config.k8s.io/"):
            by_resource.setdefault((resource.block, resource.prefix), (resource, []))[1].append(change)
    return by_resource.values()


def _edits(resource: Resource, changes: list[Change]) -> tuple[Edit, ...] | Refusal:
    if get(resource.root, "metadata") is None:  # may be a tool's file, whose reader knows no metadata
        return Refusal("the resource has no metadata to hold them")
    wanted: dict[str, str] = {}
    for chosen in (change.chosen for change in changes if change.chosen):
        wanted |= {name: value for name, value in _said(chosen).items() if name not in wanted}
    if not wanted:
        return Refusal(f"an annotation's name has at most {_LONGEST} characters")
    insertions = Editor(resource.block).set_keys(resource.root, ("metadata", "annotations"), wanted)
    if isinstance(insertions, Refusal):
        return insertions
    # Both would be written: the annotation as a record here, and as a bound field by its own change.
    taken = [change.edit for change in changes]
    if any(edit.start < one.end and one.start < edit.end for edit in insertions for one in taken):
        return Refusal("a policy is bound to that very annotation")
    return insertions


def _said(chosen: Chosen) -> Mapping[str, str]:
    """Return the annotations that one choice makes: its tag, or its digest when the policy pins what is deployed."""
    image = chosen.policy.repository.image.path.rpartition("/")[2]
    rules = chosen.policy.rules
    value = (chosen.digest if rules.pins_current else None) or chosen.tag
    annotations = {f"{TAG}{image}": value} if len(f"tag.{image}") <= _LONGEST else {}
    match = rules.filter.pattern.search(chosen.tag) if rules.filter else None
    build = Template.parse("$build").expand(match) if match else ""
    return annotations | ({BUILD: build} if build else {})
