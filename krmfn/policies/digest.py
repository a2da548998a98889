"""`digest`: the tag that is deployed stays, and its digest moves. krmfn's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from krmfn.policies.protocol import Context, Decision
from krmfn.policies.reason import Reason


class Digest(NamedTuple):
    """Keeps the tag that is deployed, so that only its digest moves."""

    kind: str = "digest"

    @classmethod
    def parse(cls, _options: Mapping[str, Any]) -> Digest:
        """Read `{}`."""
        return cls()

    @property
    def described(self) -> str:
        """See Policy.described."""
        return "digest"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """See Policy.evaluate."""
        reasons = bytearray([Reason.NOT_CURRENT]) * len(texts)
        if context.current is None:
            return Decision(
                reasons, None, "no tag is deployed", "policy digest keeps the tag that a field has, and none is known"
            )
        place = next((index for index, tag in enumerate(tags) if tag == context.current), None)
        if place is None:
            return Decision(
                reasons, None, f"tag {context.current} is not listed", "policy digest keeps the tag that is deployed"
            )
        return Decision(reasons, place)

    def accepts(self, text: str) -> bool:  # noqa: ARG002
        """See Policy.accepts."""
        return True

    def outranks(self, text: str, other: str) -> bool:  # noqa: ARG002
        """See Policy.outranks."""
        return False

    def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:  # noqa: ARG002
        """See Policy.overlooks."""
        return False

    def canonical(self) -> dict[str, Any]:
        """See Policy.canonical."""
        return {"digest": {}}
