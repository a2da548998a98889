"""The lines of entries in a TagSnapshot and an ImageLock. Texts are quoted: kustomize would turn 1.10 into 1.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from krmfn.config.lock import Snapshot
from krmfn.policies.number import moment
from krmfn.yamledit.scalars import is_plain, quoted

Data = str | dict[str, Any]
NUMBERS = ("listed", "eligible")


def snapshot_data(snapshot: Snapshot) -> list[Data]:
    """Return the tags as they stand in a TagSnapshot, in natural order, so that new versions come last."""
    from krmfn.policies.release import natural_key

    return [tag_data(snapshot, name) for name in sorted(snapshot.tags, key=lambda tag: (natural_key(tag), tag))]


def tag_data(snapshot: Snapshot, name: str) -> Data:
    """Return a tag with what is known of it, as it stands in a TagSnapshot."""
    digest, seen = snapshot.tags.get(name), snapshot.seen.get(name)
    more: dict[str, Any] = {"digest": digest, "created": snapshot.created.get(name)}
    if seen is not None:
        several = [{"digest": one, "firstSeen": moment(time)} for one, time in seen.digests]
        is_one = len(several) == 1 and several[0] == {"digest": digest, "firstSeen": moment(seen.first or 0)}
        more |= {
            "firstSeen": moment(seen.first) if seen.first is not None else "",
            "digests": [] if is_one else several,
            "evidence": "bootstrap" if seen.is_bootstrap else "",
        }
    known = {key: value for key, value in more.items() if value}
    return {"name": name, **known} if known else name


def recorded(snapshot: Snapshot, column: int) -> list[str]:
    """Write the lines of the spec of a snapshot that records first sightings."""
    space = " " * column
    tags, gone = snapshot_data(snapshot), [tag_data(snapshot, name) for name in sorted(snapshot.gone)]
    lines = [f"{space}image: {scalar('image', snapshot.image)}"]
    lines += [f"{space}tags:", *lines_of(tags, column + 2)] if tags else [f"{space}tags: []"]
    lines += [f"{space}listed: {snapshot.listed}"] if snapshot.listed > len(tags) else []
    lines += [f"{space}time: {quoted(moment(snapshot.time or 0))}"]
    return [*lines, f"{space}gone:", *lines_of(gone, column + 2)] if gone else lines


def scalar(name: str, value: Any) -> str:
    """Return the text of a value under its name; digests come as a list in one line."""
    if isinstance(value, list):
        return f"[{', '.join('{' + ', '.join(f'{key}: {quoted(text)}' for key, text in one.items()) + '}' for one in value)}]"
    return value if name in NUMBERS or (name == "image" and is_plain(value, in_flow=False)) else quoted(value)


def lines_of(entries: Sequence[Data], indent: int) -> list[str]:
    """Return the lines of a list."""
    lines = []
    for entry in entries:
        members = (
            [quoted(entry)]
            if isinstance(entry, str)
            else [f"{name}: {scalar(name, value)}" for name, value in entry.items()]
        )
        lines += [" " * indent + ("- " if index == 0 else "  ") + text for index, text in enumerate(members)]
    return lines
