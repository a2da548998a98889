"""ResourceLists for tests, and running krmfn on them with tags that are plain data."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from krmfn import pipeline
from krmfn.config.settings import overridden
from krmfn.errors import RegistryError
from krmfn.plan.resolve import StaticTags
from krmfn.yamledit import resourcelist
from krmfn.yamledit.text import Text
from krmfn.yamledit.yamltree import children, join_path, scalar_at

if TYPE_CHECKING:
    from krmfn.access import Listing, Repository
    from krmfn.model import Diagnostic
    from krmfn.outcome import Outcome
    from krmfn.plan.tag_source import TagSource
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Edit, Scalar
    from krmfn.yamledit.yamltree import Step

IMAGE = "ghcr.io/acme/web"


def spliced(listed: resourcelist.ResourceList, edits: Sequence[Edit], results: Sequence[Diagnostic]) -> bytes:
    """Return a list with edits and results in it."""
    return b"".join(resourcelist.splice(listed, edits, results))


def scalars(block: Block, keys: frozenset[str] | None = None) -> Iterator[Scalar]:
    """Yield every scalar value of a block in document order, or those of some keys alone; keys and aliases are not values."""
    stack: list[tuple[tuple[Step, ...], yaml.Node | None, yaml.Node | None]] = [((), block.root, None)]
    while stack:
        steps, node, parent = stack.pop()
        if type(node) is yaml.ScalarNode and (keys is None or (steps and steps[-1] in keys)):
            yield scalar_at(block, node, join_path(steps), parent)
        stack += [((*steps, step), child, node) for step, child in reversed([*children(node)])]


def digest(what: str) -> str:
    """Make a digest."""
    return "sha256:" + hashlib.sha256(what.encode()).hexdigest()


def policy(
    rule: str = 'semver: {range: ">=1.0.0"}',
    reflection: str = "Never",
    *,
    name: str = "web",
    image: str = IMAGE,
    more: str = "",
) -> str:
    """Write an ImageRepository and its ImagePolicy; `more` goes into the policy's spec."""
    interval = "\n  interval: 10m" if reflection == "Always" else ""
    return (
        f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: {name}, namespace: flux}}\n"
        f"spec: {{image: {image}, interval: 5m}}\n---\n"
        f"apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: {name}, namespace: flux}}\nspec:\n"
        f"  imageRepositoryRef: {{name: {name}}}\n  policy: {{{rule}}}\n  digestReflectionPolicy: {reflection}{interval}\n{more}"
    )


def pod(value: str, *, name: str = "web", setter: str = "flux:web") -> str:
    """Write a Pod whose image has a marker."""
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n    - name: main\n"
        f'      image: {value} # {{"$imagepolicy": "{setter}"}}\n'
    )


def lock(*entries: str) -> str:
    """Write an ImageLock whose entries are given in flow style."""
    lines = "".join(f"    - {entry}\n" for entry in entries)
    images = f"  images:\n{lines}" if entries else "  images: []\n"
    return f"apiVersion: krmfn.dev/v1alpha1\nkind: ImageLock\nmetadata:\n  name: images\nspec:\n{images}"


def resource_list(*documents: str) -> bytes:
    """Make a ResourceList of documents; one argument may hold several."""
    text = "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n"
    for document in "---\n".join(one if one.endswith("\n") else one + "\n" for one in documents).split("---\n"):
        text += "-" + textwrap.indent(document, "  ")[1:]
    return text.encode()


class Tags(StaticTags):
    """Tags as plain data that remember what was asked."""

    def __init__(self, tags: Mapping[str, Any], failures: Mapping[str, RegistryError] | None = None) -> None:
        full = {
            image: one if isinstance(one, dict) else {tag: digest(f"{image}:{tag}") for tag in one}
            for image, one in tags.items()
        }
        super().__init__(full, failures=failures)
        self.asked: list[str] = []

    def tags(self, repository: Repository) -> Listing:
        self.asked.append(repository.image.canonical)
        return super().tags(repository)

    def digest(self, repository: Repository, tag: str) -> str:
        self.asked.append(f"{repository.image.canonical}:{tag}")
        return super().digest(repository, tag)


def down(image: str = IMAGE) -> Tags:
    """Make a source whose registry cannot be reached."""
    return Tags({}, {image: RegistryError("unavailable", image, "https://ghcr.io: the host name cannot be looked up")})


def run(data: bytes, tags: TagSource, **env: str) -> Outcome:
    """Run krmfn on a ResourceList."""
    return pipeline.run(Text(data), lambda _: tags, lambda settings: overridden(settings, env))


def items(outcome: Outcome) -> list[Any]:
    """Return the items that came out, as data."""
    found: list[Any] = yaml.load(outcome.text, yaml.BaseLoader)["items"]
    return found


def images(outcome: Outcome) -> list[str]:
    """Return the image of every Pod that came out."""
    return [one["spec"]["containers"][0]["image"] for one in items(outcome) if one["kind"] == "Pod"]


def locked(outcome: Outcome) -> list[dict[str, str]]:
    """Return the entries of the lock that came out."""
    found: list[dict[str, str]] = (
        next(one for one in items(outcome) if one["kind"] == "ImageLock")["spec"]["images"] or []
    )
    return found


def messages(outcome: Outcome, severity: str) -> list[str]:
    """Return the messages of one severity."""
    return [
        one.described if one.code == "bad-config" else one.message
        for one in outcome.results
        if one.severity == severity
    ]


def relocked(*documents: str, tags: TagSource, **env: str) -> str:
    """Run once and answer the lock that came out, as a document."""
    outcome = run(resource_list(*documents, lock()), tags, **env)
    assert not outcome.is_error, outcome.results
    return yaml.safe_dump(next(one for one in items(outcome) if one["kind"] == "ImageLock"), sort_keys=False)
