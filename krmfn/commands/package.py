"""A package of files and what a command adds to it: edits of what stands there, and documents in files of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn import terminal
from krmfn.inventory import files
from krmfn.yamledit.text import Edit, Text
from krmfn.yamledit.verification import rewrite

if TYPE_CHECKING:
    from krmfn.outcome import Run

LOCK, TAGS, HOLDS = "krmfn-lock.yaml", "krmfn-tags.yaml", "krmfn-holds.yaml"
_HEADS = {
    LOCK: "# What the policies chose, written by krmfn fetch and krmfn update. Mode frozen takes every choice from here.\n",
    TAGS: "# What the registries offered, written by krmfn fetch. krmfn reads this instead of asking them.\n",
}


def behind(text: Text, documents: Sequence[str]) -> Edit:
    """Return the edit that puts documents at the end of a file; a new one starts with what it is for."""
    head = "" if text.data else _HEADS.get(Path(text.name).name, "")
    end = "" if not text.data or text.data.endswith(b"\n") else "\n"
    start = "---\n" if text.data.strip() else ""
    at = len(text.data)
    return Edit(at, at, (head + end + start + "---\n".join(documents)).encode())


def rewritten(texts: Iterable[Text], edits: Iterable[tuple[Text, Edit]]) -> dict[Text, bytes]:
    """Return the new content of every text that changes, in the order of the texts. Raises InputError."""
    edits_of: dict[Text, list[Edit]] = {}
    for text, edit in edits:
        edits_of.setdefault(text, []).append(edit)
    return {text: rewrite(text, edits_of[text]) for text in texts if text in edits_of}


def lock_note(run: Run) -> str:
    """Return how the image lock is renewed; empty when it stays."""
    return run.recorded.renewal.described if run.recorded.lock_edits else ""


@dataclass
class Package:
    """The files of a package and what is to become of them."""

    tree: files.Tree
    base: Path
    edits: dict[str, list[Edit]] = field(default_factory=dict)
    documents: dict[str, list[str]] = field(default_factory=dict)
    """New documents by the path of a file that is not there yet, or that gets them at its end."""
    _read: dict[str, Text | None] = field(default_factory=dict)
    """What stands in files that `tree` lacks, read once: what is written is held against what was read."""

    def edit(self, text: Text, edits: Sequence[Edit]) -> None:
        """Note edits of a file."""
        self.edits.setdefault(text.name, []).extend(edits)

    def append(self, path: str, document: str) -> None:
        """Note a document for the end of a file."""
        self.documents.setdefault(path, []).append(document)

    def put(self, *, is_check: bool = False, is_error: bool = False) -> dict[str, bytes]:
        """Write what changes, and return it; nothing does after an error, and nothing is written for a check.

        Raises InputError, also for a file that somebody else changed meanwhile.
        """
        written = {} if is_error else self._written()
        if not is_check:
            there = self._texts()
            changed = {there[name]: data for name, data in written.items() if name in there}
            added = {name: data for name, data in written.items() if name not in there}
            files.write_all(changed, self.tree.leftovers, new=added)
        return written

    def _written(self) -> dict[str, bytes]:
        # `there` gains empty texts for files that are new, against which their documents are proven as edits.
        there = self._texts()
        edits = {name: list(changes) for name, changes in self.edits.items() if changes}
        for name, documents in self.documents.items():
            text = there.setdefault(name, Text(b"", name))
            edits.setdefault(name, []).append(behind(text, documents))
        contents = {name: rewrite(there[name], changes) for name, changes in sorted(edits.items())}
        return {name: data for name, data in contents.items() if data != there[name].data}

    def _texts(self) -> dict[str, Text]:
        """Return every file that is there by its path, also one that had nothing to do with krmfn so far."""
        texts = {text.name: text for text in self.tree.texts}
        for name in self.documents.keys() - texts.keys():
            if name not in self._read:
                self._read[name] = files.read_text(Path(name))
            if (text := self._read[name]) is not None:
                texts[name] = text
        return texts


def tell_written(written: Iterable[str], *, is_check: bool = False) -> None:
    """Report which files `Package.put` wrote, or would write."""
    names = ", ".join(written)
    verb = "would write" if is_check else "wrote"
    terminal.say(f"{verb} {names}" if names else "everything is up to date")
