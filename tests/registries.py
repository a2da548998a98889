"""Real registries for tests: Debian's docker-registry 2.8, distribution 3, crane's, each on a loopback port.

The registries of one session share one folder of images, so that a push to the plain one fills them all.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.image_store import INDEX, MANIFEST, Images
from tests.waiting import wait_for_server

if TYPE_CHECKING:
    from tests.certificates import Pair

USER, PASSWORD = "canary-user", "canary-password-51c0"
HTPASSWD = f"{USER}:$2b$04$fW0PeK8dHMgyq4C4XHev7eVuhQ/YpoaBDmRV/5WaNTG1FZ6b34ZFi\n"
"""The password, hashed by bcrypt at its lowest cost."""


def free_port() -> int:
    """Return a TCP port on loopback that nobody listens to."""
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server until the test is over; answer `host:port` as soon as it listens."""
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **(env or {})}
        )
    try:
        wait_for_server(server, port, log)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def distribution(program: Path, data: Path, folder: Path, **extra: Any) -> Iterator[str]:
    """Run docker-registry or distribution over the images in `data`; `extra` goes into its configuration."""
    port = free_port()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(data)}},
        "http": {"addr": f"127.0.0.1:{port}", **extra.pop("http", {})},
        **extra,
    }
    file = folder / f"registry-{port}.json"
    file.write_text(json.dumps(config))
    with running([str(program), "serve", str(file)], port, folder / f"registry-{port}.log") as address:
        yield address


@contextmanager
def crane(program: Path, data: Path, folder: Path) -> Iterator[str]:
    """Run the registry inside crane, with its blobs on disk and its manifests in memory."""
    port = free_port()
    data.mkdir(exist_ok=True)
    command = [str(program), "registry", "serve", "--address", f"127.0.0.1:{port}", "--disk", str(data)]
    with running(command, port, folder / f"crane-{port}.log") as address:
        yield address


@contextmanager
def referrers(program: Path, folder: Path) -> Iterator[str]:
    """Run go-containerregistry's registry with the referrers API (tests/referrers), all in memory."""
    port = free_port()
    with running([str(program), f"127.0.0.1:{port}"], port, folder / f"referrers-{port}.log") as address:
        yield address


def push(address: str, images: Images) -> None:
    """Push every image (distribution specification, push)."""
    for path, tags in images.tags.items():
        for digest, (kind, content) in images.blobs.items():
            if kind not in {INDEX, MANIFEST}:
                place = _send(f"http://{address}/v2/{path}/blobs/uploads/", "POST", b"", "application/octet-stream")
                joint = "&" if "?" in place else "?"
                place = place if "://" in place else f"http://{address}{place}"
                _send(f"{place}{joint}digest={digest}", "PUT", content, "application/octet-stream")
        for wanted in (MANIFEST, INDEX):
            for digest, (kind, content) in images.blobs.items():
                if kind == wanted:
                    _send(f"http://{address}/v2/{path}/manifests/{digest}", "PUT", content, kind)
        for tag, digest in tags.items():
            kind, content = images.blobs[digest]
            _send(f"http://{address}/v2/{path}/manifests/{tag}", "PUT", content, kind)


def _send(url: str, method: str, content: bytes, kind: str) -> str:
    request = urllib.request.Request(url, content, {"Content-Type": kind}, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.headers.get("Location", ""))


class TokenServer:
    """A token server as the distribution project specifies it: JWT, RS256, the certificate in `x5c`."""

    def __init__(self, pair: Pair, life: int = 300) -> None:
        self.requests: list[dict[str, str]] = []
        self.life = life
        self.certificate = pair.certificate
        key = serialization.load_pem_private_key(pair.key.encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Return a token for whoever knows the password, and for anybody who pulls from `public/`."""
                query = {key: values[-1] for key, values in parse_qs(urlsplit(self.path).query).items()}
                login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                known = self.headers.get("Authorization") == f"Basic {login}"
                tokens.requests.append(query)
                body = json.dumps(tokens.answer(query, known=known)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def realm(self) -> str:
        """The URL to ask."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/token"

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, query: dict[str, str], *, known: bool) -> dict[str, object]:
        """Make the token that a query may have."""
        kind, _, rest = query.get("scope", "::").partition(":")
        name, _, actions = rest.rpartition(":")
        granted = actions.split(",") if known or name.startswith("public/") else []
        now = int(time.time())
        claims = {
            "iss": "krmfn-tests",
            "sub": USER if known else "",
            "aud": query.get("service", ""),
            "exp": now + self.life,
            "nbf": now - 10,
            "iat": now,
            "jti": os.urandom(8).hex(),
            "access": [{"type": kind, "name": name, "actions": granted}],
        }
        der = x509.load_pem_x509_certificate(self.certificate.encode()).public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        signed = f"{_part(header)}.{_part(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        issued = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"token": f"{signed}.{_url64(signature)}", "expires_in": self.life, "issued_at": issued}

    def config(self, folder: Path) -> dict[str, Any]:
        """Make the `auth` part of a registry's configuration."""
        bundle = folder / f"tokens-{hashlib.sha256(self.certificate.encode()).hexdigest()[:8]}.pem"
        bundle.write_text(self.certificate)
        token = {
            "realm": self.realm,
            "service": "krmfn-registry",
            "issuer": "krmfn-tests",
            "rootcertbundle": str(bundle),
        }
        return {"token": token}


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _part(value: object) -> str:
    return _url64(json.dumps(value).encode())
