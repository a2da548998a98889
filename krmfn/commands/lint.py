"""`krmfn lint`: what in manifests does nothing, or not what it seems to. Nothing is asked of any registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from krmfn import terminal
from krmfn.commands import options, output, ruling
from krmfn.diagnostics import LINT_CODES
from krmfn.errors import ConfigError
from krmfn.inventory.lint import lint, misconfigured
from krmfn.model import Diagnostic

_PRINTERS: dict[str, Callable[[str], None]] = {"github": click.echo, "text": terminal.tell}


@click.command(
    epilog=options.examples(
        "krmfn lint .                       # path:line:column code message",
        "krmfn lint . -o sarif > lint.sarif # for code scanning",
        "krmfn lint --codes                 # every code and what it means",
        exits="0 nothing found, 1 something found, 2 usage",
    )
)
@options.looking(click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="PATHS..."))
@ruling.RULES
@click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["text", "json", "sarif", "junit", "github"]),
    default="text",
    show_default=True,
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE",
    type=click.Choice(list(LINT_CODES)),
    help="Leave this code out; repeatable.",
)
@click.option("--codes", is_flag=True, help="Print every code and what it means.")
def command(paths: tuple[Path, ...], form: str, ignore: tuple[str, ...], codes: bool) -> int:
    """Find markers, annotations and policies below PATHS that do nothing, or not what they seem to, and say why."""
    if codes:
        for code, meaning in LINT_CODES.items():
            terminal.tell(f"{code:16} {meaning}")
        return 0
    if not paths:
        raise click.UsageError("missing argument PATHS: a file or a directory")
    tree = options.read(paths)
    ruling.given()
    try:
        found = lint(tree.blocks, ruling.load(tree.blocks), tree.skipped)
    except ConfigError as error:
        found = misconfigured(error.problems, tree.blocks)
    found = tuple(finding for finding in found if finding.code not in ignore)
    names = [text.name for text in tree.texts]
    if printed := _printed(found, names, form):
        _PRINTERS.get(form, terminal.echo)(printed)
    if form in ("text", "github"):
        many = f"{len(found)} finding{'s' * (len(found) != 1)}" if found else "nothing found"
        terminal.say(f"{many} in {len(names)} file{'s' * (len(names) != 1)}")
    return int(bool(found))


def _printed(findings: Sequence[Diagnostic], files: Sequence[str], form: str) -> str:
    if form == "json":
        return output.findings_json(findings)
    if form == "sarif":
        return output.sarif(findings, LINT_CODES)
    if form == "junit":
        return output.junit(findings, files)
    return "\n".join(map(output.github if form == "github" else output.finding, findings))
