"""What Flux's controllers would report of their objects: conditions, messages, columns. Pure.

Words and tables are those of image-reflector-controller, image-automation-controller and `flux get image`
(flux2 cmd/flux/get_image_*.go, pkg/printers/table_printer.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.config.objects import Object, mapping, text
from krmfn.errors import RegistryError
from krmfn.image import version_suffix
from krmfn.model import Chosen, LatestRef, NotChosen
from krmfn.policies.pattern import Pattern
from krmfn.policies.rules import DEFAULT_EXCLUSIONS

if TYPE_CHECKING:
    from krmfn.access import Listing
    from krmfn.plan.records import Judgement

WAITING = "waiting to be reconciled"
_SHOWN_TAGS = 10


class Ready(NamedTuple):
    """The Ready condition: `status` is True, False or Unknown."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Standing:
    """One object and what is known of it; `more` are the other fields of its status."""

    object: Object
    ready: Ready
    more: Mapping[str, Any] = field(default_factory=dict)
    is_unknown: bool = False
    """True when a registry could not be asked, so that nobody knows how the object stands."""
    cause: RegistryError | None = None
    """What the registry failed with."""

    @property
    def namespace(self) -> str:
        """The object's namespace; `default` when it names none."""
        return self.object.id.namespace or "default"

    @property
    def is_suspended(self) -> bool:
        """True when `spec.suspend` is set."""
        return text(self.object.spec.get("suspend")) == "true"

    def status(self, now: str) -> dict[str, Any]:
        """Return the object's `status`, with its conditions as they are at the time `now` (RFC 3339)."""
        condition = {
            "lastTransitionTime": now, "message": self.ready.message, "reason": self.ready.reason,
            "status": self.ready.status, "type": "Ready",
        }  # fmt: skip
        return {**self.more, "conditions": [condition]}


def scanned(tags: Iterable[str], exclusion_list: Sequence[str]) -> list[str]:
    """Return the tags that a scan stores: what no pattern excludes, in descending order of the bytes."""
    tags = list(tags)
    for pattern in exclusion_list or DEFAULT_EXCLUSIONS:
        matched = Pattern.parse(pattern).matches(tags)
        tags = [tag for tag, hit in zip(tags, matched, strict=True) if not hit]
    return sorted(tags, reverse=True)


def revision(tags: Sequence[str]) -> str:
    """Return the checksum of a scan: Adler-32, in decimal, of the JSON list of the stored tags.

    >>> revision(["b", "a"])
    '183370288'
    """
    import json
    import zlib

    return str(zlib.adler32(json.dumps(list(tags), separators=(",", ":")).encode()))


def repository(
    resource: Object, canonical: str, listing: Listing | RegistryError, exclusion_list: Sequence[str], now: str
) -> Standing:
    """Report an ImageRepository after a scan at the time `now` (RFC 3339)."""
    if isinstance(listing, RegistryError):
        reason = "AuthenticationFailed" if listing.failure == "denied" else "ReadOperationFailed"
        ready = Ready("False", reason, f"scan failed: {listing}")
        return Standing(resource, ready, {"canonicalImageName": canonical}, is_unknown=True, cause=listing)
    tags = scanned(listing.tags, exclusion_list)
    checksum = revision(tags)
    result = {"latestTags": tags[:_SHOWN_TAGS], "revision": checksum, "scanTime": now, "tagCount": len(tags)}
    message = f"successful scan: found {len(tags)} tags with checksum {checksum}"
    more = {
        "canonicalImageName": canonical, "lastScanResult": result,
        "observedExclusionList": list(exclusion_list or DEFAULT_EXCLUSIONS),
    }  # fmt: skip
    return Standing(resource, Ready("True", "Succeeded", message), more)


def policy(resource: Object, choice: Chosen | NotChosen) -> Standing:
    """Report an ImagePolicy; what its status held before becomes `observedPreviousRef`."""
    before = mapping(resource.data.get("status"))
    if isinstance(choice, NotChosen):
        reason = "InvalidPolicy" if choice.failure in ("no-match", "policy") else "Failure"
        reason = "DependencyNotReady" if choice.failure == "dependency" else reason
        ready, kept = Ready("False", reason, choice.message), _kept(before, "latestRef", "observedPreviousRef")
        return Standing(resource, ready, kept, is_unknown=reason == "Failure", cause=choice.cause)
    latest = LatestRef(choice.policy.repository.image.name, choice.tag, choice.digest)
    known, previous = _ref(before.get("latestRef")), _ref(before.get("observedPreviousRef"))
    if known is not None and known != latest:
        previous = known
    more = {"latestRef": _data(latest)} | ({"observedPreviousRef": _data(previous)} if previous else {})
    return Standing(resource, Ready("True", "Succeeded", ready_message(latest, previous)), more)


def passed(standing: Standing, judged: Judgement) -> Standing:
    """Add to a policy what may not run yet, and what may."""
    may = f"{judged.runs} may run" if judged.runs else "nothing moves"
    message = f"{standing.ready.message}; krmfn: {judged.passed_over[0]}; {may}"
    return replace(standing, ready=standing.ready._replace(message=message))


def _kept(before: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: before[name] for name in names if name in before}


def _ref(data: Any) -> LatestRef | None:
    ref = mapping(data)
    if not text(ref.get("name")) or not text(ref.get("tag")):
        return None
    return LatestRef(text(ref["name"]), text(ref["tag"]), text(ref.get("digest")) or None)


def _data(ref: LatestRef) -> dict[str, str]:
    return {"name": ref.name, "tag": ref.tag} | ({"digest": ref.digest} if ref.digest else {})


def ready_message(latest: LatestRef, previous: LatestRef | None) -> str:
    """Return what a policy resolved to, as Flux does (composeImagePolicyReadyMessage).

    >>> ready_message(LatestRef("foo/bar", "1.1.0"), LatestRef("foo/bar", "1.0.0"))
    'Latest image tag for foo/bar resolved to 1.1.0 (previously foo/bar:1.0.0)'
    """
    message = f"Latest image tag for {latest.name} resolved to {latest.tag}"
    message += f" with digest {latest.digest}" if latest.digest else ""
    if previous is None or previous == latest:
        return message
    return f"{message} (previously {previous.name}{version_suffix(previous.tag, previous.digest)})"


def automation(resource: Object, pending: int | str) -> Standing:
    """Report an ImageUpdateAutomation whose manifests wait for `pending` changes; text says why none can be made."""
    kept = _kept(mapping(resource.data.get("status")), "lastAutomationRunTime", "lastPushCommit", "lastPushTime")
    if isinstance(pending, str):
        return Standing(resource, Ready("False", "UpdateFailed", pending), kept)
    if not pending:
        return Standing(resource, Ready("True", "Succeeded", "repository up-to-date"), kept)
    waiting = f"{pending} field{'s wait' if pending != 1 else ' waits'} for an update"
    return Standing(resource, Ready("False", "UpdatePending", waiting), kept)


def unready(resource: Object, reason: str, message: str) -> Standing:
    """Report an object that cannot be worked with."""
    return Standing(resource, Ready("False", reason, message))


COLUMNS = {
    "ImageRepository": ("NAME", "LAST SCAN", "SUSPENDED", "READY", "MESSAGE"),
    "ImagePolicy": ("NAME", "IMAGE", "TAG", "READY", "MESSAGE"),
    "ImageUpdateAutomation": ("NAME", "LAST RUN", "SUSPENDED", "READY", "MESSAGE"),
}
"""The columns that `flux get image` prints, by kind."""


def cells(standing: Standing, name: str) -> tuple[str, ...]:
    """Return the cells of an object's row; `name` may carry the kind in front."""
    ready, kind = standing.ready, standing.object.id.kind
    if kind == "ImagePolicy":
        ref = mapping(standing.more.get("latestRef"))
        return name, text(ref.get("name")), text(ref.get("tag")), ready.status, ready.message
    scan = text(mapping(standing.more.get("lastScanResult")).get("scanTime"))
    last = scan if kind == "ImageRepository" else text(standing.more.get("lastAutomationRunTime"))
    return name, last, str(standing.is_suspended), ready.status, ready.message


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Write a table as flux prints it: padded cells between tabs; a tab ends a row, a space the header.

    >>> table(("NAME", "READY"), [("web", "True")])
    'NAME\tREADY \nweb \tTrue \t\n'
    """
    lines = [*([header] if header else []), *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))] if lines else []
    padded = ["\t".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "".join(line + (" \n" if header and index == 0 else "\t\n") for index, line in enumerate(padded))
