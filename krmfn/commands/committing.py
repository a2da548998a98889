"""`krmfn update --commit`: the update as commits of the git program, on the checked-out branch or as proposals.

Commits are made from what is committed, in a worktree of their own; `git.repository` says why nothing can be lost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from krmfn import terminal
from krmfn.commands import drafting, options, proposing
from krmfn.commands.workspace import Examined, automation_of, examine, inside
from krmfn.errors import GitError
from krmfn.git.drafts import Draft, Style, Worktree
from krmfn.git.names import branch_problem
from krmfn.git.own_commits import patch_id
from krmfn.git.program import Allowance, seconds_allowed
from krmfn.git.proposals import Proposal
from krmfn.git.repository import Repository
from krmfn.git.workspace import Workspace, workspace
from krmfn.sanitize import for_shell, printable
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.config.records import Finish
    from krmfn.git.automation import Automation

Report = Callable[[Examined, Mapping[Text, bytes], Sequence[Proposal]], None]
_MOST = 100
"""Commits that are not pushed yet, of which one may be krmfn's."""


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What the command line asks for: the options that say how `krmfn update` commits."""

    automation: str | None
    push: bool
    split: bool
    message: str | None
    branch: str | None
    base: str
    prune: bool
    remote: str
    sign: bool


@dataclass(frozen=True, slots=True)
class Destination:
    """Where commits go. `remote` is empty if nothing is pushed, `tip` is what the remote's branch holds.

    `refspec` and `options` are what an automation says of pushing.
    """

    branch: str
    remote: str
    is_here: bool
    base: str
    tip: str = ""
    refspec: str = ""
    options: tuple[tuple[str, str], ...] = ()


def commit(paths: Sequence[Path], finish: Finish, request: CommitRequest, report: Report) -> int:
    """Update, commit, and push if asked to. Return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the worktree is removed
    if request.branch is not None and (problem := branch_problem(request.branch)):
        raise click.BadParameter(f"{printable(request.branch)!r} {problem}", param_hint="--branch")
    repository = Repository(paths[0], Allowance(seconds_allowed(os.environ)))
    repository.check_idle()
    here = Path.cwd() if Path.cwd().resolve().is_relative_to(repository.root.resolve()) else repository.root
    seen = inside(repository.root, paths, here)
    with workspace(repository.git) as space:
        automation = automation_of(options.read(paths), request.automation) if request.automation else None
        destination = _destination(repository, request, automation)
        _warn_of_changes(repository, paths)
        with space.worktree(repository.root.name, destination.base) as folder:
            with chdir(folder / here.resolve().relative_to(repository.root.resolve())):
                examined = examine(seen, finish, request.automation, folder)
                written = examined.written()
                is_apart, parts = not destination.is_here, []
                if not examined.run.is_error:
                    parts = drafting.parts(examined, folder, request.message, split=request.split, apart=is_apart)
            if examined.run.is_error:
                report(examined, written, ())
                return 1
            worktree, style = Worktree(replace(repository.git, folder=folder)), _style(examined.automation, request)
            if is_apart:
                proposer = proposing.Proposer(repository, space, worktree, style, destination)
                proposals = proposer.propose(parts, split=request.split, prune=request.prune)
                report(examined, written, proposals)
                refused = sum(one.state == "refused" for one in proposals)
                if refused:
                    terminal.say(f"{refused} of {len(proposals)} branch{'es' * (len(proposals) != 1)} refused: see above", "error")
                return int(bool(refused))
            drafts = [part.draft for part in parts if part.draft.files]
            if drafts:
                repository.check_clean({path for draft in drafts for path in draft.files})
            names = worktree.commit(drafts, style)
        _keep(repository, space, destination, names, drafts)
        report(examined, written, ())  # not before: whatever fails above has changed nothing
        where = f" on {destination.branch}" if destination.branch else ""
        for name, draft in zip(names, drafts, strict=True):
            terminal.say(f"committed {name[:7]}{printable(where)}: {printable(draft.subject, 200)}")
        if destination.remote:
            _push(repository, space, destination, names[-1] if names else "")
    return 0


def _destination(repository: Repository, request: CommitRequest, automation: Automation | None) -> Destination:
    current = repository.branch
    checkout = automation.checkout_branch if automation and not request.branch else ""
    if checkout and current and checkout != current:
        raise GitError(
            f"the automation works on branch {checkout}, and {current} is checked out",
            help=f"{for_shell('git', 'switch', checkout)}, or name the branch: {for_shell('--branch', current)}",
        )
    branch = request.branch or (automation.branch if automation else "") or current
    if request.push and not branch:
        message = "no branch to push to: HEAD is detached, and neither --branch nor the automation names one"
        raise GitError(message, help="--branch NAME")
    remote = repository.remote(request.remote) if request.push else ""
    is_here = branch == current
    if not current and branch and remote:
        is_here = branch == repository.default_branch(remote)
    pushing = (automation.refspec, automation.push_options) if automation else ("", ())
    if not is_here:
        repository.check_version()
        return Destination(branch, remote, is_here, _base(repository, request.base, remote), "", *pushing)
    if request.base or request.prune:
        option = "--base" if request.base else "--prune"
        raise click.UsageError(f"{option} needs --branch NAME with another branch than the one that is checked out")
    tip = repository.fetch(remote, branch) if remote else ""
    repository.check_ahead(tip, remote, branch)
    return Destination(branch, remote, is_here, repository.head, tip, *pushing)


def _base(repository: Repository, wanted: str, remote: str) -> str:
    """Return the commit that proposals start from; a branch of the remote is fetched first."""
    if not wanted:
        return repository.head
    name, _, branch = wanted.partition("/")
    if remote and name == remote and branch and not branch_problem(branch):
        options = ("--depth=50",) if repository.git.is_shallow else ()
        if tip := repository.fetch(remote, branch, *options):
            return tip
    if commit := repository.git.commit(wanted):
        return commit
    raise GitError(
        f"--base {wanted}: there is no such commit here",
        help=f"{for_shell('git', 'fetch', remote or 'REMOTE')} BRANCH first; a clone in CI may lack it: fetch-depth: 0",
    )


def _warn_of_changes(repository: Repository, paths: Sequence[Path]) -> None:
    names = [os.path.relpath(path.resolve(), repository.root.resolve()) for path in paths]
    dirty = [
        name
        for name in repository.changed(names)
        if name.endswith((".yaml", ".yml")) or Path(name).name in ("Kustomization", "Kptfile")
    ]
    if dirty:
        count = f"{len(dirty)} manifest{'s' * (len(dirty) != 1)} with changes that are not committed"
        terminal.say(f"{count}: {printable(', '.join(dirty))}; commits are made from what is committed", "warning")


def _style(automation: Automation | None, request: CommitRequest) -> Style:
    signing = "default" if request.sign else ""
    if automation is None:
        return Style(signing=signing)
    return Style(automation.author_name, automation.author_email, automation.signing or signing)


def _keep(
    repository: Repository, space: Workspace, destination: Destination, names: Sequence[str], drafts: Sequence[Draft]
) -> None:
    """Move the checked-out branch to the last commit, and remember that it is not pushed yet."""
    if not names:
        return
    before = repository.unpushed(destination.branch)
    repository.note_unpushed(destination.branch, names[-1], space)
    try:
        repository.forward(names[-1], {path for draft in drafts for path in draft.files}, space)
    except GitError:
        repository.note_unpushed(destination.branch, before, space)
        raise


def _push(repository: Repository, space: Workspace, destination: Destination, name: str) -> None:
    """Push the commit of this run, or one of an earlier run that was not pushed then."""
    branch, remote, tip, refspec = destination.branch, destination.remote, destination.tip, destination.refspec
    name = name or _unpushed(repository, branch, tip)
    if name:
        # Flux pushes the branch, and by the refspec besides; one whose source is the branch means this very commit.
        own = f"refs/heads/{branch}"
        source, colon, target = refspec.partition(":")
        try:
            if not (tip and repository.git.is_ancestor(name, tip)):
                repository.push(remote, [f"{name}:{own}"], destination.options)
            if refspec:
                pushed = f"{name}:{target or own}" if source == own else source + colon + target
                repository.push(remote, [pushed], destination.options)
        except GitError as error:
            is_moved = repository.remote_refs(remote, own).get(own, "") not in (tip, name)
            message = f"{remote} refused the push: somebody pushed to {branch} meanwhile" if is_moved else str(error)
            raise GitError(
                f"{message}; commit {name[:7]} stays on {branch or 'HEAD'}",
                help=(not is_moved and error.help)
                or f"{for_shell('git', 'pull', '--rebase', remote, branch)} && {for_shell('git', 'push', remote, branch)}",
            ) from None
        more = f" and refspecs '{refspec}'" if refspec else ""
        terminal.say(printable(f"pushed commit '{name[:7]}' to branch '{branch}'{more}", 1000))
    repository.note_unpushed(branch, "", space)


def _unpushed(repository: Repository, branch: str, tip: str) -> str:
    """Return the commit of an earlier run that is on the branch and was not pushed, rebased or not; or ''."""
    name = repository.unpushed(branch)
    if not name or repository.git.is_ancestor(name, "HEAD"):
        return name
    patch = patch_id(repository.git, name)
    beyond = repository.git.read("rev-list", f"--max-count={_MOST}", "HEAD", *([f"^{tip}"] if tip else [])).split()
    return next((commit for commit in beyond if patch and patch_id(repository.git, commit) == patch), "")
