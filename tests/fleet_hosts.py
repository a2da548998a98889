"""Registries of a fleet on loopback addresses: many repositories, rate limits, tags that change while they are read.

What changes does so by the number of requests, not by a clock. Every answer is written down.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any, Self

from tests.registry_server import Registry, Request

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Host(Registry):
    """One registry. `rate` is what it lets in a second, and `changes` after how many answers every tag moves, 0 for never."""

    def __init__(self, host: str, repositories: int, *, rate: float = 0, changes: int = 0) -> None:
        super().__init__(host=host)
        self.repositories, self.rate, self.changes = repositories, rate, changes
        self.answered: list[tuple[str, str, Any]] = []
        """Repository, `tags` or a tag, and the answer."""
        self.turned_away: list[float] = []
        self._allowance, self._at = rate, time.monotonic()
        self.lock = threading.RLock()  # type: ignore[assignment]

    def images(self) -> list[str]:
        """Return the repositories."""
        return [f"{self.address}/team{number % 7}/app-{number:05}" for number in range(self.repositories)]

    def fault(self, endpoint: str) -> Any:
        """Return what answers instead of a store of images."""
        told = super().fault(endpoint)
        return told or (self._turn_away if not self._is_let_in() else {"tags": self._tags, "head": self._head}.get(endpoint))

    def _is_let_in(self) -> bool:
        if not self.rate:
            return True
        with self.lock:
            now = time.monotonic()
            self._allowance = min(self.rate, self._allowance + (now - self._at) * self.rate)
            self._at = now
            if self._allowance < 1:
                self.turned_away.append(now)
                return False
            self._allowance -= 1
            return True

    def _turn_away(self, request: Request) -> None:
        request.error(429, "TOOMANYREQUESTS", "slow down", {"Retry-After": "1"})

    def _epoch(self) -> int:
        return len(self.answered) // self.changes if self.changes else 0

    def _tags(self, request: Request) -> None:
        with self.lock:
            tags = ["latest", *(f"1.{minor}.0" for minor in range(3 + self._epoch()))]
            self.answered.append((request.repository, "tags", tuple(sorted(tags))))
        request.plain(200, json.dumps({"name": request.repository, "tags": tags}).encode(), {"Content-Type": "application/json"})

    def _head(self, request: Request) -> None:
        tag = request.path.rpartition("/")[2]
        with self.lock:
            digest = "sha256:" + hashlib.sha256(f"{request.repository}:{tag}:{self._epoch()}".encode()).hexdigest()
            self.answered.append((request.repository, tag, digest))
        request.plain(200, b"", {"Content-Type": MANIFEST, "Docker-Content-Digest": digest})


class Hosts:
    """Several of them."""

    def __init__(self, count: int, repositories: int, *, rate: float = 0, changes: int = 0) -> None:
        self.every = [Host(f"127.0.0.{number + 2}", repositories, rate=rate, changes=changes) for number in range(count)]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for one in self.every:
            self._stack.enter_context(one)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def manifest(self) -> str:
        """Return a Deployment for each repository, at tag 1.1.0."""
        return "---\n".join(_deployment(number, image) for number, image in enumerate(image for one in self.every for image in one.images()))

    @property
    def requests(self) -> int:
        """Count what was answered so far."""
        return sum(len(one.answered) for one in self.every)

    @property
    def again(self) -> int:
        """Count what was asked, and answered, more than once."""
        return sum(len(one.answered) - len(Counter((path, what) for path, what, _ in one.answered)) for one in self.every)


def _deployment(number: int, image: str) -> str:
    return (
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{number}}}\n"
        f"spec: {{template: {{spec: {{containers: [{{name: app, image: {image}:1.1.0}}]}}}}}}\n"
    )
