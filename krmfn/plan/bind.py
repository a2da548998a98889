"""*bind*: which field takes which part of which policy's choice. Looks only; changes nothing, asks nobody.

Markers follow Flux's attachment rules, annotations survive `kustomize build`, targets come from the configuration, and
images match by canonical repository. A field that is bound by name twice, to different choices, is an error that names
both; image matching is the last resort and gives way to the other three. A run imports the bindings that it meets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from krmfn.config.objects import Hints
from krmfn.kubernetes.resource import Resource, describe, owner
from krmfn.model import Choice, Choices, Chosen, Diagnostic, Field, Location, Part, PolicyKey
from krmfn.plan.target import ANNOTATION, FORMS, Bound, Setter, Target, meant, parse_setter
from krmfn.yamledit import markers, prefilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krmfn.config.records import Config
    from krmfn.kubernetes.charts import Key
    from krmfn.kubernetes.overriding import Graph
    from krmfn.model import Severity
    from krmfn.plan.bind_images import NamedImages
    from krmfn.plan.bind_named import NamedFields
    from krmfn.plan.records import Scope
    from krmfn.yamledit.nodes import Block
    from krmfn.yamledit.text import Scalar

_NEEDLE = ANNOTATION.encode()
NO_CHOICES: Choices = MappingProxyType({})


def early(scope: Scope) -> Scope:
    """Bind before anything is decided, where the fields tell which policies there are.

    Where several locks decide, a policy is one for each of them; one whose digest a field would lose is none.
    """
    if scope.rules.is_by_folder:
        from krmfn.plan import bind_scopes

        scope = bind_scopes.by_lock(scope, bind(scope.blocks, scope.rules, graph=scope.graph))
    if any(one.is_verified for one in scope.wanted):
        from krmfn.plan import bind_tag_only

        scope = bind_tag_only.without(scope, scope.bound or bind(scope.blocks, scope.rules, graph=scope.graph))
    return scope


def bind(
    blocks: Iterable[Block], config: Config, choices: Choices = NO_CHOICES, graph: Graph | None = None
) -> Bound:
    """Find every field that a policy is bound to, in the blocks that may change. Raises InputError for no YAML.

    A block that holds already what `choices` come to is not composed.
    """
    blocks, current = tuple(blocks), expected(config, choices)
    binder = Binder(config, blocks, graph)
    for block in blocks:
        raw = block.raw
        # Composing takes most of a run's time: a block that cannot change is told by its bytes alone.
        if not prefilter.may_change(raw, current, binder.needles) and not (binder.images and binder.images.may_name(block)):
            binder.skip(raw)
        else:
            binder.look(block)
            block.forget()
    if binder.fields is not None:
        binder.fields.close()
    claims = binder.claims
    return Bound(tuple(claims.targets), tuple(claims.results), frozenset(claims.policies))


class Claims:
    """Collects targets, problems, and the policies that some field is bound to; one instance serves one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.targets: list[Target] = []
        self.results: list[Diagnostic] = []
        self.policies: set[PolicyKey] = set()
        self.hints = Hints()

    def claim(self, targets: dict[int, Target], target: Target) -> None:
        """Take a target of a block; two policies for one field are an error that names both."""
        other = targets.setdefault(target.scalar.start, target)
        if other.setter != target.setter:
            message = f"two policies for one field: {other.how} says {other.setter}, {target.how} says {target.setter}; keep one of them"
            self.say("error", "two-policies", message, target.resource, target.scalar)

    def say(
        self, severity: Severity, code: str, message: str, resource: Resource, scalar: Scalar | None = None
    ) -> None:
        """Report something of a resource, or of one of its fields."""
        place = resource.place(scalar.start) if scalar else resource.file
        where = Field(scalar.path, scalar.value) if scalar else None
        self.results.append(Diagnostic(severity, code, message, Location(resource.id, where, place)))

    def is_known(
        self, setter: Setter | None, text: str, how: str, binding: str, resource: Resource, scalar: Scalar | None
    ) -> bool:
        """True if a setter names a policy that this binding may use; why not is reported. `how` names the place."""
        if setter is None:
            message = f"{how} {text!r} names no policy: expected {FORMS}{meant(text, self.config.declared, self.hints)}"
            self.say("warning", "bad-setter", message, resource, scalar)
        elif setter.policy in self.config.policies:
            if binding in self.config.policies[setter.policy].bind:
                return True
            message = f"{how} names policy {setter.policy}, whose bind leaves {binding} out"
            self.say("warning", "left-out", message, resource, scalar)
        elif setter.policy in self.config.unresolved:
            severity: Severity = "error" if self.config.settings.on_error == "fail" else "warning"
            self.policies.add(setter.policy)
            message = f"policy {setter.policy}: {self.config.unresolved[setter.policy].why}"
            self.say(severity, "dangling-policy", message, resource, scalar)
        elif setter.policy not in self.config.declared:
            message = f"{how} names policy {setter.policy}, which is not configured{meant(str(setter.policy), self.config.declared, self.hints)}"
            self.say("warning", "unknown-policy", message, resource, scalar)
        return False


def expected(config: Config, choices: Choices) -> prefilter.Expected:
    """Return what fields must hold so that nothing changes, as far as that is known before digests are asked for."""
    setters: dict[str, str | None] = {}
    images: dict[str, frozenset[str] | None] = {}
    for key in config.policies:
        values = _values(choices.get((key, "")))
        setters |= {str(Setter(key, part)): values.get(part) for part in Part}
    for canonical, policies in config.by_image().items():
        image = _values(choices.get((policies[0].key, ""))).get(Part.IMAGE) if len(policies) == 1 else None
        images[canonical] = frozenset({image}) if image else None
    others = config.declared - config.policies.keys() - config.unresolved.keys()
    return prefilter.Expected(setters, images, frozenset(str(Setter(key, part)) for key in others for part in Part))


def _values(choice: Choice | None) -> Mapping[Part, str | None]:
    """Return what each part of a choice comes to; nothing where the digest is not known yet, or the tag may have to wait."""
    if not isinstance(choice, Chosen) or choice.policy.is_judged or (choice.policy.reflects and not choice.digest):
        return {}
    return {Part.IMAGE: choice.ref, Part.TAG: choice.tag, Part.NAME: choice.policy.repository.image.name, Part.DIGEST: choice.digest}


class Binder:
    """Walks blocks and collects targets; one instance serves one run."""

    def __init__(self, config: Config, blocks: Iterable[Block], graph: Graph | None = None) -> None:
        self.config, self.claims = config, Claims(config)
        self.images: NamedImages | None = None
        self.fields: NamedFields | None = None
        words = {_NEEDLE}
        if by_image := config.by_image():
            from krmfn.plan.bind_images import NamedImages

            self.images = NamedImages(self.claims, by_image, blocks, graph)
        if config.targets:
            words |= self._named_fields().needles()
        self.needles = tuple(sorted(words))

    def _named_fields(self) -> NamedFields:
        if self.fields is None:
            from krmfn.plan.bind_named import NamedFields

            self.fields = NamedFields(self.claims)
        return self.fields

    def skip(self, raw: bytes) -> None:
        """Count what a block that needs no change holds as bound."""
        if len(self.claims.policies) == len(self.config.policies):
            return
        if prefilter.may_hold_marker(raw):
            self.claims.policies |= {setter.policy for text in prefilter.setters_in(raw) if (setter := parse_setter(text))}
        if self.images:
            self.images.count(raw)

    def look(self, block: Block) -> None:
        """Find the targets of one block, which is composed where its places alone do not tell them."""
        targets: dict[int, Target] = {}
        reserved: set[int] = set()
        raw = block.raw
        is_marked, may_be_annotated = prefilter.may_hold_marker(raw), prefilter.may_hold(raw, (_NEEDLE,))
        resources = describe(block) if is_marked or may_be_annotated or self.config.targets else ()
        if is_marked and resources:
            for target in self._marked(markers.read(block), resources, reserved):
                self.claims.claim(targets, target)
        for resource in resources:
            if may_be_annotated:
                for target in self._named_fields().annotations(resource, reserved):
                    self.claims.claim(targets, target)
            if self.config.targets:
                for target in self._named_fields().of_targets(resource):
                    self.claims.claim(targets, target)
        if self.images:  # last: what is bound by name, or meant to be, keeps matching by image off the field
            reserved |= targets.keys()
            for target in self.images.targets(block, reserved):
                targets.setdefault(target.scalar.start, target)
        if markers.may_ignore(raw):
            for start in [start for start in targets if markers.is_ignored(block.text.data, start)]:
                del targets[start]
        # A pin beside a tag that moves would go on running the old image, so it moves with the tag.
        if targets and self.config.settings.keep_pins and prefilter.may_pin_beside(raw):
            self._pair(describe(block), targets, reserved)
        for _, target in sorted(targets.items()):
            self.claims.targets.append(target)
            self.claims.policies.add(target.setter.policy)

    def _marked(
        self, marks: Iterable[markers.Marker], resources: tuple[Resource, ...], reserved: set[int]
    ) -> Iterator[Target]:
        for marker in marks:
            setter, resource = parse_setter(marker.setter), owner(resources, marker.scalar.start)
            if resource.is_definition:
                continue
            reserved.add(marker.scalar.start)
            if self.claims.is_known(setter, marker.setter, "marker", "markers", resource, marker.scalar) and setter:
                yield Target(marker.scalar, setter, "marker", resource)

    def _pair(self, resources: tuple[Resource, ...], targets: dict[int, Target], reserved: set[int]) -> None:
        from krmfn.plan.bind_digests import pair  # few resources hold a digest in a field of its own

        charts: Mapping[Key, str] = self.images.charts if self.images else MappingProxyType({})
        for resource in resources:
            if not resource.is_definition:
                pair(resource, targets, reserved, self.config.policies, charts)
