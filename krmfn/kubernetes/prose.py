"""References in text that is no YAML: templates, scripts, documentation. What stands there is shown and never sure."""

from __future__ import annotations

import re
from collections.abc import Iterator
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


_VALUE = r"""["']?(?:\{\{[^{}\n]*\bdefault[ \t]+["'])?([^\s"'#{}]+)["']?(?:[ \t]*\}\})?["']?[ \t]*(?:#.*)?"""
"""A plain value, or the default of a template: `'{{ env "TAG" | default "1.2.0" }}'`."""
_PAIR = re.compile(
    rf"^([ \t]*)repository:[ \t]+{_VALUE}\n(?:\1[\w.-]+:[ \t]+\S+[ \t]*\n)?\1tag:[ \t]+{_VALUE}$", re.MULTILINE
)
"""Two lines of text that is no YAML: `repository: NAME`, and `tag: TAG` at most one line below it."""
_ASSIGNED = re.compile(r"""\{\{-?[ \t]*\$(\w+)[ \t]*:?=[ \t]*["']([^"'\s{}]+)["'][ \t]*-?\}\}""")
_USED = re.compile(r"""(?<![\w./:@-])([a-z0-9][\w.-]*(?::\d+)?(?:/[\w.-]+)+):(?:\{\{-?|(?:%s)?["'])[ \t]*\$(\w+)""")
"""A variable of a template that holds a tag, and where it follows a name: `NAME:{{ $tag }}`, `print "NAME:" $tag`."""
_HELM = re.compile(r"""\boci://([^\s'"`\\]+)["']?(?:[^\n\\;|&]|\\\n)*?[ \t]--version[ =][ \t]*["']?(v?\d[\w.+-]*)""")
"""A chart and its version in a command: `helm upgrade web oci://NAME --version 1.2.0`, on lines that go on."""
_COMMANDS = ("docker", "podman", "nerdctl", "crictl")
_RUN = r"\b(?:docker|podman|nerdctl|crictl)[ \t]+(?:image[ \t]+)?(?:run|pull|push|create)[ \t]"
_BETWEEN = r"(?:(?!\b(?:docker|podman|nerdctl|crictl)[ \t])[^\n;|&])*?"
_ENDS = r"(?::[A-Za-z0-9_][\w.-]*)?(?:@sha256:[0-9a-f]{64})?(?![\w:/=@$])"
_QUOTED = r"[\"']?([^\s\"'`$|;&<>(){},]+)"
_FORMS = (
    ("text", ("@sha256:",), r"(?:(?<=:-)|(?<![\w./:@$}-]))([a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9._-]+)+(?::[A-Za-z0-9_][\w.-]*)?@sha256:[0-9a-f]{64})(?!\w)"),
    ("line", ("mage",), r"""^[ \t]*(?:-[ ]+)?["']?[\w.-]*[iI]mage(?:[nN]ame|Ref)?["']?[ \t]*:[ \t]+["']?([^\s"'#,{}]+)(?!\S*[{}])"""),
    ("line", ("mage", "IMAGE"), rf"^[ \t]*(?:export[ \t]+|-[ \t]+|set[ \t]+)?(?:[\w.-]*[iI]mage|[A-Z0-9_]*IMAGE)(?:[nN]ame|_NAME|Ref|_ref)?[ \t]*=[ \t]*{_QUOTED}"),
    ("text", ("image",), rf"--(?:[\w-]*-)?image(?:-name)?[= ][ \t]*{_QUOTED}"),
    ("text", ("FROM",), rf"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)?{_QUOTED}"),
    ("text", ("image",), rf"\bimage(?:\(|[ \t]+)(?=[\"']){_QUOTED}"),
    ("text", ("mage",), rf"<\w*[iI]mage\w*>[ \t]*{_QUOTED}"),
    ("text", _COMMANDS, rf"{_RUN}[ \t]*(?:--?[a-z][\w-]*(?:=\S+)?[ \t]+)*((?=[\d._-]*[a-z])[a-z0-9][a-z0-9./_-]*{_ENDS})"),
    ("text", _COMMANDS, rf"{_RUN}{_BETWEEN}[ \t]([a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)+:[A-Za-z0-9_][\w.-]*{_ENDS})"),
)
"""The code of a form, words of which a text must have one, and the pattern.

They are lines `image: REF`, flags, and commands, whose first argument or any may be an image.
"""


def mentions(text: str, *, is_list: bool = False) -> Iterator[Mention]:
    """Yield lines such as `image: REF`, images of `docker run`, and references on known registries among other words.

    In a text that is a list of images (`a/b:1,c/d:2`) each word may be one.
    """
    if ":" not in text and "@" not in text:
        return
    spans = [
        (code, *hit.span(1))
        for code, words, pattern in _FORMS if any(word in text for word in words)
        for hit in re.finditer(pattern, text, re.MULTILINE)
    ]  # fmt: skip
    spans += [("text", *span) for span in reference.words(text)]
    needed = {start: Evidence.VERSION for _, start, _ in spans}
    if is_list:
        spans += [("text", *hit.span()) for hit in re.finditer(r"[^\s,;|\[\]\"']+", text)]
    starts: set[int] = set()
    for code, start, end in spans:
        if start in starts or _is_comment(text, start):
            continue
        reading = reference.read(text[start:end])
        if reading is not None and reading.evidence >= needed.get(start, Evidence.OFFICIAL):
            starts.add(start)
            yield Mention(code, start, end, reading)
    for code, name, hit, group in _tags(text):
        reading = reference.read(f"{name}:{hit[group].replace('+', '_')}")
        start = hit.start(group)
        is_read = start in starts or _is_comment(text, start) or reference.is_placeholder(hit[group])
        if not is_read and reading is not None and reading.evidence >= Evidence.VERSION:
            yield Mention(code, *hit.span(group), reading, is_tag=True)


def _tags(text: str) -> Iterator[tuple[str, str, re.Match[str], int]]:
    """Yield tags that stand apart from their names: the form, the name, and the group of the match that has the tag."""
    for hit in _PAIR.finditer(text) if "repository:" in text else ():
        yield "line", hit[2], hit, 3
    assigned = [*_ASSIGNED.finditer(text)] if "{{" in text and "$" in text else []
    used = {name: image for image, name in reversed(_USED.findall(text))} if assigned else {}
    for hit in assigned:
        yield "line", used.get(hit[1], ""), hit, 2
    for hit in _HELM.finditer(text) if "--version" in text else ():
        yield "text", hit[1], hit, 2


def _is_comment(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith(("#", "//"))
