"""The program: a KRM function when a ResourceList comes on stdin, else the command line."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

from krmfn.yamledit import libyaml

_INTERRUPTED = 130


def main() -> int:
    """Run krmfn; return the exit code (0 done, 1 error, 2 usage). An interrupt ends the process with 130, at once."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)  # Python would wait for threads that wait for registries
    return code


def _run(arguments: list[str]) -> int:
    libyaml.load()
    is_shell = "_KRMFN_COMPLETE" in os.environ
    if not arguments and not is_shell and not (sys.stdin is not None and sys.stdin.isatty()):
        gc.disable()  # before the imports: one short run never has much to collect
        from krmfn import function

        return function.main([])
    if "KUSTOMIZE_PLUGIN_CONFIG_ROOT" in os.environ:
        from krmfn import function

        if function.is_legacy(arguments, os.environ):
            return function.main(arguments)
    from krmfn import cli

    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
