"""`digest`: the tag that is deployed stays, and its digest moves. krmfn's own."""

from __future__ import annotations

from collections.abc import Sequence

from krmfn.policies.protocol import Context, Decision, Policy
from krmfn.policies.reason import Reason


class Digest(Policy):
    """The tag that is deployed, so that only its digest moves."""

    kind = "digest"
    pins_current = follows_current = True

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """See Policy.evaluate."""
        reasons = bytearray([Reason.NOT_CURRENT]) * len(texts)
        if context.current is None:
            return Decision(reasons, None, "no tag is deployed", "policy digest keeps the tag that a field has, and none is known")
        if context.current not in tags:
            return Decision(reasons, None, f"tag {context.current} is not listed", "policy digest keeps the tag that is deployed")
        return Decision(reasons, tags.index(context.current))
