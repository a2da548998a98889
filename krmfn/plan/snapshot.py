"""*take*: what a TagSnapshot of every repository is to hold. Pure: what a run learned in, snapshots out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from krmfn.access import Repository
from krmfn.config.snapshot import Snapshot
from krmfn.errors import RegistryError
from krmfn.model import Choice, Chosen, NotChosen, PolicyKey, settled
from krmfn.policies.reason import ELIGIBLE

Facts = Mapping[tuple[Repository, str], str | RegistryError]
"""What a source answered about a tag of a repository."""


class Learned(NamedTuple):
    """What a run learned from its source. `held` are the policies whose list the guard found incomplete."""

    choices: Mapping[PolicyKey, Choice]
    digests: Facts
    dates: Facts
    held: Collection[PolicyKey] = ()


def take(learned: Learned, before: Mapping[str, Snapshot], *, all_tags: bool) -> dict[str, Snapshot]:
    """Make a snapshot of every repository that was learned whole, by canonical name, sorted.

    Left alone are repositories of which a policy failed or is held. Tags that no policy can use are left out, unless
    all are wanted.
    """
    by_image: dict[str, list[Chosen | NotChosen]] = {}
    for choice in (one for one in learned.choices.values() if not one.policy.rules.followed):
        by_image.setdefault(choice.policy.repository.image.canonical, []).extend(settled(choice))
    snapshots = {}
    for image, choices in sorted(by_image.items()):
        whole = [
            one for one in choices if isinstance(one, Chosen) and not one.record and one.policy.key not in learned.held
        ]
        if choices and len(whole) == len(choices):
            snapshots[image] = _unless_same(before.get(image), _one(image, whole, learned, all_tags=all_tags))
    return snapshots


def _one(image: str, choices: list[Chosen], learned: Learned, *, all_tags: bool) -> Snapshot:
    tags: dict[str, str | None] = {}
    created: dict[str, str] = {}
    listed = 0
    for chosen in choices:
        repository = chosen.policy.repository
        if chosen.selection is not None:
            listed = max(listed, chosen.listed)
            reasons = zip(chosen.selection.tags, chosen.selection.reasons, strict=True)
            tags |= {tag: tags.get(tag) for tag, reason in reasons if all_tags or reason in ELIGIBLE}
        tags |= {
            tag: answer
            for (asked, tag), answer in learned.digests.items()
            if asked == repository and isinstance(answer, str)
        }
        if chosen.policy.rules.needs_created:
            created |= {
                tag: when
                for (asked, tag), when in learned.dates.items()
                if asked == repository and isinstance(when, str)
            }
    return Snapshot(image, tags, created, max(listed, len(tags)))


def _unless_same(old: Snapshot | None, new: Snapshot) -> Snapshot:
    """Keep the old count of listed tags when nothing else is different: a count alone is no change."""
    is_same = old is not None and (old.tags, old.created) == (new.tags, new.created)
    return new._replace(listed=old.listed) if old is not None and is_same else new
