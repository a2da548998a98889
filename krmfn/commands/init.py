"""`krmfn init`: policies for every image that none names, written down once, so that `krmfn update` works at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from krmfn import terminal
from krmfn.commands import builds, options
from krmfn.commands.update import diffs
from krmfn.config.loading import load
from krmfn.inventory import files
from krmfn.inventory.annotate import with_markers
from krmfn.inventory.starting import Start, start
from krmfn.kubernetes import finder
from krmfn.policies.newer import Within
from krmfn.yamledit.nodes import Edit, Text, documents
from krmfn.yamledit.verification import rewrite

FILE = "krmfn.yaml"


@click.command(
    epilog=options.examples(
        "krmfn init . --dry-run              # look first: nothing is written",
        "krmfn init . && krmfn update . --diff --check",
        "krmfn init . --within patch",
        "krmfn init clusters/prod --flux     # ImageRepository and ImagePolicy objects, and markers on the fields",
        exits="0 done, 1 an error (nothing is written), 2 usage",
    )
)
@options.PATHS
@click.option("--within", type=options.WITHIN, default="minor", show_default=True, help="How far the policies go.")
@click.option("--flux", is_flag=True, help="Write Flux objects and markers instead of an ImageAutomation.")
@click.option("--namespace", metavar="NAME", default="flux-system", show_default=True, help="Of Flux objects.")
@click.option("--dry-run", is_flag=True, help="Write nothing; print what would be written.")
def command(paths: tuple[Path, ...], within: Within, flux: bool, namespace: str, dry_run: bool) -> int:
    """Write a policy for every image below PATHS that no policy names. No registry is asked.

    The policies stand in krmfn.yaml in the first of PATHS; a second run adds only what is new. Fields that are sure to hold an image are
    bound by its name; Flux objects get markers, or annotations where no marker fits. A repository that cannot answer later
    keeps its fields (onError: keep).
    """
    tree, path = options.read(paths), paths[0]
    options.tell_skipped(one for one in tree.skipped if one.matters)
    config = load(tree.blocks)
    home = path / FILE if path.is_dir() else path.parent / FILE
    begun = start(config, finder.find(tree.blocks, tree.graph()), within, namespace if flux else "")
    there = next((text for text in tree.texts if Path(text.name) == home), None)
    if there is None:
        there = files.read_text(home)
    new = _home(begun, there)
    edits = _bindings(tree, begun) if flux else {}
    changed = {text: rewrite(text, made) for text, made in edits.items() if text is not there}
    written = {str(home): new} if begun.policies else {}
    if dry_run:
        terminal.echo("".join(diffs({(there or Text(b"", str(home))): new, **changed} if written else {})), nl=False)
    elif written:
        if there is None:
            files.write_all(changed, tree.leftovers, new={str(home): new})
        else:
            files.write_all({**changed, there: new}, tree.leftovers)
    _tell(begun, [*written, *(text.name for text in changed)], home, dry_run=dry_run)
    return 0


def _home(begun: Start, there: Text | None) -> bytes:
    """Return the new content of the file that holds the policies. Raises InputError for one that is no YAML."""
    if there is None:
        return begun.document.encode()
    edit = begun.addition(documents(there))
    if edit is not None:
        return rewrite(there, [edit])
    end = "" if not there.data or there.data.endswith(b"\n") else "\n"
    new = there.data + f"{end}---\n{begun.document}".encode()
    documents(Text(new, there.name))
    return new


def _bindings(tree: files.Tree, begun: Start) -> dict[Text, list[Edit]]:
    """Return the markers, or annotations, that bind the fields to Flux's policies."""
    policies = load(documents(Text(begun.document.encode(), FILE))).policies if begun.policies else {}
    annotations = with_markers(tree.blocks, list(policies.values()))
    for note in annotations.left:
        place = f"{note.path}:{note.line}:{note.column}"
        terminal.say(f"{place}: {note.message}", "warning")
    edits: dict[Text, list[Edit]] = {}
    for text, edit in annotations.edits:
        edits.setdefault(text, []).append(edit)
    return edits


def _tell(begun: Start, written: Sequence[str], home: Path, *, dry_run: bool) -> None:
    for reason in begun.left:
        terminal.say(reason, "info")
    if not begun.policies:
        terminal.say("every image that is sure to be one has a policy: nothing to add")
        return
    count = len(begun.policies)
    verb = "would write" if dry_run else "wrote"
    others = f", and markers in {len(written) - 1} file{'s' * (len(written) != 2)}" if len(written) > 1 else ""
    terminal.say(f"{verb} {count} polic{'ies' if count != 1 else 'y'} to {home}{others}")
    if not dry_run:
        for hint in builds.unseen({str(home): b""}):
            terminal.say(hint, "note")
        terminal.say("next: krmfn update PATH --diff --check")
