"""The history of a repository's manifests, read from git's objects: which commit changed which file, and what files held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import GitError
from krmfn.git.snapshot import MAX_FILE, lines, read_blobs

if TYPE_CHECKING:
    from krmfn.git.program import Git

_MANIFESTS = ("*.yaml", "*.yml")
_BATCH = 32 << 20
"""Bytes of files that are read together."""
_AT_ONCE = 5000
"""Changes whose sizes are asked together."""
_NONE = "0" * 7
NO_FETCH = {"GIT_NO_LAZY_FETCH": "1"}
"""For git of 2.39.4 and newer: what a partial clone lacks is missing. To fetch it would run the program that the checkout names."""


class Change(NamedTuple):
    """A file that a commit changed. `before` and `after` are git's names of what it held; '' if there was no file."""

    path: str
    before: str
    after: str

    @property
    def blobs(self) -> tuple[str, ...]:
        """The names of what the file held."""
        return tuple(filter(None, (self.before, self.after)))


class Commit(NamedTuple):
    """A commit of the checked-out branch; of a merge what it brought. `time` is the committer's, in seconds since 1970."""

    id: str
    time: float
    changes: list[Change]


def commits(git: Git) -> list[Commit]:
    """Return the commits that changed manifests below the folder of `git`, the oldest first. Raise GitError.

    History that is not here is not fetched: `Git.is_shallow` tells whether there is more.
    """
    log = ("log", "--first-parent", "-m", "--reverse", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=%x01%H %ct")
    listed: list[Commit] = []
    fields = iter(git.pipe(*log, "--", *_MANIFESTS).decode("utf-8", "surrogateescape").split("\0"))
    for field in fields:
        words = field.lstrip("\n")
        if words.startswith("\x01"):
            name, _, time = words[1:].partition(" ")
            # 0 where whoever made it wrote no time, or one that no clock tells
            listed.append(Commit(name, float(time) if time.isdecimal() and len(time) < 12 else 0.0, []))
        elif words.startswith(":") and listed:
            old_mode, new_mode, before, after = words[1:].split()[:4]
            change = Change(next(fields), *("" if blob.startswith(_NONE) else blob for blob in (before, after)))
            if {old_mode, new_mode} <= {"000000", "100644", "100755"}:  # regular files, or none; no links or modules
                listed[-1].changes.append(change)
    return listed


def contents(git: Git, commits: Iterable[Commit]) -> Iterator[tuple[Commit, Change, bytes | None, bytes | None]]:
    """Yield every change with what the file held before and after, a few megabytes at a time. Raise GitError.

    There is None for no file, and for one that is larger than a manifest can be, or not in this clone.
    """
    changes = [(commit, change) for commit in commits for change in commit.changes]
    for start in range(0, len(changes), _AT_ONCE):
        some = changes[start : start + _AT_ONCE]
        sizes = _sizes(git, [name for _, change in some for name in change.blobs])
        part: list[tuple[Commit, Change]] = []
        total = 0
        for pair in some:
            part.append(pair)
            total += sum(sizes.get(name, 0) for name in pair[1].blobs)
            if total > _BATCH:
                yield from _read(git, part, sizes)
                part, total = [], 0
        yield from _read(git, part, sizes)


def _sizes(git: Git, names: Iterable[str]) -> dict[str, int]:
    """Return the sizes of the files that are here and not too large."""
    printed = git.pipe("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", data=lines(names))
    objects = [line.split() for line in printed.decode().splitlines()]
    return {words[0]: int(words[2]) for words in objects if words[1] == "blob" and int(words[2]) <= MAX_FILE}


def _read(
    git: Git, part: Sequence[tuple[Commit, Change]], sizes: Mapping[str, int]
) -> Iterator[tuple[Commit, Change, bytes | None, bytes | None]]:
    held: dict[str, bytes] = {}
    names = {name: sizes[name] for _, change in part for name in change.blobs if name in sizes}
    for name, data in read_blobs(git, names.items()):
        if data is None:
            raise GitError(f"git cat-file printed something else than {name}", help="git fsck tells what is wrong with the repository")
        held[name] = data
    for commit, change in part:
        yield commit, change, held.get(change.before), held.get(change.after)
