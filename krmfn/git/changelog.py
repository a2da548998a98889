"""Changes as people read them: one row per image, a pull request's body, a commit message. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from krmfn.foreign import printable
from krmfn.model import Result
from krmfn.steps import report
from krmfn.steps.verdict import Change

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


class Link(NamedTuple):
    """Where an image's labels say that its source is: a page for the new version, a comparison with the old one."""

    source: str
    compare: str = ""


def _place(change: Change) -> str:
    file = change.target.resource.place(change.target.scalar.start)
    if file is None:
        return str(change.target.resource.id)
    return f"{file.path}:{file.line}" if file.line else file.path


def rows(changes: Iterable[Change]) -> tuple[Row, ...]:
    """Group changes by image, old and new value, in the order of the files."""
    found: dict[tuple[str, str, str, str], list[Change]] = {}
    for change in changes:
        found.setdefault(report.row(change), []).append(change)
    return tuple(Row(*head, tuple(some)) for head, some in found.items())


def cells(row: Row) -> tuple[str, str, str]:
    """Answer the cells of a row for a terminal: image, move, places."""
    shown = row.places[:_SHOWN]
    more = f" +{len(row.places) - len(shown)}" if len(row.places) > len(shown) else ""
    return row.image, f"{row.old} -> {row.new}", " ".join(shown) + more


def images(found: Sequence[Row]) -> int:
    """Count the distinct images."""
    return len({row.image for row in found})


def link(new: Mapping[str, str], old: Mapping[str, str]) -> Link | None:
    """Read an image's labels (OCI image spec, annotations); only plain https addresses are taken."""
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
    """Accept an address that can stand in Markdown as it is."""
    import re

    if len(text) > _LONGEST_URL or not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~%+@/-]*)?", text):
        return ""
    return text.rstrip("/").removesuffix(".git")


def markdown(found: Sequence[Row], links: Mapping[Row, Link], results: Iterable[Result]) -> str:
    """Write the body of a pull request: a table of what moves, where and why, then what needs a look."""
    lines = []
    if found:
        lines += ["| image | from | to | files | why |", "| --- | --- | --- | --- | --- |"]
        lines += [_table_row(row, links.get(row)) for row in found]
    else:
        lines.append("No image changed.")
    for result in results:
        if result.severity != "info":
            where = f"{result.file.path}:{result.file.line}: " if result.file and result.file.line else ""
            lines += ["", f"**{result.severity}**: {_safe(where + result.message)}"]
    return "\n".join(lines) + "\n"


def _table_row(row: Row, found: Link | None) -> str:
    image = f"[{_safe(row.image)}]({found.source})" if found else _safe(row.image)
    new = f"[{_safe(row.new)}]({found.compare})" if found and found.compare else _safe(row.new)
    return "| " + " | ".join((image, _safe(row.old), new, "<br>".join(map(_safe, row.places)), _safe(row.why))) + " |"


def _safe(text: str) -> str:
    """Escape what Markdown or HTML would act upon; a mention of a person stays a text."""
    import re

    shown = re.sub(r"([\\\\|`*\[\]<])", r"\\\1", printable(text, 2000))
    return re.sub(r"(^|[\s(])@", "\\1@\u200b", shown)


def message(found: Sequence[Row], named: Callable[[str], str] = str) -> str:
    """Write a commit message: what moves in the subject, one entry per image below. `named` says a place differently."""
    if len(found) == 1:
        subject = f"Update {found[0].image} to {found[0].new}"
    else:
        names = list(dict.fromkeys(row.image for row in found))
        subject = f"Update {len(names)} images" if len(names) > 1 else f"Update {names[0]}"
    lines = []
    for row in found:
        lines.append(f"- {row.image}: {row.old} -> {row.new} ({', '.join(map(named, row.places))})")
        lines.append(f"  {row.why}")
    return printable(subject, 200) + "\n\n" + "\n".join(printable(line, 1000) for line in lines) + "\n"
