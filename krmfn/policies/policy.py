"""Policies: each orders the texts it is given and takes one. A new policy is a class and a line in POLICIES.

Flux's are in image-reflector-controller internal/policy/{semver,alphabetical,numerical}.go; `version`, `newest` and
`digest` are krmfn's. A policy reads a text (the tag, or what filterTags extracts from it); ties are decided by the tags behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from krmfn.errors import RuleError
from krmfn.policies import number, release
from krmfn.policies.constraint import Constraint
from krmfn.policies.follow import Follow
from krmfn.policies.newer import floating, specificity
from krmfn.policies.protocol import Context, Decision, Policy
from krmfn.policies.reason import Reason
from krmfn.policies.version import Version, parse_tag
from krmfn.policies.version_policy import VersionPolicy

_NO_VERSION = "unable to determine latest version from provided list"
LOOK_UPS = 20


class SemVer(NamedTuple):
    """The highest version inside a range. Of equal versions the largest tag wins, as in Flux without a filter."""

    written: str
    constraint: Constraint
    kind: str = "semver"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> SemVer:
        """Read `{range: ...}`; raises RuleError."""
        text = _text(options, "range")
        try:
            return cls(text, Constraint.parse(text))
        except RuleError as error:
            raise RuleError(error.message, field="range", help=error.help) from None

    @property
    def described(self) -> str:
        """See Policy.described."""
        return f"semver {' '.join(self.written.split())}"

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], _context: Context) -> Decision:
        """See Policy.evaluate."""
        reasons, best = release.highest(texts, self.constraint)
        if not best:
            return Decision(reasons, None, _NO_VERSION, self._why(texts, reasons))
        winner = max(_one_per_text(best, texts, tags), key=tags.__getitem__)
        return Decision(reasons, winner)

    def _why(self, texts: Sequence[str], reasons: bytearray) -> str:
        if reasons.count(Reason.NOT_A_VERSION) == len(reasons):
            sample = max(texts)
            return f"none is a version with three parts, such as {sample!r}; filterTags can extract the version"
        top = release.top(texts)
        why = f"no tag satisfies {self.written}"
        if top is not None:
            why += f", highest {top}"
        if reasons.count(Reason.PRERELEASE) and not reasons.count(Reason.OUT_OF_RANGE):
            why += "; only prereleases are there: write the range with -0, such as >=1.0.0-0"
        return why

    def accepts(self, text: str) -> bool:
        """See Policy.accepts."""
        version = parse_tag(text)
        return version is not None and self.constraint.check(version)

    def outranks(self, text: str, other: str) -> bool:
        """See Policy.outranks."""
        version, than = parse_tag(text), parse_tag(other)
        return version is not None and than is not None and version.compare(than) > 0

    def overlooks(self, text: str, numbers: Sequence[int] = ()) -> bool:
        """See Policy.overlooks. A variant such as `1.2.3-alpine` is no prerelease, although its version says so."""
        from krmfn.policies.newer import is_variant  # few runs meet what no policy reads

        version = parse_tag(text)
        if version is not None and not (version.prerelease and is_variant(text)):
            return False
        major, minor, patch = (*numbers, 0, 0, 0)[:3]
        return not numbers or self.constraint.check(Version(major, minor, patch))

    def canonical(self) -> dict[str, Any]:
        """See Policy.canonical."""
        return {"semver": {"range": str(self.constraint)}}


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
        return Decision(_all(texts, Reason.LOWER), min(tied, key=tags.__getitem__))

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
        return Decision(_all(texts, Reason.LOWER), best)

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
        reasons = _all(texts, Reason.NOT_CURRENT)
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


class Newest(NamedTuple):
    """The most recently built image. Times are asked for a bounded number of tags: the highest in natural order.

    Natural order compares runs of digits as numbers. Tags that float (`latest`, and `v1` beside `v1.0.0`) are never
    taken; of equal times the most specific version wins, then a release, then the higher one.
    """

    limit: int = LOOK_UPS
    kind: str = "newest"

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Newest:
        """Read `{limit: 20}`; raises RuleError."""
        text = _text(options, "limit") or str(LOOK_UPS)
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0):
            raise RuleError(f"invalid limit {text!r}: expected a whole number from 1 to 99999", field="limit")
        return cls(int(text))

    @property
    def described(self) -> str:
        """See Policy.described."""
        return "newest"

    def candidates(self, tags: Sequence[str], limit: int | None = None) -> tuple[str, ...]:
        """Choose the tags whose times are asked, most promising first; none that floats."""
        from heapq import nlargest

        still = [tag for tag, floats in zip(tags, floating(tags), strict=True) if not floats]
        return tuple(nlargest(min(limit or self.limit, len(still)), still, key=release.natural_key))

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """See Policy.evaluate."""
        if context.created is None:
            why = "policy newest reads them from the registry or a TagSnapshot"
            return Decision(_all(texts, Reason.NOT_ASKED), None, "no creation times are known", why)
        floats = floating(tags)
        if all(floats):
            why = f"all {len(tags)} float, such as {max(tags)}; policy digest follows one that is deployed"
            return Decision(_all(texts, Reason.FLOATING), None, "no tag names one version", why)
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
        return {"newest": {"limit": self.limit}}


POLICIES: dict[str, Callable[[Mapping[str, Any]], Policy]] = {
    "semver": SemVer.parse,
    "alphabetical": Alphabetical.parse,
    "numerical": Numerical.parse,
    "version": VersionPolicy.parse,
    "digest": Digest.parse,
    "follow": Follow.parse,
    "newest": Newest.parse,
}
"""By the member of `policy` in YAML. Of several members the first in this order counts (Flux's factory.go)."""


def _one_per_text(indices: Iterable[int], texts: Sequence[str], tags: Sequence[str]) -> Iterable[int]:
    """Keep the smallest tag of those that extract the same text, as Flux's map does (filter.go)."""
    kept: dict[str, int] = {}
    for index in indices:
        other = kept.setdefault(texts[index], index)
        if tags[index] < tags[other]:
            kept[texts[index]] = index
    return kept.values()


def _not_numbers(bad: list[int], texts: Sequence[str], tags: Sequence[str]) -> Decision:
    reasons = bytearray(len(texts))
    for index in bad:
        reasons[index] = Reason.NOT_A_NUMBER
    # Flux reads in descending order and names the first that fails.
    worst = max(bad, key=tags.__getitem__)
    of = "" if texts[worst] == tags[worst] else f" of tag {tags[worst]}"
    why = f"{len(bad)} of {len(texts)} are not numbers{of and ', the one named is' + of}; let filterTags take only numbers, such as ^[0-9]+$"
    return Decision(reasons, None, f"failed to parse invalid numeric value '{texts[worst]}'", why)


def _all(texts: Sequence[str], reason: Reason) -> bytearray:
    return bytearray([reason]) * len(texts)


def _order(*, is_descending: bool) -> str:
    return "desc" if is_descending else "asc"


def _is_descending(options: Mapping[str, Any]) -> bool:
    order = _text(options, "order").upper()
    if order not in ("", "ASC", "DESC"):
        raise RuleError(f"invalid order argument provided: '{order}', must be one of: ASC, DESC", field="order")
    return order == "DESC"


def _text(options: Mapping[str, Any], name: str) -> str:
    value = options.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise RuleError(f"expected text, found a {'mapping' if isinstance(value, dict) else 'list'}", field=name)
    return str(value)
