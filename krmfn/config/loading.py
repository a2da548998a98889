"""Configuration: functionConfig and items -> policies, targets, snapshots, lock and settings, with every problem at once.

Accepted: Flux's objects, `krmfn.dev/v1alpha1`, a flat ConfigMap, `imagePolicies` of a Flux Kustomization. Nothing here
asks a network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from krmfn.config import flux, schema
from krmfn.config.declared import declared_in, suspended_images
from krmfn.config.gathering import SCANS, gather
from krmfn.config.locks import Locks, check_circles, own_locks
from krmfn.config.objects import GROUP, Object, Problems, nearest
from krmfn.config.records import Config, Finish, Own, Rulebook, no_change
from krmfn.config.snapshot import read_snapshots
from krmfn.errors import ConfigError
from krmfn.model import Diagnostic, ImagePolicy, Location, PolicyKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.floor import Floor
    from krmfn.config.flux import BrokenRepository, UnresolvedPolicy
    from krmfn.config.hold import Hold
    from krmfn.config.image_automation import TargetRule
    from krmfn.config.settings import Settings
    from krmfn.yamledit.nodes import Block


def load(
    items: Iterable[Block], function_config: Block | None = None, finish: Finish = no_change, floor: Floor | None = None
) -> Config:
    """Read all configuration there is; raises ConfigError with every problem found.

    `finish` has the last word on the settings. `floor` holds the rules from outside.
    """
    problems, asides = Problems(), list[str]()
    items = tuple(items)
    objects = gather(items, function_config, problems)
    problems.locate(objects)
    broken: dict[PolicyKey, BrokenRepository] = {}
    repositories = flux.read_repositories(objects, problems, broken)
    policies, unresolved = flux.read_policies(objects, {**broken, **repositories}, problems)
    referred = {one.repository for one in unresolved.values()}
    problems.notes += [
        Diagnostic("warning", "dangling-policy", one.why, Location(one.defined))
        for key, one in broken.items()
        if key not in referred
    ]
    for one in objects:
        if one.group == "kustomize.toolkit.fluxcd.io":
            from krmfn.config.kustomization import read_kustomization  # few lists hold one

            policies += read_kustomization(one, problems)
    scanned, scan_names, suspended_scans = _scans(items, objects, problems)
    own = _own(objects, floor, problems, asides)
    _refuse_foreign(objects, problems)
    by_key = _by_key([*policies, *scanned, *own.policies], problems)
    declared = frozenset(by_key) | declared_in(objects) | scan_names
    targets = _checked_targets(own.targets, by_key, declared, unresolved, problems)
    snapshots = stored = read_snapshots(objects, problems)
    locks, every_lock = _locks(objects, own.lock, by_key, declared, problems)
    lock = locks.as_one(own.lock, problems)
    holds = counted = _holds(objects, problems)
    if floor is not None:
        from krmfn.config.floor import believed

        snapshots, counted = believed(floor, stored, holds, problems)
    rulebook = _rulebook(own, floor, counted, by_key, declared, problems)
    by_key = {key: rulebook.put(policy) for key, policy in by_key.items()}
    if problems.found:
        raise ConfigError(problems.found)
    automation = next((one for one in objects if one.id.kind == "ImageAutomation"), None)
    if automation is not None and not declared:
        asides.append(f"{automation.id} has no policies, and there are none elsewhere: nothing is chosen")
    settings = finish(own.settings)
    if floor is not None:
        from krmfn.config.floor import under_floor

        settings = under_floor(settings, floor, problems)
    automations = tuple(one for one in objects if one.id.kind == "ImageUpdateAutomation" and one.group == GROUP)
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
        tuple(problems.notes),
        tuple(asides),
        any(one.is_function_config and (one.spec or one.data.get("data")) for one in objects),
    )


def _own(objects: tuple[Object, ...], floor: Floor | None, problems: Problems, asides: list[str]) -> Own:
    """Read krmfn's own configuration, where there is some."""
    if not any(one.id.kind in ("ImageAutomation", "ConfigMap") or "trust" in one.spec for one in objects):
        return Own()
    from krmfn.config.image_automation import OwnReader
    from krmfn.config.rule_files import of_rules, without_rules

    reader = OwnReader(problems)
    reader.rule_file = of_rules(floor.files) if floor is not None else without_rules
    reader.read_automations(objects)
    reader.require(objects)
    if any(one.is_function_config and one.id.kind == "ConfigMap" for one in objects):
        from krmfn.config.flat_config import read_config_map

        read_config_map(reader, objects, asides)
    return reader


def _locks(
    objects: tuple[Object, ...], name: str, policies: Mapping[PolicyKey, ImagePolicy], declared: frozenset[PolicyKey], problems: Problems
) -> tuple[Locks, Locks]:
    """Return the locks that a run renews, and with them those that are only followed. `name` is `spec.lock`."""
    locks = every = Locks()
    if any(one.id.kind == "ImageLock" for one in objects):
        from krmfn.config.lock import read_locks

        locks = every = Locks(read_locks(objects, problems, policies))
    if any(policy.rules.followed for policy in policies.values()):
        locks = own_locks(every, name, policies, declared)
        check_circles(policies, locks, name, problems)
    return locks, every


def _holds(objects: tuple[Object, ...], problems: Problems) -> tuple[Hold, ...]:
    if not any(one.id.kind == "ImageHold" for one in objects):
        return ()
    from krmfn.config.hold import read_holds

    return read_holds(objects, problems)


def _rulebook(
    own: Own, floor: Floor | None, holds: tuple[Hold, ...], policies: Mapping[PolicyKey, ImagePolicy], declared: frozenset[PolicyKey], problems: Problems
) -> Rulebook:
    """Return the rules of the tree and of the floor; groups that are wrong are noted."""
    groups, limit = own.groups, own.max_changes
    if own.groups or floor is not None:
        from krmfn.config.floor import Floor
        from krmfn.config.rollout import check_groups, least, together

        check_groups(own.groups, declared, problems)
        outside = floor or Floor()
        groups = together(own.groups, outside.groups, policies, declared, outside.images)
        limit = least(own.max_changes, outside.max_changes)
    return Rulebook(own.requirements, holds, floor, groups, own.windows, limit)


def _files(objects: tuple[Object, ...], policies: Mapping[PolicyKey, ImagePolicy]) -> dict[PolicyKey, str]:
    """Return the file in which every policy is defined; none where they came on stdin."""
    files = {one.id: one.block.text.name for one in objects}
    return {key: file for key, policy in policies.items() if (file := files.get(policy.defined, ""))}


def settings_among(items: Iterable[Block], finish: Finish = no_change) -> Settings:
    """Return the settings that are configured, whatever is wrong with policies: for those who judge object by object."""
    from krmfn.config.image_automation import OwnReader

    problems = Problems()
    reader = OwnReader(problems)
    reader.read_automations(gather(items, None, problems))
    return finish(reader.settings)


def _scans(
    items: tuple[Block, ...], objects: tuple[Object, ...], problems: Problems
) -> tuple[list[ImagePolicy], set[PolicyKey], dict[str, PolicyKey]]:
    if not any(word in block.raw for block in items for word in SCANS):
        return [], set(), {}
    from krmfn.config import fleet  # few trees hold one

    return fleet.read_scans(objects, fleet.pinned(items), problems)


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
    return resource.group == GROUP or (resource.id.api_version == "v1" and resource.id.kind == "ConfigMap")


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
    targets: Iterable[TargetRule],
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
            hint = problems.hints.nearest(str(target.policy), declared)
            problems.add(target.defined, target.where, f"no policy {target.policy} is configured{hint}")
    return tuple(target for target in targets if target.policy in policies)
