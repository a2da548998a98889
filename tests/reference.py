"""The tables of docs/configuration.md and docs/policies.md, made from what the code goes by: schema, policies, reasons.

`python -m tests.reference` writes them anew between the marks `<!-- NAME -->` and `<!-- end -->`; the words around stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc
from typing import Any

from krmfn.config import schema
from krmfn.config.settings import Settings
from krmfn.policies.policy import POLICIES, Member
from krmfn.policies.reason import Reason
from tests.tools import ROOT

PAGES = (ROOT / "docs" / "configuration.md", ROOT / "docs" / "policies.md")
SECTION = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD = "| field | type | meaning |\n|---|---|---|\n"
_DEFAULTS = {
    "spec.mode": Settings().mode,
    "spec.onError": Settings().on_error,
    "spec.onDowngrade": Settings().on_downgrade,
    "spec.keepPins": str(Settings().keep_pins).lower(),
    "spec.immutableTags": str(Settings().immutable_tags).lower(),
    "spec.update.annotate": str(Settings().annotate).lower(),
}


def table(kind: str) -> str:
    """Write the fields of a kind as a table, nested ones with their whole path."""
    spec = schema.document(kind)["properties"]["spec"]
    return HEAD + "".join(
        f"| `{path}` | {_type(field)} | {_meaning(path, field, required)} |\n"
        for path, field, required in _fields(spec, "spec")
    )


def _fields(field: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    for name, child in field.get("properties", {}).items():
        yield f"{path}.{name}", child, name in field.get("required", ())
        yield from _fields(child, f"{path}.{name}")
        if "items" in child:
            yield from _fields(child["items"], f"{path}.{name}[]")
    for choice in field.get("oneOf", ()):
        yield from _fields(choice, path)


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "oneOf" in field:
        return "text or mapping"
    if field["type"] == "array":
        inner = field["items"]
        if "oneOf" in inner:
            return "list of text or mapping"
        return f"list of {_type(inner)}" if "enum" not in inner else f"list: {_type(inner)}"
    if field["type"] == "object":
        return "mapping" if "properties" in field else "mapping of text"
    return {"string": "text", "boolean": "true, false", "integer": "number"}[field["type"]]


def _meaning(path: str, field: dict[str, Any], required: bool) -> str:
    notes = ["required"] if required else []
    if path in _DEFAULTS:
        notes.append(f"default `{_DEFAULTS[path]}`")
    if "maxItems" in field:
        notes.append(f"at most {field['maxItems']}")
    words = field.get("description", "").replace("|", "\\|")
    return f"{words} ({', '.join(notes)})" if notes else words


def policies() -> str:
    """Write the members of `policy`: the first paragraph of the docstring of its class says what each takes."""
    return "| member | options | takes |\n|---|---|---|\n" + "".join(
        f"| `{name}` | {', '.join(f'`{option}`' for option in member.options)} | {_takes(member)} |\n"
        for name, member in POLICIES.items()
    )


def _takes(member: Member) -> str:
    policy = getattr(import_module(f"krmfn.policies.{member.module}"), member.class_name)
    return " ".join(str(getdoc(policy)).partition("\n\n")[0].split())


def keys() -> str:
    """Write the keys of a flat ConfigMap that choose a policy."""
    return "| key of a policy | gives |\n|---|---|\n" + "".join(
        f"| `{name}` | {f'`{member.key_option}`' if member.options else 'nothing: any value'} |\n"
        for name, member in POLICIES.items()
        if member.has_key
    )


def reasons() -> str:
    """Write the reasons of tags in the order of the steps, and behind which step the tag is not counted."""
    ordered = (*list(Reason)[1:], Reason.NOT_EVALUATED)
    return "| reason | the tag | not among |\n|---|---|---|\n" + "".join(f"| `{one.word}` | {one.text} | {one.step} |\n" for one in ordered)


TABLES = {"policies": policies, "keys": keys, "reasons": reasons}


def renewed(page: str) -> str:
    """Replace every section of a page by its table, that of a kind or one of TABLES."""
    return SECTION.sub(lambda found: found[1] + (TABLES[found[2]]() if found[2] in TABLES else table(found[2])) + found[3], page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(renewed(path.read_text()))
