"""A run of `update`, and what it looks at: all files below the paths, or what one ImageUpdateAutomation takes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.commands import interrupting, options, ruling
from krmfn.commands.base import with_changed
from krmfn.commands.package import rewritten
from krmfn.commands.remembering import plan
from krmfn.diagnostics import misconfigured
from krmfn.errors import GitError, InputError
from krmfn.git.automation import Automation, find
from krmfn.inventory import files, flux_objects
from krmfn.kubernetes import finder
from krmfn.plan.resolve import ask
from krmfn.plan.unnamed import with_unnamed

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.records import Finish
    from krmfn.outcome import Run
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Text


@dataclass(frozen=True, slots=True)
class Examined:
    """A run and what it ran on. `top` is where `update.path` starts."""

    tree: files.Tree
    blocks: Sequence[Block]
    run: Run
    source: interrupting.Memory
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
        answers = ask(questions, lambda one: dict(self.source.labels(*one)))
        return {question: labels if isinstance(labels, dict) else {} for question, labels in answers.items()}


def automation_of(tree: files.Tree, name: str) -> Automation:
    """Find the automation of this name in the files. Raises ConfigError."""
    objects = flux_objects.gather(tree.blocks)
    return Automation.read(find(objects.all, name), objects.all)


def examine(
    paths: Iterable[Path], finish: Finish, name: str | None, top: Path | None = None, *, is_patient: bool = False
) -> Examined:
    """Read the files and find out what is to change; with the name of an automation only what that one takes.

    `top` is the repository's root; without it the folder that holds a `.git`, else the first path, is taken.
    With `is_patient` an interrupted run is returned, whose source `is_cut`; else KeyboardInterrupt is raised.
    """
    paths = tuple(paths)
    tree = options.read(paths)
    rules, blocks, automation = ruling.load(tree.blocks, finish), tree.blocks, None
    rules, root = rules._replace(remembers=rules.settings.mode != "frozen"), top or root_of(paths[0])
    if name is not None:
        objects = flux_objects.gather(tree.blocks)
        automation = Automation.read(find(objects.all, name), objects.all)
        _check_covered(automation, paths, root)
        rules, blocks = automation.narrow(rules, objects.all), automation.scope(tree.blocks, root)
    if rules.settings.unnamed:
        if rules.settings.mode == "frozen":
            raise misconfigured("--within and --pin ask registries, which mode frozen forbids: leave one of them out")
        rules = with_unnamed(rules, finder.find(blocks, tree.graph), rules.settings.unnamed)
    rules = with_changed(rules, tree.texts, root)
    run, source = interrupting.ask(rules, lambda asked: plan(tree, rules, asked, blocks))
    if source.is_cut and not is_patient:
        raise KeyboardInterrupt
    return Examined(tree, blocks, run, source, automation, root)


def _check_covered(automation: Automation, paths: Iterable[Path], root: Path) -> None:
    """Refuse when none of the paths reaches into `update.path`: nothing could be found there."""
    folder = automation.folder(root).resolve()
    tops = [path.resolve() for path in paths]
    if not any(folder.is_relative_to(top) or top.is_relative_to(folder) for top in tops):
        message = (
            f"update.path {automation.path} of {automation.key} is not below it: name the repository's root, {root}"
        )
        raise InputError(message, name=str(tops[0]))


def root_of(path: Path) -> Path:
    """Return the top of the git repository around a path; outside of one the path itself."""
    here = path.resolve()
    folder = here if here.is_dir() else here.parent
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), folder)


def inside(root: Path, paths: Iterable[Path], here: Path) -> tuple[Path, ...]:
    """Return the paths as they are seen from `here`, which is in the repository; raises GitError for one outside."""
    relative = []
    for path in paths:
        whole = path.resolve()
        if not whole.is_relative_to(root.resolve()):
            raise GitError(f"{path} is outside of the repository {root}", help="commit one repository at a time")
        relative.append(Path(os.path.relpath(whole, here)))
    return tuple(relative)
