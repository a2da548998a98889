"""The demo: copies `package` to a new folder, says why a tag is chosen, shows what changes and changes it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = (
    ("krmfn explain shop:web shop --source layout:images", (0,)),
    ("krmfn update shop --source layout:images --diff", (0,)),
    ("krmfn update shop --source layout:images --check", (0,)),
)
"""What is run, and the exit codes that are right. The last line finds nothing left to do."""


def main() -> int:
    """Run the commands; answer 0 when each ended as it should."""
    folder = Path(tempfile.mkdtemp(prefix="krmfn-demo-"))
    shutil.copytree(HERE / "package", folder / "shop")
    (folder / "images").symlink_to(HERE.parent / "images")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    print(f"a package and the images of three repositories are in {folder}", flush=True)
    for command, right in COMMANDS:
        print(f"\n$ {command}", flush=True)
        done = subprocess.run(shlex.split(command), cwd=folder, env=os.environ | {"PATH": path}, check=False)
        if done.returncode not in right:
            print(f"demo: {command}: exit {done.returncode}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
