"""The pieces of a JSON Schema of a kind of ours."""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

Schema: TypeAlias = "dict[str, Any]"


def text(description: str, **more: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **more}


def mapped(description: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a mapping that holds nothing but these members."""
    return {
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def listed(description: str, items: Schema, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "description": description, "items": items, **more}


def entries(description: str, one: str, properties: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a list of mappings; `one` is what is said of each."""
    return listed(description, mapped(one, properties, required))


def text_or(schema: Schema) -> Schema:
    """Return the schema of what is a text, or else something longer."""
    return {"oneOf": [{"type": "string"}, schema]}


def words(description: str) -> Schema:
    """Return the schema of a mapping from any name to a text."""
    return {"type": "object", "description": description, "additionalProperties": {"type": "string"}}


def texts(description: str) -> Schema:
    """Return the schema of a list of texts."""
    return listed(description, {"type": "string"})


def flag(description: str) -> Schema:
    """Return the schema of a boolean."""
    return {"type": "boolean", "description": description}


def number(description: str, minimum: int) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", "description": description, "minimum": minimum}
