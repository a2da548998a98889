"""Names that are handed to git: branches, refspecs, authors, push options, messages. Refused here, before git sees them."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


def text_problem(value: str, *, lines: bool = False) -> str:
    r"""Return what keeps a text from git, or ''. With `lines` line breaks are allowed.

    >>> text_problem("a\0b"), text_problem("a\nb"), text_problem("a\nb", lines=True), text_problem("\ud800")
    ('holds a NUL character', 'holds a line break', '', 'is not UTF-8')
    """
    if "\0" in value:
        return "holds a NUL character"
    if not lines and ("\n" in value or "\r" in value):
        return "holds a line break"
    # half of a surrogate pair is what bytes that are no UTF-8, and wrong escapes, leave
    return "is not UTF-8" if any("\ud800" <= char <= "\udfff" for char in value) else ""


def branch_problem(name: str) -> str:
    """Return what is wrong with the name of a branch, or '' (git-check-ref-format).

    >>> branch_problem("krmfn/images"), branch_problem("a b"), branch_problem("-f"), branch_problem("HEAD")
    ('', "holds ' '", "starts with '-'", 'is no name of a branch')
    """
    if name in ("", "@", "HEAD"):
        return "is no name of a branch"
    if name.startswith("-"):
        return "starts with '-'"
    if problem := text_problem(name):
        return problem
    if forbidden := _FORBIDDEN.search(name):
        return f"holds {forbidden[0]!r}"
    for part in name.split("/"):
        if not part or part.startswith(".") or part.endswith((".", ".lock")):
            return f"has a part {part!r}"
    return ""


def refspec_problem(refspec: str) -> str:
    """Return why a refspec is not pushed, or ''. Nothing is deleted, forced, or pushed by a wildcard.

    >>> refspec_problem("refs/heads/a:refs/heads/b"), refspec_problem("refs/heads/a")
    ('', '')
    >>> refspec_problem(":refs/heads/prod")
    'an empty source deletes a branch: write SOURCE:DESTINATION'
    """
    source, colon, destination = refspec.partition(":")
    if refspec.startswith("+"):
        return f"krmfn never forces a push: write {refspec[1:]}"
    if not source:
        return "an empty source deletes a branch: write SOURCE:DESTINATION"
    if colon and not destination:
        return "an empty destination: write SOURCE:DESTINATION"
    if "*" in refspec:
        return "a wildcard pushes whatever matches: name one ref"
    for name in (source, destination) if colon else (source,):
        if problem := branch_problem(name) if name != "HEAD" or name is destination else "":
            return f"{name!r} {problem}"
    return ""
