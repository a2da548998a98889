"""What `check` found, for programs: as data, and as diagnostics, one for each place and thing to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from krmfn.inventory.signed import UNJUDGED, Subject
from krmfn.kubernetes.places import COUNTS, RANGE, VARIABLE, Place
from krmfn.model import Diagnostic, Field, Location, Severity
from krmfn.policies.explain import passed_over

if TYPE_CHECKING:
    from krmfn.commands.judging import Verdict


def found(verdicts: Iterable[Verdict]) -> Iterator[Diagnostic]:
    """Yield what is to be done about images, or to be known: in all their places that count."""
    for verdict in verdicts:
        for severity, code, message in _told(verdict):
            for place in verdict.places:
                if place.state == COUNTS or (code == "cluster-chooses" and place.state in (RANGE, VARIABLE)):
                    yield Diagnostic(severity, code, message, _location(place), policy=verdict.fate.policy, cause=verdict.error)


def _told(verdict: Verdict) -> Iterator[tuple[Severity, str, str]]:
    ref, fate = verdict.ref, verdict.fate
    name = f"{ref.name}:{ref.tag}" if ref.tag else f"{ref.name}@{str(ref.digest)[:19]}" if ref.digest else ref.name
    if verdict.error:
        yield "warning", "unknown", f"{name}: {verdict.error.message}"
    if verdict.is_digest_gone:
        yield "warning", "digest-gone", f"{name}: the registry does not hold the pinned digest {str(ref.digest)[:19]} any more"
    if verdict.is_gone:
        yield "warning", "not-listed", f"{name}: the registry does not list this tag any more"
    if verdict.has_drifted:
        yield "warning", "drifted", f"{name}: the tag points to another digest today, {str(verdict.now)[:19]}"
    if verdict.is_unjudged:
        yield "info", "cluster-chooses", f"{ref.name} must be signed; {UNJUDGED}"
    for finding in verdict.signed.findings()[:1] if verdict.signed else ():
        yield "warning", finding.code, finding.message
    beyond = f"; {verdict.beyond} lies beyond the bound" if verdict.beyond else ""
    if verdict.has_update:
        yield "info", "updatable", f"{name}: {'a digest can pin it' if fate.pins else f'can move to {fate.tag}'}{beyond}"
    elif verdict.beyond:
        kept = f" ({fate.kept})" if fate.kept else ""
        yield "info", "beyond", f"{name}: {verdict.beyond} lies beyond the bound{kept}"


def _location(place: Place) -> Location:
    return Location(place.resource.id, Field(place.field, place.text), place.file)


def as_data(verdicts: Sequence[Verdict], left: Sequence[Place]) -> dict[str, object]:
    """Return what was found as plain data, for JSON; `left` are places that name no image that can be asked about."""
    return {
        "images": [_plain(verdict) for verdict in verdicts],
        "leftAlone": [{"text": place.text, **_plain_place(place)} for place in left],
    }


def _plain_place(place: Place) -> dict[str, object]:
    file = place.file
    fields: dict[str, object] = {
        "path": file.path, "line": file.line, "column": file.column, "field": place.field,
        "resource": str(place.resource.id), "form": place.form, "sure": place.is_sure, "state": place.state,
    }  # fmt: skip
    return fields | ({"why": place.why} if place.why else {}) | ({"overriddenBy": place.by} if place.by else {})


def _signed(one: Subject) -> dict[str, str]:
    """Return the state of a required signature: `passed`, `missing`, `invalid` or `unavailable`, by whom, or why not."""
    fields = {"outcome": one.state, "by": one.signers, "why": one.why, "digest": one.digest}
    return {name: value for name, value in fields.items() if value} if one.state != "not required" else {}


def _plain(verdict: Verdict) -> dict[str, object]:
    ref = verdict.ref
    fields: dict[str, object] = {
        "image": ref.name,
        "repository": ref.canonical if verdict.places[0].state != VARIABLE else ref.name,
        "tag": ref.tag,
        "digest": ref.digest,
        "states": list(verdict.states),
        "inside": verdict.fate.tag,
        "sameMajor": verdict.newer.same_major,
        "newest": verdict.newer.newest,
        "listed": verdict.listed,
        "places": [_plain_place(place) for place in verdict.places],
    }  # fmt: skip
    policy, error = verdict.fate.policy, verdict.error
    more = {
        "digestNow": verdict.now, "policy": policy and str(policy), "error": error and str(error),
        "signed": verdict.signed and _signed(verdict.signed), "constraint": verdict.places[0].constraint, "passedOver": passed_over(verdict.fate.passed_over),
    }  # fmt: skip
    return fields | {name: value for name, value in more.items() if value}
