"""Flux objects in manifests, judged one by one: a wrong one is reported and the others stand. Asks a source of tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from krmfn.config import flux
from krmfn.config.objects import GROUP, Object, Problems, key_of, mapping
from krmfn.config.plain import read
from krmfn.config.records import Config
from krmfn.config.schema import API_VERSION
from krmfn.config.snapshot import Snapshot, read_snapshot
from krmfn.errors import InputError, RegistryError
from krmfn.inventory import flux_status
from krmfn.inventory.flux_status import Standing
from krmfn.model import Chosen, Diagnostic, ImagePolicy, NotChosen, PolicyKey
from krmfn.plan import decision
from krmfn.plan.resolve import ask

if TYPE_CHECKING:
    from krmfn.access import Repository
    from krmfn.config.settings import Settings
    from krmfn.plan.tag_source import TagSource
    from krmfn.yamledit.nodes import Block

KINDS = ("ImageRepository", "ImagePolicy", "ImageUpdateAutomation")
_WORDS = (b"image.toolkit.fluxcd.io", b"TagSnapshot", b"Secret", b"kind: Namespace", b"source.toolkit.fluxcd.io")
_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Fleet:
    """The Flux objects, in order of kind, namespace and name; and what could not be read."""

    standings: tuple[Standing, ...]
    problems: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Objects:
    """Everything among some blocks that can matter for Flux objects."""

    all: tuple[Object, ...]
    problems: tuple[Diagnostic, ...]

    def of(self, kind: str) -> list[Object]:
        """Return the Flux objects of a kind, by namespace and name."""
        resources = (resource for resource in self.all if resource.group == GROUP and resource.id.kind == kind)
        return sorted(resources, key=lambda resource: key_of(resource.id))

    def but(self, resource: Object) -> tuple[Object, ...]:
        """Return one policy or repository together with everything that is neither."""
        own = [one for one in self.all if one.id.kind not in ("ImagePolicy", "ImageRepository")]
        return (resource, *own)


def gather(blocks: Iterable[Block]) -> Objects:
    """Read the objects of blocks that can matter."""
    problems = Problems()
    objects: list[Object] = []
    for block in blocks:
        if any(word in block.raw for word in _WORDS):
            try:
                objects += read(block)
            except InputError as error:
                problems.note(error)
    return Objects(tuple(objects), tuple(problems.found))


def snapshots(objects: Objects) -> dict[str, Snapshot]:
    """Return the TagSnapshots by canonical image; wrong ones are left out, `krmfn lint` tells them."""
    own = (one for one in objects.all if one.id.kind == "TagSnapshot" and one.id.api_version == API_VERSION)
    every = (read_snapshot(resource, Problems()) for resource in own)
    return {one.image: one for one in every if one is not None}


def judge(
    objects: Objects,
    source: TagSource,
    now: str,
    pending: Mapping[PolicyKey, int | str],
    realm_hosts: tuple[str, ...] = (),
) -> Fleet:
    """Report every Flux object: ask for tags, choose, and say how it stands. `pending` counts by automation, or says why not.

    `realm_hosts` are the token servers that the settings trust.
    """
    fleet = _Fleet(objects, source, now, realm_hosts)
    automations = objects.of("ImageUpdateAutomation")
    waiting = (flux_status.automation(one, pending.get(key_of(one.id), 0)) for one in automations)
    return Fleet((*fleet.repositories(), *fleet.policies(), *waiting), objects.problems)


class _Fleet:
    def __init__(self, objects: Objects, source: TagSource, now: str, realm_hosts: tuple[str, ...]) -> None:
        self.objects, self.source, self.now, self.realm_hosts = objects, source, now, realm_hosts
        self.known: dict[PolicyKey, flux.ImageRepository] = {}
        self.wrong: dict[PolicyKey, str] = {}
        for resource in objects.of("ImageRepository"):
            self._learn(resource)
        asked = [one.repository for one in self.known.values() if not one.is_suspended]
        self.listings = ask(asked, source.tags, _WORKERS)

    def _learn(self, resource: Object) -> None:
        problems = Problems()
        for key, one in flux.read_repositories(self.objects.but(resource), problems).items():
            access = one.repository.access._replace(realm_hosts=self.realm_hosts)
            self.known[key] = one._replace(repository=one.repository._replace(access=access))
        if problems.found:
            self.wrong[key_of(resource.id)] = _in_field(problems.found[0])

    def repositories(self) -> list[Standing]:
        return [self._repository(resource) for resource in self.objects.of("ImageRepository")]

    def _repository(self, resource: Object) -> Standing:
        key = key_of(resource.id)
        repository = self.known.get(key)
        if key in self.wrong or repository is None:
            return flux_status.unready(resource, "ImageURLInvalid", self.wrong.get(key, flux_status.WAITING))
        if repository.is_suspended:
            return _as_it_was(resource)
        canonical = repository.repository.image.flux_canonical
        return flux_status.repository(resource, canonical, self.listings[repository.repository], repository.exclusion_list, self.now)

    def policies(self) -> list[Standing]:
        read = [(resource, self._policy(resource)) for resource in self.objects.of("ImagePolicy")]
        chosen = self._choose([policy for _, policy in read if isinstance(policy, ImagePolicy)])
        return [
            policy if isinstance(policy, Standing) else _decided(resource, chosen.get(policy.key))
            for resource, policy in read
        ]

    def _policy(self, resource: Object) -> ImagePolicy | Standing:
        """Return the policy; one that cannot choose as it stands."""
        problems = Problems()
        policies, unresolved = flux.read_policies(self.objects.but(resource), self.known, problems)
        if problems.found:
            return flux_status.unready(resource, "InvalidPolicy", _in_field(problems.found[0]))
        for one in unresolved.values():
            return flux_status.unready(resource, one.cause.value, one.why)
        return policies[0] if policies else _as_it_was(resource)

    def _choose(self, policies: Sequence[ImagePolicy]) -> dict[PolicyKey, Chosen | NotChosen]:
        # Suspended repositories were not scanned above; their policies choose all the same, from what the registry has.
        missing = [one for one in decision.to_list(policies) if one not in self.listings]
        listings = {**self.listings, **ask(missing, self.source.tags, _WORKERS)}
        dates = ask(decision.to_date(policies, listings), lambda moment: self.source.created(*moment), _WORKERS)
        choices = decision.decide([one for one in policies if not one.rules.follows_current], listings, dates, None)
        pins = [(one.policy.repository, one.tag) for one in choices.values() if isinstance(one, Chosen) and _wants(one)]
        digests = ask(pins, lambda pin: self.source.digest(*pin), _WORKERS)
        return {key: _with_digest(choice, digests) for (key, _), choice in choices.items()}

def _decided(resource: Object, choice: Chosen | NotChosen | None) -> Standing:
    if choice is None:
        return flux_status.unready(resource, "DependencyNotReady", "follows the tag that is deployed: see krmfn update")
    return flux_status.policy(resource, choice)


def _in_field(problem: Diagnostic) -> str:
    field = problem.location.field
    return f"{field.path}: {problem.message}" if field else problem.message


def _as_it_was(resource: Object) -> Standing:
    """Report a suspended object: its status stays as the manifest has it."""
    kept = {name: value for name, value in mapping(resource.data.get("status")).items() if name != "conditions"}
    return Standing(resource, flux_status.Ready("False", "Suspended", "suspended: not reconciled"), kept)


def _wants(choice: Chosen) -> bool:
    """True if the digest has to be asked for; `IfNotPresent` keeps the one that the status holds for this tag."""
    return choice.policy.digest_reflection != "Never" and _recorded(choice) is None


def _recorded(choice: Chosen) -> str | None:
    latest = choice.policy.latest
    same = latest is not None and latest.tag == choice.tag and latest.name == choice.policy.repository.image.name
    return latest.digest if latest and same and choice.policy.digest_reflection == "IfNotPresent" else None


def _with_digest(
    choice: Chosen | NotChosen, digests: Mapping[tuple[Repository, str], str | RegistryError]
) -> Chosen | NotChosen:
    if isinstance(choice, NotChosen) or choice.policy.digest_reflection == "Never":
        return choice
    digest = _recorded(choice) or digests[choice.policy.repository, choice.tag]
    if isinstance(digest, RegistryError):
        name = f"{choice.policy.repository.image.name}:{choice.tag}"
        return NotChosen(choice.policy, digest.failure, f"failed fetching digest of {name}: {digest}", cause=digest)
    return choice._replace(digest=digest)


def config_of(objects: Objects, settings: Settings) -> Config:
    """Make a configuration that knows the snapshots alone, to open a source with."""
    return Config(snapshots=snapshots(objects), settings=settings)
