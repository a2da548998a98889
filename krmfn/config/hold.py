"""ImageHold: people say that a policy stays on one tag, skips one, or need not wait for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from krmfn.config import schema
from krmfn.image import is_tag
from krmfn.model import ImagePolicy, PolicyKey
from krmfn.policies.number import moment, read_time

if TYPE_CHECKING:
    from krmfn.config.objects import Object, Problems

NEWER = "newer"


class Hold(NamedTuple):
    """One ImageHold: of a policy or an image, exactly one of `tag`, `skip` (`not`) and `no_wait` (`releaseAge`)."""

    policy: PolicyKey | None
    image: str
    tag: str = ""
    skip: str = ""
    no_wait: str = ""
    until: float | None = None
    because: str = ""
    ends_with_newer: bool = False
    """`until: newer`: it ends at the first eligible tag that is newer than the one to skip."""
    resource: Object | None = None
    """Where it stands; holds that say the same are equal wherever they stand."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hold) and self[:-1] == other[:-1]

    def __hash__(self) -> int:
        return hash(self[:-1])

    def is_about(self, policy: ImagePolicy) -> bool:
        """True if the hold names the policy, or the policy's image."""
        return self.policy == policy.key.plain or self.image == policy.repository.image.canonical

    def is_in_force(self, now: float | None) -> bool:
        """True before `until`, which is exclusive; without any `now` a hold is in force."""
        return self.until is None or now is None or now < self.until

    @property
    def end(self) -> str:
        """`until 2026-12-01T00:00Z`, `until a newer tag`, or nothing."""
        if self.until is None:
            return "until a newer tag" if self.ends_with_newer else ""
        return f"until {moment(self.until)}"

    @property
    def state(self) -> str:
        """`held until 2026-12-01T00:00Z`, or `held`."""
        return f"held {self.end}".rstrip()

    @property
    def described(self) -> str:
        """`held: tests failed (until 2026-12-01T00:00Z)`, as far as it was said."""
        return f"held{': ' if self.because else ''}{self.because}{f' ({self.end})' if self.end else ''}"


def read_holds(objects: Iterable[Object], problems: Problems) -> tuple[Hold, ...]:
    """Read every ImageHold; what is wrong with one is noted."""
    holds = []
    for resource in schema.of_kind(objects, "ImageHold"):
        is_wrong = problems.add_all(resource.id, schema.problems("ImageHold", resource.data))
        if not is_wrong and (hold := _hold(resource, problems)):
            holds.append(hold)
    staying: dict[tuple[PolicyKey | None, str], Hold] = {}
    for one in holds:
        twin = staying.setdefault((one.policy, one.image), one) if one.tag else one
        if twin.tag != one.tag and one.resource and twin.resource:
            problems.add(one.resource.id, "spec.tag", f"{twin.resource.id} holds {twin.tag} for the same: keep one")
    return tuple(holds)


def _hold(resource: Object, problems: Problems) -> Hold | None:
    spec, key, image = resource.spec, None, ""
    members = [name for name in ("tag", "not", "releaseAge") if spec.get(name)]
    if bool(spec.get("policy")) == bool(spec.get("image")):
        problems.add(resource.id, "spec", "expected either policy (namespace:name) or image")
        return None
    if len(members) != 1:
        problems.add(resource.id, "spec", "expected one of tag (stay on it), not (skip it), releaseAge (do not wait for it)")
        return None
    if not is_tag(spec[members[0]]):
        problems.add(resource.id, f"spec.{members[0]}", f"{spec[members[0]]!r} is not a tag")
    if spec.get("policy"):
        namespace, colon, name = spec["policy"].partition(":")
        if not colon or not name or ":" in name:
            problems.add(resource.id, "spec.policy", f"expected namespace:name, found {spec['policy']!r}")
        key = PolicyKey(namespace, name)
    else:
        repository = problems.repository(resource.id, "spec.image", spec["image"])
        image = repository.canonical if repository else ""
    ends_with_newer = spec.get("until") == NEWER
    until = read_time(spec["until"]) if spec.get("until") and not ends_with_newer else None
    if spec.get("until") and until is None and not ends_with_newer:
        problems.add(resource.id, "spec.until", f"expected a date, an RFC 3339 time or {NEWER}, found {spec['until']!r}")
    if ends_with_newer and not spec.get("not"):
        problems.add(resource.id, "spec.until", f"{NEWER} goes with not: nothing is newer than to stay, or not to wait")
    tag, skip, no_wait = (spec.get(name) or "" for name in ("tag", "not", "releaseAge"))
    return Hold(key, image, tag, skip, no_wait, until, spec.get("because") or "", ends_with_newer, resource)
