"""Which of the items are configuration, as plain objects; what cannot be read is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from krmfn.config import secrets
from krmfn.config.plain import read
from krmfn.errors import InputError
from krmfn.kubernetes.resource import describe
from krmfn.model import Diagnostic, File, Location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.config.objects import Object, Problems
    from krmfn.yamledit.nodes import Block

UNREADABLE = "not-read"
"""The code of what could not be read, although it holds configuration or markers."""
SCANS = (b"imageScans", b"ImageScan")
"""What a document holds that names images in the way of Rancher's Fleet."""
_WORDS = (b"image.toolkit.fluxcd.io", b"krmfn.dev/v", b"imagePolicies", *SCANS)
_REFERRED: dict[bytes, Callable[[Mapping[str, Any]], object]] = {
    b"OCIRepository": lambda spec: spec.get("trust"),
    b"Secret": secrets.names_secret,
    b"Namespace": lambda spec: spec.get("accessFrom"),
}
"""What else is read, once a spec refers to such: what trust brings may name Secrets in its turn."""


def gather(items: Iterable[Block], function_config: Block | None, problems: Problems) -> tuple[Object, ...]:
    """Read the objects that configure something, with what they refer to."""
    items = tuple(items)
    objects: list[Object] = []

    def take(block: Block, *, is_function_config: bool = False) -> None:
        try:
            objects.extend(read(block, is_function_config=is_function_config))
        except InputError as error:
            if is_function_config or _is_record(block) or (_is_configuration(block) and not block.text.name):
                problems.note(error)
            elif _is_configuration(block):
                problems.notes.append(_unreadable(error))

    if function_config is not None:
        take(function_config, is_function_config=True)
    for block in items:
        if any(word in block.raw for word in _WORDS):
            take(block)
    for kind, refers in _REFERRED.items():
        if any(refers(one.spec) for one in objects):
            for block in items:
                if kind in block.raw and not any(word in block.raw for word in _WORDS):
                    take(block)
    return _without_twins(objects)


def _is_configuration(block: Block) -> bool:
    """True if a document that was composed says that it is read here, whatever else is in it."""
    return any(
        one.is_configuration or one.id.api_version.startswith("kustomize.toolkit.fluxcd.io/") or one.id.kind in ("Secret", "OCIRepository")
        for one in describe(block)
    )


def _is_record(block: Block) -> bool:
    """True for what nobody may go on without when it is there: a lock, a snapshot, a hold."""
    return any(one.id.kind in ("ImageLock", "TagSnapshot", "ImageHold") for one in describe(block))


def _unreadable(error: InputError) -> Diagnostic:
    """Report configuration in a file that was left out; the other files go on."""
    file = File(error.name, None, error.line, error.column)
    return Diagnostic("warning", UNREADABLE, f"configuration left out: {error.message}", Location(file=file))


def _without_twins(objects: list[Object]) -> tuple[Object, ...]:
    """Drop the item that is also the functionConfig: kpt sends a configPath document in both places."""
    first = next((one for one in objects if one.is_function_config), None)
    if first is None:
        return tuple(objects)
    return tuple(one for one in objects if one.is_function_config or one.id != first.id or not first.id.name)
