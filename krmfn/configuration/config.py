"""Configuration: functionConfig and items -> policies, targets, snapshots, lock and settings, with every problem at once.

Accepted: Flux's objects, `krmfn.dev/v1alpha1`, a flat ConfigMap, `imagePolicies` of a Flux Kustomization. Nothing here
asks a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from krmfn.configuration import flux, schema, secret
from krmfn.configuration.flux import Dangling
from krmfn.configuration.lock import Lock, Snapshot, read_lock, read_snapshot
from krmfn.configuration.objects import Object, Problems, listing, mapping, nearest, read, text
from krmfn.configuration.settings import Settings
from krmfn.errors import ConfigError, InputError, RuleError
from krmfn.frozen import field, frozen, replace
from krmfn.image import parse_repository
from krmfn.model import Access, ImagePolicy, Part, PolicyKey, Repository, ResourceId, Result
from krmfn.text.yamltext import Block

_WORDS = (b"image.toolkit.fluxcd.io", b"krmfn.dev/v", b"imagePolicies")
_FLAT = ("semver", "alphabetical", "numerical", "newest", "digest")
_FLAT_KEYS = (
    *_FLAT, "name", "namespace", "image", "pattern", "extract", "exclusionList", "allowTags", "ignoreTags", "insecure",
    "digestReflectionPolicy", "bind", "mode", "onError", "onDowngrade", "layout", "annotate",
)  # fmt: skip


@frozen
class Select:
    """Which resources a target means; empty members match everything."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@frozen
class TargetRule:
    """Binds fields to a policy from the configuration, by JSONPath or by container names."""

    policy: PolicyKey
    part: Part
    select: Select
    path: str = ""
    containers: tuple[str, ...] = ()
    defined: ResourceId = ResourceId()
    where: str = ""


@frozen
class Config:
    """Everything that was configured, checked. `declared` also names policies that are suspended or belong elsewhere."""

    policies: Mapping[PolicyKey, ImagePolicy] = field(default_factory=dict)
    repositories: Mapping[PolicyKey, flux.ImageRepository] = field(default_factory=dict)
    dangling: Mapping[PolicyKey, Dangling] = field(default_factory=dict)
    declared: frozenset[PolicyKey] = frozenset()
    targets: tuple[TargetRule, ...] = ()
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    lock: Lock | None = None
    automations: tuple[Object, ...] = ()
    settings: Settings = Settings()
    notes: tuple[Result, ...] = ()
    asides: tuple[str, ...] = ()
    """For stderr only: what was passed over as no configuration."""
    is_partial: bool = False
    """True when a functionConfig spoke: other calls on the same items may bring other policies."""


Finish = Callable[[Settings], Settings]


def no_change(settings: Settings) -> Settings:
    """Leave the settings as they were configured."""
    return settings


def load(items: Iterable[Block], function_config: Block | None = None, finish: Finish = no_change) -> Config:
    """Read all configuration there is; raises ConfigError with every problem found.

    `finish` has the last word on the settings.
    """
    problems, notes, asides = Problems(), [], []  # type: Problems, list[Result], list[str]
    objects = _gather(items, function_config, problems)
    problems.locate(objects)
    broken: dict[PolicyKey, Dangling] = {}
    repositories = flux.read_repositories(objects, problems, broken)
    policies, dangling = flux.read_policies(objects, {**broken, **repositories}, problems, notes)
    used = " ".join(one.why for one in dangling.values())
    notes += [Result("warning", one.why, one.defined) for one in broken.values() if one.why not in used]
    for thing in objects:
        if thing.group == "kustomize.toolkit.fluxcd.io":
            policies += flux.read_kustomization(thing, problems)
    parsed = _Own(problems, notes)
    own_policies = parsed.read_automations(objects)
    own_policies += parsed.read_config_map(objects, asides)
    _refuse_foreign(objects, problems)
    by_key = _by_key([*policies, *own_policies], problems)
    declared = frozenset(by_key) | _declared(objects)
    targets = _checked_targets(parsed.targets, by_key, declared, dangling, problems)
    snapshots = _snapshots(objects, problems)
    lock = read_lock(objects, problems, by_key)
    if problems.found:
        raise ConfigError(problems.found)
    own = next((one for one in objects if one.id.kind == "ImageAutomation"), None)
    if own is not None and not declared:
        asides.append(f"{own.id} has no policies, and there are none elsewhere: nothing is chosen")
    settings = finish(parsed.settings)
    automations = tuple(
        thing for thing in objects if thing.id.kind == "ImageUpdateAutomation" and thing.group == flux.GROUP
    )
    if settings.realm_hosts:
        by_key = {key: _trusting(policy, settings.realm_hosts) for key, policy in by_key.items()}
    return Config(
        by_key,
        repositories,
        dangling,
        declared,
        targets,
        snapshots,
        lock,
        automations,
        settings,
        tuple(notes),
        tuple(asides),
        any(thing.is_function_config and (thing.spec or thing.data.get("data")) for thing in objects),
    )


def _gather(items: Iterable[Block], function_config: Block | None, problems: Problems) -> tuple[Object, ...]:
    items = tuple(items)
    objects: list[Object] = []

    def take(block: Block, *, is_function_config: bool = False) -> None:
        try:
            objects.extend(read(block, is_function_config=is_function_config))
        except InputError as error:
            problems.note(error)

    if function_config is not None:
        take(function_config, is_function_config=True)
    for block in items:
        if any(word in block.raw for word in _WORDS):
            take(block)
    if any(secret.names_secret(thing.spec) for thing in objects):
        for block in items:
            if b"Secret" in block.raw and not any(word in block.raw for word in _WORDS):
                take(block)
    if any(thing.spec.get("accessFrom") for thing in objects):
        for block in items:
            if b"Namespace" in block.raw and not any(word in block.raw for word in _WORDS):
                take(block)
    return _without_twins(objects)


def _without_twins(objects: list[Object]) -> tuple[Object, ...]:
    """Drop the item that is also the functionConfig: kpt sends a configPath document in both places."""
    first = next((thing for thing in objects if thing.is_function_config), None)
    if first is None:
        return tuple(objects)
    return tuple(thing for thing in objects if thing.is_function_config or thing.id != first.id or not first.id.name)


def _refuse_foreign(objects: tuple[Object, ...], problems: Problems) -> None:
    for thing in objects:
        own = thing.id.api_version == schema.API_VERSION
        if own and thing.id.kind not in schema.KINDS:
            hint = nearest(thing.id.kind, schema.KINDS, 0.8)
            if thing.is_function_config or hint:
                problems.add(thing.id, "kind", f"{schema.API_VERSION} has the kinds {', '.join(schema.KINDS)}{hint}")
        elif thing.group == "krmfn.dev" and not own and thing.id.kind in schema.KINDS:
            problems.add(thing.id, "apiVersion", f"expected {schema.API_VERSION}, found {thing.id.api_version}")
        elif thing.is_function_config and not own and not _is_understood(thing):
            problems.add(
                thing.id, "",
                f"functionConfig is {thing.id.api_version} {thing.id.kind}; krmfn reads {schema.API_VERSION} ImageAutomation, "
                "image.toolkit.fluxcd.io ImagePolicy and ImageRepository, a flat ConfigMap, or none",
            )  # fmt: skip


def _is_understood(thing: Object) -> bool:
    if thing.group == "kustomize.toolkit.fluxcd.io":
        return thing.id.kind == "Kustomization"
    return thing.group == flux.GROUP or (thing.id.api_version == "v1" and thing.id.kind == "ConfigMap")


def _by_key(policies: list[ImagePolicy], problems: Problems) -> dict[PolicyKey, ImagePolicy]:
    """Index policies. The same one may come twice: as written, and as the cluster resolved it, with its status."""
    found: dict[PolicyKey, ImagePolicy] = {}
    for policy in policies:
        other = found.setdefault(policy.key, policy)
        if other is not policy and other.hash != policy.hash:
            problems.add(
                policy.defined, "", f"policy {policy.key} is defined twice, also by {other.defined}: rename one"
            )
        elif other.latest is None and policy.latest is not None:
            found[policy.key] = replace(other, latest=policy.latest)
    return found


def _trusting(policy: ImagePolicy, hosts: tuple[str, ...]) -> ImagePolicy:
    access = replace(policy.repository.access, realm_hosts=hosts)
    return replace(policy, repository=replace(policy.repository, access=access))


def _declared(objects: tuple[Object, ...]) -> frozenset[PolicyKey]:
    """Name every policy that stands somewhere, used here or not: a marker for it is no mistake."""
    keys = {flux.key_of(thing.id) for thing in objects if thing.id.kind == "ImagePolicy" and thing.group == flux.GROUP}
    for thing in objects:
        if thing.id.kind == "ImageAutomation":
            for entry in listing(thing.spec.get("policies")):
                one = mapping(entry)
                keys.add(
                    PolicyKey(text(one.get("namespace")) or thing.id.namespace or "default", text(one.get("name")))
                )
    return frozenset(keys)


def _snapshots(objects: tuple[Object, ...], problems: Problems) -> dict[str, Snapshot]:
    found: dict[str, Snapshot] = {}
    for thing in objects:
        if thing.id.kind == "TagSnapshot" and thing.id.api_version == schema.API_VERSION:
            snapshot = read_snapshot(thing, problems)
            if snapshot is not None and snapshot.image in found:
                problems.add(thing.id, "spec.image", f"there is a second TagSnapshot of {snapshot.image}: keep one")
            elif snapshot is not None:
                found[snapshot.image] = snapshot
    return found


def _checked_targets(
    targets: list[TargetRule],
    policies: Mapping[PolicyKey, ImagePolicy],
    declared: frozenset[PolicyKey],
    dangling: Mapping[PolicyKey, Dangling],
    problems: Problems,
) -> tuple[TargetRule, ...]:
    """Answer the targets whose policy can be used; one that is suspended takes its targets with it."""
    for target in targets:
        if target.policy in dangling:
            problems.add(target.defined, target.where, f"policy {target.policy}: {dangling[target.policy].why}")
        elif target.policy not in declared:
            hint = nearest(str(target.policy), map(str, declared))
            problems.add(target.defined, target.where, f"no policy {target.policy} is configured{hint}")
    return tuple(target for target in targets if target.policy in policies)


def set_up(settings: Settings, spec: Mapping[str, Any]) -> Settings:
    """Let an ImageAutomation's spec (already checked against its schema) speak about the settings."""
    changes: dict[str, Any] = {}
    for name, attribute in (("mode", "mode"), ("onError", "on_error"), ("onDowngrade", "on_downgrade")):
        if spec.get(name):
            changes[attribute] = spec[name]
    layout = mapping(mapping(spec.get("source")).get("layout"))
    if layout:
        changes["layout"] = text(layout.get("path"))
    if spec.get("immutableTags"):
        changes["immutable_tags"] = spec["immutableTags"] == "true"
    if mapping(spec.get("update")).get("annotate"):
        changes["annotate"] = spec["update"]["annotate"] == "true"
    mirrors = tuple((one["from"], one["to"]) for one in listing(spec.get("mirrors")))
    realms = tuple(listing(spec.get("realmHosts")))
    return replace(settings, **changes, mirrors=settings.mirrors + mirrors, realm_hosts=settings.realm_hosts + realms)


class _Own:
    """Reads krmfn's own kinds of configuration; keeps what they say besides policies."""

    def __init__(self, problems: Problems, notes: list[Result]) -> None:
        self.problems, self.notes, self.settings = problems, notes, Settings()
        self.targets: list[TargetRule] = []

    def read_automations(self, objects: tuple[Object, ...]) -> list[ImagePolicy]:
        """Read the ImageAutomation of the functionConfig, or else those among the items.

        A functionConfig that brings nothing but settings adds them to the policies of the items, and has the last word.
        """
        own = [one for one in objects if one.id.api_version == schema.API_VERSION and one.id.kind == "ImageAutomation"]
        given = [one for one in own if one.is_function_config]
        is_whole = any(one.spec.get("policies") or one.spec.get("targets") for one in given)
        chosen = given if is_whole else [*(one for one in own if not one.is_function_config), *given]
        policies: list[ImagePolicy] = []
        for thing in chosen:
            wrong = list(schema.problems("ImageAutomation", thing.data))
            for path, message in wrong:
                self.problems.add(thing.id, path, message)
            policies += self._automation(thing, tuple(path for path, _ in wrong))
        return policies

    def _automation(self, thing: Object, wrong: tuple[str, ...]) -> list[ImagePolicy]:
        """Read what the schema found right, so that the problems of the rest are told in the same run."""
        spec = thing.spec
        if not wrong:
            self.settings = set_up(self.settings, spec)
        namespace = thing.id.namespace or "default"
        bind = _bindings(spec, flux.ALL_BINDINGS) if "spec.bind" not in wrong else flux.ALL_BINDINGS
        found = []
        for index, target in enumerate(listing(spec.get("targets"))):
            path = f"spec.targets[{index}]"
            if not any(one.startswith(path) for one in wrong):
                self._target(thing, path, target, namespace)
        for index, entry in enumerate(listing(spec.get("policies"))):
            path = f"spec.policies[{index}]"
            if not any(one.startswith(path) for one in wrong):
                found.append(self.inline(thing.id, path, entry, namespace, bind))
        return [policy for policy in found if policy is not None]

    def inline(
        self, where: ResourceId, path: str, entry: Mapping[str, Any], namespace: str, bind: frozenset[str]
    ) -> ImagePolicy | None:
        """Read one inline policy."""
        if entry.get("suspend") == "true":
            self.notes.append(Result("info", f"policy {namespace}:{entry['name']} is suspended: skipped", where))
            return None
        rules = flux.rules_of(where, path, entry, listing(entry.get("exclusionList")), self.problems)
        try:
            image = parse_repository(entry["image"])
        except RuleError as error:
            self.problems.add(where, f"{path}.image", str(error))
            return None
        if rules is None:
            return None
        repository = Repository(image, Access(insecure=entry.get("insecure") == "true"))
        reflection = flux.reflection_of(where, path, entry, rules, self.problems)
        key = PolicyKey(text(entry.get("namespace")) or namespace, entry["name"])
        return ImagePolicy(
            key, repository, rules, rules.described, reflection, _bindings(entry, bind),
            defined=where,
        )  # fmt: skip

    def _target(self, thing: Object, path: str, target: Mapping[str, Any], namespace: str) -> None:
        jsonpath, containers = text(target.get("path")), tuple(listing(target.get("containers")))
        if bool(jsonpath) == bool(containers):
            self.problems.add(thing.id, path, "expected exactly one of path, containers")
            return
        if jsonpath and (wrong := _jsonpath_problem(jsonpath)):
            self.problems.add(thing.id, f"{path}.path", wrong)
            return
        names, _, name = text(target["policy"]).rpartition(":")
        select = mapping(target.get("select"))
        part = Part[text(target.get("part"), "image").upper()]
        labels = tuple(sorted(mapping(select.get("labels")).items()))
        chosen = Select(**{key: text(value) for key, value in select.items() if key != "labels"}, labels=labels)
        key = PolicyKey(names or namespace, name)
        self.targets.append(TargetRule(key, part, chosen, jsonpath, containers, thing.id, f"{path}.policy"))

    def read_config_map(self, objects: tuple[Object, ...], asides: list[str]) -> list[ImagePolicy]:
        """Read a flat ConfigMap as functionConfig: `kpt fn eval -- image=ghcr.io/acme/web semver=^1`."""
        thing = next((one for one in objects if one.is_function_config and one.id.kind == "ConfigMap"), None)
        data = mapping(thing.data.get("data")) if thing else {}
        if thing is None or not data:
            return []
        if not any(key in _FLAT_KEYS or nearest(key, _FLAT_KEYS) for key in data):
            asides.append(
                f"{thing.id}: none of its keys ({', '.join(sorted(data))}) is configuration of krmfn: passed over"
            )
            return []
        for key in data:
            if key not in _FLAT_KEYS:
                hint = nearest(key, _FLAT_KEYS) or f"; known: {', '.join(_FLAT_KEYS)}"
                self.problems.add(thing.id, f"data.{key}", f"unknown key{hint}")
        spec = self._flat_spec(thing, data)
        wrong = list(schema.problems("ImageAutomation", {"spec": spec}))
        for path, message in wrong:
            flat = path.replace("spec.policies[0].", "data.").replace("spec.", "data.")
            self.problems.add(thing.id, _flat_place(flat), message)
        if wrong or self.problems.found:
            return []
        self.settings = set_up(self.settings, spec)
        bind = frozenset(_words(data.get("bind"))) or flux.ALL_BINDINGS
        entries = listing(spec.get("policies"))
        found = [self.inline(thing.id, "data", entry, thing.id.namespace or "default", bind) for entry in entries]
        self.problems.found[:] = map(_flat_place, self.problems.found)
        return [policy for policy in found if policy is not None]

    def _flat_spec(self, thing: Object, data: Mapping[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = {name: data[name] for name in ("mode", "onError", "onDowngrade") if data.get(name)}
        if data.get("layout"):
            spec["source"] = {"layout": {"path": data["layout"]}}
        if data.get("annotate"):
            spec["update"] = {"annotate": data["annotate"]}
        about_policy = [key for key in data if key in _FLAT_KEYS and key not in (*spec, "layout", "annotate")]
        if not about_policy:
            return spec
        entry: dict[str, Any] = {
            "name": data.get("name") or _last_part(text(data.get("image"))),
            "image": data.get("image"),
        }
        for name in ("namespace", "digestReflectionPolicy", "insecure"):
            if data.get(name):
                entry[name] = data[name]
        for name in ("exclusionList", "allowTags", "ignoreTags", "bind"):
            if data.get(name):
                entry[name] = list(_words(data[name]))
        if data.get("pattern") or data.get("extract"):
            entry["filterTags"] = {name: data[name] for name in ("pattern", "extract") if data.get(name)}
        chosen = [name for name in _FLAT if name in data]
        if len(chosen) > 1:
            self.problems.add(thing.id, "data", f"expected one policy, found {', '.join(chosen)}")
        if chosen:
            entry["policy"] = {chosen[0]: _member(chosen[0], text(data[chosen[0]]))}
        spec["policies"] = [entry]
        return spec


def _flat_place(problem: str) -> str:
    """Name the key of a flat ConfigMap: `data.semver` for `data.policy.semver.range`."""
    for kind, member in (("semver", "range"), ("alphabetical", "order"), ("numerical", "order"), ("newest", "limit")):
        problem = problem.replace(f"data.policy.{kind}.{member}", f"data.{kind}")
    return problem.replace("data.policy.", "data.").replace("data.filterTags.", "data.")


def _bindings(spec: Mapping[str, Any], default: frozenset[Any]) -> frozenset[Any]:
    """Answer how a policy finds its fields; an empty list leaves nothing but targets."""
    given = spec.get("bind")
    return frozenset(given) if isinstance(given, list) else default


def _member(kind: str, value: str) -> dict[str, str]:
    if kind == "semver":
        return {"range": value}
    if kind in ("alphabetical", "numerical") and value:
        return {"order": value}
    return {"limit": value} if kind == "newest" and value else {}


def _words(value: Any) -> tuple[str, ...]:
    return tuple(part for part in text(value).replace(",", "\n").split() if part)


def _last_part(image: str) -> str:
    return image.rpartition("/")[2] or "image"


def _jsonpath_problem(path: str) -> str | None:
    from krmfn.resources.jsonpath import JSONPath

    try:
        JSONPath.parse(path)
    except RuleError as error:
        return str(error)
    return None
