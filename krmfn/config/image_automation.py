"""krmfn's own configuration, ImageAutomation -> inline policies, targets, rules and settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from krmfn.access import ITEM, Access, Mirror, Provenance, Repository
from krmfn.config import flux, schema
from krmfn.config.objects import Object, Problems, listing, mapping, text
from krmfn.config.records import Own
from krmfn.config.require import Requirement, read_requirements
from krmfn.config.rollout import least, read_groups
from krmfn.config.rule_files import RuleFile, without_rules
from krmfn.errors import RuleError
from krmfn.image import parse_repository
from krmfn.model import ImagePolicy, Part, PolicyKey, ResourceId

if TYPE_CHECKING:
    from krmfn.config.settings import Settings

_ATTRIBUTES = {"mode": "mode", "onError": "on_error", "onDowngrade": "on_downgrade"}
_FLAGS = {"keepPins": "keep_pins", "immutableTags": "immutable_tags", "annotate": "annotate"}
"""Where what a spec says stands in the settings."""
_RULES = ("spec.require", "spec.groups", "spec.windows", "spec.maxChanges", "spec.trust")


class Select(NamedTuple):
    """Which resources a target means; empty members match everything."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()


class TargetRule(NamedTuple):
    """Binds fields to a policy from the configuration, by JSONPath or by container names."""

    policy: PolicyKey
    part: Part
    select: Select
    path: str = ""
    containers: tuple[str, ...] = ()
    defined: ResourceId = ResourceId()
    where: str = ""


def set_up(settings: Settings, spec: Mapping[str, Any], namespace: str = "") -> Settings:
    """Let the spec of an ImageAutomation of a namespace (already checked against its schema) speak about the settings."""
    changes = {_ATTRIBUTES[name]: value for name, value in spec.items() if name in _ATTRIBUTES and value}
    flags = {**spec, **mapping(spec.get("update"))}
    changes |= {attribute: flags[name] == "true" for name, attribute in _FLAGS.items() if flags.get(name)}
    source = mapping(spec.get("source"))
    if layout := mapping(source.get("layout")):
        changes |= {"layout": text(layout.get("path")), "layout_provenance": ITEM}
    if source.get("artifact"):
        changes |= {"artifact": text(source["artifact"]), "artifact_provenance": ITEM}
    mirrors = tuple(
        Mirror(one["from"], one["to"], Provenance(namespace=namespace)) for one in listing(spec.get("mirrors"))
    )
    realms = tuple(listing(spec.get("realmHosts")))
    return settings._replace(**changes, mirrors=settings.mirrors + mirrors, realm_hosts=settings.realm_hosts + realms)


class OwnReader(Own):
    """Reads krmfn's own kinds of configuration, and keeps what they say."""

    def __init__(self, problems: Problems) -> None:
        super().__init__()
        self.problems = problems
        self.rule_file: RuleFile = without_rules
        """Where the files are that rules name."""

    def read_automations(self, objects: tuple[Object, ...]) -> None:
        """Read the ImageAutomation of the functionConfig, or else those among the items.

        A functionConfig that brings nothing but settings adds them to the policies of the items, and has the last word.
        """
        own = list(schema.of_kind(objects, "ImageAutomation"))
        in_config = [one for one in own if one.is_function_config]
        is_whole = any(one.spec.get("policies") or one.spec.get("targets") for one in in_config)
        chosen = in_config if is_whole else [*(one for one in own if not one.is_function_config), *in_config]
        for automation in chosen:
            wrong = list(schema.problems("ImageAutomation", automation.data))
            self.problems.add_all(automation.id, wrong)
            self._automation(automation, tuple(path for path, _ in wrong))

    def require(self, objects: tuple[Object, ...]) -> None:
        """Read what decides when tags may move: of every ImageAutomation, as another one never takes a rule away."""
        for one in schema.of_kind(objects, "ImageAutomation"):
            self._require(one, objects)
        if any(one.spec.get("trust") == "items" for one in schema.of_kind(objects, "ImageAutomation")):
            self.requirements += tuple(_trusted(objects, self.problems))

    def _require(self, resource: Object, objects: tuple[Object, ...]) -> None:
        entries, groups = listing(resource.spec.get("require")), listing(resource.spec.get("groups"))
        wrong = [one for one in schema.problems("ImageAutomation", resource.data) if one[0].startswith(_RULES)]
        self.problems.add_all(resource.id, wrong)
        if wrong:
            return
        file = partial(self.rule_file, resource.block.text.name)
        self.requirements += read_requirements(resource.id, entries, self.problems, objects, file)
        self.groups += read_groups(resource.id, groups, self.problems)
        if resource.spec.get("windows"):
            from krmfn.config.windows import read_windows  # few lists hold some

            self.windows += read_windows(resource.id, listing(resource.spec["windows"]), self.problems)
        if resource.spec.get("maxChanges"):
            self.max_changes = least(self.max_changes, int(resource.spec["maxChanges"]))

    def _automation(self, automation: Object, wrong: tuple[str, ...]) -> None:
        """Read what the schema found right, so that the problems of the rest are told in the same run."""
        spec = automation.spec
        if not wrong:
            self.settings = set_up(self.settings, spec, automation.id.namespace)
            self.lock = text(spec.get("lock")) or self.lock
        namespace = automation.id.namespace or "default"
        is_bind_wrong = any(one.startswith("spec.bind") for one in wrong)
        bind = flux.ALL_BINDINGS if is_bind_wrong else _bindings(spec, flux.ALL_BINDINGS)
        for index, target in enumerate(listing(spec.get("targets"))):
            path = f"spec.targets[{index}]"
            if not any(one.startswith(path) for one in wrong):
                self._target(automation, path, target, namespace)
        for index, entry in enumerate(listing(spec.get("policies"))):
            path = f"spec.policies[{index}]"
            if not any(one.startswith(path) for one in wrong):
                self.inline(automation.id, path, entry, namespace, bind)

    def inline(self, where: ResourceId, path: str, entry: Mapping[str, Any], namespace: str, bind: frozenset[str]) -> None:
        """Read one inline policy."""
        if entry.get("suspend") == "true":
            self.problems.remark(where, f"policy {namespace}:{entry['name']} is suspended: skipped")
            return
        rules = flux.rules_of(where, path, entry, listing(entry.get("exclusionList")), self.problems)
        image = self.problems.repository(where, f"{path}.image", entry["image"])
        if rules is None or image is None:
            return
        access = Access(insecure=entry.get("insecure") == "true", provenance=Provenance(namespace=where.namespace))
        repository = Repository(image, access)
        reflection = flux.reflection_of(where, path, entry, rules, self.problems)
        key = PolicyKey(text(entry.get("namespace")) or namespace, entry["name"])
        self.policies.append(ImagePolicy(key, repository, rules, reflection, _bindings(entry, bind), defined=where))

    def _target(self, automation: Object, path: str, target: Mapping[str, Any], namespace: str) -> None:
        jsonpath, containers = text(target.get("path")), tuple(listing(target.get("containers")))
        if bool(jsonpath) == bool(containers):
            self.problems.add(automation.id, path, "expected exactly one of path, containers")
            return
        if jsonpath and (wrong := _jsonpath_problem(jsonpath)):
            self.problems.add(automation.id, f"{path}.path", wrong)
            return
        names, _, name = text(target["policy"]).rpartition(":")
        select = mapping(target.get("select"))
        part = Part[text(target.get("part"), "image").upper()]
        labels = tuple(sorted(mapping(select.get("labels")).items()))
        chosen = Select(**{key: text(value) for key, value in select.items() if key != "labels"}, labels=labels)
        key = PolicyKey(names or namespace, name)
        self.targets.append(TargetRule(key, part, chosen, jsonpath, containers, automation.id, f"{path}.policy"))


def _bindings(spec: Mapping[str, Any], default: frozenset[Any]) -> frozenset[Any]:
    """Return how a policy finds its fields; an empty list leaves nothing but targets."""
    ways = spec.get("bind")
    return frozenset(ways) if isinstance(ways, list) else default


def _jsonpath_problem(path: str) -> str | None:
    from krmfn.kubernetes.jsonpath import JSONPath

    try:
        JSONPath.parse(path)
    except RuleError as error:
        return str(error)
    return None


def _trusted(objects: Sequence[Object], problems: Problems) -> Iterator[Requirement]:
    """Yield what the OCIRepository objects with `verify` require of the images at their URL.

    A variable in the URL stands for anything. A URL that Flux refuses too is noted: nothing is required by its object.
    Their fields may hold a tag alone: Flux verifies the digest behind it once more when it pulls.
    """
    from krmfn.config.trust import read_flux  # few lists hold one

    for one in objects:
        if one.group != "source.toolkit.fluxcd.io" or one.id.kind != "OCIRepository" or not one.spec.get("verify"):
            continue
        image = _image_at(text(one.spec.get("url")))
        if image is None:
            message = "its verify counts for no image: url is no oci://REGISTRY/REPOSITORY"
            problems.remark(one.id, message, "warning", "spec.url")
        else:
            yield Requirement((image,), verify=read_flux(one, objects), allow_tag_only=True, defined=one.id)


def _image_at(url: str) -> str | None:
    """Return a glob of the repository at a URL; None when it is none."""
    scheme, _, name = url.partition("://")
    if scheme != "oci":
        return None
    if "${" in name:
        return re.sub(r"\$\{[^{}]*\}", "**", name)
    try:
        return parse_repository(name).canonical
    except RuleError:
        return None
