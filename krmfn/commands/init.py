"""`krmfn init`: policies for every image that none names, written down once, so that `krmfn update` works at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import builds, options, output
from krmfn.commands.package import rewritten
from krmfn.config.loading import load
from krmfn.inventory import files
from krmfn.inventory.annotate import Annotations, bound, with_markers
from krmfn.inventory.starting import Start, may_be_bound, start
from krmfn.kubernetes import finder
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Edit, Text
from krmfn.yamledit.verification import rewrite

if TYPE_CHECKING:
    from krmfn.policies.protocol import Within

FILE = "krmfn.yaml"


@options.verb(
    "krmfn init . --dry-run              # look first: nothing is written",
    "krmfn init . && krmfn update . --diff --check",
    "krmfn init . --within patch",
    "krmfn init . --unsure --dry-run     # ConfigMaps, arguments, custom resources: what may be an image",
    "krmfn init clusters/prod --flux     # ImageRepository and ImagePolicy objects, and markers on the fields",
    exits="0 done, 1 an error (nothing is written), 2 usage",
)
@options.PATHS
@click.option("--within", type=options.WITHIN, default="minor", show_default=True, help="How far the policies go.")
@click.option("--flux", is_flag=True, help="Write Flux objects and markers instead of an ImageAutomation.")
@click.option("--namespace", metavar="NAME", default="flux-system", show_default=True, help="Of Flux objects.")
@click.option("--unsure", is_flag=True, help="Bind places that may be no image too: by markers, or annotations where kustomize builds.")
@click.option("--dry-run", is_flag=True, help="Write nothing; print what would be written.")
def command(paths: tuple[Path, ...], within: Within, flux: bool, namespace: str, unsure: bool, dry_run: bool) -> int:
    """Write a policy for every image below PATHS that no policy names. No registry is asked.

    The policies stand in krmfn.yaml in the first of PATHS; a second run adds only what is new. Fields that are sure to hold an image are
    bound by its name; Flux objects get markers, or annotations where no marker fits. A repository that cannot answer later
    keeps its fields (onError: keep).
    """
    tree, path = options.read(paths), paths[0]
    options.tell_skipped(one for one in tree.skipped if one.matters)
    config = load(tree.blocks)
    home = path / FILE if path.is_dir() else path.parent / FILE
    places = finder.find(tree.blocks, tree.graph)
    begun = start(config, places, within, namespace if flux else "", has_unsure=unsure)
    there = next((text for text in tree.texts if Path(text.name) == home), None)
    if there is None:
        there = files.read_text(home)
    new = _home(begun, there)
    policies = load(documents(Text(begun.document.encode(), FILE))).policies if begun.policies else {}
    bindings = [with_markers(tree.blocks, list(policies.values()))] if flux else []
    if unsure:
        bindings.append(bound(filter(may_be_bound, places), [*config.policies.values(), *policies.values()], builds.is_built))
    changed = _changed(bindings, there)
    mine = {(there or Text(b"", str(home))): new} if begun.policies else {}
    if dry_run:
        output.print_diff({**mine, **changed})
    elif there is None:
        files.write_all(changed, tree.leftovers, new={text.name: data for text, data in mine.items()})
    else:
        files.write_all({**changed, **mine}, tree.leftovers)
    _tell(begun, len(changed), home, dry_run=dry_run)
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


def _changed(bindings: Iterable[Annotations], home: Text | None) -> dict[Text, bytes]:
    """Return the texts with the markers and annotations that bind fields, and report what could not be bound."""
    edits: list[tuple[Text, Edit]] = []
    for bound_fields in bindings:
        for note in bound_fields.left:
            terminal.say(f"{note.path}:{note.line}:{note.column}: {note.message}", "warning")
        edits += [(text, edit) for text, edit in bound_fields.edits if text is not home]
    return rewritten(dict.fromkeys(text for text, _ in edits), edits)


def _tell(begun: Start, bound_files: int, home: Path, *, dry_run: bool) -> None:
    for reason in begun.left:
        terminal.say(reason, "info")
    count = len(begun.policies)
    what = [f"{count} polic{'ies' if count != 1 else 'y'} to {home}"] if count else []
    if bound_files:
        what.append(f"markers or annotations in {bound_files} file{'s' * (bound_files != 1)}")
    if not what:
        terminal.say("every image that is sure to be one has a policy: nothing to add")
        return
    terminal.say(f"{'would write' if dry_run else 'wrote'} {', and '.join(what)}")
    if not dry_run:
        for hint in builds.unseen({str(home): b""}):
            terminal.say(hint, "note")
        terminal.say("next: krmfn update PATH --diff --check")
