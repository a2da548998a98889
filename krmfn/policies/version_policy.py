"""`version`: the highest tag of the deployed one's shape, inside a bound. What `krmfn check` shows, as a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from krmfn.errors import RuleError
from krmfn.policies.constraint import Constraint
from krmfn.policies.newer import Shape, successor
from krmfn.policies.protocol import KEPT, Context, Decision, Policy, Within
from krmfn.policies.reason import Reason
from krmfn.policies.version import Version

DEFAULT: Within = "minor"


class VersionPolicy(Policy):
    """The highest tag that has the shape of the deployed one and keeps its leading numbers.

    `patch` keeps the first two numbers, `minor` the first, `major` none. The deployed tag is the lower end: nothing
    below it is ever chosen, and a tag that holds no version stays. A range bounds the numbers: for it a variant is no
    prerelease, and what is left out is zero.
    """

    kind = "version"
    follows_current = True

    def __init__(self, within: Within = DEFAULT, bound: Constraint | None = None) -> None:
        self.within: Final = within
        self.range: Final = bound

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Read `{within: patch|minor|major, range: ...}`; left out the bound is minor. Raises RuleError."""
        value, text = options.get("within", DEFAULT), options.get("range")
        if not isinstance(value, str) or value not in KEPT:
            raise RuleError(f"expected one of {', '.join(KEPT)}, found {value!r}", field="within")
        if text is None:
            return cls(value)
        try:
            return cls(value, Constraint.parse(str(text)))
        except RuleError as error:
            raise RuleError(error.message, field="range", help=error.help) from None

    @property
    def options(self) -> dict[str, Any]:
        """See Policy.options."""
        return {"within": self.within} | ({"range": str(self.range)} if self.range else {})

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"version within {self.within}" + (f", {self.range}" if self.range else "")

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """See Policy.evaluate. `tags` decide between texts of one version."""
        current = context.current
        if current is None:
            reasons = bytearray([Reason.NOT_EVALUATED]) * len(texts)
            why = "policy version moves on from the tag that a field has, and none is known"
            return Decision(reasons, None, "no tag is deployed", why)
        deployed = None if context.current_text is None else Shape.parse(context.current_text)
        if deployed is None:
            what = "is not matched by filterTags" if context.current_text is None else "holds no version"
            reasons = bytearray([Reason.OTHER_SHAPE]) * len(texts)
            return Decision(reasons, _place(current, tags), stays=f"{current} {what}")
        shapes = [Shape.parse(text) for text in texts]
        inside = [shape if shape is not None and self._holds(shape) else None for shape in shapes]
        reasons, place = successor(deployed, inside, tags, self.within)
        for index, shape in enumerate(shapes):
            if shape is not None and inside[index] is None:
                reasons[index] = Reason.OUT_OF_RANGE
        if place is None:
            place = _place(current, tags)
        if place is not None:
            return Decision(reasons, place)
        stays = f"{current} is not among the tags that count, and none of its shape is above it within {self.within}"
        return Decision(reasons, None, stays=stays)

    def accepts(self, text: str) -> bool:
        """See Policy.accepts."""
        shape = Shape.parse(text)
        return shape is not None and self._holds(shape)

    def _holds(self, shape: Shape) -> bool:
        """True if the first three numbers are inside the range."""
        major, minor, patch = (*shape.numbers, 0, 0)[:3]
        return self.range is None or self.range.check(Version(major, minor, patch))

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        shape, than = Shape.parse(text), Shape.parse(other)
        return shape is not None and than is not None and shape.family == than.family and shape.key > than.key


def _place(current: str, tags: Sequence[str]) -> int | None:
    return next((place for place, tag in enumerate(tags) if tag == current), None)
