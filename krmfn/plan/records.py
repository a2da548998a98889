"""What the steps found out: the records that pass between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from krmfn.access import Listing, Repository
from krmfn.errors import RegistryError
from krmfn.kubernetes.resource import Steps
from krmfn.model import Choice, ChoiceKey, Choices, Chosen, Diagnostic, ImagePolicy, PassedOver, PolicyKey
from krmfn.namedtuple import NamedTuple
from krmfn.yamledit.nodes import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.hold import Hold
    from krmfn.config.lock import Lock, LockEntry
    from krmfn.config.objects import Object
    from krmfn.config.records import Config
    from krmfn.config.snapshot import Snapshot
    from krmfn.kubernetes.overriding import Graph
    from krmfn.plan.target import Bound, Target
    from krmfn.yamledit.text import Edit, Text

Pin = tuple[PolicyKey, str]
"""A policy and one of its tags."""
Judgements = Mapping[ChoiceKey, "Judgement"]
Place = tuple[Block, Steps, PolicyKey]
"""What fields that must move together have in common: a block, where in it their resource stands, and a policy."""

Written = Mapping[Pin, frozenset[str]]
"""The fields into which a run writes a tag of a policy, as the lock names them."""

Listings = Mapping[Repository, Listing | RegistryError]
Moment = tuple[Repository, str]
Dates = Mapping[Moment, str | RegistryError]
Answers = Mapping[Moment, str | RegistryError]
"""What a source told of the digests of tags."""
Refused = Callable[[ImagePolicy, str, str], PassedOver | None]
"""Returns why a tag that stays may not take a digest yet; None when it may."""


class Scope(NamedTuple):
    """What a run decides about. Where several locks decide, every policy is one for each of them."""

    rules: Config
    blocks: Sequence[Block]
    graph: Graph | None
    """Which fields of files kustomizations override."""
    every: bool
    """Policies that no field may need are decided too, digests included: `krmfn fetch`."""
    wanted: tuple[ImagePolicy, ...]
    """The policies that are decided, sorted."""
    policies: Mapping[PolicyKey, ImagePolicy]
    """All that a field may be bound to."""
    lock: Lock | None
    """The decisions that are believed; `rules.lock` are those that are renewed."""
    bound: Bound | None = None
    """The fields, where they had to be known before anything is decided."""
    results: tuple[Diagnostic, ...] = ()

    @property
    def is_frozen(self) -> bool:
        """True if every choice is taken from the lock, and nobody is asked."""
        return self.rules.settings.mode == "frozen"


class Pins(NamedTuple):
    """The digest of every tag that needs one, or why it is not known, and what there is to say about them.

    `held` are the places whose pins cannot be renewed now: nothing there moves.
    """

    digests: Mapping[Pin, str | RegistryError]
    results: tuple[Diagnostic, ...] = ()
    held: frozenset[Place] = frozenset()


class Guarded(NamedTuple):
    """What may not move: whole policies, whose record is newer, and single places; and why."""

    policies: frozenset[PolicyKey] = frozenset()
    places: frozenset[Place] = frozenset()
    results: tuple[Diagnostic, ...] = ()


class Sightings(NamedTuple):
    """When tags were seen for the first time, by canonical repository: what is believed, and what is to be written down."""

    believed: Mapping[str, Snapshot]
    written: Mapping[str, Snapshot]
    digests: Answers = MappingProxyType({})
    """What had to be asked for that."""


class Judgement(NamedTuple):
    """What was judged of a choice. Everybody tells this."""

    runs: str | None = None
    """The tag that may run; None when everything stays as it is."""
    passed_over: tuple[PassedOver, ...] = ()
    """The best of what may not run, best first."""
    refused: Mapping[str, PassedOver] = MappingProxyType({})
    """All that may not run, as far as anybody looked."""
    steps: tuple[tuple[str, int], ...] = ()
    """How many of the tags that the policy takes each requirement left."""
    said: tuple[Diagnostic, ...] = ()
    is_stopped: bool = False
    """True if nobody could say of the best tag whether it may run, so that everything stays."""


def never(_policy: ImagePolicy, _tag: str, _digest: str) -> None:
    """Refuse no digest."""


class Trial(NamedTuple):
    """What comes of judging a choice, among all tags or among some; None where everything stays as it is."""

    choice: Choice | None
    judgement: Judgement


Try = Callable[[ChoiceKey, Collection[str]], Trial]
"""Judges a choice again among some tags: how the members of a group find a version that all may take."""


class Judged(NamedTuple):
    """The choices that may run, and what there is to say. What nothing may move has no choice."""

    choices: Choices
    judgements: Judgements = MappingProxyType({})
    still: frozenset[PolicyKey] = frozenset()
    """Policies of which no field is written now, not even a digest: their windows are closed."""
    refused: Refused = never
    """Judges the new digest of a tag that stays."""

    @property
    def results(self) -> tuple[Diagnostic, ...]:
        """What there is to say of them, each thing once."""
        return tuple(dict.fromkeys(said for one in self.judgements.values() for said in one.said))

    def put(self, key: ChoiceKey, chosen: Choice | None, *said: Diagnostic, passed: PassedOver | None = None) -> Judged:
        """Return what is judged with another choice: `passed` is the tag that was to run before, and why it may not."""
        choices, before = dict(self.choices), self.judgements.get(key, Judgement())
        if chosen is not None:
            choices[key] = chosen
        else:
            choices.pop(key, None)
        over, refused = before.passed_over, dict(before.refused)
        if passed is not None:
            over, refused[passed.tag] = (passed, *over), passed
        runs = chosen.tag if isinstance(chosen, Chosen) else None
        judgement = before._replace(runs=runs, passed_over=over, refused=refused, said=(*before.said, *said))
        return self._replace(choices=choices, judgements={**self.judgements, key: judgement})

    def keep(self, key: ChoiceKey, running: tuple[str, ...], passed: PassedOver) -> Judged:
        """Return what is judged with everything of a policy as it is: its choice is what runs, if the policy takes that.

        Of several tags that run it is the lowest, and fields that hold another one stay.
        """
        chosen = self.choices.get(key)
        return self.put(key, kept(chosen, running, passed) if isinstance(chosen, Chosen) else None, passed=passed)


def by_policy(choices: Choices, policies: Sequence[ImagePolicy]) -> dict[PolicyKey, dict[str, Choice]]:
    """Return the choices of policies by deployed tag. One that follows what is deployed may have none, any other is left out."""
    by_key: dict[PolicyKey, dict[str, Choice]] = {policy.key: {} for policy in policies}
    for (key, tag), choice in choices.items():
        by_key[key][tag] = choice
    return {policy.key: by_key[policy.key] for policy in policies if by_key[policy.key] or policy.rules.follows_current}


def kept(chosen: Chosen, running: Sequence[str], *passed: PassedOver) -> Chosen | None:
    """Return the choice of what runs in the place of another; None where the policy does not take what runs."""
    from krmfn.policies import selection

    rules = chosen.policy.rules
    if not running or not all(selection.accepts(rules, tag) for tag in running):
        return None
    lowest = running[0]  # nothing moves back: fields above it are `above`, and stay
    for tag in running[1:]:
        lowest = tag if selection.outranks(rules, lowest, tag) else lowest
    above, over = frozenset(running) - {lowest}, (*passed, *chosen.passed_over)
    return chosen._replace(tag=lowest, digest=None, stays="", passed_over=over, above=above, is_held=False, origin=None)


class Change(NamedTuple):
    """One field that takes a new value. `chosen` is None where the policy's repository is all that the field names."""

    target: Target
    value: str
    policy: ImagePolicy
    chosen: Chosen | None
    edit: Edit


class Renewal(NamedTuple):
    """The entries of the new lock, sorted, and what is different from the old one."""

    entries: tuple[LockEntry, ...]
    changed: tuple[tuple[LockEntry, LockEntry], ...] = ()
    """Old and new."""
    added: tuple[LockEntry, ...] = ()
    removed: tuple[LockEntry, ...] = ()

    def at(self, lock: Object, home: Callable[[PolicyKey], Object | None]) -> Renewal:
        """Return what of it concerns the policies whose home is one lock."""

        def is_there(key: PolicyKey) -> bool:
            return home(key) is lock

        return Renewal(
            tuple(one for one in self.entries if is_there(one.policy)),
            tuple(pair for pair in self.changed if is_there(pair[1].policy)),
            tuple(one for one in self.added if is_there(one.policy)),
            tuple(one for one in self.removed if is_there(one.policy)),
        )

    def __bool__(self) -> bool:
        """True if anything is different."""
        return bool(self.changed or self.added or self.removed)

    @property
    def described(self) -> str:
        """Return in one line what is different."""
        changed = (f"{old.policy} {_moved(old, new)}" for old, new in self.changed)
        added = (f"{entry.policy} {_version(entry)} is new" for entry in self.added)
        removed = (f"{entry.policy} is gone, with {_version(entry)}" for entry in self.removed)
        return ", ".join((*changed, *added, *removed))


class Recorded(NamedTuple):
    """What a run writes down besides the fields: in locks, in annotations, and in holds that end."""

    renewal: Renewal = Renewal(())
    lock_edits: tuple[tuple[Text, Edit], ...] = ()
    annotations: tuple[tuple[Text, Edit], ...] = ()
    ended: tuple[Hold, ...] = ()
    """Holds until a newer tag, where there is one now."""
    results: tuple[Diagnostic, ...] = ()


def _moved(old: LockEntry, new: LockEntry) -> str:
    if old.image != new.image:
        return f"{old.image}:{_version(old)} -> {new.image}:{_version(new)}"
    if (old.tag, old.digest) != (new.tag, new.digest):
        return f"{_version(old)} -> {_version(new)}"
    if old._replace(written=new.written) == new:
        return f"{_version(new)} was written into {len(new.written)} field{'s' * (len(new.written) != 1)}"
    return f"stays at {_version(new)} by other rules"


def _version(entry: LockEntry) -> str:
    return entry.tag + (f"@{entry.digest[:19]}" if entry.digest else "")
