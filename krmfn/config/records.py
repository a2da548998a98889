"""What was configured, as a run knows it: policies, rules, records and settings, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from krmfn.access import Access, Repository
from krmfn.config.locks import Locks
from krmfn.config.settings import Settings
from krmfn.globs import is_about
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from krmfn.config import flux
    from krmfn.config.floor import Floor
    from krmfn.config.flux import UnresolvedPolicy
    from krmfn.config.hold import Hold
    from krmfn.config.image_automation import TargetRule
    from krmfn.config.lock import Lock
    from krmfn.config.objects import Object
    from krmfn.config.require import Requirement
    from krmfn.config.rollout import Group
    from krmfn.config.snapshot import Snapshot
    from krmfn.config.windows import Calendar
    from krmfn.image import ImageRef
    from krmfn.model import Diagnostic, ImagePolicy, PolicyKey


class Own:
    """What krmfn's own configuration says, as far as it was read: ImageAutomations, or a flat ConfigMap as functionConfig."""

    def __init__(self) -> None:
        self.policies: list[ImagePolicy] = []
        self.settings = Settings()
        self.targets: list[TargetRule] = []
        self.lock = ""
        """`spec.lock`: the name of the ImageLock that counts."""
        self.requirements: tuple[Requirement, ...] = ()
        self.groups: tuple[Group, ...] = ()
        self.windows: Calendar = ()
        self.max_changes: int | None = None


class Rulebook(NamedTuple):
    """Everything that decides which tags may run, besides the policies: of the tree, and of the floor if there is one."""

    requirements: tuple[Requirement, ...] = ()
    holds: tuple[Hold, ...] = ()
    floor: Floor | None = None
    groups: tuple[Group, ...] = ()
    """What moves together, by the tree or by the floor."""
    windows: Calendar = ()
    max_changes: int | None = None
    """How many policies may change at a time, by the tree and by the floor; None: all."""

    def put(self, policy: ImagePolicy) -> ImagePolicy:
        """Return the policy with what is required of its tags and the holds that concern it."""
        required = tuple(one for one in self.requirements if is_about(one, policy))
        if self.floor is not None:
            added = (one._replace(tells_time=False) for one in required if one not in self.floor.requirements)  # its trusted root is the tree's
            required = (*self.floor.about(self.floor.requirements, policy), *added)
            policy = policy._replace(latest=None)
        if self.max_changes is not None or any(policy.key in one.members for one in self.groups):
            policy = policy._replace(is_shared=True)
        of_floor = self.floor.about(self.floor.windows, policy) if self.floor else ()
        calendars = (of_floor, tuple(one for one in self.windows if is_about(one, policy)))
        if any(calendars):
            policy = policy._replace(windows=tuple(one for one in calendars if one))
        if not (required or self.holds or policy.is_judged):
            return policy
        from krmfn.config.require import rules_hash  # most policies are not judged

        floor = self.floor
        held = tuple(one for one in self.holds if (floor.is_held(one, policy) if floor else one.is_about(policy)))
        return policy._replace(requirements=required, rules_hash=rules_hash(required), holds=held)


class Config(NamedTuple):
    """Everything that was configured, checked. `declared` also names policies that are suspended or belong elsewhere."""

    policies: Mapping[PolicyKey, ImagePolicy] = MappingProxyType({})
    repositories: Mapping[PolicyKey, flux.ImageRepository] = MappingProxyType({})
    unresolved: Mapping[PolicyKey, UnresolvedPolicy] = MappingProxyType({})
    declared: frozenset[PolicyKey] = frozenset()
    suspended: Mapping[str, PolicyKey] = MappingProxyType({})
    """The images, by canonical repository, of policies that are suspended."""
    targets: tuple[TargetRule, ...] = ()
    snapshots: Mapping[str, Snapshot] = MappingProxyType({})
    evidence: Mapping[str, Snapshot] = MappingProxyType({})
    """Where first sightings are looked up: the snapshots, also when a run asks registries in their place."""
    stored: Mapping[str, Snapshot] = MappingProxyType({})
    """The TagSnapshots that stand here, which `krmfn fetch` renews."""
    rulebook: Rulebook = Rulebook()
    holds: tuple[Hold, ...] = ()
    """The holds that stand here, whether they count or not."""
    recording: Literal["first-seen", "bootstrap"] | None = None
    """Set by `krmfn fetch`, which writes down what it sees for the first time."""
    lock: Lock | None = None
    """The lock that stands here, which a run renews; of several what they hold together."""
    locks: Locks = Locks()
    every_lock: Locks = Locks()
    """With those of other environments, which are followed and not renewed."""
    defined_in: Mapping[PolicyKey, str] = MappingProxyType({})
    """The file of every policy, where several locks make a difference."""
    automations: tuple[Object, ...] = ()
    settings: Settings = Settings()
    notes: tuple[Diagnostic, ...] = ()
    asides: tuple[str, ...] = ()
    """For stderr only: what was passed over as no configuration."""
    is_partial: bool = False
    """True when a functionConfig spoke: other calls on the same items may bring other policies."""
    changed: frozenset[PolicyKey] = frozenset()
    """Policies that differ from the base already; set by commands on files in git, for `maxChanges`."""
    remembers: bool = False
    """Set by `krmfn update`: locks hold what it writes where, and what people took back since is held."""

    @property
    def record(self) -> Lock | None:
        """The lock whose decisions are believed: that of the floor, if there is one."""
        return self.rulebook.floor.locks.here() if self.rulebook.floor else self.lock

    @property
    def followed(self) -> Locks:
        """The locks of which policies may follow one: those of the floor, if there is one."""
        return self.rulebook.floor.locks if self.rulebook.floor else self.every_lock

    @property
    def is_by_folder(self) -> bool:
        """True if several locks decide, each for the files below it."""
        floor = self.rulebook.floor
        return bool(self.defined_in) and (self.locks.is_by_folder or (floor is not None and floor.locks.is_by_folder))

    def by_image(self) -> dict[str, list[ImagePolicy]]:
        """Return the policies that bind images, by canonical repository."""
        policies: dict[str, list[ImagePolicy]] = {}
        for policy in self.policies.values():
            if "images" in policy.bind:
                policies.setdefault(policy.repository.image.canonical, []).append(policy)
        return policies

    def repository(self, image: ImageRef) -> Repository:
        """Return the repository of an image, reached as the first policy or ImageRepository of it says."""
        bare = image._replace(tag=None, digest=None)
        known = (policy.repository for policy in self.policies.values())
        declared = (one.repository for one in self.repositories.values())
        access = next((one.access for one in (*known, *declared) if one.image.canonical == bare.canonical), Access())
        return Repository(bare, access._replace(realm_hosts=self.settings.realm_hosts))


Finish = Callable[[Settings], Settings]


def no_change(settings: Settings) -> Settings:
    """Leave the settings as they were configured."""
    return settings


