"""The program: a KRM function when a ResourceList comes on stdin, else the command line."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from krmfn.yamledit import libyaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_INTERRUPTED = 130


def main() -> int:
    """Run krmfn; return the exit code (0 done, 1 error, 2 usage). An interrupt ends the process with 130, at once.

    SIGTERM and SIGHUP let what was begun be cleaned up, and then end the process as signals do.
    """
    received: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)
    _set_up()
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last handler: nobody is to see a traceback
        from krmfn import bug

        with suppress(OSError, ValueError):
            print(f"krmfn: error: {bug.message(error)}", file=sys.stderr)  # noqa: T201 - this is where people are addressed
        code = 1
    _end_output()
    if code == _INTERRUPTED:
        for signal_number in received:
            signal.signal(signal_number, signal.SIG_DFL)
            os.kill(os.getpid(), signal_number)
        os._exit(code)  # Python would wait for threads that wait for registries
    return code


def _set_up() -> None:
    """Take care that no file gets the number of a closed stream, and that TMPDIR means one folder wherever krmfn works.

    A closed stdin is an empty one, what goes to a closed stdout is an error, and what goes to a closed stderr is lost.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 - a descriptor
    if folder := os.environ.get("TMPDIR"):
        os.environ["TMPDIR"] = os.path.abspath(folder)  # noqa: PTH100 - pathlib takes a tenth of a short run


def _end_output() -> None:
    """Flush what was printed. What cannot be is dropped: Python would try once more, and end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _leave(code: int) -> NoReturn:
    """End a run of the function, which holds nothing but memory: to free it piece by piece takes a 25th of a short run."""
    _end_output()
    os._exit(code)


def _run(arguments: list[str]) -> int:
    libyaml.load()
    is_shell = "_KRMFN_COMPLETE" in os.environ
    if not arguments and not is_shell and not sys.stdin.isatty():
        gc.disable()  # before the imports: one short run never has much to collect
        from krmfn import function

        _leave(function.main([]))
    if "KUSTOMIZE_PLUGIN_CONFIG_ROOT" in os.environ:
        from krmfn import function

        if function.is_legacy(arguments, os.environ):
            _leave(function.main(arguments))
    from krmfn import cli

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
