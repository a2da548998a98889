"""What `krmfn get image` prints: flux's tables, or the objects with the status that a controller would write."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from krmfn import terminal
from krmfn.commands.output import to_json
from krmfn.inventory import flux_objects, flux_status
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.inventory.flux_status import Standing

_BOOLEANS = ("suspend", "insecure")
_NUMBERS = ("generation", "observedGeneration", "tagCount")



def print_tables(standings: Sequence[Standing], *, wide: bool, is_all: bool, has_header: bool) -> None:
    """Print flux's tables with flux's bytes, or at a terminal as they fit; with `is_all` names carry their kind."""
    for kind in flux_objects.KINDS:
        rows = [_row(one, wide=wide, is_all=is_all) for one in standings if one.object.id.kind == kind]
        if not rows:
            continue
        columns = flux_status.COLUMNS[kind] if has_header else ()
        header = ("NAMESPACE", *columns) if wide and has_header else columns
        _print_table(header, rows)
        if is_all:
            terminal.echo()


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if terminal.width(sys.stdout):
        terminal.table(header, rows)
    else:
        terminal.echo(flux_status.table(header, rows), nl=False)


def _row(one: Standing, *, wide: bool, is_all: bool) -> tuple[str, ...]:
    name = f"{one.object.id.kind.lower()}/{one.object.id.name}" if is_all else one.object.id.name
    cells = flux_status.cells(one, name)
    return tuple(printable(cell, 2000) for cell in ((one.namespace, *cells) if wide else cells))


def print_objects(standings: Sequence[Standing], output: str, time: str) -> None:
    """Print the objects as YAML or JSON, with their status at a time."""
    objects = [_with_status(one, time) for one in standings]
    if output == "json":
        terminal.echo(to_json({"apiVersion": "v1", "kind": "List", "items": objects}))
        return
    from krmfn.yamledit.authored import document

    for data in objects:
        terminal.echo("---\n" + document(data), nl=False)


def _with_status(one: Standing, time: str) -> Any:
    """Return the object as plain data, with the status that a controller would write behind the rest."""
    data = {key: value for key, value in one.object.data.items() if key != "status"}
    return _typed({**data, "status": one.status(time)})


def _typed(data: Any, name: str = "") -> Any:
    """Give booleans and numbers of Flux objects their type back; what was read is all text."""
    if isinstance(data, Mapping):
        return {key: _typed(value, str(key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_typed(value) for value in data]
    if name in _BOOLEANS and data in ("true", "false"):
        return data == "true"
    return int(data) if name in _NUMBERS and isinstance(data, str) and data.isdigit() else data
