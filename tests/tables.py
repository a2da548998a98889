"""Read the tables of conformance rows: what other programs really answer, one row per case."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "fixtures" / "tables"


@cache
def table(name: str) -> dict[str, Any]:
    """Read a table."""
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return data


def rows(name: str, *kinds: str) -> list[dict[str, Any]]:
    """Return the rows of these kinds, without those that have no bearing; a kind without rows is a mistake."""
    data = table(name)
    found = []
    for kind in kinds:
        some = [row for row in data["cases"] if row["kind"] == kind]
        assert some, f"{name} has no rows of kind {kind}"
        found += some
    return [row for row in found if row["id"] not in data.get("no_bearing", {})]
