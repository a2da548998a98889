"""`alphabetical` and `numerical`: the last text in an order, as in Flux (internal/policy/{alphabetical,numerical}.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from krmfn.errors import RuleError
from krmfn.policies import number
from krmfn.policies.options import option
from krmfn.policies.protocol import Context, Decision
from krmfn.policies.reason import Reason


class Alphabetical(NamedTuple):
    """The last text in the order of bytes; the first when descending."""

    is_descending: bool = False
    kind: str = "alphabetical"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Alphabetical:
        """Read `{order: asc|desc}`; raises RuleError."""
        return cls(_is_descending(options))

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"alphabetical {_order(is_descending=self.is_descending)}"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate."""
        best = min(texts) if self.is_descending else max(texts)
        tied = [index for index, text in enumerate(texts) if text == best]
        return Decision(bytearray([Reason.LOWER]) * len(texts), min(tied, key=tags.__getitem__))

    def accepts(self, text: str) -> bool:  # noqa: ARG002
        """See Policy.accepts."""
        return True

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        return text < other if self.is_descending else text > other

    def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:  # noqa: ARG002
        """See Policy.overlooks."""
        return False

    def canonical(self) -> dict[str, Any]:
        """See Policy.canonical."""
        return {"alphabetical": {"order": _order(is_descending=self.is_descending)}}


class Numerical(NamedTuple):
    """The greatest number; the least when descending. One text that is no number fails the policy, as in Flux.

    Integers compare exactly, where Flux's float64 loses digits beyond 2^53. Of equal numbers the smallest tag wins.
    """

    is_descending: bool = False
    kind: str = "numerical"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Numerical:
        """Read `{order: asc|desc}`; raises RuleError."""
        return cls(_is_descending(options))

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"numerical {_order(is_descending=self.is_descending)}"

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

    def canonical(self) -> dict[str, Any]:
        """See Policy.canonical."""
        return {"numerical": {"order": _order(is_descending=self.is_descending)}}


def _not_numbers(bad: list[int], texts: Sequence[str], tags: Sequence[str]) -> Decision:
    reasons = bytearray(len(texts))
    for index in bad:
        reasons[index] = Reason.NOT_A_NUMBER
    # Flux reads in descending order and names the first that fails.
    worst = max(bad, key=tags.__getitem__)
    of = "" if texts[worst] == tags[worst] else f" of tag {tags[worst]}"
    why = f"{len(bad)} of {len(texts)} are not numbers{of and ', the one named is' + of}; let filterTags take only numbers, such as ^[0-9]+$"
    return Decision(reasons, None, f"failed to parse invalid numeric value '{texts[worst]}'", why)


def _order(*, is_descending: bool) -> str:
    return "desc" if is_descending else "asc"


def _is_descending(options: Mapping[str, Any]) -> bool:
    order = option(options, "order").upper()
    if order not in ("", "ASC", "DESC"):
        raise RuleError(f"invalid order argument provided: '{order}', must be one of: ASC, DESC", field="order")
    return order == "DESC"
