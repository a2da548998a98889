"""The report of a fleet as one HTML file that needs no network, and as markdown. Everything foreign is escaped.

The page may run its own script and style, which its policy names by their hashes, and load nothing (Content Security Policy 3).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from krmfn.fleet.report import ACTED_ON, FLAGS, Report, Row
from krmfn.git.changelog import safe
from krmfn.sanitize import printable

_HERE = Path(__file__).parent
_SHOWN = 30
"""Rows of a table in markdown."""


def html(report: Report) -> str:
    """Return the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style, script = ((_HERE / f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    loader = FileSystemLoader(_HERE)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = lambda text: printable(str(text), 1000)
    return environment.get_template("report.html").render(
        report=report, flags=FLAGS, counts=report.counts(), policy=policy,
        style=Markup(style), script=Markup(script),  # noqa: S704 - files of this package, not what anybody wrote
    )  # fmt: skip


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def markdown(report: Report) -> str:
    """Return the report for a summary: counts, what there is to do, and what stands out."""
    counts = [(flag, count) for flag, count in report.counts().items() if count]
    parts = [
        f"## What {len(report.trees)} trees run\n\nScanned at {report.now}: {len(report.rows)} images at a version.\n",
        _table(("state", "images", "means"), [(flag, str(count), FLAGS[flag]) for flag, count in counts]),
    ]
    acted = [row for row in report.rows if set(row.flags) & {*ACTED_ON, "moved"}]
    acted.sort(key=lambda row: (list(FLAGS).index(row.flags[0]), -len(row.trees), row.image))
    versions = [
        (image, ", ".join(dict.fromkeys(row.version for row in rows)), _trees(rows))
        for image, rows in report.several_versions
    ]
    digests = [(tag, ", ".join(one[:19] for one in each), _trees(rows)) for tag, each, rows in report.several_digests]
    problems = [(one.tree, one.message) for one in report.problems]
    tables = (
        ("To do", ("image", "version", "update", "newest", "behind", "state", "trees"), list(map(_cells, acted))),
        ("One image, several versions", ("image", "versions", "trees"), versions),
        ("One tag, several digests", ("tag", "digests", "trees"), digests),
        ("Not read, and policies that do nothing", ("tree", "what"), problems),
    )
    for title, header, rows in tables:
        parts += [f"### {title}\n", _table(header, rows)] if rows else []
    return "\n".join(parts)


def _trees(rows: Iterable[Row]) -> str:
    return str(len({tree for row in rows for tree in row.trees}))


def _cells(row: Row) -> tuple[str, ...]:
    return row.image, row.version, ", ".join(row.inside) or "-", row.newest or "-", behind(row), ", ".join(row.flags), str(len(row.trees))


def behind(row: Row) -> str:
    """Return how far a row is behind in words.

    >>> from krmfn.fleet.report import Lag
    >>> behind(Row("a/b", "1", "", (), (), (), "", Lag(3, 12, True), ()))
    '3 versions, at least 12 days'
    """
    if not row.lag.versions:
        return "-"
    versions = f"{row.lag.versions} version{'s' * (row.lag.versions != 1)}"
    if row.lag.days is None:
        return versions
    return f"{versions}, {'at least ' * row.lag.is_least}{row.lag.days} day{'s' * (row.lag.days != 1)}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *(tuple(map(safe, cells)) for cells in rows[:_SHOWN])]
    text = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return text + (f"\nand {len(rows) - _SHOWN} more\n" if len(rows) > _SHOWN else "")
