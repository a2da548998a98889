"""Progress at a terminal: a run that waits says for what, before any answer comes, and leaves nothing of it."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
from pathlib import Path

import pytest

from tests.registry_server import Registry, Request
from tests.running import environment
from tests.test_settings import VERBS, offering, write


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_waits_says_so_before_there_is_an_answer(verb: str, tmp_path: Path):
    """The registry answers only after the line was seen: no clock says what a second is."""
    seen_line = threading.Event()

    def wait(request: Request) -> None:
        assert seen_line.wait(60)
        request.answer()

    with offering(Registry()) as registry:
        registry.misbehave("tags", wait, 1)
        write(tmp_path, f"{registry.address}/acme/web", "insecure: true, timeout: 1m")
        leader, follower = pty.openpty()
        env = environment(TERM="xterm", COLUMNS="100")
        with subprocess.Popen(["krmfn", *VERBS[verb]], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=follower) as process:
            os.close(follower)
            shown = b""
            while b"asking registries" not in shown:
                shown += os.read(leader, 65536)
            seen_line.set()
            out, _ = process.communicate(timeout=60)
            shown = _rest(leader)
        os.close(leader)
    assert process.returncode in (0, 10), shown
    assert b"asking registries" not in out
    assert b"\x1b[?25h" in shown  # the cursor is back
    assert b"asking registries" not in shown.rpartition(b"\x1b[2K")[2]  # and the line is gone


def _rest(leader: int) -> bytes:
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side is closed
            return shown
        if not part:
            return shown
        shown += part
