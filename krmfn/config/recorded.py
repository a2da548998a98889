"""What kustomize does to records (TagSnapshot, ImageLock) that travel through it: it rounds numbers."""

from __future__ import annotations

from collections.abc import Iterator

from krmfn.config.objects import mapping
from krmfn.kubernetes.resource import KUSTOMIZE_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.objects import Object


def is_from_kustomize(resource: Object) -> bool:
    """True if kustomize sent the object."""
    return KUSTOMIZE_ID in mapping(mapping(resource.data.get("metadata")).get("annotations"))


def _is_text(value: str) -> bool:
    """True for what readers take for text, and for times, which JSON leaves as they are."""
    from krmfn.policies.number import read_time
    from krmfn.yamledit.scalars import is_string

    return is_string(value) or (value[4:5] == "-" and read_time(value) is not None)


def rounded(item: Object) -> Iterator[tuple[str, str]]:
    """Find numbers where texts are wanted in what kustomize sent: it has sent them through JSON, where 1.10 is 1.1."""
    if not is_from_kustomize(item):
        return
    import yaml

    from krmfn.kubernetes.resource import describe, get
    from krmfn.yamledit.yamltree import children, join

    for resource in describe(item.block):
        todo = [("spec", get(resource.root, "spec"))] if resource.id == item.id else []
        while todo:
            path, node = todo.pop()
            if isinstance(node, yaml.ScalarNode) and not node.style and node.value and not _is_text(node.value):
                yield path, f"{node.value} came as a number, which kustomize rounds: quote it in the file"
            todo += [(join(path, step), child) for step, child in children(node) if step not in ("listed", "eligible")]
