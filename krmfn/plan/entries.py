"""The entries of a TagSnapshot and an ImageLock as data, and as they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from krmfn.policies.number import moment
from krmfn.yamledit.scalars import is_plain, quoted
from krmfn.yamledit.writing import Plain, Value

if TYPE_CHECKING:
    from krmfn.config.snapshot import Snapshot

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


def recorded(snapshot: Snapshot) -> dict[str, Value]:
    """Return the spec of a snapshot that records first sightings."""
    tags, gone = snapshot_data(snapshot), [tag_data(snapshot, name) for name in sorted(snapshot.gone)]
    spec: dict[str, Value] = {"image": _text("image", snapshot.image), "tags": [typed(tag) for tag in tags]}
    if snapshot.listed > len(tags):
        spec["listed"] = snapshot.listed
    spec["time"] = moment(snapshot.time or 0)
    return spec | ({"gone": [typed(tag) for tag in gone]} if gone else {})


def typed(entry: Data) -> Any:
    """Return an entry as it is written: counts as numbers, an image without quotes, digests as a list in one line."""
    return each(entry, _text)


def each(entry: Data, convert: Callable[[str, Any], Any]) -> Any:
    """Return an entry with its counts as numbers and everything else converted, by the name that it has in the entry."""
    if isinstance(entry, str):
        return convert("", entry)
    return {name: int(value) if name in NUMBERS else convert(name, value) for name, value in entry.items()}


def _text(name: str, value: Any) -> Value:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    if isinstance(value, list):
        items = ("{" + ", ".join(f"{key}: {quoted(text)}" for key, text in one.items()) + "}" for one in value)
        return Plain(f"[{', '.join(items)}]")
    return Plain(value) if name == "image" and is_plain(value, in_flow=False) else value
