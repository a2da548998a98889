"""Plain objects out of YAML, and a notebook for what is wrong with them."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping

from krmfn.diagnostics import misconfigured, unreadable
from krmfn.errors import RuleError
from krmfn.image import parse_repository
from krmfn.model import Diagnostic, Field, File, Location, PolicyKey, ResourceId
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krmfn.errors import InputError
    from krmfn.image import ImageRef
    from krmfn.model import Severity
    from krmfn.yamledit.nodes import Block


GROUP = "image.toolkit.fluxcd.io"
"""The group of Flux's image objects."""
_LONGEST_NAME = 200
_LOOKS = 50_000
"""Names that are compared for hints."""


class Object(NamedTuple):
    """A resource as plain data: dicts, lists, and the text of every scalar; nulls are None."""

    id: ResourceId
    data: Mapping[str, Any]
    block: Block
    is_function_config: bool = False

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.id.api_version.rpartition("/")[0]

    @property
    def spec(self) -> Mapping[str, Any]:
        """The spec, empty when it is missing or no mapping."""
        return mapping(self.data.get("spec"))

    @property
    def folder(self) -> str:
        """The folder of the file in which it stands; empty for stdin."""
        return posixpath.normpath(posixpath.dirname(self.block.text.name) or ".") if self.block.text.name else ""


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` when it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """Return `value` when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any, default: str = "") -> str:
    """Return `value` when it is text, else the default."""
    return value if isinstance(value, str) else default


def identify(data: Any) -> ResourceId:
    """Name a resource by its plain data; every part may be missing."""
    whole = mapping(data)
    metadata = mapping(whole.get("metadata"))
    return ResourceId(
        text(whole.get("apiVersion")),
        text(whole.get("kind")),
        text(metadata.get("namespace")),
        text(metadata.get("name")),
    )


def key_of(identity: ResourceId) -> PolicyKey:
    """Name a policy or repository by its resource; without a namespace it lives in `default`."""
    return PolicyKey(identity.namespace or "default", identity.name)


class Problems:
    """Collects what is wrong with configuration: resource, field path, what to do."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []
        self.notes: list[Diagnostic] = []
        """What there is to say besides."""
        self._known: set[Diagnostic] = set()
        self.hints = Hints()
        self._files: dict[ResourceId, File] = {}

    def locate(self, objects: Iterable[Object]) -> None:
        """Learn where resources stand, so that problems name file and line. What came on stdin has neither."""
        for one in objects:
            if one.block.text.name and one.block.root is not None:
                self.stand(one.block, [(one.id, one.block.span(one.block.root)[0])])

    def stand(self, block: Block, starts: Iterable[tuple[ResourceId, int]]) -> None:
        """Learn at which bytes of a block resources start."""
        if block.text.name:
            for resource, offset in starts:
                line, _ = block.text.locate(offset)
                self._files.setdefault(resource, File(block.text.name, block.index, line))

    def add(self, where: ResourceId, path: str, message: str) -> None:
        """Note a problem once."""
        location = Location(where, Field(path) if path else None, self._files.get(where))
        problem = Diagnostic("error", "bad-config", message, location)
        if problem not in self._known:
            self._known.add(problem)
            self.found.append(problem)

    def add_all(self, where: ResourceId, wrong: Iterable[tuple[str, str]]) -> bool:
        """Note problems of one object, each by its path; True if there are any."""
        pairs = list(wrong)
        for path, message in pairs:
            self.add(where, path, message)
        return bool(pairs)

    def remark(self, where: ResourceId | None, message: str, severity: Severity = "info", path: str = "") -> None:
        """Note what is no problem of an object."""
        self.notes.append(Diagnostic(severity, "note", message, Location(where, Field(path) if path else None)))

    def repository(self, where: ResourceId, path: str, written: str) -> ImageRef | None:
        """Return the repository that a text names; what is none is noted."""
        try:
            return parse_repository(written)
        except RuleError as error:
            self.add(where, path, str(error))
            return None

    def time(self, where: ResourceId, path: str, written: str | None) -> float | None:
        """Return a time in seconds since 1970, None when nothing is written; what is no time is noted."""
        if not written:
            return None
        from krmfn.policies.number import read_time  # few objects hold one

        time = read_time(written)
        if time is None:
            self.add(where, path, f"expected an RFC 3339 time such as 2026-01-31T09:00:00Z, found {written!r}")
        return time

    def note(self, error: InputError) -> None:
        """Note that a text could not be read."""
        self.found.append(unreadable(error))


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return a hint with the nearest known name, or nothing; a long name is like no other."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1, likeness) if len(name) <= _LONGEST_NAME else ()
    return f"; did you mean {near[0]}?" if near else ""


class Hints:
    """What one run may spend on hints: each is looked for among all names, and of thousands of mistakes the first get one."""

    def __init__(self) -> None:
        self._left = _LOOKS

    def nearest(self, name: str, known: Collection[object]) -> str:
        """Return a hint with the nearest known name, or nothing."""
        return nearest(name, map(str, known)) if self.may_look_at(len(known)) else ""

    def may_look_at(self, names: int) -> bool:
        """True if so many names may be looked at once more; the first look is always allowed."""
        # The look that spends the last is whole, so that the first mistake gets its hint whatever the size.
        is_allowed = self._left > 0
        self._left -= names
        return is_allowed


def policy_named(name: str, keys: Iterable[PolicyKey]) -> PolicyKey:
    """Return the policy of this name, `namespace:name` or the name alone. Raise ConfigError, with the nearest, for none or several."""
    known = sorted(keys)
    same = [key for key in known if name in (str(key), key.name)]
    if len(same) == 1:
        return same[0]
    if same:
        raise misconfigured(f"policy {name} stands in several namespaces: write {' or '.join(map(str, same))}")
    if not known:
        raise misconfigured(f"no policy {name} is configured, nor any other; krmfn init PATH writes one for each image, krmfn check needs none")
    names = [*(key.name for key in known), *map(str, known)]
    hint = nearest(name, names) or f"; there are {', '.join(map(str, known))}"
    raise misconfigured(f"no policy {name} is configured{hint}")
