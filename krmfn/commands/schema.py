"""`krmfn schema`: the JSON Schema of krmfn's own kinds, for editors and checks."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import options
from krmfn.commands.output import to_json
from krmfn.config import schema

if TYPE_CHECKING:
    from krmfn.config.shapes import Schema


@options.verb(
    "krmfn schema ImageAutomation > image-automation.json",
    "krmfn schema > krmfn.json    # every kind; name it at the top of a file, and editors complete and check:",
    "# yaml-language-server: $schema=krmfn.json",
    exits="0 printed, 2 no such kind",
)
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Print the JSON Schema (draft 2020-12) of KIND, or of all kinds of krmfn.dev/v1alpha1 in one."""
    if kind is not None and kind not in schema.KINDS:
        names = {name.lower(): name for name in schema.KINDS}
        near = get_close_matches(kind.lower(), names, 1, 0.5)
        hint = f"did you mean {names[near[0]]}?" if near else f"known: {', '.join(schema.KINDS)}"
        raise click.BadParameter(f"no such kind: {kind}; {hint}", param_hint="KIND")
    terminal.echo(to_json(schema.document(kind) if kind else every()))


def every() -> Schema:
    """Return one schema that takes an object of any own kind."""
    kinds = {name: schema.document(name) for name in schema.KINDS}
    dialect = {one.pop("$schema") for one in kinds.values()}.pop()
    references = [{"$ref": f"#/$defs/{name}"} for name in kinds]
    return {"$schema": dialect, "title": schema.API_VERSION, "oneOf": references, "$defs": kinds}
