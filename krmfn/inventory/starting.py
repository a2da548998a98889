"""*start*: the policies that a tree without any begins with, one for each repository. Asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from krmfn.config.schema import API_VERSION
from krmfn.kubernetes.places import COUNTS, Place
from krmfn.kubernetes.resource import describe, get
from krmfn.plan.unnamed import named_images
from krmfn.policies.newer import Shape
from krmfn.policies.protocol import KEPT, Within
from krmfn.yamledit.authored import document
from krmfn.yamledit.text import Edit

if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.image import ImageRef
    from krmfn.yamledit.nodes import Block

NAME = "images"
_FLUX = "image.toolkit.fluxcd.io/v1"
_NAMED = 3
"""How many places a message names."""
_HEAD = "# Policies of images, written by krmfn init; yours to edit. krmfn update follows them.\n"


class Policy(NamedTuple):
    """A policy to write: its name, the repository as it is spelled first, and the tags that stand in the tree."""

    name: str
    image: str
    tags: tuple[str, ...]
    is_pinned: bool


class Start(NamedTuple):
    """What is to be written. `left` says what got no policy, and why. With a namespace these are Flux's objects."""

    policies: tuple[Policy, ...]
    left: tuple[str, ...]
    within: Within
    namespace: str

    @property
    def document(self) -> str:
        """The YAML documents that hold the policies."""
        if self.namespace:
            return _HEAD + "---\n".join(document(one) for policy in self.policies for one in self._flux(policy))
        return _HEAD + document(
            {
                "apiVersion": API_VERSION,
                "kind": "ImageAutomation",
                "metadata": {"name": NAME, "annotations": {"config.kubernetes.io/local-config": "true"}},
                "spec": {"onError": "keep", "policies": [self._entry(policy) for policy in self.policies]},
            }
        )

    def _entry(self, policy: Policy) -> dict[str, Any]:
        return {"name": policy.name, "image": policy.image, "policy": {"version": {"within": self.within}}}

    def _flux(self, policy: Policy) -> Iterator[dict[str, Any]]:
        metadata = {"name": policy.name, "namespace": self.namespace}
        yield {
            "apiVersion": _FLUX, "kind": "ImageRepository", "metadata": metadata,
            "spec": {"image": policy.image, "interval": "1h"},
        }  # fmt: skip
        spec: dict[str, Any] = {
            "imageRepositoryRef": {"name": policy.name},
            "policy": {"semver": {"range": _range(policy.tags, self.within)}},
        }
        pinned = {"digestReflectionPolicy": "IfNotPresent"} if policy.is_pinned else {}
        yield {"apiVersion": _FLUX, "kind": "ImagePolicy", "metadata": metadata, "spec": {**spec, **pinned}}

    def addition(self, blocks: Iterable[Block]) -> Edit | None:
        """Return the edit that adds the policies to an ImageAutomation that is there; None where a new document must do."""
        if self.namespace or not self.policies:
            return None
        for block in blocks:
            for resource in describe(block):
                policies = get(get(resource.root, "spec"), "policies")
                if not isinstance(policies, yaml.SequenceNode) or resource.id.kind != "ImageAutomation":
                    continue
                if policies.value and not policies.flow_style:
                    return self._behind(block, policies)
        return None

    def _behind(self, block: Block, policies: yaml.SequenceNode) -> Edit:
        data, leaf = block.text.data, policies.value[-1]
        while isinstance(leaf, yaml.CollectionNode) and leaf.value and not leaf.flow_style:
            leaf = leaf.value[-1][1] if isinstance(leaf, yaml.MappingNode) else leaf.value[-1]
        end = max(block.span(leaf)[1] - 1, 0)
        at = data.find(b"\n", end) + 1
        indent = " " * policies.start_mark.column
        lines = document({"x": [self._entry(policy) for policy in self.policies]}).splitlines()[1:]
        added = "".join(f"{indent}{line}\n" for line in lines)
        return Edit(at, at, added.encode()) if at else Edit(len(data), len(data), f"\n{added}".encode())


def start(config: Config, places: Iterable[Place], within: Within, namespace: str = "", *, has_unsure: bool = False) -> Start:
    """Return a policy for every repository that stands in a sure place and that no policy names.

    With `has_unsure` one for those, too, of which only places are known that may be no image, and that hold a version.
    """
    named = named_images(config)
    standing: dict[str, list[Place]] = {}
    left: list[str] = []
    unsure: list[str] = []
    for place in places:
        if place.ref is None or place.ref.canonical in named or place.state != COUNTS:
            continue
        if place.is_written or (has_unsure and may_be_bound(place)):
            standing.setdefault(place.ref.canonical, []).append(place)
        else:
            unsure.append(f"{place.file.path}:{place.file.line}")
    if unsure:
        shown = ", ".join(unsure[:_NAMED]) + (", ..." if len(unsure) > _NAMED else "")
        advice = "" if has_unsure else "; --unsure binds those that hold a version, krmfn check --all tells why"
        left.append(f"{len(unsure)} place{'s' * (len(unsure) != 1)} may be no image that runs, left alone: {shown}{advice}")
    taken = {key.name for key in config.declared}
    policies = []
    for canonical, mine in sorted(standing.items()):
        refs = [place.ref for place in mine if place.ref]
        tags = tuple(dict.fromkeys(ref.tag or "latest" for ref in refs))
        if namespace and (why := _beyond_flux(tags, KEPT[within])):
            left.append(f"{mine[0].file.path}:{mine[0].file.line}: {canonical}: {why}: left alone")
            continue
        name = _name(refs[0], taken)
        taken.add(name)
        policies.append(Policy(name, refs[0].name, tags, any(ref.digest for ref in refs)))
    return Start(tuple(policies), tuple(left), within, namespace)


def may_be_bound(place: Place) -> bool:
    """True if a place is not sure to hold an image, and holds a version in a field that an update can write."""
    is_open = not place.is_sure and place.state == COUNTS and bool(place.slots)
    return is_open and place.ref is not None and Shape.parse(place.ref.tag or "") is not None


def _numbers(tag: str) -> tuple[int, ...] | None:
    """Return the numbers of a tag that a semver policy of Flux can follow; None for every other."""
    shape = Shape.parse(tag)
    if shape is None or len(shape.numbers) != 3 or shape.variant.words or shape.prerelease:
        return None
    return shape.numbers if shape.prefix in ("", "v") else None


def _beyond_flux(tags: Sequence[str], kept: int) -> str:
    """Return why no semver policy of Flux can follow these tags; empty when one can."""
    numbers = {tag: _numbers(tag) for tag in tags}
    for tag, known in numbers.items():
        if known is None:
            return f"no semver policy can follow {tag}; the policy version of an ImageAutomation can"
    # `minor` keeps the first number: tags of 1.x and 2.x would need two ranges, and a policy of Flux has one.
    heads = {known[:kept] for known in numbers.values() if known}
    return f"one policy cannot keep fields apart that hold {', '.join(tags)}" if len(heads) > 1 else ""


def _range(tags: Sequence[str], within: Within) -> str:
    """Return the range that holds the lowest of the tags and ends where the bound does.

    >>> [_range(("v1.2.3",), within) for within in KEPT]
    ['>=1.2.3 <1.3.0', '>=1.2.3 <2.0.0', '>=1.2.3']
    """
    lowest = min(known for tag in tags if (known := _numbers(tag)))
    kept = KEPT[within]
    start = f">={'.'.join(map(str, lowest))}"
    if not kept:
        return start
    end = (*lowest[: kept - 1], lowest[kept - 1] + 1, *(0,) * (3 - kept))
    return f"{start} <{'.'.join(map(str, end))}"


def _name(ref: ImageRef, taken: set[str]) -> str:
    """Return a name for a policy: the shortest end of the repository that is free, else with a number."""
    parts = [ref.registry, *ref.path.split("/")]
    ends = ["-".join(parts[at:]) for at in range(len(parts) - 1, -1, -1)]
    names = [re.sub(r"[^a-z0-9-]+", "-", end.lower()).strip("-") or "image" for end in ends]
    numbered = (f"{names[0]}-{number}" for number in count(2))
    return next(name for name in chain(names, numbered) if name not in taken)
