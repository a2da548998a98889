"""Branches of proposed changes: made anew from their base, replaced only while krmfn alone has written to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from krmfn.errors import GitError
from krmfn.git.own_commits import Commit, OwnCommits, read_commit
from krmfn.sanitize import for_shell

if TYPE_CHECKING:
    from krmfn.git.changelog import Row
    from krmfn.git.repository import Repository
    from krmfn.git.workspace import Workspace

State = Literal["pushed", "committed", "unchanged", "foreign", "obsolete", "deleted", "refused"]
"""`foreign`: left alone, as it holds a commit that is not krmfn's. `obsolete`: nothing is left to propose, it still exists.

`refused`: a hook, the signing or the remote refused it; the other branches go on.
"""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Proposal:
    """What became of a branch. `commit` is what it holds, for `foreign` the commit that is not krmfn's, None if there is none."""

    branch: str
    state: State
    commit: Commit | None
    subject: str = ""
    rows: tuple[Row, ...] = ()
    lock: str = ""
    """How the image lock is renewed."""
    give_up: str = ""
    """For `foreign`: the command that gives the branch up."""
    error: GitError | None = None
    """For `refused`: why."""

    @property
    def proposes(self) -> bool:
        """True if the branch holds something to propose."""
        return self.state not in ("obsolete", "deleted", "refused")


class Branches:
    """The branches of a remote, or of the checkout if `remote` is empty, on which changes from `base` are proposed."""

    def __init__(
        self,
        repository: Repository,
        workspace: Workspace,
        base: str,
        remote: str,
        options: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.repository, self.workspace, self.base, self.remote = repository, workspace, base, remote
        self.options = tuple(options)
        self.own = OwnCommits(repository.git, base, remote)

    def publish(self, branch: str, name: str) -> Proposal:
        """Put a commit on a branch instead of what krmfn put there before. Raise GitError if that is refused.

        Another run may be faster: then its result is looked at again.
        """
        commit = read_commit(self.repository.git, name)
        for attempt in range(_ATTEMPTS):
            tip = self._tip(branch)
            if tip:
                present = read_commit(self.repository.git, tip)
                if present._replace(name=name) == commit:  # nothing but dates and signatures is another
                    return Proposal(branch, "unchanged", present)
                if foreign := self.own.foreign(tip, branch):
                    return self._foreign(branch, foreign, tip)
            try:
                self._put(branch, name, tip)
            except GitError:  # refused: either for good, or as somebody pushed since the branch was looked at
                if attempt == _ATTEMPTS - 1 or self._tip(branch) == tip:
                    raise
                continue
            return Proposal(branch, "pushed" if self.remote else "committed", commit)
        raise AssertionError

    def retire(self, branch: str, *, delete: bool) -> Proposal | None:
        """Return what became of a branch that has nothing to propose any more; None if krmfn has no part in it."""
        tip = self._tip(branch)
        if not tip:
            return None
        commit = read_commit(self.repository.git, tip)
        if foreign := self.own.foreign(tip, branch):
            return self._foreign(branch, foreign, tip) if self._has_own(tip) else None
        if self.repository.git.is_ancestor(tip, self.base) and not self.own.is_own(commit):
            return None
        if not delete:
            return Proposal(branch, "obsolete", commit)
        self._put(branch, "", tip)
        return Proposal(branch, "deleted", commit)

    def named(self, pattern: str) -> Iterable[str]:
        """Return the branches that fit a pattern."""
        refs = f"refs/heads/{pattern}"
        tips = self.repository.remote_refs(self.remote, refs) if self.remote else self.repository.tips(refs)
        return sorted(name.removeprefix("refs/heads/") for name in tips if name.startswith("refs/heads/"))

    def _has_own(self, tip: str) -> bool:
        return any(map(self.own.is_own, self.own.beyond_base(tip, 50)))

    def _tip(self, branch: str) -> str:
        if not self.remote:
            return self.repository.git.commit(f"refs/heads/{branch}")
        return self.repository.fetch(self.remote, branch, *(["--depth=50"] if self.repository.git.is_shallow else []))

    def _put(self, branch: str, name: str, tip: str) -> None:
        if not self.remote:
            self.repository.move(branch, name, tip, self.workspace)
            return
        ref = f"refs/heads/{branch}"
        self.repository.push(self.remote, [f"{name}:{ref}"], self.options if name else (), {ref: tip})

    def _foreign(self, branch: str, commit: Commit, tip: str) -> Proposal:
        ref = f"refs/heads/{branch}"
        if self.remote:
            give_up = for_shell("git", "push", f"--force-with-lease={ref}:{tip}", self.remote, f":{ref}")
        else:
            give_up = for_shell("git", "update-ref", "-d", ref, tip)
        return Proposal(branch, "foreign", commit, give_up=give_up)
