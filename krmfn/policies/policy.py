"""The table of policies: where the class of each is, and everything that is told of it elsewhere.

The schema, `krmfn schema`, the function definition, the tables of the docs, the keys of `kpt fn eval -- NAME=VALUE` and the
flags of `krmfn create image policy` follow from it. The classes are imported by the runs that meet them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from krmfn.namedtuple import NamedTuple
from krmfn.policies.protocol import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.policies.protocol import Policy


class Option(NamedTuple):
    """A field of a policy. It holds text; with `least` a whole number from there on."""

    meaning: str
    is_required: bool = False
    choices: tuple[str, ...] = ()
    least: int | None = None

    @property
    def schema(self) -> dict[str, Any]:
        """The option as JSON Schema."""
        bounds = {"enum": list(self.choices)} if self.choices else {} if self.least is None else {"minimum": self.least}
        return {"type": "string" if self.least is None else "integer", "description": self.meaning, **bounds}


class Flag(NamedTuple):
    """`--select-NAME` of `krmfn create image policy`; its value is that of the policy's key option, if it has one."""

    name: str
    metavar: str
    help: str


class Member(NamedTuple):
    """A member of `policy` in YAML: its module and class, its sentence, its options with theirs."""

    module: str
    class_name: str
    meaning: str
    options: Mapping[str, Option] = MappingProxyType({})
    flag: Flag | None = None
    is_of_flux: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """The options that have to be written."""
        return tuple(name for name, option in self.options.items() if option.is_required)

    @property
    def has_key(self) -> bool:
        """True if one value says everything, so that the policy can be a key of a flat ConfigMap."""
        return len(self.required) < 2

    @property
    def key_option(self) -> str:
        """The option that its key in a flat ConfigMap, and its flag, give: the first one; empty without any."""
        return next(iter(self.options), "")


_ORDER = {"order": Option("`asc` takes the last, `desc` the first.")}
POLICIES = {
    "semver": Member(
        "semver", "SemVer", "The highest version inside a range.",
        {"range": Option("A constraint as of Masterminds/semver 3.4: `>=1.2.0 <2.0.0`, `^1.2`, `~1.2`, `1.x`.", is_required=True)},
        Flag("semver", "RANGE", "The highest version inside a range: '>=1.2.0 <2.0.0'."), is_of_flux=True,
    ),
    "alphabetical": Member(
        "ordering", "Alphabetical", "Order of the values.", _ORDER,
        Flag("alpha", "asc|desc", "The last (asc) or first (desc) tag by the alphabet."), is_of_flux=True,
    ),
    "numerical": Member(
        "ordering", "Numerical", "Order of the values.", _ORDER,
        Flag("numeric", "asc|desc", "The highest (asc) or lowest (desc) number."), is_of_flux=True,
    ),
    "version": Member(
        "version_policy", "VersionPolicy", "The highest tag of the same shape as the one that is deployed.",
        {
            "within": Option("`patch` keeps two numbers, `minor` (default) one, `major` none.", choices=tuple(KEPT)),
            "range": Option("A constraint that the numbers meet too, such as `<17`; a variant is no prerelease for it."),
        },
        Flag("version", "patch|minor|major", "The highest tag of the deployed one's shape; krmfn's own, not Flux's."),
    ),
    "newest": Member(
        "newest", "Newest", "The most recently built image, by its `created`.",
        {"limit": Option("How many candidates may be looked up.", least=1)},
    ),
    "digest": Member("digest", "Digest", "Keep the tag that is deployed and pin it to its digest."),
    "follow": Member(
        "follow", "Follow", "The tag and digest that another environment's lock has recorded for a while; no registry is asked.",
        {
            "lock": Option("The `metadata.name` of its ImageLock, which has to be among what is read.", is_required=True),
            "policy": Option("The policy in it, `namespace:name`.", is_required=True),
            "soak": Option("How long it has to be recorded there: `2 days`, `12h`.", is_required=True),
        },
    ),
}  # fmt: skip
DEFAULT = "newest"
"""What counts where no policy is written."""
PRECEDENCE = (*(name for name in POLICIES if name != DEFAULT), DEFAULT)
"""Of several members the first in this order counts, Flux's as in its factory.go."""


def parse_policy(kind: str, options: Mapping[str, Any]) -> Policy:
    """Read the options of one of POLICIES; raises RuleError."""
    member = POLICIES[kind]
    policy: Policy = getattr(import_module(f"krmfn.policies.{member.module}"), member.class_name).parse(options)
    return policy
