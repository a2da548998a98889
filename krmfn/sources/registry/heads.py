"""Heads of HTTP answers, read strictly: `http.client` drops every header behind a line that it does not understand."""

from __future__ import annotations

import http.client
import re
from typing import Any

LINE = 65536
"""Bytes of a line; http.client refuses longer ones."""
LINES = 1000
"""Lines of a head and of all interim answers before it."""
_TEXT = rb"[^\r\n\0]*\r?\n"
_header = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:|[ \t])" + _TEXT).fullmatch
_status = re.compile(rb"HTTP/" + _TEXT).fullmatch


class BadHeaderError(http.client.HTTPException):
    """A header is no header (RFC 9112 section 5). What stands behind it cannot be relied on."""


class EndlessHeadError(BadHeaderError):
    """Interim answers without an end."""


class _Lines:
    """Reads the lines of one or more heads, and looks at each."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._number, self._read = stream, 0, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def readline(self, limit: int) -> bytes:
        line: bytes = self._stream.readline(limit)
        self._read += 1
        if self._read > LINES:
            raise EndlessHeadError(f"more than {LINES} lines before its answer")
        # Line 0 is the status, and after the empty line that ends a head the next status may come. A line that begins
        # with a blank goes on with the header before it (obs-fold), so the first one may not.
        number, self._number = self._number, 0 if line in {b"\r\n", b"\n"} else self._number + 1
        is_bad = not _header(line) or (number == 1 and line[:1] in b" \t")
        if number == 0:
            is_bad = line.startswith(b"HTTP/") and not _status(line)
        if is_bad and self._number and len(line) < limit:
            part = f"header line {number}" if number else "a status line"
            raise BadHeaderError(f"{part} that cannot be read: no name, a bare CR or NUL, or cut off")
        return line


class StrictResponse(http.client.HTTPResponse):
    """An answer whose head is whole, or an error. Interim answers (1xx) are passed over, as RFC 9110 section 15.2 wants."""

    def begin(self) -> None:
        """Read the head; raises BadHeaderError."""
        stream = self.fp
        self.fp = _Lines(stream)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            self.fp = stream

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            while self.fp.readline(LINE + 1).strip():
                pass


class TunnelResponse(StrictResponse):
    """What a proxy answers to CONNECT: http.client reads the status, and then the lines of the head by itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp = _Lines(self.fp)  # type: ignore[assignment]
