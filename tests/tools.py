"""The real programs that the end-to-end tests run: where they are, and how to get them.

`python tests/tools.py` installs what it can (with `go install` and, as root, with apt-get) and says what it could
not. `require` answers the path; without the tool a test is skipped with one line, and fails when CI=true.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".cache" / "tools" / "bin"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program: its Debian package, Go module or folder of Go, and how it tells its version when the version matters."""

    name: str
    debian: str = ""
    go: str = ""
    folder: str = ""
    version: tuple[str, ...] = ()
    pattern: str = ""
    optional: bool = False


TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "kustomize",
            go="sigs.k8s.io/kustomize/kustomize/v5@v5.8.1",
            version=("version",),
            pattern=r"v?5\.(?:[7-9]|\d\d)\.",
        ),
        Tool("kpt", go="github.com/kptdev/kpt@v1.0.0-beta.59", version=("version",), pattern=r"1\.\d+\.\d+"),
        Tool("docker-registry", debian="docker-registry"),
        Tool("registry", go="github.com/distribution/distribution/v3/cmd/registry@v3.0.0"),
        Tool("crane", go="github.com/google/go-containerregistry/cmd/crane@v0.20.6"),
        Tool("referrers", folder="tests/referrers"),
        Tool("skopeo", debian="skopeo"),
        Tool("podman", debian="podman"),
        Tool("runc", debian="runc"),
        Tool("mmdebstrap", debian="mmdebstrap"),
        Tool("chromium", debian="chromium", optional=True),
        Tool("kubectl", optional=True),
        Tool("go", optional=True),
    )
}


@cache
def find(name: str) -> Path | None:
    """Return where the tool is: the project's own copy first, then PATH; None when absent or of another version."""
    tool = TOOLS[name]
    for place in (str(BIN), os.environ.get("PATH", os.defpath)):
        found = shutil.which(name, path=place)
        if found and _is_wanted(tool, found):
            return Path(found)
    return None


def require(name: str) -> Path:
    """Return the tool's path. Skips the test without it; fails instead when CI=true and the tool is not optional."""
    found = find(name)
    if found is None:
        _do_without(TOOLS[name])
    return found


def _do_without(tool: Tool) -> NoReturn:
    import pytest

    message = f"{tool.name} is not here: run `make tools`, or put it on PATH"
    if os.environ.get("CI") == "true" and not tool.optional:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def _is_wanted(tool: Tool, path: str) -> bool:
    if not tool.pattern:
        return True
    try:
        answer = subprocess.run([path, *tool.version], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return re.search(tool.pattern, answer.stdout + answer.stderr) is not None


def _install_debian(tools: Sequence[Tool]) -> None:
    apt = shutil.which("apt-get")
    if not tools or apt is None or os.geteuid() != 0:
        return
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "-qq", "update"], environ)
    packages = [tool.debian for tool in tools]
    _run([apt, "-qq", "-y", "--no-install-recommends", "install", *packages], environ)


def _install_go(tools: Sequence[Tool]) -> None:
    go = shutil.which("go")
    if go is None:
        return
    for tool in tools:
        _run([go, "install", tool.go or "."], os.environ | {"GOBIN": str(BIN), "CGO_ENABLED": "0"}, ROOT / tool.folder)


def _run(command: list[str], environ: dict[str, str], folder: Path = ROOT) -> None:
    print("+", " ".join(command), flush=True)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        print(*(done.stderr or done.stdout).splitlines()[-5:], sep="\n")


def main() -> int:
    """Install what is absent and can be had, and say what is absent still; the tests that need it decide."""
    absent = [tool for tool in TOOLS.values() if find(tool.name) is None]
    BIN.mkdir(parents=True, exist_ok=True)
    _install_debian([tool for tool in absent if tool.debian])
    _install_go([tool for tool in absent if tool.go or tool.folder])
    find.cache_clear()
    missing = [tool.name for tool in absent if find(tool.name) is None and not tool.optional]
    for name in missing:
        print(f"{name}: not to be had here; the tests that need it are skipped, or fail when CI=true")
    return 0


if __name__ == "__main__":
    sys.exit(main())
