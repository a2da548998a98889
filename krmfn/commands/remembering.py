"""What `krmfn update` comes to on files, before it writes: a run, with the holds for what people took back and what could not be read.

`check` shows the same run, so that the two never disagree.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn import pipeline
from krmfn.commands.package import HOLDS, behind
from krmfn.config.hold import NEWER
from krmfn.config.snapshot import name_of
from krmfn.diagnostics import in_order
from krmfn.inventory import files
from krmfn.kubernetes.resource import describe
from krmfn.model import Diagnostic, Location
from krmfn.plan import report
from krmfn.plan.holdfile import hold_document
from krmfn.plan.taken_back import BECAUSE
from krmfn.yamledit.text import Edit, Text

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.outcome import Run
    from krmfn.plan.tag_source import TagSource
    from krmfn.yamledit.nodes import Block


def plan(tree: files.Tree, rules: Config, source: TagSource, blocks: Sequence[Block] | None = None) -> Run:
    """Return what an update of a tree, or of some of its blocks, comes to. Raises InputError."""
    run = pipeline.examine(tree.blocks if blocks is None else blocks, rules, lambda _: source, graph=tree.graph)
    run = with_holds(run, tree.texts)
    unread = report.judged((one.diagnostic for one in tree.skipped if one.matters), rules.settings)
    return run._replace(results=in_order([*run.results, *unread]))


def with_holds(run: Run, texts: Iterable[Text]) -> Run:
    """Return the run with the edits of holds: those of what was taken back stand where holds stand, else beside the lock.

    Raises InputError for a file that is in the way.
    """
    if not (run.taken or run.recorded.ended):
        return run
    known = {text.name: text for text in texts}
    there = [one.resource for one in run.config.holds if one.resource and one.resource.block.text.name]
    names = {one.id.name for one in there}
    documents: dict[str, list[str]] = {}
    for one in run.taken:
        name = name_of(f"{one.policy}-not-{one.tag}", names)
        names.add(name)
        home = there[0].block.text.name if there else posixpath.normpath(posixpath.join(one.folder, HOLDS))
        spec = {"policy": str(one.policy), "not": one.tag, "until": NEWER, "because": BECAUSE}
        documents.setdefault(home, []).append(hold_document(spec, name))
    # A file of holds that the run did not read, as it holds none yet, is read now: its end is where they go.
    edits: list[tuple[Text, Edit]] = []
    added: list[Text] = []
    for home, new in documents.items():
        text = known.get(home) or files.read_text(Path(home)) or Text(b"", home)
        added += [text] if home not in known else []
        edits.append((text, behind(text, new)))
    ended: list[Diagnostic] = []
    for hold in run.recorded.ended:
        block = hold.resource.block if hold.resource else None
        if hold.resource and block and block.text.name in known and len(list(describe(block))) == 1:  # in no List
            edits.append((block.text, Edit(block.start, block.end, b"")))
            message = f"the hold ends: policy {hold.policy} takes a newer tag than {hold.skip}"
            ended.append(Diagnostic("info", "held", message, Location(hold.resource.id), policy=hold.policy))
    return run._replace(hold_edits=tuple(edits), added=tuple(added), results=in_order([*run.results, *ended]))
