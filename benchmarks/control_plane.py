"""A Kubernetes control plane on loopback: etcd, kube-apiserver and kube-controller-manager, built from benchmarks/plane.

There is no node and no network of pods: `benchmarks.kubelet` runs what is to run.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.registries import free_port, running

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "benchmarks" / "plane"
BIN = ROOT / ".cache" / "benchmarks" / "plane"
VERSION = "v1.35.4"
TOKEN = "administrator-of-the-proof"
CONTROLLERS = (
    "job-controller", "namespace-controller", "serviceaccount-controller", "garbage-collector-controller",
    "pod-garbage-collector-controller", "node-lifecycle-controller", "taint-eviction-controller",
    "persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller",
)  # fmt: skip
KINDS = {
    "Namespace": "api/v1/namespaces",
    "Node": "api/v1/nodes",
    "PersistentVolume": "api/v1/persistentvolumes",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
    "Secret": "api/v1/namespaces/{}/secrets",
    "Pod": "api/v1/namespaces/{}/pods",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Job": "apis/batch/v1/namespaces/{}/jobs",
}


class ApiError(Exception):
    """What the API server refused."""


class Api:
    """The API server. Every object is validated strictly, and a warning is refused like an error."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(ca)
        self._session.headers["Authorization"] = f"Bearer {token}"

    def is_ready(self) -> bool:
        """True if it serves."""
        try:
            return self._session.get(f"{self.url}/readyz", timeout=5).text == "ok"
        except requests.RequestException:
            return False

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json", **query: str) -> Any:
        """Return the answer of one request. Raise ApiError."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        reply = self._session.request(method, f"{self.url}/{path}", data=data, params=query, headers={"Content-Type": kind}, timeout=30)
        if reply.status_code >= 300 or "Warning" in reply.headers:
            raise ApiError(f"{method} {path}: {reply.status_code} {reply.headers.get('Warning', '')} {reply.text[:2000]}")
        return reply.json()

    def apply(self, manifest: bytes, namespace: str, *, dry_run: bool = False) -> Any:
        """Apply one document on the server, as `kubectl apply --server-side --validate=strict` does. Raise ApiError."""
        import yaml

        document = yaml.safe_load(manifest)
        path = f"{path_of(document['kind'], namespace)}/{document['metadata']['name']}"
        query = {"fieldManager": "fleet-proof", "fieldValidation": "Strict", **({"dryRun": "All"} if dry_run else {})}
        return self.call("PATCH", path, manifest, "application/apply-patch+yaml", **query)

    def create(self, kind: str, namespace: str, name: str, /, **more: Any) -> Any:
        """Create an object. Raise ApiError."""
        path = path_of(kind, namespace)
        version = "/".join(path.split("/")[1:3]) if path.startswith("apis") else "v1"
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **more.pop("metadata", {})}, **more}
        return self.call("POST", path, body, fieldValidation="Strict")


def path_of(kind: str, namespace: str) -> str:
    """Return where the objects of a kind are."""
    return KINDS[kind].format(namespace)


def build() -> None:
    """Build the programs, which takes about a quarter of an hour of two CPUs once, and 5 GB of Go's caches."""
    BIN.mkdir(parents=True, exist_ok=True)
    source = b"".join(path.read_bytes() for path in sorted(SOURCE.iterdir()))
    program = BIN / f"plane-{hashlib.sha256(source).hexdigest()[:12]}"
    if not program.exists():
        prefix = "-X k8s.io/component-base/version."
        stamps = f"{prefix}gitVersion={VERSION} {prefix}gitMajor=1 {prefix}gitMinor=35"
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {stamps}", "-o", str(program), "."]
        subprocess.run(command, cwd=SOURCE, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    for name in ("etcd", "kube-apiserver", "kube-controller-manager"):
        (BIN / name).unlink(missing_ok=True)
        (BIN / name).symlink_to(program.name)


@contextmanager
def control_plane(folder: Path) -> Iterator[Api]:
    """Run it until the end of the block; everything it writes is below `folder`."""
    folder.mkdir()
    client, peer, secure, manager = (free_port() for _ in range(4))
    key = folder / "accounts.key"
    key.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    (folder / "tokens.csv").write_text(f'{TOKEN},administrator,0,"system:masters"\n')
    etcd = {
        "data-dir": folder / "etcd", "listen-client-urls": f"http://127.0.0.1:{client}", "advertise-client-urls": f"http://127.0.0.1:{client}",
        "listen-peer-urls": f"http://127.0.0.1:{peer}", "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
        "initial-cluster": f"default=http://127.0.0.1:{peer}", "unsafe-no-fsync": "true",
    }  # fmt: skip
    apiserver = {
        "etcd-servers": f"http://127.0.0.1:{client}", "bind-address": "127.0.0.1", "secure-port": secure, "cert-dir": folder / "certificates",
        "token-auth-file": folder / "tokens.csv", "authorization-mode": "RBAC", "endpoint-reconciler-type": "none",
        "service-account-issuer": "https://plane.example", "service-account-signing-key-file": key, "service-account-key-file": key,
        "service-cluster-ip-range": "10.0.0.0/24",
    }  # fmt: skip
    ca = folder / "certificates" / "apiserver.crt"
    url = f"https://127.0.0.1:{secure}"
    kubeconfig = folder / "kubeconfig"
    with running(_command("etcd", etcd), client, folder / "etcd.log"), running(_command("kube-apiserver", apiserver), secure, folder / "apiserver.log"):
        kubeconfig.write_text(json.dumps(_kubeconfig(url, ca)))
        api = Api(url, ca, TOKEN)
        for _ in range(600):
            if api.is_ready():
                break
            time.sleep(0.2)
        options = {
            "kubeconfig": kubeconfig, "controllers": ",".join(CONTROLLERS), "leader-elect": "false", "bind-address": "127.0.0.1",
            "secure-port": manager, "cert-dir": folder / "manager", "service-account-private-key-file": key,
        }  # fmt: skip
        with running(_command("kube-controller-manager", options), manager, folder / "manager.log"):
            yield api


def _command(program: str, options: Mapping[str, object]) -> list[str]:
    return [str(BIN / program), *(f"--{name}={value}" for name, value in options.items())]


def _kubeconfig(url: str, ca: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "proof",
        "contexts": [{"name": "proof", "context": {"cluster": "proof", "user": "proof"}}],
        "clusters": [{"name": "proof", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "proof", "user": {"token": TOKEN}}],
    }  # fmt: skip
