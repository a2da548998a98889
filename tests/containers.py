"""Building and running the image with podman and runc, also where no registry of base images can be reached.

The base is a minimal Debian made by mmdebstrap; KRMFN_TEST_BASE_IMAGE names another one (`python:3.13-slim`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.running import environment, succeed
from tests.tools import ROOT, require

BASE = "localhost/krmfn-test-base:bookworm"
IMAGE = "localhost/krmfn:test"
_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""Root in a sandbox may not raise limits, and crun wants a cgroup layout that is not everywhere."""
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Containers:
    """The image, and the environment in which podman, kustomize (as `docker`) and kpt run it."""

    image: str
    podman: Path
    env: dict[str, str]


class Index(NamedTuple):
    """How this machine reaches a package index: a pip.conf, and what a container must mount for it."""

    conf: Path
    mounts: tuple[str, ...]


def prepare_podman(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return podman and its environment; `folder` keeps its settings and the name `docker` for it."""
    podman, _ = require("podman"), require("runc")
    conf = folder / "containers.conf"
    conf.write_text(_CONF, encoding="utf-8")
    (folder / "bin").mkdir(exist_ok=True)
    docker = folder / "bin" / "docker"
    docker.symlink_to(podman)
    env = environment(CONTAINERS_CONF=str(conf), KPT_FN_RUNTIME="podman", KRM_FN_RUNTIME="podman")
    del env["DOCKER_CONFIG"]  # podman takes a folder without config.json for an error
    env["PATH"] = f"{docker.parent}{os.pathsep}{env['PATH']}"
    return podman, env


def prepare(folder: Path) -> Containers:
    """Build the image of this source tree."""
    podman, env = prepare_podman(folder)
    base = plain_debian(podman, env, folder)
    index = package_index(folder)
    reach = [f"--secret=id=pip.conf,src={index.conf}", *(mount for mount in index.mounts if "pip.conf" not in mount)]
    options = ["--network=host", f"--build-arg=BASE_IMAGE={base}", *reach]
    succeed([podman, "build", "-q", *options, "-t", IMAGE, ROOT], env=env, timeout=600)
    return Containers(IMAGE, podman, env)


def plain_debian(podman: Path, env: dict[str, str], folder: Path) -> str:
    """Make a minimal Debian with Python, once for a machine; answer its name, or that of the image to use instead."""
    if other := os.environ.get("KRMFN_TEST_BASE_IMAGE"):
        return other
    if subprocess.run([podman, "image", "exists", BASE], env=env, check=False).returncode:
        tar = folder / "base.tar"
        packages = "--include=python3,python3-venv,ca-certificates"
        succeed([require("mmdebstrap"), "--quiet", "--variant=minbase", packages, "bookworm", tar], timeout=600)
        succeed([podman, "import", "-q", tar, BASE], env=env)
        tar.unlink()
    return BASE


def package_index(folder: Path) -> Index:
    """Hand this machine's pip settings to a container, the certificates it trusts included."""
    settings = dict(_pip_settings())
    conf = folder / "pip.conf"
    mounts = [f"--volume={conf}:/etc/pip.conf:ro"]
    if "cert" in settings:
        mounts.append(f"--volume={Path(settings['cert']).resolve()}:{_CERTIFICATES}:ro")
        settings["cert"] = _CERTIFICATES
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    conf.write_text("".join(["[global]\n", *lines]), encoding="utf-8")
    return Index(conf, tuple(mounts))


def _pip_settings() -> Iterator[tuple[str, str]]:
    for python in (sys.executable, "python3"):
        listed = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            for line in listed.stdout.splitlines():
                name, _, value = line.partition("=")
                key = name.rpartition(".")[2]
                if key in ("index-url", "extra-index-url", "trusted-host", "cert", "proxy"):
                    yield key, " ".join(value.strip("'").replace("\\n", " ").split())
            return
