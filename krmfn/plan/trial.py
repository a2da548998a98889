"""Judging a policy again among some of its tags: how the members of a group find a version that all may take."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from krmfn.plan.records import Judgement, Pin

if TYPE_CHECKING:
    from krmfn.model import Chosen, NotChosen


class Trial(NamedTuple):
    """What comes of judging a policy again among some of its tags only."""

    choice: Chosen | NotChosen | None
    judgement: Judgement


Try = Callable[[Pin, Collection[str]], Trial]
"""Judges the choice of a policy, or that for one deployed tag, again among some tags."""
