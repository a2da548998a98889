"""The table of policies. Each is a class in a module of its own, imported by the runs that meet it.

A policy reads a text (the tag, or what filterTags extracts from it) and takes one of several; see `protocol.Policy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from krmfn.policies.protocol import Policy

POLICIES = ("semver", "alphabetical", "numerical", "version", "digest", "follow", "newest")
"""The members of `policy` in YAML. Of several the first in this order counts (Flux's factory.go)."""



def parse_policy(kind: str, options: Mapping[str, Any]) -> Policy:
    """Read the options of one of POLICIES; raises RuleError."""
    match kind:
        case "semver":
            from krmfn.policies.semver import SemVer

            return SemVer.parse(options)
        case "alphabetical":
            from krmfn.policies.ordering import Alphabetical

            return Alphabetical.parse(options)
        case "numerical":
            from krmfn.policies.ordering import Numerical

            return Numerical.parse(options)
        case "version":
            from krmfn.policies.version_policy import VersionPolicy

            return VersionPolicy.parse(options)
        case "digest":
            from krmfn.policies.digest import Digest

            return Digest.parse(options)
        case "follow":
            from krmfn.policies.follow import Follow

            return Follow.parse(options)
        case "newest":
            from krmfn.policies.newest import Newest

            return Newest.parse(options)
    raise ValueError(f"{kind} is none of the policies")
