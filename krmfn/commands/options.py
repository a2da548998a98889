"""Options that several verbs share, and what they make of the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from krmfn.config.loading import Config, Finish
from krmfn.config.settings import Settings, Unnamed, overridden
from krmfn.plan.resolve import TagSource
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.inventory.files import Skipped

Verb = TypeVar("Verb", bound=Callable[..., Any])
WOULD_CHANGE = 10
"""The exit code of a check that found something to change."""
PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))


def examples(*lines: str, exits: str) -> str:
    """Write the end of a help page: examples as they are typed, and the exit codes."""
    shown = "".join(f"  {line}\n" for line in lines)
    return f"\b\nExamples:\n{shown}\nExit: {exits}."


def choosing(verb: Verb) -> Verb:
    """Add the options that say how a run behaves; they win over configuration and environment."""
    for option in reversed(
        (
            click.option("--source", metavar="registry|layout:DIR", help="Where tags come from."),
            click.option(
                "--mode",
                type=click.Choice(["update", "check", "frozen"]),
                help="frozen takes every choice from the lock.",
            ),
            click.option(
                "--on-error",
                type=click.Choice(["fail", "keep"]),
                help="keep: a policy that failed leaves its fields alone.",
            ),
            click.option(
                "--on-downgrade",
                type=click.Choice(["keep", "allow", "fail"]),
                help="When the list lacks what is deployed.",
            ),
            click.option(
                "--keep-pins/--no-keep-pins",
                "keep_pins",
                default=None,
                help="Whether a field that holds a digest goes on holding one, whatever the policy says.",
            ),
        )
    ):
        verb = option(verb)
    return verb


def unnamed(within: str | None, on_error: str | None = None, *, pin: bool = False) -> Unnamed | None:
    """Return what images follow that no policy names; None for none of the options that say so."""
    return Unnamed(within, pin, on_error or "keep") if within or pin else None  # type: ignore[arg-type]


WITHIN = click.Choice(["patch", "minor", "major"])
STRICT = click.option("--strict", is_flag=True, help="Warnings are errors.")


def finishing(
    source: str | None,
    mode: str | None,
    on_error: str | None,
    on_downgrade: str | None,
    *,
    is_check: bool = False,
    strict: bool = False,
    keep_pins: bool | None = None,
    unnamed: Unnamed | None = None,
) -> Finish:
    """Return how the command line changes the settings. Raises click.BadParameter for a source that is none."""
    given: dict[str, Any] = {
        "mode": mode, "on_error": on_error, "on_downgrade": on_downgrade, "keep_pins": keep_pins
    }  # fmt: skip
    changes = {name: value for name, value in given.items() if value is not None}
    if unnamed is not None:
        changes["unnamed"] = unnamed
    if source is not None:
        kind, _, place = source.partition(":")
        if kind not in ("registry", "layout") or (kind == "layout") != bool(place):
            raise click.BadParameter(f"expected registry or layout:DIR, found {source!r}", param_hint="--source")
        changes["layout"] = place or None
    return lambda settings: replace(overridden(settings, os.environ), **changes, is_check=is_check, strict=strict)


def on_files(finish: Finish) -> Finish:
    """Return settings under which `mode: check`, wherever it is said, is what `--check` is."""

    def finished(settings: Settings) -> Settings:
        made = finish(settings)
        return replace(made, mode="update", is_check=True) if made.mode == "check" else made

    return finished


def open_source(rules: Config) -> TagSource:
    """Open what the configuration says."""
    from krmfn.sources.sources import Sources

    return Sources(rules, os.environ)


def settings_of(finish: Finish) -> Settings:
    """Return the settings of a command that reads no configuration."""
    return finish(Settings())


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
                click.echo(f"krmfn: {severity}: {printable(skipped.message, 2000)}", err=True)
        elif skipped.is_no_yaml:
            others.append(skipped.path)
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        click.echo(f"krmfn: info: left alone, as no YAML: {printable(', '.join(others[:3]), 2000)}{more}", err=True)
    return is_error
