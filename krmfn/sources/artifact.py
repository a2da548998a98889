"""A scan as an OCI artifact: an index, a manifest for each lane with its shards, and one with the plan.

Whoever reads it takes TagSnapshots from the shards that are needed, and nothing else; everything has the digest, the size and the
kind that the document above it says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from krmfn.diagnostics import misconfigured
from krmfn.errors import RegistryError, RuleError
from krmfn.image import ImageRef, is_digest
from krmfn.sanitize import printable, without_login
from krmfn.singleflight import Once
from krmfn.sources import shard
from krmfn.sources.manifest import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.snapshot import Snapshot

SCHEME = "oci://"
FLEET, LANE, PLAN = (f"application/vnd.krmfn.fleet.{name}.v1+json" for name in ("scan", "lane", "plan"))
FAILURES = "application/vnd.krmfn.fleet.failures.v1+json"
SNAPSHOTS = "application/vnd.krmfn.tagsnapshots.v1+jsonl"
EMPTY = "application/vnd.oci.empty.v1+json"
HOST, FIRST, LAST, NOW = "dev.krmfn.host", "dev.krmfn.first", "dev.krmfn.last", "dev.krmfn.now"
PLAN_LIMIT, FAILURES_LIMIT, RUN_LIMIT = 256 << 20, 64 << 20, 1 << 30
"""Bytes of a plan, of what could not be asked in a lane, and of all shards that a run keeps."""


class Piece(NamedTuple):
    """A descriptor: what something is, its digest and size, and what it says of it."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]
    artifact_type: str = ""

    def data(self) -> dict[str, Any]:
        """Return it as it stands in a document."""
        more = {"artifactType": self.artifact_type, "annotations": dict(self.annotations)}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, **{name: one for name, one in more.items() if one}}


def index(lanes: Iterable[Piece], now: str) -> bytes:
    """Return the index over what was pushed."""
    return _bytes({"mediaType": OCI_INDEX, "artifactType": FLEET, "manifests": [one.data() for one in lanes], "annotations": {NOW: now}})


def manifest(artifact_type: str, config: Piece, layers: Iterable[Piece], annotations: Mapping[str, str]) -> bytes:
    """Return the manifest of a lane or a plan."""
    return _bytes({
        "mediaType": OCI_MANIFEST, "artifactType": artifact_type, "config": config.data(), "layers": [one.data() for one in layers],
        "annotations": dict(annotations),
    })  # fmt: skip


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, **document}, sort_keys=True, separators=(",", ":")).encode()


def reference(text: str) -> ImageRef:
    """Read `oci://HOST/PATH` with `:TAG` or `@DIGEST`. Raise ConfigError."""
    try:
        ref = ImageRef.parse(text.removeprefix(SCHEME) if text.startswith(SCHEME) else "")
    except RuleError as error:
        raise misconfigured(f"a scan is named {SCHEME}HOST/PATH@sha256:..., or with a tag, not {printable(without_login(text))!r}: {error}") from None
    if not (ref.tag or ref.digest):
        raise misconfigured(f"{text}: a scan is named by its digest, as krmfn fleet publish prints it, or by a tag")
    return ref


Fetch = Callable[[str], Mapping[str, Any] | None]
Read = TypeVar("Read")


class Artifact:
    """A published scan, read piece by piece. Raises RegistryError; safe to call from threads.

    `manifest` and `blob` fetch by digest, and what they return has it (`registry.attachments`).
    """

    def __init__(self, image: ImageRef, find: Callable[[], str], manifest: Fetch, blob: Callable[[str, int], bytes | bytearray]) -> None:
        """`find` returns the digest of the index, which it may have to ask for and to verify."""
        self.name = f"{SCHEME}{image}"
        self._repository, self._find, self._manifest, self._blob = image.canonical, find, manifest, blob
        self._indexes = Once()
        self._lanes = Once()
        self._shards = Once()
        self._lock, self._kept = Lock(), 0

    def snapshot(self, image: str) -> Snapshot | None:
        """Return what the scan knows of a repository; None when it does not have it."""
        host = image.partition("/")[0]
        if host not in self.lanes():
            return None
        for piece in self.shards(host):
            if piece.annotations[FIRST] <= image <= piece.annotations[LAST]:
                line = self._shards.get(piece.digest, partial(self._keep, piece)).get(image)
                return None if line is None else self._good(shard.read, line, f"{self.name} {image}")
        return None

    def known(self, repository: Repository) -> Snapshot:
        """Return what the scan knows of a repository, which it has to know."""
        image = repository.image.canonical
        snapshot = self.snapshot(image)
        if snapshot is None:
            message = f"the scan {self.name} does not have it: plan its tree too (krmfn fleet plan), or the last scan could not ask for it"
            common = f"the scan {self.name} does not have them: plan their trees too (krmfn fleet plan), or the last scan could not ask for them"
            raise RegistryError("not-found", image, message, common=common)
        return snapshot

    def lanes(self) -> dict[str, Piece]:
        """Return the lanes by host, and the plan under an empty one."""
        return self._indexes.get("", self._index)

    def shards(self, host: str) -> list[Piece]:
        """Return the shards of a lane, in order."""
        return self._lanes.get(host, lambda: self._lane(host))[1]

    def failures(self, host: str) -> bytes:
        """Return what could not be asked in a lane, as it was written."""
        config = self._lanes.get(host, lambda: self._lane(host))[0]
        return self._content(config, FAILURES_LIMIT)

    def plan(self) -> bytes:
        """Return the plan, as it was written."""
        piece = self.lanes().get("")
        if piece is None:
            raise self._wrong("has no plan")
        _, layers = self._document(piece, PLAN, EMPTY, PLAN)
        if len(layers) != 1:
            raise self._wrong("has no single plan")
        return self._content(layers[0], PLAN_LIMIT)

    def snapshots(self, piece: Piece) -> list[Snapshot]:
        """Return everything in a shard."""
        return [self._good(shard.read, line, f"{self.name} {image}") for image, line in self._split(piece).items()]

    def _index(self) -> dict[str, Piece]:
        document = self._manifest(self._find())
        if document is None:
            raise RegistryError("not-found", self._repository, f"there is no {self.name}")
        if (document.get("mediaType"), document.get("artifactType")) != (OCI_INDEX, FLEET):
            raise self._wrong("is no scan of krmfn fleet publish")
        lanes: dict[str, Piece] = {}
        for piece in self._pieces(document.get("manifests"), OCI_MANIFEST):
            host = piece.annotations.get(HOST, "")
            if piece.artifact_type not in (LANE, PLAN) or (piece.artifact_type == PLAN) != (not host) or host in lanes:
                raise self._wrong(f"holds something else than lanes and a plan: {printable(piece.artifact_type or 'no type', 80)}")
            lanes[host] = piece
        return lanes

    def _lane(self, host: str) -> tuple[Piece, list[Piece]]:
        config, layers = self._document(self.lanes()[host], LANE, FAILURES, SNAPSHOTS)
        before = ""
        for piece in layers:
            first, last = piece.annotations.get(FIRST, ""), piece.annotations.get(LAST, "")
            # Shards are sorted and apart, so that a repository is in one alone: no second snapshot hides in another.
            if not (before < first <= last and first.startswith(f"{host}/") and last.startswith(f"{host}/")):
                raise self._wrong(f"has a shard in the lane of {printable(host, 80)} that is out of place")
            before = last
        return config, layers

    def _document(self, piece: Piece, artifact_type: str, config_type: str, layer_type: str) -> tuple[Piece, list[Piece]]:
        document = self._manifest(piece.digest)
        if document is None:
            raise self._wrong(f"lacks {piece.digest}")
        if (document.get("mediaType"), document.get("artifactType")) != (OCI_MANIFEST, artifact_type):
            raise self._wrong(f"holds {piece.digest}, which is not what it was told to be")
        config = next(self._pieces([document.get("config")], config_type))
        return config, list(self._pieces(document.get("layers"), layer_type))

    def _pieces(self, entries: object, media_type: str) -> Iterator[Piece]:
        """Yield descriptors, all of one type."""
        for entry in entries if isinstance(entries, list) else [entries]:
            one = entry if isinstance(entry, dict) else {}
            kind, digest, size, notes = one.get("mediaType"), one.get("digest"), one.get("size"), one.get("annotations") or {}
            is_good = isinstance(digest, str) and is_digest(digest) and isinstance(size, int) and size >= 0 and isinstance(notes, dict)
            if kind != media_type or not is_good or not all(isinstance(note, str) for note in notes.values()):
                raise self._wrong(f"holds {printable(str(kind), 80)} where {media_type} is wanted")
            yield Piece(media_type, str(digest), int(size or 0), notes, str(one.get("artifactType") or ""))

    def _content(self, piece: Piece, limit: int) -> bytes:
        if piece.size > limit:
            raise RegistryError("limit", self._repository, f"{self.name} holds content of {piece.size} bytes, and {limit} is the limit")
        data = bytes(self._blob(piece.digest, piece.size))
        if len(data) != piece.size:
            raise self._wrong(f"holds {piece.digest}, which has another size than it was told to have")
        return data

    def _keep(self, piece: Piece) -> dict[str, bytes]:
        with self._lock:
            self._kept += piece.size
            # A shard beyond its own limit is refused when it is read, with the limit that it breaks.
            if piece.size <= shard.LIMIT and self._kept > RUN_LIMIT:
                message = f"the shards of {self.name} that this run needs have more than {RUN_LIMIT} bytes: update fewer trees at once"
                raise RegistryError("limit", self._repository, message)
        return self._split(piece)

    def _split(self, piece: Piece) -> dict[str, bytes]:
        data = self._content(piece, shard.LIMIT)
        return self._good(shard.split, data, piece.annotations[FIRST], piece.annotations[LAST])

    def _good(self, read: Callable[..., Read], *what: Any) -> Read:
        try:
            return read(*what)
        except ValueError as error:
            raise self._wrong(f"holds a shard that is not good: {error}") from None

    def _wrong(self, what: str) -> RegistryError:
        return RegistryError("integrity", self._repository, f"{self.name} {what}")
