"""The manifests of a commit, read from git's objects: nothing is checked out, and no hook, filter or conversion runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

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
    listed = _listed(git, commit, "-r", "--", *([folder.strip("/")] if folder else []))
    files = [file for file in listed if file.mode in _PLAIN and f"/{file.path}".endswith(_ENDS)]
    blobs = [(file.blob, _size(file, name)) for file in files]
    large = next((file.path for file, (_, size) in zip(files, blobs, strict=True) if size > MAX_FILE), None)
    if large is not None or sum(size for _, size in blobs) > MAX_TOTAL:
        where = printable(large) if large else "all manifests together"
        most = MAX_FILE if large else MAX_TOTAL
        raise GitError(f"{printable(revision)}: {where}: more than {most} bytes", help=f"name a folder: {for_shell(f'git:{name}')}:FOLDER")
    if folder and not listed:
        raise GitError(f"there is no {printable(folder)} in {printable(name)}", help=for_shell("git", "ls-tree", "-r", "--name-only", name))
    for file, (_, data) in zip(files, read_blobs(git, blobs), strict=False):
        if data is None:
            raise _missing(name, file.path)
        yield Text(data, f"{name}:{file.path}")


def content(git: Git, revision: str, path: str, limit: int) -> bytes:
    """Return the content of a regular file of a commit. Raise RuleError when there is none, GitError when git fails."""
    name = revision.partition(":")[0]
    listed = _listed(git, _commit(git, name), "--", path)
    file = next((file for file in listed if file.path == path and file.mode in _PLAIN), None)
    if file is None:
        raise RuleError(f"{printable(path)} is no file of {printable(name)}", help="links and submodules are not followed")
    if _size(file, name) > limit:
        raise RuleError(f"{printable(path)} of {printable(name)} has more than {limit} bytes")
    return git.pipe("cat-file", "blob", file.blob)


def read_blobs(git: Git, sizes: Collection[tuple[str, int]]) -> Iterator[tuple[str, bytes | None]]:
    """Yield what blobs hold, by name; None, and nothing more, once git prints another than this name and size."""
    printed = git.pipe("cat-file", "--batch", data=lines(name for name, _ in sizes)) if sizes else b""
    at = 0
    for name, size in sizes:
        start = printed.find(b"\n", at) + 1
        if printed[at:start] != f"{name} blob {size}\n".encode():
            yield name, None
            return
        yield name, printed[start : start + size]
        at = start + size + 1


def lines(names: Iterable[str]) -> bytes:
    """Return names as `git cat-file` reads them."""
    return "".join(f"{name}\n" for name in names).encode()


class _File(NamedTuple):
    """A file of a commit. `length` is '-' where git has no size, as for a submodule, or for what is not here."""

    mode: str
    blob: str
    length: str
    path: str


def _listed(git: Git, commit: str, *what: str) -> list[_File]:
    files: list[_File] = []
    for entry in git.pipe("ls-tree", "-l", "-z", "--full-tree", commit, *what).split(b"\0")[:-1]:
        head, _, path = entry.decode("utf-8", "surrogateescape").partition("\t")
        mode, _, blob, length = head.split()
        files.append(_File(mode, blob, length, path))
    return files


def _size(file: _File, name: str) -> int:
    """Return the bytes of a file, as git lists them. Raise GitError for one that is not here."""
    if not file.length.isdecimal():
        raise _missing(name, file.path)
    return int(file.length)


def _missing(name: str, path: str) -> GitError:
    return GitError(f"{printable(name)}: {printable(path)} is not in this repository", help="fetch it whole: git fetch --refetch")


def _commit(git: Git, name: str) -> str:
    """Return the commit of a revision. A short name that several branches or tags have is refused: one could be planted."""
    if not name or name.startswith("-"):
        raise GitError(f"{printable(name)!r} names no commit", help="--rules git:origin/main")
    several = [place + name for place in _PLACES if git.holds("show-ref", "--verify", "--quiet", place + name)]
    if len(several) > 1:
        raise GitError(f"{printable(name)} has several meanings: {', '.join(map(printable, several))}", help=for_shell("--rules", f"git:{several[-1]}"))
    commit = git.commit(name)
    if not commit:
        raise GitError(
            f"there is no commit {printable(name)} here", help="fetch it first: git fetch origin BRANCH; in CI: fetch-depth: 0"
        )
    return commit
