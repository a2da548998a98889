"""Random trees of bases, components and overlays, as files that kustomize builds; hypothesis draws what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import strategies as st

IMAGES = ("nginx", "ghcr.io/acme/web", "ghcr.io/acme/api", "quay.io/acme/job")
OLD = ("1.0.0", "1.1.0", "1.2.0")
NEW = "2.0.0"
Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def trees(draw: Draw) -> dict[str, str]:
    """Return files by path: `base0..`, `component0..`, `overlay0..`; overlays may stand on overlays."""
    files: dict[str, str] = {}
    bases = [f"base{at}" for at in range(draw(st.integers(1, 2)))]
    names: dict[str, list[str]] = {}
    for at, folder in enumerate(bases):
        names[folder] = [_base(draw, files, folder, f"w{at}{index}") for index in range(draw(st.integers(1, 2)))]
        own = {"resources": [f"{name}.yaml" for name in names[folder]]}
        _dump(files, folder, own | _changes(draw, files, folder, names[folder]))
    components = [f"component{at}" for at in range(draw(st.integers(0, 2)))]
    for folder in components:
        changes = _changes(draw, files, folder, names[bases[0]], is_component=True) or {"images": [_entry(draw)]}
        head = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
        _dump(files, folder, head | changes)
    for at in range(draw(st.integers(1, 3))):
        folder = f"overlay{at}"
        below = draw(st.sampled_from([base for base in names if not base.startswith("component")]))
        own = {"resources": [f"../{below}"]}
        if components and names[bases[0]] == names[below] and draw(st.booleans()):
            own["components"] = [f"../{one}" for one in draw(st.lists(st.sampled_from(components), unique=True))]
        names[folder] = names[below]
        _dump(files, folder, own | _changes(draw, files, folder, names[below]))
    return files


def _base(draw: Draw, files: dict[str, str], folder: str, name: str) -> str:
    """Write a workload of a built-in kind, or of one whose lists kustomize replaces."""
    containers = [{"name": f"c{at}", "image": _image(draw)} for at in range(draw(st.integers(1, 3)))]
    pod: dict[str, Any] = {"containers": containers}
    if draw(st.booleans()):
        pod["initContainers"] = [{"name": "init", "image": _image(draw)}]
    is_built_in = draw(st.booleans())
    head = (
        {"apiVersion": "apps/v1", "kind": "Deployment"} if is_built_in else {"apiVersion": "acme.io/v1", "kind": "App"}
    )
    spec = {"template": {"spec": pod}}
    files[f"{folder}/{name}.yaml"] = yaml.safe_dump(head | {"metadata": {"name": name}, "spec": spec}, sort_keys=False)
    return name


def _image(draw: Draw) -> str:
    name, tag = draw(st.sampled_from(IMAGES)), draw(st.sampled_from(OLD))
    return f"{name}:{tag}"


def _changes(
    draw: Draw, files: dict[str, str], folder: str, names: list[str], *, is_component: bool = False
) -> dict[str, Any]:
    """Draw what a kustomization does to workloads of these names."""
    made: dict[str, Any] = {}
    if draw(st.booleans()):
        made["images"] = [_entry(draw) for _ in range(draw(st.integers(1, 2)))]
    if draw(st.integers(0, 2)) == 0:
        made["patches"] = [
            _patch(draw, files, folder, draw(st.sampled_from(names)), at) for at in range(draw(st.integers(1, 2)))
        ]
    if draw(st.integers(0, 3)) == 0 and not is_component:
        made["configMapGenerator"] = [{"name": f"versions-{folder}", "literals": [f"TAG={draw(st.sampled_from(OLD))}"]}]
        made["replacements"] = [
            {
                "source": {"kind": "ConfigMap", "name": f"versions-{folder}", "fieldPath": "data.TAG"},
                "targets": [
                    {
                        "select": {"name": names[0]},
                        "fieldPaths": ["spec.template.spec.containers.0.image"],
                        "options": {"delimiter": ":", "index": 1},
                    }
                ],
            }
        ]
    return made


def _entry(draw: Draw) -> dict[str, str]:
    entry = {"name": draw(st.sampled_from(IMAGES))}
    kind = draw(st.sampled_from(["tag", "name", "both"]))
    if kind != "name":
        entry["newTag"] = draw(st.sampled_from(OLD))
    if kind != "tag":
        entry["newName"] = draw(st.sampled_from(IMAGES))
    return entry


def _patch(draw: Draw, files: dict[str, str], folder: str, name: str, at: int) -> dict[str, Any]:
    """Draw a patch: operations, or a merge by container name, in a file or inline."""
    select = {"name": name}
    if draw(st.booleans()):
        text = f"- op: replace\n  path: /spec/template/spec/containers/0/image\n  value: {_image(draw)}\n"
    else:
        containers = [{"name": draw(st.sampled_from(["c0", "c1", "extra"])), "image": _image(draw)}]
        patch = {"apiVersion": "any/v1", "kind": "Any", "metadata": {"name": "any"}}
        text = yaml.safe_dump(patch | {"spec": {"template": {"spec": {"containers": containers}}}}, sort_keys=False)
    if draw(st.booleans()):
        files[f"{folder}/patch{at}.yaml"] = text
        return {"path": f"patch{at}.yaml", "target": select}
    return {"patch": text, "target": select}


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dump(files: dict[str, str], folder: str, data: dict[str, Any]) -> None:
    files[f"{folder}/kustomization.yaml"] = yaml.dump(data, Dumper=_Dumper, sort_keys=False)
