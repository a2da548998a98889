"""What a run changes, as drafts of commits: all of it in one, or one for each image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from krmfn import pipeline
from krmfn.commands.package import lock_note, rewritten
from krmfn.commands.remembering import with_holds
from krmfn.errors import GitError
from krmfn.git import changelog, message
from krmfn.git.drafts import Draft
from krmfn.model import NotChosen, PolicyKey

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.commands.workspace import Examined
    from krmfn.git.changelog import Row
    from krmfn.yamledit.text import Edit, Text

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Part:
    """One commit to be, and what it moves. `name` is short for its image, '' if it holds everything.

    `lock` says how the image lock is renewed.
    `is_known` is False if a policy of the image could not decide, so that no change need not mean that none is due.
    """

    name: str
    draft: Draft
    rows: tuple[Row, ...] = ()
    lock: str = ""
    is_known: bool = True


def parts(examined: Examined, top: Path, template: str | None, *, split: bool, apart: bool) -> list[Part]:
    """Return what is to be committed. Split parts follow each other, or with `apart` each starts from the base.

    Parts that start from the base are listed for every image, with no files where nothing changes.
    """
    if split and apart:
        return list(_apart(examined, top, template))
    whole = list(_in_turn(examined, top, template, split=split))
    is_known = not any(isinstance(choice, NotChosen) for (_, tag), choice in examined.run.choices.items() if not tag)
    return whole if whole or is_known else [Part("", Draft("", {}), is_known=False)]


def _in_turn(examined: Examined, top: Path, template: str | None, *, split: bool) -> Iterator[Part]:
    """Yield one part of everything, or one for each image; the lock goes with the last."""
    rows = changelog.rows(examined.run.changes)
    images = dict.fromkeys(row.image for row in rows) if split else ()
    groups = [tuple(row for row in rows if row.image == image) for image in images]
    if not groups and examined.written():
        groups = [rows]
    own = {id(change.edit) for change in examined.run.changes}
    rest = [pair for pair in examined.run.edits if id(pair[1]) not in own]
    edits: list[tuple[Text, Edit]] = []
    before: dict[str, bytes] = {}
    for index, group in enumerate(groups):
        edits += [(change.target.resource.block.text, change.edit) for row in group for change in row.changes]
        edits += rest if index == len(groups) - 1 else []
        content = _contents(examined, edits, top, examined.run.added)
        changed = {path: data for path, data in content.items() if before.get(path) != data}
        before = content
        yield Part("", Draft(_message(examined, group, template), changed), tuple(group), lock_note(examined.run))


def _apart(examined: Examined, top: Path, template: str | None) -> Iterator[Part]:
    """Yield the part of every image as if no other image had a policy, from the answers that are already here."""
    policies, graph = examined.run.config.policies, examined.tree.graph
    for name, keys in short_names({key: policy.repository for key, policy in policies.items()}).items():
        narrowed = examined.run.config._replace(policies={key: policies[key] for key in keys})
        run = pipeline.examine(examined.blocks, narrowed, lambda _config: examined.run.source, graph=graph)
        run = with_holds(run, examined.tree.texts)
        failed = [key for key in keys if isinstance(examined.run.choices.get((key, "")), NotChosen)]
        rows = changelog.rows(run.changes)
        files = {} if run.is_error else _contents(examined, run.edits, top, run.added)
        draft = Draft(_message(examined, rows, template) if files else "", files)
        yield Part(name, draft, rows, lock_note(run), is_known=not (failed or run.is_error))


def short_names(repositories: dict[PolicyKey, Repository]) -> dict[str, list[PolicyKey]]:
    """Return the policies by a name for their image that can stand in a branch: its last parts, as many as it takes.

    The names depend on all images that have a policy, not on those that change, so that they stay the same.
    """
    images = sorted({repository.image.canonical for repository in repositories.values()})
    names: dict[str, str] = {}
    # One more part of the path in each round, until a name is of one image alone; no name is given a second time.
    for count in range(1, max((image.count("/") for image in images), default=0) + 2):
        spelled = {image: _spelled("-".join(image.split("/")[-count:])) for image in images}
        uses = Counter(spelled.values())
        for image, name in spelled.items():
            if uses[name] == 1 and name not in names.values():
                names.setdefault(image, name)
    for image in images:
        names.setdefault(image, f"{_spelled(image)}-{sha256(image.encode()).hexdigest()[:8]}")
    return {
        names[image]: sorted(key for key, repository in repositories.items() if repository.image.canonical == image)
        for image in images
    }


def _spelled(text: str) -> str:
    name = re.sub(r"\.{2,}|[^A-Za-z0-9._-]+", "-", text).strip(".-")
    return name.removesuffix(".lock") or "image"


def _contents(
    examined: Examined, edits: Sequence[tuple[Text, Edit]], top: Path, added: Sequence[Text] = ()
) -> dict[str, bytes]:
    return {_path(text, top): data for text, data in rewritten((*examined.tree.texts, *added), edits).items()}


def _path(text: Text, top: Path) -> str:
    path = Path(text.name).resolve()
    if not path.is_relative_to(top.resolve()):
        raise GitError(f"{text.name} leads out of the repository by a symbolic link", help="name the file itself")
    return path.relative_to(top.resolve()).as_posix()


def _message(examined: Examined, rows: Sequence[Row], wanted: str | None) -> str:
    automation = examined.automation
    template = wanted if wanted is not None else automation.message_template if automation else None
    if template is None:
        return changelog.message(rows, lambda place: _from_top(place, examined.top)) if rows else _without_rows(examined)
    folder = automation.folder(examined.top) if automation else examined.top
    moved = ((change, change.target) for row in rows for change in row.changes)
    edits = [
        message.Edit(
            _relative(target.resource.block.text, folder), target.resource.id, target.scalar.value, change.value,
            str(target.setter),
        )
        for change, target in moved
    ]  # fmt: skip
    key = automation.key if automation else PolicyKey("default", "krmfn")
    return message.write(template, key, edits, dict(automation.values) if automation else {})


def _without_rows(examined: Examined) -> str:
    """Return the message of a commit that moves no image."""
    taken = examined.run.taken
    return f"Skip {', '.join(f'{one.policy} {one.tag}' for one in taken)}, taken back by hand\n" if taken else "Update the image lock\n"


def _from_top(place: str, top: Path) -> str:
    """Return a place, `file:line`, as it is seen from the repository's root."""
    path, colon, line = place.rpartition(":") if ":" in place else (place, "", "")
    whole = Path(path).resolve()
    return whole.relative_to(top.resolve()).as_posix() + colon + line if whole.is_relative_to(top.resolve()) else place


def _relative(text: Text, folder: Path) -> str:
    path, top = Path(text.name).resolve(), folder.resolve()
    return path.relative_to(top).as_posix() if path != top else path.name
