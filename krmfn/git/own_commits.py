"""Which commits of a branch krmfn made itself, and may therefore replace.

A commit of krmfn carries two trailers: the tree that it had, and the id of its patch (`git patch-id --verbatim`). A
forge's rebase changes the tree and keeps the patch, an edit by a person changes both. A merge made by a forge is
recognised by making it again: `git merge-tree --write-tree` of its parents gives its tree.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import GitError
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.git.program import Git

TREE, PATCH = "Krmfn-Tree", "Krmfn-Patch"
_TRAILER = re.compile(r"[A-Za-z0-9-]+: ")
_DEPTHS = (50, 500, 5000)
"""Commits of history that are fetched in turn before all of it is."""
_MOST = 500
"""Commits of a branch that are looked at; a branch of krmfn holds a handful."""
_PATCH = (
    "-p", "--root", "--text", "--full-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=3",
    "--inter-hunk-context=0", "--diff-algorithm=myers", "--no-indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/",
    "--submodule=short",
)  # fmt: skip
"""A patch that no setting of the user and no attribute of the repository changes."""


class Commit(NamedTuple):
    """A commit as git stores it, whatever history is missing."""

    name: str
    tree: str
    parents: tuple[str, ...]
    author: str
    message: str

    @property
    def described(self) -> str:
        """Return the short name and the subject, for people."""
        return f"{self.name[:7]} ({printable(self.message.partition(chr(10))[0], 80)})"


def read_commit(git: Git, name: str) -> Commit:
    """Return a commit. Raise GitError if it is not here."""
    head, _, message = git.pipe("cat-file", "commit", name).decode("utf-8", "surrogateescape").partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    parents = tuple(value for key, _, value in fields if key == "parent")
    author = next((value.rsplit(" ", 2)[0] for key, _, value in fields if key == "author"), "")
    return Commit(name, next(value for key, _, value in fields if key == "tree"), parents, author, message)


def patch_id(git: Git, *trees: str) -> str:
    """Return the id of the patch between two trees or commits, or of one commit, '' if it changes nothing."""
    patch = git.pipe("diff-tree", "-r", "--no-commit-id", *_PATCH, *trees)
    return git.pipe("patch-id", "--verbatim", data=patch).decode().partition(" ")[0]


def with_trailers(message: str, tree: str, patch: str) -> str:
    r"""Return a commit message with the trailers of krmfn behind those it has.

    >>> with_trailers("Update\n", "1", "2")
    'Update\n\nKrmfn-Tree: 1\nKrmfn-Patch: 2\n'
    """
    body = message.rstrip("\n")
    last = body.rpartition("\n\n")[2]
    has_trailers = last != body and all(_TRAILER.match(line) for line in last.split("\n"))
    return f"{body}{chr(10) if has_trailers else chr(10) * 2}{TREE}: {tree}\n{PATCH}: {patch}\n"


def trailer(message: str, name: str) -> str:
    """Return the value of the last trailer of this name, or ''."""
    values = re.findall(rf"^{name}: ([0-9a-f]{{40,64}})$", message, re.MULTILINE)
    return values[-1] if values else ""


class OwnCommits:
    """Judges what a branch holds beyond its base; fetches what a shallow clone lacks for that."""

    def __init__(self, git: Git, base: str, remote: str) -> None:
        self.git, self.base, self.remote = git, base, remote

    def foreign(self, tip: str, branch: str) -> Commit | None:
        """Return a commit of the branch that somebody else made, None if krmfn made all that the base lacks.

        Raise GitError if that cannot be known because history is missing and cannot be fetched.
        """
        for depth in ("", *(f"--depth={depth}" for depth in _DEPTHS), "--unshallow"):
            if depth:
                self._deepen(depth, branch)
            foreign, is_complete = self._first_foreign(tip)
            if is_complete or not self.git.is_shallow:
                break
        return foreign

    def is_own(self, commit: Commit) -> bool:
        """Return True if krmfn made the commit, or a forge merged the base into one that krmfn made."""
        if len(commit.parents) == 1:
            tree, patch = trailer(commit.message, TREE), trailer(commit.message, PATCH)
            return tree == commit.tree or (bool(patch) and patch == self._patch_id(commit))
        if len(commit.parents) != 2 or not any(map(self._is_in_base, commit.parents)):
            return False
        code, tree = self.git.ask("merge-tree", "--write-tree", *commit.parents, expects=(0, 1, 128))
        return code == 0 and tree == commit.tree

    def _patch_id(self, commit: Commit) -> str:
        try:
            return patch_id(self.git, commit.parents[0], commit.name)
        except GitError:  # the parent is not here
            return ""

    def _first_foreign(self, tip: str) -> tuple[Commit | None, bool]:
        """Return the newest commit that krmfn did not make, and True if the history down to the base is here."""
        commits = self.beyond_base(tip)
        names = {commit.name for commit in commits}
        is_complete = all(
            commit.parents and all(parent in names or self._is_in_base(parent) for parent in commit.parents)
            for commit in commits
        )
        # more commits than are looked at are not krmfn's alone, whoever made the newest of them
        oldest_unseen = commits[-1] if len(commits) == _MOST else None
        return next((commit for commit in commits if not self.is_own(commit)), oldest_unseen), is_complete

    def beyond_base(self, tip: str, most: int = _MOST) -> list[Commit]:
        """Return the newest commits that the base lacks."""
        names = self.git.read("rev-list", "--topo-order", f"--max-count={most}", tip, f"^{self.base}").split()
        return [read_commit(self.git, name) for name in names]

    def _is_in_base(self, name: str) -> bool:
        return bool(self.git.commit(name)) and self.git.is_ancestor(name, self.base)

    def _deepen(self, depth: str, branch: str) -> None:
        problem = "nothing is fetched without --push"
        if self.remote:
            try:
                self.git.run("fetch", "--quiet", "--no-tags", depth, self.remote, self.base, f"refs/heads/{branch}")
            except GitError as error:
                problem = str(error)
            else:
                return
        raise GitError(
            f"history is missing to tell who made the commits of branch {branch}: {problem}",
            help="clone with the whole history: fetch-depth: 0 of actions/checkout, GIT_DEPTH: 0 in GitLab",
        )
