"""*take*: what a TagSnapshot of every repository is to hold. Pure: what a run learned in, snapshots out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from krmfn.config.snapshot import Snapshot
from krmfn.model import Choice, Chosen
from krmfn.policies.reason import ELIGIBLE

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.outcome import Run
    from krmfn.plan.records import Answers


def take(run: Run, before: Mapping[str, Snapshot], *, all_tags: bool) -> dict[str, Snapshot]:
    """Make a snapshot of every repository that was learned whole, by canonical name, sorted.

    Left alone are repositories of which a policy failed, or whose list the guard found incomplete. Tags that no policy can
    use are left out, unless all are wanted.
    """
    by_image: dict[str, list[Choice]] = {}
    for choice in (one for one in run.offered.values() if not one.policy.rules.followed):
        by_image.setdefault(choice.policy.repository.image.canonical, []).append(choice)
    snapshots = {}
    for image, choices in sorted(by_image.items()):
        whole = [one for one in choices if isinstance(one, Chosen) and not one.record and one.policy.key not in run.guarded.policies]
        # A snapshot stands for a registry: with a policy that learned nothing it would say that the tags of that one are gone.
        if len(whole) == len(choices):
            snapshots[image] = _unless_same(before.get(image), _one(image, whole, run, all_tags=all_tags))
    return snapshots


def _one(image: str, choices: list[Chosen], run: Run, *, all_tags: bool) -> Snapshot:
    tags: dict[str, str | None] = {}
    created: dict[str, str] = {}
    listed = 0
    for chosen in choices:
        repository = chosen.policy.repository
        if chosen.selection is not None:
            listed = max(listed, chosen.listed)
            reasons = zip(chosen.selection.tags, chosen.selection.reasons, strict=True)
            tags |= {tag: tags.get(tag) for tag, reason in reasons if all_tags or reason in ELIGIBLE}
        tags |= _told(run.answers, repository)
        if chosen.policy.rules.needs_created:
            created |= _told(run.dates, repository)
    return Snapshot(image, tags, created, max(listed, len(tags)))


def _told(answers: Answers, repository: Repository) -> Iterator[tuple[str, str]]:
    """Yield what the source told of the tags of a repository."""
    return ((tag, told) for (asked, tag), told in answers.items() if asked == repository and isinstance(told, str))


def _unless_same(old: Snapshot | None, new: Snapshot) -> Snapshot:
    """Keep the old count of listed tags when nothing else is different: a count alone is no change."""
    is_same = old is not None and (old.tags, old.created) == (new.tags, new.created)
    return new._replace(listed=old.listed) if old is not None and is_same else new
