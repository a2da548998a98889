"""Text that somebody else wrote, made safe to show: one line, no control characters, bounded."""

from __future__ import annotations

SHOWN = 200
"""Characters of a foreign text that people get to see."""


def printable(text: str, limit: int = SHOWN) -> str:
    r"""Write what a terminal or a log cannot act upon as escapes, and cut at `limit` characters.

    >>> printable("1.0\n::error::\x1b[31m"), printable("ä\u202e"), printable("abcdef", 3)
    ('1.0\\x0a::error::\\x1b[31m', 'ä\\u202e', 'abc...')
    """
    head = text[:limit]
    if not head.isprintable():
        head = "".join(char if char.isprintable() else _escape(char) for char in head)
    return head + "..." if len(text) > limit else head


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
