"""Flux's image objects as they are: ImageRepository and ImagePolicy -> ImagePolicy records.

Meaning: https://fluxcd.io/flux/components/image/ (v1beta1, v1beta2 and v1 share their spec). Unknown fields are
tolerated, as the API server would have pruned or refused them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping

from krmfn.access import Repository
from krmfn.config import secrets
from krmfn.config.objects import GROUP, Object, Problems, key_of, listing, mapping, nearest, text
from krmfn.errors import RuleError, RulesError
from krmfn.image import is_digest, parse_repository
from krmfn.model import ImagePolicy, LatestRef, PolicyKey, ResourceId
from krmfn.namedtuple import NamedTuple
from krmfn.policies import rules as policy_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSIONS = ("v1", "v1beta2", "v1beta1")
_REFLECTIONS = ("Always", "IfNotPresent", "Never")
_WEAK_TAG = r"[A-Za-z0-9_.-]{1,128}"  # go-containerregistry, WeakValidation
ALL_BINDINGS = frozenset({"markers", "annotations", "images"})


class ImageRepository(NamedTuple):
    """An ImageRepository, checked: what to ask and which tags never count."""

    repository: Repository
    exclusion_list: tuple[str, ...]
    is_suspended: bool
    access_from: Mapping[str, Any] | None
    defined: ResourceId


class BrokenRepository(NamedTuple):
    """An ImageRepository whose image is no reference; `why` says which and what is wrong with it."""

    why: str
    defined: ResourceId


class Unresolved(enum.Enum):
    """Why a policy has no ImageRepository to choose from. The value is the reason of Flux's condition `Ready`."""

    DENIED = "AccessDenied"
    NOT_READY = "DependencyNotReady"


class UnresolvedPolicy(NamedTuple):
    """A policy that cannot choose: its ImageRepository is missing, broken or may not be read. `why` is Flux's message."""

    cause: Unresolved
    why: str
    defined: ResourceId
    repository: PolicyKey


Known = Mapping[PolicyKey, "ImageRepository | BrokenRepository"]
"""Repositories by name; one whose image is no reference stands for itself and stops only those that refer to it."""


def read_repositories(
    objects: Iterable[Object], problems: Problems, broken: dict[PolicyKey, BrokenRepository] | None = None
) -> dict[PolicyKey, ImageRepository]:
    """Read every ImageRepository among the objects, by namespace and name.

    With `broken` an image that is no reference is noted there: it stops its own policies and no others.
    """
    objects = tuple(objects)
    held = secrets.by_name(objects)
    by_key: dict[PolicyKey, ImageRepository] = {}
    for resource in objects:
        if resource.group != GROUP or resource.id.kind != "ImageRepository":
            continue
        try:
            repository = _repository(resource, held, problems)
        except RuleError as error:
            if broken is None:
                problems.add(resource.id, "spec.image", str(error))
            else:
                broken[key_of(resource.id)] = BrokenRepository(f"{resource.id}: spec.image: {error}", resource.id)
            continue
        if repository is None:
            continue
        key = key_of(resource.id)
        if key in by_key and by_key[key][:-1] != repository[:-1]:
            problems.add(resource.id, "metadata.name", "there is a second, different ImageRepository of this name")
        by_key[key] = repository
    return by_key


def _repository(resource: Object, held: secrets.Secrets, problems: Problems) -> ImageRepository | None:
    spec = resource.spec
    image = text(spec.get("image"))
    if not image:
        problems.add(resource.id, "spec.image", "required: a repository such as ghcr.io/acme/web")
        return None
    ref = parse_repository(image)
    timeout = go_duration(text(spec.get("timeout"))) if spec.get("timeout") else None
    if spec.get("timeout") and timeout is None:
        problems.add(resource.id, "spec.timeout", f"expected a duration such as 30s, found {spec['timeout']!r}")
    access = secrets.access(spec, resource.id, held, problems)._replace(
        insecure=text(spec.get("insecure")) == "true", timeout_seconds=max(1.0, timeout) if timeout else None
    )
    return ImageRepository(
        Repository(ref, access),
        tuple(text(pattern) for pattern in listing(spec.get("exclusionList"))),
        text(spec.get("suspend")) == "true",
        spec.get("accessFrom") if isinstance(spec.get("accessFrom"), dict) else None,
        resource.id,
    )


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def go_duration(value: str) -> float | None:
    """Return the seconds of a duration as Go and Flux write them, such as `1m30s`; None for none, and beyond 40 characters.

    >>> go_duration("1m30s"), go_duration("soon")
    (90.0, None)
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", value) if len(value) <= 40 else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def read_policies(
    objects: Iterable[Object], repositories: Known, problems: Problems
) -> tuple[list[ImagePolicy], dict[PolicyKey, UnresolvedPolicy]]:
    """Read every ImagePolicy among the objects; `problems` collects what there is to say.

    A policy without its repository is no problem until a field names it: a build often sees only a part of a fleet.
    """
    objects = tuple(objects)
    policies: list[ImagePolicy] = []
    unresolved: dict[PolicyKey, UnresolvedPolicy] = {}
    for resource in objects:
        if resource.group == GROUP and resource.id.kind == "ImagePolicy":
            policy = _policy(resource, objects, repositories, problems)
            if isinstance(policy, ImagePolicy):
                policies.append(policy)
            elif policy is not None:
                unresolved[key_of(resource.id)] = policy
    return policies, unresolved


def _policy(
    resource: Object, objects: tuple[Object, ...], repositories: Known, problems: Problems
) -> ImagePolicy | UnresolvedPolicy | None:
    spec, key = resource.spec, key_of(resource.id)
    if not resource.id.name:
        problems.add(resource.id, "metadata.name", "required: markers name the policy by it")
        return None
    if text(spec.get("suspend")) == "true":
        problems.remark(resource.id, f"policy {key} is suspended: skipped")
        return None
    _check_reflection(resource, problems)
    latest = _latest(resource)
    if latest and not (re.fullmatch(_WEAK_TAG, latest.tag, re.ASCII) and (not latest.digest or is_digest(latest.digest))):
        problems.add(resource.id, "status.latestRef", "not an image reference: its tag or its digest is malformed")
    referred = _referred(resource, key, repositories, objects, latest, problems)
    if spec.get("policy") is None:
        problems.remark(resource.id, f"policy {key} has no spec.policy: it takes the newest image (Flux refuses this)")
    excluded = referred.exclusion_list if isinstance(referred, ImageRepository) else ()
    rules = rules_of(resource.id, "spec", spec, excluded, problems)
    if not isinstance(referred, ImageRepository) or rules is None:
        return referred if isinstance(referred, UnresolvedPolicy) else None
    if referred.is_suspended:
        problems.remark(resource.id, f"policy {key} is skipped: {referred.defined} is suspended")
        return None
    reflection = reflection_of(resource.id, "spec", spec, rules, problems)
    return ImagePolicy(key, referred.repository, rules, reflection, latest=latest, defined=resource.id)


def rules_of(
    where: ResourceId, path: str, spec: Mapping[str, Any], exclusion_list: Iterable[str], problems: Problems
) -> policy_rules.Rules | None:
    """Parse the rules of a policy's spec; problems are noted with their place, and then there is None."""
    try:
        return policy_rules.parse_rules(
            spec.get("policy"),
            filter_tags=spec.get("filterTags"),
            exclusion_list=tuple(exclusion_list),
            allow_tags=tuple(text(entry) for entry in listing(spec.get("allowTags"))),
            ignore_tags=tuple(text(entry) for entry in listing(spec.get("ignoreTags"))),
        )
    except RulesError as error:
        for problem in error.problems:
            hint = f" ({problem.help})" if problem.help else ""
            problems.add(where, f"{path}.{problem.field}", f"{problem.message}{hint}")
        return None


def reflection_of(
    where: ResourceId, path: str, spec: Mapping[str, Any], rules: policy_rules.Rules, problems: Problems
) -> Any:
    """Return whether digests are written: what is said, else Never; a digest policy has nothing else to write."""
    value = text(spec.get("digestReflectionPolicy")) or ("Always" if rules.pins_current else "IfNotPresent" if rules.followed else "Never")
    if rules.pins_current and value == "Never":
        message = "policy digest writes nothing but digests: remove Never, or choose another policy"
        problems.add(where, f"{path}.digestReflectionPolicy", message)
    return value


def _check_reflection(resource: Object, problems: Problems) -> None:
    value = text(resource.spec.get("digestReflectionPolicy")) or "Never"
    if value not in _REFLECTIONS:
        message = f"expected one of {', '.join(_REFLECTIONS)}, found {value!r}{nearest(value, _REFLECTIONS)}"
        problems.add(resource.id, "spec.digestReflectionPolicy", message)
        return
    has_interval = resource.spec.get("interval") is not None
    if has_interval and value != "Always":
        message = "spec.interval is only accepted when spec.digestReflectionPolicy is set to 'Always'"
        problems.add(resource.id, "spec.interval", message)
    if value == "Always" and not has_interval:
        message = "spec.interval must be set when spec.digestReflectionPolicy is set to 'Always'"
        problems.add(resource.id, "spec.interval", f"{message} (for example interval: 10m)")


def _latest(resource: Object) -> LatestRef | None:
    status = mapping(resource.data.get("status"))
    ref = mapping(status.get("latestRef"))
    if text(ref.get("name")) and text(ref.get("tag")):
        return LatestRef(text(ref["name"]), text(ref["tag"]), text(ref.get("digest")) or None)
    whole = text(status.get("latestImage"))  # v1beta1: one text, in which a port may stand before the path
    if whole:
        name, _, tag = whole.partition("@")[0].rpartition(":")
        digest = whole.partition("@")[2] or None
        return LatestRef(name, tag, digest) if name and "/" not in tag else None
    return None


def _referred(
    resource: Object, key: PolicyKey, repositories: Known, objects: tuple[Object, ...], latest: LatestRef | None, problems: Problems
) -> ImageRepository | UnresolvedPolicy | None:
    ref = mapping(resource.spec.get("imageRepositoryRef"))
    name = text(ref.get("name"))
    if not name:
        message = "required: the ImageRepository whose tags are chosen from"
        problems.add(resource.id, "spec.imageRepositoryRef.name", message)
        return None
    wanted = PolicyKey(text(ref.get("namespace")) or key.namespace, name)
    repository = repositories.get(wanted)
    why, cause = "", Unresolved.NOT_READY
    if isinstance(repository, ImageRepository):
        if wanted.namespace != key.namespace:
            why, cause = _access_denied(repository, wanted, key, objects, problems, resource.id), Unresolved.DENIED
        if not why:
            return repository
    elif repository is not None:
        why = repository.why
    elif latest is not None:
        try:
            return ImageRepository(Repository(parse_repository(latest.name)), (), False, None, resource.id)  # noqa: FBT003
        except RuleError as error:
            return UnresolvedPolicy(cause, f"status.latestRef.name: {error}", resource.id, wanted)
    else:
        hint = problems.hints.nearest(str(wanted), repositories).replace(":", "/")
        why = f"referenced ImageRepository does not exist: {wanted.namespace}/{name} is not among the items{hint}"
    return UnresolvedPolicy(cause, f"failed to get the referred ImageRepository: {why}", resource.id, wanted)


def _access_denied(
    repository: ImageRepository, wanted: PolicyKey, key: PolicyKey, objects: tuple[Object, ...], problems: Problems, where: ResourceId
) -> str:
    """Return why Flux's cross-namespace ACL refuses (fluxcd/pkg runtime/acl), or nothing; unknown labels pass with a warning."""
    if repository.access_from is None:
        return f"access denied: '{wanted.namespace}/{wanted.name}' can't be accessed due to missing ACL labels on 'accessFrom'"
    labels = {"kubernetes.io/metadata.name": key.namespace}
    is_known = False
    for resource in objects:
        if resource.id.kind == "Namespace" and resource.id.name == key.namespace:
            labels |= {
                str(k): text(v) for k, v in mapping(mapping(resource.data.get("metadata")).get("labels")).items()
            }
            is_known = True
    selectors = [
        mapping(mapping(one).get("matchLabels")) for one in listing(repository.access_from.get("namespaceSelectors"))
    ]
    if any(all(labels.get(name) == value for name, value in selector.items()) for selector in selectors):
        return ""
    if not is_known and any(set(selector) - set(labels) for selector in selectors):
        message = f"policy {key} reads {repository.defined} of another namespace: Namespace {key.namespace} is not among the items, so accessFrom was not checked"
        problems.remark(where, message, "warning")
        return ""
    return (
        f"access denied: '{wanted.namespace}/{wanted.name}' can't be accessed due to ACL labels mismatch "
        f"on namespace '{key.namespace}'"
    )
