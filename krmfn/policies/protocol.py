"""What a policy is: the context that it is given, and the decision that it returns. `policy` lists the policies themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from krmfn.namedtuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Self, TypeAlias

Within: TypeAlias = 'Literal["patch", "minor", "major"]'
KEPT: dict[Within, int] = {"patch": 2, "minor": 1, "major": 0}
"""How many of the leading numbers of a tag stay, by the bound of policy `version`."""


class Context(NamedTuple):
    """What a policy may know besides the texts: creation times by tag, and the tag that is deployed.

    `current_text` is what the policy would read of the deployed tag; None when filterTags does not match it.
    """

    created: Callable[[str], str] | None = None
    current: str | None = None
    current_text: str | None = None


class Decision(NamedTuple):
    """One reason per text, and the place of the winner.

    Without a winner either `stays` says why the deployed tag is kept, or `error` is Flux's text and `why` what it means.
    """

    reasons: bytearray
    winner: int | None = None
    error: str = ""
    why: str = ""
    stays: str = ""


class Followed(NamedTuple):
    """What the lock named `lock` of another environment holds for the policy `policy`, once it has held it for `soak` seconds."""

    lock: str
    policy: str
    soak: int


def option(options: Mapping[str, Any], name: str) -> str:
    """Return an option of a policy as text, empty when it is left out; raises RuleError for a mapping or a list."""
    value = options.get(name)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        from krmfn.errors import RuleError

        raise RuleError(f"expected text, found a {'mapping' if isinstance(value, dict) else 'list'}", field=name)
    return str(value)


class Policy:
    """Chooses one of several texts. Pure; equal for every order of the texts.

    What is here holds for a policy without options that reads every text and knows no order: a class needs a `kind` and
    `evaluate`, and overrides what is otherwise with it.
    """

    kind = ""
    """The member of `policy` in YAML: one of `policy.POLICIES`."""
    pins_current = False
    """True if it keeps the deployed tag and only asks for its digest."""
    follows_current = False
    """True if it chooses for each deployed tag anew, and so for each field."""
    needs_created = False
    """True if it has to know when images were built."""
    followed: Followed | None = None
    """What is followed instead of a list."""

    @classmethod
    def parse(cls, _options: Mapping[str, Any]) -> Self:
        """Read the options as configuration spells them; raises RuleError."""
        return cls()

    def evaluate(self, texts: Sequence[str], tags: Sequence[str], context: Context) -> Decision:
        """Give every text a reason and choose; `tags` are the tags that the texts come from, one to one."""
        raise NotImplementedError

    @property
    def options(self) -> dict[str, Any]:
        """The options as plain data, equal for policies that mean the same."""
        return {}

    @property
    def described(self) -> str:
        """The policy for people, such as `semver >=1.2.0 <2.0.0`."""
        return self.kind

    def accepts(self, _text: str) -> bool:
        """True if the text alone would be taken."""
        return True

    def outranks(self, _text: str, _other: str) -> bool:
        """True if the text is strictly before the other in this policy's order; False when that is unknown."""
        return False

    def overlooks(self, _text: str, _numbers: Sequence[int] = ()) -> bool:
        """True if the policy cannot read a text (semver `8.4`), so that it cannot have left it out on purpose.

        The guard asks before it calls a deployed tag newer than the chosen one (`selection.goes_back`). With `numbers`, those
        that the text begins with, a version of these numbers must also be one that would be taken, the higher the better.
        A policy that reads every text, or takes nothing below what is deployed, returns False.
        """
        return False

    def objection(self, _text: str) -> str:
        """Return what in particular puts a text outside of the range; empty where `described` says it."""
        return ""

    def candidates(self, _tags: Sequence[str], _limit: int | None = None) -> tuple[str, ...]:
        """Return the tags whose creation time is asked, where `needs_created`."""
        return ()

    def canonical(self) -> dict[str, Any]:
        """Return the policy as plain data, equal for policies that mean the same; `policyHash` of a lock is made of it."""
        return {self.kind: self.options}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.kind, *vars(self).values()))
