"""Proposals of `krmfn update --commit --branch NAME`: what is put on which branch, and what people are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from krmfn import terminal
from krmfn.errors import GitError
from krmfn.git.proposals import Branches, Proposal
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.commands.committing import Destination
    from krmfn.commands.drafting import Part
    from krmfn.git.drafts import Style, Worktree
    from krmfn.git.repository import Repository
    from krmfn.git.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Proposer:
    """Proposes the parts of an update on branches of one destination."""

    repository: Repository
    space: Workspace
    worktree: Worktree
    style: Style
    destination: Destination

    def propose(self, parts: Sequence[Part], *, split: bool, prune: bool) -> list[Proposal]:
        """Put every part on its branch, and return what became of all branches that are concerned."""
        if split and self.destination.refspec:
            raise GitError("the automation's refspec names one branch, and --split makes one for each image")
        base, remote, options = self.destination.base, self.destination.remote, self.destination.options
        branches = Branches(self.repository, self.space, base, remote, options)
        retired = self._retired(branches, parts, split=split, prune=prune)
        return [*self._published(branches, parts), *retired]

    def _branch(self, part: Part) -> str:
        return f"{self.destination.branch}-{part.name}" if part.name else self.destination.branch

    def _published(self, branches: Branches, parts: Sequence[Part]) -> Iterator[Proposal]:
        """Put every part on its branch. What is refused on one stops no other."""
        for part in parts:
            if part.draft.files:
                for proposal in self._put(branches, part):
                    yield replace(proposal, subject=part.draft.subject, rows=part.rows, lock=part.lock)

    def _put(self, branches: Branches, part: Part) -> Iterator[Proposal]:
        branch = self._branch(part)
        proposal = Proposal(branch, "refused", None)
        try:
            name = self.worktree.propose(part.draft, self.style, self.destination.base)
            proposal = branches.publish(branch, name)
            others = list(self._by_refspec(branches, proposal))
        except GitError as error:
            others = [Proposal(branch, "refused", proposal.commit, error=error)]
        # Of several refs that fared alike one line is enough; the first is the branch that people know.
        every = others if proposal.state == "refused" else [proposal, *others]
        for one in every[:1] + [other for other in every[1:] if other.state != proposal.state]:
            _tell(one, self.destination.remote, self._refspec)
        yield from every

    @property
    def _refspec(self) -> str:
        return self.destination.refspec if self.destination.remote else ""

    def _by_refspec(self, branches: Branches, proposal: Proposal) -> Iterator[Proposal]:
        """Push by the automation's refspec too; another branch follows the same rule as the first."""
        commit = proposal.commit
        if not self._refspec or proposal.state == "foreign" or commit is None:
            return
        source, colon, target = self._refspec.partition(":")
        if source not in (proposal.branch, f"refs/heads/{proposal.branch}"):
            self.repository.push(self.destination.remote, [source + colon + target], branches.options)
        elif target.startswith("refs/heads/"):
            if target != f"refs/heads/{proposal.branch}":
                branch = target.removeprefix("refs/heads/")
                yield branches.publish(branch, commit.name)
        elif target:
            self.repository.push(self.destination.remote, [f"{commit.name}:{target}"], branches.options)

    def _retired(self, branches: Branches, parts: Sequence[Part], *, split: bool, prune: bool) -> Iterator[Proposal]:
        """Look after branches of earlier runs that have nothing to propose any more."""
        name = self.destination.branch
        busy = {self._branch(part) for part in parts if part.draft.files or not part.is_known}
        for branch in branches.named(f"{name}-*") if split else (name,):
            if branch in busy:
                continue
            try:
                proposal = branches.retire(branch, delete=prune)
            except GitError as error:
                proposal = Proposal(branch, "refused", None, error=error)
            if proposal:
                _tell(proposal, self.destination.remote)
                yield proposal


def _tell(proposal: Proposal, remote: str, refspec: str = "") -> None:
    branch, commit = printable(proposal.branch), proposal.commit.name[:7] if proposal.commit else ""
    where = f"{remote}/{branch}" if remote else branch
    more = f" and refspecs '{printable(refspec)}'" if refspec else ""
    messages = {
        "pushed": f"pushed commit '{commit}' to branch '{branch}'{more}",
        "committed": f"branch '{branch}' holds commit '{commit}' now",
        "unchanged": f"branch '{branch}' is up to date: commit '{commit}' proposes the same",
        "obsolete": f"branch '{branch}' has nothing to propose any more; --prune deletes it",
        "deleted": f"deleted branch '{branch}': it had nothing to propose any more",
        "foreign": f"branch {where} is left alone: commit {proposal.commit.described if proposal.commit else ''} is not krmfn's",
        "refused": f"branch {where}: {proposal.error}",
    }
    if proposal.state in ("pushed", "committed") and proposal.commit:
        subject = printable(proposal.commit.message.partition("\n")[0], 200)
        terminal.say(f"committed {commit} on {branch}: {subject}")
    terminal.say(messages[proposal.state], {"foreign": "warning", "refused": "error"}.get(proposal.state, ""))
    if proposal.state == "foreign":
        terminal.say(f"help: to give the branch up, with what others put on it: {proposal.give_up}")
    elif proposal.error and proposal.error.help:
        terminal.tell(f"help: {printable(proposal.error.help, 1000)}", err=True)
