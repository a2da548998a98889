"""Text that somebody else wrote, made safe to show: one line, no control characters, bounded."""

from __future__ import annotations

import re

SHOWN = 200
"""Characters of a foreign text that people get to see."""

_UNDECODED = "[\udc80-\udcff]+"
_ODD = r"\r(?!\n)|[^\t\r\n\x20-\x7e]"
_COMMAND = r"((?:\A|[\n\r])\s*)::|##(?=\[|vso\[)"


def printable(text: str, limit: int = SHOWN) -> str:
    r"""Write what a terminal or a log cannot act upon as escapes; of more than `limit` characters both ends stay.

    >>> printable("1.0\n::error::\x1b[31m"), printable("ä\u202e"), printable("abcdefg", 5)
    ('1.0\\x0a::error::\\x1b[31m', 'ä\\u202e', 'abc...fg')
    """
    text = as_utf8(text)
    if len(text) > limit:  # where a file is comes first, and why it cannot be read last
        end = limit // 2
        text = f"{text[: limit - end]}...{text[len(text) - end :]}"
    return text if text.isprintable() else "".join(char if char.isprintable() else escaped(char) for char in text)


def for_shell(*words: str) -> str:
    """Return a command for people to copy: what a shell would act upon is quoted.

    >>> for_shell("git", "switch", "a;b $(c)")
    "git switch 'a;b $(c)'"
    """
    import shlex

    return shlex.join(words)


def as_utf8(text: str) -> str:
    r"""Read the bytes of a file name as UTF-8 that Python could not read in the locale; what is no UTF-8 stays as it is.

    >>> as_utf8("gr\udcc3\udcb6\udcc3\udc9fer"), as_utf8("a\udcff") == "a\udcff"
    ('größer', True)
    """
    if text.isascii():
        return text
    escape = "surrogateescape"
    return re.sub(_UNDECODED, lambda match: match[0].encode("ascii", escape).decode("utf-8", escape), text)


def printable_lines(text: str) -> str:
    r"""Return a text of several lines with all else escaped that a terminal or a log would act upon, tabs aside.

    The line breaks of Windows stay, as patches hold them.

    >>> printable_lines("a:\tb\n\x1b[31m\r\n\rc")
    'a:\tb\n\\x1b[31m\r\n\\x0dc'
    """
    return re.sub(_ODD, lambda match: match[0] if match[0].isprintable() else escaped(match[0]), text)


def without_login(text: str) -> str:
    """Return a URL, host or image without the login that somebody wrote into it; a digest behind `@` is none.

    >>> without_login("https://me:pw@ghcr.io/acme"), without_login("acme/web:1@sha256:0a"), without_login("web@latest")
    ('***@ghcr.io/acme', 'acme/web:1@sha256:0a', 'web@latest')
    """
    head, at, rest = text.rpartition("@")
    if at and rest.startswith(("sha256:", "sha512:")):
        return f"{without_login(head)}@{rest}"
    return f"***@{rest}" if at and ("/" in rest or ":" in head) else text


def inert(text: str, escape: str = r"\x") -> str:
    r"""Return output in which no line is a command to a CI system: GitHub's `::error::` and `##[error]`, Azure's `##vso[`.

    Runners trim a line before they look at its start, so blanks in front of it are no help. `escape` goes before two hex digits.

    >>> inert("a::b\n  ::error::c ##[add-mask]d")
    'a::b\n  \\x3a:error::c #\\x23[add-mask]d'
    """
    if "::" not in text and "##" not in text:
        return text
    return re.sub(_COMMAND, lambda match: f"#{escape}23" if match[1] is None else f"{match[1]}{escape}3a:", text)


def escaped(char: str) -> str:
    r"""Return the escape of one character, as Python and many others write it: `\x1b`, `\u202e`."""
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
