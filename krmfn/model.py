"""The vocabulary: frozen records that the steps pass to each other. No behaviour beyond naming things."""

from __future__ import annotations

import enum

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal, TypeAlias

    from krmfn.access import Repository
    from krmfn.config.hold import Hold
    from krmfn.config.lock import LockEntry
    from krmfn.config.require import Requirement
    from krmfn.config.windows import Calendar
    from krmfn.errors import RegistryError
    from krmfn.policies.rules import Rules
    from krmfn.policies.selection import Selection

Severity: TypeAlias = 'Literal["error", "warning", "info"]'


class Part(enum.Enum):
    """What of a choice a field takes. The value is the suffix of Flux's setter marker (`ns:name:tag`); `version` is our own."""

    IMAGE = ""
    TAG = "tag"
    NAME = "name"
    DIGEST = "digest"
    VERSION = "version"
    """The tag without its prefix, or with the prefix that the field has; `+` for the `_` of tags, as in a chart's version."""


class PolicyKey(NamedTuple):
    """Names a policy. Prints as markers write it, `namespace:name`. `lock` tells apart what several locks decide in a run."""

    namespace: str
    name: str
    lock: str = ""

    @property
    def plain(self) -> PolicyKey:
        """The policy as it is configured, whatever lock decides."""
        return self._replace(lock="") if self.lock else self

    def __str__(self) -> str:
        """Return `namespace:name`."""
        return f"{self.namespace}:{self.name}"


class ResourceId(NamedTuple):
    """Names a resource; any part may be empty (kustomization.yaml has none of them)."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """Return `Kind namespace/name`, leaving out what is empty."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return " ".join(part for part in (self.kind, name) if part) or "a resource without kind and name"


class LatestRef(NamedTuple):
    """A decision that was recorded earlier: a lock entry, or `ImagePolicy.status.latestRef`."""

    name: str
    tag: str
    digest: str | None = None


class ImagePolicy(NamedTuple):
    """One policy, ready to use. `bind` holds the bindings it takes part in: markers, annotations, images."""

    key: PolicyKey
    repository: Repository
    rules: Rules
    digest_reflection: Literal["Never", "IfNotPresent", "Always"] = "Never"
    bind: frozenset[str] = frozenset({"markers", "annotations"})
    latest: LatestRef | None = None
    defined: ResourceId = ResourceId()
    on_error: Literal["fail", "keep"] | None = None
    """What becomes of its fields when it has no choice; None leaves that to the settings."""
    requirements: tuple[Requirement, ...] = ()
    rules_hash: str = ""
    """The rulesHash of locks: over what is required of its tags; empty when nothing is."""
    holds: tuple[Hold, ...] = ()
    windows: tuple[Calendar, ...] = ()  # all of them have to be open
    is_shared: bool = False  # other policies have a say: it is in a group, or only so many may change

    def is_for(self, name: str) -> bool:
        """True if `name` spells the policy's repository."""
        from krmfn.errors import RuleError
        from krmfn.image import ImageRef

        try:
            return ImageRef.parse(name).canonical == self.repository.image.canonical
        except RuleError:
            return False

    @property
    def is_judged(self) -> bool:
        """True if the best tag may have to wait, or to be skipped."""
        return bool(self.requirements or self.holds or self.windows or self.is_shared or self.rules.followed)

    @property
    def is_verified(self) -> bool:
        """True if a tag must be signed: then the digest that was verified is what is written."""
        return any(one.verify for one in self.requirements)

    @property
    def reflects(self) -> bool:
        """True if the policy itself asks for digests."""
        return self.digest_reflection != "Never" or self.is_verified

    @property
    def hash(self) -> str:
        """The policyHash of locks: 16 hex digits over everything that decides which tag and digest are chosen."""
        import hashlib
        import json

        data = {
            "image": self.repository.image.canonical,
            "rules": self.rules.canonical(),
            "digestReflectionPolicy": self.digest_reflection,
        }
        return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


class PassedOver(NamedTuple):
    """A tag that the policy takes and that may not run now. `eligible_at` is in seconds since 1970, None if unknown."""

    tag: str
    why: str
    """For people: `too young, eligible 2026-11-24T10:00Z`, `held: tests failed`, `no linux/arm64`."""
    rule: Literal["age", "hold", "platforms", "pullable", "verify", "unjudged", "soak", "group", "window", "turn"]
    eligible_at: float | None = None
    state: str = ""
    """The same in a few words, for tables: `waits until 2026-11-24T10:00Z`, `held until 2026-12-01T00:00Z`, `no linux/arm64`."""

    def __str__(self) -> str:
        """Return `1.4.3: too young, eligible 2026-11-24T10:00Z`."""
        return f"{self.tag}: {self.why}"


class Chosen(NamedTuple):
    """A policy found its tag. `digest` is present when the policy reflects digests; no counts where no list was needed."""

    policy: ImagePolicy
    tag: str
    listed: int = 0
    eligible: int = 0
    digest: str | None = None
    note: str = ""
    """What people should know about how it was decided, such as that the lock stood in for a registry."""
    record: str = ""
    """Who decided when it was no list: `the lock`, `status.latestRef`."""
    cause: RegistryError | None = None  # why a record had to decide
    stays: str = ""
    """Why the deployed tag is kept by a policy that moves on from it: it holds no version, or is not listed."""
    selection: Selection | None = None
    passed_over: tuple[PassedOver, ...] = ()  # the best tags that were passed over for this one, best first
    above: frozenset[str] = frozenset()
    """Deployed tags that the policy orders before this one: fields that hold them stay."""
    is_held: bool = False
    """True when a hold names this tag: then even a newer field goes to it."""
    origin: LockEntry | None = None
    """The record of another environment that a policy follows; its digest is the one to write."""
    verified_by: str = ""  # who signed the digest, where that had to be verified

    @property
    def ref(self) -> str:
        """`name:tag[@digest]` as Flux writes it, with the repository as it was typed."""
        tail = f"@{self.digest}" if self.digest else ""
        return f"{self.policy.repository.image.name}:{self.tag}{tail}"


class NotChosen(NamedTuple):
    """A policy has no tag, and why. `failure` is a RegistryFailure, or `no-match`; `cause` what a registry failed with."""

    policy: ImagePolicy
    failure: str
    message: str
    selection: Selection | None = None
    cause: RegistryError | None = None


Choice = Chosen | NotChosen
ChoiceKey = tuple[PolicyKey, str]
"""What a choice is for: a policy, and the deployed tag that it moves on from; '' where one choice is for all fields."""
Choices: TypeAlias = "Mapping[ChoiceKey, Choice]"


class Field(NamedTuple):
    """A field of a resource for results: `spec.containers[0].image`, what it held, what it is to hold."""

    path: str
    current: str | None = None
    proposed: str | None = None


class File(NamedTuple):
    """Where a resource came from, as the orchestrator named it: `document` counts from zero, line and column from one; zero is unknown."""

    path: str
    document: int | None = None
    line: int = 0
    column: int = 0


class Location(NamedTuple):
    """Where something stands: the resource, the field in it, the file. What is unknown is None."""

    resource: ResourceId | None = None
    field: Field | None = None
    file: File | None = None

    @property
    def in_file(self) -> str:
        """`path:line:column`, without what is unknown; empty without a file. A file without a path is stdin."""
        if self.file is None:
            return ""
        column = f":{self.file.column}" if self.file.column else ""
        return (self.file.path or "stdin") + (f":{self.file.line}{column}" if self.file.line else "")

    @property
    def in_resource(self) -> str:
        """`Kind namespace/name: spec.field`, without what is unknown."""
        path = self.field.path if self.field else ""
        return ": ".join(part for part in (str(self.resource) if self.resource else "", path) if part)


class Diagnostic(NamedTuple):
    """Something to tell people: a change, a problem, a remark. Made where it is noticed, printed at the doors alone.

    `code` is a key of `diagnostics.CODES`; `message` stands for itself, without the location; `help` says what to do.
    """

    severity: Severity
    code: str
    message: str
    location: Location = Location()
    help: str = ""
    policy: PolicyKey | None = None
    cause: RegistryError | None = None  # the failure of a registry that it comes from
    eligible_at: str = ""
    """When the tag that has to wait may run, RFC 3339; empty when nobody knows."""

    @property
    def is_about_text(self) -> bool:
        """True if the message alone does not tell what it is about: configuration, or a text that cannot be edited."""
        return self.code in ("bad-config", "unproven")

    @property
    def resource(self) -> ResourceId | None:
        """The resource that it is about."""
        return self.location.resource

    @property
    def field(self) -> Field | None:
        """The field that it is about."""
        return self.location.field

    @property
    def file(self) -> File | None:
        """The file that it is about."""
        return self.location.file

    def __str__(self) -> str:
        """Return `file:line:column: Kind namespace/name: spec.field: message`, without what is unknown."""
        return ": ".join(part for part in (self.location.in_file, self.described) if part)

    @property
    def described(self) -> str:
        """`Kind namespace/name: spec.field: message`, for those who are told the file in another way."""
        return ": ".join(part for part in (self.location.in_resource, self.message) if part)
