"""What changed, for people: one row per image, the body of a pull request, a commit message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from krmfn.errors import RuleError
from krmfn.image import ImageRef
from krmfn.model import Diagnostic, Part
from krmfn.plan import report
from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.plan.records import Change

_SHOWN = 3
_LONGEST_URL = 300
SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"


class Row(NamedTuple):
    """One image that moves from one version to another, and every field that does."""

    image: str
    old: str
    new: str
    why: str
    changes: tuple[Change, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """Where it moves: `file:line`, or the resource when it came from no file."""
        return tuple(dict.fromkeys(_place(change) for change in self.changes))

    @property
    def tags(self) -> tuple[str, str]:
        """The tag before and after, whatever digests stand beside them; the first is empty if no field tells it."""
        old = next((tag for change in self.changes if (tag := _old_tag(change))), "")
        chosen = self.changes[0].chosen
        return old, chosen.tag if chosen else ""


class Link(NamedTuple):
    """Where an image's labels say that its source is: a page for the new version, a comparison with the old one."""

    source: str
    compare: str = ""


def _old_tag(change: Change) -> str:
    value, part = change.target.scalar.value.strip(), change.target.setter.part
    if part not in (Part.IMAGE, Part.TAG, Part.VERSION):
        return ""
    try:
        return ImageRef.parse(value if part is Part.IMAGE else f"x:{value.replace('+', '_')}").tag or ""
    except RuleError:
        return ""


def _place(change: Change) -> str:
    file = change.target.resource.place(change.target.scalar.start)
    if file is None:
        return str(change.target.resource.id)
    return f"{file.path}:{file.line}" if file.line else file.path


def rows(changes: Iterable[Change]) -> tuple[Row, ...]:
    """Group changes by image, old and new value, in the order of the files."""
    groups: dict[tuple[str, str, str, str], list[Change]] = {}
    for change in changes:
        groups.setdefault(report.row(change), []).append(change)
    return tuple(Row(*head, tuple(group)) for head, group in groups.items())


def cells(row: Row) -> tuple[str, str, str]:
    """Return the cells of a row for a terminal: image, move, places."""
    shown = row.places[:_SHOWN]
    more = f" +{len(row.places) - len(shown)}" if len(row.places) > len(shown) else ""
    return row.image, f"{row.old} -> {row.new}", " ".join(shown) + more


def images(moved: Sequence[Row]) -> int:
    """Return the number of distinct images."""
    return len({row.image for row in moved})


def link(new: Mapping[str, str], old: Mapping[str, str]) -> Link | None:
    """Return where the labels of an image (OCI image spec, annotations) say that its source is; only plain https addresses count."""
    source = _url(new.get(SOURCE, ""))
    if not source:
        return None
    host = source.split("/", 3)[2]
    before, after = old.get(REVISION, ""), new.get(REVISION, "")
    if not (_is_commit(before) and _is_commit(after)) or before == after or source.count("/") < 4:
        return Link(source)
    if host == "github.com":
        return Link(source, f"{source}/compare/{before}...{after}")
    return Link(source, f"{source}/-/compare/{before}...{after}" if host.startswith("gitlab.") else "")


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= set("0123456789abcdef")


def _url(text: str) -> str:
    """Return an address that can stand in Markdown as it is, else ''."""
    import re

    if len(text) > _LONGEST_URL or not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%+@/-]*)?", text):
        return ""
    return text.rstrip("/").removesuffix(".git")


def markdown(moved: Sequence[Row], links: Mapping[Row, Link], results: Iterable[Diagnostic], lock: str = "") -> str:
    """Return the body of a pull request: a table of what moves, where and why, then what needs a look.

    `lock` says how the image lock is renewed where no image moves.
    """
    lines = []
    if moved:
        lines += ["| image | from | to | files | why |", "| --- | --- | --- | --- | --- |"]
        lines += [_table_row(row, links.get(row)) for row in moved]
    else:
        lines.append(f"The image lock: {safe(lock)}." if lock else "No image changed.")
    for result in results:
        if result.severity != "info" or result.code == "passed-over":
            file = result.location.file
            where = f"{file.path}:{file.line}: " if file and file.line else ""
            head = "not yet" if result.code == "passed-over" else result.severity
            lines += ["", f"**{head}**: {safe(where + result.message)}"]
    return "\n".join(lines) + "\n"


def _table_row(row: Row, page: Link | None) -> str:
    image = f"[{safe(row.image)}]({page.source})" if page else safe(row.image)
    new = f"[{safe(row.new)}]({page.compare})" if page and page.compare else safe(row.new)
    return "| " + " | ".join((image, safe(row.old), new, "<br>".join(map(safe, row.places)), safe(row.why))) + " |"


def safe(text: str) -> str:
    """Return a text in which Markdown and HTML find nothing to act upon; mentions of people and of issues stay a text."""
    import re

    shown = re.sub(r"([\\\\|`*\[\]<&])", r"\\\1", printable(text, 2000))
    return re.sub(r"(?<!\w)[@!](?=\w)|#(?=\d)", "\\g<0>\u200b", shown)


def message(moved: Sequence[Row], named: Callable[[str], str] = str) -> str:
    """Return a commit message: what moves in the subject, one entry per image below. `named` spells a place."""
    if len(moved) == 1:
        subject = f"Update {moved[0].image} to {moved[0].new}"
    else:
        names = list(dict.fromkeys(row.image for row in moved))
        subject = f"Update {len(names)} images" if len(names) > 1 else f"Update {names[0]}"
    lines = []
    for row in moved:
        lines.append(f"- {row.image}: {row.old} -> {row.new} ({', '.join(map(named, row.places))})")
        lines.append(f"  {row.why}")
    return printable(subject, 200) + "\n\n" + "\n".join(printable(line, 1000) for line in lines) + "\n"
