"""`krmfn annotate`: markers into annotations that survive kustomize, or markers onto fields that hold an image."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import completion, options, output
from krmfn.commands.package import rewritten
from krmfn.config.loading import load
from krmfn.config.objects import nearest
from krmfn.inventory import files
from krmfn.inventory.annotate import Note, from_markers, with_markers
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.model import ImagePolicy, PolicyKey
    from krmfn.yamledit.nodes import Block


@options.verb(
    "krmfn annotate base                                    # markers -> annotations",
    "krmfn annotate . --markers flux-system:web --diff      # markers onto the fields that hold web's image",
    "krmfn annotate . --markers 'flux-system:*' --check     # exit 10 when a marker is missing",
    exits="0 done, 1 an error (nothing is written), 2 usage, 10 with --check: something would change",
)
@options.PATHS
@click.option("--markers", "patterns", multiple=True, metavar="POLICY", shell_complete=completion.policies,
              help="Put markers on fields that hold this policy's image; repeatable, * matches.")  # fmt: skip
@options.CHECK
@options.STRICT
@options.DIFF
def command(paths: tuple[Path, ...], patterns: tuple[str, ...], check: bool, strict: bool, diff: bool) -> int:
    """Write the annotation krmfn.dev/images for every marker below PATHS.

    kustomize build strips comments, so markers never reach a function there; the annotation does. Markers stay.
    """
    tree = options.read(paths)
    annotations = with_markers(tree.blocks, _named(tree.blocks, patterns)) if patterns else from_markers(tree.blocks)
    left = any(one.matters for one in tree.skipped)
    is_error = (strict and (left or bool(annotations.left))) or (check and left)
    written = {} if is_error and strict else rewritten(tree.texts, annotations.edits)
    if not check:
        files.write_all(written, tree.leftovers)
    if diff:
        output.print_diff(written)
    else:
        _print(annotations.made)
    _warn(annotations.left, "error" if strict else "warning")
    options.tell_skipped([one for one in tree.skipped if one.matters], "error" if check or strict else "warning")
    fields, many = len(annotations.made), len(written)
    terminal.say(
        f"{fields} change{'s' * (fields != 1)} in {many} of {len(tree.texts)} file{'s' * (len(tree.texts) != 1)}"
    )
    return options.exit_code(is_error=is_error, is_check=check, would_change=bool(written))


def _named(blocks: Sequence[Block], patterns: Sequence[str]) -> list[ImagePolicy]:
    """Find the policies by their names, with or without namespace. Raises click.BadParameter for a name of none."""
    policies = load(blocks).policies
    named: dict[PolicyKey, ImagePolicy] = {}
    for pattern in (part for text in patterns for part in text.split(",")):
        mine = [key for key in policies if fnmatchcase(str(key), pattern) or key.name == pattern]
        if not mine:
            configured = ", ".join(sorted(map(str, policies))) or "none"
            hint = nearest(pattern, map(str, policies)) or f"; configured: {configured}"
            raise click.BadParameter(f"no policy {pattern} is configured{hint}", param_hint="--markers")
        named |= {key: policies[key] for key in mine}
    return list(named.values())


def _print(notes: Sequence[Note]) -> None:
    for path, line, column, message in notes:
        terminal.tell(f"{printable(path, 1000)}:{line}:{column} {printable(message, 2000)}")


def _warn(notes: Sequence[Note], severity: str) -> None:
    for path, line, column, message in notes:
        terminal.say(f"{path}:{line}:{column}: {message}", severity)
