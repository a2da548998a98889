"""YAML that krmfn writes itself: flat style, strings quoted where any reader could take them for something else."""

from __future__ import annotations

from typing import Any

import yaml

from krmfn.yamledit.scalars import is_string


class _Writer(yaml.SafeDumper):
    """Writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        del data
        return True


def _text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value and all(line == line.rstrip() and line.isprintable() for line in value.split("\n")):
        return writer.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style=None if is_string(value) else '"')


_Writer.add_representer(str, _text)


def document(data: dict[str, Any]) -> str:
    """Write one document, keys in the order given, without the leading `---`.

    >>> print(document({"a": ["1.10", "yes", "x"], "b": {"c": True}}), end="")
    a:
    - "1.10"
    - "yes"
    - x
    b:
      c: true
    """
    return yaml.dump(data, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)
