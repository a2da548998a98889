"""The journal of a shard: every answer is written down as it comes, so that a run that is killed asks nothing twice."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from krmfn.access import Listing, Repository
from krmfn.disk.reading import NotReadError, read_file
from krmfn.errors import InputError, RegistryError
from krmfn.image import is_digest, is_tag
from krmfn.strict_json import parse

if TYPE_CHECKING:
    from krmfn.plan.tag_source import TagSource

_VALUES = 1_000_000
_LIMIT = 1 << 30
"""Bytes of a journal."""
_LASTING = ("not-found", "denied")
"""Failures that are kept."""
Known = dict[tuple[str, str], Any]


class Journal:
    """Answers from a file, and asks a source for the rest. Failures that pass by themselves are not kept.

    A line is one answer, appended at once. What stands behind the last line break is of a run that was killed.
    """

    def __init__(self, path: Path, source: TagSource, plan: str) -> None:
        """`plan` names the plan: the journal of another one is not believed. Raise InputError."""
        self._source, self._lock = source, Lock()
        self.repeated = 0
        """Answers that were known already."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = _content(path)
            whole = data[: data.rfind(b"\n") + 1]
            known = _read(whole, plan)
            self._known = known or {}
            whole = whole if known is not None else b""
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
            if len(whole) != len(data):
                os.ftruncate(self._file, len(whole))
            if not whole:
                self._write({"plan": plan})
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", name=str(path)) from None

    def close(self) -> None:
        """Close the file; answers that come after that, as a run was interrupted, are not written."""
        with self._lock:
            os.close(self._file)
            self._file = -1

    def tags(self, repository: Repository) -> Listing:
        """Return what a repository offers. Raise RegistryError."""
        image = repository.image.canonical
        known = self._recall(image, "")
        if known is None:
            known = self._ask(image, "", lambda: list(self._source.tags(repository)[:2]))
        return Listing(tuple(known[0]), known[1])

    def digest(self, repository: Repository, tag: str) -> str:
        """Return the digest of a tag. Raise RegistryError."""
        image = repository.image.canonical
        known = self._recall(image, tag)
        return str(self._ask(image, tag, lambda: self._source.digest(repository, tag)) if known is None else known)

    def _recall(self, image: str, tag: str) -> Any:
        known = self._known.get((image, tag))
        self.repeated += known is not None
        if isinstance(known, RegistryError):
            raise known
        return known

    def _ask(self, image: str, tag: str, ask: Any) -> Any:
        try:
            answer = ask()
        except RegistryError as error:
            if error.failure in _LASTING:
                facts = {"failure": error.failure, "message": error.message, "status": error.status, "code": error.code}
                self._write({"image": image, "tag": tag, **facts})
            raise
        self._write({"image": image, "tag": tag, "answer": answer})
        return answer

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            while line and self._file >= 0:
                line = line[os.write(self._file, line) :]


def _content(path: Path) -> bytes:
    """Return what a journal holds; nothing where there is none. Raise InputError for anything but a regular file, links included."""
    if path.is_symlink():
        raise InputError("is a symbolic link, which is not followed: delete it and scan again", name=str(path))
    try:
        return read_file(path, _LIMIT)
    except FileNotFoundError:
        return b""
    except NotReadError as error:
        raise InputError(f"cannot be read: {error}: delete it and scan again", name=str(path)) from None


def _read(data: bytes, plan: str) -> Known | None:
    """Return the answers of a journal; None when it is that of another plan. A line that is no answer is passed over."""
    lines = data.splitlines()
    try:
        if not lines or parse(lines[0]) != {"plan": plan}:
            return None
    except ValueError:
        return None
    known: Known = {}
    for line in lines[1:]:
        with suppress(ValueError, KeyError, TypeError, IndexError):
            entry = parse(line, _VALUES)
            known[str(entry["image"]), str(entry["tag"])] = _answer(entry)
    return known


def _answer(entry: Mapping[str, Any]) -> Any:
    """Return the answer in a line: a list of tags and how many were malformed, a digest, or a failure. Raise ValueError, KeyError and others."""
    image, answer = str(entry["image"]), entry.get("answer")
    if entry.get("failure") in _LASTING:
        return RegistryError(entry["failure"], image, str(entry["message"]))
    if entry["tag"] and isinstance(answer, str) and is_digest(answer):
        return answer
    if not entry["tag"] and isinstance(answer, list):
        tags, malformed = answer
        if isinstance(tags, list) and all(map(is_tag, tags)) and isinstance(malformed, int):
            return tags, malformed
    raise ValueError
