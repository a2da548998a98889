"""The text of an ImageHold as krmfn writes it. Every value is quoted: kustomize would turn 1.10 into 1.1."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.config.schema import API_VERSION
from krmfn.yamledit.scalars import quoted


def hold_document(spec: Mapping[str, str], name: str) -> str:
    """Write an ImageHold of its own; `spec` holds its members in order."""
    local = '    config.kubernetes.io/local-config: "true"'
    lines = "".join(f"  {key}: {quoted(value)}\n" for key, value in spec.items())
    return f"apiVersion: {API_VERSION}\nkind: ImageHold\nmetadata:\n  name: {quoted(name)}\n  annotations:\n{local}\nspec:\n{lines}"
