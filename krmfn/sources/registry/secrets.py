"""The secrets of a run, so that no message can show one."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable
from urllib.parse import quote

_SHORTEST = 4
"""Characters; a shorter text would blank out ordinary words."""


class Secrets:
    """Learns secrets and removes them, plain, quoted or in base64, from texts."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, secrets: Iterable[str]) -> None:
        """Remember secrets with the forms a server may echo them in."""
        found: set[str] = set()
        for secret in secrets:
            if len(secret) >= _SHORTEST:
                encoded = base64.b64encode(secret.encode(errors="replace")).decode()
                found |= {secret, quote(secret, safe=""), encoded, encoded.rstrip("=")}
        with self._lock:
            self._known = self._known | found

    def scrub(self, text: str) -> str:
        """Replace every secret in `text`; do this before text is cut or escaped."""
        for secret in sorted(self._known, key=len, reverse=True):
            if secret in text:
                text = text.replace(secret, "***")
        return text
