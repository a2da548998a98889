"""`krmfn update --commit`: the update as commits of the git program, on the branch or for a pull request.

Commits are made from what is committed, in a worktree of their own; `gitrepo` says why nothing can be lost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import click

from krmfn.commands.scope import Examined, automation_of, examine, inside, rewritten
from krmfn.configuration.config import Finish
from krmfn.errors import GitError
from krmfn.foreign import printable
from krmfn.git import changelog, message
from krmfn.git.automation import Automation
from krmfn.git.changelog import Row
from krmfn.git.repository import Author, Commit, Repository, Style
from krmfn.inventory import files
from krmfn.model import PolicyKey
from krmfn.text.yamltext import Edit, Text

Report = Callable[[Examined, Mapping[Text, bytes]], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for."""

    automation: str | None = None
    push: bool = False
    split: bool = False
    template: str | None = None
    branch: str | None = None
    remote: str = ""
    sign: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Where commits go: `base` is what they follow, `remote` is empty when nothing is pushed."""

    repository: Repository
    branch: str
    base: str
    remote: str

    @property
    def is_here(self) -> bool:
        """True when the checkout's own branch moves."""
        return self.branch in ("", self.repository.branch) or not self.repository.branch


def commit(paths: Sequence[Path], finish: Finish, wish: Wish, report: Report) -> int:
    """Update, commit, and push when asked; answer the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worktree is removed
    repository = Repository(paths[0])
    repository.check_idle()
    here = Path.cwd() if Path.cwd().resolve().is_relative_to(repository.root.resolve()) else repository.root
    seen = inside(repository.root, paths, here)
    plan = _plan(repository, wish, _automation(paths, wish))
    _warn(repository, paths)
    with repository.worktree(plan.base) as tree:
        with chdir(tree.folder / here.resolve().relative_to(repository.root.resolve())):
            found = examine(seen, finish, wish.automation, tree.folder)
            written = found.written()
            commits = [] if found.run.is_error else list(_commits(found, wish, tree.folder))
        if not commits:
            report(found, written)
            return int(found.run.is_error)
        if plan.is_here:
            repository.check_clean({path for one in commits for path in one.files})
        made = tree.commit(commits, _style(found.automation, wish))
    _keep(plan, made, commits)
    report(found, written)  # not before: whatever fails above has changed nothing
    for name, one in zip(made, commits, strict=True):
        where = f" on {plan.branch}" if plan.branch else ""
        click.echo(
            f"committed {name[:7]}{where}: {printable(one.message.splitlines()[0] if one.message else '', 200)}",
            err=True,
        )
    if plan.remote:
        _push(plan, made[-1], found.automation)
    return 0


def _automation(paths: Sequence[Path], wish: Wish) -> Automation | None:
    return automation_of(files.read(paths), wish.automation) if wish.automation else None


def _plan(repository: Repository, wish: Wish, automation: Automation | None) -> Plan:
    wanted = wish.branch or (automation.branch if automation else "")
    checkout = automation.checkout_branch if automation and not wish.branch else ""
    current = repository.branch
    if checkout and current and checkout != current:
        raise GitError(
            f"the automation works on branch {checkout}, and {current} is checked out",
            help=f"git switch {checkout}, or name the branch: --branch {current}",
        )
    branch = wanted or current
    if wish.push and not branch:
        message = "no branch to push to: HEAD is detached, and neither --branch nor the automation names one"
        raise GitError(message, help="--branch NAME")
    remote = repository.remote(wish.remote) if wish.push else ""
    tip = repository.fetch(remote, branch) if remote else ""
    if branch == current or not current:
        repository.check_ahead(tip, remote, branch)
        return Plan(repository, branch, repository.head, remote)
    return Plan(repository, branch, tip or ("" if remote else repository.tip(branch)) or repository.head, remote)


def _warn(repository: Repository, paths: Sequence[Path]) -> None:
    names = [os.path.relpath(path.resolve(), repository.root.resolve()) for path in paths]
    dirty = [
        name
        for name in repository.changed(names)
        if name.endswith((".yaml", ".yml")) or Path(name).name == "Kustomization"
    ]
    if dirty:
        count = f"{len(dirty)} manifest{'s' * (len(dirty) != 1)} with changes that are not committed"
        click.echo(
            f"krmfn: warning: {count}: {printable(', '.join(dirty))}; commits are made from what is committed", err=True
        )


def _style(automation: Automation | None, wish: Wish) -> Style:
    if automation is None:
        return Style(signing="default" if wish.sign else "")
    return Style(
        Author(automation.author_name, automation.author_email), automation.signing or ("default" if wish.sign else "")
    )


def _keep(plan: Plan, made: Sequence[str], commits: Sequence[Commit]) -> None:
    if plan.is_here:
        plan.repository.forward(made[-1], {path for one in commits for path in one.files})
    elif not plan.remote:
        plan.repository.move(plan.branch, made[-1], plan.repository.tip(plan.branch))


def _push(plan: Plan, name: str, automation: Automation | None) -> None:
    options = automation.push_options if automation else ()
    target = f"{name}:refs/heads/{plan.branch}"
    refspec = automation.refspec if automation else ""
    try:
        plan.repository.push(plan.remote, target, options)
        if refspec:
            own = f"refs/heads/{plan.branch}"
            source, colon, rest = refspec.partition(":")
            plan.repository.push(
                plan.remote, f"{name}:{rest or own}" if source == own else source + colon + rest, options
            )
    except GitError as error:
        stays = f"; commit {name[:7]} stays on {plan.branch or 'HEAD'}" if plan.is_here else "; nothing was changed"
        advice = (
            f"git pull --rebase {plan.remote} {plan.branch} && git push {plan.remote} {plan.branch}"
            if plan.is_here
            else "run krmfn again"
        )
        raise GitError(f"{error}{stays}", help=error.help or advice) from None
    more = f" and refspecs '{refspec}'" if refspec else ""
    click.echo(f"pushed commit '{name[:7]}' to branch '{plan.branch}'{more}", err=True)


def _commits(found: Examined, wish: Wish, top: Path) -> Iterator[Commit]:
    """Make one commit of everything, or with --split one for each image; the lock goes with the last."""
    rows = changelog.rows(found.run.changes)
    groups = _by_image(rows) if wish.split else [rows] if found.written() else []
    if not groups and found.written():
        groups = [rows]
    own = {id(change.edit) for change in found.run.changes}
    rest = [pair for pair in found.run.edits if id(pair[1]) not in own]
    edits: list[tuple[Text, Edit]] = []
    before: dict[str, bytes] = {}
    for index, group in enumerate(groups):
        edits += [(change.target.resource.block.text, change.edit) for row in group for change in row.changes]
        edits += rest if index == len(groups) - 1 else []
        content = {_path(text, top): data for text, data in rewritten(found.tree.texts, edits).items()}
        changed = {path: data for path, data in content.items() if before.get(path) != data}
        before = content
        yield Commit(_message(found, group, wish), changed)


def _by_image(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    names = dict.fromkeys(row.image for row in rows)
    return [tuple(row for row in rows if row.image == name) for name in names]


def _path(text: Text, top: Path) -> str:
    return Path(text.name).resolve().relative_to(top.resolve()).as_posix()


def _message(found: Examined, rows: Sequence[Row], wish: Wish) -> str:
    made = found.automation
    template = wish.template if wish.template is not None else made.message_template if made else None
    if template is None:
        return changelog.message(rows, lambda place: _from_top(place, found.top)) if rows else "Update the image lock\n"
    folder = made.folder(found.top) if made else found.top
    edits = [
        message.Edit(
            _relative(change.target.resource.block.text, folder), change.target.resource.id,
            change.target.scalar.value, change.value, str(change.target.setter),
        )
        for row in rows for change in row.changes
    ]  # fmt: skip
    key = made.key if made else PolicyKey("default", "krmfn")
    return message.write(template, key, edits, dict(made.values) if made else {})


def _from_top(place: str, top: Path) -> str:
    """Name a place, `file:line`, from the repository's root."""
    path, colon, line = place.rpartition(":")
    whole = Path(path).resolve() if colon else Path(place).resolve()
    if not whole.is_relative_to(top.resolve()):
        return place
    return (
        whole.relative_to(top.resolve()).as_posix() + colon + line
        if colon
        else whole.relative_to(top.resolve()).as_posix()
    )


def _relative(text: Text, folder: Path) -> str:
    path, top = Path(text.name).resolve(), folder.resolve()
    return path.relative_to(top).as_posix() if path != top else path.name
