"""A headless Chromium, driven by the DevTools protocol over a pipe.

    python -m tests.browser report.html FOLDER    # screenshots, wide and narrow, light and dark
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import tools

WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
KEYS = {"Tab": 9, "Enter": 13, " ": 32}
_SECONDS = 60


class Page:
    """One page. `events` is everything the browser told of it."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write, self._rest = read, write, b""
        self._ids, self._session = itertools.count(1), ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = str(self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to one command."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters, **({"sessionId": self._session} if self._session else {})}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != number:
            self.events.append(told)
        assert "error" not in told, told
        return dict(told["result"])

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], until - time.monotonic())[0], "the browser says nothing"
            more = os.read(self._read, 1 << 20)
            assert more, "the browser is gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def open(self, path: Path, width: int, scheme: str) -> None:
        """Show a file as a screen of some width does."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """Return what an expression comes to."""
        done = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, and let it go."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=KEYS[key])
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=KEYS[key])

    def write(self, text: str) -> None:
        """Write into the field that has the focus."""
        self.ask("Input.insertText", text=text)

    def troubles(self) -> list[dict[str, Any]]:
        """Return errors of scripts, of policies and of anything else, and requests beyond the page itself."""
        errors = [one for one in self.events if one.get("method") == "Runtime.exceptionThrown" or one.get("params", {}).get("entry", {}).get("level") == "error"]
        asked = [one for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        return errors + asked[1:]

    def screenshot(self, path: Path) -> None:
        """Write what a screen shows as a picture."""
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))


@contextmanager
def opened() -> Iterator[Page]:
    """Run a browser with one page."""
    program = tools.require("chromium")
    read, told = os.pipe()
    wanted, write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{wanted} 4>&{told}', str(program), *options]
        browser = subprocess.Popen(command, pass_fds=(wanted, told), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(wanted)
        os.close(told)
        try:
            yield Page(read, write)
        finally:
            os.close(write)
            os.close(read)
            browser.terminate()
            browser.wait(20)


def main(report: Path, folder: Path) -> None:
    """Take the pictures, and tell what went wrong."""
    with opened() as page:
        for width, scheme in itertools.product(WIDTHS, SCHEMES):
            page.open(report, width, scheme)
            page.screenshot(folder / f"{report.stem}-{width}-{scheme}.png")
            print(width, scheme, page.run("document.documentElement.scrollWidth"), page.troubles())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
