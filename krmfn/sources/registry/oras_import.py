"""Import oras without jsonschema: a third of the time, for schemas that only pushing needs.

While oras is imported, a module that loads the real one on first use stands in its place; afterwards `sys.modules` is
as it was.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_NAME = "jsonschema"


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(_NAME), name)


_stands_in = _NAME not in sys.modules
if _stands_in:
    sys.modules[_NAME] = _Later(_NAME)
try:
    import oras.client  # oras.container alone leaves the package half imported
    import oras.container
    import oras.provider
finally:
    if _stands_in:
        del sys.modules[_NAME]

__all__ = ["oras"]
