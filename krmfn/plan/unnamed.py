"""*unnamed*: a policy for every image that none of the configuration names, so that `--within` needs no YAML. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from krmfn.model import ImagePolicy, PolicyKey
from krmfn.policies.rules import parse_rules

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.config.settings import Unnamed
    from krmfn.kubernetes.places import Place


def with_unnamed(config: Config, places: Iterable[Place], unnamed: Unnamed) -> Config:
    """Return the configuration with a policy more for every image that stands in sure places and that no policy names.

    They are in `policies` and not in `declared`: no lock keeps them, and nobody misses a field of theirs.
    """
    named = named_images(config)
    repositories = {
        place.ref.canonical: config.repository(place.ref)
        for place in reversed(tuple(places))
        if place.is_written and place.ref and place.ref.canonical not in named
    }
    rules = parse_rules(unnamed.policy)
    policies = {}
    for canonical, repository in sorted(repositories.items()):
        policy = ImagePolicy(
            PolicyKey(unnamed.described, canonical),
            repository,
            rules,
            "IfNotPresent" if unnamed.pin else "Never",
            frozenset({"images"}),
            on_error=unnamed.on_error,
        )
        policies[policy.key] = config.rulebook.put(policy)
    return config._replace(policies={**config.policies, **policies})


def named_images(config: Config) -> dict[str, PolicyKey]:
    """Return the repositories that a policy names, one that is suspended as well, each with the policy."""
    used = {policy.repository.image.canonical: key for key, policy in config.policies.items()}
    return {**config.suspended, **used}
