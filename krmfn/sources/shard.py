"""A shard of a fleet's scan: TagSnapshots as JSON, one document a line, sorted by repository. The same facts give the same bytes.

It is not compressed: what compresses differs from build to build, and nothing can hide in plain text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from krmfn.config import schema
from krmfn.config.objects import Object, Problems, identify, mapping
from krmfn.config.snapshot import Snapshot, name_of, read_snapshot
from krmfn.errors import InputError
from krmfn.plan.entries import snapshot_data, tag_data
from krmfn.policies.number import moment
from krmfn.sanitize import printable
from krmfn.strict_json import parse
from krmfn.yamledit.nodes import Block
from krmfn.yamledit.text import Text

LIMIT = 256 << 20
"""Bytes of a shard."""
_VALUES = 4_000_000
"""JSON values of one document: half a million tags with what is known of each."""


def encode(snapshots: Iterable[Snapshot]) -> bytes:
    """Return the bytes of a shard."""
    return b"".join(_line(one) for one in sorted(snapshots, key=lambda one: one.image))


def _line(snapshot: Snapshot) -> bytes:
    spec: dict[str, Any] = {"image": snapshot.image, "tags": snapshot_data(snapshot)}
    if snapshot.time is not None:
        spec["time"] = moment(snapshot.time)
    if snapshot.gone:
        spec["gone"] = [tag_data(snapshot, name) for name in sorted(snapshot.gone)]
    metadata = {"name": name_of(snapshot.image, ()), "annotations": {"config.kubernetes.io/local-config": "true"}}
    document = {"apiVersion": schema.API_VERSION, "kind": "TagSnapshot", "metadata": metadata, "spec": spec}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def split(data: bytes, first: str, last: str) -> dict[str, bytes]:
    """Return the documents of a shard by their repository. Raise ValueError for anything else than TagSnapshots in order.

    Every document is looked at: one of another kind, or of a repository outside of what the shard is for (`first` to
    `last`), spoils the whole.
    """
    lines: dict[str, bytes] = {}
    before = ""
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n") if data else (), 1):
        try:
            image = _image_of(parse(line, _VALUES, _VALUES), max(first, before), last)
        except ValueError as error:
            raise ValueError(f"document {number} {error}") from None
        lines[image] = line
        before = image + "!"  # the next one, as no name has it
    return lines


def _image_of(document: Mapping[str, Any], first: str, last: str) -> str:
    if (document.get("apiVersion"), document.get("kind")) != (schema.API_VERSION, "TagSnapshot"):
        raise ValueError("is no TagSnapshot, and nothing else is read from a scan")
    image = mapping(document.get("spec")).get("image")
    if not isinstance(image, str):
        raise ValueError("names no image")  # noqa: TRY004 - the input is wrong, not the program
    if not first <= image <= last:
        raise ValueError(f"is about {printable(image, 100)}, which has no place there")
    return image


def read(line: bytes, name: str) -> Snapshot:
    """Read a document of a shard. Raise ValueError."""
    document, problems, text = parse(line, _VALUES, _VALUES), Problems(), Text(line, name)
    try:
        snapshot = read_snapshot(Object(identify(document), document, Block(text, 0, len(line), 0)), problems)
    except InputError as error:  # what says that kustomize sent it is read once more, as YAML
        raise ValueError(f"{name} is no good TagSnapshot: {error.message}") from None
    if snapshot is None or problems.found:
        raise ValueError(f"{name} is no good TagSnapshot: {problems.found[0] if problems.found else 'it cannot be read'}")
    if snapshot.image != mapping(document["spec"])["image"]:
        raise ValueError(f"{name} does not name its image in full")
    return snapshot._replace(object=None)
