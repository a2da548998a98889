"""Several ImageLocks: in files the nearest one above a file decides, elsewhere the one that is named or holds the policy.

Policies that follow another lock do so in no circle, and no lock that is somebody else's is renewed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping

from krmfn.model import PolicyKey
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.lock import Lock, LockEntry
    from krmfn.config.objects import Object, Problems
    from krmfn.model import ImagePolicy

HERE = "here"
"""The path of what stands in no file: it is taken for a file in the folder where krmfn runs."""


class Locks(NamedTuple):
    """The locks of a tree or of a floor."""

    every: tuple[Lock, ...] = ()

    @property
    def is_by_folder(self) -> bool:
        """True if the locks stand in files of several folders, so that each is for what lies below."""
        return len({one.folder for one in self.every if one.folder}) > 1

    def deciding(self, path: str, key: PolicyKey) -> Lock | None:
        """Return the lock that decides a policy for the fields of a file.

        That is the nearest one above it that holds the policy, else the nearest one; where none stands above, the only one
        that holds the policy.
        """
        place = posixpath.normpath(path or HERE)
        above = sorted((one for one in self.every if _is_above(one.folder, place)), key=lambda one: _distance(one.folder))
        holding = [one for one in above or self.every if one.entry(key)]
        if above:
            return holding[0] if holding else above[0]
        return holding[0] if len(holding) == 1 else None

    def named(self, name: str) -> list[Lock]:
        """Return the locks of a name."""
        return [one for one in self.every if one.name == name]

    def holding(self, key: PolicyKey) -> list[Lock]:
        """Return the locks that have an entry of a policy."""
        return [one for one in self.every if one.entry(key)]

    def here(self) -> Lock | None:
        """Return what the locks hold together for what stands in no file: each policy from the one that decides it there."""
        keys = sorted({entry.policy for lock in self.every for entry in lock.all})
        return by_scope([(key, self.deciding(HERE, key)) for key in keys], ()) if self.every else None

    def as_one(self, name: str, problems: Problems) -> Lock | None:
        """Return what the locks hold together, for the whole run. Two of one folder that hold one policy are a problem.

        `name` is `spec.lock`: where no files tell them apart that one counts alone.
        """
        named = self.every if self.is_by_folder else tuple(one for one in self.every if name in ("", one.name))
        if name and not self.is_by_folder and len(named) != 1 and self.every:
            many = f"and {len(named)} ImageLocks have this name: rename one" if named else f"and there is none: found {', '.join(one.name for one in self.every)}"
            _add(problems, self.every[0], "metadata.name", f"spec.lock names {name}, {many}")
            return None
        homes: dict[tuple[str, PolicyKey], Lock] = {}
        for lock in named:
            for key in dict.fromkeys(entry.policy for entry in lock.all):
                other = homes.setdefault((lock.folder, key), lock)
                if other is not lock:
                    both = f"ImageLock {other.name} and ImageLock {lock.name}"
                    _add(problems, lock, "", f"{both} hold policy {key}: name one with spec.lock of an ImageAutomation, or keep one")
        if len(named) < 2 or self.is_by_folder:
            return named[0] if named else None
        return _joined((key, lock) for (_, key), lock in homes.items())


def by_scope(pairs: Iterable[tuple[PolicyKey, Lock | None]], others: Iterable[Lock]) -> Lock:
    """Return locks as one, whose entries are named by their scope: `pairs` are policies in a scope, and who decides them.

    What `others` hold besides is in it too, under names of its own.
    """
    locks = {key: lock for key, lock in pairs if lock is not None}
    used = {(id(lock), key.plain) for key, lock in locks.items()}
    rest = {
        entry.policy._replace(lock=lock.folder): lock
        for lock in others
        for entry in lock.all
        if (id(lock), entry.policy) not in used
    }
    return _joined([*locks.items(), *rest.items()])


def _joined(homes: Iterable[tuple[PolicyKey, Lock]]) -> Lock:
    from krmfn.config.lock import Lock

    entries: list[LockEntry] = []
    objects: dict[PolicyKey, Object] = {}
    for key, lock in homes:
        entries += [entry._replace(policy=key) for entry in lock.of(key.plain)]
        if lock.object is not None:
            objects[key] = lock.object
    return Lock(tuple(sorted(entries, key=lambda entry: entry.place)), None, objects)


def scope_of(home: Lock | None, record: Lock | None) -> str:
    """Return the name of a scope: the folders of the locks that decide in it."""
    return " ".join(dict.fromkeys(one.folder for one in (home, record) if one is not None))


def own_locks(locks: Locks, name: str, policies: Mapping[PolicyKey, ImagePolicy], declared: Collection[PolicyKey]) -> Locks:
    """Return the locks without those that are only followed: they hold other policies than stand here, or another one is named."""
    followed = {one.lock for policy in policies.values() if (one := policy.rules.followed)}
    named = "" if locks.is_by_folder else name

    def is_own(lock_name: str, keys: Collection[PolicyKey]) -> bool:
        is_here = not keys or any(key in declared for key in keys)
        return lock_name not in followed or lock_name == named or (not named and is_here)

    return Locks(tuple(one for one in locks.every if is_own(one.name, [entry.policy for entry in one.all])))


def check_circles(policies: Mapping[PolicyKey, ImagePolicy], own: Locks, name: str, problems: Problems) -> None:
    """Note circles of policies that follow each other, and a policy that follows its own record."""
    after = {key: PolicyKey(*one.policy.split(":")) for key, policy in policies.items() if (one := policy.rules.followed)}
    reported: set[PolicyKey] = set()
    for start in sorted(after):
        way = [start]
        while (key := after.get(way[-1])) is not None and key not in way:
            way.append(key)
        followed = policies[start].rules.followed
        # `way` ends where nothing is followed, or where it comes back: a circle is told once, by its first name.
        if key == start and len(way) > 1 and start not in reported:
            reported.update(way)
            circle = " -> ".join(map(str, (*way, start)))
            problems.add(policies[start].defined, "", f"policies follow each other in a circle: {circle}: let one of them choose by itself")
        elif key == start and len(way) == 1 and followed and name in ("", followed.lock) and own.named(followed.lock):
            message = (
                f"policy {start} follows its own record in lock {followed.lock}: name the lock of this environment with spec.lock, "
                "or give the policy another name"
            )
            problems.add(policies[start].defined, "", message)


def _add(problems: Problems, lock: Lock, path: str, message: str) -> None:
    if lock.object is not None:
        problems.add(lock.object.id, path, message)


def _ups(path: str) -> int:
    """Return how many folders a path leads up at its start."""
    parts = path.split("/")
    return next((index for index, part in enumerate(parts) if part != ".."), len(parts))


def _is_above(folder: str, path: str) -> bool:
    if folder == "." or _ups(folder) == folder.count("/") + 1:
        return not path.startswith("/") and _ups(path) <= _ups(folder)
    return bool(folder) and path.startswith(f"{folder.rstrip('/')}/")


def _distance(folder: str) -> int:
    """Return a number that is lower the nearer a folder above a file is to it."""
    depth = 0 if folder == "." else folder.count("/") + 1
    # Of `..`, `.` and `a` the last is the nearest: a step up adds one, and takes back the one that counted it as depth.
    return 2 * _ups(folder) - depth
