"""What reflection and the guard found out: records that pass between the steps."""

from __future__ import annotations

from collections.abc import Mapping

from krmfn.errors import RegistryError
from krmfn.frozen import frozen
from krmfn.model import PolicyKey, Result

Pin = tuple[PolicyKey, str]
"""A policy and one of its tags."""
Place = tuple[int, tuple[str | int, ...], PolicyKey]
"""What fields that must move together have in common: a block, where in it their resource stands, and a policy."""


@frozen
class Pins:
    """The digest of every tag that needs one, or why it is not known, and what there is to say about them."""

    digests: Mapping[Pin, str | RegistryError]
    results: tuple[Result, ...] = ()


@frozen
class Guarded:
    """What may not move: whole policies, whose record is newer, and single places; and why."""

    policies: frozenset[PolicyKey] = frozenset()
    places: frozenset[Place] = frozenset()
    results: tuple[Result, ...] = ()
