"""Diagnostics for people and programs: text, JSON, SARIF, JUnit, annotations of GitHub's workflows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote
from xml.etree import ElementTree as ET

import click

from krmfn import __version__, terminal
from krmfn.diagnostics import CODES
from krmfn.errors import PASSING, RegistryError, RegistryFailure
from krmfn.model import Diagnostic, File
from krmfn.sanitize import as_utf8, inert, printable

if TYPE_CHECKING:
    from krmfn.yamledit.text import Text

Row = TypeVar("Row")
HOST_WIDE: tuple[RegistryFailure, ...] = (*PASSING, "denied")
"""Failures that repositories of one host share as a rule."""
_NAMED = 3
_STAYS = {
    "not-written": "; {} fields stay as they are",
    "pin-kept": "; {} pinned fields stay as they are",
    "choice": "; what was recorded decided {} times",
    "recorded-digest": "; {} recorded digests stay",
    "not-chosen": "; {} entries stay",
}
"""What follows for how many, by code of a warning."""
_HELP = "https://github.com/krmfn/krmfn/blob/main/docs/lint.md"
CHECK_HELP = "https://github.com/krmfn/krmfn/blob/main/docs/commands.md"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
"""SARIF's word for a severity."""
_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
"""GitHub's workflow command for a severity."""


def line(one: Diagnostic) -> str:
    """Return `severity: place: message`: the file where it is known, else the resource."""
    file, resource = one.location.file, one.location.resource
    # A policy of `--within` is defined in no resource.
    place = one.location.in_file if file else str(resource) if resource and any(resource) else ""
    if one.is_about_text:
        place, message = "", str(one)
    else:
        message = one.message
    advice = f"; {one.help}" if one.help else ""
    return f"{one.severity}: {printable(f'{place}: {message}' if place else message, 2000)}{printable(advice, 1000)}"


def tell(one: Diagnostic, more: str = "") -> None:
    """Print a diagnostic to stderr, and more behind it; `-q` leaves out all but errors."""
    if one.severity == "error" or not terminal.is_quiet():
        terminal.tell(f"krmfn: {line(one)}{more}", err=True)


def tell_all(diagnostics: Iterable[Diagnostic]) -> None:
    """Print every problem once: what repositories of one host or source have in common as one line, else the first of its places."""
    alike: dict[tuple[object, ...], list[Diagnostic]] = {}
    for one in diagnostics:
        # Configuration that is wrong in two places is two problems; what fails for a policy is one problem.
        own = str(one.location) if one.is_about_text else str(one.policy)
        key: tuple[object, ...] = (one.severity, one.code, one.message, own)
        if one.cause is not None and (one.cause.common or one.cause.failure in HOST_WIDE):
            key = (one.severity, *shared_by(one.cause), _STAYS.get(one.code))
        alike.setdefault(key, []).append(one)
    for first, *others in alike.values():
        causes = [one.cause for one in (first, *others) if one.cause]
        if len({cause.repository for cause in causes}) > 1:
            stays = _STAYS.get(first.code, "") if first.severity == "warning" else ""
            terminal.say(f"{in_one_line(causes)}{stays.format(len(others) + 1)}", first.severity)
            continue
        more = f" (and in {len(others)} more place{'s' * (len(others) != 1)})" if others else ""
        tell(first, more)


def shared_by(error: RegistryError) -> tuple[str, str]:
    """Return what failures have in common that are told once: the source's word, or the host where its repositories share the failure."""
    if error.common:
        return (error.common, error.failure)
    return (error.host, error.failure) if error.failure in HOST_WIDE else (error.repository, str(error))


def alike(rows: Iterable[Row], error_of: Callable[[Row], RegistryError | None]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows that failed, by what their failures have in common."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if (error := error_of(row)) is not None:
            groups.setdefault(shared_by(error), []).append(row)
    return groups


def in_one_line(errors: Iterable[RegistryError]) -> str:
    """Return why a host or source did not answer; for several repositories how many they are, and the first of them."""
    cause, *_ = errors = list(errors)
    repositories = list(dict.fromkeys(error.repository for error in errors))
    if len(repositories) == 1:
        return str(cause)
    head, of = ("", "") if cause.common else (f"{cause.host}/", f" of {cause.host}")
    names = [name.removeprefix(head) for name in repositories[:_NAMED]]
    more = ", ..." if len(repositories) > _NAMED else ""
    return f"{cause.common or cause.message} ({len(repositories)} repositories{of}: {', '.join(names)}{more})"


def plain(one: Diagnostic) -> dict[str, Any]:
    """Return the plain data of a diagnostic, for JSON; what is unknown is left out."""
    resource, field, file = one.location
    data: dict[str, Any] = {"severity": one.severity, "code": one.code, "message": one.message}
    if one.help:
        data["help"] = one.help
    if resource:
        data["resource"] = dict(zip(("apiVersion", "kind", "namespace", "name"), resource, strict=True))
    if file:
        data["file"] = {"path": file.path, "line": file.line, "column": file.column}
    if field:
        data["field"] = {"path": field.path, "currentValue": field.current, "proposedValue": field.proposed}
    tags = ({"policy": str(one.policy)} if one.policy else {}) | ({"eligibleAt": one.eligible_at} if one.eligible_at else {})
    return data | ({"tags": tags} if tags else {})


def finding(one: Diagnostic) -> str:
    """Return `path:line:column code message`, the form that linters share and editors read."""
    place = _place(one)
    where = f"{place.path}:{place.line}:{place.column}" if place.line else place.path or "-"
    return f"{printable(where, 1000)} {one.code} {printable(_message(one), 2000)}"


def to_json(data: Any) -> str:
    """Return JSON as every verb prints it: indented, keys in the order given."""
    text = as_utf8(json.dumps(data, indent=2, ensure_ascii=False))
    lines = text.split("\n")
    return inert("\n".join(line if line.isprintable() else "".join(map(_printable, line)) for line in lines), r"\u00")


def _printable(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]


def findings_json(findings: Iterable[Diagnostic]) -> str:
    """Return a JSON list: path, line and column on top, then what every diagnostic has."""
    return to_json(
        [
            {"path": place.path, "line": place.line, "column": place.column, **plain(one), "message": _message(one)}
            for one in findings
            for place in (_place(one),)
        ]
    )


def sarif(findings: Sequence[Diagnostic], codes: Mapping[str, str], page: str = _HELP) -> str:
    """Return SARIF 2.1.0 (OASIS), as code scanning reads it. `codes` are the rules that were looked for, told on a page."""
    more = {one.code: CODES[one.code] for one in findings if one.code not in codes}
    rules = [
        {"id": code, "shortDescription": {"text": meaning}, "helpUri": f"{page}#{code}"}
        for code, meaning in {**codes, **more}.items()
    ]
    driver = {"name": "krmfn", "version": __version__, "informationUri": _HELP, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": [_sarif(one) for one in findings]}
    return to_json({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _sarif(one: Diagnostic) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ruleId": one.code, "level": _LEVELS[one.severity], "message": {"text": _message(one)},
    }  # fmt: skip
    place = _place(one)
    if place.path:
        physical: dict[str, Any] = {"artifactLocation": {"uri": quote(_from_here(place.path), errors="surrogateescape")}}
        if place.line:
            physical["region"] = {"startLine": place.line, "startColumn": max(place.column, 1)}
        entry["locations"] = [{"physicalLocation": physical}]
    return entry


def junit(findings: Sequence[Diagnostic], files: Iterable[str]) -> str:
    """Return JUnit XML: a test case for each file, which fails with its findings."""
    paths = list(dict.fromkeys([*files, *(_place(one).path for one in findings)]))
    failed = {_place(one).path for one in findings}
    suite = ET.Element("testsuite", name="krmfn lint", tests=str(len(paths)), failures=str(len(failed)), errors="0")
    for path in paths:
        case = ET.SubElement(suite, "testcase", classname="krmfn.lint", name=printable(path or "-", 1000))
        lines = [
            f"{place.line}:{place.column} {one.code} {printable(_message(one), 2000)}"
            for one in findings
            for place in (_place(one),)
            if place.path == path
        ]
        if lines:
            failure = ET.SubElement(case, "failure", message=f"{len(lines)} finding{'s' * (len(lines) != 1)}")
            failure.text = "\n".join(lines)
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def github(one: Diagnostic) -> str:
    """Return a workflow command, `::error file=...,line=...::message`, in which nothing foreign can start another."""
    place = _place(one)
    properties = {"file": place.path and _from_here(place.path), "line": place.line or "", "col": place.column or "", "title": f"krmfn {one.code}"}
    shown = ",".join(f"{key}={_escaped(inert(printable(str(value), 1000)), ':,')}" for key, value in properties.items() if value)
    return f"::{_COMMANDS[one.severity]} {shown}::{_escaped(inert(printable(_message(one), 2000)))}"


def annotate(findings: Iterable[Diagnostic]) -> None:
    """Print the workflow commands that annotate what was found: the one thing printed that a CI system is to act upon."""
    for one in findings:
        click.echo(github(one))


def summarise(markdown: str) -> None:
    """Add to the summary of a GitHub workflow's job, where there is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123 - a descriptor, no path
            file.write(f"{markdown}\n")
    except OSError as error:
        error.filename = path
        raise


def print_diff(written: Mapping[Text, bytes]) -> None:
    """Print unified diffs of the texts that change."""
    terminal.echo("".join(_diffs(written)), nl=False)


def _diffs(written: Mapping[Text, bytes]) -> Iterator[str]:
    """Yield unified diffs of the texts that change, with everything escaped that a terminal or a log would act upon."""
    from difflib import unified_diff

    for text, data in written.items():
        old, new = (one.decode("utf-8", "replace").split("\n") for one in (text.data, data))
        name = printable(text.name, len(text.name))
        head = list(unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}"))
        for line in head:
            body = line.rstrip("\n")
            shown = "\t".join(printable(part, len(part)) for part in body.removesuffix("\r").split("\t"))
            yield f"{shown}{chr(13) * body.endswith(chr(13))}\n"
            if not line.endswith("\n"):
                yield "\\ No newline at end of file\n"


def _lines(parts: Sequence[str]) -> list[str]:
    """Return lines with their ends, cut at line feeds alone."""
    return [f"{line}\n" for line in parts[:-1]] + [line for line in parts[-1:] if line]


def _from_here(path: str) -> str:
    """Return a path as seen from the working folder, which is the repository's top in CI; one outside stays as it is."""
    return os.path.relpath(path) if Path(path).absolute().is_relative_to(Path.cwd()) else path


def _escaped(text: str, more: str = "") -> str:
    for char in f"%\r\n{more}":
        text = text.replace(char, f"%{ord(char):02X}")
    return text


def _place(one: Diagnostic) -> File:
    return one.location.file or File("")


def _message(one: Diagnostic) -> str:
    message = one.described if one.is_about_text else one.message
    return f"{message}; {one.help}" if one.help else message
