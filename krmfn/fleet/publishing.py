"""Publishing a scan as an OCI artifact, and pulling one into a folder. What is there already is not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from krmfn.errors import InputError, RegistryError
from krmfn.fleet import plan as plans
from krmfn.fleet.store import Store, decode_failures, encode_failures
from krmfn.policies.number import moment
from krmfn.sources import artifact
from krmfn.sources.artifact import Artifact, Piece
from krmfn.sources.manifest import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from krmfn.config.snapshot import Snapshot
    from krmfn.fleet.plan import Lane, Plan


class Registry(Protocol):
    """Takes content for one repository. Raises RegistryError."""

    def blob(self, data: bytes) -> bool:
        """Push content that is not there yet. Return whether it was sent."""
        ...

    def manifest(self, data: bytes, media_type: str, tag: str = "") -> str:
        """Push a manifest or index. Return its digest."""
        ...


class Remote:
    """A published scan in the place of a folder: its plan and its snapshots, fetched when they are needed."""

    def __init__(self, published: Artifact) -> None:
        self._published = published

    @property
    def plan(self) -> Plan:
        """The plan that it is a scan of. Raise RegistryError, InputError."""
        return plans.decode(self._published.plan(), self._published.name)

    def snapshots(self, images: Iterable[str]) -> dict[str, Snapshot]:
        """Return what is known of repositories. Raise RegistryError."""
        known = {image: self._published.snapshot(image) for image in images}
        return {image: one for image, one in known.items() if one is not None}

    def failed(self, host: str) -> dict[str, RegistryError]:
        """Return what could not be asked in the lane of a host. Raise RegistryError, InputError."""
        return _failures(self._published, host) if host and host in self._published.lanes() else {}


class Published(NamedTuple):
    """What was published: the digest of the index, and what was missing."""

    digest: str
    shards: int
    sent: int
    missing: tuple[str, ...]


def publish(store: Store, registry: Registry, tag: str) -> Published:
    """Push every lane, and the index over them last. Raise RegistryError, and InputError for a lane of which nothing is there."""
    plan = store.plan
    pieces, shards, sent, missing = [_plan(plan, registry)], 0, 0, list[str]()
    for lane in plan.lanes:
        there = [shard for shard in lane.shards if store.has(lane, shard)]
        missing += [f"{lane.host}/{shard.name}" for shard in lane.shards if shard not in there]
        if there:
            layers = []
            for shard in there:
                data = store.data(lane, shard)
                store.shard(lane, shard)  # what is no good shard is not published: whoever pulls it could not read it
                sent += registry.blob(data)
                layers.append(_piece(artifact.SNAPSHOTS, data, {artifact.FIRST: shard.first, artifact.LAST: shard.last}))
            pieces.append(_lane(lane, plan, layers, store, registry))
            shards += len(layers)
    if not shards:
        raise InputError("holds no shard that is done: scan first", name=str(store.folder))
    return Published(registry.manifest(artifact.index(pieces, moment(plan.now)), OCI_INDEX, tag), shards, sent, tuple(missing))


def _lane(lane: Lane, plan: Plan, layers: list[Piece], store: Store, registry: Registry) -> Piece:
    failed: dict[str, RegistryError] = {}
    for shard in lane.shards:
        failed |= store.failures(lane, shard)
    failures = encode_failures(failed)
    registry.blob(failures)
    notes = {artifact.HOST: lane.host, artifact.NOW: moment(plan.now)}
    data = artifact.manifest(artifact.LANE, _piece(artifact.FAILURES, failures, {}), layers, notes)
    registry.manifest(data, OCI_MANIFEST)
    return _piece(OCI_MANIFEST, data, {artifact.HOST: lane.host}, artifact.LANE)


def _plan(plan: Plan, registry: Registry) -> Piece:
    data, empty = plans.encode(plan), b"{}"
    for one in (data, empty):
        registry.blob(one)
    whole = artifact.manifest(artifact.PLAN, _piece(artifact.EMPTY, empty, {}), [_piece(artifact.PLAN, data, {})], {artifact.NOW: moment(plan.now)})
    registry.manifest(whole, OCI_MANIFEST)
    return _piece(OCI_MANIFEST, whole, {}, artifact.PLAN)


def _piece(media_type: str, data: bytes, annotations: dict[str, str], artifact_type: str = "") -> Piece:
    return Piece(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), annotations, artifact_type)


def pull(published: Artifact, folder: Path, tell: Callable[[str, int], None]) -> Plan:
    """Write a published scan into a folder, as it was scanned. Raise RegistryError, InputError."""
    plan = plans.decode(published.plan(), published.name)
    store = Store(folder)
    store.begin(plan)
    for lane in plan.lanes:
        if lane.host not in published.lanes():
            continue
        pieces = {piece.annotations[artifact.FIRST]: piece for piece in published.shards(lane.host)}
        failed = _failures(published, lane.host)
        for shard in lane.shards:
            piece = pieces.get(shard.first)
            if piece is not None and piece.annotations[artifact.LAST] == shard.last:
                mine = {image: error for image, error in failed.items() if image in shard.images}
                store.write(lane, shard, published.snapshots(piece), mine)
        tell(lane.host, len(pieces))
    return plan


def _failures(published: Artifact, host: str) -> dict[str, RegistryError]:
    return decode_failures(published.failures(host), f"{published.name} {host}", host)
