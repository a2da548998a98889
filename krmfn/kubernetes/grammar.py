"""How a reference stands in a scalar: alone, behind a flag, behind the name that it replaces. A row of `forms` names one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from krmfn.kubernetes import reference

if TYPE_CHECKING:
    from krmfn.kubernetes.forms import Reference
    from krmfn.kubernetes.reference import Reading

_FLAG = re.compile(r"(--?[A-Za-z0-9][\w.-]*|[A-Za-z_][\w.-]*)=")


def read(row: Reference, text: str) -> tuple[int, Reading] | None:
    """Read a scalar by the grammar of a row: where the reference starts, and what it says."""
    if row.grammar in ("whole", "url"):
        seen = reference.read(text) if row.grammar == "whole" or text.startswith(("oci://", "docker://")) else None
        return (0, seen) if seen else None
    if row.grammar == "flag":
        head = _FLAG.match(text)
        if head is None or not row.is_key(head[1].lstrip("-")):
            return None
        seen = reference.read(text[head.end() :])
        return (head.end(), seen) if seen else None
    name, equals, new = text.partition("=")
    seen = reference.read(new) if equals and reference.read(name) else None
    return (len(name) + 1, seen) if seen else None
