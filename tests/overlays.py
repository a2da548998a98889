"""Random trees of bases, components and overlays, as files that kustomize builds; hypothesis draws what is in them.

Every version in a tree is another one, so that what a build emits says which field it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st

IMAGES = ("nginx", "ghcr.io/acme/web", "ghcr.io/acme/api", "quay.io/acme/job")
Draw = Callable[[st.SearchStrategy[Any]], Any]
Data = dict[str, Any]


@st.composite
def trees(draw: Draw, *, pins: bool = False) -> dict[str, str]:
    """Return files by path: `base0..`, `component0..`, `overlay0..`; overlays may stand on overlays.

    With `pins` some images hold digests, and names get prefixes.
    """
    return _Tree(draw, pins=pins).files


class _Tree:
    """What is drawn so far."""

    def __init__(self, draw: Draw, *, pins: bool) -> None:
        self.draw, self.pins, self.versions = draw, pins, 0
        self.files: dict[str, str] = {}
        self.names: dict[str, list[str]] = {}
        for at in range(draw(st.integers(1, 2))):
            self.base(f"base{at}", [f"w{at}{index}" for index in range(draw(st.integers(1, 2)))])
        components = [f"component{at}" for at in range(draw(st.integers(0, 2)))]
        for folder in components:
            self.component(folder)
        for at in range(draw(st.integers(1, 3))):
            self.overlay(f"overlay{at}", components)

    def maybe(self, one_in: int) -> bool:
        """Return true now and then."""
        return bool(self.draw(st.integers(1, one_in)) == one_in)

    def one(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def version(self) -> str:
        """Return a version that stands nowhere else in the tree."""
        self.versions += 1
        return f"1.{self.versions}.0"

    def digest(self) -> str:
        self.versions += 1
        return f"sha256:{self.versions:064x}"

    def image(self) -> str:
        name: str = self.one(*IMAGES)
        form = self.one("tag", "tag", "pin", "digest") if self.pins else "tag"
        tag = "" if form == "digest" else f":{self.version()}"
        return name + tag + ("" if form == "tag" else f"@{self.digest()}")

    def base(self, folder: str, names: list[str]) -> None:
        self.names[folder] = names
        for name in names:
            self.workload(folder, name)
        self.dump(folder, {"resources": [f"{name}.yaml" for name in names]} | self.changes(folder, names))

    def workload(self, folder: str, name: str) -> None:
        """Write a workload of a built-in kind, or of one whose lists kustomize replaces."""
        pod: Data = {
            "containers": [{"name": f"c{at}", "image": self.image()} for at in range(self.draw(st.integers(1, 3)))]
        }
        if self.maybe(2):
            pod["initContainers"] = [{"name": "init", "image": self.image()}]
        head = self.one({"apiVersion": "apps/v1", "kind": "Deployment"}, {"apiVersion": "acme.io/v1", "kind": "App"})
        data = head | {"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}
        self.files[f"{folder}/{name}.yaml"] = yaml.safe_dump(data, sort_keys=False)

    def component(self, folder: str) -> None:
        changes = self.changes(folder, self.names["base0"], is_component=True) or {"images": [self.entry()]}
        self.dump(folder, {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"} | changes)

    def overlay(self, folder: str, components: list[str]) -> None:
        below = self.one(*self.names)
        own: Data = {"resources": [f"../{below}"]}
        if components and self.names["base0"] == self.names[below] and self.maybe(2):
            chosen = self.draw(st.lists(st.sampled_from(components), unique=True))
            own["components"] = [f"../{one}" for one in chosen]
        if self.pins and self.maybe(4):
            own["namePrefix"] = f"p{folder[-1]}-"
        self.names[folder] = self.names[below]
        self.dump(folder, own | self.changes(folder, self.names[below]))

    def changes(self, folder: str, names: list[str], *, is_component: bool = False) -> Data:
        """Draw what a kustomization does to workloads of these names."""
        made: Data = {}
        if self.maybe(2):
            made["images"] = [self.entry() for _ in range(self.draw(st.integers(1, 2)))]
        if self.maybe(3):
            made["patches"] = [self.patch(folder, self.one(*names), at) for at in range(self.draw(st.integers(1, 2)))]
        if not is_component and self.maybe(4):
            made |= self.replacement(folder, names[0], is_whole=self.pins)
        return made

    def replacement(self, folder: str, name: str, *, is_whole: bool) -> Data:
        """Draw a replacement of a whole image, or of its tag; a tag would make nonsense of a digest."""
        literal = f"IMAGE={self.image()}" if is_whole else f"TAG={self.version()}"
        target: Data = {"select": {"name": name}, "fieldPaths": ["spec.template.spec.containers.0.image"]}
        if not is_whole:
            target["options"] = {"delimiter": ":", "index": 1}
        source = {"kind": "ConfigMap", "name": f"versions-{folder}", "fieldPath": f"data.{literal.partition('=')[0]}"}
        generator: Data = {"name": f"versions-{folder}"}
        if self.maybe(2):
            generator["literals"] = [literal]
        else:
            generator["envs"] = ["versions.env"]
            self.files[f"{folder}/versions.env"] = f"# versions\n{literal}\n"
        return {
            "configMapGenerator": [generator],
            "replacements": [{"source": source, "targets": [target]}],
        }

    def entry(self) -> dict[str, str]:
        """Draw an entry of `images`."""
        made = {"name": self.one(*IMAGES)}
        kind = self.one("tag", "name", "both", *(("digest", "pin") if self.pins else ()))
        if kind in ("name", "both"):
            made["newName"] = self.one(*IMAGES)
        if kind in ("tag", "both", "pin"):
            made["newTag"] = self.version()
        if kind in ("digest", "pin"):
            made["digest"] = self.digest()
        return made

    def patch(self, folder: str, name: str, at: int) -> Data:
        """Draw a patch: operations, or a merge by container name, in a file or inline."""
        select = {"name": name}
        if self.maybe(2):
            text = f"- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: {self.image()}\n"
        else:
            containers = [{"name": self.one("c0", "c1", "extra"), "image": self.image()}]
            patch = {"apiVersion": "any/v1", "kind": "Any", "metadata": {"name": "any"}}
            text = yaml.safe_dump(patch | {"spec": {"template": {"spec": {"containers": containers}}}}, sort_keys=False)
        if self.maybe(2):
            self.files[f"{folder}/patch{at}.yaml"] = text
            return {"path": f"patch{at}.yaml", "target": select}
        return {"patch": text, "target": select}

    def dump(self, folder: str, data: Data) -> None:
        self.files[f"{folder}/kustomization.yaml"] = yaml.dump(data, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
