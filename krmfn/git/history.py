"""The history of a repository's manifests, read from git's objects: which commit changed which file, and what files held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import GitError
from krmfn.git.snapshot import MAX_FILE

if TYPE_CHECKING:
    from krmfn.git.program import Git

_MANIFESTS = ("*.yaml", "*.yml")
_BATCH = 64 << 20
"""Bytes of files that are read together."""
_NONE = "0" * 7


class Change(NamedTuple):
    """A file that a commit changed. `before` and `after` are git's names of what it held; '' if there was no file."""

    path: str
    before: str
    after: str


class Commit(NamedTuple):
    """A commit of the checked-out branch; of a merge what it brought. `time` is the committer's, in seconds since 1970."""

    id: str
    time: float
    changes: tuple[Change, ...]


def commits(git: Git) -> list[Commit]:
    """Return the commits that changed manifests below the folder of `git`, the oldest first. Raise GitError.

    History that is not here is not fetched: `is_shallow` tells whether there is more.
    """
    log = ("log", "--first-parent", "-m", "--reverse", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=%x01%H %ct")
    printed = git.pipe(*log, "--", *_MANIFESTS).decode("utf-8", "surrogateescape")
    return [_commit(part) for part in printed.split("\x01")[1:]]


def is_shallow(git: Git) -> bool:
    """True if the clone holds the newest commits alone."""
    return git.read("rev-parse", "--is-shallow-repository") == "true"


def _commit(printed: str) -> Commit:
    head, _, rest = printed.partition("\0")
    name, _, time = head.partition(" ")
    fields = rest.lstrip("\n\0").split("\0")
    changes = []
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, new_mode, before, after = words.lstrip(":").split()[:4]
        if {old_mode, new_mode} <= {"000000", "100644", "100755"}:
            changes.append(Change(path, *("" if one.startswith(_NONE) else one for one in (before, after))))
    return Commit(name, float(time), tuple(changes))


def contents(git: Git, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what files held, by git's names of it; what is larger than a manifest can be is left out. Raise GitError."""
    listed = git.pipe("cat-file", "--batch-check=%(objectname) %(objectsize)", data=_lines(names)).decode().splitlines()
    sizes = {name: int(size) for name, size in (line.split(" ", 1) for line in listed) if size.isdigit()}
    batch: list[str] = []
    total = 0
    for name, size in sizes.items():
        if size <= MAX_FILE:
            batch.append(name)
            total += size
        if total > _BATCH:
            yield from _read(git, batch)
            batch, total = [], 0
    yield from _read(git, batch)


def _read(git: Git, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    printed = git.pipe("cat-file", "--batch", data=_lines(names)) if names else b""
    at = 0
    while at < len(printed):
        end = printed.index(b"\n", at)
        name, _, size = printed[at:end].decode().split(" ")
        if name not in names:
            raise GitError("git cat-file printed what it was not asked for")
        at = end + 1 + int(size) + 1
        yield name, printed[end + 1 : at - 1]


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
