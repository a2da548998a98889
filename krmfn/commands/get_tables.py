"""What `krmfn get image` prints: flux's tables, or the objects with the status that a controller would write."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from krmfn import terminal
from krmfn.commands.output import to_json
from krmfn.inventory import flux_objects, flux_status
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.inventory.flux_status import Standing

_BOOLEANS = ("suspend", "insecure")
_NUMBERS = ("generation", "observedGeneration", "tagCount")



Rows = list[tuple[str, ...]]


def tables(standings: Sequence[Standing], *, wide: bool, is_all: bool) -> Iterable[tuple[tuple[str, ...], Rows]]:
    """Yield flux's tables, header and rows; with `all` names carry their kind."""
    for kind in flux_objects.KINDS:
        some = [one for one in standings if one.object.id.kind == kind]
        if some:
            header = (*(("NAMESPACE",) if wide else ()), *flux_status.COLUMNS[kind])
            yield header, [_row(one, wide=wide, is_all=is_all) for one in some]


def print_table(header: tuple[str, ...], rows: Rows, *, is_all: bool) -> None:
    """Print a table with flux's bytes; at a terminal one that fits. With `all` a blank line follows."""
    if terminal.width(sys.stdout):
        terminal.table(header, rows)
    else:
        terminal.echo(flux_status.table(header, rows), nl=False)
    if is_all:
        terminal.echo()


def _row(one: Standing, *, wide: bool, is_all: bool) -> tuple[str, ...]:
    name = f"{one.object.id.kind.lower()}/{one.object.id.name}" if is_all else one.object.id.name
    cells = flux_status.cells(one, name)
    return tuple(printable(cell, 2000) for cell in ((one.namespace, *cells) if wide else cells))


def print_objects(standings: Sequence[Standing], output: str, time: str) -> None:
    """Print the objects as YAML or JSON, with their status at a time."""
    objects = [with_status(one, time) for one in standings]
    if output == "json":
        terminal.echo(to_json({"apiVersion": "v1", "kind": "List", "items": objects}))
        return
    from krmfn.yamledit.authored import document

    for data in objects:
        terminal.echo("---\n" + document(data), nl=False)


def with_status(one: Standing, time: str) -> dict[str, Any]:
    """Return the object as plain data, with the status that a controller would write."""
    data = {key: value for key, value in one.object.data.items() if key != "status"}
    typed: dict[str, Any] = _typed(data)
    return {**typed, "status": _typed(one.status(time))}


def _typed(data: Any, name: str = "") -> Any:
    """Give booleans and numbers of Flux objects their type back; what was read is all text."""
    if isinstance(data, Mapping):
        return {key: _typed(value, str(key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_typed(value) for value in data]
    if name in _BOOLEANS and data in ("true", "false"):
        return data == "true"
    return int(data) if name in _NUMBERS and isinstance(data, str) and data.isdigit() else data
