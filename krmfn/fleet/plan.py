"""A plan: which repositories a fleet of trees uses, in a lane for each registry host and shards of sorted names. Pure.

A lane belongs to one host because rate limits do. The same trees at the same time give the same bytes everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from krmfn.errors import InputError, RuleError
from krmfn.image import is_tag, parse_repository
from krmfn.policies.number import moment, read_time
from krmfn.sanitize import printable
from krmfn.strict_json import parse

API_VERSION, KIND = "krmfn.dev/v1alpha1", "FleetPlan"
FILE = "plan.json"
"""The plan in the folder of a scan."""
SHARD = 1000
"""Repositories of one shard."""
_VALUES = 20_000_000
"""JSON values of a plan: one hundred thousand repositories have about two million."""


class Use(NamedTuple):
    """How a repository is used: the tags that are deployed, and the rules of policies as JSON (`Rules.canonical`); sorted."""

    tags: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def with_(self, other: Use) -> Use:
        """Return both uses as one."""
        return Use(tuple(sorted({*self.tags, *other.tags})), tuple(sorted({*self.rules, *other.rules})))

    def data(self) -> dict[str, Any]:
        """Return it as it stands in a plan."""
        return {"tags": list(self.tags)} | ({"policies": [json.loads(one) for one in self.rules]} if self.rules else {})


Images = Mapping[str, Use]
"""Canonical repositories, sorted, and how they are used."""


class PlannedTree(NamedTuple):
    """One tree: its name without any login, the commit that was read (empty outside of git), and what it uses."""

    name: str
    commit: str
    images: Images


class Shard(NamedTuple):
    """A thousand repositories of one host, in order; `name` is that of its file."""

    name: str
    images: Images

    @property
    def first(self) -> str:
        """The first repository."""
        return next(iter(self.images))

    @property
    def last(self) -> str:
        """The last repository."""
        return next(reversed(self.images.keys()))  # type: ignore[call-overload,no-any-return]


class Lane(NamedTuple):
    """Everything that one registry host is asked for."""

    host: str
    shards: tuple[Shard, ...]

    @property
    def folder(self) -> str:
        """The name of its folder; hosts have no underscore, and one may be called like the file of the plan."""
        return f"{self.host}_" if self.host == FILE else self.host.replace(":", "_")

    def shard_of(self, image: str) -> Shard | None:
        """Return the shard whose range a repository is in."""
        return next((one for one in self.shards if one.first <= image <= one.last), None)


class Plan(NamedTuple):
    """The time that new tags count as first seen at, in seconds since 1970, and the trees by name."""

    now: float
    trees: tuple[PlannedTree, ...]
    lanes: tuple[Lane, ...] = ()

    def lane(self, host: str) -> Lane | None:
        """Return the lane of a host."""
        return next((one for one in self.lanes if one.host == host), None)


def make(now: float, trees: Iterable[PlannedTree]) -> Plan:
    """Make the plan of some trees; a tree that is named twice counts once."""
    by_name = {tree.name: tree for tree in trees}
    ordered = tuple(by_name[name] for name in sorted(by_name))
    return Plan(now, ordered, tuple(_lanes(ordered)))


def _lanes(trees: Iterable[PlannedTree]) -> Iterator[Lane]:
    by_host: dict[str, dict[str, Use]] = {}
    for tree in trees:
        for image, use in tree.images.items():
            there = by_host.setdefault(image.partition("/")[0], {})
            there[image] = use.with_(there.get(image, Use()))
    # Sorted names in parts of equal size: the range of a shard alone tells whether it holds a repository (`shard_of`).
    for host, images in sorted(by_host.items()):
        names = sorted(images)
        parts = [names[start : start + SHARD] for start in range(0, len(names), SHARD)]
        yield Lane(
            host,
            tuple(Shard(f"{at:04}", {name: images[name] for name in part}) for at, part in enumerate(parts)),
        )


def encode(plan: Plan) -> bytes:
    """Return the bytes of a plan. The lanes follow from the trees, and are there to be looked at."""
    trees = [{"tree": one.name, "commit": one.commit, "images": {name: use.data() for name, use in one.images.items()}} for one in plan.trees]
    lanes = [{"host": one.host, "repositories": sum(len(shard.images) for shard in one.shards), "shards": len(one.shards)} for one in plan.lanes]
    data = {"apiVersion": API_VERSION, "kind": KIND, "now": moment(plan.now), "lanes": lanes, "trees": trees}
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def decode(data: bytes, name: str) -> Plan:
    """Read a plan. Raise InputError for what is none."""
    try:
        return _plan(parse(data, _VALUES, _VALUES))
    except ValueError as error:
        raise InputError(f"{error}; make it with krmfn fleet plan", name=name) from None


def written(rules: Any) -> str:
    """Return rules as the text that stands for them."""
    return json.dumps(rules, sort_keys=True)


def _plan(data: Mapping[str, Any]) -> Plan:
    if (data.get("apiVersion"), data.get("kind")) != (API_VERSION, KIND):
        raise ValueError(f"is no {API_VERSION} {KIND}")
    now = read_time(data["now"]) if isinstance(data.get("now"), str) else None
    if now is None:
        raise ValueError("has no time under now, such as 2026-01-31T09:00:00Z")
    return make(now, [_tree(one) for one in _list(data.get("trees"), "trees")])


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"has no list under {where}")  # noqa: TRY004 - the input is wrong, not the program
    return value


def _tree(entry: Any) -> PlannedTree:
    data = entry if isinstance(entry, dict) else {}
    name, commit, images = data.get("tree"), data.get("commit", ""), data.get("images")
    if not (isinstance(name, str) and isinstance(commit, str) and isinstance(images, dict)):
        raise ValueError("has a tree without tree, commit and images")  # noqa: TRY004 - as above
    checked: dict[str, Use] = {}
    for image, use in images.items():
        try:
            is_canonical = parse_repository(image).canonical == image
        except RuleError:
            is_canonical = False
        if not is_canonical:
            raise ValueError(f"names {printable(image, 100)!r}, which is no whole repository such as docker.io/library/nginx")
        tags, rules = (use.get("tags"), use.get("policies", [])) if isinstance(use, dict) else (None, None)
        if not (isinstance(tags, list) and all(isinstance(tag, str) and is_tag(tag) for tag in tags) and isinstance(rules, list)):
            raise ValueError(f"has something else than a list of tags and one of policies for {image}")
        checked[image] = Use(tuple(tags)).with_(Use((), tuple(map(written, rules))))
    return PlannedTree(name, commit, {image: checked[image] for image in sorted(checked)})
