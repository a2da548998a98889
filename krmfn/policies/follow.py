"""`follow`: the tag and digest that another environment's lock has recorded for a while. It asks no registry for tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from krmfn.errors import RuleError
from krmfn.policies.newer import compare
from krmfn.policies.number import duration
from krmfn.policies.protocol import Context, Decision
from krmfn.policies.reason import Reason


class Follow(NamedTuple):
    """Takes what the lock named `lock` holds for the policy `policy`, once it holds that for `soak` seconds."""

    lock: str
    policy: str
    soak: int
    written: str
    kind: str = "follow"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Follow:
        """Read `{lock: staging, policy: "shop:web", soak: 2 days}`; raises RuleError."""
        lock, policy, soak = (str(options.get(name) or "").strip() for name in ("lock", "policy", "soak"))
        if not lock:
            raise RuleError("expected the metadata.name of an ImageLock", field="lock")
        namespace, _, name = policy.partition(":")
        if not (namespace and name) or ":" in name:
            raise RuleError(f"expected namespace:name, found {policy!r}", field="policy")
        seconds = duration(soak)
        if not seconds:
            raise RuleError(f"expected a duration above zero such as 2 days or 12h, found {soak!r}", field="soak")
        return cls(lock, policy, seconds, soak)

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"follow {self.policy} of lock {self.lock}, soak {self.written}"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate. What it is given is what a lock holds; of several the highest."""
        best = 0
        for place in range(1, len(texts)):
            if (compare(texts[place], texts[best]) or 0, tags[place]) > (0, tags[best]):
                best = place
        return Decision(bytearray([Reason.LOWER]) * len(texts), best)

    def accepts(self, text: str) -> bool:  # noqa: ARG002
        """See Policy.accepts."""
        return True

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        return compare(text, other) == 1

    def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:  # noqa: ARG002
        """See Policy.overlooks."""
        return False

    def canonical(self) -> dict[str, Any]:
        """See Policy.canonical."""
        return {"follow": {"lock": self.lock, "policy": self.policy, "soak": self.soak}}
