"""What a terminal gets and a pipe does not: colour, progress, and tables that fit it. `rich` comes in with progress.

`NO_COLOR` and `TERM=dumb` are honoured; stdout and stderr are looked at separately.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, TextIO

import click

from krmfn.sanitize import inert, printable, printable_lines

if TYPE_CHECKING:
    from rich.status import Status

QUIET, VERBOSE, STRICT, FAILED = (f"krmfn.{name}" for name in ("quiet", "verbose", "strict", "failed"))
"""What the options of a verb note in click's `Context.meta`."""
FIRST_PATH = "krmfn.first"
"""The first path that a command was given, for what lies around it, such as its git repository."""
Progress = Callable[[str, str, int], None]
_JUDGED = ("STATE", "READY", "RESULT")
"""Columns whose words have a colour; the worst of a cell counts."""
_COLOURS = {
    "unknown": "red", "False": "red", "not listed": "red", "digest gone": "red", "wrong": "red", "Fail": "red",
    "mutable": "yellow", "drifted": "yellow", "suspended": "yellow", "kept": "yellow", "not bound": "yellow", "held": "yellow",
    "pinned": "green", "True": "green", "ok": "green", "Pass": "green",
}  # fmt: skip
_words = re.compile(r"(?:\{[^{}]*\}|`[^`]*`|\S)+").finditer
_SEVERITIES = {"error": "red", "warning": "yellow"}
_severity = re.compile(r"(?<=\Akrmfn: )(?:error|warning)(?=:)").sub
_PATIENCE_SECONDS = 1.0
_GAP = "  "
_INDENT = "    "
_NARROW = 16
"""A column of this width is not made narrower."""


def is_terminal(stream: TextIO) -> bool:
    """True if people look at the stream with a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def echo(text: str = "", *, err: bool = False, nl: bool = True, color: bool | None = None, is_safe: bool = False) -> None:
    """Print to stdout, or to stderr with `err`. Nothing in it acts upon the terminal or the CI system that shows it.

    With `color` the text holds escape sequences of our own, and all else in it was made safe before. What stderr does not
    take is lost; raise OSError for stdout.
    """
    try:
        shown = text if is_safe else inert(text if color else printable_lines(text))
        click.echo(shown, err=err, nl=nl, color=color)
    except OSError as error:
        if not err:
            error.filename = "stdout"
            raise


def document(text: str) -> None:
    """Print a document to stdout as it is, to its last byte: it was made safe where it was written. Raise OSError."""
    echo(text, nl=False, is_safe=True)


def tell(text: str, *, err: bool = False) -> None:
    """Print lines for people: at a terminal, or for `COLUMNS`, cut at blanks and indented below; in a pipe as they are."""
    stream = sys.stderr if err else sys.stdout
    is_coloured = err and has_colour(stream)
    for line in printable_lines(text).split("\n"):
        folded = "\n".join(fold(line, width(stream)))
        if is_coloured:
            folded = _severity(lambda word: click.style(word[0], fg=_SEVERITIES[word[0]]), folded)
        echo(folded, err=err, color=is_coloured)


def has_colour(stream: TextIO) -> bool:
    """True if people look at the stream with a terminal and want colours."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width(stream: TextIO) -> int | None:
    """Return how many columns a stream has: what `COLUMNS` says, else the terminal; None for a pipe, which has any number."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(stream.fileno()).columns or None if is_terminal(stream) else None


Line = list[tuple[int, str]]
"""Pieces of a line, each with the number of its column; -1 for blanks."""


def _laid_out(header: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> Iterator[list[Line]]:
    r"""Yield the lines of every row, the header's first: padded columns, nothing behind the last.

    No line is wider than `columns`. A row that is too wide gives up its padding first; what still does not fit goes on
    below, indented. A cell is only cut at blanks, so that a path stays whole.

    >>> rows = [("database", "16", "x"), ("web", "1.0", "a/web.yaml:7"), ("web", "1.0", "apps/a/web.yaml:7")]
    >>> laid_out = _laid_out((), rows, 25)
    >>> print(*("".join(text for _, text in line) for lines in laid_out for line in lines), sep="\n")
    database  16   x
    web  1.0  a/web.yaml:7
    web       1.0
        apps/a/web.yaml:7
    """
    every = [header, *rows] if header else list(rows)
    widths = [max(map(len, column)) for column in zip(*every, strict=False)]
    if columns is not None:
        _narrow(every, widths, columns)
    for row in every:
        yield _lines(row, widths, columns)


def _narrow(rows: Sequence[Sequence[str]], widths: list[int], columns: int) -> None:
    """Narrow columns until all but the last take three quarters of a line; a cell that is longer shifts its row."""
    while sum(widths[:-1]) + len(_GAP) * (len(widths) - 1) > columns * 3 // 4:
        widest = max(range(len(widths) - 1), key=lambda index: widths[index])
        shorter = {len(row[widest]) for row in rows if len(row[widest]) < widths[widest]}
        if not shorter or widths[widest] <= _NARROW:
            break
        widths[widest] = max(shorter)


def _lines(row: Sequence[str], widths: Sequence[int], columns: int | None) -> list[Line]:
    starts = list(accumulate((size + len(_GAP) for size in widths), initial=0))
    if columns is not None and starts[max(len(row) - 2, 0)] + len(_GAP.join(row[-2:])) > columns >= len(_GAP.join(filter(None, row))):
        starts = [0] * len(row)  # out of line with the others, and on one line
    lines: list[Line] = [[]]
    length = 0
    for index, (cell, start) in enumerate(zip(row, starts, strict=False)):
        if not cell:
            continue
        after = length + len(_GAP) if length else 0
        at = after if len(lines) > 1 else max(start, after)
        if columns is not None and at + len(cell) > columns:
            at = after
            if length and after + len(cell) > columns:
                lines.append([])
                length, at = 0, len(_INDENT)
        pieces = fold(" " * at + cell, columns) if columns is not None and not length else [" " * at + cell]
        first, *others = pieces
        lines[-1] += [(-1, " " * (at - length)), (index, first[at:] if not length else cell)]
        lines += [[(-1, _INDENT), (index, piece[len(_INDENT) :])] for piece in others]
        length = at + len(cell) if not others else len(others[-1])
    return lines


def fold(line: str, columns: int | None) -> list[str]:
    """Cut a line that is too wide at blanks; what follows is indented. A word that is wider than the line stands alone.

    Blanks in braces and backquotes are none: markers and commands stay whole.

    >>> fold("see apps/web.yaml for more", 12)
    ['see', '    apps/web.yaml', '    for more']
    """
    if columns is None or len(line) <= columns:
        return [line]
    parts: list[str] = []
    start = end = 0
    indent = ""
    for word in _words(line):
        if end > start and len(indent) + word.end() - start > columns:
            parts.append(indent + line[start:end])
            start, indent = word.start(), _INDENT
        end = word.end()
    return [*parts, indent + line[start:end]]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, is_wide: bool = False) -> None:
    """Print a table to stdout, in colour and fitted at a terminal, unless it is to be wide. Cells are made safe to show."""
    safe = [tuple(printable(cell, 1000) for cell in row) for row in rows]
    is_coloured = has_colour(sys.stdout)
    judged = {index for index, name in enumerate(header) if name in _JUDGED}
    for number, lines in enumerate(_laid_out(header, safe, None if is_wide else width(sys.stdout))):
        is_header = bool(header) and not number
        for line in lines:
            pieces = (_coloured(text) if index in judged and is_coloured and not is_header else text for index, text in line)
            text = "".join(pieces)
            echo(click.style(text, bold=True) if is_coloured and is_header else text, color=is_coloured)


def _coloured(cell: str) -> str:
    """Colour a cell that holds words of a state."""
    words = cell.split(", ")
    colour = next((colour for word, colour in _COLOURS.items() if word in words), None)
    return click.style(cell, fg=colour) if colour else cell


def say(text: str, severity: str = "") -> None:
    """Print one line to stderr; with a severity as `krmfn: SEVERITY: TEXT`. `-q` leaves out all but errors.

    Under `--strict` of a command that only looks, a warning is an error, and noted as one.
    """
    meta = _meta()
    if severity == "warning" and meta.get(STRICT):
        severity = meta[FAILED] = "error"
    if severity == "error" or not meta.get(QUIET):
        head = f"krmfn: {severity}: " if severity else ""
        tell(f"{head}{printable(text, 2000)}", err=True)


def _meta() -> dict[str, Any]:
    """Return what is noted of the command that runs in this thread."""
    context = click.get_current_context(silent=True)
    return context.meta if context else {}


def is_quiet() -> bool:
    """True under `-q`."""
    return bool(_meta().get(QUIET))


def detail(text: str) -> None:
    """Print, under `-v`, what is done."""
    if _meta().get(VERBOSE):
        tell(f"krmfn: debug: {printable(text, 2000)}", err=True)


@contextmanager
def watching(what: str = "asking registries") -> Iterator[Progress | None]:
    """Show, at a terminal or under `-v`, which repositories are being asked; yield what to tell, None when nobody looks.

    What takes less than a second shows nothing.
    """
    if _meta().get(VERBOSE):
        yield lambda *asked: tell(f"krmfn: debug: {_progress(*asked)}", err=True)
        return
    if is_quiet() or not is_terminal(sys.stderr):
        yield None
        return
    spinner = _Spinner(what)
    try:
        yield spinner.tell
    finally:
        spinner.stop()


class _Spinner:
    """A line on stderr that moves and goes away; it comes when a run has taken a second."""

    def __init__(self, what: str) -> None:
        self._what, self._done, self._lock = what, set[str](), Lock()
        self._status: Status | None = None
        self._is_over = False
        self._timer = Timer(_PATIENCE_SECONDS, self._start)
        self._timer.daemon = True
        self._timer.start()

    def _start(self) -> None:
        from rich.console import Console

        with self._lock:
            if not self._is_over:
                self._status = Console(stderr=True).status(f"{self._what} ...", spinner="line")
                self._status.start()

    def stop(self) -> None:
        """Leave nothing of the line."""
        with self._lock:
            self._timer.cancel()
            self._is_over = True
            if self._status:
                self._status.stop()

    def tell(self, repository: str, state: str, tags: int) -> None:
        """Show what is asked; threads of the registry's client call it."""
        with self._lock:
            if state in ("listed", "failed"):
                self._done.add(repository)
            if self._status:
                from rich.text import Text

                shown = f"{self._what}: {len(self._done)} done, {_progress(repository, state, tags)}"
                self._status.update(Text(shown, no_wrap=True, overflow="ellipsis"))


def _progress(repository: str, state: str, tags: int) -> str:
    """Return how far the question about a repository is, for people."""
    return f"{printable(repository)}: {state}" + (f", {tags} tags" if tags else "")
