"""Unified diffs of texts that change, safe to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from krmfn.sanitize import printable

if TYPE_CHECKING:
    from krmfn.yamledit.text import Text


def diffs(written: Mapping[Text, bytes]) -> Iterable[str]:
    """Yield unified diffs of the texts that change, with everything escaped that a terminal or a log would act upon."""
    from difflib import unified_diff

    for text, data in written.items():
        old, new = (one.decode("utf-8", "replace").split("\n") for one in (text.data, data))
        name = printable(text.name, len(text.name))
        head = list(unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}"))
        for line in head:
            body = line.rstrip("\n")
            shown = "\t".join(printable(part, len(part)) for part in body.removesuffix("\r").split("\t"))
            yield f"{shown}{chr(13) * body.endswith(chr(13))}\n"
            if not line.endswith("\n"):
                yield "\\ No newline at end of file\n"


def _lines(parts: Sequence[str]) -> list[str]:
    """Return lines with their ends, cut at line feeds alone."""
    return [f"{line}\n" for line in parts[:-1]] + [line for line in parts[-1:] if line]
