"""References in text that is no YAML: templates, scripts, documentation. What stands there is shown and never sure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from krmfn.kubernetes import reference
from krmfn.kubernetes.reference import Evidence, Reading


class Mention(NamedTuple):
    """A reference: the code of its form, its span in characters, and what was read."""

    code: str
    start: int
    end: int
    reading: Reading
    is_tag: bool = False
    """True if the span holds the tag alone, and the line above it the name."""


_PAIR = re.compile(
    r"""^([ \t]*)repository:[ \t]+["']?([^\s"'#{}]+)["']?[ \t]*(?:#.*)?\n(?:\1[\w.-]+:[ \t]+\S+[ \t]*\n)?\1tag:[ \t]+["']?([\w.-]+)["']?[ \t]*(?:#.*)?$""",
    re.MULTILINE,
)
"""Two lines of text that is no YAML: `repository: NAME`, and `tag: TAG` at most one line below it."""


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return the code and the pattern of lines `image: REF` and of commands, whose first argument or any may be an image."""
    run = r"\b(?:docker|podman|nerdctl|crictl)[ \t]+(?:image[ \t]+)?(?:run|pull|push|create)[ \t]"
    ends = r"(?::[A-Za-z0-9_][\w.-]*)?(?:@sha256:[0-9a-f]{64})?(?![\w:/=@$])"
    quoted = r"[\"']?([^\s\"'`$|;&<>(){},]+)"
    lines = (
        ("text", r"(?<![\w./:@$}-])([a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9._-]+)+(?::[A-Za-z0-9_][\w.-]*)?@sha256:[0-9a-f]{64})(?!\w)"),
        ("line", r"""^[ \t]*(?:-[ ]+)?["']?[\w.-]*[iI]mage(?:[nN]ame|Ref)?["']?[ \t]*:[ \t]+["']?([^\s"'#,{}]+)(?!\S*[{}])"""),
        ("line", rf"^[ \t]*(?:export[ \t]+|-[ \t]+|set[ \t]+)?(?:[\w.-]*[iI]mage|[A-Z0-9_]*IMAGE)(?:[nN]ame|_NAME|Ref|_ref)?[ \t]*=[ \t]*{quoted}"),
        ("text", rf"--(?:[\w-]*-)?image(?:-name)?[= ][ \t]*{quoted}"),
        ("text", rf"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)?{quoted}"),
        ("text", rf"\bimage(?:\(|[ \t]+)(?=[\"']){quoted}"),
        ("text", rf"<\w*[iI]mage\w*>[ \t]*{quoted}"),
        ("text", rf"{run}[ \t]*(?:--?[a-z][\w-]*(?:=\S+)?[ \t]+)*((?=[\d._-]*[a-z])[a-z0-9][a-z0-9./_-]*{ends})"),
        ("text", rf"{run}[^\n;|&]*?[ \t]([a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)+:[A-Za-z0-9_][\w.-]*{ends})"),
    )
    return tuple((code, re.compile(pattern, re.MULTILINE)) for code, pattern in lines)


def mentions(text: str, *, is_list: bool = False) -> Iterator[Mention]:
    """Yield lines such as `image: REF`, images of `docker run`, and references on known registries among other words.

    In a text that is a list of images (`a/b:1,c/d:2`) each word may be one.
    """
    if ":" not in text and "@" not in text:
        return
    spans = [(code, *hit.span(1)) for code, pattern in _patterns() for hit in pattern.finditer(text)]
    spans += [("text", *span) for span in reference.words(text)]
    needed = {start: Evidence.VERSION for _, start, _ in spans}
    if is_list:
        spans += [("text", *hit.span()) for hit in re.finditer(r"[^\s,;|\[\]\"']+", text)]
    done: set[int] = set()
    for code, start, end in spans:
        if start in done or _is_comment(text, start):
            continue
        reading = reference.read(text[start:end])
        if reading is not None and reading.evidence >= needed.get(start, Evidence.OFFICIAL):
            done.add(start)
            yield Mention(code, start, end, reading)
    for hit in _PAIR.finditer(text):
        reading = reference.read(f"{hit[2]}:{hit[3]}")
        if hit.start(3) not in done and reading is not None and reading.evidence >= Evidence.VERSION:
            yield Mention("line", *hit.span(3), reading, is_tag=True)


def _is_comment(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith(("#", "//"))
