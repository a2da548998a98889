"""A proxy in this process, honest or not."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that break off are what the tests are about."""


class Proxy:
    """A proxy that leads every name to one place, which is how a registry on loopback can have a public name.

    It keeps everything it can read in `text`. One that `breaks_off` ends each CONNECT without an answer; `act` answers
    connections in its place.
    """

    def __init__(
        self,
        place: str,
        login: str = "",
        *,
        breaks_off: bool = False,
        tls: ssl.SSLContext | None = None,
        act: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.text, self.breaks_off = "", breaks_off
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                if act:
                    act(self.connection)
                else:
                    super().handle()

            def do_GET(self) -> None:
                if self.refuse():
                    return
                with socket.create_connection(place.split(":")) as there:  # type: ignore[arg-type]
                    path = "/" + self.path.split("/", 3)[3]
                    head = "".join(
                        f"{name}: {value}\r\n" for name, value in self.headers.items() if name != "Connection"
                    )
                    body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    proxy.text += body.decode(errors="replace")
                    there.sendall(f"{self.command} {path} HTTP/1.0\r\n{head}Connection: close\r\n\r\n".encode() + body)
                    while data := there.recv(65536):
                        self.wfile.write(data)
                self.close_connection = True

            def do_POST(self) -> None:
                self.do_GET()

            def do_CONNECT(self) -> None:
                if self.refuse():
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                with socket.create_connection(place.split(":")) as there:  # type: ignore[arg-type]
                    relay(self.connection, there)
                self.close_connection = True

            def refuse(self) -> bool:
                given = self.headers.get("Proxy-Authorization", "")
                proxy.seen.append((self.command, self.path, given))
                proxy.text += f"{self.command} {self.path}\n{self.headers}"
                if proxy.breaks_off and self.command == "CONNECT":
                    self.close_connection = True
                    return True
                if login in {"", given}:
                    return False
                self.send_response(407)
                self.send_header("Proxy-Authenticate", "Basic")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True

            def log_message(self, *_: object) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def relay(left: socket.socket, right: socket.socket) -> None:
    """Copy both ways until one side ends. One thread does it: OpenSSL's connections must not be used by two at once."""
    sides = {left: right, right: left}
    with suppress(OSError):
        while True:
            pending = [one for one in sides if isinstance(one, ssl.SSLSocket) and one.pending()]
            for side in pending or select.select([*sides], [], [])[0]:
                side.settimeout(0)
                try:
                    data = side.recv(65536)
                except (ssl.SSLWantReadError, BlockingIOError):
                    continue
                finally:
                    side.settimeout(None)
                if not data:
                    return
                sides[side].sendall(data)
