"""Files that a rule names, as `keyFiles` does. They are read below `--rules` alone: a change under review could bring its own.

The tree holds the same rules as a rule, so it may name the same files; then they are those of the rules from outside.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping

from krmfn.errors import RuleError
from krmfn.sanitize import printable

VARIABLE, GIT = "KRMFN_RULES", "git:"
"""What names the rules from outside, and how a commit is told from a path."""
LIMIT = 64 << 10
"""Bytes of such a file."""
RuleFile = Callable[[str, str], bytes]
"""Returns the content of a file that a text names: the name of the text, the path as it stands there. Raises RuleError."""
_WHERE = "key files are read below --rules alone, which no change under review can alter"


def without_rules(_text: str, path: str) -> bytes:
    """Refuse a file, as there are no rules from outside."""
    raise RuleError(f"{printable(path)} is not read: {_WHERE}", help="add --rules git:origin/main, or put the key into a Secret")


def of_rules(content: Mapping[str, bytes]) -> RuleFile:
    """Return the files of the rules from outside, by the path as it stands there, for rules of the tree."""

    def file(_text: str, path: str) -> bytes:
        if path not in content:
            named = ", ".join(map(printable, sorted(content))) or "none"
            raise RuleError(f"{printable(path)} is no file that the rules from outside name ({named}): {_WHERE}")
        return content[path]

    return file


def below(text: str, path: str, top: str = "") -> str:
    """Return the path of a file that stands beside a text, both relative to one folder; raises RuleError unless it is below `top`."""
    whole = posixpath.normpath(posixpath.join(posixpath.dirname(text), path))
    if not path or "\0" in path or posixpath.isabs(path) or whole.startswith(("../", ":")) or whole in ("..", "."):
        raise RuleError(f"{printable(path)!r} is no path below the rules", help="keyFiles: [cosign.pub], beside the file that names it")
    if top and not whole.startswith(f"{top}/"):
        raise RuleError(f"{printable(whole)} is not below {printable(top)}, where the rules are")
    return whole
