"""`krmfn lint`: what in manifests does nothing, or not what it seems to. Nothing is asked of any registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from krmfn import __version__
from krmfn.commands import options
from krmfn.configuration.config import load
from krmfn.errors import ConfigError
from krmfn.foreign import printable
from krmfn.inventory import files
from krmfn.inventory.lint import CODES, Finding, lint, misconfigured

_HELP = "https://github.com/krmfn/krmfn/blob/main/docs/lint.md"


@click.command(
    epilog=options.examples(
        "krmfn lint .                       # path:line:column code message",
        "krmfn lint . -o sarif > lint.sarif # for code scanning",
        "krmfn lint --codes                 # every code and what it means",
        exits="0 nothing found, 1 something found, 2 usage",
    )
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", type=click.Choice(["text", "json", "sarif", "junit"]), default="text", show_default=True
)
@click.option(
    "--ignore", multiple=True, metavar="CODE", type=click.Choice(list(CODES)), help="Leave this code out; repeatable."
)
@click.option("--codes", is_flag=True, help="Print every code and what it means.")
def command(paths: tuple[Path, ...], output: str, ignore: tuple[str, ...], codes: bool) -> int:
    """Find markers, annotations and policies below PATHS that do nothing, or not what they seem to, and say why."""
    if codes:
        for code, meaning in CODES.items():
            click.echo(f"{code:16} {meaning}")
        return 0
    if not paths:
        raise click.UsageError("missing argument PATHS: a file or a directory")
    tree = files.read(paths)
    try:
        found = lint(tree.blocks, load(tree.blocks), tree.skipped)
    except ConfigError as error:
        found = misconfigured(error.problems, tree.blocks)
    found = tuple(finding for finding in found if finding.code not in ignore)
    _PRINTERS[output](found, [text.name for text in tree.texts])
    return int(bool(found))


def _print_text(found: Sequence[Finding], names: Sequence[str]) -> None:
    for path, line, column, code, message in found:
        place = f"{path}:{line}:{column}" if line else path or "-"
        click.echo(f"{printable(place, 1000)} {code} {printable(message, 2000)}")
    many = f"{len(found)} finding{'s' * (len(found) != 1)}" if found else "nothing found"
    click.echo(f"{many} in {len(names)} file{'s' * (len(names) != 1)}", err=True)


def _print_json(found: Sequence[Finding], _names: Sequence[str]) -> None:
    import json

    click.echo(json.dumps([finding._asdict() for finding in found], indent=2, ensure_ascii=False))


def _print_sarif(found: Sequence[Finding], _names: Sequence[str]) -> None:
    """Print SARIF 2.1.0 (OASIS), as code scanning reads it."""
    import json

    rules = [
        {"id": code, "shortDescription": {"text": text}, "helpUri": f"{_HELP}#{code}"} for code, text in CODES.items()
    ]
    driver = {"name": "krmfn", "version": __version__, "informationUri": _HELP, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif(finding) for finding in found],
    }
    data = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _sarif(finding: Finding) -> dict[str, object]:
    from urllib.parse import quote

    made: dict[str, object] = {
        "ruleId": finding.code, "level": "warning", "message": {"text": finding.message},
    }  # fmt: skip
    if finding.path:
        physical: dict[str, object] = {"artifactLocation": {"uri": quote(finding.path)}}
        if finding.line:
            physical["region"] = {"startLine": finding.line, "startColumn": finding.column}
        made["locations"] = [{"physicalLocation": physical}]
    return made


def _print_junit(found: Sequence[Finding], names: Sequence[str]) -> None:
    """Print JUnit XML: a test case per file, which fails with its findings."""
    from xml.etree import ElementTree as ET

    paths = list(dict.fromkeys([*names, *(finding.path for finding in found)]))
    failed = len({finding.path for finding in found})
    suite = ET.Element("testsuite", name="krmfn lint", tests=str(len(paths)), failures=str(failed), errors="0")
    for path in paths:
        case = ET.SubElement(suite, "testcase", classname="krmfn.inventory.lint", name=printable(path or "-", 1000))
        lines = [
            f"{line}:{column} {code} {printable(text, 2000)}"
            for place, line, column, code, text in found
            if place == path
        ]
        if lines:
            failure = ET.SubElement(case, "failure", message=f"{len(lines)} finding{'s' * (len(lines) != 1)}")
            failure.text = "\n".join(lines)
    ET.indent(suite)
    click.echo(ET.tostring(suite, encoding="unicode", xml_declaration=True))


_PRINTERS = {"text": _print_text, "json": _print_json, "sarif": _print_sarif, "junit": _print_junit}
