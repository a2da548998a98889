"""What a kustomization says, read from its file: where resources come from, and what is done to them.

A Flux Kustomization and an Argo CD Application add to the kustomization of the folder that they name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from krmfn.kubernetes.kustomize.images import Entry, argo_entry, entries
from krmfn.kubernetes.kustomize.tree import Leaf, Log, Tree, get, items_of, leaves, text_of
from krmfn.kubernetes.kustomize.values import Variable, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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


class Overlay(NamedTuple):
    """What is done to resources, in kustomize's order: patches, names, images, replacements."""

    resources: Sequence[str] = ()
    components: Sequence[str] = ()
    generated: Sequence[Generated] = ()
    patches: Sequence[Patch] = ()
    operations: Sequence[Patch] = ()
    namespace: str = ""
    prefix: str = ""
    suffix: str = ""
    images: Sequence[Entry] = ()
    replacements: Sequence[Tree] = ()
    variables: Sequence[Variable] = ()
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
        return self._replace(
            components=(*self.components, *more.components),
            patches=(*self.patches, *more.patches),
            namespace=more.namespace or self.namespace,
            prefix=more.prefix or self.prefix,
            suffix=more.suffix or self.suffix,
            images=(*kept, *names.values()),
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
    common = _common(tree, reader)
    merges = [Patch(reader.documents(one)) for one in items_of(tree, "patchesStrategicMerge")]
    replacements: list[Tree] = []
    for one in items_of(tree, "replacements"):
        path = get(one, "path")
        for document in reader.file(path.text) if isinstance(path, Leaf) else [one]:
            replacements += document if isinstance(document, list) else [document]
    generators = [("ConfigMap", one) for one in items_of(tree, "configMapGenerator")]
    generators += [("Secret", one) for one in items_of(tree, "secretGenerator")]
    return common._replace(
        resources=_texts(tree, "resources") + _texts(tree, "bases"),
        generated=[_generated(kind, one, reader) for kind, one in generators],
        patches=(*merges, *common.patches),
        operations=patches(items_of(tree, "patchesJson6902"), reader),
        replacements=replacements,
        variables=variables(tree),
        is_component=text_of(tree, "kind") == "Component",
    )


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
            leaves_of_images = (leaf for one in items_of(options, "images") for leaf in leaves(one))
            built = _common(options, reader)._replace(images=[*filter(None, map(argo_entry, leaves_of_images))])
            yield Deployment(text_of(source, "path"), built, is_recursive=False)
