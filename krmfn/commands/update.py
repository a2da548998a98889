"""`krmfn update`: newer images into manifests on disk, one value at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from krmfn import files, report
from krmfn.commands import options
from krmfn.foreign import printable
from krmfn.model import Result
from krmfn.pipeline import Run
from krmfn.yamltext import Edit, Text, apply


@click.command(
    epilog="Exit: 0 done, 1 an error (nothing is written) or, with --check, something would change, 2 usage."
)
@options.PATHS
@options.choosing
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when something would change.")
@click.option("--diff", is_flag=True, help="Show the changes as a unified diff.")
@click.option("--output", "-o", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def command(
    paths: tuple[Path, ...], source: str | None, mode: str | None, on_error: str | None, on_downgrade: str | None,
    check: bool, diff: bool, output: str,
) -> int:  # fmt: skip
    """Write newer images into the manifests below PATHS.

    Policies, markers and snapshots are read from the same files. Only the values change, every other byte stays.
    """
    tree = files.read(paths)
    finish = options.finishing(source, mode, on_error, on_downgrade)
    run = options.examine(tree, finish)
    written = {} if run.is_error else rewritten(tree.texts, run.edits)
    if not check and run.config.settings.mode != "check":
        files.write_all(written)
    if diff:
        click.echo("".join(diffs(written)), nl=False)
    _PRINTERS[output](tree, run, written)
    return int(run.is_error or (check and bool(written)))


def rewritten(texts: Iterable[Text], edits: Iterable[tuple[Text, Edit]]) -> dict[Text, bytes]:
    """Answer the new content of every text that changes."""
    found: dict[int, list[Edit]] = {}
    for text, edit in edits:
        found.setdefault(id(text), []).append(edit)
    return {text: apply(text.data, found[id(text)]) for text in texts if id(text) in found}


def diffs(written: Mapping[Text, bytes]) -> Iterable[str]:
    """Yield unified diffs of the texts that change."""
    from difflib import unified_diff

    for text, data in written.items():
        old, new = (one.decode("utf-8", "replace").splitlines(keepends=True) for one in (text.data, data))
        for line in unified_diff(old, new, f"a/{text.name}", f"b/{text.name}"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _print_text(tree: files.Tree, run: Run, written: Mapping[Text, bytes]) -> None:
    for result in run.results:
        if result.severity == "info" and result.field and result.field.proposed is not None:
            click.echo(f"{_place(result)}: {printable(result.message, 2000)}")
    for skipped in tree.skipped:
        if skipped.matters:
            click.echo(
                f"krmfn: warning: {printable(f'{skipped.path} holds markers, but was {skipped.why}', 2000)}", err=True
            )
    for result in run.results:
        if result.severity != "info" or not result.field:
            place = _place(result)
            click.echo(
                f"krmfn: {result.severity}: {place + ': ' if place else ''}{printable(result.message, 2000)}", err=True
            )
    click.echo(summary(run, len(written), len(tree.texts)), err=True)


def summary(run: Run, changed: int, read: int) -> str:
    """Say in one line what the run came to."""
    if run.is_error:
        errors = sum(result.severity == "error" for result in run.results)
        return f"{errors} error{'s' * (errors != 1)}, nothing written"
    fields = len(run.changes)
    return f"{fields} field{'s' * (fields != 1)} in {changed} of {read} file{'s' * (read != 1)} changed"


def _place(result: Result) -> str:
    file = result.file
    if file is None:
        return str(result.resource) if result.resource else ""
    return file.path + (f":{file.line}:{file.column}" if file.line else "")


def _print_json(_tree: files.Tree, run: Run, written: Mapping[Text, bytes]) -> None:
    import json

    data = {"changed": [text.name for text in written], "results": [_plain(result) for result in run.results]}
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _plain(result: Result) -> dict[str, object]:
    found: dict[str, object] = {"severity": result.severity, "message": result.message}
    if result.resource:
        found["resource"] = dict(zip(("apiVersion", "kind", "namespace", "name"), result.resource, strict=True))
    if result.file:
        found["file"] = {"path": result.file.path, "line": result.file.line, "column": result.file.column}
    if result.field:
        found["field"] = {
            "path": result.field.path, "currentValue": result.field.current, "proposedValue": result.field.proposed
        }  # fmt: skip
    return found | ({"tags": dict(result.tags)} if result.tags else {})


def _print_markdown(_tree: files.Tree, run: Run, _written: Mapping[Text, bytes]) -> None:
    rows = dict.fromkeys(report.row(change) for change in run.changes)
    if not rows and not run.is_error:
        click.echo("No image changed.")
        return
    click.echo("| image | from | to | why |\n|---|---|---|---|")
    for row in rows:
        click.echo("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    for result in run.results:
        if result.severity != "info":
            click.echo(f"\n**{result.severity}**: {printable(result.message, 2000)}")


_PRINTERS = {"text": _print_text, "json": _print_json, "markdown": _print_markdown}
