"""A new user's first minute: a plain Debian with Python, git and make, a clone, `make demo`."""

from __future__ import annotations

import re
from pathlib import Path

from tests.containers import package_index, plain_debian, prepare_podman
from tests.running import succeed
from tests.tools import ROOT

SCRIPT = """
set -eu
apt-get -qq update >/dev/null && apt-get -qq install -y --no-install-recommends git make >/dev/null 2>&1
git clone -q /origin.git /home/user/krmfn
cd /home/user/krmfn
start=$(date +%s%N)
make demo
echo "cold: $(( ($(date +%s%N) - start) / 1000000 )) ms"
start=$(date +%s%N)
make demo >/dev/null
echo "warm: $(( ($(date +%s%N) - start) / 1000000 )) ms"
"""


def test_a_new_user_sees_images_move_within_a_minute(tmp_path: Path):
    podman, env = prepare_podman(tmp_path)
    succeed(["git", "clone", "-q", "--bare", ROOT, tmp_path / "origin.git"])
    index = package_index(tmp_path)
    mounts = [f"--volume={tmp_path / 'origin.git'}:/origin.git:ro", *index.mounts]
    command = [podman, "run", "--rm", "--network=host", *mounts, plain_debian(podman, env, tmp_path)]
    shown = succeed([*command, "sh", "-c", SCRIPT], env=env, timeout=280)
    assert "+          image: ghcr.io/acme/web:1.3.1  #" in shown
    assert "shop:web chooses 1.3.1" in shown
    took = {
        name: int(milliseconds) for name, milliseconds in re.findall(r"^(cold|warm): (\d+) ms$", shown, re.MULTILINE)
    }
    assert took["cold"] < 60_000
    assert took["warm"] < 3_000
