"""`newest`: the most recently built image. krmfn's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from krmfn.errors import RuleError
from krmfn.policies import number, release
from krmfn.policies.newer import floating, specificity
from krmfn.policies.protocol import Context, Decision, Policy, option
from krmfn.policies.reason import Reason

LOOK_UPS = 20


class Newest(Policy):
    """The most recently built image. Times are asked for a bounded number of tags: the highest in natural order.

    Natural order compares runs of digits as numbers. Tags that float (`latest`, and `v1` beside `v1.0.0`) are never
    taken; of equal times the most specific version wins, then a release, then the higher one.
    """

    kind = "newest"
    needs_created = True

    def __init__(self, limit: int = LOOK_UPS) -> None:
        self.limit: Final = limit

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Read `{limit: 20}`; raises RuleError."""
        text = option(options, "limit") or str(LOOK_UPS)
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0):
            raise RuleError(f"invalid limit {text!r}: expected a whole number from 1 to 99999", field="limit")
        return cls(int(text))

    @property
    def options(self) -> dict[str, Any]:
        """See Policy.options."""
        return {"limit": self.limit}

    def candidates(self, tags: Sequence[str], limit: int | None = None) -> tuple[str, ...]:
        """Choose the tags whose times are asked, most promising first; none that floats."""
        from heapq import nlargest

        still = [tag for tag, floats in zip(tags, floating(tags), strict=True) if not floats]
        return tuple(nlargest(min(limit or self.limit, len(still)), still, key=release.natural_key))

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """See Policy.evaluate."""
        if context.created is None:
            why = "policy newest reads them from the registry or a TagSnapshot"
            return Decision(bytearray([Reason.NOT_ASKED]) * len(texts), None, "no creation times are known", why)
        floats = floating(tags)
        if all(floats):
            why = f"all {len(tags)} float, such as {max(tags)}; policy digest follows one that is deployed"
            return Decision(bytearray([Reason.FLOATING]) * len(texts), None, "no tag names one version", why)
        asked = set(self.candidates(tags))
        times = {index: number.read_time(context.created(tag)) for index, tag in enumerate(tags) if tag in asked}
        reasons = bytearray(Reason.FLOATING if one else Reason.NOT_ASKED for one in floats)
        for index, time in times.items():
            reasons[index] = Reason.UNDATED if time is None else Reason.LOWER
        dated = [
            (time, specificity(tags[index]), release.natural_key(tags[index]), index)
            for index, time in times.items()
            if time is not None
        ]
        if not dated:
            return Decision(reasons, None, "no creation time is readable", f"{len(times)} images were looked up")
        return Decision(reasons, max(dated)[-1])
