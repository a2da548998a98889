"""Reading the rules from outside the change under review: files, or a commit of git. The function does so, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from krmfn.config.floor import Floor, read_floor
from krmfn.config.rule_files import GIT, LIMIT, below
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RuleError
from krmfn.inventory import files
from krmfn.sanitize import printable
from krmfn.yamledit.documents import documents

if TYPE_CHECKING:
    from krmfn.yamledit.nodes import Block

_OWN, _WORDS = b"krmfn.dev/v", (b"krmfn.dev/v", b"image.toolkit.fluxcd.io", b"kind: Secret")


def read(spec: str, near: Path) -> Floor:
    """Read the rules in a file, in a folder, or in a commit of the repository around `near`.

    Raises ConfigError for rules that are wrong, InputError and GitError for rules that cannot be read.
    """
    if spec.startswith(GIT):
        return _committed(spec.removeprefix(GIT), near)
    tree = files.read((Path(spec),))
    unread = next((one for one in tree.skipped if one.matters), None)
    if unread is not None:
        message = f"rules from outside have to be read whole: {unread.reason}"
        raise InputError(message, name=unread.path, line=unread.line, column=unread.column)
    top = Path(spec) if Path(spec).is_dir() else Path(spec).parent

    def place(name: str) -> str:
        return os.path.relpath(name, top)

    return read_floor(tree.blocks, place, lambda text, path: _file(top, below(place(text), path)))


def _file(top: Path, path: str) -> bytes:
    """Return the content of a file below the rules; links may lead to no other place."""
    try:
        if not (top / path).resolve().is_relative_to(top.resolve()):
            raise RuleError(f"{printable(path)} leads out of {printable(str(top))}, where the rules are")
        return read_file(top / path, LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        raise RuleError(f"{printable(path)} is not in {printable(str(top))}, where the rules are") from None
    except (NotReadError, OSError, RuntimeError) as error:
        raise RuleError(f"{printable(path)} in {printable(str(top))} cannot be read: {error}") from None


def _committed(revision: str, near: Path) -> Floor:
    from krmfn.git.program import Allowance, Git, seconds_allowed
    from krmfn.git.snapshot import content, manifests

    folder = near if near.is_dir() else near.parent
    git = Git(folder, Allowance(seconds_allowed(os.environ)))
    blocks: list[Block] = []
    for text in manifests(git, revision):
        try:
            blocks += documents(text) if any(word in text.data for word in _WORDS) else ()
        except InputError:
            if _OWN in text.data:  # else it is a template of something, and only says less about policies
                raise
    top, prefix = (git.read("rev-parse", f"--show-{what}") for what in ("toplevel", "prefix"))
    here = os.path.relpath(Path.cwd().resolve(), Path(top).resolve())
    start = prefix if here.startswith("..") else here  # a commit is computed in a worktree elsewhere

    def file(text: str, path: str) -> bytes:
        name, _, folder = revision.partition(":")
        return content(git, name, below(text.partition(":")[2], path, folder.strip("/")), LIMIT)

    return read_floor(blocks, lambda name: os.path.relpath(name.partition(":")[2], start or "."), file)
