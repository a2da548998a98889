"""A run of `update`, and what it ran on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.inventory import files
from krmfn.plan.resolve import ask
from krmfn.yamledit.verification import rewrite

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.commands.interrupting import Memory
    from krmfn.git.automation import Automation
    from krmfn.outcome import Run
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Edit, Text

_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Examined:
    """A run and what it ran on. `top` is where `update.path` starts."""

    tree: files.Tree
    blocks: Sequence[Block]
    run: Run
    source: Memory
    automation: Automation | None
    top: Path

    def written(self) -> dict[Text, bytes]:
        """Return the new content of every file that changes; none when there is an error."""
        return {} if self.run.is_error else rewritten(self.texts, self.run.edits)

    @property
    def texts(self) -> tuple[Text, ...]:
        """Every text that a run may change, new ones included."""
        return (*self.tree.texts, *self.run.added)

    def write(self, written: Mapping[Text, bytes]) -> None:
        """Write new content of files. Raises InputError."""
        new = {text.name: data for text, data in written.items() if text in self.run.added and not Path(text.name).exists()}
        files.write_all({text: data for text, data in written.items() if text.name not in new}, self.tree.leftovers, new=new)

    def labels(self, questions: Iterable[tuple[Repository, str]]) -> dict[tuple[Repository, str], dict[str, str]]:
        """Return the labels of images; an image that cannot be asked has none."""
        answers = ask(questions, lambda one: dict(self.source.labels(*one)), _WORKERS)
        return {question: labels if isinstance(labels, dict) else {} for question, labels in answers.items()}


def rewritten(texts: Iterable[Text], edits: Iterable[tuple[Text, Edit]]) -> dict[Text, bytes]:
    """Return the new content of every text that changes."""
    edits_of: dict[int, list[Edit]] = {}
    for text, edit in edits:
        edits_of.setdefault(id(text), []).append(edit)
    return {text: rewrite(text, edits_of[id(text)]) for text in texts if id(text) in edits_of}
