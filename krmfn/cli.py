"""The command line: one file per verb in `commands`, imported when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import TYPE_CHECKING

import click

from krmfn import __version__, terminal
from krmfn.commands.output import to_json
from krmfn.errors import ConfigError, KrmfnError
from krmfn.sanitize import printable, printable_lines

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "adopt": "Print as policies what Renovate, Image Updater, Keel and Dependabot are told.",
    "annotate": "Turn markers into annotations that survive kustomize build.",
    "backtest": "Report what rules would have adopted and spared in git's history.",
    "check": "Say which images of manifests have newer versions.",
    "completion": "Print the completion script for a shell.",
    "create": "Print ImageRepository, ImagePolicy and ImageUpdateAutomation objects.",
    "doctor": "Look for the tools and files that krmfn works with.",
    "explain": "Say why a policy chose its tag, and why not the others.",
    "fetch": "Write what the policies need from registries as TagSnapshot and ImageLock items.",
    "fleet": "Plan, scan and report what many trees run.",
    "get": "Print image repositories, policies and automations as flux get does.",
    "init": "Write a policy for every image that none names.",
    "hold": "Keep a policy on a tag, or away from one.",
    "lint": "Find markers and policies that do nothing, and why.",
    "release": "Drop holds, or let a tag through before it is old enough.",
    "schema": "Print the JSON Schema of krmfn's own kinds.",
    "test": "Run policy unit tests.",
    "verify": "Report by whom images are signed, and what they were built from.",
    "update": "Write newer images into manifests, one value at a time.",
}
"""Every verb and what it does; `krmfn.commands.<verb>` holds its `command`."""


class Verbs(click.Group):
    """Lists every verb without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in order."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"krmfn.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a misspelt one gets the nearest name."""
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f" did you mean {near[0]}?" if near else f" known: {', '.join(COMMANDS)}"
            ctx.fail(f"no such command: {args[0]};{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs without importing them."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table of verbs without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _doc(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if not value:
        return
    from krmfn.about import ABOUT

    terminal.echo(to_json(ABOUT))
    ctx.exit(0)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="krmfn %(version)s")
@click.option(
    "--doc", is_flag=True, is_eager=True, expose_value=False, callback=_doc, help="Print the function's card as JSON."
)
def krmfn() -> None:
    """Newer images for manifests, as Flux's image automation chooses them, without a cluster.

    \b
    On files, to look and to edit in place:
      krmfn check .                       no configuration needed
      krmfn update . --diff --check
      krmfn update . --commit --push
      krmfn explain POLICY .

    \b
    As a KRM function, with a ResourceList on stdin:
      kustomize build --enable-alpha-plugins --enable-exec DIR
      kpt fn eval DIR --exec krmfn -- image=ghcr.io/acme/web semver=^1.2
      kpt fn render DIR --allow-exec

    \b
    Every command has --help with examples.
    """  # noqa: D301 - \b is click's mark


def main(arguments: list[str]) -> int:
    """Run the command line; return the exit code (0 done, 1 error, 2 usage, 130 interrupt)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if not arguments and "_KRMFN_COMPLETE" not in os.environ:
        terminal.echo(krmfn.get_help(click.Context(krmfn, info_name="krmfn")), err=True)
        return 2
    try:
        code = krmfn.main(arguments, prog_name="krmfn", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        told = StringIO()
        error.show(told)
        terminal.tell(printable_lines(told.getvalue()).removesuffix("\n"), err=True)
        return error.exit_code
    except click.Abort:
        return 130
    except ConfigError as error:
        for problem in error.problems:
            _say(str(problem))
        return 1
    except KrmfnError as error:
        _say(str(error), getattr(error, "help", ""))
        return 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _say(f"{error.filename or _place()}: {error.strerror or type(error).__name__}")
        return 1
    except Exception as error:  # noqa: BLE001 - nobody is to see a traceback
        from krmfn import bug

        _say(bug.message(error))
        return 1
    return code if isinstance(code, int) else 0


def _place() -> str:
    """Return what an error of the system without a file name is about."""
    try:
        os.getcwd()  # noqa: PTH109 - whether there is one
    except OSError:
        return "the working directory is gone, change to another one"
    return "the system"


def _say(message: str, advice: str = "") -> None:
    terminal.tell(f"krmfn: error: {printable(message, 2000)}", err=True)
    if advice:
        terminal.tell(f"help: {printable(advice, 1000)}", err=True)
