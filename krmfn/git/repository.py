"""Commits made by the git program in a worktree of their own, so that hooks, signing and credentials are the person's.

The person's checkout is only moved at the end, by a fast-forward that git refuses when it would overwrite anything.
Whatever happens before leaves the checkout as it was; whatever happens after has the commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from krmfn.errors import GitError
from krmfn.foreign import printable

_BUSY = {
    "MERGE_HEAD": "a merge", "rebase-merge": "a rebase", "rebase-apply": "a rebase", "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert", "BISECT_LOG": "a bisection",
}  # fmt: skip
_SHOWN = 20
_LOCAL = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by; empty parts are git's own business."""

    name: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit holds: new contents by path from the repository's root, and the message."""

    message: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Style:
    """How commits are made. `signing` is git's format name: openpgp, ssh, `default` for what is configured, or none."""

    author: Author = Author()
    signing: str = ""


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in a folder. Failures are GitError with what git said."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, text: str | None = None, expects: Sequence[int] = (0,)) -> str:
        """Run git and answer its stdout without the last line break."""
        return self.ask(*arguments, text=text, expects=expects)[1]

    def ask(self, *arguments: str, text: str | None = None, expects: Sequence[int] = (0,)) -> tuple[int, str]:
        """Run git and answer exit code and stdout; an exit code that is not expected is an error."""
        environment = {name: value for name, value in os.environ.items() if name not in _LOCAL}
        environment |= {"GIT_REFLOG_ACTION": "krmfn update", "GIT_LFS_SKIP_SMUDGE": "1", **self.more}
        if not sys.stdin or not sys.stdin.isatty():
            environment.setdefault("GIT_TERMINAL_PROMPT", "0")
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self.folder, env=environment, input=text, check=False, capture_output=True,
                encoding="utf-8", errors="surrogateescape", stdin=None if text is not None else subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError:
            raise GitError("git is not on PATH", help="install git, or leave out --commit and --push") from None
        if done.returncode not in expects:
            raise GitError(f"git {arguments[0]} failed: {_said(done.stderr, done.stdout)}")
        return done.returncode, done.stdout.rstrip("\n")


def _said(*texts: str) -> str:
    lines = [line for text in texts for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
    return "; ".join(printable(line.strip(), 300) for line in lines[:_SHOWN]) or "without a word"


class Repository:
    """A checkout. `root` is its top folder, `branch` the current branch or empty on a detached HEAD."""

    def __init__(self, path: Path) -> None:
        folder = path if path.is_dir() else path.parent
        try:
            top = Git(folder).run("rev-parse", "--show-toplevel")
        except GitError as error:
            if "not a git repository" not in str(error):
                raise
            raise GitError(
                f"{path} is in no git repository", help="leave out --commit, or say --no-commit, to edit the files only"
            ) from None
        self.root = Path(top)
        self.git = Git(self.root)
        self.branch = self.git.run("symbolic-ref", "-q", "--short", "HEAD", expects=(0, 1))
        code, self.head = self.git.ask("rev-parse", "-q", "--verify", "HEAD^{commit}", expects=(0, 1))
        if code:
            raise GitError(f"{self.root} has no commit yet", help="make a first commit")

    def check_idle(self) -> None:
        """Refuse to work in the middle of a merge, rebase or the like."""
        folder = Path(self.git.run("rev-parse", "--absolute-git-dir"))
        for name, what in _BUSY.items():
            if (folder / name).exists():
                raise GitError(f"{what} is in progress in {self.root}", help="finish or abort it first: git status")

    def changed(self, paths: Iterable[str]) -> list[str]:
        """Answer which of the paths differ from HEAD, in the index or in the files; untracked ones count."""
        literal = [f":(literal,top){path}" for path in paths]
        if not literal:
            return []
        out = self.git.run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", *literal)
        return [entry[3:] for entry in out.split("\0") if entry]

    def check_clean(self, paths: Iterable[str]) -> None:
        """Refuse to touch files that hold changes which are not committed."""
        dirty = self.changed(paths)
        if dirty:
            holds = "holds" if len(dirty) == 1 else "hold"
            raise GitError(
                f"{', '.join(map(printable, dirty))} {holds} changes that are not committed, and would be overwritten",
                help="commit or stash them first (git stash -- FILE), then run krmfn again",
            )

    def remote(self, wanted: str = "") -> str:
        """Answer the remote to push to: the wanted one, the branch's, `origin`, or the only one."""
        names = self.git.run("remote").split()
        tracked = self.git.run("config", "--get", f"branch.{self.branch}.remote", expects=(0, 1)) if self.branch else ""
        only = names[0] if len(names) == 1 else ""
        for name in (wanted,) if wanted else (tracked, "origin", only):
            if name in names:
                return name
        known = ", ".join(names) or "none"
        raise GitError(
            f"no remote to push to{f': {wanted}' if wanted else ''}; there is {known}", help="git remote add origin URL"
        )

    def fetch(self, remote: str, branch: str) -> str:
        """Fetch a branch; answer its commit, empty when the remote lacks it."""
        listed = self.git.run("ls-remote", "--heads", remote, f"refs/heads/{branch}")
        if not listed:
            return ""
        self.git.run("fetch", "--quiet", remote, f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}")
        return self.git.run("rev-parse", f"refs/remotes/{remote}/{branch}")

    def check_ahead(self, tip: str, remote: str, branch: str) -> None:
        """Refuse when the remote's branch has commits that HEAD lacks."""
        if tip and self.git.ask("merge-base", "--is-ancestor", tip, "HEAD", expects=(0, 1))[0]:
            lacks = self.git.run("rev-list", "--count", f"HEAD..{tip}")
            raise GitError(
                f"{remote}/{branch} has {lacks} commit{'s' * (lacks != '1')} that this checkout lacks; nothing was committed",
                help=f"git pull --rebase {remote} {branch}, then run krmfn again",
            )

    def tip(self, branch: str) -> str:
        """Answer the commit of a local branch, empty when there is none."""
        return self.git.run("rev-parse", "-q", "--verify", f"refs/heads/{branch}^{{commit}}", expects=(0, 1))

    @contextmanager
    def worktree(self, base: str) -> Iterator[Worktree]:
        """Check out a commit in a folder of its own, and remove the folder afterwards."""
        top = Path(tempfile.mkdtemp(prefix="krmfn-"))
        try:
            self.git.run("worktree", "add", "--quiet", "--detach", str(top / self.root.name), base)
            yield Worktree(top / self.root.name, base)
        finally:
            shutil.rmtree(top, ignore_errors=True)
            self.git.run("worktree", "prune", expects=range(256))

    def forward(self, commit: str, paths: Iterable[str]) -> None:
        """Move the current branch and its files to the commit; git refuses when HEAD moved or a file would be lost."""
        self.check_clean(paths)
        try:
            self.git.run("merge", "--quiet", "--ff-only", "--no-stat", commit)
        except GitError as error:
            raise GitError(f"{error}; nothing was changed", help="run krmfn again") from None

    def move(self, branch: str, commit: str, old: str) -> None:
        """Point a local branch to a commit that follows it; one that is checked out somewhere is refused."""
        if f"branch refs/heads/{branch}" in self.git.run("worktree", "list", "--porcelain").splitlines():
            raise GitError(
                f"branch {branch} is checked out in another worktree; nothing was changed", help="run krmfn there"
            )
        self.git.run("update-ref", "-m", "krmfn update", f"refs/heads/{branch}", commit, old or "0" * len(commit))

    def push(self, remote: str, refspec: str, options: Iterable[tuple[str, str]] = ()) -> None:
        """Push without force. A remote that moved meanwhile refuses, and nothing is lost."""
        flags = [part for name, value in options for part in ("-o", f"{name}={value}" if value else name)]
        try:
            self.git.run("push", "--porcelain", *flags, "--", remote, refspec)
        except GitError as error:
            text = str(error)
            if "[rejected]" in text or "non-fast-forward" in text or "fetch first" in text:
                target = refspec.rpartition(":")[2].removeprefix("refs/heads/")
                raise GitError(f"{remote} refused the push: somebody pushed to {target} meanwhile") from None
            raise


@dataclass(frozen=True, slots=True)
class Worktree:
    """A checkout of its own at `base`."""

    folder: Path
    base: str

    def commit(self, commits: Iterable[Commit], style: Style) -> list[str]:
        """Make the commits, one after the other, with hooks and signing; answer their names."""
        git = Git(self.folder, _identity(self.folder, style.author))
        flags = [
            "--quiet",
            "--cleanup=verbatim",
            "--allow-empty-message",
            "-F",
            "-",
            *(["-S"] if style.signing else []),
        ]
        made = []
        for one in commits:
            for path, data in one.files.items():
                (self.folder / path).write_bytes(data)
            git.run("add", "--", *(f":(literal,top){path}" for path in one.files))
            config = ["-c", "gpg.format=ssh"] if style.signing == "ssh" else []
            try:
                git.run(*config, "commit", *flags, text=one.message)
            except GitError as error:
                raise GitError(f"{_which(str(error))}; nothing was changed", help=_advice(str(error), style)) from None
            made.append(git.run("rev-parse", "HEAD"))
        return made


def _which(text: str) -> str:
    return text.replace("git -c failed", "git commit failed", 1)


def _advice(said: str, style: Style) -> str:
    if "sign" in said:
        return "set up signing with git config user.signingKey KEY, and gpg.format for a key of ssh"
    if "tell me who you are" in said:
        return 'git config user.name "NAME" and git config user.email ADDRESS'
    return "a hook of this repository may have refused the commit" + (" or its signing failed" if style.signing else "")


def _identity(folder: Path, author: Author) -> dict[str, str]:
    """Answer who commits: the author where one is given; the committer too when git knows nobody else."""
    if not author.email:
        return {}
    name = author.name or author.email
    made = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": author.email}
    known = os.environ.get("GIT_COMMITTER_EMAIL") or Git(folder).run("config", "--get", "user.email", expects=(0, 1))
    return made if known else {**made, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": author.email}
