"""Whose rules count: those of the tree, and the floor, which comes from outside the change under review (`--rules`).

The tree's rules are added to the floor and never replace it: requirements add up, holds of the tree may only skip a tag,
and what was seen, recorded or pinned is believed of the floor alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from krmfn.config import flux, schema
from krmfn.config.declared import declared_in
from krmfn.config.hold import Hold, read_holds
from krmfn.config.image_automation import OwnReader
from krmfn.config.lock import Lock, read_locks
from krmfn.config.locks import Locks
from krmfn.config.objects import Object, Problems
from krmfn.config.plain import read
from krmfn.config.rollout import Group, check_groups
from krmfn.config.rule_files import RuleFile, without_rules
from krmfn.config.snapshot import Snapshot, merged, read_snapshot
from krmfn.diagnostics import misconfigured
from krmfn.errors import ConfigError, InputError
from krmfn.globs import is_about_image, is_about_key
from krmfn.model import Diagnostic, ImagePolicy, Location, PolicyKey
from krmfn.policies.number import moment

if TYPE_CHECKING:
    from krmfn.access import Mirror
    from krmfn.config.flux import BrokenRepository
    from krmfn.config.require import Requirement
    from krmfn.config.settings import Settings
    from krmfn.config.windows import Calendar
    from krmfn.globs import Selecting
    from krmfn.yamledit.nodes import Block

    Rule = TypeVar("Rule", bound=Selecting)

_OWN = b"krmfn.dev/v"
_FLUX = b"image.toolkit.fluxcd.io"
_SECRET = b"Secret"
_TRUSTED = b"OCIRepository"


class Floor(NamedTuple):
    """Rules, holds, snapshots and the lock from outside. `images` are the policies that it declares, with their image."""

    requirements: tuple[Requirement, ...] = ()
    holds: tuple[Hold, ...] = ()
    snapshots: Mapping[str, Snapshot] = MappingProxyType({})
    locks: Locks = Locks()
    images: Mapping[PolicyKey, frozenset[str]] = MappingProxyType({})
    mirrors: tuple[Mirror, ...] = ()
    groups: tuple[Group, ...] = ()
    files: Mapping[str, bytes] = MappingProxyType({})
    """What the files hold that its rules name, by the path as it stands there."""
    windows: Calendar = ()
    max_changes: int | None = None

    @property
    def is_empty(self) -> bool:
        """True if nothing is ruled or known here: most likely another place was meant."""
        ruled = self.requirements or self.holds or self.groups or self.windows or self.max_changes is not None
        return not (ruled or self.snapshots or self.locks.every)

    def is_held(self, hold: Hold, policy: ImagePolicy) -> bool:
        """True if a hold concerns a policy, also one that the floor knows by another name; its age is not forgiven there."""
        images = self.images.get(hold.policy, frozenset()) if hold.policy and not hold.no_wait else frozenset()
        return hold.is_about(policy) or policy.repository.image.canonical in images

    def about(self, rules: Iterable[Rule], policy: ImagePolicy) -> tuple[Rule, ...]:
        """Return the requirements or windows that concern a policy, under whatever name and spelling the tree has it.

        A policy that the floor does not declare cannot escape by its name; one that it declares, not by another image;
        an image behind a mirror is the one that it mirrors.
        """
        image = policy.repository.image
        names = {image.canonical, image.name, *self.images.get(policy.key, ())}
        names |= {_before_mirror(name, one) for name in tuple(names) for one in self.mirrors}
        is_known = policy.key in self.images
        return tuple(
            one
            for one in rules
            if is_about_image(one, *names) and (not is_known or is_about_key(one, policy.key))
        )


def _before_mirror(name: str, mirror: Mirror) -> str:
    """Return the image that a mirror's copy stands for; any other image as it is."""
    place = mirror.place.rstrip("/") + "/"
    return f"{mirror.prefix.rstrip('/')}/{name.removeprefix(place)}" if name.startswith(place) else name


def read_floor(blocks: Iterable[Block], place: Callable[[str], str] = str, file: RuleFile = without_rules) -> Floor:
    """Read the floor. Raises ConfigError with every problem of its rules, holds, locks and snapshots.

    `place` tells which file of the tree the name of a text stands for, `file` reads one that a rule names.

    Its policies only serve to know them again; what is wrong with one of them is told where it is used.
    """
    problems = Problems()
    objects = tuple(_objects(blocks, problems))
    problems.locate(objects)
    reader, files = OwnReader(problems), dict[str, bytes]()

    def kept(text: str, path: str) -> bytes:
        content = file(text, path)
        if files.setdefault(path, content) != content:
            files[path] += b"\n" + content  # two of one name: the tree may mean either
        return content

    reader.rule_file = kept
    _check(objects, problems)
    reader.require(objects)
    images: dict[PolicyKey, frozenset[str]] = {}
    declared = OwnReader(Problems())
    declared.read_automations(objects)
    for policy in (*_of_flux(objects), *declared.policies):
        images[policy.key] = images.get(policy.key, frozenset()) | {policy.repository.image.canonical}
    locks = tuple(one._replace(folder=_folder(one, place)) for one in read_locks(objects, problems))
    holds = read_holds(objects, problems)
    snapshots: dict[str, Snapshot] = {}
    for one in schema.of_kind(objects, "TagSnapshot"):
        snapshot = read_snapshot(one, problems)
        if snapshot is not None:
            there = snapshots.get(snapshot.image)
            snapshots[snapshot.image] = merged(there, snapshot) if there else snapshot
    rules: tuple[Selecting, ...] = (*reader.requirements, *reader.windows)
    if not images and any(one.policies for one in rules):
        where = next(one.id for one in objects if one.spec.get("require") or one.spec.get("windows"))
        message = (
            "an entry selects by policies, and none is declared beside it: a change could rename its policy out of it; "
            "select by images, or name rules that hold the policies too, such as --rules git:origin/main"
        )
        problems.add(where, "spec.require", message)
    check_groups(reader.groups, {*images, *declared_in(objects)}, problems)
    if problems.found:
        raise ConfigError(problems.found)
    return Floor(
        reader.requirements, holds, snapshots, Locks(locks), images, declared.settings.mirrors, reader.groups, files, reader.windows, reader.max_changes
    )


def _folder(lock: Lock, place: Callable[[str], str]) -> str:
    path = place(lock.object.block.text.name) if lock.object else ""
    return posixpath.normpath(posixpath.dirname(path) or ".")


def _check(objects: Iterable[Object], problems: Problems) -> None:
    """Note what an ImageAutomation of the floor says that is not understood: a misspelt rule is no rule."""
    for one in objects:
        if one.group == "krmfn.dev" and one.id.api_version != schema.API_VERSION and one.id.kind in schema.KINDS:
            problems.add(one.id, "apiVersion", f"expected {schema.API_VERSION}, found {one.id.api_version}")
        elif one.id.kind == "ImageAutomation" and one.group == "krmfn.dev":
            problems.add_all(one.id, schema.problems("ImageAutomation", one.data))


def _objects(blocks: Iterable[Block], problems: Problems) -> Iterable[Object]:
    for block in blocks:
        is_ruling = _OWN in block.raw or _FLUX in block.raw
        if is_ruling or _SECRET in block.raw or _TRUSTED in block.raw:  # the keys that `verify` names, and what `trust` lets count
            try:
                yield from read(block)
            except InputError as error:
                if is_ruling:
                    problems.note(error)


def _of_flux(objects: tuple[Object, ...]) -> list[ImagePolicy]:
    scratch = Problems()
    broken: dict[PolicyKey, BrokenRepository] = {}
    repositories = flux.read_repositories(objects, scratch, broken)
    return flux.read_policies(objects, {**broken, **repositories}, scratch)[0]


def believed(
    floor: Floor, snapshots: Mapping[str, Snapshot], holds: Iterable[Hold], problems: Problems
) -> tuple[dict[str, Snapshot], tuple[Hold, ...]]:
    """Return what of the tree's snapshots and holds counts beside the floor, with the floor's own; what is left out is noted.

    Of a repository that the floor has no snapshot of, the tree's says which tags there are, and nothing else.
    """
    # Digests, times and sightings of the tree are what a change under review could make up.
    lists = {image: one._replace(tags=dict.fromkeys(one.tags), created={}, seen={}) for image, one in snapshots.items()}
    for image, one in snapshots.items():
        _check_sightings(one, floor.snapshots.get(image), problems)
    counted = list(floor.holds)
    for hold in holds:
        if hold.skip:
            counted.append(hold)
        elif hold not in floor.holds:
            what = f"it stays on {hold.tag}" if hold.tag else f"it lets {hold.no_wait} through"
            message = f"this hold does not count: {what}, and rules come from outside (--rules): there it has to stand; not: would count"
            place = Location(hold.resource.id if hold.resource else None)
            problems.notes.append(Diagnostic("warning", "held", message, place))
    return {**lists, **floor.snapshots}, tuple(dict.fromkeys(counted))


def _check_sightings(one: Snapshot, floor: Snapshot | None, problems: Problems) -> None:
    """Note tags that claim to be older than a complete snapshot of the floor that lacked them."""
    if floor is None or floor.time is None or floor.listed > len(floor.tags) or one.object is None:
        return
    for tag, seen in one.seen.items():
        if tag not in floor.tags and tag not in floor.seen and seen.first is not None and seen.first < floor.time:
            message = (
                f"tag {tag} claims to have been seen at {moment(seen.first)}, and the snapshot of the rules from outside "
                f"lacked it at {moment(floor.time)}: run krmfn fetch with the same --rules"
            )
            problems.add(one.object.id, "spec.tags", message)


def under_floor(settings: Settings, floor: Floor, problems: Problems) -> Settings:
    """Return the settings without what would let the tree itself say which tags and digests there are. Raises ConfigError."""
    for name, what, value, provenance in (
        ("layout", "layout", settings.layout, settings.layout_provenance),
        ("artifact", "scan", settings.artifact, settings.artifact_provenance),
    ):
        if value is not None and not provenance.is_machine:
            raise misconfigured(
                f"source.{name} {value} stands among the resources, and rules come from outside (--rules): name the "
                f"{what} with --source or KRMFN_{name.upper()}, or leave it out"
            )
    known = {(one.prefix, one.place) for one in floor.mirrors}
    for one in settings.mirrors:
        if (one.prefix, one.place) not in known:
            message = f"the mirror {one.place} of {one.prefix} is not asked: the rules from outside (--rules) do not name it"
            problems.remark(None, message, "warning")
    if floor.is_empty:
        message = "the rules from outside (--rules) hold no requirement, hold, lock or snapshot: is it the right place?"
        problems.remark(None, message, "warning")
    mirrors = tuple(one for one in settings.mirrors if (one.prefix, one.place) in known)
    return settings._replace(mirrors=mirrors, is_floored=True)
