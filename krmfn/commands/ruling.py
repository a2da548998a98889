"""`--rules`: whose rules count on the command line. The commands that decide anything load their configuration here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.config import loading
from krmfn.config.records import Config, Finish, no_change
from krmfn.config.rule_files import GIT, VARIABLE

if TYPE_CHECKING:
    from krmfn.config.floor import Floor
    from krmfn.yamledit.nodes import Block

_SPEC, _FLOOR = "krmfn.rules", "krmfn.floor"


def _note(ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    """Note where the rules are; commits are computed in another folder, so that a path is made absolute here."""
    ctx.meta[_SPEC] = value if not value or value.startswith(GIT) else str(Path(value).absolute())


RULES = click.option(
    "--rules", metavar="FILE|DIR|git:REF", envvar=VARIABLE, expose_value=False, callback=_note,
    help="Rules, holds, locks and snapshots from outside the change under review; those below PATHS are only added to them.",
)  # fmt: skip


def load(blocks: Iterable[Block], finish: Finish = no_change) -> Config:
    """Read the configuration under the rules that the command line names. Raises ConfigError, InputError, GitError."""
    return loading.load(blocks, None, finish, given())


def given() -> Floor | None:
    """Return the rules that the command line or the environment names, read once; None without any."""
    meta = click.get_current_context().meta
    if meta.get(_SPEC) and _FLOOR not in meta:
        from krmfn.commands import outside

        near = meta.get(terminal.FIRST_PATH) or Path()
        meta[_FLOOR] = outside.read(meta[_SPEC], near)
    floor: Floor | None = meta.get(_FLOOR)
    return floor
