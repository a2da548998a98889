"""The table of policies. Each is a class in a module of its own, imported by the runs that meet it.

A policy reads a text (the tag, or what filterTags extracts from it) and takes one of several; see `protocol.Policy`.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from krmfn.policies.protocol import Policy

POLICIES = {
    "semver": ("semver", "SemVer"),
    "alphabetical": ("ordering", "Alphabetical"),
    "numerical": ("ordering", "Numerical"),
    "version": ("version_policy", "VersionPolicy"),
    "digest": ("digest", "Digest"),
    "follow": ("follow", "Follow"),
    "newest": ("newest", "Newest"),
}
"""Module and class, by the member of `policy` in YAML. Of several members the first in this order counts (Flux's factory.go)."""


def parse_policy(kind: str, options: Mapping[str, Any]) -> Policy:
    """Read the options of one of POLICIES; raises RuleError."""
    module, name = POLICIES[kind]
    policy: Policy = getattr(import_module(f"krmfn.policies.{module}"), name).parse(options)
    return policy
