"""What a kustomization says, read from its file: where resources come from, and what is done to them.

A Flux Kustomization and an Argo CD Application add to the kustomization of the folder that they name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from krmfn.kubernetes.kustomize.images import Entry, argo_entry, entries
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, items_of, leaves, text_of
from krmfn.kubernetes.kustomize.values import Variable, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""The names under which kustomize looks for a kustomization, in this order."""


class Patch(NamedTuple):
    """A patch: its documents, and the selector of what it is for (None: each document names it)."""

    documents: list[Tree]
    target: Tree | None = None


class Generated(NamedTuple):
    """A ConfigMap or Secret that a generator makes, or adds to the one of its name (`merge`, `replace`)."""

    tree: dict[str, Tree]
    behavior: str


@dataclass
class Overlay:
    """What is done to resources, in kustomize's order: patches, names, images, replacements."""

    resources: list[str] = field(default_factory=list)
    components: list[str] = field(default_factory=list)
    generated: list[Generated] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    operations: list[Patch] = field(default_factory=list)
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""
    images: list[Entry] = field(default_factory=list)
    replacements: list[Tree] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    is_component: bool = False

    @property
    def changes(self) -> bool:
        """True if a value may come from here that stood elsewhere before."""
        return bool(self.patches or self.operations or self.images or self.replacements or self.variables)

    def extended(self, more: Overlay, log: Log) -> Overlay:
        """Return the overlay with what Flux or Argo CD writes into it before the build; entries of a name give way."""
        names = {entry.name: entry for entry in more.images}
        for old in self.images:
            if new := names.get(old.name):
                for leaf in old.version:
                    log.replaced(leaf, next(iter(new.version), Leaf("")))
        kept = [names.pop(entry.name, entry) for entry in self.images]
        return replace(
            self,
            components=self.components + more.components,
            patches=self.patches + more.patches,
            namespace=more.namespace or self.namespace,
            prefix=more.prefix or self.prefix,
            suffix=more.suffix or self.suffix,
            images=kept + list(names.values()),
        )


class Reader(NamedTuple):
    """Reads what kustomizations refer to: `file` the documents at a path, `text` those inside a scalar.

    `lines` reads the `KEY=VALUE` of a file that is no YAML.
    """

    file: Callable[[str], list[Tree]]
    text: Callable[[Leaf], list[Tree]]
    lines: Callable[[str], list[tuple[str, Leaf]]]

    def documents(self, leaf: Tree | None) -> list[Tree]:
        """Return the documents of an entry that is a path, or YAML itself."""
        if not isinstance(leaf, Leaf):
            return []
        return self.text(leaf) if "\n" in leaf.text or ":" in leaf.text else self.file(leaf.text)


def overlay(tree: Tree, reader: Reader) -> Overlay:
    """Read a kustomization; what is of an odd type in it is passed over."""
    built = _common(tree, reader)
    built.resources = _texts(tree, "resources") + _texts(tree, "bases")
    built.is_component = text_of(tree, "kind") == "Component"
    merges = [Patch(reader.documents(one)) for one in items_of(tree, "patchesStrategicMerge")]
    built.patches = merges + built.patches
    built.operations = patches(items_of(tree, "patchesJson6902"), reader)
    for one in items_of(tree, "replacements"):
        path = get(one, "path")
        for document in reader.file(path.text) if isinstance(path, Leaf) else [one]:
            built.replacements += document if isinstance(document, list) else [document]
    for kind in ("ConfigMap", "Secret"):
        key = f"{kind[0].lower()}{kind[1:]}Generator"
        built.generated += [_generated(kind, one, reader) for one in items_of(tree, key)]
    built.variables = variables(tree)
    return built


def _common(tree: Tree | None, reader: Reader, namespace: str = "namespace") -> Overlay:
    """Read what kustomizations, Flux Kustomizations and Argo CD Applications write alike; `namespace` is a key."""
    return Overlay(
        components=_texts(tree, "components"),
        patches=patches(items_of(tree, "patches"), reader),
        namespace=text_of(tree, namespace),
        prefix=text_of(tree, "namePrefix"),
        suffix=text_of(tree, "nameSuffix"),
        images=entries(get(tree, "images")),
    )


def patches(trees: list[Tree], reader: Reader) -> list[Patch]:
    """Read a list of patches, each inline or by path, with or without a target."""
    read_patches = []
    for patch in trees:
        inline, path = get(patch, "patch"), get(patch, "path")
        documents = reader.text(inline) if isinstance(inline, Leaf) else []
        documents += reader.file(path.text) if isinstance(path, Leaf) else []
        read_patches.append(Patch(documents, get(patch, "target")))
    return read_patches


def _texts(tree: Tree | None, key: str) -> list[str]:
    return [one.text for one in items_of(tree, key) if isinstance(one, Leaf)]


def _generated(kind: str, tree: Tree, reader: Reader) -> Generated:
    """Return what a generator makes of its literals and of files of `KEY=VALUE`; whole files are not read."""
    data: dict[str, Tree] = {}
    for name in (*_texts(tree, "envs"), text_of(tree, "env")):
        data |= reader.lines(name) if name else ()
    for literal in items_of(tree, "literals"):
        if isinstance(literal, Leaf):
            key, _, value = literal.text.partition("=")
            quote = value[:1] if len(value) > 1 and value[:1] == value[-1:] and value[:1] in "'\"" else ""
            data[key] = Leaf(value[1:-1] if quote else value, literal.spots)
    metadata: dict[str, Tree] = {"name": Leaf(text_of(tree, "name")), "namespace": Leaf(text_of(tree, "namespace"))}
    resource: dict[str, Tree] = {"apiVersion": Leaf("v1"), "kind": Leaf(kind), "metadata": metadata, "data": data}
    return Generated(resource, text_of(tree, "behavior"))


class Deployment(NamedTuple):
    """A folder that something in the cluster builds: `path` from the top of a repository, and what it adds."""

    path: str
    overlay: Overlay
    is_recursive: bool


def deployments(tree: Tree, reader: Reader) -> Iterator[Deployment]:
    """Yield the folders that a Flux Kustomization or an Argo CD Application builds."""
    group, kind = text_of(tree, "apiVersion").partition("/")[0], text_of(tree, "kind")
    spec = get(tree, "spec")
    if group == "kustomize.toolkit.fluxcd.io" and kind == "Kustomization":
        yield Deployment(text_of(spec, "path") or ".", _common(spec, reader, "targetNamespace"), is_recursive=True)
    if group == "argoproj.io" and kind == "Application":
        sources = (get(spec, "source"), *items_of(spec, "sources"))
        for source in (one for one in sources if text_of(one, "path")):
            options = get(source, "kustomize")
            built = _common(options, reader)
            images = (leaf for one in items_of(options, "images") for leaf in leaves(one))
            built.images = [*filter(None, map(argo_entry, images))]
            yield Deployment(text_of(source, "path"), built, is_recursive=False)
