"""What a terminal gets and a pipe does not: colour, progress, and tables that fit it. `rich` comes in with progress.

`NO_COLOR` and `TERM=dumb` are honoured; stdout and stderr are looked at separately.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TextIO

import click

from krmfn.sanitize import inert, printable, printable_lines

QUIET, VERBOSE, STRICT, FAILED = (f"krmfn.{name}" for name in ("quiet", "verbose", "strict", "failed"))
FIRST_PATH = "krmfn.first"
"""The first path that a command was given, for what lies around it, such as its git repository."""
"""What the options of a verb note in click's `Context.meta`."""
Progress = Callable[[str, str, int], None]
_COLOURS = {
    "mutable": "yellow", "drifted": "yellow", "unknown": "red", "pinned": "green", "True": "green", "False": "red",
    "suspended": "yellow", "not listed": "red", "digest gone": "red", "kept": "yellow", "not bound": "yellow",
}  # fmt: skip
_GAP = "  "
_INDENT = "    "
_NARROW = 16
"""A column of this width is not made narrower."""


def is_terminal(stream: TextIO) -> bool:
    """True if people look at the stream with a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def echo(text: str = "", *, err: bool = False, nl: bool = True, color: bool | None = None) -> None:
    """Print to stdout, or to stderr with `err`. Nothing in it acts upon the terminal or the CI system that shows it.

    With `color` the text holds escape sequences of our own, and all else in it was made safe before.
    """
    click.echo(inert(text if color else printable_lines(text)), err=err, nl=nl, color=color)


def width() -> int | None:
    """Return how many columns stdout has: what `COLUMNS` says, else the terminal; None for a pipe, which has any number."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    return os.get_terminal_size(sys.stdout.fileno()).columns if is_terminal(sys.stdout) else None


def padded(header: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None) -> str:
    r"""Write a table: padded columns, nothing behind the last. No line is wider than `columns`, and no cell is broken.

    What does not fit goes on below its row, indented; a cell is only cut at blanks, so that a path stays whole.

    >>> padded(("IMAGE", "TAG"), [("web", "1.0"), ("database", "16")])
    'IMAGE     TAG\nweb       1.0\ndatabase  16\n'
    >>> padded((), [("web", "1.0", "apps/web.yaml:7")], 20)
    'web  1.0\n    apps/web.yaml:7\n'
    """
    return "".join(f"{line}\n" for row in _laid_out(header, rows, columns) for line in row)


def _laid_out(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None
) -> Iterator[list[str]]:
    """Yield the lines of every row, the header's first."""
    every = [header, *rows] if header else list(rows)
    if not every:
        return
    count = len(every[0])
    widths = [max(len(row[index]) for row in every) for index in range(count)]
    if columns is not None:
        widths = _narrowed(every, widths, columns)
    for row in every:
        yield _lines(row, widths, columns)


def _narrowed(rows: Sequence[Sequence[str]], widths: list[int], columns: int) -> list[int]:
    """Narrow columns until all but the last take three quarters of a line; a cell that is longer shifts its row."""
    widths = list(widths)
    while sum(widths[:-1]) + len(_GAP) * (len(widths) - 1) > columns * 3 // 4:
        widest = max(range(len(widths) - 1), key=lambda index: widths[index])
        shorter = {len(row[widest]) for row in rows if len(row[widest]) < widths[widest]}
        if not shorter or widths[widest] <= _NARROW:
            break
        widths[widest] = max(shorter)
    return widths


def _lines(row: Sequence[str], widths: Sequence[int], columns: int | None) -> list[str]:
    starts = accumulate((size + len(_GAP) for size in widths), initial=0)
    lines: list[str] = []
    line = ""
    for cell, start in zip(row, starts, strict=False):
        if not cell:
            continue
        after = len(line) + len(_GAP) if line else 0
        head = line.ljust(after if lines else max(start, after))
        if line and columns is not None and len(head) + len(cell) > columns:
            if after + len(cell) <= columns:
                head = line + _GAP
            else:
                lines.append(line)
                head = _INDENT
        elif not line and columns is not None and start + len(cell) > columns:
            head = _INDENT
        line = head + cell
    lines.append(line)
    if columns is None:
        return lines
    return [part for one in lines for part in _at_blanks(one, columns)]


def _at_blanks(line: str, columns: int) -> list[str]:
    """Cut a line that is too wide at blanks."""
    parts = []
    while len(line) > columns:
        at = line.rfind(" ", len(_INDENT) + 1, columns + 1)
        if at < 0 or not line[:at].strip():
            break
        parts.append(line[:at].rstrip())
        line = _INDENT + line[at:].lstrip()
    return [*parts, line]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, is_wide: bool = False) -> None:
    """Print a table to stdout, in colour and fitted at a terminal, unless it is to be wide. Cells are made safe to show."""
    safe = [tuple(printable(cell, 1000) for cell in row) for row in rows]
    is_coloured = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
    for number, lines in enumerate(_laid_out(header, safe, None if is_wide else width())):
        text = "\n".join(lines)
        if is_coloured and header and not number:
            text = click.style(text, bold=True)
        elif is_coloured:
            row = safe[number - bool(header)]
            text = _coloured(text, row)
        echo(text, color=is_coloured)


def _coloured(text: str, row: Sequence[str]) -> str:
    """Colour the cells of a row that are words of a state."""
    for cell in row:
        colour = next((_COLOURS[word] for word in cell.split(", ") if word in _COLOURS), None)
        if colour:
            head, found, tail = text.rpartition(cell)
            text = head + click.style(found, fg=colour) + tail if found else text
    return text


def say(text: str, severity: str = "") -> None:
    """Print one line to stderr; with a severity as `krmfn: SEVERITY: TEXT`. `-q` leaves out all but errors.

    Under `--strict` of a command that only looks, a warning is an error, and noted as one.
    """
    context = click.get_current_context(silent=True)
    meta = context.meta if context else {}
    if severity == "warning" and meta.get(STRICT):
        severity = meta[FAILED] = "error"
    if severity == "error" or not meta.get(QUIET):
        head = f"krmfn: {severity}: " if severity else ""
        echo(f"{head}{printable(text, 2000)}", err=True)


def is_quiet() -> bool:
    """True under `-q`."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))


def detail(text: str) -> None:
    """Print, under `-v`, what is done."""
    context = click.get_current_context(silent=True)
    if context and context.meta.get(VERBOSE):
        echo(f"krmfn: debug: {printable(text, 2000)}", err=True)


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
    echo(f"krmfn: debug: {printable(repository)}: {state}{count}", err=True)
