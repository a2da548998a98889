"""Options of policies as configuration spells them."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.errors import RuleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def option(options: Mapping[str, Any], name: str) -> str:
    """Return an option of a policy as text, empty when it is left out; raises RuleError for a mapping or a list."""
    value = options.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise RuleError(f"expected text, found a {'mapping' if isinstance(value, dict) else 'list'}", field=name)
    return str(value)
