"""What a terminal gets and a pipe does not: tables that fit, colour, progress. `rich` comes in with the first of them.

`NO_COLOR` and `TERM=dumb` are honoured; stdout and stderr are looked at separately.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import click

from krmfn.sanitize import printable

QUIET, VERBOSE, STRICT, FAILED = (f"krmfn.{name}" for name in ("quiet", "verbose", "strict", "failed"))
"""What the options of a verb note in click's `Context.meta`."""
Progress = Callable[[str, str, int], None]
_COLOURS = {
    "mutable": "yellow",
    "drifted": "yellow",
    "unknown": "red",
    "pinned": "green",
    "True": "green",
    "False": "red",
}


def is_terminal(stream: TextIO) -> bool:
    """True if people look at the stream with a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def padded(header: Sequence[str], rows: Sequence[Sequence[str]], gap: str = "  ") -> str:
    r"""Write a table for pipes: padded columns, nothing behind the last.

    >>> padded(("IMAGE", "TAG"), [("web", "1.0"), ("database", "16")])
    'IMAGE     TAG\nweb       1.0\ndatabase  16\n'
    """
    lines = [header, *rows] if header else list(rows)
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))] if lines else []
    return "".join(
        gap.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to stdout, by `rich` at a terminal. Cells are made safe to show."""
    safe = [tuple(printable(cell, 1000) for cell in row) for row in rows]
    if not is_terminal(sys.stdout):
        click.echo(padded(header, safe), nl=False)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header), header_style="bold")
    for index, _ in enumerate(header or (safe[0] if safe else ())):
        made.add_column(header[index] if header else "", overflow="fold")
    for row in safe:
        made.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console(highlight=False).print(made)


def say(text: str, severity: str = "") -> None:
    """Print a line to stderr; with a severity as `krmfn: SEVERITY: TEXT`. `-q` leaves out all but errors.

    Under `--strict` of a command that only looks, a warning is an error, and noted as one.
    """
    context = click.get_current_context(silent=True)
    meta = context.meta if context else {}
    if severity == "warning" and meta.get(STRICT):
        severity = meta[FAILED] = "error"
    if severity == "error" or not meta.get(QUIET):
        head = f"krmfn: {severity}: " if severity else ""
        click.echo(f"{head}{printable(text, 2000) if severity else text}", err=True)


def is_quiet() -> bool:
    """True under `-q`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))


def detail(text: str) -> None:
    """Print, under `-v`, what is done."""
    context = click.get_current_context(silent=True)
    if context and context.meta.get(VERBOSE):
        click.echo(f"krmfn: debug: {printable(text, 2000)}", err=True)


@contextmanager
def watching(what: str = "asking registries") -> Iterator[Progress | None]:
    """Show, at a terminal or under `-v`, which repositories are being asked; yield what to tell, None when nobody looks."""
    context = click.get_current_context(silent=True)
    if context and context.meta.get(VERBOSE):
        yield _logged
        return
    if is_quiet() or not is_terminal(sys.stderr):
        yield None
        return
    from rich.console import Console

    done: set[str] = set()
    with Console(stderr=True).status(f"{what} ...", spinner="line") as status:

        def tell(repository: str, state: str, tags: int) -> None:
            if state in ("listed", "failed"):
                done.add(repository)
            count = f", {tags} tags" if tags else ""
            status.update(f"{what}: {len(done)} done, {printable(repository)}: {state}{count}")

        yield tell


def _logged(repository: str, state: str, tags: int) -> None:
    """Print what is asked, line by line; threads of the registry's client call it."""
    count = f", {tags} tags" if tags else ""
    click.echo(f"krmfn: debug: {printable(repository)}: {state}{count}", err=True)
