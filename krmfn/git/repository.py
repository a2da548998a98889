"""A checkout and its remotes: what is committed, what is in the way, what a branch holds, and moving branches.

The user's checkout is only moved by a fast-forward, which git refuses when it would overwrite anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.errors import GitError
from krmfn.git.program import Allowance, Git
from krmfn.sanitize import for_shell, printable

if TYPE_CHECKING:
    from krmfn.git.workspace import Workspace

_BUSY = {
    "MERGE_HEAD": "a merge", "rebase-merge": "a rebase", "rebase-apply": "a rebase", "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert", "BISECT_LOG": "a bisection",
}  # fmt: skip
_NEEDED = (2, 39)
_UNPUSHED = "refs/krmfn/unpushed/"
"""Below it: the last commit that krmfn made on a branch, until a push has brought it to the remote."""


class Repository:
    """A checkout. `root` is its top folder, `branch` the current branch or empty on a detached HEAD."""

    def __init__(self, path: Path, allowance: Allowance) -> None:
        folder = path if path.is_dir() else path.parent
        try:
            top = Git(folder, allowance, {"LC_ALL": "C"}).read("rev-parse", "--show-toplevel")
        except GitError as error:
            if "not a git repository" not in str(error):
                raise
            raise GitError(
                f"{path} is in no git repository", help="leave out --commit, or say --no-commit, to edit the files only"
            ) from None
        self.root = Path(top)
        self.git = Git(self.root, allowance)
        self.branch = self.git.find("symbolic-ref", "-q", "--short", "HEAD")
        self.head = self.git.find("rev-parse", "-q", "--verify", "HEAD^{commit}")
        if not self.head:
            raise GitError(f"{self.root} has no commit yet", help="make a first commit")

    def check_version(self) -> None:
        """Raise GitError if git is too old for proposals: `git patch-id --verbatim` came with 2.39."""
        version = self.git.read("version")
        numbers = re.search(r"(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) < _NEEDED:
            raise GitError(
                f"{printable(version)} is too old to propose on another branch; nothing was changed",
                help=f"install git {_NEEDED[0]}.{_NEEDED[1]} or newer",
            )

    def check_idle(self) -> None:
        """Raise GitError in the middle of a merge, rebase or the like."""
        folder = Path(self.git.read("rev-parse", "--absolute-git-dir"))
        for name, what in _BUSY.items():
            if (folder / name).exists():
                raise GitError(f"{what} is in progress in {self.root}", help="finish or abort it first: git status")

    def changed(self, paths: Iterable[str]) -> list[str]:
        """Return which of the paths differ from HEAD, in the index or in the files; untracked ones count."""
        literal = [f":(literal,top){path}" for path in paths]
        if not literal:
            return []
        out = self.git.read("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", *literal)
        return [entry[3:] for entry in out.split("\0") if entry]

    def check_clean(self, paths: Iterable[str]) -> None:
        """Raise GitError if files hold changes that are not committed."""
        dirty = self.changed(paths)
        if dirty:
            holds = "holds" if len(dirty) == 1 else "hold"
            raise GitError(
                f"{', '.join(map(printable, dirty))} {holds} changes that are not committed, and would be overwritten",
                help="commit or stash them first (git stash -- FILE), then run krmfn again",
            )

    def remote(self, wanted: str = "") -> str:
        """Return the remote to push to: the wanted one, the branch's, `origin`, or the only one."""
        names = self.git.read("remote").split()
        tracked = self.git.find("config", "--get", f"branch.{self.branch}.remote") if self.branch else ""
        only = names[0] if len(names) == 1 else ""
        for name in (wanted,) if wanted else (tracked, "origin", only):
            if name in names:
                return name
        known = ", ".join(names) or "none"
        raise GitError(
            f"no remote to push to{f': {wanted}' if wanted else ''}; there is {known}", help="git remote add origin URL"
        )

    def remote_refs(self, remote: str, *patterns: str) -> dict[str, str]:
        """Return the commits of a remote's refs by full name."""
        return _refs(self.git.run("ls-remote", "--quiet", remote, *patterns))

    def default_branch(self, remote: str) -> str:
        """Return the branch that the remote's HEAD names, or ''."""
        for line in self.git.run("ls-remote", "--quiet", "--symref", remote, "HEAD").splitlines():
            if line.startswith("ref: refs/heads/"):
                return line.removeprefix("ref: refs/heads/").partition("\t")[0]
        return ""

    def fetch(self, remote: str, branch: str, *options: str) -> str:
        """Fetch a branch and return its commit, or '' if the remote has no such branch."""
        if f"refs/heads/{branch}" not in self.remote_refs(remote, f"refs/heads/{branch}"):
            return ""
        tracking = f"refs/remotes/{remote}/{branch}"
        self.git.run("fetch", "--quiet", "--no-tags", *options, remote, f"+refs/heads/{branch}:{tracking}")
        return self.git.read("rev-parse", tracking)

    def check_ahead(self, tip: str, remote: str, branch: str) -> None:
        """Raise GitError if the remote's branch has commits that HEAD lacks."""
        if tip and not self.git.is_ancestor(tip, "HEAD"):
            lacks = self.git.read("rev-list", "--count", f"HEAD..{tip}")
            raise GitError(
                f"{remote}/{branch} has {lacks} commit{'s' * (lacks != '1')} that this checkout lacks; nothing was committed",
                help=f"{for_shell('git', 'pull', '--rebase', remote, branch)}, then run krmfn again",
            )

    def tips(self, pattern: str) -> dict[str, str]:
        """Return the commits of local branches by full name; the pattern is one of git-for-each-ref."""
        return _refs(self.git.read("for-each-ref", "--format=%(objectname)%09%(refname)", pattern))

    def forward(self, commit: str, paths: Iterable[str], workspace: Workspace) -> None:
        """Move the current branch and its files to the commit; git refuses when HEAD moved or a file would be lost."""
        self.check_clean(paths)
        folder = Path(self.git.read("rev-parse", "--absolute-git-dir"))
        # what a merge that only moves forward writes, each under a lock that a killed git leaves behind
        names = ["index", "HEAD", "ORIG_HEAD", *([f"refs/heads/{self.branch}"] if self.branch else [])]
        with workspace.changing(folder / f"{name}.lock" for name in names) as inherit:
            try:
                self.git.run("merge", "--quiet", "--ff-only", "--no-stat", commit, inherit=inherit)
            except GitError as error:
                raise GitError(f"{error}; nothing was changed", help=error.help or "run krmfn again") from None

    def move(self, branch: str, commit: str, old: str, workspace: Workspace) -> None:
        """Point a local branch that is still at `old` to a commit, or delete it ('')."""
        if f"branch refs/heads/{branch}" in self.git.read("worktree", "list", "--porcelain").splitlines():
            raise GitError(
                f"branch {branch} is checked out in another worktree; nothing was changed", help="run krmfn there"
            )
        self._update(f"refs/heads/{branch}", commit, old, workspace)

    def _update(self, ref: str, commit: str, old: str, workspace: Workspace) -> None:
        folder = workspace.common
        nothing = "0" * len(commit or old)  # as the old value: the ref must not exist yet
        change = (ref, commit, old or nothing) if commit else ("-d", ref, old)
        with workspace.changing((folder / f"{ref}.lock", folder / "packed-refs.lock")) as inherit:
            self.git.run("update-ref", "-m", "krmfn update", *change, inherit=inherit)

    def unpushed(self, branch: str) -> str:
        """Return the commit that krmfn made on a branch and that no push has brought to a remote, or ''."""
        return self.git.commit(f"{_UNPUSHED}{branch}")

    def note_unpushed(self, branch: str, commit: str, workspace: Workspace) -> None:
        """Remember that a commit was made on a branch; '' once it is pushed."""
        old = self.unpushed(branch)
        if branch and commit != old:
            self._update(f"{_UNPUSHED}{branch}", commit, old, workspace)

    def push(
        self,
        remote: str,
        refspecs: Iterable[str],
        options: Iterable[tuple[str, str]] = (),
        leases: Mapping[str, str] | None = None,
    ) -> None:
        """Push. A branch is replaced only if a lease names the commit that it must still be at ('' for no branch).

        Leases are by full name of the ref. Raise GitError if the remote refuses.
        """
        flags = [part for name, value in options for part in ("-o", f"{name}={value}" if value else name)]
        flags += [f"--force-with-lease={name}:{commit}" for name, commit in (leases or {}).items()]
        self.git.run("push", "--porcelain", "--no-follow-tags", *flags, "--", remote, *refspecs)


def _refs(printed: str) -> dict[str, str]:
    """Return the commits that git lists, each before a tab and the full name of its ref."""
    return {name: commit for commit, _, name in (line.partition("\t") for line in printed.splitlines())}
