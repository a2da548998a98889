"""Run what `tests.same` sends: one case a line, one answer a line. krmfn is that of PYTHONPATH; nothing else of the tests is used.

A case is a ResourceList for the function, or files and command lines for each of which the program is called in their folder.
"""

from __future__ import annotations

import base64
import gc
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest import mock


def called(run: Any, data: bytes) -> list[Any]:
    """Return the exit code of a call in this process, and what it printed."""
    streams = [io.TextIOWrapper(io.BytesIO(text), "utf-8", "surrogateescape", newline="") for text in (data, b"", b"")]
    with mock.patch.multiple(sys, stdin=streams[0], stdout=streams[1], stderr=streams[2]):
        try:
            code: Any = run()
        except SystemExit as error:
            code = error.code
        except BaseException as error:
            code = repr(error)
        for stream in streams[1:]:
            stream.flush()
    printed = [base64.b64encode(stream.buffer.getvalue()).decode() for stream in streams[1:]]
    gc.enable()
    gc.unfreeze()
    return [code, *printed]


def answer(case: dict[str, Any], folder: Path) -> list[Any]:
    """Run a case in an empty folder."""
    from krmfn import cli, function

    os.environ.clear()
    os.environ.update(case["environment"], HOME=str(folder), PATH="")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.chdir(folder)
    if "list" in case:
        return called(lambda: function.main([], dict(os.environ)), base64.b64decode(case["list"]))
    for name, text in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(text))
    calls = [called(lambda: cli.main(arguments), b"") for arguments in case["calls"]]  # noqa: B023 - called at once
    after = {str(path.relative_to(folder)): base64.b64encode(path.read_bytes()).decode() for path in sorted(folder.rglob("*")) if path.is_file()}
    return [calls, after]


def main() -> None:
    """Run every case of the input; the folder in which they run is the first argument."""
    folder, out = Path(sys.argv[1]), os.dup(1)
    for line in sys.stdin.buffer:
        os.write(out, json.dumps(answer(json.loads(line), folder)).encode("utf-8", "surrogateescape") + b"\n")


if __name__ == "__main__":
    main()
