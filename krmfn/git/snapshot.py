"""The manifests of a commit, read from git's objects: nothing is checked out, and no hook, filter or conversion runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from krmfn.errors import GitError, RuleError
from krmfn.sanitize import for_shell, printable
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.git.program import Git

MAX_FILE, MAX_TOTAL = 16 << 20, 256 << 20
"""Bytes of one manifest, and of all manifests of a commit."""
_ENDS = (".yaml", ".yml", "/Kustomization")
_PLAIN = ("100644", "100755")
"""Modes of regular files; links and submodules are not followed."""
_PLACES = ("refs/tags/", "refs/heads/", "refs/remotes/")


def manifests(git: Git, revision: str) -> Iterator[Text]:
    """Yield the manifests of REVISION, or of REVISION:FOLDER, in order. Raise GitError."""
    name, _, folder = revision.partition(":")
    commit = _commit(git, name)
    listed = git.pipe("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *([f"{folder.strip('/')}"] if folder else []))
    blobs: list[tuple[str, str, int]] = []
    for entry in listed.split(b"\0"):
        head, _, raw = entry.partition(b"\t")
        path = raw.decode("utf-8", "surrogateescape")
        mode, _, blob, length = (head.decode().split() + [""] * 4)[:4]
        if mode in _PLAIN and f"/{path}".endswith(_ENDS):
            blobs.append((path, blob, _size(length, name, path)))
    large = next((path for path, _, size in blobs if size > MAX_FILE), None)
    if large is not None or sum(size for *_, size in blobs) > MAX_TOTAL:
        where = printable(large) if large else "all manifests together"
        most = MAX_FILE if large else MAX_TOTAL
        raise GitError(f"{printable(revision)}: {where}: more than {most} bytes", help=f"name a folder: {for_shell(f'git:{name}')}:FOLDER")
    if folder and not listed:
        raise GitError(f"there is no {printable(folder)} in {printable(name)}", help=for_shell("git", "ls-tree", "-r", "--name-only", name))
    answers = git.pipe("cat-file", "--batch", data="".join(f"{blob}\n" for _, blob, _ in blobs).encode())
    at = 0
    for path, blob, size in blobs:
        start = answers.find(b"\n", at) + 1
        if answers[at:start].decode().split() != [blob, "blob", str(size)]:
            raise _missing(name, path)
        yield Text(answers[start : start + size], f"{name}:{path}")
        at = start + size + 1


def content(git: Git, revision: str, path: str, limit: int) -> bytes:
    """Return the content of a regular file of a commit. Raise RuleError when there is none, GitError when git fails."""
    name = revision.partition(":")[0]
    listed = git.pipe("ls-tree", "-l", "-z", "--full-tree", _commit(git, name), "--", path)
    head, _, raw = listed.rstrip(b"\0").partition(b"\t")
    mode, _, blob, length = (head.decode().split() + [""] * 4)[:4]
    if raw.decode("utf-8", "surrogateescape") != path or mode not in _PLAIN:
        raise RuleError(f"{printable(path)} is no file of {printable(name)}", help="links and submodules are not followed")
    if _size(length, name, path) > limit:
        raise RuleError(f"{printable(path)} of {printable(name)} has more than {limit} bytes")
    return git.pipe("cat-file", "blob", blob)


def _size(length: str, name: str, path: str) -> int:
    """Return the bytes of a file, as git lists them. Raise GitError for one that is not here."""
    if not length.isdecimal():
        raise _missing(name, path)
    return int(length)


def _missing(name: str, path: str) -> GitError:
    return GitError(f"{printable(name)}: {printable(path)} is not in this repository", help="fetch it whole: git fetch --refetch")


def _commit(git: Git, name: str) -> str:
    """Return the commit of a revision. A short name that several branches or tags have is refused: one could be planted."""
    if not name or name.startswith("-"):
        raise GitError(f"{printable(name)!r} names no commit", help="--rules git:origin/main")
    several = [place + name for place in _PLACES if git.holds("show-ref", "--verify", "--quiet", place + name)]
    if len(several) > 1:
        raise GitError(f"{printable(name)} has several meanings: {', '.join(map(printable, several))}", help=for_shell("--rules", f"git:{several[-1]}"))
    asked = ("rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
    commit = git.ask(*asked, expects=(0, 1, 128))[1]
    if not commit:
        raise GitError(
            f"there is no commit {printable(name)} here", help="fetch it first: git fetch origin BRANCH; in CI: fetch-depth: 0"
        )
    return commit
