"""The folder of a scan: its plan, and for each lane a folder of shards. A shard that is there is done.

In the folder of a lane, which has the name of its host, `0000.jsonl` holds the TagSnapshots of a shard, `0000.failed.json` what
could not be asked, if anything, and `0000.journal` the answers so far of a shard that is not done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from krmfn.disk import writing
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RegistryError, RegistryFailure
from krmfn.fleet import plan as plans
from krmfn.sanitize import printable
from krmfn.sources import shard as shards
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.config.snapshot import Snapshot
    from krmfn.fleet.plan import Lane, Plan, Shard

_PLAN_LIMIT = 1 << 30
_WHY: Mapping[RegistryFailure, str] = {
    "unavailable": "could not be asked", "rate-limited": "asks to wait", "denied": "refuses", "not-found": "does not have it",
    "integrity": "answered what cannot be right", "limit": "answered more than the limits allow",
}  # fmt: skip
"""What is said of a failure without an answer of HTTP."""
_AT_HAND = 32
"""Shards whose documents are kept."""


class Store:
    """A scan on disk. Raise InputError for what is not what it must be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._plan: Plan | None = None
        self.plan_digest = ""
        """SHA-256 of the plan that it was begun with."""
        self._split: dict[Path, dict[str, bytes]] = {}

    @property
    def plan(self) -> Plan:
        """The plan that it is a scan of."""
        if self._plan is None:
            self._plan = read_plan(self.folder / plans.FILE)
        return self._plan

    def begin(self, plan: Plan) -> None:
        """Take a plan: the first one that comes, and the same one again."""
        path, data = self.folder / plans.FILE, plans.encode(plan)
        if not path.exists():
            writing.put(path, data)
        elif _bytes(path, _PLAN_LIMIT) != data and plans.encode(self.plan) != data:
            message = "holds the scan of another plan: name a new folder with --to, and this one with --since"
            raise InputError(message, name=str(self.folder))
        self._plan, self.plan_digest = plan, hashlib.sha256(data).hexdigest()

    def path(self, lane: Lane, shard: Shard, end: str) -> Path:
        """Return the path of a file of a shard, `end` being `jsonl`, `failed.json` or `journal`."""
        return self.folder / lane.folder / f"{shard.name}.{end}"

    def write(self, lane: Lane, shard: Shard, snapshots: Iterable[Snapshot], failed: Mapping[str, RegistryError]) -> None:
        """Write a shard; it is there when all of it is."""
        path = self.path(lane, shard, "failed.json")
        if failed:
            writing.put(path, encode_failures(failed))
        else:
            path.unlink(missing_ok=True)
        writing.put(self.path(lane, shard, "jsonl"), shards.encode(snapshots))
        self._split.pop(self.path(lane, shard, "jsonl"), None)
        self.path(lane, shard, "journal").unlink(missing_ok=True)

    def has(self, lane: Lane, shard: Shard) -> bool:
        """True if a shard is done."""
        return self.path(lane, shard, "jsonl").exists()

    def data(self, lane: Lane, shard: Shard) -> bytes:
        """Return the bytes of a shard."""
        return _bytes(self.path(lane, shard, "jsonl"), shards.LIMIT)

    def shard(self, lane: Lane, shard: Shard, images: Iterable[str] | None = None) -> dict[str, Snapshot]:
        """Return the snapshots of some repositories of a shard, or all. The documents of a few shards are kept at hand."""
        path = self.path(lane, shard, "jsonl")
        try:
            if path not in self._split:
                while len(self._split) >= _AT_HAND:  # dicts keep the order of insertion: the oldest goes
                    del self._split[next(iter(self._split))]
                self._split[path] = shards.split(self.data(lane, shard), shard.first, shard.last)
            lines = self._split[path]
            return {image: shards.read(lines[image], f"{path} {image}") for image in (lines if images is None else images) if image in lines}
        except ValueError as error:
            raise InputError(f"{error}: delete it and scan again", name=str(path)) from None

    def read(self, lane: Lane, shard: Shard) -> tuple[dict[str, Snapshot], dict[str, RegistryError]] | None:
        """Return the snapshots of a shard and what could not be asked; None while it is not there."""
        return (self.shard(lane, shard), self.failures(lane, shard)) if self.has(lane, shard) else None

    def failures(self, lane: Lane, shard: Shard) -> dict[str, RegistryError]:
        """Return what could not be asked."""
        path = self.path(lane, shard, "failed.json")
        return decode_failures(_bytes(path, 64 << 20), str(path), lane.host) if path.exists() else {}

    def snapshots(self, images: Iterable[str]) -> dict[str, Snapshot]:
        """Return what is known of repositories, from the shards that are done."""
        known: dict[str, Snapshot] = {}
        for image in sorted(images):
            lane = self.plan.lane(image.partition("/")[0])
            shard = lane.shard_of(image) if lane else None
            if lane and shard and self.has(lane, shard):
                known |= self.shard(lane, shard, (image,))
        return known

    def failed(self, host: str) -> dict[str, RegistryError]:
        """Return what could not be asked in the lane of a host."""
        lane = self.plan.lane(host)
        return {image: error for shard in lane.shards for image, error in self.failures(lane, shard).items()} if lane else {}


def read_plan(path: Path) -> Plan:
    """Read the file of a plan. Raise InputError."""
    return plans.decode(_bytes(path, _PLAN_LIMIT), str(path))


def _bytes(path: Path, limit: int) -> bytes:
    try:
        return read_file(path, limit)
    except (NotReadError, OSError) as error:
        raise InputError(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}", name=str(path)) from None


def encode_failures(failed: Mapping[str, RegistryError]) -> bytes:
    """Return the bytes of what could not be asked: what is the same on every machine, so no advice and no path."""
    failures = {
        image: {"failure": error.failure} | {name: fact for name, fact in (("status", error.status), ("code", error.code)) if fact}
        for image, error in failed.items()
    }
    return (json.dumps(failures, indent=1, sort_keys=True) + "\n").encode()


def decode_failures(data: bytes, name: str, host: str) -> dict[str, RegistryError]:
    """Read what could not be asked in the lane of a host. Raise InputError."""
    try:
        return {image: _failure(image, facts, host) for image, facts in parse(data, 10**6, 10**6).items()}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"is no list of failures ({error}): delete it and scan again", name=name) from None


def _failure(image: str, facts: Mapping[str, Any], host: str) -> RegistryError:
    failure, status, code = facts["failure"], facts.get("status"), facts.get("code")
    if failure not in _WHY or not image.startswith(f"{host}/") or not isinstance(status, int | None) or not isinstance(code, str | None):
        raise ValueError(f"{printable(image, 100)} has no place there")
    message = f"{host} answered {status}{f' ({printable(code, 100)})' if code else ''}" if status else f"{host} {_WHY[failure]}"
    return RegistryError(failure, image, message, status=status, code=code)
