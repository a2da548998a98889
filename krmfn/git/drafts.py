"""From new file contents to commits: written into a worktree, with the user's hooks and signing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from krmfn.errors import GitError
from krmfn.git.own_commits import patch_id, read_commit, with_trailers

if TYPE_CHECKING:
    from krmfn.git.program import Git


@dataclass(frozen=True, slots=True)
class Draft:
    """One commit to be made: new contents by path from the repository's root, and the message."""

    message: str
    files: Mapping[str, bytes]

    @property
    def subject(self) -> str:
        """Return the first line of the message."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Style:
    """How commits are made, and who they are by; what is empty is left to git.

    `signing` is git's format name: openpgp, ssh, `default` for what is configured, or ''.
    """

    author: str = ""
    email: str = ""
    signing: str = ""


@dataclass(frozen=True, slots=True)
class Worktree:
    """A checkout in which commits are made."""

    git: Git

    def commit(self, drafts: Iterable[Draft], style: Style) -> list[str]:
        """Make the commits, one on the other, and return their names."""
        return [self._commit(draft, style) for draft in drafts]

    def propose(self, draft: Draft, style: Style, base: str) -> str:
        """Make one commit on the base that carries the trailers by which it is known again, and return its name."""
        git = self.git
        git.read("reset", "--quiet", "--hard", base)
        git.read("checkout", "--quiet", "--detach", base)
        self._stage(draft)
        tree = git.read("write-tree")
        trailers = tree, patch_id(git, base, tree)
        name = self._commit(replace(draft, message=with_trailers(draft.message, *trailers)), style)
        tip = read_commit(git, name)
        if tip.tree == tree:
            return name
        message = tip.message  # a hook changed the files
        for old, new in zip(trailers, (tip.tree, patch_id(git, base, tip.tree)), strict=True):
            message = message.replace(f": {old}", f": {new}")
        self._run(style, "--amend", "--no-verify", message=message)
        return git.read("rev-parse", "HEAD")

    def _stage(self, draft: Draft) -> None:
        for path, data in draft.files.items():
            (self.git.folder / path).write_bytes(data)
        self.git.run("add", "--", *(f":(literal,top){path}" for path in draft.files))

    def _commit(self, draft: Draft, style: Style) -> str:
        self._stage(draft)
        self._run(style, message=draft.message)
        return self.git.read("rev-parse", "HEAD")

    def _run(self, style: Style, *options: str, message: str) -> None:
        config = ("-c", "gpg.format=ssh") if style.signing == "ssh" else ()
        how = ("--quiet", "--cleanup=verbatim", "--allow-empty-message", "-F", "-", *(["-S"] if style.signing else []))
        git = replace(self.git, environment=_identity(self.git, style))
        try:
            git.run(*config, "commit", *options, *how, text=message)
        except GitError as error:
            raise GitError(f"{error}; nothing was changed", help=error.help or _advice(str(error), style)) from None


def _advice(words: str, style: Style) -> str:
    if "sign" in words:
        return "set up signing with git config user.signingKey KEY, and gpg.format for a key of ssh"
    if "tell me who you are" in words:
        return 'git config user.name "NAME" and git config user.email ADDRESS'
    return "a hook of this repository may have refused the commit" + (" or its signing failed" if style.signing else "")


def _identity(git: Git, style: Style) -> dict[str, str]:
    """Return who commits: the author if there is one; the committer too if git knows nobody else."""
    if not style.email:
        return {}
    name = style.author or style.email
    variables = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": style.email}
    if os.environ.get("GIT_COMMITTER_EMAIL") or git.find("config", "--get", "user.email"):
        return variables
    return {**variables, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": style.email}
