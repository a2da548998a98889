"""`follow`: the tag and digest that another environment's lock has recorded for a while. It asks no registry for tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from krmfn.errors import RuleError
from krmfn.policies.newer import compare
from krmfn.policies.number import duration
from krmfn.policies.protocol import Context, Decision, Followed, Policy
from krmfn.policies.reason import Reason


class Follow(Policy):
    """What the lock named `lock` holds for the policy `policy`, once it has held it for the time of `soak`; of several tags the highest."""

    kind = "follow"

    def __init__(self, followed: Followed, soak: str) -> None:
        self.followed: Followed = followed
        self.soak: Final = soak
        """As it was written."""

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
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
        return cls(Followed(lock, policy, seconds), soak)

    @property
    def options(self) -> dict[str, Any]:
        """See Policy.options."""
        return self.followed._asdict()

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"follow {self.followed.policy} of lock {self.followed.lock}, soak {self.soak}"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate. What it is given is what a lock holds; of several the highest."""
        best = 0
        for place in range(1, len(texts)):
            if (compare(texts[place], texts[best]) or 0, tags[place]) > (0, tags[best]):
                best = place
        return Decision(bytearray([Reason.LOWER]) * len(texts), best)

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        return compare(text, other) == 1
