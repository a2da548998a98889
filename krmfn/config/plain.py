"""Plain objects out of composed YAML."""

from __future__ import annotations

from collections.abc import Iterator

from krmfn.config.objects import Object, identify
from krmfn.yamledit.yamltree import construct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.yamledit.nodes import Block

_LISTS = ("List", "ConfigMapList", "SecretList", "ImagePolicyList", "ImageRepositoryList", "ImageUpdateAutomationList")


def read(block: Block, *, is_function_config: bool = False) -> Iterator[Object]:
    """Construct the object of a block; the members of a `List` come one by one. Raises InputError."""
    yield from _unpack(construct(block.root, block), block, is_function_config) if block.root is not None else ()


def _unpack(data: Any, block: Block, is_function_config: bool) -> Iterator[Object]:
    if not isinstance(data, dict):
        return
    if data.get("kind") in _LISTS and isinstance(data.get("items"), list):
        for member in data["items"]:
            yield from _unpack(member, block, is_function_config)
        return
    yield Object(identify(data), data, block, is_function_config)
