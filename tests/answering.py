"""Ways to answer a request over HTTP, and ways to fail to."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler


class Answering(BaseHTTPRequestHandler):
    """A request that can be answered well, badly, or never."""

    @property
    def stopping(self) -> threading.Event:
        """Set when the server goes down; faults that last for ever look at it."""
        raise NotImplementedError

    def plain(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        """Send an error as the specification wants it."""
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.plain(status, body, {"Content-Type": "application/json", **(headers or {})})

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, at once."""
        self.close_connection = True
        self.wfile.write(data)
        self.wfile.flush()

    def drip(self, data: bytes, pause: float = 0.05) -> None:
        """Send `data` byte by byte and over again until the client or the registry goes away."""
        self.close_connection = True
        while not self.stopping.is_set():
            for byte in data:
                self.raw(bytes([byte]))
                if self.stopping.wait(pause):
                    return

    def flood(self, data: bytes) -> None:
        """Send `data` over and over, as fast as it goes."""
        self.close_connection = True
        while not self.stopping.is_set():
            self.raw(data)

    def hang(self, seconds: float = 20) -> None:
        """Send nothing, until that time or the registry's is over."""
        self.close_connection = True
        self.wfile.flush()
        self.stopping.wait(seconds)
