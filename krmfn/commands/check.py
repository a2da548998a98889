"""`krmfn check`: which images of manifests have newer versions. Needs no policy, no marker and no configuration."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import findings, interrupting, options, output, remarks, ruling
from krmfn.commands.base import with_changed
from krmfn.commands.judging import Verdict, judge
from krmfn.commands.workspace import root_of
from krmfn.config.loading import settings_among
from krmfn.config.records import Config, Finish, Rulebook
from krmfn.diagnostics import CHECK_CODES
from krmfn.errors import ConfigError
from krmfn.kubernetes import finder
from krmfn.kubernetes.places import COUNTS, RANGE, UNJUDGED, Place
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.config.settings import Settings
    from krmfn.image import ImageRef
    from krmfn.inventory import files
    from krmfn.outcome import Run

_HEADER = ("IMAGE", "CURRENT", "UPDATE", "BEYOND", "STATE", "WHERE")
_STATE = _HEADER.index("STATE")
_QUIET_STATES, _SIGNED = ("fixed", "pinned"), "signed by "
"""Words that the table leaves out, as nothing follows from them."""


@options.verb(
    "krmfn check .",
    "krmfn check . --within patch --all",
    "krmfn check clusters/prod --exit-code -o markdown",
    "krmfn check . --source layout:./images",
    exits="0 done, 1 an image could not be asked about, 2 usage, 10 with --exit-code: there are updates inside the bound",
)
@options.looking(options.LOOKED_AT)
@ruling.RULES
@options.WINDOWS
@click.option("--within", type=options.WITHIN, default="minor", show_default=True, help="The bound of update --within.")
@click.option("--all", "every", is_flag=True, help="Show every image and every place, also those that stay.")
@click.option("--wide", is_flag=True, help="Whole names, and lines as long as they get.")
@options.SOURCE
@click.option("--exit-code", is_flag=True, help="Exit 10 when there are updates inside the bound.")
@options.output("text", "json", "markdown", "sarif", "github")
def command(
    paths: tuple[Path, ...], within: str, every: bool, wide: bool, source: str | None, exit_code: bool, form: str
) -> int:
    """Show which images in the manifests below PATHS have newer versions. Nothing is written.

    What stands under UPDATE is what `krmfn update PATHS --within BOUND` writes: policies that exist count as they are, all
    other images follow newer tags of their shape (-alpine, 1.2) inside the bound. BEYOND is the newest of all.
    A digest behind a tag is compared with what the registry says today.
    """
    tree = options.read(paths, is_hidden_shown=True)
    places = (*finder.find(tree.blocks, tree.graph), *(place for text in tree.aside for place in finder.aside(text)))
    strict = bool(click.get_current_context().meta.get(terminal.STRICT))
    finish = options.finishing(source, is_check=exit_code, strict=strict, unnamed=options.unnamed(within))
    config = with_changed(configuration(tree, finish, is_gate=exit_code), tree.texts, root_of(paths[0]))
    (verdicts, run), memory = interrupting.ask(config, lambda asked: judge(tree, places, config, asked))
    left = [place for place in places if place.state == UNJUDGED]
    if form == "json":
        terminal.echo(output.to_json(findings.as_data(verdicts, left)))
    elif form == "markdown":
        terminal.echo(_markdown(verdicts), nl=False)
    elif form in ("sarif", "github"):
        _print_findings(verdicts, run, form)
    else:
        _print_text(verdicts, every=every, wide=wide)
    remarks.remark(tree, left, verdicts, run)
    if memory.is_cut:
        return interrupting.EXIT
    is_error = any(verdict.error for verdict in verdicts) or (exit_code and run.is_error)
    return options.exit_code(is_error=is_error, is_check=exit_code, would_change=bool(run.edits))


def configuration(tree: files.Tree, finish: Finish, *, is_gate: bool) -> Config:
    """Take policies, snapshots and access to registries from the files, as an update does.

    Wrong configuration is passed over, as looking needs none; a gate raises ConfigError, as it would be blind for ever.
    """
    frozen: list[Settings] = []

    def asking(settings: Settings) -> Settings:
        finished = finish(settings)
        frozen.extend([finished] if finished.mode == "frozen" else [])
        return finished._replace(mode="update")

    floor = ruling.given()
    try:
        config = ruling.load(tree.blocks, asking)._replace(remembers=True)
    except ConfigError as error:
        if is_gate:
            raise
        message = f"configuration was passed over: {error.problems[0]}; krmfn update would stop here"
        terminal.say(message, "warning")
        settings = settings_among(tree.blocks, asking)
        if floor is None:
            return Config(settings=settings)
        return Config(settings=settings, evidence=floor.snapshots, snapshots=floor.snapshots, rulebook=Rulebook((), floor.holds, floor))
    if frozen:
        terminal.say("mode is frozen: krmfn update writes what the lock records; krmfn fetch renews it with what is shown here", "note")
    return config


def _current(ref: ImageRef, place: Place) -> str:
    if place.state == RANGE:
        return place.constraint
    tag = ref.tag or ("" if ref.digest else "latest")
    return tag or f"@{str(ref.digest)[:19]}"


def _where(places: Sequence[Place]) -> str:
    first = next((place for place in places if place.state == COUNTS), places[0])
    more = f" +{len(places) - 1}" if len(places) > 1 else ""
    return f"{_line(first)}{more}"


def _line(place: Place) -> str:
    return f"{place.file.path}:{place.file.line}"


def _row(verdict: Verdict, name: str, *, is_brief: bool = False) -> tuple[str, ...]:
    fate = verdict.fate
    words = [word for word in verdict.states if not (is_brief and _is_quiet(word))]
    if fate.policy and (fate.kept or not is_brief):
        words.append(str(fate.policy))
    return (
        name, _current(verdict.ref, verdict.places[0]), ("pin" if fate.pins else fate.tag) or "-", verdict.beyond or "-",
        ", ".join(words), _where(verdict.places),
    )  # fmt: skip


def _is_told(verdict: Verdict) -> bool:
    """True if there is something to do about an image, or to know."""
    words = {word for word in verdict.states if not _is_quiet(word)} - {"mutable", "not sure"}
    return verdict.is_unjudged or (verdict.is_asked and bool(verdict.has_update or verdict.beyond or words))


def _is_quiet(word: str) -> bool:
    return word in _QUIET_STATES or word.startswith(_SIGNED)


def _print_text(verdicts: Sequence[Verdict], *, every: bool, wide: bool) -> None:
    # What one dead host left unknown is told once, by the remarks; a row for each of its images would bury the others.
    silent = {hosts for hosts, failed in remarks.failing(verdicts).items() if remarks.is_about_many(failed)}
    names = _short_names([one.ref for one in verdicts])
    shown = [
        one
        for one in sorted(verdicts, key=lambda one: (not one.has_update, not _is_told(one), names[one.ref.name]))
        if every or (_is_told(one) and (one.error is None or output.shared_by(one.error) not in silent))
    ]
    rows = []
    for one in shown:
        row = _row(one, one.ref.name if wide else names[one.ref.name], is_brief=not (wide or every))
        first, *others = dict.fromkeys(map(_line, one.places)) if every else [row[-1]]
        rows += [(*row[:-1], first), *(("",) * len(row[:-1]) + (other,) for other in others)]
    header: tuple[str, ...] = _HEADER
    if terminal.width(sys.stdout) and not any(row[_STATE] for row in rows):
        header, rows = _HEADER[:_STATE] + _HEADER[_STATE + 1 :], [row[:_STATE] + row[_STATE + 1 :] for row in rows]
    if rows:
        terminal.table(header, rows, is_wide=wide)
    if len(shown) < len(verdicts):
        rest = len(verdicts) - len(shown)
        unknown = sum(one.error is not None for one in verdicts) - sum(one.error is not None for one in shown)
        what = f"{unknown} of them unknown" if unknown else "with nothing to do"
        terminal.say(f"{rest} image{'s' * (rest != 1)}{' more' * bool(shown)}, {what} (--all shows them)")


def _short_names(refs: Sequence[ImageRef]) -> dict[str, str]:
    """Return the shortest end of every name that no other image has."""
    # Every end of a name, the shortest first: the first that only one image has is enough to tell it by.
    ends = {name: [name.split("/", at)[-1] for at in range(name.count("/"), -1, -1)] for name in {ref.name for ref in refs}}
    counts = Counter(end for every in ends.values() for end in every)
    return {name: next((end for end in every if counts[end] == 1), name) for name, every in ends.items()}


def _print_findings(verdicts: Sequence[Verdict], run: Run, form: str) -> None:
    """Print a finding for each place: SARIF, or annotations of a workflow and its summary."""
    every = [*findings.found(verdicts), *remarks.stopping(verdicts, run)]
    if form == "sarif":
        terminal.echo(output.sarif(every, CHECK_CODES, output.CHECK_HELP))
        return
    output.annotate(every)
    output.summarise(f"## krmfn check\n\n{_markdown(verdicts)}\n{remarks.summary(verdicts)}\n")


def _markdown(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No image found.\n"
    header = tuple(cell.lower() for cell in _HEADER)
    rows = [_row(verdict, verdict.ref.name) for verdict in verdicts]
    lines = (header, ("---",) * len(header), *rows)
    return "".join(f"| {' | '.join(map(_cell, cells))} |\n" for cells in lines)


def _cell(text: str) -> str:
    return printable(text, 1000).replace("|", "\\|")
