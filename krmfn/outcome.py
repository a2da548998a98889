"""What a run comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.config.snapshot import Snapshot
    from krmfn.model import Choices, Diagnostic, ImagePolicy, PolicyKey
    from krmfn.plan.records import Answers, Change, Dates, Guarded, Judged, Judgement, Listings, Pins, Recorded
    from krmfn.plan.tag_source import TagSource
    from krmfn.plan.taken_back import TakenBack
    from krmfn.plan.target import Bound
    from krmfn.yamledit.text import Edit, Text


class Run(NamedTuple):
    """Everything a run found out about some blocks, before anything is written."""

    config: Config
    wanted: tuple[ImagePolicy, ...]
    """The policies that were decided, sorted."""
    source: TagSource
    """What was asked, and repeats what it was told."""
    bound: Bound
    listings: Listings
    dates: Dates
    offered: Choices
    """The choices before anything was judged: the best of what was listed, whether it may run or not."""
    taken: tuple[TakenBack, ...]
    """What people took back since it was written."""
    evidence: Mapping[str, Snapshot]
    """What is known of first sightings, with those of this run where they are recorded."""
    judged: Judged
    answers: Answers
    """Digests as the source has them now, which IfNotPresent may not follow; those that count are in `pins`."""
    pins: Pins
    guarded: Guarded
    changes: tuple[Change, ...]
    recorded: Recorded
    results: tuple[Diagnostic, ...]
    hold_edits: tuple[tuple[Text, Edit], ...] = ()
    """How holds change that follow from `taken` and `recorded.ended`; `added` are the files that they start."""
    added: tuple[Text, ...] = ()

    @property
    def choices(self) -> Choices:
        """The choices that may run."""
        return self.judged.choices

    @property
    def edits(self) -> tuple[tuple[Text, Edit], ...]:
        """Everything there is to write, with the text that it belongs to: changed fields, records of them, and the lock."""
        of_fields = tuple((change.target.resource.block.text, change.edit) for change in self.changes)
        return of_fields + self.recorded.annotations + self.recorded.lock_edits + self.hold_edits

    @property
    def accepted(self) -> tuple[Edit, ...]:
        """The edits of all texts; none when there is an error."""
        return () if self.is_error else tuple(edit for _, edit in self.edits)

    def judgement(self, policy: PolicyKey, tag: str) -> Judgement | None:
        """Return what was judged of a policy, of a deployed tag if it follows those; of several locks the first."""
        judgements = self.judged.judgements
        one = judgements.get((policy, tag)) or judgements.get((policy, ""))
        return one or next((one for (key, of), one in judgements.items() if key.plain == policy.plain and of in (tag, "")), None)

    @property
    def is_error(self) -> bool:
        """True when nothing may be written."""
        return any(result.severity == "error" for result in self.results)


class Outcome(NamedTuple):
    """What a run answers: the text to print, in pieces, and everything there is to say about it."""

    pieces: Sequence[bytes | memoryview]
    results: tuple[Diagnostic, ...]
    asides: tuple[str, ...] = ()
    """For stderr only: what is worth a word and no result."""

    @property
    def text(self) -> bytes:
        """The text as a whole."""
        return b"".join(self.pieces)

    @property
    def is_error(self) -> bool:
        """True when any result is an error; then the text holds the items as they came."""
        return any(result.severity == "error" for result in self.results)
