"""Which field counts: files followed through every kustomization that reaches them, up to what is deployed.

A root is a kustomization that no other one refers to (examples and tests aside), or a folder that a Flux Kustomization or
an Argo CD Application builds. A field is overridden when some root reaches it and it decides about nothing in what any root emits. Where that
cannot be told (remote bases, charts, templates, plugins, what cannot be read) nothing is overridden.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from krmfn.errors import InputError
from krmfn.kubernetes.kustomize.item import Item, changed_by, item, resolved, with_generated
from krmfn.kubernetes.kustomize.overlay import FILES, Deployment, Overlay, Reader, deployments, overlay
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, assignments, images_in, inner, leaves, members, trees
from krmfn.kubernetes.overriding import NOTHING, Graph, Spot
from krmfn.yamledit.documents import documents
from krmfn.yamledit.text import Text

if TYPE_CHECKING:
    from krmfn.kubernetes.kustomize.values import Variable
    from krmfn.yamledit.nodes import Block

MAX_ITEMS = 100_000
"""How many resources all kustomizations together may pass on; with more nothing is told."""
_DEFINITION = b"kind: CustomResourceDefinition"
_EXAMPLES = frozenset({"example", "examples", "sample", "samples", "test", "tests"})
_DEPLOYERS = (b"kustomize.toolkit.fluxcd.io/", b"argoproj.io/")


def read(
    texts: Mapping[str, Text],
    blocks: Callable[[Text], Sequence[Block]] = documents,
    other: Callable[[str], Text | None] = lambda _path: None,
) -> Graph:
    """Follow every file through the kustomizations among the texts, which are given by their paths.

    `other` reads a file of `KEY=VALUE` lines that a generator names.
    """
    builds = _Builds(texts, blocks, other)
    if not builds.changes:
        return NOTHING
    emitted: dict[Spot, set[str]] = {}
    try:
        for root in builds.roots():
            for resource in root:
                for leaf in leaves(resource.tree):
                    for spot in leaf.spots:
                        emitted.setdefault(spot, set()).add(leaf.text)
                builds.note(resource)
    except (_TooManyError, RecursionError):
        return NOTHING
    return Graph({**texts, **builds.others}, builds.log.by, emitted, builds.outside, builds.log.named)


class _TooManyError(Exception):
    """The kustomizations pass on more resources than can be followed."""


class _Builds:
    """All kustomizations of a tree; each is followed once, however many refer to it."""

    def __init__(
        self, texts: Mapping[str, Text], blocks: Callable[[Text], Sequence[Block]], other: Callable[[str], Text | None]
    ) -> None:
        self.texts, self.blocks = {posixpath.normpath(path): text for path, text in texts.items()}, blocks
        self.other, self.others = other, dict[str, Text]()
        self.log = Log()
        self.folders: dict[str, list[str]] = {}
        for path in sorted(self.texts):
            self.folders.setdefault(posixpath.dirname(path), []).append(path)
        self.above = {parent for folder in self.folders for parent in _parents(folder)}
        self.files: dict[str, list[Tree]] = {}
        self.overlays: dict[str, Overlay] = {}
        for folder in self.folders:
            paths = (posixpath.join(folder, name) for name in FILES)
            if path := next((path for path in paths if path in self.texts), ""):
                trees_of_file = self._documents(path)
                self.overlays[folder] = overlay(trees_of_file[0], self._reader(path)) if trees_of_file else Overlay()
        self.deployed = [*self._deployments()]
        self.changes = any(one.changes for one in (*self.overlays.values(), *(one.overlay for _, one in self.deployed)))
        self.outside: dict[Spot, str] = {}
        self.done: dict[str, list[Item]] = {}
        self.open: set[str] = set()
        self.count = 0

    def _reader(self, path: str) -> Reader:
        folder, text = posixpath.dirname(path), self.texts[path]
        return Reader(
            lambda name: self._documents(_joined(folder, name)),
            lambda leaf: inner(text, leaf),
            lambda name: self._lines(folder, _joined(folder, name)),
        )

    def _lines(self, folder: str, path: str) -> list[tuple[str, Leaf]]:
        """Return the keys and values of a file of `KEY=VALUE` lines; none when it is not in the folder."""
        text = self.others.get(path) or (self.other(path) if _is_below(path, folder) else None)
        if text is None:
            return []
        self.others[path] = text
        return [*assignments(text)]

    def _documents(self, path: str) -> list[Tree]:
        """Return the documents of a file; none when it is not here or cannot be read."""
        if path not in self.files:
            documents = self.files[path] = list[Tree]()
            with suppress(InputError, RecursionError):
                for block in self.blocks(self.texts[path]) if path in self.texts else ():
                    if _DEFINITION not in block.raw and (tree := trees(block)) is not None:
                        block.forget()
                        documents.append(tree)
        return self.files[path]

    def _deployments(self) -> Iterator[tuple[str, Deployment]]:
        """Yield what builds folders, with the folder; a path counts from the topmost folder below which it exists."""
        for path, text in self.texts.items():
            if any(word in text.data for word in _DEPLOYERS):
                for tree in self._documents(path):
                    for deployment in deployments(tree, self._reader(path)):
                        tops = reversed([*_parents(posixpath.dirname(path))])
                        folders = (_joined(top, deployment.path.lstrip("/")) for top in tops)
                        if (folder := next((each for each in folders if each in self.above), None)) is not None:
                            yield folder, deployment

    def note(self, resource: Item) -> None:
        """Note the images of a resource that come from files that are no YAML."""
        if self.others:
            for leaf in images_in(resource.tree):
                self.outside |= {spot: leaf.text for spot in leaf.spots if spot.path in self.others}

    def roots(self) -> Iterator[list[Item]]:
        """Yield what every root emits."""
        referred = {folder for folder, _ in self.deployed}
        for folder, one in self.overlays.items():
            paths = (_joined(folder, name) for name in (*one.resources, *one.components))
            referred |= {path for path in paths if not _is_example(folder, path)}
        # A folder that Flux or Argo CD builds is a root with what they add, and not as it stands.
        for folder, deployment in self.deployed:
            own = self.overlays.get(folder) or Overlay(self._generated(folder, is_recursive=deployment.is_recursive))
            extended = own.extended(deployment.overlay, self.log)
            yield resolved(self._built(folder, extended, []), self._variables(folder, extended), self.log)
        for folder, one in self.overlays.items():
            if folder not in referred and not one.is_component:
                yield resolved(self._resources(folder), self._variables(folder, one), self.log)

    def _variables(self, folder: str, kustomization: Overlay) -> list[Variable]:
        """Return the variables of a kustomization and of all that it takes in."""
        variables: list[Variable] = []
        waiting, seen = [(folder, kustomization)], {folder}
        while waiting:
            folder, kustomization = waiting.pop()
            variables += kustomization.variables
            for path in (_joined(folder, name) for name in (*kustomization.resources, *kustomization.components)):
                if path in self.overlays and path not in seen:
                    seen.add(path)
                    waiting.append((path, self.overlays[path]))
        return variables

    def _generated(self, folder: str, *, is_recursive: bool) -> list[str]:
        """Return the resources of the kustomization that Flux makes for a folder without one."""
        names = [posixpath.basename(path) for path in self.folders.get(folder, ())]
        if is_recursive:
            for other, paths in self.folders.items():
                inside = posixpath.relpath(other or ".", folder or ".")
                if inside in (".", "..") or inside.startswith("../"):
                    continue
                # Flux takes files up to the next kustomization, and that by its folder (pkg/kustomize, scanManifests).
                owner = next((each for each in _parents(other) if each in self.overlays and each != folder), None)
                if owner == other:
                    names.append(inside)
                elif owner is None or not _is_below(owner, folder):
                    names += [posixpath.join(inside, posixpath.basename(path)) for path in paths]
        return names

    def _resources(self, folder: str) -> list[Item]:
        """Return what the kustomization of a folder emits."""
        if folder not in self.done:
            self.done[folder] = self._built(folder, self.overlays[folder], [])
        return self.done[folder]

    def _built(self, folder: str, kustomization: Overlay, resources: list[Item]) -> list[Item]:
        if folder in self.open:  # kustomize refuses a cycle; here it adds nothing
            return resources
        self.open.add(folder)
        try:
            items = [*resources]
            for name in kustomization.resources:
                path = _joined(folder, name)
                if path in self.overlays:
                    items += self._resources(path) if path not in self.open else []
                else:
                    items += [item(resource) for tree in self._documents(path) for resource in members(tree)]
            # The order of accumulateTarget (api/internal/target/kusttarget.go); transformers come last.
            items = with_generated(items, kustomization.generated, self.log)
            for name in kustomization.components:
                path = _joined(folder, name)
                if path in self.overlays:
                    items = self._built(path, self.overlays[path], items)
            self.count += len(items)
            if self.count > MAX_ITEMS:
                raise _TooManyError
            items = changed_by(items, kustomization, self.log)
            for resource in items if kustomization.replacements else ():
                self.note(resource)
            return items
        finally:
            self.open.discard(folder)


def _joined(folder: str, name: str) -> str:
    """Return the path of what a kustomization refers to; the top of relative paths is the empty one."""
    path = posixpath.normpath(posixpath.join(folder, name))
    return "" if path == "." else path


def _is_example(folder: str, path: str) -> bool:
    """True if a kustomization stands among examples or tests, and what it builds does not."""
    parts = folder.split("/")
    tops = ("/".join(parts[: at + 1]) for at, part in enumerate(parts) if part in _EXAMPLES)
    return any(not _is_below(path, top) for top in tops)


def _parents(folder: str) -> Iterator[str]:
    """Yield a folder and all above it, up to the top."""
    while True:
        yield folder
        if folder in ("", "/"):
            return
        folder = posixpath.dirname(folder)


def _is_below(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder.rstrip('/')}/")
