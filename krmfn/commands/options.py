"""Options that several verbs share, and what they make of the settings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from krmfn import terminal
from krmfn.access import MACHINE
from krmfn.config.settings import Settings, Unnamed, overridden
from krmfn.disk.reading import max_bytes, read_stdin
from krmfn.inventory import files
from krmfn.sanitize import printable
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.config.records import Config, Finish
    from krmfn.inventory.survey import Skipped
    from krmfn.sources.sources import Sources

Verb = TypeVar("Verb", bound=Callable[..., Any])
WOULD_CHANGE = 10
"""The exit code of a check that found something to change."""
STDIN = Path("-")
_HELP_COLUMNS = 74
"""How wide an example may be: help pages have 80 columns, and two in front."""
_EXCLUDE, _IGNORE_WINDOWS = "krmfn.exclude", "krmfn.ignore_windows"


def examples(*lines: str, exits: str) -> str:
    """Write the end of a help page: examples as they are typed, and the exit codes. Long remarks stand above their command."""
    shown = []
    for line in lines:
        command, _, remark = line.partition(" # ")
        is_long = remark and len(line) > _HELP_COLUMNS
        shown += [f"# {remark}", *_typed(command.rstrip())] if is_long else _typed(line)
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in shown), "", f"Exit: {exits}."])


def verb(*lines: str, exits: str, group: click.Group | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator of a verb, of its own or of a group: its help page ends with examples and exit codes."""
    command = group.command if group else click.command
    return command(epilog=examples(*lines, exits=exits))


def _typed(command: str) -> list[str]:
    """Cut a long command before an option, as a shell goes on."""
    # The last option that still leaves room for the backslash; what follows is cut in the same way.
    at = command.rfind(" --", len("    --"), _HELP_COLUMNS - 2)
    if len(command) <= _HELP_COLUMNS or at < 0:
        return [command]
    return [f"{command[:at]} \\", *_typed(f"    {command[at + 1 :]}")]


def _noted(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that notes an option where `terminal` and `read` look for it."""

    def note(ctx: click.Context, _option: click.Parameter, value: Any) -> None:
        ctx.meta[name] = value

    return note


def _refuse_stdin(_ctx: click.Context, _option: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    if STDIN in value:
        raise click.BadParameter("- (stdin) is for commands that only look; this one writes files. As a function, krmfn "
                                 "without arguments reads a ResourceList")  # fmt: skip
    return value


_SHARED = (
    click.option("--exclude", metavar="GLOB", multiple=True, expose_value=False, callback=_noted(_EXCLUDE),
                 help="Leave out what matches, in .gitignore's grammar; repeatable. A .krmfnignore file does the same."),
    click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_noted(terminal.QUIET),
                 help="Only errors on stderr."),
    click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_noted(terminal.VERBOSE),
                 help="Tell on stderr what is read and asked."),
)  # fmt: skip


def adding(verb: Verb, *options: Callable[[Verb], Verb]) -> Verb:
    """Return a verb with options, which its help page shows in this order, above those that it has."""
    for option in reversed(options):
        verb = option(verb)
    return verb


def PATHS(verb: Verb) -> Verb:  # noqa: N802 - stands among click's decorators
    """Add PATHS of a verb that writes, and what every verb on files has."""
    paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), callback=_refuse_stdin)
    return adding(verb, paths, *_SHARED)


def looking(paths: Callable[[Any], Any]) -> Callable[[Verb], Verb]:
    """Return a decorator for a verb that only looks: its paths, of which `-` is stdin, and `--strict`."""
    strict = click.option(
        "--strict", is_flag=True, expose_value=False, callback=_noted(terminal.STRICT), help="Warnings are errors."
    )

    def add(verb: Verb) -> Verb:
        @wraps(verb)
        def run(*arguments: Any, **options: Any) -> int:
            code: int = verb(*arguments, **options)
            return 1 if click.get_current_context().meta.get(terminal.FAILED) else code

        return adding(run, paths, strict, *_SHARED)  # type: ignore[return-value]

    return add


LOOKED_AT = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATHS...")


def read(paths: Iterable[Path], *more: Path, is_hidden_shown: bool = False) -> files.Tree:
    """Read the manifests below the paths and stdin for `-`, without what is excluded. Raises InputError, ConfigError.

    `more` are files that are read whatever is excluded.
    """
    paths = tuple(paths)
    stdin = (Text(read_stdin(sys.stdin.buffer, max_bytes()), "stdin"),) if STDIN in paths else ()
    context = click.get_current_context(silent=True)
    if context:
        context.meta.setdefault(terminal.FIRST_PATH, next((path.absolute() for path in paths if path != STDIN), None))
    named = (*(path for path in paths if path != STDIN), *more)
    with terminal.watching("reading files"):
        tree = files.read(named, excluded(), stdin, is_hidden_shown=is_hidden_shown)
    terminal.detail(f"read {len(tree.every)} files below {', '.join(map(str, paths))}: {len(tree.texts)} can matter")
    return tree


def excluded() -> tuple[str, ...]:
    """Return the patterns of `--exclude`."""
    context = click.get_current_context(silent=True)
    patterns: tuple[str, ...] = context.meta.get(_EXCLUDE, ()) if context else ()
    return patterns


def unnamed(within: str | None, on_error: str | None = None, *, pin: bool = False) -> Unnamed | None:
    """Return what images follow that no policy names; None for none of the options that say so."""
    return Unnamed(within, pin, on_error or "keep") if within or pin else None  # type: ignore[arg-type]


WITHIN = click.Choice(["patch", "minor", "major"])
WINDOWS = click.option(
    "--ignore-windows", is_flag=True, expose_value=False, callback=_noted(_IGNORE_WINDOWS), help="Do not wait for the windows of the configuration."
)
STRICT = click.option("--strict", is_flag=True, help="Warnings are errors.")
CHECK = click.option("--check", is_flag=True, help="Write nothing; exit 10 when something would change.")
DIFF = click.option("--diff", is_flag=True, help="Show the changes as a unified diff.")
SOURCE = click.option("--source", metavar="registry|layout:DIR|oci://...", help="Where tags come from.")


def output(*forms: str) -> Callable[[Verb], Verb]:
    """Return the option for the form of the output; the first is the default."""
    return click.option("--output", "-o", "form", type=click.Choice(forms), default=forms[0], show_default=True)


def finishing(source: str | None = None, *, is_check: bool = False, strict: bool = False, **chosen: Any) -> Finish:
    """Return how the command line changes the settings: `chosen` are fields of Settings, None for what it leaves open.

    Raises click.BadParameter for a source that is none.
    """
    changes = {name: value for name, value in chosen.items() if value is not None}
    if source is not None:
        kind, _, place = source.partition(":")
        if kind not in ("registry", "layout", "oci") or (kind != "registry") != bool(place):
            raise click.BadParameter(f"expected registry, layout:DIR or oci://HOST/PATH@DIGEST, found {source!r}", param_hint="--source")
        changes |= {"layout": place if kind == "layout" else None, "layout_provenance": MACHINE}
        changes |= {"artifact": source if kind == "oci" else None, "artifact_provenance": MACHINE}
    context = click.get_current_context(silent=True)
    changes["ignore_windows"] = bool(context and context.meta.get(_IGNORE_WINDOWS))
    clock = float(int(time.time()))

    def finish(settings: Settings) -> Settings:
        finished = overridden(settings, os.environ)._replace(**changes, is_check=is_check, strict=strict)
        return finished._replace(now=clock if finished.now is None else finished.now)

    return finish


def on_files(finish: Finish) -> Finish:
    """Return settings under which `mode: check`, wherever it is said, is what `--check` is."""

    def finished(settings: Settings) -> Settings:
        settings_on_files = finish(settings)
        return settings_on_files._replace(mode="update", is_check=True) if settings_on_files.mode == "check" else settings_on_files

    return finished


@contextmanager
def open_source(rules: Config) -> Iterator[Sources]:
    """Yield what the configuration says, and show at a terminal what it is asked."""
    from krmfn.sources.sources import Sources

    with terminal.watching() as progress:
        yield Sources(rules, os.environ, progress)


def settings(source: str | None = None) -> Settings:
    """Return the settings of a command that reads no configuration. Raises click.BadParameter as `finishing`."""
    return finishing(source)(Settings())


def exit_code(*, is_error: bool, is_check: bool, would_change: bool) -> int:
    """Return the exit code of a verb that writes: an error wins over what a check found to change."""
    return 1 if is_error else WOULD_CHANGE if is_check and would_change else 0


def tell_skipped(every: Iterable[Skipped], severity: str = "warning") -> bool:
    """Report which files were left alone: one line each where that matters, one for all the others that are no YAML.

    `severity` is what those that matter are; empty when they are told elsewhere. Return True if there are errors.
    """
    others, is_error = [], False
    for skipped in every:
        if skipped.matters:
            is_error = is_error or severity == "error"
            if severity:
                terminal.say(skipped.message, severity)
        elif skipped.is_no_yaml:
            others.append(skipped.path)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        terminal.say(f"left alone, as no YAML: {printable(', '.join(others[:3]), 1900)}{more}", "info")
    return is_error
