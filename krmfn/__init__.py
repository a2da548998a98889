"""Flux's image automation as a pure function over Kubernetes manifests.

The names below are the Python API (docs/python.md). Each is imported when it is first used; `import krmfn` loads nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.access import Listing, Repository
    from krmfn.api import choose, run
    from krmfn.errors import ConfigError, InputError, KrmfnError, RegistryError, RuleError, RulesError
    from krmfn.image import ImageRef
    from krmfn.model import Diagnostic
    from krmfn.outcome import Outcome
    from krmfn.plan.resolve import StaticTags
    from krmfn.plan.tag_source import TagSource
    from krmfn.policies.selection import Selection
    from krmfn.policies.version import Version

__version__ = "0.1.0"
__all__ = [
    "ConfigError",
    "Diagnostic",
    "ImageRef",
    "InputError",
    "KrmfnError",
    "Listing",
    "Outcome",
    "RegistryError",
    "Repository",
    "RuleError",
    "RulesError",
    "Selection",
    "StaticTags",
    "TagSource",
    "Version",
    "choose",
    "run",
]
_HOMES = {
    "krmfn.api": ("choose", "run"),
    "krmfn.errors": ("ConfigError", "InputError", "KrmfnError", "RegistryError", "RuleError", "RulesError"),
    "krmfn.image": ("ImageRef",),
    "krmfn.access": ("Listing", "Repository"),
    "krmfn.model": ("Diagnostic",),
    "krmfn.outcome": ("Outcome",),
    "krmfn.plan.resolve": ("StaticTags",),
    "krmfn.plan.tag_source": ("TagSource",),
    "krmfn.policies.selection": ("Selection",),
    "krmfn.policies.version": ("Version",),
}
"""Where the names of the API are defined."""


def __getattr__(name: str) -> Any:
    """Import a name of the API when it is first asked for (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of the API, those included that are not imported yet."""
    return sorted({*globals(), *__all__})
