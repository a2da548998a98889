"""Targets: a field of a resource and the part of a policy's choice that it takes, as markers spell it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

from krmfn.config.objects import Hints, nearest
from krmfn.kubernetes.form import Form, read_form
from krmfn.kubernetes.resource import Resource, annotations_of
from krmfn.model import Diagnostic, Field, ImagePolicy, Location, Part, PolicyKey
from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.yamledit.text import Scalar

ANNOTATION = "krmfn.dev/images"
"""Binds fields of the resource it stands on, and survives `kustomize build`: container name or JSONPath -> setter."""

FORMS = "namespace:name, namespace:name:tag, namespace:name:name, namespace:name:digest or namespace:name:version"
_PARTS = {part.value: part for part in Part if part is not Part.IMAGE}


class Setter(NamedTuple):
    """What a marker asks for.

    >>> str(Setter(PolicyKey("flux-system", "web"), Part.TAG))
    'flux-system:web:tag'
    """

    policy: PolicyKey
    part: Part

    def __str__(self) -> str:
        """Return the text that markers hold."""
        return f"{self.policy}:{self.part.value}" if self.part is not Part.IMAGE else str(self.policy)


class Target(NamedTuple):
    """A field and what it is to take. `how` names the binding; `resource` says where it stands.

    `tag` is the tag that stands beside a digest in a field of its own. Two bindings follow from that of such a tag:
    `beside` moves the digest along, and `stray` is a digest in a form that is not known. A digest that is bound by image
    name and has no tag beside it is `alone`: it takes the digest of the tag that is chosen.
    """

    scalar: Scalar
    setter: Setter
    how: str
    resource: Resource
    tag: str | None = None

    @property
    def location(self) -> Location:
        """Where the field stands, and what it holds now."""
        where = Field(self.scalar.path, self.scalar.value)
        return Location(self.resource.id, where, self.resource.place(self.scalar.start))

    def form(self, policy: ImagePolicy) -> Form | None:
        """Return how the field spells what it holds, None when no known form is recognized."""
        value = "" if self.scalar.is_null else self.scalar.value
        return read_form(value, self.setter.part, policy.repository.image.canonical)


class Bound(NamedTuple):
    """Everything that was found. `policies` also counts fields that already hold the right value."""

    targets: tuple[Target, ...]
    results: tuple[Diagnostic, ...]
    policies: frozenset[PolicyKey]


@lru_cache(4096)
def parse_setter(text: str) -> Setter | None:
    """Read a marker's value; None when it has not the form `namespace:name[:tag|:name|:digest]`.

    >>> parse_setter("flux-system:web:tags") is None
    True
    """
    head, _, suffix = text.rpartition(":")
    if suffix in _PARTS and head.count(":") == 1:
        namespace, _, name = head.partition(":")
        return Setter(PolicyKey(namespace, name), _PARTS[suffix]) if name else None
    namespace, _, name = text.partition(":")
    return Setter(PolicyKey(namespace, name), Part.IMAGE) if name and ":" not in name else None


def meant(text: str, declared: Collection[PolicyKey], hints: Hints) -> str:
    """Hint at the setter that a wrong one may have meant: the same name elsewhere, or the nearest spelling.

    >>> meant("web:tag", [PolicyKey("default", "web")], Hints())
    '; did you mean default:web:tag?'
    """
    if not hints.may_look_at(len(declared) * (len(_PARTS) + 1)):
        return ""
    # Mostly the namespace is wrong or missing: a policy of the same name elsewhere is a better hint than a likeness of letters.
    keys = sorted(declared)
    head, _, tail = text.rpartition(":")
    policy, suffix = (head, f":{tail}") if head and tail in _PARTS else (text, "")
    for name, end in ((text.rpartition(":")[2], ""), (policy.rpartition(":")[2], suffix)):
        for key in keys:
            if key.name == name:
                return f"; did you mean {key}{end}?"
    if ":" not in policy:
        bare = {f"{key.name}{suffix}": f"{key}{suffix}" for key in reversed(keys)}
        from difflib import get_close_matches

        near = get_close_matches(policy + suffix, bare, 1)
        return f"; did you mean {bare[near[0]]}?" if near else ""
    return nearest(text, (f"{key}{end}" for key in keys for end in ("", *(f":{part}" for part in _PARTS))))


def annotated(resource: Resource) -> Iterator[tuple[str, str, Setter | None]]:
    """Yield key, text and setter of the entries of a resource's annotation; an empty key when it is no JSON object."""
    text = annotations_of(resource.root).get(ANNOTATION)
    if not text or resource.is_definition:
        return
    from krmfn.strict_json import parse

    try:
        entries = list(parse(text.encode("utf-8", "surrogatepass")).items())
    except ValueError:
        entries = [("", text)]
    for key, value in entries:
        yield key, str(value), parse_setter(value) if isinstance(value, str) else None
