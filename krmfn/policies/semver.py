"""`semver`: the highest version inside a range, as in Flux (image-reflector-controller internal/policy/semver.go)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from krmfn.errors import RuleError
from krmfn.policies import release
from krmfn.policies.constraint import Constraint
from krmfn.policies.protocol import Context, Decision, Policy, option
from krmfn.policies.reason import Reason
from krmfn.policies.version import Version, parse_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, Self

_NO_VERSION = "unable to determine latest version from provided list"


class SemVer(Policy):
    """The highest version inside a range. Of equal versions the largest tag wins, as in Flux without a filter."""

    kind = "semver"

    def __init__(self, written: str, constraint: Constraint) -> None:
        self.written: Final = written
        self.constraint: Final = constraint

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Self:
        """Read `{range: ...}`; raises RuleError."""
        text = option(options, "range")
        try:
            return cls(text, Constraint.parse(text))
        except RuleError as error:
            raise RuleError(error.message, field="range", help=error.help) from None

    @property
    def options(self) -> dict[str, Any]:
        """See Policy.options."""
        return {"range": str(self.constraint)}

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

    def objection(self, text: str) -> str:
        """See Policy.objection."""
        version = parse_tag(text)
        return "" if version is None else self.constraint.why_not(version)


def _one_per_text(indices: Iterable[int], texts: Sequence[str], tags: Sequence[str]) -> Iterable[int]:
    """Keep the smallest tag of those that extract the same text, as Flux's map does (filter.go)."""
    kept: dict[str, int] = {}
    for index in indices:
        other = kept.setdefault(texts[index], index)
        if tags[index] < tags[other]:
            kept[texts[index]] = index
    return kept.values()
