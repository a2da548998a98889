"""`alphabetical` and `numerical`: the last text in an order, as in Flux (internal/policy/{alphabetical,numerical}.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, cast

from krmfn.errors import RuleError
from krmfn.policies import number
from krmfn.policies.protocol import Context, Decision, Policy, option
from krmfn.policies.reason import Reason


class _Ordered(Policy):
    """What both have in common: `order`, in which the last text is taken."""

    def __init__(self, *, is_descending: bool = False) -> None:
        self.is_descending: Final = is_descending

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Read `{order: asc|desc}`; raises RuleError."""
        order = option(options, "order").upper()
        if order not in ("", "ASC", "DESC"):
            raise RuleError(f"invalid order argument provided: '{order}', must be one of: ASC, DESC", field="order")
        return cls(is_descending=order == "DESC")

    @property
    def options(self) -> dict[str, Any]:
        """See Policy.options."""
        return {"order": "desc" if self.is_descending else "asc"}

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"{self.kind} {self.options['order']}"


class Alphabetical(_Ordered):
    """The last text in the order of bytes; the first when descending."""

    kind = "alphabetical"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate."""
        best = min(texts) if self.is_descending else max(texts)
        tied = [index for index, text in enumerate(texts) if text == best]
        return Decision(bytearray([Reason.LOWER]) * len(texts), min(tied, key=tags.__getitem__))

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        return text < other if self.is_descending else text > other


class Numerical(_Ordered):
    """The greatest number; the least when descending. One text that is no number fails the policy, as in Flux.

    Integers compare exactly, where Flux's float64 loses digits beyond 2^53. Of equal numbers the smallest tag wins.
    """

    kind = "numerical"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate."""
        values = number.read_all(texts)
        if None in values:
            return _not_numbers([index for index, value in enumerate(values) if value is None], texts, tags)
        best = number.extreme(cast("list[number.Number]", values), tags, texts, is_least=self.is_descending)
        return Decision(bytearray([Reason.LOWER]) * len(texts), best)

    def accepts(self, text: str) -> bool:
        """See Policy.accepts."""
        return number.read(text) is not None

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        value, than = number.read(text), number.read(other)
        if value is None or than is None:
            return False
        return value < than if self.is_descending else value > than

    def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:
        """See Policy.overlooks."""
        return number.read(text) is None and not (numbers and self.is_descending)


def _not_numbers(bad: list[int], texts: Sequence[str], tags: Sequence[str]) -> Decision:
    reasons = bytearray(len(texts))
    for index in bad:
        reasons[index] = Reason.NOT_A_NUMBER
    # Flux reads in descending order and names the first that fails.
    worst = max(bad, key=tags.__getitem__)
    of = "" if texts[worst] == tags[worst] else f" of tag {tags[worst]}"
    why = f"{len(bad)} of {len(texts)} are not numbers{of and ', the one named is' + of}; let filterTags take only numbers, such as ^[0-9]+$"
    return Decision(reasons, None, f"failed to parse invalid numeric value '{texts[worst]}'", why)
