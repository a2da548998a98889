"""Trees of a fleet: folders, and git repositories by URL, of which the manifests of one commit are read and nothing is checked out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config.loading import load
from krmfn.config.records import Config
from krmfn.disk.temporary import temporary_folder
from krmfn.errors import ConfigError, GitError, InputError
from krmfn.fleet.plan import PlannedTree, Use, written
from krmfn.git.program import Allowance, Git
from krmfn.git.snapshot import manifests
from krmfn.inventory import files
from krmfn.inventory.ignore import Ignored
from krmfn.kubernetes import finder
from krmfn.kubernetes.places import COUNTS
from krmfn.sanitize import printable, without_login
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.config.floor import Floor

_PART = r"[A-Za-z0-9_.~%+@:-]+"
_https = re.compile(rf"https://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?(?:/{_PART})+/?", re.ASCII).fullmatch
_ssh = re.compile(rf"ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?(?:/{_PART})+/?", re.ASCII).fullmatch
_scp = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:/?{_PART}(?:/{_PART})*/?", re.ASCII).fullmatch
_is_url = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/\s]+@[^/\s]+:", re.ASCII).match
_ref = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+-]*", re.ASCII).fullmatch
_ONLY = (
    "-c", "protocol.allow=never", "-c", "protocol.https.allow=always", "-c", "protocol.ssh.allow=always",
    "-c", "submodule.recurse=false", "-c", "fetch.recurseSubmodules=false", "-c", "core.hooksPath=/dev/null",
    "-c", "transfer.bundleURI=false", "-c", "fetch.fsckObjects=true", "-c", "credential.interactive=false",
)  # fmt: skip
"""What git may use to fetch: two protocols, no submodules, no hooks, no bundles from elsewhere."""


class Source(NamedTuple):
    """Where a tree is: a folder, or a URL with a branch, tag or commit (`#REF`; HEAD without one)."""

    name: str
    is_remote: bool = False
    url: str = ""
    ref: str = "HEAD"


class Tree(NamedTuple):
    """A tree that was read. `problems` say what of it was left out."""

    source: Source
    commit: str
    files: files.Tree
    config: Config
    problems: tuple[str, ...] = ()


def source(text: str) -> Source:
    """Read how a tree is named. Raise InputError for URLs other than https and ssh, and for logins in them."""
    if not _is_url(text):
        return Source(text)
    url, _, ref = text.partition("#")
    if url.startswith("https://") and "@" in url.partition("://")[2].partition("/")[0]:
        message = "holds a login, which would show in lists of processes: leave it to git's credential helper"
        raise InputError(message, name=printable(without_login(url)))
    if not (_https(url) or _ssh(url) or _scp(url)) or (ref and not (_ref(ref) and ".." not in ref)):
        expected = "expected a folder, https://HOST/PATH, ssh://[USER@]HOST/PATH or USER@HOST:PATH, and #REF for a branch, tag or commit"
        raise InputError(expected, name=printable(without_login(text)))
    return Source(text, is_remote=True, url=url, ref=ref or "HEAD")


def read(one: Source, allowance: Allowance, exclude: Sequence[str] = (), floor: Floor | None = None) -> Tree:
    """Read a tree, without what is excluded. Raise InputError, GitError."""
    if one.is_remote:
        commit, tree = _fetched(one, allowance, exclude)
    else:
        tree = files.read((Path(one.name),), exclude)
        commit = _standing(Path(one.name), allowance)
    problems = [skipped.message for skipped in tree.skipped if skipped.matters]
    try:
        config = load(tree.blocks, floor=floor)
    except ConfigError as error:
        problems += [f"its policies do not count: {problem}" for problem in error.problems[:1]]
        config = Config()
    return Tree(one, commit, tree, config, tuple(problems))


def _fetched(one: Source, allowance: Allowance, exclude: Sequence[str]) -> tuple[str, files.Tree]:
    ignored = Ignored(exclude)
    with TemporaryDirectory(dir=temporary_folder()) as folder:
        git = Git(Path(folder), allowance)
        git.read("init", "-q", "--bare", "--template=", ".")
        try:
            git.read(*_ONLY, "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph", "--", one.url, one.ref)
        except GitError as error:
            raise GitError(f"{one.name}: {error}", help="check the URL and the ref, and that git may read it without asking: git ls-remote URL") from None
        commit = git.read("rev-parse", "--verify", "FETCH_HEAD^{commit}")
        named = ((text.name.partition(":")[2], text.data) for text in manifests(git, commit))
        texts = [Text(data, name) for name, data in named if not ignored.excludes(name)]
    return commit, files.read((), texts_in_memory=texts)


def _standing(path: Path, allowance: Allowance) -> str:
    """Return the commit that a folder stands at, `-dirty` behind it where files differ; empty outside of git."""
    git = Git(path if path.is_dir() else path.parent, allowance)
    try:
        commit = git.read("rev-parse", "-q", "--verify", "HEAD^{commit}")
        is_dirty = bool(git.read("status", "--porcelain", "--ignore-submodules=all", "--", "."))
    except GitError:
        return ""
    return f"{commit}-dirty" if is_dirty else commit


def used(tree: Tree) -> PlannedTree:
    """Return what a tree uses: images that it deploys, with their tags, and images that its policies choose among."""
    images: dict[str, Use] = {}
    for image, use in _named(tree):
        images[image] = use.with_(images.get(image, Use()))
    return PlannedTree(tree.source.name, tree.commit, {image: images[image] for image in sorted(images)})


def _named(tree: Tree) -> Iterator[tuple[str, Use]]:
    for place in finder.find(tree.files.blocks, tree.files.graph):
        if place.ref is not None and place.state == COUNTS:
            yield place.ref.canonical, Use((place.ref.tag,) if place.ref.tag else ())
    for policy in tree.config.policies.values():
        yield policy.repository.image.canonical, Use((), (written(policy.rules.canonical()),))


def known(one: Source, earlier: Mapping[str, PlannedTree], allowance: Allowance) -> PlannedTree | None:
    """Return what an earlier plan says of a git repository that stands at the same commit still. Raise GitError."""
    before = earlier.get(one.name)
    if not (one.is_remote and before and before.commit):
        return None
    with TemporaryDirectory(dir=temporary_folder()) as folder:
        listed = Git(Path(folder), allowance).read(*_ONLY, "ls-remote", "--", one.url, one.ref)
    return before if before.commit == listed.partition("\t")[0] else None
