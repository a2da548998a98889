"""Configuration: functionConfig and items -> policies, targets, snapshots, lock and settings, with every problem at once.

Accepted: Flux's objects, `krmfn.dev/v1alpha1`, a flat ConfigMap, `imagePolicies` of a Flux Kustomization. Nothing here
asks a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from krmfn.config import flux, schema, secrets
from krmfn.config.declared import declared_in, suspended_images
from krmfn.config.floor import Floor, Rulebook, believed, under_floor
from krmfn.config.flux import BrokenRepository, UnresolvedPolicy
from krmfn.config.hold import Hold, read_holds
from krmfn.config.image_automation import OwnReader, TargetRule
from krmfn.config.lock import Lock, Snapshot, read_locks, read_snapshots
from krmfn.config.locks import Locks
from krmfn.config.objects import Object, Problems, nearest, read
from krmfn.config.promotion import check_circles, own_locks
from krmfn.config.rollout import check_groups, least, together
from krmfn.config.rule_files import of_rules, without_rules
from krmfn.config.settings import Settings
from krmfn.errors import ConfigError, InputError
from krmfn.image import ImageRef
from krmfn.kubernetes.resource import describe
from krmfn.model import Access, Diagnostic, File, ImagePolicy, Location, PolicyKey, Repository
from krmfn.yamledit.nodes import Block

UNREADABLE = "not-read"
"""The code of what could not be read, although it holds configuration or markers."""
_SCANS = (b"imageScans", b"ImageScan")
_WORDS = (b"image.toolkit.fluxcd.io", b"krmfn.dev/v", b"imagePolicies", *_SCANS)


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


def load(
    items: Iterable[Block], function_config: Block | None = None, finish: Finish = no_change, floor: Floor | None = None
) -> Config:
    """Read all configuration there is; raises ConfigError with every problem found.

    `finish` has the last word on the settings. `floor` holds the rules from outside.
    """
    problems, notes, asides = Problems(), [], []  # type: Problems, list[Diagnostic], list[str]
    items = tuple(items)
    objects = _gather(items, function_config, problems, notes)
    problems.locate(objects)
    broken: dict[PolicyKey, BrokenRepository] = {}
    repositories = flux.read_repositories(objects, problems, broken)
    policies, unresolved = flux.read_policies(objects, {**broken, **repositories}, problems, notes)
    referred = {one.repository for one in unresolved.values()}
    notes += [
        Diagnostic("warning", "dangling-policy", one.why, Location(one.defined))
        for key, one in broken.items()
        if key not in referred
    ]
    for one in objects:
        if one.group == "kustomize.toolkit.fluxcd.io":
            policies += _inline(one, problems)
    scanned, scan_names, suspended_scans = _scans(items, objects, problems, notes)
    parsed = OwnReader(problems, notes)
    own_policies = parsed.read_automations(objects)
    parsed.rule_file = of_rules(floor.files) if floor is not None else without_rules
    parsed.require(objects)
    own_policies += parsed.read_config_map(objects, asides)
    _refuse_foreign(objects, problems)
    by_key = _by_key([*policies, *scanned, *own_policies], problems)
    declared = frozenset(by_key) | declared_in(objects) | scan_names
    targets = _checked_targets(parsed.targets, by_key, declared, unresolved, problems)
    snapshots = stored = read_snapshots(objects, problems)
    every_lock = Locks(read_locks(objects, problems, by_key))
    locks = own_locks(every_lock, parsed.lock, by_key, declared)
    check_circles(by_key, locks, parsed.lock, problems)
    lock = locks.as_one(parsed.lock, problems)
    holds = counted = read_holds(objects, problems)
    if floor is not None:
        snapshots, counted, left_out = believed(floor, stored, holds, problems)
        notes += left_out
    check_groups(parsed.groups, declared, problems)
    outside = floor or Floor()
    groups = together(parsed.groups, outside.groups, by_key, declared, outside.images)
    limit = least(parsed.max_changes, outside.max_changes)
    rulebook = Rulebook(parsed.requirements, counted, floor, groups, parsed.windows, limit)
    by_key = {key: rulebook.put(policy) for key, policy in by_key.items()}
    if problems.found:
        raise ConfigError(problems.found)
    own = next((one for one in objects if one.id.kind == "ImageAutomation"), None)
    if own is not None and not declared:
        asides.append(f"{own.id} has no policies, and there are none elsewhere: nothing is chosen")
    settings = finish(parsed.settings)
    if floor is not None:
        settings = under_floor(settings, floor, notes)
    automations = tuple(one for one in objects if one.id.kind == "ImageUpdateAutomation" and one.group == flux.GROUP)
    if settings.realm_hosts:
        by_key = {key: _trusting(policy, settings.realm_hosts) for key, policy in by_key.items()}
    return Config(
        by_key,
        repositories,
        unresolved,
        declared,
        {**suspended_scans, **suspended_images(objects, repositories)},
        targets,
        snapshots,
        snapshots if floor is None else floor.snapshots,
        stored,
        rulebook,
        holds,
        None,
        lock,
        locks,
        every_lock,
        _files(objects, by_key),
        automations,
        settings,
        tuple(notes),
        tuple(asides),
        any(one.is_function_config and (one.spec or one.data.get("data")) for one in objects),
    )


def _files(objects: tuple[Object, ...], policies: Mapping[PolicyKey, ImagePolicy]) -> dict[PolicyKey, str]:
    """Return the file in which every policy is defined; none where they came on stdin."""
    files = {one.id: one.block.text.name for one in objects}
    return {key: file for key, policy in policies.items() if (file := files.get(policy.defined, ""))}


def settings_among(items: Iterable[Block], finish: Finish = no_change) -> Settings:
    """Return the settings that are configured, whatever is wrong with policies: for those who judge object by object."""
    problems = Problems()
    parsed = OwnReader(problems, [])
    parsed.read_automations(_gather(items, None, problems, []))
    return finish(parsed.settings)


def _inline(resource: Object, problems: Problems) -> list[ImagePolicy]:
    from krmfn.config.kustomization import read_kustomization  # few lists hold one

    return read_kustomization(resource, problems)


def _scans(
    items: tuple[Block, ...], objects: tuple[Object, ...], problems: Problems, notes: list[Diagnostic]
) -> tuple[list[ImagePolicy], set[PolicyKey], dict[str, PolicyKey]]:
    if not any(word in block.raw for block in items for word in _SCANS):
        return [], set(), {}
    from krmfn.config import fleet  # few trees hold one

    return fleet.read_scans(objects, fleet.pinned(items), problems, notes)


def _gather(
    items: Iterable[Block], function_config: Block | None, problems: Problems, notes: list[Diagnostic]
) -> tuple[Object, ...]:
    items = tuple(items)
    objects: list[Object] = []

    def take(block: Block, *, is_function_config: bool = False) -> None:
        try:
            objects.extend(read(block, is_function_config=is_function_config))
        except InputError as error:
            if is_function_config or _is_record(block) or (_is_configuration(block) and not block.text.name):
                problems.note(error)
            elif _is_configuration(block):
                notes.append(_unreadable(error))

    if function_config is not None:
        take(function_config, is_function_config=True)
    for block in items:
        if any(word in block.raw for word in _WORDS):
            take(block)
    if any(one.spec.get("trust") for one in objects):
        for block in items:
            if b"OCIRepository" in block.raw and not any(word in block.raw for word in _WORDS):
                take(block)
    if any(secrets.names_secret(one.spec) for one in objects):
        for block in items:
            if b"Secret" in block.raw and not any(word in block.raw for word in _WORDS):
                take(block)
    if any(one.spec.get("accessFrom") for one in objects):
        for block in items:
            if b"Namespace" in block.raw and not any(word in block.raw for word in _WORDS):
                take(block)
    return _without_twins(objects)


def _is_configuration(block: Block) -> bool:
    """True if a document that was composed says that it is read here, whatever else is in it."""
    return any(
        one.is_configuration or one.id.api_version.startswith("kustomize.toolkit.fluxcd.io/") or one.id.kind in ("Secret", "OCIRepository")
        for one in describe(block)
    )


def _is_record(block: Block) -> bool:
    """True for what nobody may go on without when it is there: a lock, a snapshot, a hold."""
    return any(one.id.kind in ("ImageLock", "TagSnapshot", "ImageHold") for one in describe(block))


def _unreadable(error: InputError) -> Diagnostic:
    """Report configuration in a file that was left out; the other files go on."""
    file = File(error.name, None, error.line, error.column)
    return Diagnostic("warning", UNREADABLE, f"configuration left out: {error.message}", Location(file=file))


def _without_twins(objects: list[Object]) -> tuple[Object, ...]:
    """Drop the item that is also the functionConfig: kpt sends a configPath document in both places."""
    first = next((one for one in objects if one.is_function_config), None)
    if first is None:
        return tuple(objects)
    return tuple(one for one in objects if one.is_function_config or one.id != first.id or not first.id.name)


def _refuse_foreign(objects: tuple[Object, ...], problems: Problems) -> None:
    for resource in objects:
        own = resource.id.api_version == schema.API_VERSION
        if own and resource.id.kind not in schema.KINDS:
            hint = nearest(resource.id.kind, schema.KINDS, 0.8)
            if resource.is_function_config or hint:
                problems.add(resource.id, "kind", f"{schema.API_VERSION} has the kinds {', '.join(schema.KINDS)}{hint}")
        elif resource.group == "krmfn.dev" and not own and resource.id.kind in schema.KINDS:
            problems.add(resource.id, "apiVersion", f"expected {schema.API_VERSION}, found {resource.id.api_version}")
        elif resource.is_function_config and not own and not _is_understood(resource):
            problems.add(
                resource.id, "",
                f"functionConfig is {resource.id.api_version} {resource.id.kind}; krmfn reads {schema.API_VERSION} ImageAutomation, "
                "image.toolkit.fluxcd.io ImagePolicy and ImageRepository, a flat ConfigMap, or none",
            )  # fmt: skip


def _is_understood(resource: Object) -> bool:
    if resource.group == "kustomize.toolkit.fluxcd.io":
        return resource.id.kind == "Kustomization"
    return resource.group == flux.GROUP or (resource.id.api_version == "v1" and resource.id.kind == "ConfigMap")


def _by_key(policies: list[ImagePolicy], problems: Problems) -> dict[PolicyKey, ImagePolicy]:
    """Index policies. The same one may come twice: as written, and as the cluster resolved it, with its status."""
    by_key: dict[PolicyKey, ImagePolicy] = {}
    for policy in policies:
        other = by_key.setdefault(policy.key, policy)
        if other is not policy and other.hash != policy.hash:
            problems.add(
                policy.defined, "", f"policy {policy.key} is defined twice, also by {other.defined}: rename one"
            )
        elif other.latest is None and policy.latest is not None:
            by_key[policy.key] = other._replace(latest=policy.latest)
    return by_key


def _trusting(policy: ImagePolicy, hosts: tuple[str, ...]) -> ImagePolicy:
    access = policy.repository.access._replace(realm_hosts=hosts)
    return policy._replace(repository=policy.repository._replace(access=access))


def _checked_targets(
    targets: list[TargetRule],
    policies: Mapping[PolicyKey, ImagePolicy],
    declared: frozenset[PolicyKey],
    unresolved: Mapping[PolicyKey, UnresolvedPolicy],
    problems: Problems,
) -> tuple[TargetRule, ...]:
    """Return the targets whose policy can be used; one that is suspended takes its targets with it."""
    for target in targets:
        if target.policy in unresolved:
            problems.add(target.defined, target.where, f"policy {target.policy}: {unresolved[target.policy].why}")
        elif target.policy not in declared:
            hint = nearest(str(target.policy), map(str, declared))
            problems.add(target.defined, target.where, f"no policy {target.policy} is configured{hint}")
    return tuple(target for target in targets if target.policy in policies)
